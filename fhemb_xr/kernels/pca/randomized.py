"""Principal components from few products of frames with vectors, without the covariance.

G is the centred Gram matrix of the scaled pixels. It is never formed; three passes over the
frames multiply it with few vectors (rows, here)::

    pass 1   G R   random vectors R, in the same pass as the pixels' means
    pass 2   G A   A: orthonormal basis of G R
    pass 3   G B   B: orthonormal basis of what G A adds to A

With ``Q = [A, B]`` (a block Krylov space) and ``Y = G Q``, the components are those of
``Y (Q'Y)^-1 Y'`` (Nyström). This is nearer to G than ``Q Q'Y Q'``: three passes are more exact
than five passes of subspace iteration.

float32 frames of :data:`WIDE` pixels and more are multiplied in float32 after their mean was
subtracted in float64, and summed in float64 (:mod:`fhemb_xr.kernels.pca.float32_products`).
The error of a product is at most ``2**-24 * (p + 1024) * sd(pixel) * sqrt(total variance)``;
because rounding is random, it is about ``2**-24 * sd(pixel) * sqrt(total variance)``.

References
----------
- Musco & Musco (2015), Adv. Neural Inf. Process. Syst. 28, 1396-1404,
  doi:10.48550/arXiv.1504.05477.
- Tropp, Yurtsever, Udell & Cevher (2017), Adv. Neural Inf. Process. Syst. 30, 1225-1234,
  doi:10.48550/arXiv.1706.05736.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels.pca import fit_layout, pixel_statistics
from fhemb_xr.typing import F64, Floats

WIDE, RUN = pixel_statistics.WIDE, 256


def start(seed: int, width: int, p: int) -> F64:
    """Random vectors, the same in every task that asks: ``-> (l, p)``."""
    return np.random.default_rng(seed).standard_normal((width, p))


def sketch(x: Floats, vectors: Floats) -> F64:
    """State of the pixels, and the products: ``(..., t, p), (l, p) -> (..., 6 + l, p)``.

    The products are of the frames of one chunk about their own mean, and of the pixels that
    all of these frames have. Peak memory: that of :func:`product` or of
    :func:`fhemb_xr.kernels.pca.pixel_statistics.pixel_state`, whichever is larger.
    """
    out = np.empty((*x.shape[:-2], pixel_statistics.ROWS + len(vectors), x.shape[-1]))
    for where in np.ndindex(x.shape[:-2]):
        pixels = pixel_statistics.pixel_state(x[where])
        out[where][: pixel_statistics.ROWS] = pixels
        out[where][pixel_statistics.ROWS :] = product(x[where], pixels, vectors)
    return out


def merged(states: Floats, vectors: Floats) -> F64:
    """Merge states: ``(..., k, 6 + l, p), (l, p) -> (..., 6 + l, p)``; exact without gaps.

    A pixel that has a gap in one chunk leaves the mask, but the products of the other chunks
    have used it. This is allowed: the merged products are a starting point, not a result.
    """
    pixels = states[..., : pixel_statistics.ROWS, :]
    both = pixel_statistics.merge_pixels(pixels)
    seen = pixel_statistics.inside(both)
    n = pixels[..., pixel_statistics.FRAMES, :1]
    d = pixels[..., pixel_statistics.MEAN, :] - both[..., None, pixel_statistics.MEAN, :]
    d = np.where(seen[..., None, :] & (n > 0), d, 0.0)
    between = np.swapaxes(n * (d @ vectors.T), -1, -2) @ d
    products = states[..., pixel_statistics.ROWS :, :].sum(axis=-3) + between
    products = np.where(seen[..., None, :], products, 0.0)
    return np.concatenate([both, products], axis=-2)


def product(x: Floats, pixels: Floats, vectors: Floats) -> F64:
    """Centred frames, summed by their products with vectors: ``(t, p), (l, p) -> (l, p)``.

    Pixels outside of the mask give 0; frames without a face are left out. Peak memory:
    ``4 p (4 l + 40)`` bytes in float32, ``25 p RUN`` bytes in float64.
    """
    mean, inside = pixels[pixel_statistics.MEAN], pixel_statistics.inside(pixels)
    if pixel_statistics.single(x, pixels):
        return _single(x, mean, inside, vectors)
    out = np.zeros(vectors.shape)
    for first in range(0, len(x), RUN):
        d = x[first : first + RUN] - mean
        d = np.where(inside & np.isfinite(d), d, 0.0)
        out += (vectors @ d.T) @ d
    return out


def _single(x: Floats, mean: Floats, inside: Any, vectors: Floats) -> F64:
    from fhemb_xr.kernels.pca import float32_products

    count, p = vectors.shape
    rows = np.zeros((-(-count // 4) * 4, float32_products.row_length(p)), np.float32)
    rows[:count, :p] = vectors
    out = np.zeros((len(rows), p))
    float32_products.add_products(
        np.ascontiguousarray(x), np.ascontiguousarray(mean), np.asarray(inside), rows, out
    )
    return out[:count]


def scaled_product(
    x: Floats, pixels: Floats, vectors: Floats, iqr: Any = None, *, scaler: str
) -> F64:
    """Gram matrix of scaled pixels, times vectors: ``(..., t, p) -> (..., l, p)``."""
    out = np.empty((*x.shape[:-2], *vectors.shape[-2:]))
    for where in np.ndindex(x.shape[:-2]):
        own, scale = pixels[where], _scale(pixels[where], iqr, where, scaler)
        out[where] = product(x[where], own, vectors[where] / scale) / scale
    return out


def _scale(pixels: Floats, iqr: Any, where: Any, scaler: str) -> F64:
    return pixel_statistics.spread(pixels, scaler, None if iqr is None else iqr[where])


def first(sketch: Floats, iqr: Any = None, *, scaler: str) -> F64:
    """Orthonormal vectors from a sketch: ``(..., 6 + l, p) -> (..., l, p)``."""
    pixels = sketch[..., : pixel_statistics.ROWS, :]
    out = np.empty(sketch[..., pixel_statistics.ROWS :, :].shape)
    for where in np.ndindex(sketch.shape[:-2]):
        scale = _scale(pixels[where], iqr, where, scaler)
        out[where] = _orthonormal(sketch[where][pixel_statistics.ROWS :] / scale)
    return out


def more(vectors: Floats, products: Floats, *, count: int) -> F64:
    """Orthonormal vectors that the products add: ``2 (..., l, p) -> (..., count, p)``."""
    both = np.concatenate([vectors, products[..., :count, :]], axis=-2)
    return _orthonormal(both)[..., vectors.shape[-2] :, :]


def _orthonormal(rows: Floats) -> F64:
    """Orthonormal rows of the same span; of a larger span if the rows depend on each other."""
    return np.swapaxes(np.linalg.qr(np.swapaxes(rows, -1, -2))[0], -1, -2)


def basis(
    pixels: Floats, vectors: Floats, products: Floats, iqr: Any = None, *,
    k: int, scaler: str, single: bool,
) -> F64:  # fmt: skip
    """The fit: ``(..., 6, p), 2 (..., l, p) -> (..., k + 3, p + 2)``."""
    at = fit_layout.FitLayout(k, pixels.shape[-1])
    out = np.empty((*pixels.shape[:-2], *at.shape))
    for where in np.ndindex(pixels.shape[:-2]):
        own, seen = pixels[where], pixel_statistics.inside(pixels[where])
        scale = _scale(own, iqr, where, scaler)
        values, components = _nystroem(vectors[where], products[where], k, single)
        variances = values / max(own[pixel_statistics.FRAMES, 0] - 1, 1)
        rank = max(min(int(seen.sum()), int(own[pixel_statistics.FRAMES, 0]) - 1), 0)
        components[rank:], variances[rank:] = np.nan, np.nan
        out[where] = fit_layout.layout(
            components, variances, pixel_statistics.total(own, seen, scale), seen,
            own[pixel_statistics.MEAN], scale,
        )  # fmt: skip
    return out


def _nystroem(vectors: Floats, products: Floats, k: int, single: bool) -> tuple[Floats, F64]:
    """Leading eigenvalues, descending, and eigenvectors of a matrix known on some vectors."""
    small = vectors @ products.T
    found, turn = np.linalg.eigh((small + small.T) / 2)
    found = np.maximum(found, 0)
    # eigenvalues below rounding are not divided by; there the matrix is taken as Q Q'Y Q'
    noise = np.finfo(np.float32 if single else np.float64).eps * len(found) * found[-1]
    sure = found > noise
    half = (turn * np.sqrt(found)).T @ vectors
    half[sure] = (turn[:, sure] / np.sqrt(found[sure])).T @ products
    left, values, _ = np.linalg.svd(half.T, full_matrices=False)
    return values[:k] ** 2, np.array(left[:, :k].T)
