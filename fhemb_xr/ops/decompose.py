"""Eigenfaces: principal components of pixels, in one pass over a recording of any length."""

import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels import covariance as kernel
from fhemb_xr.ops import tree

METHODS = ("covariance",)
SCALERS = ("none", "center", "standard", "minmax")
_PIXELS = (schema.Y, schema.X)


def pca(
    heat: xr.DataArray,
    n_components: int = 10,
    *,
    method: str = "covariance",
    scaler: str = "center",
    per: str = "subject",
    mask: str = "intersection",
    seed: int | None = None,
) -> xr.Dataset:
    """Principal components of the pixels: eigenfaces.

    The covariance of the pixels is accumulated chunk by chunk and merged in a tree; its
    leading eigenvectors are the components. Frames without a face are left out.

    Parameters
    ----------
    heat
        Heatmap ``(…, time, y, x)`` [°C], with the background NaN (see :func:`mask`); time in
        chunks of any length.
    n_components
        How many.
    method
        ``"covariance"``: exact.
    scaler
        What each pixel is divided by, after its mean was subtracted: ``"none"`` and
        ``"center"``: nothing; ``"standard"``: its standard deviation (ddof = 0);
        ``"minmax"``: its range. Principal components are always those of centred pixels, as
        in scikit-learn.
    per
        ``"subject"``: a basis for each stack (each subject in each session); ``"pooled"``: one
        for all of them together.
    mask
        ``"intersection"``: the pixels that are visible in every frame with a face.
    seed
        For methods that draw random numbers; ``"covariance"`` does not.

    Returns
    -------
    Dataset, lazy where ``heat`` is: ``mean``, ``scale`` and ``mask`` ``(…, y, x)``,
    ``components(…, component, y, x)`` of unit length within the mask and NaN outside it,
    ``explained_variance`` (ddof = 1) and ``explained_variance_ratio``
    ``(…, component)``. The largest absolute loading of a component is positive. Components
    beyond the number of frames or of masked pixels are NaN.

    Raises
    ------
    ValueError
        An unknown method, scaler, per or mask; pixels in several chunks; too many components.
    BudgetError
        The covariance needs more memory than a task may have.

    Notes
    -----
    Memory: for p pixels, four states of 8 p² bytes, and 25 bytes per sample of a chunk, for
    each running task. Tasks: under five per chunk. Passes: one. Computes at call: none.

    References
    ----------
    Turk & Pentland (1991), J. Cogn. Neurosci. 3, 71-86, doi:10.1162/jocn.1991.3.1.71.
    Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=2, seconds=8, shape=(12, 10))
    >>> basis = ds.fhemb.mask(25).fhemb.pca(3)
    >>> dict(basis["components"].sizes)
    {'subject': 2, 'session': 1, 'component': 3, 'y': 12, 'x': 10}
    """
    _check_choice("method", method, METHODS)
    _check_choice("scaler", scaler, SCALERS)
    _check_choice("per", per, ("subject", "pooled"))
    _check_choice("mask", mask, ("intersection",))
    schema.require_dims(heat, schema.TIME, *_PIXELS)
    n_pixels = _check_size(heat, n_components)
    lead = [d for d in heat.dims if d not in (schema.TIME, *_PIXELS)]
    samples = [*(lead if per == "pooled" else []), schema.TIME]
    found: xr.DataArray = xr.apply_ufunc(
        _basis,
        heat,
        kwargs={"n_samples": len(samples), "k": n_components, "scaler": scaler},
        input_core_dims=[[*samples, *_PIXELS]],
        output_core_dims=[["row", "column"]],
        dask="allowed",
        keep_attrs=False,
    )
    return _labelled(found, heat, n_components, n_pixels, scaler)


def project(heat: xr.DataArray, basis: xr.Dataset) -> xr.DataArray:
    """Scores of frames on a basis.

    Parameters
    ----------
    heat
        Heatmap ``(…, y, x)`` [°C] on the grid of the basis; ``y`` and ``x`` in one chunk each.
    basis
        From :func:`pca`, of this recording or another, lazy, loaded or opened from a store.

    Returns
    -------
    ``scores(…, component)``, float64, lazy where ``heat`` or ``basis`` is. A frame with a NaN
    inside the basis's mask has NaN scores.

    Raises
    ------
    SchemaError
        The grids differ, or not a basis.

    Notes
    -----
    Memory: 17 bytes per sample of a chunk, and the basis, for each running task. Tasks: one or
    two per chunk. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> faces = fx.testing.audience(n_subjects=2, seconds=8, shape=(12, 10)).fhemb.mask(25)
    >>> scores = faces.fhemb.project(fx.pca(faces, 3))
    >>> scores.dims
    ('subject', 'session', 'time', 'component')
    """
    parts = _parts(basis)
    grid = {d: (heat.sizes.get(d), basis.sizes[d]) for d in _PIXELS}
    if any(a != b for a, b in grid.values()):
        raise SchemaError(
            f"the frames have {grid['y'][0]} × {grid['x'][0]} pixels, the basis has "
            f"{grid['y'][1]} × {grid['x'][1]}: fx.resize(ds, shape) brings them together"
        )
    whole = dict.fromkeys(_PIXELS, -1)
    out: xr.DataArray = xr.apply_ufunc(
        _scores,
        heat.chunk(whole) if heat.chunks else heat,
        *parts,
        input_core_dims=[list(_PIXELS), *_core(parts)],
        output_core_dims=[[schema.COMPONENT]],
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    out.attrs = {"long_name": "score on eigenfaces"}
    if schema.TIME in heat.dims:
        out.attrs[schema.SAMPLING_RATE] = schema.sampling_rate(heat)
    return out.rename("scores")


def reconstruct(scores: xr.DataArray, basis: xr.Dataset) -> xr.DataArray:
    """Frames from their scores: the mean and the sum of components.

    Parameters
    ----------
    scores
        From :func:`project`, ``(…, component)``.
    basis
        The basis they were projected on; its first components where there are fewer scores.

    Returns
    -------
    ``heatmap(…, y, x)`` [°C], float64, NaN outside the mask, lazy where ``scores`` or
    ``basis`` is.

    Raises
    ------
    SchemaError
        Not scores, or not a basis.

    Notes
    -----
    Memory: 8 bytes per pixel of a chunk, and the basis, for each running task. Tasks: one or
    two per chunk. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> faces = fx.testing.audience(n_subjects=1, seconds=8, shape=(12, 10)).fhemb.mask(25)
    >>> basis = fx.pca(faces, 5)
    >>> again = faces.fhemb.project(basis).fhemb.reconstruct(basis)
    >>> bool(abs(again - faces).max() < 0.5)
    True
    """
    schema.require_dims(scores, schema.COMPONENT)
    k = scores.sizes[schema.COMPONENT]
    if k > basis.sizes.get(schema.COMPONENT, 0):
        raise SchemaError(
            f"there are scores on {k} components, the basis has "
            f"{basis.sizes.get(schema.COMPONENT, 0)}"
        )
    parts = _parts(basis.isel(component=slice(k)))
    out: xr.DataArray = xr.apply_ufunc(
        _frames,
        scores.chunk(component=-1) if scores.chunks else scores,
        *parts,
        input_core_dims=[[schema.COMPONENT], *_core(parts)],
        output_core_dims=[list(_PIXELS)],
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    out.attrs = {**schema.VARIABLES[schema.HEATMAP].attrs}
    if schema.TIME in scores.dims:
        out.attrs[schema.SAMPLING_RATE] = schema.sampling_rate(scores)
    return out.rename(schema.HEATMAP)


def _check_choice(name: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}, found {found!r}")


def _check_size(heat: xr.DataArray, k: int) -> int:
    cut = {d: len(heat.variable.chunksizes.get(d, (1,))) for d in _PIXELS}
    if max(cut.values()) > 1:
        raise ValueError(
            f"a frame must be whole in its chunk, found {cut} chunks: heat.chunk(y=-1, x=-1)"
        )
    p = math.prod(heat.sizes[d] for d in _PIXELS)
    most = min(p, heat.sizes[schema.TIME] * math.prod(
        n for d, n in heat.sizes.items() if d not in (schema.TIME, *_PIXELS)
    ))  # fmt: skip
    if not 1 <= k <= most:
        raise ValueError(
            f"from 1 to {most} components (frames, pixels) are there, asked for {k}"
        )
    budget.check(
        4 * 8 * (p + kernel.ROWS) * p,
        f"the covariance of {p} pixels",
        "fx.resize(ds, shape) to a smaller grid",
    )
    return p


def _basis(x: Any, n_samples: int, k: int, scaler: str) -> Any:
    """``(..., *samples, y, x) -> (..., k + 3, p + 2)`` on a numpy or a dask array."""
    p = math.prod(x.shape[-2:])
    options = {"n_samples": n_samples}
    if not isinstance(x, da.Array):
        return kernel.basis(_state(x, **options), k, scaler)
    state = tree.reduce_blocks(
        x,
        _state,
        kernel.merge,
        _same,
        n_core=n_samples + 2,
        width=(p + kernel.ROWS, p),
        split_every=2,
        **options,
    )
    axes = tuple(range(state.ndim))
    row, column = state.ndim, state.ndim + 1
    return da.blockwise(
        kernel.basis,
        (*axes[:-2], row, column),
        state,
        axes,
        k=k,
        scaler=scaler,
        concatenate=True,
        new_axes={row: k + 3, column: p + 2},
        dtype=np.float64,
        meta=np.empty((0,) * state.ndim),
    )


def _state(x: Any, n_samples: int) -> Any:
    lead = x.shape[: x.ndim - n_samples - 2]
    return kernel.state(x.reshape(*lead, -1, x.shape[-2] * x.shape[-1]))


def _same(x: Any) -> Any:
    return x


def _labelled(
    found: xr.DataArray, heat: xr.DataArray, k: int, p: int, scaler: str
) -> xr.Dataset:
    """Rows and columns of the kernel's result, by their names."""
    coords = {d: heat[d] for d in _PIXELS if d in heat.coords}
    shape = dict(zip(_PIXELS, (heat.sizes[d] for d in _PIXELS), strict=True))

    def image(rows: xr.DataArray) -> xr.DataArray:
        # one chunk along column, so that this is a reshape and not a shuffle
        pixels = rows.isel(column=slice(p))
        lead = tuple(d for d in pixels.dims if d != "column")
        data = pixels.transpose(*lead, "column").data
        sizes = [pixels.sizes[d] for d in lead]
        cut = data.reshape(*sizes, *shape.values())
        keep = {n: c for n, c in pixels.coords.items() if "column" not in c.dims}
        return xr.DataArray(cut, dims=(*lead, *_PIXELS), coords={**keep, **coords})

    number = {schema.COMPONENT: np.arange(k)}
    rows = found.isel(row=slice(k)).rename(row=schema.COMPONENT).assign_coords(number)
    out = xr.Dataset(
        {
            "mean": image(found.isel(row=k)),
            "scale": image(found.isel(row=k + 1)),
            "components": image(rows),
            "explained_variance": rows.isel(column=p),
            "explained_variance_ratio": rows.isel(column=p + 1),
            "mask": image(found.isel(row=k + 2)) == 1,
        },
        attrs={"scaler": scaler, "method": "covariance"},
    )
    units = heat.attrs.get("units", "1")
    squared = "1" if scaler in ("standard", "minmax") else f"({units})^2"
    about = {
        "mean": ("what is subtracted from each pixel", units),
        "scale": ("what each pixel is divided by", "1"),
        "components": ("loading of each pixel", "1"),
        "explained_variance": ("variance of the scores", squared),
        "explained_variance_ratio": ("share of the total variance", "1"),
        "mask": ("pixels visible in every frame with a face", "1"),
    }
    for name, (long_name, unit) in about.items():
        out[name].attrs = {"long_name": long_name, "units": unit}
    return out


def _parts(basis: xr.Dataset) -> list[xr.DataArray]:
    names = ("components", "mean", "scale")
    missing = [n for n in names if n not in basis]
    if missing:
        raise SchemaError(
            f"not a basis of fx.pca: no {missing} among {sorted(map(str, basis.data_vars))}"
        )
    parts = [basis[n] for n in names]
    whole = (*_PIXELS, schema.COMPONENT)
    return [
        p.chunk(dict.fromkeys(set(whole) & set(p.dims), -1)) if p.chunks else p for p in parts
    ]


def _core(parts: list[xr.DataArray]) -> list[list[str]]:
    return [[schema.COMPONENT, *_PIXELS], list(_PIXELS), list(_PIXELS)]


def _scores(x: Any, components: Any, mean: Any, scale: Any) -> Any:
    """``(..., y, x), (..., k, y, x) -> (..., k)``; the mask is where the mean is finite."""
    lead = np.broadcast_shapes(x.shape[:-2], mean.shape[:-2])
    out = np.empty((*lead, components.shape[-3]))
    x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    missing = len(lead) + 2 - mean.ndim  # the basis has no axis there: all share it
    for where in np.ndindex(mean.shape[:-2]):
        # where the basis has length 1 (time, or a pooled axis) all frames go together
        own = (slice(None) if n == 1 else i for i, n in zip(where, mean.shape, strict=False))
        at = (*(slice(None),) * missing, *own)
        pixels = np.isfinite(mean[where])
        d = (x[at][..., pixels] - mean[where][pixels]) / scale[where][pixels]
        out[at] = d @ components[where][:, pixels].T if pixels.any() else np.nan
    return out


def _frames(scores: Any, components: Any, mean: Any, scale: Any) -> Any:
    """``(..., k), (..., k, y, x) -> (..., y, x)``."""
    found = np.einsum("...k,...kyx->...yx", scores, components)
    return found * scale + mean
