"""Soft maximum of the correlations of two series over all lags.

With the correlation ``r(l)`` of ``a[t]`` and ``b[t + l]`` and n lags: ``log(sum(exp(beta r)) /
n) / beta``. Its derivative by ``r(l)`` is the weight ``exp(beta r(l)) / sum(exp(beta r))``, so
all lags take part, those near the largest most.
"""

import numpy as np

from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.typing import F64, Floats


def relation(
    a: Floats, b: Floats, *, upper: bool, max_lag: int, beta: float, mean: bool
) -> F64:
    """Soft maximum and mean lag of all pairs: ``(k, f, t), (l, f, t) -> (2, k, l)``.

    ``upper`` says that ``a`` is ``b``: only half is worked out, and mirrored. The correlation
    at a lag is the mean over the features. Peak memory: 9 numbers per sample of a pair.
    """
    out = np.full((2, len(a), len(b)), np.nan)
    left, right = (np.asarray(x, np.float64) for x in (a, b))
    for i, j in metrics.pairs(len(a), len(b), upper):
        r = metrics.correlations_at_lags(left[i], right[j], max_lag)
        out[:, i, j] = soft_maximum(r, beta, mean)
    return metrics.mirrored(out) if upper else out


def soft_maximum(r: F64, beta: float, mean: bool) -> tuple[float, float]:
    """The soft maximum over lags ``-m … m``, and the mean lag by the weights: ``(2m + 1)``.

    Lags without a correlation are left out; NaN where there is none at all.
    """
    known = np.isfinite(r)
    if not known.any():
        return np.nan, np.nan
    highest = r[known].max()
    weight = np.where(known, np.exp(beta * (np.where(known, r, highest) - highest)), 0.0)
    total = weight.sum()
    lags = np.arange(r.size) - r.size // 2
    per = known.sum() if mean else 1
    return float(highest + np.log(total / per) / beta), float(weight @ lags / total)
