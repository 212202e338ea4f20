"""The maximal-overlap wavelet transform of one run, forth and back, channels innermost."""

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel

WIDTH = 128


@fast_kernel
def combine(to, i, source, r, step, taps, fresh):
    """``to[i] (+)= sum_k taps[k] * source[r + step * k]``, four taps at a time, then one.

    Rows are taken out as arrays of their own: only so does the compiler see plain vectors.
    """
    row, k = to[i], 0
    if fresh:
        row[:] = 0
    while k < len(taps):
        p, a = r + step * k, taps[k]
        s0 = source[p]
        if k + 4 <= len(taps):
            s1, s2, s3 = source[p + step], source[p + 2 * step], source[p + 3 * step]
            b, c, d = taps[k + 1], taps[k + 2], taps[k + 3]
            for x in range(row.size):
                row[x] += (a * s0[x] + b * s1[x]) + (c * s2[x] + d * s3[x])
            k += 4
        else:
            for x in range(row.size):
                row[x] += a * s0[x]
            k += 1


@kernel
def _back(work, n, details, smooth, chosen, filters, begin, end):
    """Undo the levels one by one, between two stretches of n rows; says where the sum lies."""
    taps, old, to, used = filters.shape[1] - 1, smooth, 2 * n, chosen[0]
    for j in range(len(chosen) - 1, 0, -1):
        hole = 2 ** (j - 1)
        for t in range(begin, end + taps * (hole - 1)):
            if used:
                combine(work, to + t, work, old + t, hole, filters[0], True)
            if chosen[j]:
                combine(work, to + t, work, details[j] + t, hole, filters[1], not used)
        if used or chosen[j]:
            used, old, to = True, to, 5 * n - to  # the other of the two
    return old


@kernel
def transform(work, n, filters, groups, reach, first, last, out):
    """Sums of bands of the extended run in rows ``0 ... n``: ``out (group, first...last, c)``.

    ``groups`` as in :func:`fhemb_xr.kernels.dwt.transform`.
    """
    n_levels, taps = groups.shape[1] - 1, filters.shape[1] - 1
    details = np.zeros(n_levels + 1, np.int64)
    old, new, at = 0, n, 4 * n
    for j in range(1, n_levels + 1):
        hole, begin = 2 ** (j - 1), taps * (2**j - 1)
        if groups[:, j].any():
            details[j] = at
            for t in range(begin, n):
                combine(work, at + t, work, old + t, -hole, filters[1], True)
            at += n
        for t in range(begin, n):
            combine(work, new + t, work, old + t, -hole, filters[0], True)
        old, new = new, old
    begin, end = reach + first, reach + last
    for g in range(len(groups)):
        found = _back(work, n, details, old, groups[g], filters, begin, end)
        out[g] = work[found + begin : found + end]
