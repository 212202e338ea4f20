"""The face that frames are registered to: the template, and every person's mean face on it."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, warn_from_task
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.regions import registration as kernel
from fhemb_xr.kernels.regions import template as built_in
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise import reductions
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rereading import after
from fhemb_xr.ops.checks import listed, require_choice

ROW, COLUMN, SPOT, PACKED = "template_y", "template_x", "spot", "packed"
SMALLEST = 8
"""Rows and columns that a face has at least."""


class Template(NamedTuple):
    """A face, the spots by which faces differ from it, and the regions that are asked for."""

    face: xr.DataArray
    """(template_y, template_x), about its mean; NaN where nothing is compared."""
    spots: xr.DataArray
    """(spot, template_y, template_x)."""
    weights: xr.DataArray
    """(feature, template_y, template_x), with the names of the regions."""

    @property
    def fields(self) -> Fields:
        """What is kept of a person: the map of the template, how alike, and the mean face."""
        shape = (self.face.sizes[ROW], self.face.sizes[COLUMN])
        return Fields(map=(2, 3), match=(), face=shape)


def template_of(
    heat: xr.DataArray, names: Sequence[str] | str, template: xr.Dataset | None
) -> Template:
    """The built-in face on the grid of the frames, or the mean face of an earlier result.

    Raises
    ------
    SchemaError
        If frames are too small, or ``template`` is no result with faces.
    UnknownNameError
        No such region, with the nearest ones.
    """
    shape = (heat.sizes[schema.Y], heat.sizes[schema.X])
    if min(shape) < SMALLEST:
        raise SchemaError(
            f"regions are found in faces of {SMALLEST} x {SMALLEST} pixels or more, found "
            f"{shape[0]} x {shape[1]}: give the frames as they were recorded"
        )
    dims = (ROW, COLUMN)
    if template is None:
        wanted = _chosen(names, built_in.regions_of())
        grid = built_in.Grid(*shape)
        return Template(
            xr.DataArray(built_in.face(grid), dims=dims),
            xr.DataArray(built_in.spots(grid), dims=(SPOT, *dims)),
            xr.DataArray(
                built_in.weights(grid, wanted), dims=(schema.FEATURE, *dims),
                coords={schema.FEATURE: wanted},
            ),
        )  # fmt: skip
    for name, needed in (("reference", ()), ("weight", (schema.FEATURE,))):
        if name not in template or not {schema.Y, schema.X, *needed} <= {*template[name].dims}:
            raise SchemaError(
                f"a template has 'reference' (y, x) and 'weight' (feature, y, x), found "
                f"{sorted(map(str, template.data_vars))}: make it with "
                "fx.regions(ds, names, faces=True)"
            )
    on_grid = {schema.Y: ROW, schema.X: COLUMN}
    face = template["reference"]
    face = face.mean([d for d in face.dims if d not in on_grid]).rename(on_grid)
    weight = template["weight"].rename(on_grid).transpose(schema.FEATURE, ROW, COLUMN)
    known = [str(n) for n in weight[schema.FEATURE].values.tolist()]
    wanted = _chosen(names, known)
    bare = weight.drop_vars([*weight.coords]).rename({schema.FEATURE: SPOT})
    picked = weight.isel({schema.FEATURE: [known.index(n) for n in wanted]})
    return Template(
        face.transpose(ROW, COLUMN).reset_coords(drop=True),
        bare,
        picked.drop_vars([c for c in picked.coords if c != schema.FEATURE]),
    )


def _chosen(names: Sequence[str] | str, known: Sequence[str]) -> list[str]:
    """The regions that are meant, each once, in the order asked for."""
    found = [require_choice("region", n, known, synonyms.REGIONS) for n in listed(names)]
    if not found:
        raise ValueError(f"no region was asked for: there are {', '.join(known)}")
    return list(dict.fromkeys(found))


def mean_faces(heat: xr.DataArray, template: Template, refine: int) -> xr.DataArray:
    """Every person's mean face on the template, ``(…, packed)``, as :attr:`Template.fields`.

    ``heat (…, time, y, x)``. One pass over the pixels, and one more for each of ``refine``.
    """
    if heat.chunks is None and (template.face.chunks or template.spots.chunks):
        heat = heat.chunk()  # a template of a store is lazy
    lead = list(heat.dims[:-3])
    sums = _labelled(_first_pass(heat.data), heat, lead)
    core = [[ROW, COLUMN], [SPOT, ROW, COLUMN]]
    faces = apply_kernel(
        _placed, sums, template.face, template.spots, core=[["sum", "pixel"], *core],
        new={PACKED: template.fields.size}, shape=heat.shape[-2:], fields=template.fields,
    )  # fmt: skip
    for _ in range(refine):
        pixels = after(heat.data, faces.data)
        more = _labelled(_next_pass(pixels, faces.data, template), heat, lead)
        faces = apply_kernel(
            _renewed, faces, more, core=[[PACKED], ["sum", "pixel"]],
            new={"new": template.fields.size}, fields=template.fields,
        ).rename(new=PACKED)  # fmt: skip
    return faces.copy(data=_told(faces.data, template.fields))


def _told(faces: Any, fields: Fields) -> Any:
    """The faces, once it is said of how many people none is like the template."""
    match = fields.part(faces, "match")
    if not isinstance(faces, da.Array):
        _say(match)
        return faces
    lead = tuple(range(match.ndim))
    said = da.blockwise(
        _say, (300,), match, lead, concatenate=True, new_axes={300: 1}, dtype=np.float64,
        meta=np.empty((0,)),
    )  # fmt: skip
    axes = (*lead, 200)
    return da.blockwise(_once, axes, faces, axes, said, (300,), dtype=np.float64,
                        meta=np.empty((0,) * len(axes)))  # fmt: skip


def _say(match: Any) -> Any:
    """``(...) -> (1,)``; a person who is not there has no match."""
    unlike, there = int((match == 0).sum()), int(np.isfinite(match).sum())
    if unlike:
        warn_from_task(
            f"no face like the template in {unlike} of {there} mean faces: their regions are "
            "NaN, and match is 0; look at their frames, choose threshold=, or give a template="
        )
    return np.array([float(unlike)])


def _once(faces: Any, _: Any) -> Any:
    return faces


def _labelled(data: Any, heat: xr.DataArray, lead: list[Hashable]) -> xr.DataArray:
    coords = {n: c for n, c in heat.coords.items() if {*c.dims} <= {*lead}}
    return xr.DataArray(data, dims=[*lead, "sum", "pixel"], coords=coords)


def _first_pass(x: Any) -> Any:
    """Sum of every pixel, and number of frames that have it: ``(…, t, y, x) -> (…, 2, p)``."""
    if not isinstance(x, da.Array):
        return _sums(x)
    width = (2, x.shape[-2] * x.shape[-1])
    return reductions.reduce_blocks(
        x, _sums, _added, reductions.unchanged, n_core=3, width=width
    )


def _next_pass(x: Any, faces: Any, template: Template) -> Any:
    """The same of frames registered to the faces so far."""
    work = partial(_registered_sums, fields=template.fields)
    if not isinstance(x, da.Array):
        return work(x, faces, template.spots.data)
    n = x.ndim - 3
    axes = tuple(range(n))
    states = da.blockwise(
        work, (*axes, n, 100, 101), x, tuple(range(x.ndim)), faces, (*axes, 200),
        template.spots.data, (300, 301, 302), concatenate=True, dtype=np.float64,
        new_axes={100: 2, 101: template.face.size}, adjust_chunks={n: 1},
        meta=np.empty((0,) * (n + 3)), keep_time=True,
    )  # fmt: skip
    return reductions.merge_states(states, _added, reductions.unchanged, core=(n,), apart=True)


def _sums(x: Any) -> Any:
    seen = np.isfinite(x)
    total = np.where(seen, x, 0).sum(axis=-3, dtype=np.float64)
    flat = (*total.shape[:-2], -1)
    return np.stack([total.reshape(flat), seen.sum(axis=-3).reshape(flat)], axis=-2)


def _added(states: Any) -> Any:
    return states.sum(axis=-3)


def _placed(sums: Any, face: Any, spots: Any, shape: Any, fields: Fields) -> Any:
    """``(..., 2, p), (row, column), (spot, row, column) -> (..., packed)``."""
    face, spots = (a.reshape(a.shape[-n:]) for a, n in ((face, 2), (spots, 3)))
    out = np.full((*sums.shape[:-2], fields.size), np.nan)
    for where in np.ndindex(out.shape[:-1]):
        total, seen = (part.reshape(shape) for part in sums[where])
        mean = np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
        at, found, match = kernel.place(mean, seen, face, spots)
        if seen.any() and np.isnan(match):
            match = 0.0  # somebody is there
        out[where] = fields.pack(map=at, match=np.float64(match), face=found)
    return out


def _registered_sums(
    x: Any, faces: Any, spots: Any, fields: Fields, keep_time: bool = False
) -> Any:
    """``(..., t, y, x), (..., packed), (spot, row, column) -> (..., [1,] 2, p)``."""
    shape = fields.shapes["face"]
    out = np.zeros((*x.shape[:-3], 2, shape[0] * shape[1]))
    for where in np.ndindex(x.shape[:-3]):
        face, at = fields.part(faces[where], "face"), fields.part(faces[where], "map")
        to = kernel.reference(face, spots, "similarity")
        none = np.zeros((0, len(to.values)))
        found = kernel.register(x[where], to, at, "similarity", none)
        out[where][:, to.seen.ravel()] = found.total, found.seen
    return out[..., None, :, :] if keep_time else out


def _renewed(faces: Any, sums: Any, fields: Fields) -> Any:
    """``(..., packed), (..., 2, p) -> (..., packed)``: the mean of the registered frames.

    Pixels that less than a quarter of the frames have are left out. Where no frame could be
    registered the face stays as it was.
    """
    out = np.array(faces)
    for where in np.ndindex(out.shape[:-1]):
        face = fields.part(out[where], "face")
        total, count = sums[where]
        if count.any():
            enough = count >= 0.25 * count.max()
            mean = np.where(enough, total / np.maximum(count, 1), np.nan)
            level = np.nanmean(face) - np.nanmean(mean)
            face[:] = mean.reshape(face.shape) + level
    return out
