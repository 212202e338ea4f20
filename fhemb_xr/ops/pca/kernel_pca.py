"""Kernel principal components: of all frames where they fit, else on landmarks (Nyström).

A fit is ``(k + 4 + s, p + 3 + s)`` for s samples: rows of components, mean, scale, mask,
origin, samples; a component's row ends with its variance, its share, the offset of its scores
and its dual vector.
"""

import math
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr import budget
from fhemb_xr.kernels.pca import covariance as covariance_kernel
from fhemb_xr.kernels.pca import fit_layout, pixel_statistics
from fhemb_xr.kernels.pca import kernel_pca as kernel
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.pca import covariance, in_memory

KERNELS = ("linear", "rbf", "poly", "sigmoid")


def fitted(
    x: Any, n: int, k: int, scaler: str, seed: Any, landmarks: int | None, options: Any
) -> tuple[Any, int]:
    """The fits and their number of samples; ``n`` sample axes."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    if landmarks is None:
        _check_budget(frames, p, k)
        width = (k + 4 + frames, p + 3 + frames)
        return frame_stacks.whole(x, n, _exact, width, k=k, scaler=scaler, **options), frames
    if not k <= landmarks <= frames:
        raise ValueError(
            f"there are from {k} (components) to {frames} (frames) landmarks, "
            f"asked for {landmarks}"
        )
    time = x.ndim - 3
    chosen = np.random.default_rng(seed).permutation(x.shape[time])
    each = -(-landmarks // max(frames // x.shape[time], 1))
    some = x[(*(slice(None),) * time, np.sort(chosen[:each]))]
    size = math.prod(some.shape[-2 - n : -2])
    _check_budget(size, p, k)
    return _nystroem(x, some, n, k, scaler, size, options), size


def _check_budget(frames: int, p: int, k: int) -> None:
    budget.check(
        8 * (3 * frames**2 + 4 * frames * p + (frames + k + 4) * (frames + p + 3)),
        f"the Gram matrix of {frames} × {frames} frames",
        "take landmarks=500 of them (Nyström's approximation), or fewer frames",
    )


def _exact(x: Any, k: int, scaler: str, **options: Any) -> Any:
    z, who, seen, origin, scale = in_memory.scaled_stack(x, scaler)
    if len(z) < 2 or not seen.any():
        return _assembled(x.shape, k, seen, origin, scale)
    gram = kernel.gram(z, z, **_of_kernel(options, z))
    dual, values, total = kernel.kernel_components(gram, k)
    offset = -gram.mean(axis=0) @ dual
    return _assembled(
        x.shape, k, seen, origin, scale, z, who, dual, values / (len(z) - 1),
        total / (len(z) - 1), offset, gram @ dual + offset,
    )  # fmt: skip


def _of_kernel(options: Any, z: Any) -> Any:
    gamma = options["gamma"]
    return {**options, "gamma": 1 / z.shape[1] if gamma is None else gamma}


def _assembled(
    shape: Any, k: int, seen: Any, origin: Any, scale: Any, z: Any = None, who: Any = None,
    dual: Any = None, variances: Any = None, total: float = 0.0, offset: Any = None,
    scores: Any = None,
) -> Any:  # fmt: skip
    """The fit; its components are the pixels' regression on the scores."""
    s, p = shape
    out = np.full((k + 4 + s, p + 3 + s), np.nan)
    out[k + 2, :p] = seen
    out[:k, p + 3 :] = 0
    if z is None:
        return out
    moving = np.nan_to_num(scores - scores.mean(axis=0))
    square = (moving**2).sum(axis=0)
    loadings = np.full((k, p), np.nan)
    some = square > 0
    loadings[np.ix_(some, seen)] = (moving[:, some] / square[some]).T @ z
    mean = np.full(p, np.nan)
    mean[seen] = origin[seen] + scale[seen] * z.mean(axis=0)
    # the sign that makes the largest loading positive belongs to the scores, too
    sign = fit_layout.signs(loadings)
    out[: k + 3, : p + 2] = fit_layout.layout(loadings, variances, total, seen, mean, scale)
    out[:k, p + 2] = offset * sign
    out[:k, p + 3 :][:, who] = (dual * sign).T
    out[k + 3, :p] = origin
    rows = np.full((s, p), np.nan)
    rows[np.ix_(who, seen)] = z
    out[k + 4 :, :p] = rows
    return out


def _nystroem(x: Any, some: Any, n: int, k: int, scaler: str, size: int, options: Any) -> Any:
    """Two passes: each pixel's scale, then the covariance of kernels with the landmarks."""
    p = math.prod(x.shape[-2:])
    pixels = covariance.pixels_of(x, n)
    quartiles = covariance.quartiles_of(x, n) if scaler == "robust" else None
    marks = frame_stacks.whole(some, n, _rows_of, (size, p))
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
    width = (k + 4 + size, p + 3 + size)
    return frame_stacks.rows(_on_landmarks, width, state, pixels, marks, quartiles, k=k, **how)


def _rows_of(stack: Any) -> Any:
    return stack


def _scaling(pixels: Any, quartiles: Any, scaler: str) -> tuple[Any, Any, Any]:
    """Mask, origin and scale of one stack."""
    iqr = None if quartiles is None else quartiles[2] - quartiles[0]
    median = None if quartiles is None else quartiles[1]
    origin = in_memory.origin(pixels, median, scaler)
    return pixel_statistics.inside(pixels), origin, pixel_statistics.spread(pixels, scaler, iqr)


def _columns(
    x: Any, pixels: Any, marks: Any, quartiles: Any, n: int, scaler: str, options: Any
) -> Any:
    """Kernels of frames with landmarks: ``(..., *samples, 1, s)``; 0 with an empty one."""
    flat = x.reshape(*x.shape[: x.ndim - n - 2], -1, pixels.shape[-1])
    out = np.full((*flat.shape[:-1], marks.shape[-2]), np.nan)
    for where in np.ndindex(flat.shape[:-2]):
        own = None if quartiles is None else quartiles[where]
        seen, origin, scale = _scaling(pixels[where], own, scaler)
        who, there = (np.isfinite(a[where]).any(axis=-1) for a in (flat, marks))
        z, m = (
            ((a[where][rows] - origin) / scale)[:, seen].astype(np.float64)
            for a, rows in ((flat, who), (marks, there))
        )
        found = np.zeros((len(z), marks.shape[-2]))
        if seen.any():
            found[:, there] = kernel.gram(z, m, **_of_kernel(options, z))
        out[where][who] = found
    return out.reshape(*x.shape[:-2], 1, marks.shape[-2])


def _on_landmarks(
    state: Any, pixels: Any, marks: Any, quartiles: Any = None, *, k: int, scaler: str,
    options: Any,
) -> Any:  # fmt: skip
    s, p = marks.shape[-2:]
    out = np.empty((*state.shape[:-2], k + 4 + s, p + 3 + s))
    for where in np.ndindex(state.shape[:-2]):
        own = None if quartiles is None else quartiles[where]
        seen, origin, scale = _scaling(pixels[where], own, scaler)
        there = np.isfinite(marks[where]).any(axis=-1)
        out[where] = _landmark_fit(
            state[where], marks[where], there, k, seen, origin, scale, options
        )
    return out


def _landmark_fit(
    state: Any, marks: Any, there: Any, k: int, seen: Any, origin: Any, scale: Any, options: Any
) -> Any:
    """Principal components in the span of the landmarks' kernels."""
    if not there.any() or not seen.any():
        return _assembled(marks.shape, k, seen, origin, scale)
    z = ((marks[there] - origin) / scale)[:, seen].astype(np.float64)
    gram = kernel.gram(z, z, **_of_kernel(options, z))
    values, vectors = np.linalg.eigh(gram)
    sound = values > 1e-12 * values[-1]
    root = vectors[:, sound] / np.sqrt(values[sound])
    frames = state[covariance_kernel.FRAMES, 0]
    among = covariance_kernel.gram(state)[np.ix_(there, there)]
    spread = root.T @ among @ root / max(frames - 1, 1)
    found, turn = np.linalg.eigh((spread + spread.T) / 2)
    rank = min(k, len(found))
    dual, variances = np.zeros((len(z), k)), np.full(k, np.nan)
    dual[:, :rank] = root @ turn[:, ::-1][:, :rank]
    variances[:rank] = np.maximum(found[::-1][:rank], 0)
    offset = -state[covariance_kernel.MEAN][there] @ dual
    return _assembled(
        marks.shape, k, seen, origin, scale, z, there, dual, variances,
        float(np.trace(spread)), offset, gram @ dual + offset,
    )  # fmt: skip


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
        who = np.isfinite(samples[where][:, seen]).all(axis=-1)
        frames = x[at]
        z = ((frames[..., seen] - origin[where][seen]) / scale[where][seen]).reshape(
            -1, int(seen.sum())
        )
        if impute:
            gap = np.nan_to_num((mean[where] - origin[where])[seen] / scale[where][seen])
            z = np.where(np.isfinite(z) | ~np.isfinite(z).any(axis=-1, keepdims=True), z, gap)
        gram = kernel.gram(
            z.astype(np.float64), samples[where][who][:, seen], **_of_kernel(options, z)
        )
        found = gram @ dual[where][:, who].T + offset[where]
        out[at] = found.reshape(*frames.shape[:-2], k)
    return out
