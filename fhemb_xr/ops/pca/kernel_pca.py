"""Kernel principal components: of all frames if they fit, otherwise on landmarks (Nyström).

A fit is laid out by :class:`fhemb_xr.kernels.pca.fit_layout.FitLayout`, with s samples.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from fhemb_xr import budget
from fhemb_xr.kernels.pca import covariance as covariance_kernel
from fhemb_xr.kernels.pca import fit_layout, pixel_statistics
from fhemb_xr.kernels.pca import kernel_pca as kernel
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.pca import covariance, in_memory

KERNELS = ("linear", "rbf", "poly", "sigmoid")


class Scaling(NamedTuple):
    """What a kernel sees of a frame: ``((x - origin) / scale)[mask]``."""

    mask: Any
    origin: Any
    scale: Any


@dataclass(frozen=True)
class Solution:
    """The eigenvectors of a Gram matrix, as a fit needs them."""

    z: Any
    """Scaled samples ``(m, p)``, pixels of the mask."""
    present: Any
    """Which of the s samples these are: the others show no face."""
    dual: Any
    """Weight of each sample's kernel in the scores ``(m, k)``."""
    variances: Any
    total: float
    offset: Any
    """What is added to the scores ``(k,)``."""
    scores: Any
    """Scores of the samples themselves ``(m, k)``."""


def fitted(
    x: Any, n: int, k: int, scaler: str, seed: Any, landmarks: int | None, options: Any
) -> tuple[Any, int]:
    """The fits, and their number of samples; ``x`` has ``n`` sample axes."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    if landmarks is None:
        _check_budget(frames, p, k)
        width = FitLayout(k, p, frames).shape
        return frame_stacks.whole(x, n, _exact, width, k=k, scaler=scaler, **options), frames
    if not k <= landmarks <= frames:
        raise ValueError(
            f"landmarks is a number from {k} (components) to {frames} (frames), "
            f"found {landmarks!r}"
        )
    time = x.ndim - 3
    drawn = np.random.default_rng(seed).permutation(x.shape[time])
    per_series = -(-landmarks // max(frames // x.shape[time], 1))
    marks = x[(*(slice(None),) * time, np.sort(drawn[:per_series]))]
    n_marks = math.prod(marks.shape[-2 - n : -2])
    _check_budget(n_marks, p, k)
    return _nystroem(x, marks, n, k, scaler, n_marks, options), n_marks


def _check_budget(frames: int, p: int, k: int) -> None:
    fit = math.prod(FitLayout(k, p, frames).shape)
    budget.check(
        8 * (3 * frames**2 + 4 * frames * p + fit),
        f"the Gram matrix of {frames} × {frames} frames",
        "take landmarks=500 of them (Nyström's approximation), or fewer frames",
    )


def _exact(x: Any, k: int, scaler: str, **options: Any) -> Any:
    z, face, *scaling = in_memory.scaled_stack(x, scaler)
    scaled = Scaling(*scaling)
    if len(z) < 2 or not scaled.mask.any():
        return _assembled(x.shape, k, scaled, None)
    gram = kernel.gram(z, z, **_of_kernel(options, z))
    dual, values, total = kernel.kernel_components(gram, k)
    offset, freedom = -gram.mean(axis=0) @ dual, len(z) - 1
    solution = Solution(
        z, face, dual, values / freedom, total / freedom, offset, gram @ dual + offset
    )
    return _assembled(x.shape, k, scaled, solution)


def _of_kernel(options: Any, z: Any) -> Any:
    gamma = options["gamma"]
    return {**options, "gamma": 1 / z.shape[1] if gamma is None else gamma}


def _assembled(shape: Any, k: int, scaling: Scaling, found: Solution | None) -> Any:
    """The fit; its components are the pixels' regression on the scores."""
    (s, p), (seen, origin, scale) = shape, scaling
    at = FitLayout(k, p, s)
    out = np.full(at.shape, np.nan)
    out[at.mask, at.pixels] = seen
    out[at.components, at.dual] = 0
    if found is None:
        return out
    mean = np.full(p, np.nan)
    mean[seen] = origin[seen] + scale[seen] * found.z.mean(axis=0)
    loadings = _regression(found, seen, k)
    plain = fit_layout.layout(loadings, found.variances, found.total, seen, mean, scale)
    out[: plain.shape[0], : plain.shape[1]] = plain
    # the sign that makes the largest loading positive belongs to the scores too
    sign = fit_layout.signs(loadings)
    out[at.components, at.offset] = found.offset * sign
    out[at.components, at.dual][:, found.present] = (found.dual * sign).T
    out[at.origin, at.pixels] = origin
    samples = np.full((s, p), np.nan)
    samples[np.ix_(found.present, seen)] = found.z
    out[at.samples, at.pixels] = samples
    return out


def _regression(found: Solution, seen: Any, k: int) -> Any:
    """Loadings ``(k, p)`` of the pixels' regression on the scores."""
    centred = np.nan_to_num(found.scores - found.scores.mean(axis=0))
    square = (centred**2).sum(axis=0)
    varies = square > 0
    loadings = np.full((k, seen.size), np.nan)
    loadings[np.ix_(varies, seen)] = (centred[:, varies] / square[varies]).T @ found.z
    return loadings


def _nystroem(x: Any, frames: Any, n: int, k: int, scaler: str, size: int, options: Any) -> Any:
    """Two passes: each pixel's scale, then the covariance of kernels with the landmarks."""
    p = math.prod(x.shape[-2:])
    pixels = covariance.pixels_of(x, n)
    quartiles = covariance.quartiles_of(x, n) if scaler == "robust" else None
    marks = frame_stacks.whole(frames, n, _rows_of, (size, p))
    how = {"scaler": scaler, "options": options}
    if not isinstance(x, da.Array):
        columns = _columns(x, pixels, marks, quartiles, n=n, **how)
        state = covariance.covariance_state(columns, n)
        return _on_landmarks(state, pixels, marks, quartiles, k=k, **how)
    axes, lead = tuple(range(x.ndim)), tuple(range(x.ndim - n - 2))
    columns = da.blockwise(
        _columns, (*axes[:-2], 100, 101), again(x, pixels), axes,
        pixels, (*lead, 102, 103), marks, (*lead, 104, 105),
        quartiles, None if quartiles is None else (*lead, 106, 107),
        n=n, **how, new_axes={100: 1, 101: size}, concatenate=True,
        dtype=np.float64, meta=np.empty((0,) * x.ndim),
    )  # fmt: skip
    state = covariance.covariance_of(columns, n)
    width = FitLayout(k, p, size).shape
    return frame_stacks.rows(_on_landmarks, width, state, pixels, marks, quartiles, k=k, **how)


def _rows_of(stack: Any) -> Any:
    return stack


def _scaling(pixels: Any, quartiles: Any, scaler: str) -> Scaling:
    """The scaling of one stack."""
    iqr = None if quartiles is None else quartiles[2] - quartiles[0]
    median = None if quartiles is None else quartiles[1]
    origin = in_memory.origin(pixels, median, scaler)
    scale = pixel_statistics.spread(pixels, scaler, iqr)
    return Scaling(pixel_statistics.inside(pixels), origin, scale)


def _columns(
    x: Any, pixels: Any, marks: Any, quartiles: Any, n: int, scaler: str, options: Any
) -> Any:
    """Kernels of frames with landmarks: ``(..., *samples, 1, s)``; 0 for an empty landmark."""
    flat = x.reshape(*x.shape[: x.ndim - n - 2], -1, pixels.shape[-1])
    out = np.full((*flat.shape[:-1], marks.shape[-2]), np.nan)
    for where in np.ndindex(flat.shape[:-2]):
        own = None if quartiles is None else quartiles[where]
        seen, origin, scale = _scaling(pixels[where], own, scaler)
        face, present = (np.isfinite(a[where]).any(axis=-1) for a in (flat, marks))
        z, z_marks = (
            ((a[where][rows] - origin) / scale)[:, seen].astype(np.float64)
            for a, rows in ((flat, face), (marks, present))
        )
        columns = np.zeros((len(z), marks.shape[-2]))
        if seen.any():
            columns[:, present] = kernel.gram(z, z_marks, **_of_kernel(options, z))
        out[where][face] = columns
    return out.reshape(*x.shape[:-2], 1, marks.shape[-2])


def _on_landmarks(
    state: Any, pixels: Any, marks: Any, quartiles: Any = None, *, k: int, scaler: str,
    options: Any,
) -> Any:  # fmt: skip
    s, p = marks.shape[-2:]
    out = np.empty((*state.shape[:-2], *FitLayout(k, p, s).shape))
    for where in np.ndindex(state.shape[:-2]):
        own = None if quartiles is None else quartiles[where]
        scaling = _scaling(pixels[where], own, scaler)
        out[where] = _landmark_fit(state[where], marks[where], k, scaling, options)
    return out


def _landmark_fit(state: Any, marks: Any, k: int, scaling: Scaling, options: Any) -> Any:
    """Principal components in the span of the landmarks' kernels."""
    present, (seen, origin, scale) = np.isfinite(marks).any(axis=-1), scaling
    if not present.any() or not seen.any():
        return _assembled(marks.shape, k, scaling, None)
    z = ((marks[present] - origin) / scale)[:, seen].astype(np.float64)
    gram = kernel.gram(z, z, **_of_kernel(options, z))
    values, vectors = np.linalg.eigh(gram)
    sound = values > 1e-12 * values[-1]
    root = vectors[:, sound] / np.sqrt(values[sound])
    frames = state[covariance_kernel.FRAMES, 0]
    between = covariance_kernel.gram(state)[np.ix_(present, present)]
    spread = root.T @ between @ root / max(frames - 1, 1)
    eigenvalues, turn = np.linalg.eigh((spread + spread.T) / 2)
    rank = min(k, len(eigenvalues))
    dual, variances = np.zeros((len(z), k)), np.full(k, np.nan)
    dual[:, :rank] = root @ turn[:, ::-1][:, :rank]
    variances[:rank] = np.maximum(eigenvalues[::-1][:rank], 0)
    offset, total = -state[covariance_kernel.MEAN][present] @ dual, float(np.trace(spread))
    solution = Solution(z, present, dual, variances, total, offset, gram @ dual + offset)
    return _assembled(marks.shape, k, scaling, solution)


def scores(
    x: Any, mean: Any, origin: Any, scale: Any, samples: Any, dual: Any, offset: Any, *,
    options: Any, impute: bool = False,
) -> Any:  # fmt: skip
    """``(..., y, x) -> (..., k)`` for one basis, whose leading axes broadcast."""
    lead = np.broadcast_shapes(x.shape[:-2], origin.shape[:-2])
    k = dual.shape[-2]
    out = np.full((*lead, k), np.nan)
    x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    short = len(lead) + 2 - origin.ndim
    for where in np.ndindex(origin.shape[:-2]):
        own = (slice(None) if n == 1 else i for i, n in zip(where, origin.shape, strict=False))
        at = (*(slice(None),) * short, *own)
        seen = np.isfinite(origin[where])
        if not seen.any():
            continue
        present = np.isfinite(samples[where][:, seen]).all(axis=-1)
        frames = x[at]
        z = ((frames[..., seen] - origin[where][seen]) / scale[where][seen]).reshape(
            -1, int(seen.sum())
        )
        if impute:
            gap = np.nan_to_num((mean[where] - origin[where])[seen] / scale[where][seen])
            z = np.where(np.isfinite(z) | ~np.isfinite(z).any(axis=-1, keepdims=True), z, gap)
        gram = kernel.gram(
            z.astype(np.float64), samples[where][present][:, seen], **_of_kernel(options, z)
        )
        scored = gram @ dual[where][:, present].T + offset[where]
        out[at] = scored.reshape(*frames.shape[:-2], k)
    return out
