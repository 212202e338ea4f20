"""Covariance of pixels that merges exactly across chunks, and its eigenvectors.

A *state* is ``(p + 5, p)``: the centred Gram matrix of the p pixels, then rows with their
mean, their number of finite samples, the number of frames with a face, minimum and maximum.
A missing sample counts as the mean of its pixel; pixels with any are outside the mask, so the
Gram matrix is exact wherever it is used.

References
----------
Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
ROWS = 5
MEAN, COUNT, FRAMES, LOW, HIGH = range(-ROWS, 0)


def state(x: Floats) -> NDArray[np.float64]:
    """State of frames as rows: ``(..., t, p) -> (..., p + 5, p)``.

    Peak memory: 25 bytes per sample and 8 bytes per element of the state.
    """
    p = x.shape[-1]
    out = np.empty((*x.shape[:-2], p + ROWS, p))
    for where in np.ndindex(x.shape[:-2]):
        out[where] = _one(x[where])
    return out


def _one(x: Floats) -> NDArray[np.float64]:
    p = x.shape[-1]
    out = np.empty((p + ROWS, p))
    finite = np.isfinite(x)
    seen = finite.any(axis=-1)
    x, finite = x[seen], finite[seen]  # a frame without a face is no sample of any pixel
    n = finite.sum(axis=0)
    mean = x.sum(axis=0, where=finite, dtype=np.float64) / np.maximum(n, 1)
    d = np.zeros(x.shape)
    np.subtract(x, mean, out=d, where=finite)
    np.matmul(d.T, d, out=out[:p])
    out[MEAN], out[COUNT], out[FRAMES] = mean, n, len(x)
    out[LOW] = x.min(axis=0, where=finite, initial=np.inf)
    out[HIGH] = x.max(axis=0, where=finite, initial=-np.inf)
    return out


def merge(states: Floats) -> NDArray[np.float64]:
    """Merge k states: ``(..., k, p + 5, p) -> (..., p + 5, p)``.

    Peak memory: two states beside those given.
    """
    out = np.array(states[..., 0, :, :], dtype=np.float64)
    p = out.shape[-1]
    for k in range(1, states.shape[-3]):
        b = states[..., k, :, :]
        n, m = out[..., COUNT, :], b[..., COUNT, :]
        total = np.maximum(n + m, 1)
        d = b[..., MEAN, :] - out[..., MEAN, :]
        # exact where every frame counts, which is all that the mask lets through
        w = np.sqrt(n * m / total) * d
        out[..., :p, :] += b[..., :p, :]
        out[..., :p, :] += w[..., :, None] * w[..., None, :]
        out[..., MEAN, :] += d * m / total
        out[..., COUNT, :] += m
        out[..., FRAMES, :] += b[..., FRAMES, :]
        out[..., LOW, :] = np.minimum(out[..., LOW, :], b[..., LOW, :])
        out[..., HIGH, :] = np.maximum(out[..., HIGH, :], b[..., HIGH, :])
    return out


def basis(
    state: Floats, iqr: Floats | None = None, *, k: int, scaler: str
) -> NDArray[np.float64]:
    """Principal components of a state: ``(..., p + 5, p) -> (..., k + 3, p + 2)``.

    ``iqr`` is what the scaler ``"robust"`` divides by. Rows: k
    components, mean, scale, mask; the last two columns of a component's row are its
    variance (ddof = 1) and its share of the total. NaN outside the mask, and for components
    beyond the rank.

    Peak memory: three covariance matrices of the mask's pixels.
    """
    p = state.shape[-1]
    out = np.full((*state.shape[:-2], k + 3, p + 2), np.nan)
    for where in np.ndindex(state.shape[:-2]):
        own = None if iqr is None else iqr[where]
        out[where] = _components(state[where], k, scaler, own)
    return out


def _components(state: Floats, k: int, scaler: str, iqr: Floats | None) -> NDArray[np.float64]:
    from scipy.linalg import eigh

    p = state.shape[-1]
    out = np.full((k + 3, p + 2), np.nan)
    n = state[FRAMES, 0]
    inside = (state[COUNT] == n) & (n > 0)
    out[-1, :p] = inside
    out[-1, p:] = 0
    pixels = np.flatnonzero(inside)
    if not pixels.size or n < 2:
        return out
    scale = _scale(state, n, scaler, iqr)
    out[k, :p] = np.where(inside, state[MEAN], np.nan)
    out[k + 1, :p] = np.where(inside, scale, np.nan)
    gram = state[np.ix_(pixels, pixels)]
    gram /= np.outer(scale[pixels], scale[pixels]) * (n - 1)
    total = float(np.trace(gram))
    rank = min(k, pixels.size, int(n) - 1)
    span = (pixels.size - rank, pixels.size - 1)
    variances, vectors = eigh(gram, subset_by_index=span, overwrite_a=True, check_finite=False)
    for i in range(rank):
        vector = vectors[:, rank - 1 - i]
        vector *= np.sign(vector[np.argmax(np.abs(vector))]) or 1.0
        out[i, pixels] = vector
        variance = max(float(variances[rank - 1 - i]), 0.0)
        out[i, p] = variance
        out[i, p + 1] = variance / total if total > 0 else 0.0
    return out


def _scale(state: Floats, n: float, scaler: str, iqr: Floats | None) -> Floats:
    """What each pixel is divided by; a flat pixel by 1."""
    p = state.shape[-1]
    if scaler == "standard":
        scale = np.sqrt(np.einsum("ii->i", state[:p]) / n)
    elif scaler == "minmax":
        scale = state[HIGH] - state[LOW]
    elif scaler == "robust":
        assert iqr is not None
        scale = iqr
    else:
        return np.ones(p)
    return np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
