"""Eigenfaces by scikit-learn's incremental estimator, chunk after chunk."""

import math
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr.kernels.pca import fit_layout
from fhemb_xr.kernels.pca import pixel_statistics as kernel
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.pca.covariance import interquartile_range, pixels_of
from fhemb_xr.ops.pca.in_memory import sklearn_decomposition


def incremental(x: Any, n: int, k: int, scaler: str) -> Any:
    """The fits of scikit-learn's estimator, which gets the chunks in the order of time."""
    p = math.prod(x.shape[-2:])
    pixels, iqr = pixels_of(x, n), interquartile_range(x, n) if scaler == "robust" else None
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
        fit, shape = end(state, *about, k=k, scaler=scaler), FitLayout(k, p).shape
        out[(*where, 0, 0)] = da.from_delayed(fit, (*size, *shape), dtype=np.float64)
    return da.block(out.tolist())


def _partial_fit(state: Any, x: Any, pixels: Any, iqr: Any, n: int, k: int, scaler: str) -> Any:
    """The state after one more chunk; rows wait until they are as many as the components."""
    from copy import deepcopy

    lead = pixels.shape[:-2]
    flat = frame_stacks.flat(x, n)
    z = kernel.standardised(flat, pixels, iqr, scaler)
    out = np.empty(lead, dtype=object)
    for where in np.ndindex(lead):
        model, waiting = (_estimator(k), z[where][:0]) if state is None else state[where]
        rows = np.concatenate([waiting, z[where][np.isfinite(flat[where]).any(axis=-1)]])
        if len(rows) >= k:
            model = deepcopy(model)  # a task may run again: its input must not change
            model.partial_fit(rows)
            rows = rows[:0]
        out[where] = (model, rows)
    return out


def _estimator(k: int) -> Any:
    return sklearn_decomposition().IncrementalPCA(k)


def _fit_of(state: Any, pixels: Any, iqr: Any, k: int, scaler: str) -> Any:
    from copy import deepcopy

    p = pixels.shape[-1]
    out = np.empty((*pixels.shape[:-2], *FitLayout(k, p).shape))
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
        out[where] = fit_layout.layout(
            components, variances, kernel.total(own, seen, scale), seen, own[kernel.MEAN], scale
        )
    return out


def _each_incremental(x: Any, pixels: Any, iqr: Any, n: int, k: int, scaler: str) -> Any:
    state = _partial_fit(None, x, pixels, iqr, n, k, scaler)
    return _fit_of(state, pixels, iqr, k, scaler)
