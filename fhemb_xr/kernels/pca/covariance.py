"""Covariance of pixels that merges exactly across chunks, and its eigenvectors.

A *state* is ``(p // 2 + 6, p)``. Its first rows are the centred Gram matrix of the p pixels,
with the upper triangle folded into half the rows. The last five rows are the pixels' mean,
number of finite samples, number of frames with a face, minimum and maximum. A missing sample
counts as the mean of its pixel. Pixels with missing samples are outside of the mask, so the
Gram matrix is exact wherever it is used.

float32 frames of :data:`WIDE` pixels and more are multiplied in float32, and summed in float64
(:mod:`fhemb_xr.kernels.pca.float32_products`). Before that, their mean over the chunk is
subtracted in float64. :data:`BLOCK` frames are multiplied at a time, so no task holds a product
of all pixels. The error of a product is at most ``BLOCK * 2**-24`` times the product of two
pixels' standard deviations; because rounding is random, it is about ``2**-24`` of it.
Measured on 140 000 frames of 64 x 80 pixels (``benchmarks/bench_pca.py``), variances are within
1e-10 of float64's and the subspace of ten components within 1e-8 rad.

References
----------
- Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.
"""

import numpy as np

from fhemb_xr.kernels.pca import fit_layout, pixel_statistics
from fhemb_xr.typing import F32, F64, Floats, Ints

ROWS = 5
MEAN, COUNT, FRAMES, LOW, HIGH = range(-ROWS, 0)
WIDE, BLOCK, SLAB = pixel_statistics.WIDE, 1024, 512
_OF_PIXELS = [
    pixel_statistics.MEAN,
    pixel_statistics.COUNT,
    pixel_statistics.FRAMES,
    pixel_statistics.LOW,
    pixel_statistics.HIGH,
]


def height(p: int) -> int:
    """Rows of a state of p pixels."""
    return p // 2 + 1 + ROWS


def state(x: Floats) -> F64:
    """State of frames as rows: ``(..., t, p) -> (..., p // 2 + 6, p)``."""
    out = np.zeros((*x.shape[:-2], height(x.shape[-1]), x.shape[-1]))
    out[..., LOW, :], out[..., HIGH, :] = np.inf, -np.inf
    _extend(out, x)
    return out


def extended(before: Floats, x: Floats) -> F64:
    """State of the frames of ``before`` and of more frames; ``before`` stays as it is.

    Peak memory: the new state, plus ``4 p (BLOCK + 100)`` bytes for float32 frames of many
    pixels, or ``18 p (BLOCK + SLAB)`` bytes and one byte per sample for all others.
    """
    out = np.array(before, dtype=np.float64)
    _extend(out, x)
    return out


def _extend(states: F64, x: Floats) -> None:
    for where in np.ndindex(x.shape[:-2]):
        _add_frames(states[where], x[where])


def _add_frames(out: F64, x: Floats) -> None:
    pixels = pixel_statistics.pixel_state(x)
    own = pixels[_OF_PIXELS]
    between = _between(out, own)
    if pixel_statistics.single(x, pixels):
        _add_single(out, x, own, between)
    else:
        for start in range(0, len(x), BLOCK):
            d = x[start : start + BLOCK] - own[MEAN]
            d[~np.isfinite(d)] = 0
            _add_products(out, d)
        _add_outer(out, between)
    _add_pixels(out, own)


def _add_single(out: F64, x: Floats, own: F64, between: F64) -> None:
    """Add the products of the pixels that every frame has; others are outside of the mask."""
    from fhemb_xr.kernels.pca import float32_products

    pixels = np.flatnonzero(own[COUNT] == own[FRAMES])
    mean, between = own[MEAN, pixels], between[pixels]
    for start in range(0, len(x), BLOCK):
        part = np.ascontiguousarray(x[start : start + BLOCK])
        float32_products.add_gram(_columns(part, mean, pixels), between, pixels, out)
        between = np.zeros(len(mean))


def _columns(x: Floats, mean: F64, pixels: Ints) -> F32:
    from fhemb_xr.kernels.pca import float32_products

    rows = -(-len(pixels) // 4) * 4
    out = np.zeros((rows, float32_products.row_length(len(x))), np.float32)
    float32_products.columns(x, mean, pixels, out)
    return out


def _add_products(state: F64, d: Floats) -> None:
    """Add the upper triangle of the deviations' Gram matrix, in slabs of its rows."""
    p = d.shape[-1]
    for start in range(0, p, SLAB):
        slab = d[:, start : start + SLAB].T @ d[:, start:]
        for i, products in enumerate(slab):
            _row(state, start + i)[:] += products[i:]


def _row(state: Floats, r: int) -> Floats:
    """Row r of the upper triangle, from the diagonal on; row p - r is stored behind it."""
    p = state.shape[-1]
    return state[r, : p - r] if 2 * r <= p else state[p - r, r:]


def gram(state: Floats) -> F64:
    """The Gram matrix of one state: ``(p // 2 + 6, p) -> (p, p)``."""
    p = state.shape[-1]
    out = np.empty((p, p))
    for r in range(p):
        out[r, r:] = out[r:, r] = _row(state, r)
    return out


def merge(states: Floats) -> F64:
    """Merge k states: ``(..., k, p // 2 + 6, p) -> (..., p // 2 + 6, p)``."""
    out = np.array(states[..., 0, :, :], dtype=np.float64)
    for k in range(1, states.shape[-3]):
        out = merged(out, states[..., k, :, :])
    return out


def merged(a: Floats, b: Floats) -> F64:
    """Merge two states, ``(..., p // 2 + 6, p)`` each, into a third."""
    out = np.array(a, dtype=np.float64)
    for where in np.ndindex(out.shape[:-2]):
        out[where][:-ROWS] += b[where][:-ROWS]
        _add_outer(out[where], _between(out[where], b[where]))
        _add_pixels(out[where], b[where])
    return out


def _between(a: Floats, b: Floats) -> F64:
    """The vector w such that two states' means add ``w w'`` to the Gram matrix."""
    n, m = a[COUNT], b[COUNT]
    # exact where every frame counts, which is all that the mask lets through
    between: F64 = np.sqrt(n * m / np.maximum(n + m, 1)) * (b[MEAN] - a[MEAN])
    return between


def _add_outer(state: F64, w: Floats) -> None:
    if w.any():
        for r in range(len(w)):
            _row(state, r)[:] += w[r] * w[r:]


def _add_pixels(a: F64, b: Floats) -> None:
    """Add the last rows of ``b`` to those of ``a``."""
    total = np.maximum(a[COUNT] + b[COUNT], 1)
    a[MEAN] += (b[MEAN] - a[MEAN]) * b[COUNT] / total
    a[COUNT] += b[COUNT]
    a[FRAMES] += b[FRAMES]
    np.minimum(a[LOW], b[LOW], out=a[LOW])
    np.maximum(a[HIGH], b[HIGH], out=a[HIGH])


def basis(state: Floats, iqr: Floats | None = None, *, k: int, scaler: str) -> F64:
    """Principal components of a state: ``(..., p // 2 + 6, p) -> (..., k + 3, p + 2)``.

    The result is laid out by :class:`fhemb_xr.kernels.pca.fit_layout.FitLayout`. ``iqr`` is
    the divisor of the scaler ``"robust"``.

    Peak memory: three covariance matrices of the mask's pixels, or two if Lanczos' method is
    used (see :data:`WIDE`).
    """
    at = fit_layout.FitLayout(k, state.shape[-1])
    out = np.empty((*state.shape[:-2], *at.shape))
    for where in np.ndindex(state.shape[:-2]):
        own = None if iqr is None else iqr[where]
        out[where] = _components(state[where], k, scaler, own)
    return out


def _components(state: Floats, k: int, scaler: str, iqr: Floats | None) -> F64:
    p, n = state.shape[-1], state[FRAMES, 0]
    at = fit_layout.FitLayout(k, p)
    out = np.full(at.shape, np.nan)
    inside = (state[COUNT] == n) & (n > 0)
    out[at.mask, at.pixels], out[at.mask, at.variance :] = inside, 0
    pixels = np.flatnonzero(inside)
    if not pixels.size or n < 2:
        return out
    scale = _scale(state, n, scaler, iqr)
    out[at.mean, at.pixels] = np.where(inside, state[MEAN], np.nan)
    out[at.scale, at.pixels] = np.where(inside, scale, np.nan)
    matrix = gram(state)
    if pixels.size < p:
        matrix = matrix[np.ix_(pixels, pixels)]
    matrix /= scale[pixels] * (n - 1)
    matrix /= scale[pixels, None]
    total = float(np.trace(matrix))
    rank = min(k, pixels.size, int(n) - 1)
    variances, vectors = _leading(matrix, rank)
    for i in range(rank):
        vector = vectors[:, rank - 1 - i]
        vector *= np.sign(vector[np.argmax(np.abs(vector))]) or 1.0
        out[i, pixels] = vector
        variance = max(float(variances[rank - 1 - i]), 0.0)
        out[i, at.variance] = variance
        out[i, at.share] = variance / total if total > 0 else 0.0
    return out


def _leading(matrix: Floats, rank: int) -> tuple[Floats, Floats]:
    """The largest eigenvalues, ascending, and their vectors, both to rounding.

    A few of many are found by Lanczos' method, in a tenth of LAPACK's time (2 560 pixels).
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import ArpackError, eigsh

    n = len(matrix)
    if n >= WIDE and rank <= n // 20:
        start = np.random.default_rng(0).standard_normal(n)
        try:
            values, vectors = eigsh(
                matrix, rank, which="LA", v0=start, ncv=max(4 * rank, 20), maxiter=100
            )
            order = np.argsort(values)
            return values[order], vectors[:, order]
        except ArpackError:  # it did not converge, or the matrix is zero
            pass
    span = (n - rank, n - 1)
    values, vectors = eigh(matrix, subset_by_index=span, overwrite_a=True, check_finite=False)
    return values, vectors


def _scale(state: Floats, n: float, scaler: str, iqr: Floats | None) -> Floats:
    """What each pixel is divided by; a flat pixel by 1."""
    p = state.shape[-1]
    if scaler == "standard":
        scale = np.sqrt(np.diagonal(gram(state)) / n)
    elif scaler == "minmax":
        scale = state[HIGH] - state[LOW]
    elif scaler == "robust":
        assert iqr is not None
        scale = iqr
    else:
        return np.ones(p)
    return pixel_statistics.uneven(scale, state[MEAN])
