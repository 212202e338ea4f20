"""How a basis is fitted beyond the covariance of pixels: each method, in its own few lines.

Every function takes ``x (..., *samples, y, x)`` and gives fits ``(..., k + 3, p + 2)`` as
:mod:`fhemb_xr.kernels.pca.pixel_statistics` lays them out. A second
pass waits for the first one and reads the source again, so that no pass holds the recording
in memory.
"""

import math
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr import budget
from fhemb_xr.kernels.pca import covariance, imputation
from fhemb_xr.kernels.pca import pixel_statistics as kernel
from fhemb_xr.ops import chains
from fhemb_xr.ops.blockwise import frame_stacks, reductions
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.pca import randomized
from fhemb_xr.options import options

REFINEMENTS = 2
"""Fits that fill gaps, each by the one before: after two the variances change in the third
digit (2 % of the pixels missing)."""
RIDGE = 0.01
"""Of the scores on sparse components; scikit-learn's default."""
OVERSAMPLED = 10
"""Components of the fits that fill gaps, beyond those that are asked for."""


def pixels_of(x: Any, n: int) -> Any:
    """State of each pixel, ``(..., 6, p)``, in one pass; ``n`` sample axes."""
    if not isinstance(x, da.Array):
        return kernel.pixel_state(frame_stacks.flat(x, n))
    p = math.prod(x.shape[-2:])
    return reductions.reduce_blocks(
        x, _pixel_state, kernel.merge_pixels, _same, n_core=n + 2, width=(kernel.ROWS, p), n=n
    )


def imputed(x: Any, n: int, k: int) -> Any:
    """``x`` with gaps filled: by the pixel's mean, then by ``k`` components and more.

    One pass for the means, one for each of :data:`REFINEMENTS` fits.
    """
    pixels, lazy = pixels_of(x, n), isinstance(x, da.Array)
    out = (
        frame_stacks.per_block(_filled, again(x, pixels), n, pixels, x.dtype)
        if lazy
        else _filled(x, pixels, n=n)
    )
    p, frames = math.prod(x.shape[-2:]), math.prod(x.shape[-2 - n : -2])
    rank = min(k + OVERSAMPLED, p, frames)
    small = covariance_bytes(p) <= options.budget
    for _ in range(REFINEMENTS):
        fit = (
            by_covariance(out, n, rank, "center")
            if small
            else randomized.randomized(out, n, rank, "center", 0)
        )
        out = (
            frame_stacks.per_block(_refilled, again(x, fit), n, fit, x.dtype)
            if lazy
            else _refilled(x, fit, n=n)
        )
    return out


def quartiles_of(x: Any, n: int) -> Any:
    """Quartiles of each pixel, ``(..., 3, p)``: a task holds one stack, within the budget."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    budget.check(
        24 * frames * p,
        f"the quartiles of {p} pixels in {frames} frames (scaler 'robust')",
        "scaler='standard', fx.resize(ds, shape), or fewer frames",
    )
    return frame_stacks.whole(x, n, _quartiles, (3, p))


def fitted(x: Any, n: int, k: int, method: str, scaler: str, seed: Any, alpha: float) -> Any:
    """The fits of ``method``."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    if method == "covariance":
        return by_covariance(x, n, k, scaler)
    if method == "randomized":
        iqr = _iqr(x, n) if scaler == "robust" else None
        return randomized.randomized(x, n, k, scaler, seed, iqr)
    if method == "incremental":
        return incremental(x, n, k, scaler)
    budget.check(
        64 * frames * p,
        f"method {method!r} of {frames} frames of {p} pixels",
        "method='covariance' goes chunk by chunk, or take fewer frames or pixels",
    )
    task = {"sparse": _sparse, "robust": _robust}[method]
    extra = {"alpha": alpha, "seed": seed} if method == "sparse" else {}
    rows = 2 * k + 3 if method == "sparse" else k + 3
    return frame_stacks.whole(x, n, task, (rows, p + 2), k=k, scaler=scaler, **extra)


def by_covariance(x: Any, n: int, k: int, scaler: str) -> Any:
    """One pass, exact; the robust scaler's quartiles gather the stack in that pass."""
    p = math.prod(x.shape[-2:])
    iqr = _iqr(x, n) if scaler == "robust" else None
    if not isinstance(x, da.Array):
        return covariance.basis(covariance_state(x, n), iqr, k=k, scaler=scaler)
    state = covariance_of(x, n)
    return frame_stacks.rows(covariance.basis, (k + 3, p + 2), state, iqr, k=k, scaler=scaler)


def covariance_of(x: da.Array, n: int) -> da.Array:
    """State of :mod:`fhemb_xr.kernels.pca.covariance` of every stack, in chains of chunks."""
    p = math.prod(x.shape[-2:])
    return chains.fold_blocks(
        _gathered(x, p), covariance_state, _extended, covariance.merged,
        n_core=n + 2, width=(covariance.height(p), p), n_samples=n,
    )  # fmt: skip


def covariance_bytes(p: int) -> int:
    """Of the task that solves: a state of p pixels and two matrices; three where it merges."""
    return 5 * 8 * covariance.height(p) * p


def _gathered(x: da.Array, p: int) -> da.Array:
    """Chunks put together along time until they are a quarter as large as their state.

    A state of many pixels is larger than a chunk: copying it takes as long as adding to it.
    """
    time, most = x.ndim - 3, 2 * covariance.height(p) * p
    frame = math.prod(c[0] for c in x.chunks[:time]) * p * x.dtype.itemsize
    together: list[int] = []
    for n in x.chunks[time]:
        if together and (together[-1] + n) * frame <= most:
            together[-1] += n
        else:
            together.append(n)
    return x.rechunk({time: tuple(together)})


def incremental(x: Any, n: int, k: int, scaler: str) -> Any:
    """scikit-learn's estimator, fed chunk by chunk in the order of time."""
    p = math.prod(x.shape[-2:])
    pixels, iqr = pixels_of(x, n), _iqr(x, n) if scaler == "robust" else None
    if not isinstance(x, da.Array):
        return _each_incremental(x, pixels, iqr, n, k, scaler)
    import dask

    step, end = dask.delayed(_partial_fit, pure=True), dask.delayed(_fit_of, pure=True)
    blocks = again(x, pixels).to_delayed()
    marks, more = pixels.to_delayed(), None if iqr is None else iqr.to_delayed()
    lead = blocks.shape[: x.ndim - n - 2]
    out = np.empty((*lead, 1, 1), dtype=object)
    for where in np.ndindex(*lead):
        about = marks[where].item(), None if more is None else more[where].item()
        state = None
        for block in blocks[where].reshape(-1):
            state = step(state, block, *about, n=n, k=k, scaler=scaler)
        size = tuple(c[i] for c, i in zip(x.chunks[: len(lead)], where, strict=True))
        found = end(state, *about, k=k, scaler=scaler)
        out[(*where, 0, 0)] = da.from_delayed(found, (*size, k + 3, p + 2), dtype=np.float64)
    return da.block(out.tolist())


def _partial_fit(state: Any, x: Any, pixels: Any, iqr: Any, n: int, k: int, scaler: str) -> Any:
    """One more chunk of each stack; rows wait until there are as many as components."""
    from copy import deepcopy

    lead = pixels.shape[:-2]
    flat = frame_stacks.flat(x, n)
    z = kernel.standardised(flat, pixels, iqr, scaler)
    out = np.empty(lead, dtype=object)
    for where in np.ndindex(lead):
        model, waiting = (_estimator(k), z[where][:0]) if state is None else state[where]
        rows = np.concatenate([waiting, z[where][np.isfinite(flat[where]).any(axis=-1)]])
        if len(rows) >= k:
            model = deepcopy(model)  # a task may run again: what it was given stays as it was
            model.partial_fit(rows)
            rows = rows[:0]
        out[where] = (model, rows)
    return out


def _estimator(k: int) -> Any:
    return _sklearn().IncrementalPCA(k)


def _fit_of(state: Any, pixels: Any, iqr: Any, k: int, scaler: str) -> Any:
    from copy import deepcopy

    p = pixels.shape[-1]
    out = np.empty((*pixels.shape[:-2], k + 3, p + 2))
    for where in np.ndindex(pixels.shape[:-2]):
        model, rows = state[where]
        seen, own = kernel.inside(pixels[where]), pixels[where]
        scale = kernel.spread(own, scaler, None if iqr is None else iqr[where])
        fitted = hasattr(model, "components_")
        if fitted and len(rows):
            model = deepcopy(model)
            model.partial_fit(rows)
        components = model.components_ if fitted else np.full((k, p), np.nan)
        variances = model.explained_variance_ if fitted else np.full(k, np.nan)
        out[where] = kernel.layout(
            components, variances, kernel.total(own, seen, scale), seen, own[kernel.MEAN], scale
        )
    return out


def _each_incremental(x: Any, pixels: Any, iqr: Any, n: int, k: int, scaler: str) -> Any:
    state = _partial_fit(None, x, pixels, iqr, n, k, scaler)
    return _fit_of(state, pixels, iqr, k, scaler)


def scaled_stack(x: Any, scaler: str) -> tuple[Any, ...]:
    """Rows with a face and columns in the mask, scaled: z, who, mask, origin, scale."""
    pixels = kernel.pixel_state(x)
    seen, who = kernel.inside(pixels), np.isfinite(x).any(axis=-1)
    quartile = kernel.quartiles(x) if scaler == "robust" else np.zeros((3, x.shape[-1]))
    scale = kernel.spread(pixels, scaler, quartile[2] - quartile[0])
    start = origin(pixels, quartile[1], scaler)
    z = ((x[who] - start) / scale)[:, seen].astype(np.float64)
    return z, who, seen, np.where(seen, start, np.nan), scale


def origin(pixels: Any, median: Any, scaler: str) -> Any:
    """What the scaler subtracts from each pixel: ``(6, p) -> (p)``; NaN outside the mask."""
    found = {
        "none": np.zeros(pixels.shape[-1]),
        "robust": median,
        "minmax": pixels[kernel.LOW],
    }.get(scaler, pixels[kernel.MEAN])
    return np.where(kernel.inside(pixels), found, np.nan)


def _fit_stack(x: Any, k: int, scaler: str, fit: Any) -> Any:
    """The fit of centred rows: ``fit(z, k)`` gives components, variances, total, mean."""
    z, _, seen, start, scale = scaled_stack(x, scaler)
    components = np.full((k, x.shape[-1]), np.nan)
    variances, total, mean = np.full(k, np.nan), 0.0, np.full(x.shape[-1], np.nan)
    if len(z) > 1 and seen.any():
        found, variances, total, centre = fit(z, k)
        components[:, seen] = found
        mean[seen] = start[seen] + scale[seen] * centre
    return kernel.layout(components, variances, total, seen, mean, scale)


def _sparse(x: Any, k: int, scaler: str, alpha: float, seed: Any) -> Any:
    def fit(z: Any, k: int) -> Any:
        model = _sklearn().SparsePCA(k, alpha=alpha, random_state=seed).fit(z)
        scores = model.transform(z)
        order = np.argsort(-scores.var(axis=0), kind="stable")
        scores = scores[:, order] - scores[:, order].mean(axis=0)
        # what a component adds to those before it: they are not orthogonal
        added = np.diagonal(np.linalg.qr(scores)[1]) ** 2 / (len(z) - 1)
        return model.components_[order], _padded(added, k), _variance(z), z.mean(axis=0)

    found = _fit_stack(x, k, scaler, fit)
    seen = found[k + 2] == 1
    loadings = np.nan_to_num(found[:k, seen])
    # components are not orthogonal: scores are a ridge regression on them, as scikit-learn's
    projection = np.full((k, found.shape[1]), np.nan)
    projection[:, seen] = np.linalg.solve(loadings @ loadings.T + RIDGE * np.eye(k), loadings)
    return np.concatenate([found, projection])


def _robust(x: Any, k: int, scaler: str) -> Any:
    def fit(z: Any, k: int) -> Any:
        low = kernel.low_rank(z - z.mean(axis=0))
        centre = low.mean(axis=0)
        _, s, v = np.linalg.svd(low - centre, full_matrices=False)
        rank = min(k, len(s), len(z) - 1)
        components = np.full((k, z.shape[1]), np.nan)
        components[:rank] = v[:rank]
        mean = z.mean(axis=0) + centre
        return components, _padded(s[:rank] ** 2 / (len(z) - 1), k), _variance(low), mean

    return _fit_stack(x, k, scaler, fit)


def _variance(z: Any) -> float:
    return float(z.var(axis=0, ddof=1).sum())


def _padded(values: Any, k: int) -> Any:
    out = np.full(k, np.nan)
    out[: len(values)] = values[:k]
    return out


def _sklearn() -> Any:
    try:
        from sklearn import decomposition
    except ImportError as error:
        raise ImportError(
            "this method needs scikit-learn: pip install fhemb_xr[learn]"
        ) from error
    return decomposition


def _iqr(x: Any, n: int) -> Any:
    found = quartiles_of(x, n)
    return found[..., 2, :] - found[..., 0, :]


def _pixel_state(x: Any, n: int) -> Any:
    return kernel.pixel_state(frame_stacks.flat(x, n))


def _quartiles(x: Any) -> Any:
    return kernel.quartiles(x)


def _filled(x: Any, pixels: Any, n: int) -> Any:
    return kernel.filled(frame_stacks.flat(x, n), pixels).reshape(x.shape)


def _refilled(x: Any, fit: Any, n: int) -> Any:
    flat = frame_stacks.flat(x, n)
    out = np.empty_like(flat)
    for where in np.ndindex(flat.shape[:-2]):
        out[where] = imputation.filled(flat[where], fit[where])
    return out.reshape(x.shape)


def covariance_state(x: Any, n_samples: int) -> Any:
    """State of :mod:`fhemb_xr.kernels.pca.covariance` of a chunk."""
    return covariance.state(frame_stacks.flat(x, n_samples))


def _extended(before: Any, x: Any, n_samples: int) -> Any:
    return covariance.extended(before, frame_stacks.flat(x, n_samples))


def _same(x: Any) -> Any:
    return x
