"""Bin edges of histograms: one set for each subject, shared in time."""

import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.ops.blockwise import reductions
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import require_choice, require_count

Bins = str | int | Sequence[float]


def _stack_dims(heat: xr.DataArray) -> list[Any]:
    return [d for d in (schema.TIME, schema.Y, schema.X) if d in heat.dims]


def _edges(heat: xr.DataArray, threshold: float | None, bins: Bins) -> xr.DataArray:
    """Bin edges of each stack: ``(…, edge)``, lazy where they depend on values."""
    if not isinstance(bins, str) and np.ndim(bins) == 0:
        bins = require_count("bins", bins)
    if not isinstance(bins, str | int):
        given = np.asarray(bins, dtype=np.float64)
        if given.ndim != 1 or given.size < 2 or not (np.diff(given) > 0).all():
            raise ValueError(f"bin edges increase and are at least two, found {bins!r:.60}")
        return xr.DataArray(given, dims="edge")
    if isinstance(bins, str):
        require_choice("kind of bins", bins, ("sturges",))
    dims = _stack_dims(heat)
    n = math.prod(heat.sizes[d] for d in dims)
    fixed = bins if isinstance(bins, int) else None
    options: dict[str, Any] = {
        "threshold": math.nan if threshold is None else float(threshold),
        "n_stack": len(dims),
        "bins": fixed,
        "width": (fixed or math.ceil(math.log2(max(n, 1)) + 1)) + 1,
    }
    out = apply_kernel(_edges_of, heat, core=[dims], new=["edge"], dask="allowed", **options)
    return out


def _edges_of(x: Any, threshold: float, n_stack: int, bins: int | None, width: int) -> Any:
    options: dict[str, Any] = {"threshold": threshold, "n_stack": n_stack}
    if not isinstance(x, da.Array):
        return _finish_edges(_extent(x, **options), bins=bins, width=width)
    extents = reductions.reduce_blocks(
        x,
        _extent,
        _merge_extents,
        reductions.unchanged,
        n_core=n_stack,
        width=(3,),
        apart=True,
        **options,
    )
    axes = tuple(range(extents.ndim))
    return da.blockwise(
        _finish_edges,
        (*axes[:-1], len(axes)),
        extents,
        axes,
        bins=bins,
        width=width,
        concatenate=True,
        new_axes={len(axes): width},
        dtype=np.float64,
        meta=np.empty((0,) * extents.ndim),
    )


def _extent(x: Any, threshold: float, n_stack: int) -> Any:
    from fhemb_xr.kernels.frames import frame_features as kernel

    stack = x[..., None, :, :] if n_stack == 2 else x
    return kernel.extent(stack, threshold)


def _merge_extents(extents: Any) -> Any:
    from fhemb_xr.kernels.frames import frame_features as kernel

    return kernel.merge_extents(extents)


def _finish_edges(extents: Any, bins: int | None, width: int) -> Any:
    from fhemb_xr.kernels.frames import frame_features as kernel

    return kernel.bin_edges(extents, bins, width)


def _with_edges(out: xr.DataArray, edges: xr.DataArray, names: list[str]) -> xr.DataArray:
    """Lower and upper edge of each bin as coordinates; NaN for other features."""
    last = edges.sizes["edge"] - 1
    number = [int(n[2:]) if n.startswith("bh") else last for n in names]
    lower = [min(i, last) for i in number]
    upper = [min(i + 1, last) for i in number]
    is_bin = xr.DataArray([i < last for i in number], dims=schema.FEATURE)
    for name, index in (("bin_edges", lower), ("bin_upper", upper)):
        found = edges.isel(edge=xr.DataArray(index, dims=schema.FEATURE)).where(is_bin)
        found.attrs = {
            "units": "degC",
            "long_name": f"{name.replace('_', ' ')} of the histogram",
        }
        out = out.assign_coords({name: found})
    return out
