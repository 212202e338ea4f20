"""The maximal-overlap wavelet transform of one run, forth and back, channels innermost.

Stretches of a run lie in a flat *work* array, one after the other, as rows of some channels.
So a sum of rows with a hole between them is a sum of long vectors, for any hole.
"""

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel

WIDTH = 32
"""Channels that are transformed at a time."""


@fast_kernel
def _four(out, a, b, c, d, taps, fresh):
    p, q, r, s = taps[0], taps[1], taps[2], taps[3]
    for i in range(len(out)):
        near = (p * a[i] + q * b[i]) + (r * c[i] + s * d[i])
        out[i] = near if fresh else near + out[i]


@fast_kernel
def _one(out, a, taps, fresh):
    p = taps[0]
    for i in range(len(out)):
        out[i] = p * a[i] if fresh else p * a[i] + out[i]


@kernel
def combine(work, to, source, step, n, width, taps, fresh):
    """``work[to + i] (+)= sum_k taps[k] work[source + i + step k]`` for n rows i."""
    out, k = work[to * width : (to + n) * width], 0
    while k < len(taps):
        p = source + step * k
        a = work[p * width :]
        if k + 4 <= len(taps):
            b, c = work[(p + step) * width :], work[(p + 2 * step) * width :]
            _four(out, a, b, c, work[(p + 3 * step) * width :], taps[k:], fresh)
        else:
            _one(out, a, taps[k:], fresh)
        k, fresh = k + (4 if k + 4 <= len(taps) else 1), False


@kernel
def _back(work, n, width, details, smooth, chosen, filters, begin, end):
    """Undo the levels one by one, between two stretches of n rows; returns the sum's row."""
    taps, old, to, used = filters.shape[1] - 1, smooth, 2 * n, chosen[0]
    for j in range(len(chosen) - 1, 0, -1):
        hole = 2 ** (j - 1)
        rows = end + taps * (hole - 1) - begin
        if used:
            combine(work, to + begin, old + begin, hole, rows, width, filters[0], True)
        if chosen[j]:
            at = details[j] + begin
            combine(work, to + begin, at, hole, rows, width, filters[1], not used)
        if used or chosen[j]:
            used, old, to = True, to, 5 * n - to  # the other of the two
    return old


@kernel
def transform(work, n, width, filters, groups, reach, first, last, out):
    """Sums of bands of the extended run in rows ``0 ... n``: ``out (group, rows × width)``.

    ``groups`` as in :func:`fhemb_xr.kernels.time_frequency.dwt.transform`.
    """
    n_levels, taps = groups.shape[1] - 1, filters.shape[1] - 1
    details = np.zeros(n_levels + 1, np.int64)
    old, new, at = 0, n, 4 * n
    for j in range(1, n_levels + 1):
        hole, begin = 2 ** (j - 1), taps * (2**j - 1)
        if groups[:, j].any():
            details[j] = at
            combine(work, at + begin, old + begin, -hole, n - begin, width, filters[1], True)
            at += n
        combine(work, new + begin, old + begin, -hole, n - begin, width, filters[0], True)
        old, new = new, old
    begin, end = reach + first, reach + last
    for g in range(len(groups)):
        found = _back(work, n, width, details, old, groups[g], filters, begin, end)
        out[g] = work[(found + begin) * width : (found + end) * width]
