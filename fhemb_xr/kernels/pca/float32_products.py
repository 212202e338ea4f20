"""Products of float32 frames with themselves and with vectors, summed in float64.

Why not BLAS: dask already runs tasks in parallel. A BLAS with threads of its own would make
these tasks wait for each other. Here everything runs in the thread of the caller.

Why four rows by four: 8 rows are read for 16 products, and the 16 sums stay in registers. With
one row by one, reading would take longer than multiplying.

Why :data:`RUN`: at most that many products are summed in float32, then the sum is added to a
float64. So the error of the product of two rows ``a`` and ``b`` is at most
``RUN * 2**-24 * |a| |b|``, in any order of summation. In practice it is about a hundredth of
that, because the compiler sums in 8 or 16 lanes and rounding is random.
"""

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel, kernel
from fhemb_xr.typing import F32, F64, Bools, Ints

Counts = NDArray[np.int32]
RUN, BAND, GROUP, STRIP = 1024, 64, 32, 512
"""Products summed in float32; numbers of rows, frames and pixels that fit the caches."""


def row_length(n: int) -> int:
    """Length of a row of n with zeros at its end: the next odd multiple of 16.

    16 float32 fill a register. The multiple is odd because rows of a power of two would all
    fall into the same few lines of the cache, and evict each other.
    """
    lines = -(-n // 16)
    return 16 * (lines + 1 - lines % 2)


@fast_kernel
def _dots(a: F32, b: F32, i: int, j: int, start: int, stop: int, out: F64) -> None:
    """Add the products of four rows of ``a`` with four of ``b`` to ``out (4, 4)``."""
    a0, a1 = a[i, start:stop], a[i + 1, start:stop]
    a2, a3 = a[i + 2, start:stop], a[i + 3, start:stop]
    b0, b1 = b[j, start:stop], b[j + 1, start:stop]
    b2, b3 = b[j + 2, start:stop], b[j + 3, start:stop]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0)
    for k in range(stop - start):
        u, v, x, y = b0[k], b1[k], b2[k], b3[k]
        s00, s01, s02, s03 = s00 + a0[k] * u, s01 + a0[k] * v, s02 + a0[k] * x, s03 + a0[k] * y
        s10, s11, s12, s13 = s10 + a1[k] * u, s11 + a1[k] * v, s12 + a1[k] * x, s13 + a1[k] * y
        s20, s21, s22, s23 = s20 + a2[k] * u, s21 + a2[k] * v, s22 + a2[k] * x, s23 + a2[k] * y
        s30, s31, s32, s33 = s30 + a3[k] * u, s31 + a3[k] * v, s32 + a3[k] * x, s33 + a3[k] * y
    out[0, 0] += s00
    out[0, 1] += s01
    out[0, 2] += s02
    out[0, 3] += s03
    out[1, 0] += s10
    out[1, 1] += s11
    out[1, 2] += s12
    out[1, 3] += s13
    out[2, 0] += s20
    out[2, 1] += s21
    out[2, 2] += s22
    out[2, 3] += s23
    out[3, 0] += s30
    out[3, 1] += s31
    out[3, 2] += s32
    out[3, 3] += s33


@fast_kernel
def _add_frames(y: F32, w: F32, d: F32, r: int, start: int, stop: int) -> None:
    """Add eight frames, each by its weight: ``y (p) += w (8) @ d[r : r + 8, start:stop]``."""
    w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    d0, d1 = d[r, start:stop], d[r + 1, start:stop]
    d2, d3 = d[r + 2, start:stop], d[r + 3, start:stop]
    d4, d5 = d[r + 4, start:stop], d[r + 5, start:stop]
    d6, d7 = d[r + 6, start:stop], d[r + 7, start:stop]
    for k in range(stop - start):
        y[k] += (w0 * d0[k] + w1 * d1[k] + w2 * d2[k] + w3 * d3[k]) + (
            w4 * d4[k] + w5 * d5[k] + w6 * d6[k] + w7 * d7[k]
        )


@fast_kernel
def _deviations(x: F32, first: int, mean: F64, inside: Bools, out: F32) -> None:
    """Deviations of frames from the mean; 0 outside of the mask and without a face."""
    t, p = x.shape
    for r in range(out.shape[0]):
        gaps = 0
        if first + r < t:
            for j in range(p):
                d = np.float32(x[first + r, j] - mean[j]) if inside[j] else np.float32(0)
                out[r, j] = d
                gaps += not abs(d) < np.inf
        if first + r >= t or gaps:
            for j in range(p):
                out[r, j] = 0


@kernel
def _weights(vectors: F32, d: F32, w: F32) -> None:
    """Products of vectors with frames: ``(l, p), (t, p) -> (l, t)``."""
    p = d.shape[1]
    tile = np.empty((4, 4))
    for i in range(0, vectors.shape[0], 4):
        for r in range(0, d.shape[0], 4):
            for c in range(16):
                tile[c // 4, c % 4] = 0.0
            for start in range(0, p, RUN):
                _dots(vectors, d, i, r, start, min(start + RUN, p), tile)
            for c in range(16):
                w[i + c // 4, r + c % 4] = tile[c // 4, c % 4]


@kernel
def _spread(w: F32, d: F32, y: F32) -> None:
    """Add frames by their weights: ``y (l, p) += w (l, t) @ d (t, p)``."""
    p = d.shape[1]
    for start in range(0, p, STRIP):
        stop = min(start + STRIP, p)
        for r in range(0, d.shape[0], 8):
            for i in range(y.shape[0]):
                _add_frames(y[i, start:stop], w[i, r : r + 8], d, r, start, stop)


def add_products(x: F32, mean: F64, inside: Bools, vectors: F32, out: F64) -> None:
    """Add centred frames, each times its product with a vector, for each of the vectors.

    ``(t, p), (p), (p), (l, q) -> (l, p)``; l is a multiple of four, q is ``row_length(p)``.
    Frames without a face and pixels outside of the mask count as 0. Peak memory:
    ``4 q (l + GROUP)`` bytes.
    """
    p, (n, q) = x.shape[1], vectors.shape
    d, w = np.zeros((GROUP, q), np.float32), np.empty((n, GROUP), np.float32)
    y = np.zeros((n, q), np.float32)
    for run in range(0, len(x), RUN):  # not compiled: compiling would take as long as a pass
        for first in range(run, min(run + RUN, len(x)), GROUP):
            _deviations(x, first, mean, inside, d)
            _weights(vectors, d, w)
            _spread(w, d, y)
        out += y[:, :p]
        y[:] = 0


@fast_kernel
def pixel_sums(
    x: F32, shift: F32, counts: Counts, sums: F64, extremes: F32, faces: Bools
) -> None:
    """Number, sum, sum of squares and extremes of each pixel's finite samples.

    Sums are of ``x - shift``. ``(t, p), (p) -> (p), (2, p), (2, p), (t)``; the last says which
    frames have a face.
    """
    one, none, least = np.int32(1), np.int32(0), np.float32(-np.inf)
    total, square, low, high = sums[0], sums[1], extremes[0], extremes[1]
    for r in range(x.shape[0]):
        row, some = x[r], none
        for j in range(row.size):  # two loops: the compiler does not vectorise a single one
            d = np.float64(row[j]) - np.float64(shift[j])
            d = d if abs(d) < np.inf else np.float64(0)
            total[j] += d
            square[j] += d * d
        for j in range(row.size):
            v = row[j]
            finite = one if abs(v) < np.inf else none
            lowest, highest = v if finite else -least, v if finite else least
            low[j] = lowest if lowest < low[j] else low[j]
            high[j] = highest if highest > high[j] else high[j]
            counts[j] += finite
            some += finite
        faces[r] = some > 0


@kernel
def columns(x: F32, mean: F64, pixels: Ints, out: F32) -> None:
    """Deviations of some pixels: ``(t, p), (n), (n) -> (n, t)``; 0 for what is not finite."""
    t = x.shape[0]
    for first in range(0, t, 16):  # a line of the cache at a time
        for j in range(pixels.size):
            for r in range(first, min(first + 16, t)):
                d = x[r, pixels[j]] - mean[j]
                out[j, r] = np.float32(d) if abs(d) < np.inf else np.float32(0)


@kernel
def add_gram(rows: F32, more: F64, pixels: Ints, folded: F64) -> None:
    """Add products of some pixels, ``rows rows' + more more'``, to a folded upper triangle.

    ``(q, t), (n), (n), (>= p // 2 + 1, p)``; q is n rounded up to a multiple of four, t is
    about :data:`RUN`, ``pixels`` says in ascending order which of p pixels they are. Row r of
    the triangle, from the diagonal on, is stored in row r, or at the end of row p - r.
    """
    n, p, tile = more.size, folded.shape[1], np.empty((4, 4))
    q, t = rows.shape
    for band in range(0, q, BAND):
        end = min(band + BAND, q)
        for i in range(0, end, 4):
            for j in range(max(band, i), end, 4):
                for c in range(16):
                    tile[c // 4, c % 4] = 0.0
                _dots(rows, rows, i, j, 0, t, tile)
                for r in range(i, min(i + 4, n)):
                    at = pixels[r]
                    row, back = (at, at) if 2 * at <= p else (p - at, 0)
                    for c in range(max(j, r), min(j + 4, n)):
                        product = tile[r - i, c - j] + more[r] * more[c]
                        folded[row, pixels[c] - back] += product
