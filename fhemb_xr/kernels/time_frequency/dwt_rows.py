"""Weighted sums of rows: one filter of the wavelet transform, and the ends of a level.

A row is one sample of every channel. See :mod:`fhemb_xr.kernels.time_frequency.dwt` for how
the rows of all levels lie in memory.
"""

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel

TILE = 64
"""Rows that go through all taps of a long filter before the next rows do."""


@fast_kernel
def _down_eight(x, at, step, out, to, width, n, taps, add):
    """``out[to + i] (+)= sum_k taps[k] x[at + 2 i + k]``, for n rows i, two at a time."""
    a, b, c, d = taps[0], taps[1], taps[2], taps[3]
    e, f, g, h = taps[4], taps[5], taps[6], taps[7]
    s, w = np.uint64(step), np.uint64(width)
    s2, s3, s4, s5 = np.uint64(2) * s, np.uint64(3) * s, np.uint64(4) * s, np.uint64(5) * s
    s6, s7, s8, s9 = np.uint64(6) * s, np.uint64(7) * s, np.uint64(8) * s, np.uint64(9) * s
    for i in range(0, n, 2):
        r, q = x[(at + 2 * i) * step :], out[(to + i) * width :]
        for j in range(w):
            x2, x3, x4 = r[j + s2], r[j + s3], r[j + s4]
            x5, x6, x7 = r[j + s5], r[j + s6], r[j + s7]
            one = ((a * r[j] + b * r[j + s]) + (c * x2 + d * x3)) + (
                (e * x4 + f * x5) + (g * x6 + h * x7)
            )
            two = ((a * x2 + b * x3) + (c * x4 + d * x5)) + (
                (e * x6 + f * x7) + (g * r[j + s8] + h * r[j + s9])
            )
            q[j] = one + q[j] if add else one
            q[j + w] = two + q[j + w] if add else two


@fast_kernel
def _down_two(x, at, step, out, to, width, n, taps, add):
    """The same for two taps."""
    a, b = taps[0], taps[1]
    s, w = np.uint64(step), np.uint64(width)
    s2, s3 = np.uint64(2) * s, np.uint64(3) * s
    for i in range(0, n, 2):
        r, q = x[(at + 2 * i) * step :], out[(to + i) * width :]
        for j in range(w):
            one, two = a * r[j] + b * r[j + s], a * r[j + s2] + b * r[j + s3]
            q[j] = one + q[j] if add else one
            q[j + w] = two + q[j + w] if add else two


@fast_kernel
def _up_four(x, at, width, out, to, step, n, even, odd, add):
    """``out[to + 2 i] (+)= sum_k even[k] x[at + i + k]`` for n rows i, and the odd rows."""
    a, b, c, d = even[0], even[1], even[2], even[3]
    e, f, g, h = odd[0], odd[1], odd[2], odd[3]
    s, w = np.uint64(step), np.uint64(width)
    w2, w3 = np.uint64(2) * w, np.uint64(3) * w
    for i in range(n):
        r, q = x[(at + i) * width :], out[(to + 2 * i) * step :]
        for j in range(w):
            x0, x1, x2, x3 = r[j], r[j + w], r[j + w2], r[j + w3]
            one = (a * x0 + b * x1) + (c * x2 + d * x3)
            two = (e * x0 + f * x1) + (g * x2 + h * x3)
            q[j] = one + q[j] if add else one
            q[j + s] = two + q[j + s] if add else two


@fast_kernel
def _up_one(x, at, width, out, to, step, n, even, odd, add):
    """The same for one tap."""
    a, e = even[0], odd[0]
    s, w = np.uint64(step), np.uint64(width)
    for i in range(n):
        r, q = x[(at + i) * width :], out[(to + 2 * i) * step :]
        for j in range(w):
            one, two = a * r[j], e * r[j]
            q[j] = one + q[j] if add else one
            q[j + s] = two + q[j + s] if add else two


@kernel
def down(x, at, step, out, to, width, n, taps):
    """Rows of the next level; ``taps`` are stored backwards, so that a row is a plain sum."""
    for i in range(0, n, TILE):
        rows, k, add = min(TILE, n - i), 0, False
        while k < len(taps):
            if len(taps) - k >= 8:
                _down_eight(x, at + 2 * i + k, step, out, to + i, width, rows, taps[k:], add)
                k += 8
            else:
                _down_two(x, at + 2 * i + k, step, out, to + i, width, rows, taps[k:], add)
                k += 2
            add = True


@kernel
def up(work, smooth, detail, width, used, bank, out, to, step, n):
    """Pairs of rows of the smooth from row ``smooth`` on, of the detail, or of both."""
    poly, shift = bank.poly, bank.shift
    if shift[0] != shift[1]:
        # a tap of 0 would align them, but spread missing samples: 0 * NaN
        for odd in range(2):
            add = False
            for band in range(2):
                at = (detail if band else smooth) + shift[odd]
                if used[band]:
                    _up_apart(work, at, width, out, to + odd, step, n, poly[band, odd], add)
                    add = True
        return
    smooth, detail = smooth + shift[0], detail + shift[0]
    for i in range(0, n, TILE):
        rows, add = min(TILE, n - i), False
        for band in range(2):
            at, k = (detail if band else smooth) + i, 0
            while used[band] and k < poly.shape[2]:
                even, odd = poly[band, 0, k:], poly[band, 1, k:]
                if poly.shape[2] - k >= 4:
                    _up_four(work, at + k, width, out, to + 2 * i, step, rows, even, odd, add)
                    k += 4
                else:
                    _up_one(work, at + k, width, out, to + 2 * i, step, rows, even, odd, add)
                    k += 1
                add = True


@kernel
def _up_apart(work, at, width, out, to, step, n, taps, add):
    """Every other row, where even and odd rows read different rows."""
    for i in range(n):
        q = out[(to + 2 * i) * step :]
        for k in range(len(taps)):
            f, r = taps[k], work[(at + i + k) * width :]
            if add or k:
                for j in range(width):
                    q[j] += f * r[j]
            else:
                for j in range(width):
                    q[j] = f * r[j]


@kernel
def copy_rows(x, at, step, out, to, out_step, n, width):
    """Copy n rows of ``width`` channels."""
    for i in range(n):
        r, q = x[(at + i) * step :], out[(to + i) * out_step :]
        for j in range(width):
            q[j] = r[j]


@kernel
def make_rows(x, at, step, work, to, width, source, weight):
    """Make a row outside a run from up to three of its rows; the run begins at row ``at``."""
    q = work[to * width :]
    for j in range(width):
        q[j] = 0
    for k in range(len(source)):
        if weight[k] != 0:
            f, r = weight[k], x[(at + source[k]) * step :]
            for j in range(width):
                q[j] += f * r[j]


@kernel
def extend(work, at, n, width, source, weight):
    """Fill the rows before and after a run of n from the rows and weights of a table."""
    pad = len(source) // 2
    for e in range(2 * pad):
        to = at - pad + e if e < pad else at + n + e - pad
        make_rows(work, at, width, work, to, width, source[e], weight[e])


@kernel
def fetch(x, n, step, begin, end, work, width, source, weight):
    """Copy rows ``begin`` to ``end`` of a run to the head of the work array, with extension."""
    pad, lo, hi = len(source) // 2, max(begin, 0), min(end, n)
    copy_rows(x, lo, step, work, lo - begin, width, hi - lo, width)
    for e in range(2 * pad):
        t = e - pad if e < pad else n + e - pad
        if begin <= t < end:
            make_rows(x, 0, step, work, t - begin, width, source[e], weight[e])
