"""Compiled forward-backward recursion of a chain of states that follow each other once."""

import numpy as np

from fhemb_xr.kernels._jit import kernel


@kernel
def _together(a, b):
    """``log(exp(a) + exp(b))``."""
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + np.log1p(np.exp(b - a))


@kernel
def posterior(evidence, stay, move, out):
    """Probability of each state at each moment, and the log-likelihood.

    ``evidence (t, k)`` holds log-probabilities of the moments in each state. The first moment
    is in the first state, the last one in the last; ``stay`` and ``move`` are the logarithms
    of the probabilities to stay and to go on. ``out (t, k)`` gets the probabilities.
    """
    n, k = evidence.shape
    out[0, 0] = evidence[0, 0]
    out[0, 1:] = -np.inf
    for t in range(1, n):
        for s in range(k):
            came = out[t - 1, s] + stay
            if s > 0:
                came = _together(came, out[t - 1, s - 1] + move)
            out[t, s] = came + evidence[t, s]
    likelihood = out[n - 1, k - 1]
    later = np.full(k, -np.inf)
    later[k - 1] = 0.0
    for t in range(n - 1, -1, -1):
        for s in range(k):
            out[t, s] = np.exp(out[t, s] + later[s] - likelihood)
        for s in range(k):  # upwards: the next state's value is still that of the later moment
            went = later[s] + evidence[t, s] + stay
            if s < k - 1:
                went = _together(went, later[s + 1] + evidence[t, s + 1] + move)
            later[s] = went
    return likelihood
