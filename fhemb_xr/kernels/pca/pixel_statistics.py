"""Statistics of each pixel over frames: a state that merges, the mask, and the scale.

A state is ``(6, p)``; its rows are named below.
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Bools, Floats

ROWS = 6
COUNT, FRAMES, MEAN, M2, LOW, HIGH = range(ROWS)
WIDE, RUN = 512, 64
"""Least number of pixels for the compiled loop over float32 frames; number of frames whose
deviations are held at a time, in the cache."""
LARGE = 1e15
"""Range of a pixel up to which sums of products of deviations cannot overflow float32."""


def pixel_state(x: Floats) -> F64:
    """Count, frames, mean, M2, minimum, maximum of each pixel: ``(..., t, p) -> (..., 6, p)``.

    Frames without any finite pixel do not count. Peak memory: one byte per sample of a stack,
    plus ``17 p RUN`` bytes.
    """
    out = np.empty((*x.shape[:-2], ROWS, x.shape[-1]))
    for where in np.ndindex(x.shape[:-2]):
        out[where] = _pixel_state(x[where])
    return out


def single(x: Floats, pixels: Floats) -> bool:
    """Whether frames ``(t, p)`` with this state can be multiplied in float32."""
    if x.dtype != np.float32 or x.shape[-1] < WIDE:
        return False
    seen = pixels[COUNT] > 0
    return bool((pixels[HIGH] - pixels[LOW])[seen].max(initial=0) < LARGE)


def _pixel_state(x: Floats) -> F64:
    if x.dtype == np.float32 and x.shape[-1] >= WIDE:
        return _swept(x)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    finite = np.isfinite(x)
    where = True if finite.all() else finite
    n = finite.sum(axis=0)
    mean = x.sum(axis=0, where=where, dtype=np.float64) / np.maximum(n, 1)
    m2 = np.zeros(x.shape[-1])
    for first in range(0, len(x), RUN):
        part = slice(first, first + RUN)
        d = x[part] - mean
        if where is not True:
            d[~finite[part]] = 0
        m2 += np.einsum("tp,tp->p", d, d)
    frames = np.full(n.shape, finite.any(axis=-1).sum())
    low = x.min(axis=0, where=where, initial=np.inf)
    high = x.max(axis=0, where=where, initial=-np.inf)
    return np.stack([n, frames, mean, m2, low, high]).astype(np.float64)


def _swept(x: Floats) -> F64:
    """The same in one sweep over the frames.

    Sums of squares in one sweep lose digits unless they are taken about a value near the mean.
    The largest value of about eight frames is near enough, and costs almost nothing.
    """
    from fhemb_xr.kernels.pca import float32_products

    p = x.shape[-1]
    n, sums = np.zeros(p, np.int32), np.zeros((2, p))
    extremes, faces = np.empty((2, p), np.float32), np.zeros(len(x), np.bool_)
    extremes[0], extremes[1] = np.inf, -np.inf
    some = np.fmax.reduce(x[:: max(len(x) // 8, 1)], axis=0, initial=-np.inf)
    shift = np.nan_to_num(some, posinf=0.0, neginf=0.0)
    float32_products.pixel_sums(np.ascontiguousarray(x), shift, n, sums, extremes, faces)
    mean = sums[0] / np.maximum(n, 1)
    m2 = np.maximum(sums[1] - sums[0] * mean, 0.0)
    frames = np.full(p, float(faces.sum()))
    return np.stack([n, frames, np.where(n > 0, shift + mean, 0.0), m2, *extremes])


def merge_pixels(states: Floats) -> F64:
    """``(..., k, 6, p) -> (..., 6, p)``."""
    n, frames, mean, m2, low, high = np.moveaxis(states, -2, 0)
    total = n.sum(axis=-2)
    centre = (n * mean).sum(axis=-2) / np.maximum(total, 1)
    m2 = (m2 + n * (mean - centre[..., None, :]) ** 2).sum(axis=-2)
    rest = (frames.sum(axis=-2), centre, m2, low.min(axis=-2), high.max(axis=-2))
    return np.stack([total, *rest], axis=-2)


def inside(pixels: Floats) -> Bools:
    """Pixels seen in every frame with a face: ``(..., 6, p) -> (..., p)``."""
    seen = pixels[..., FRAMES, :]
    return np.asarray((pixels[..., COUNT, :] == seen) & (seen > 0))


def spread(pixels: Floats, scaler: str, iqr: Floats | None = None) -> F64:
    """Divisor of each pixel, 1 where the pixel is flat: ``(..., 6, p) -> (..., p)``."""
    if scaler == "standard":
        scale = np.sqrt(pixels[..., M2, :] / np.maximum(pixels[..., COUNT, :], 1))
    elif scaler == "minmax":
        scale = pixels[..., HIGH, :] - pixels[..., LOW, :]
    elif scaler == "robust":
        assert iqr is not None
        scale = iqr
    else:
        return np.ones_like(pixels[..., MEAN, :])
    return uneven(scale, pixels[..., MEAN, :])


def uneven(scale: Floats, mean: Floats) -> F64:
    """The scale, or 1 where it is no more than the rounding error of the pixel's mean."""
    least = 16 * np.finfo(np.float64).eps * np.abs(mean)
    return np.where(np.isfinite(scale) & (scale > least), scale, 1.0)


def total(pixels: Floats, seen: Any, scale: Any) -> float:
    """Sum of the variances of the mask's pixels (ddof = 1)."""
    frames = max(float(pixels[FRAMES, 0]) - 1, 1)
    return float((pixels[M2] / scale**2)[seen].sum() / frames)


def quartiles(x: Floats) -> F64:
    """Lower quartile, median, upper quartile: ``(..., t, p) -> (..., 3, p)``; gaps left out.

    Peak memory: 16 bytes per sample of one stack.
    """
    import warnings

    out = np.empty((*x.shape[:-2], 3, x.shape[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pixel that is never seen is NaN
        for where in np.ndindex(x.shape[:-2]):
            one = np.where(np.isfinite(x[where]), x[where], np.nan).astype(np.float64)
            out[where] = np.nanquantile(one, (0.25, 0.5, 0.75), axis=0)
    return out


def standardised(x: Floats, pixels: Floats, iqr: Any, scaler: str) -> F64:
    """Centred and scaled; 0 outside the mask and for faceless frames: ``-> (..., t, p)``."""
    centre, scale = pixels[..., MEAN, :], spread(pixels, scaler, iqr)
    d = (x - centre[..., None, :]) / scale[..., None, :]
    out: F64 = np.where(inside(pixels)[..., None, :] & np.isfinite(d), d, 0.0)
    return out


def filled(x: Floats, pixels: Floats) -> Floats:
    """Gaps of frames with a face, filled with the pixel's mean: ``(..., t, p) -> same``."""
    finite = np.isfinite(x)
    ever = pixels[..., COUNT, :] > 0
    gap = ~finite & finite.any(axis=-1, keepdims=True) & ever[..., None, :]
    return np.where(gap, pixels[..., None, MEAN, :], x).astype(x.dtype)
