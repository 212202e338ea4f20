"""The decimated wavelet transform of one run, forth and back, channels innermost.

A run lies in a *work* array ``(row, channel)`` with free rows on both sides of each level,
which are filled by the extension; so the loops over time have no ends to look after, and the
loops over channels are contiguous. Everything is written through :func:`combine`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel, kernel

Floats = NDArray[np.floating[Any]]
MODES = (
    "zero", "constant", "symmetric", "reflect", "periodic", "smooth", "antisymmetric",
    "antireflect", "periodization",
)  # fmt: skip
PERIODIC, PERIODIZATION = MODES.index("periodic"), MODES.index("periodization")


@fast_kernel
def combine(to, i, source, r, step, taps, fresh):
    """``to[i] (+)= sum_k taps[k] * source[r + step * k]``, up to eight taps at a time."""
    width, n, k = to.shape[1], len(taps), 0
    while k < n:
        p = r + step * k
        p1, p2, p3 = p + step, p + 2 * step, p + 3 * step
        p4, p5, p6, p7 = p + 4 * step, p + 5 * step, p + 6 * step, p + 7 * step
        if k + 8 <= n:
            a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            e, f, g, h = taps[k + 4], taps[k + 5], taps[k + 6], taps[k + 7]
            for x in range(width):
                near = (a * source[p, x] + b * source[p1, x]) + (
                    c * source[p2, x] + d * source[p3, x]
                )
                far = (e * source[p4, x] + f * source[p5, x]) + (
                    g * source[p6, x] + h * source[p7, x]
                )
                to[i, x] = near + far if fresh else to[i, x] + (near + far)
            k += 8
        elif k + 4 <= n:
            a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            for x in range(width):
                near = (a * source[p, x] + b * source[p1, x]) + (
                    c * source[p2, x] + d * source[p3, x]
                )
                to[i, x] = near if fresh else to[i, x] + near
            k += 4
        else:
            a = taps[k]
            for x in range(width):
                to[i, x] = a * source[p, x] if fresh else to[i, x] + a * source[p, x]
            k += 1
        fresh = False


@kernel
def _extend(work, at, n, pad, source, weight):
    """Fill the ``pad`` rows before and after a run from the rows and weights of a table."""
    for e in range(2 * pad):
        to = at - pad + e if e < pad else at + n + e - pad
        for c in range(work.shape[1]):
            work[to, c] = 0
        for q in range(source.shape[1]):
            f = weight[e, q]
            if f != 0:
                r = at + source[e, q]
                for c in range(work.shape[1]):
                    work[to, c] += f * work[r, c]


@kernel
def _analyse(work, starts, sizes, high, wanted, filters, offset, source, weight):
    n_levels, pad = len(sizes) - 1, source.shape[1] // 2
    for j in range(1, n_levels + 1):
        _extend(work, starts[j - 1], sizes[j - 1], pad, source[j - 1], weight[j - 1])
        for band in range(2):
            if wanted[j] if band else (j < n_levels or wanted[0]):
                to = high[j] if band else starts[j]
                for i in range(sizes[j]):
                    r = starts[j - 1] + 2 * i + offset
                    combine(work, to + i, work, r, -1, filters[band], True)


@kernel
def _rebuild(work, j, starts, sizes, high, used, poly, shift, begin, end):
    """Rows of level j - 1 from those of level j: of the smooth, of the detail, or of both."""
    fresh = True
    for band in range(2):
        if used[band]:
            below = high[j] if band else starts[j]
            for m in range(begin, end):
                odd = m % 2
                r = below + m // 2 + shift[odd]
                combine(work, starts[j - 1] + m, work, r, 1, poly[band, odd], fresh)
            fresh = False


@kernel
def _synthesise(work, starts, sizes, high, chosen, poly, shift, circular, tables, first, last):
    """One sum of bands into the rows of level 0, from ``first`` to ``last``."""
    taps, used = poly.shape[2], np.zeros(2, np.bool_)
    used[0] = chosen[0]
    for j in range(len(sizes) - 1, 0, -1):
        used[1] = chosen[j]
        begin, end = 0, sizes[j - 1]
        if circular:
            for band in range(2):
                at = high[j] if band else starts[j]
                if used[band]:
                    _extend(
                        work, at, sizes[j], tables[0].shape[1] // 2, tables[0][j], tables[1][j]
                    )
        else:  # only the rows that the asked ones depend on
            begin, end = first, last
            for _ in range(j - 1):
                begin, end = begin // 2, (end - 1) // 2 + taps
            end = min(end, sizes[j - 1])
        _rebuild(work, j, starts, sizes, high, used, poly, shift, begin, end)
        used[0] |= used[1]


@kernel
def transform(
    work, sizes, filters, offset, poly, shift, tables, wraps, groups, first, last, out
):
    """Sums of bands of the run in rows ``F ... F + n``: ``out (group, first...last, channel)``.

    ``groups[g, 0]`` asks for the approximation of the deepest level, ``groups[g, j]`` for the
    detail of level j.
    """
    pad, wanted = filters.shape[1], np.zeros(len(sizes), np.bool_)
    starts, high = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    for g in range(len(groups)):
        wanted |= groups[g]
    at = pad
    for j in range(len(sizes)):
        starts[j] = at
        at += sizes[j] + 2 * pad
    for j in range(1, len(sizes)):
        high[j] = at
        at += sizes[j] + 2 * pad if wanted[j] else 0
    _analyse(work, starts, sizes, high, wanted, filters, offset, tables[0], tables[1])
    for g in range(len(groups)):
        _synthesise(
            work, starts, sizes, high, groups[g], poly, shift, offset != 1, wraps, first, last
        )
        out[g] = work[pad + first : pad + last]


def rows(n: int, n_taps: int, n_levels: int) -> int:
    """Rows that a work array needs for a run of ``n`` samples."""
    total, size = n + 2 * n_taps, n
    for _ in range(n_levels):
        size = (size + n_taps) // 2
        total += 2 * (size + 2 * n_taps)
    return total
