"""A basis of eigenfaces as data: its labels, and what fits it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.rechunk import rechunked

PIXELS = (schema.Y, schema.X)
SAMPLE = "sample"
KERNEL_PARTS = ("mean", "origin", "scale", "samples", "dual", "offset")


def labelled(
    found: xr.DataArray, heat: xr.DataArray, k: int, attrs: Mapping[str, Any], samples: int
) -> xr.Dataset:
    """Rows and columns of a fit, by their names; ``samples`` > 0 for a kernel's."""
    p = math.prod(heat.sizes[d] for d in PIXELS)
    number = {schema.COMPONENT: np.arange(k)}
    rows = found.isel(row=slice(k)).rename(row=schema.COMPONENT).assign_coords(number)

    def image(part: xr.DataArray) -> xr.DataArray:
        return _image(part, heat, p)

    out = xr.Dataset(
        {
            "mean": image(found.isel(row=k)),
            "scale": image(found.isel(row=k + 1)),
            "components": image(rows),
            "explained_variance": rows.isel(column=p),
            "explained_variance_ratio": rows.isel(column=p + 1),
            "mask": image(found.isel(row=k + 2)) == 1,
        },
        attrs=dict(attrs),
    )
    if attrs["method"] == "sparse":
        weights = found.isel(row=slice(k + 3, None)).rename(row=schema.COMPONENT)
        out["projection"] = image(weights.assign_coords(number))
    if samples:
        out["origin"] = image(found.isel(row=k + 3))
        out["samples"] = image(found.isel(row=slice(k + 4, None)).rename(row=SAMPLE))
        out["offset"] = rows.isel(column=p + 2)
        out["dual"] = rows.isel(column=slice(p + 3, None)).rename(column=SAMPLE)
    return _described(out, heat)


def _image(part: xr.DataArray, heat: xr.DataArray, p: int) -> xr.DataArray:
    coords = {d: heat[d] for d in PIXELS if d in heat.coords}
    # one chunk along column, so that this is a reshape and not a shuffle
    pixels = part.isel(column=slice(p))
    lead = tuple(d for d in pixels.dims if d != "column")
    data = pixels.transpose(*lead, "column").data
    cut = data.reshape(*(pixels.sizes[d] for d in lead), *(heat.sizes[d] for d in PIXELS))
    keep = {n: c for n, c in pixels.coords.items() if "column" not in c.dims}
    return xr.DataArray(cut, dims=(*lead, *PIXELS), coords={**keep, **coords})


def _described(out: xr.Dataset, heat: xr.DataArray) -> xr.Dataset:
    units = heat.attrs.get("units", "1")
    free = out.attrs["scaler"] in ("standard", "minmax", "robust") or "dual" in out
    seen = "every frame with a face" if out.attrs["pixels"] == "intersection" else "any frame"
    about = {
        "mean": ("what is subtracted from each pixel", units),
        "scale": ("what each pixel is divided by", "1"),
        "components": ("loading of each pixel", "1"),
        "explained_variance": ("variance of the scores", "1" if free else f"({units})^2"),
        "explained_variance_ratio": ("share of the total variance", "1"),
        "mask": (f"pixels visible in {seen}", "1"),
        "projection": ("weight of each pixel in the scores", "1"),
        "origin": ("what is subtracted from each pixel before the kernel", units),
        "samples": ("scaled frames that the kernel compares with", "1"),
        "dual": ("weight of each sample's kernel in the scores", "1"),
        "offset": ("added to the scores", "1"),
    }
    for name, (long_name, unit) in about.items():
        if name in out:
            out[name].attrs = {"long_name": long_name, "units": unit}
    return out


def parts(basis: xr.Dataset, names: tuple[str, ...]) -> list[xr.DataArray]:
    """The variables ``names`` of a basis, each whole along its own axes."""
    missing = [n for n in names if n not in basis]
    if missing:
        raise SchemaError(
            f"not a basis of fx.pca: no {missing} among {sorted(map(str, basis.data_vars))}"
        )
    whole = {*PIXELS, schema.COMPONENT, SAMPLE}
    found = [basis[n] for n in names]
    return [rechunked(p, dict.fromkeys(whole & set(p.dims), -1)) for p in found]


def core(found: list[xr.DataArray]) -> list[list[str]]:
    """Core dimensions of each part."""
    known = (schema.COMPONENT, SAMPLE, *PIXELS)
    return [[d for d in known if d in p.dims] for p in found]


def check_grid(heat: xr.DataArray, basis: xr.Dataset) -> None:
    """Frames and basis have the same pixels and people, by sizes and labels.

    Raises
    ------
    SchemaError
        Saying how they differ.
    """
    grid = [tuple(o.sizes.get(d) for d in PIXELS) for o in (heat, basis)]
    if grid[0] != grid[1]:
        raise SchemaError(
            f"the frames have {grid[0][0]} × {grid[0][1]} pixels, the basis has "
            f"{grid[1][0]} × {grid[1][1]}: fx.resize(ds, shape) brings them together"
        )
    for dim in (*PIXELS, schema.SUBJECT, schema.SESSION):
        if dim not in heat.indexes or dim not in basis.indexes or dim not in basis.dims:
            continue
        mine, its = heat.indexes[dim], basis.indexes[dim]
        if not mine.equals(its):
            raise SchemaError(
                f"the frames and the basis differ in {dim}: {mine.tolist()!r:.80} and "
                f"{its.tolist()!r:.80}; select the same, or fit with per='pooled'"
            )


def without_gaps(d: Any) -> Any:
    """Deviations from the mean, 0 where a frame with a face has a gap: ``(..., p) -> same``."""
    finite = np.isfinite(d)
    return np.where(finite | ~finite.any(axis=-1, keepdims=True), d, 0.0)


def require_mask(heat: xr.DataArray, basis: xr.Dataset) -> None:
    """Check that every frame with a face shows all pixels of the basis's mask.

    :func:`project` itself reads nothing and gives frames with gaps NaN scores.

    Raises
    ------
    SchemaError
        How many pixels of the mask are missing, in how many frames, and the first of them.

    Notes
    -----
    Memory: two bytes per sample of a chunk. Tasks: under ten per chunk. Computes: one.
    """
    check_grid(heat, basis)
    seen = heat.notnull()
    gap = basis["mask"] & ~seen & seen.any(PIXELS)
    others = [d for d in gap.dims if d not in PIXELS]
    found = xr.Dataset({"pixels": gap.any(others), "frames": gap.any(PIXELS).sum()}).compute()
    if found["frames"]:
        rows, columns = np.nonzero(found["pixels"].values)
        raise SchemaError(
            f"{len(rows)} pixels of the basis's mask are missing in {int(found['frames'])} "
            f"frames with a face, the first at y={rows[0]}, x={columns[0]}: fit with "
            "mask='impute', or on these frames too"
        )
