"""Short gaps filled by the expectation of an autoregressive model, channel by channel.

References
----------
- Burg (1975), Maximum Entropy Spectral Analysis, PhD thesis, Stanford University.
- Janssen, Veldhuis & Vries (1986), IEEE Trans. Acoust. Speech Signal Process. 34, 317-330,
  doi:10.1109/TASSP.1986.1164824.
"""

from collections.abc import Callable

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel
from fhemb_xr.kernels.time_frequency.gaps import CONTEXT, patterns, runs
from fhemb_xr.typing import Bools, Floats

ORDER = 32
"""Order of the model."""
LINE = 3
"""Longest gap that is filled by a straight line: no model came nearer, and a line is cheap."""
_FEWEST = 4
"""Samples that each coefficient of a model needs."""


def bridged(x: Floats, finite: Bools) -> Floats:
    """Rows with gaps filled from both sides: ``(t, c), (t,) -> (t, c)``.

    The first and the last row must be present. The model of a gap is fitted to the samples
    next to it: at most ``CONTEXT`` on each side, and none beyond another gap. The filled
    samples are those with the smallest residual. So a filled value depends neither on chunks
    nor on other channels. Memory: a copy of ``x``.
    """
    if finite.all():
        return x
    edges = np.flatnonzero(np.diff(finite)) + 1
    out = x.copy()
    _bridge(x, out, edges[::2], edges[1::2])
    return out


@kernel
def _bridge(x, out, starts, stops):
    sides = np.empty((2, CONTEXT))
    for g in range(len(starts)):
        start, stop = starts[g], stops[g]
        n = stop - start
        before = min(CONTEXT, start - (stops[g - 1] if g else 0))
        after = min(CONTEXT, (starts[g + 1] if g + 1 < len(starts) else len(x)) - stop)
        order = 0 if n <= LINE else min(ORDER, min(before, after) // _FEWEST)
        for c in range(x.shape[1]):
            low, high = x[start - 1, c], x[stop, c]
            for i in range(n):
                out[start + i, c] = low + (high - low) * (i + 1) / (n + 1)
            if order:
                for i in range(before):
                    sides[0, i] = x[start - before + i, c]
                for i in range(after):
                    sides[1, i] = x[stop + i, c]
                _expected(sides, before, after, order, out[start:stop, c])


@fast_kernel
def _expected(sides, before, after, order, out):
    """The samples between two sides with the smallest residual of the sides' model."""
    n = len(out)
    mean = (sides[0, :before].sum() + sides[1, :after].sum()) / (before + after)
    left, right = sides[0, :before] - mean, sides[1, :after] - mean
    a = _burg(left, right, order)
    b = np.zeros(max(order + 1, n))
    for k in range(order + 1):
        for i in range(order + 1 - k):
            b[k] += a[i] * a[i + k]
    matrix, wanted = np.empty((n, n)), np.zeros(n)
    for i in range(n):
        for j in range(n):
            matrix[i, j] = b[abs(i - j)]
        for k in range(1, order + 1):
            if k > i:
                wanted[i] -= b[k] * left[before + i - k]
            if i + k >= n:
                wanted[i] -= b[k] * right[i + k - n]
    if solve(matrix, wanted):
        for i in range(n):
            out[i] = wanted[i] + mean


@fast_kernel
def _burg(left, right, order):
    """One model of two stretches: 1, a_1, … of ``sum_k a_k x[t - k] = noise``."""
    a, old = np.zeros(order + 1), np.zeros(order + 1)
    a[0] = 1
    spare = np.empty(max(len(left), len(right)))
    errors = (left.copy(), left.copy(), right.copy(), right.copy())
    for m in range(1, order + 1):
        top = bottom = 0.0
        for side in range(2):
            f, b = errors[2 * side][m:], errors[2 * side + 1][m - 1 : -1]
            for t in range(len(f)):
                top += f[t] * b[t]
                bottom += f[t] * f[t] + b[t] * b[t]
        if bottom <= 0:
            break
        r = -2 * top / bottom
        old[:] = a
        for k in range(1, m + 1):
            a[k] = old[k] + r * old[m - k]
        for side in range(2):
            f, b = errors[2 * side][m:], errors[2 * side + 1][m - 1 : -1]
            for t in range(len(f)):
                spare[t] = b[t] + r * f[t]
            for t in range(len(f)):
                f[t] += r * b[t]
            errors[2 * side + 1][m:] = spare[: len(f)]
    return a


@kernel
def solve(matrix, x):
    """Solve a symmetric positive system by Cholesky, in place; False if it is not positive."""
    n = len(x)
    for j in range(n):
        for i in range(j, n):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not s > 0:
                    return False
                matrix[j, j] = np.sqrt(s)
            else:
                matrix[i, j] = s / matrix[j, j]
    for i in range(n):
        for k in range(i):
            x[i] -= matrix[i, k] * x[k]
        x[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= matrix[k, i] * x[k]
        x[i] /= matrix[i, i]
    return True


def each_run(
    x: Floats, work: Callable[[Floats], Floats], longest: int = 0, extra: tuple[int, ...] = ()
) -> Floats:
    """Apply a function to every run on its own: ``(t, c) -> (t, c, *extra)``; NaN stays NaN.

    Gaps of up to ``longest`` samples are filled for ``work`` and do not end a run.
    """
    if not x.size or np.isfinite(x.sum()):
        return work(x)
    out = np.full((*x.shape, *extra), np.nan, x.dtype)
    for columns, finite in patterns(np.isfinite(x)):
        for lo, hi in runs(finite, longest):
            result = work(bridged(x[lo:hi, columns], finite[lo:hi]))
            result[~finite[lo:hi]] = np.nan
            out[lo:hi, columns] = result
    return out
