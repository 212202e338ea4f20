"""A basis of eigenfaces as a Dataset: its variables, and the checks of what goes with it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops import background
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.rechunk import rechunked

PIXELS = (schema.Y, schema.X)
SAMPLE = "sample"
KERNEL_PARTS = ("mean", "origin", "scale", "samples", "dual", "offset")


def labelled(
    fit: xr.DataArray, heat: xr.DataArray, k: int, attrs: Mapping[str, Any], samples: int
) -> xr.Dataset:
    """Rows and columns of a fit, by their names; ``samples`` > 0 for the fit of a kernel."""
    p = math.prod(heat.sizes[d] for d in PIXELS)
    at = FitLayout(k, p, samples, sparse=attrs["method"] == "sparse")
    number = {schema.COMPONENT: np.arange(k)}
    rows = fit.isel(row=at.components).rename(row=schema.COMPONENT).assign_coords(number)

    def image(part: xr.DataArray) -> xr.DataArray:
        return _image(part.isel(column=at.pixels), heat)

    out = xr.Dataset(
        {
            "mean": image(fit.isel(row=at.mean)),
            "scale": image(fit.isel(row=at.scale)),
            "components": image(rows),
            "explained_variance": rows.isel(column=at.variance),
            "explained_variance_ratio": rows.isel(column=at.share),
            "mask": image(fit.isel(row=at.mask)) == 1,
        },
        attrs=dict(attrs),
    )
    if at.sparse:
        weights = fit.isel(row=at.projection).rename(row=schema.COMPONENT)
        out["projection"] = image(weights.assign_coords(number))
    if samples:
        out["origin"] = image(fit.isel(row=at.origin))
        out["samples"] = image(fit.isel(row=at.samples).rename(row=SAMPLE))
        out["offset"] = rows.isel(column=at.offset)
        out["dual"] = rows.isel(column=at.dual).rename(column=SAMPLE)
    return _described(out, heat)


def _image(pixels: xr.DataArray, heat: xr.DataArray) -> xr.DataArray:
    """Pixels along ``column`` as images with the coordinates of the heatmap."""
    coords = {d: heat[d] for d in PIXELS if d in heat.coords}
    # one chunk along column, so that this is a reshape and not a shuffle
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
    describe(out, about)
    return out


def parts(basis: xr.Dataset, names: tuple[str, ...]) -> list[xr.DataArray]:
    """The variables ``names`` of a basis, each whole along its own axes."""
    missing = [n for n in names if n not in basis]
    if missing:
        raise SchemaError(
            f"not a basis of fx.pca: no {missing} among {sorted(map(str, basis.data_vars))}"
        )
    whole = {*PIXELS, schema.COMPONENT, SAMPLE}
    variables = [basis[n] for n in names]
    return [rechunked(v, dict.fromkeys(whole & set(v.dims), -1)) for v in variables]


def core(variables: list[xr.DataArray]) -> list[list[str]]:
    """Core dimensions of each variable."""
    known = (schema.COMPONENT, SAMPLE, *PIXELS)
    return [[d for d in known if d in v.dims] for v in variables]


def check_units(heat: xr.DataArray, basis: xr.Dataset) -> None:
    """Check that frames and basis are on one scale of temperature, as far as both say.

    Raises
    ------
    SchemaError
        With both units.
    """
    middle = basis.get("mean", basis.get("origin"))
    found = [str(x.attrs.get("units", "")) for x in (heat, middle) if x is not None]
    scales = {background.unit_word(unit) for unit in found} - {None, ""}
    if len(scales) > 1:
        raise SchemaError(
            f"the frames have the unit {found[0]!r}, the basis {found[1]!r}: convert the "
            "frames, and set their attrs['units']"
        )


def of_scores(basis: xr.Dataset, scores: xr.DataArray) -> xr.Dataset:
    """The components that scores belong to: by their labels, or the first ones.

    Raises
    ------
    SchemaError
        There are more scores than components, or others.
    """
    dim = schema.COMPONENT
    k, available = scores.sizes[dim], basis.sizes.get(dim, 0)
    if k > available:
        raise SchemaError(
            f"the scores have {k} components, the basis has {available}: give the basis they "
            "were projected on"
        )
    if dim not in scores.indexes or dim not in basis.indexes:
        return basis.isel({dim: slice(k)})
    if unknown := [n for n in scores.indexes[dim] if n not in basis.indexes[dim]]:
        raise SchemaError(
            f"the basis has no component {unknown[0]!r}: give the basis that the scores were "
            "projected on"
        )
    return basis.sel({dim: scores.indexes[dim]})


def check_grid(heat: xr.DataArray, basis: xr.Dataset) -> None:
    """Check that frames and basis have the same pixels and people, by sizes and labels.

    Raises
    ------
    SchemaError
        They differ; the message says how.
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
    """Deviations from the mean, 0 in the gaps of frames with a face: ``(..., p) -> same``."""
    finite = np.isfinite(d)
    return np.where(finite | ~finite.any(axis=-1, keepdims=True), d, 0.0)


def require_mask(heat: xr.DataArray, basis: xr.Dataset) -> None:
    """Check that every frame with a face shows all pixels of the basis's mask.

    :func:`project` itself reads nothing and gives frames with gaps NaN scores.

    Raises
    ------
    SchemaError
        Pixels of the mask are missing; with their number, the number of frames, and the first.

    Notes
    -----
    Memory: two bytes per sample of a chunk. Tasks: under ten per chunk. Computes: one.
    """
    check_grid(heat, basis)
    seen = heat.notnull()
    gap = basis["mask"] & ~seen & seen.any(PIXELS)
    others = [d for d in gap.dims if d not in PIXELS]
    gaps = xr.Dataset({"pixels": gap.any(others), "frames": gap.any(PIXELS).sum()}).compute()
    if gaps["frames"]:
        rows, columns = np.nonzero(gaps["pixels"].values)
        raise SchemaError(
            f"{len(rows)} pixels of the basis's mask are missing in {int(gaps['frames'])} "
            f"frames with a face, the first at y={rows[0]}, x={columns[0]}: fit with "
            "mask='impute', or include these frames in the fit"
        )
