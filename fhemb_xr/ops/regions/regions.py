"""Temperatures of parts of the face that are followed as it moves."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.regions import registration as kernel
from fhemb_xr.kernels.regions.template import Grid
from fhemb_xr.ops import background
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise import recipes
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import (
    require_choice,
    require_count,
    require_flag,
    require_whole_frames,
)
from fhemb_xr.ops.pipeline import heatmap
from fhemb_xr.ops.regions.faces import (
    Template,
    mean_faces,
    template_of,
)

REGIONS = ("nose_tip", "forehead", "periorbital", "cheeks", "perioral")
_TEXTS = {
    "coverage": ("share of the region that is seen", "1"),
    "landmark": ("middle of the region on the grid", "pixel"),
    "drift": ("distance of the middle from that in the mean face", "pixel"),
    "residual": ("what the mean face does not explain, root mean square", "degC"),
    "match": ("correlation of the mean face with the template", "1"),
    "reference": ("mean face on the template", "degC"),
    "weight": ("weight of the pixels in the region", "1"),
}


def regions(
    heat: xr.DataArray | xr.Dataset,
    names: Sequence[str] | str = REGIONS,
    *,
    template: xr.Dataset | None = None,
    motion: str = "affine",
    refine: int = 1,
    threshold: float | str | None = "recording",
    faces: bool = False,
) -> xr.Dataset:
    """Temperatures of parts of the face: nose tip, forehead, eyes, cheeks, mouth.

    Every frame is registered to the person's mean face, and that to a template, on which the
    regions lie. So a region stays on the face when the head turns or its box changes.

    Parameters
    ----------
    heat
        A recording, or its heatmap ``(…, time, y, x)`` [°C]; ``y`` and ``x`` in one chunk each,
        8 × 8 pixels or more. Frames may be smaller than the grid (NaN outside).
    names
        Regions in the order of the result: ``nose_tip``, ``forehead``, ``periorbital`` (both
        inner corners of the eyes), ``cheeks``, ``perioral``; one side alone: ``periorbital_l``,
        ``periorbital_r``, ``cheek_l``, ``cheek_r``, left in the picture.
    template
        A result with ``faces=True``: its mean face over all people replaces the built-in one,
        and its ``weight`` says where regions are. Change ``weight`` for regions of your own.
    motion
        What a face may do between frames: ``"shift"``, ``"similarity"`` (shift, turn in the
        plane, size) or ``"affine"``.
    refine
        Number of times that the mean face is made again, of registered frames. The first one is
        blurred by movement. Each is one more pass over the pixels.
    threshold
        Pixels below it are left out [°C], see :func:`mask`.
    faces
        Whether the result holds ``reference(…, y, x)``, the mean face of each person on the
        template, and ``weight(feature, y, x)``. A mean face is a picture that identifies a
        person.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``heat`` is: ``embedding(…, time, feature)``, the mean
        temperature of each region [°C], a series like any other embedding; and how far it can
        be trusted: ``coverage(…, time, feature)``, the share of a region that is seen;
        ``landmark(…, time, feature, axis)``, the middle of the region on the grid, and
        ``drift(…, time, feature)``, its distance from that in the mean face [pixel];
        ``residual(…, time)``, what the mean face does not explain of a frame [K]; ``match(…)``,
        the correlation of the mean face with the template, 0 where none is found. NaN: a frame
        that could not be registered, a region of which less than half is seen.

    Warns
    -----
    UserWarning
        When it is computed: of how many people no face is like the template.

    Raises
    ------
    SchemaError
        If there is no ``time``, frames are too small, or ``template`` has no face.
    UnknownNameError
        No such region or motion, with the nearest ones (a ``KeyError``).
    ValueError
        Pixels in more than one chunk.

    Notes
    -----
    Inverse compositional registration. The contrast of a frame may differ from that of the mean
    face by an offset, a factor and a spot for each region, so a nose that cools does not move.
    Every frame starts from the same map: the result does not depend on chunks. Turned faces are
    followed, faces in profile are not; a low ``match`` says that the regions may lie elsewhere.
    Passes over the pixels: two, and one for each of ``refine``. Memory per task: three chunks,
    and 64 frames in float64. Tasks: under five per chunk beside its reading and its mask.
    Computes at call: none.

    References
    ----------
    - Baker & Matthews (2004), Int. J. Comput. Vis. 56, 221-255,
      doi:10.1023/B:VISI.0000011205.11775.fd.
    - Ioannou, Gallese & Merla (2014), Psychophysiology 51, 951-963, doi:10.1111/psyp.12243.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(2, 4, shape=(24, 18), turn_deg=5)
    >>> out = fx.regions(ds, ["nose_tip", "forehead"])
    >>> out.embedding.dims
    ('subject', 'session', 'time', 'feature')
    >>> bool(
    ...     (
    ...         out.embedding.sel(feature="nose_tip") < out.embedding.sel(feature="forehead")
    ...     ).all()
    ... )
    True
    """
    x = heatmap(heat)
    schema.require_dims(x, schema.TIME, schema.Y, schema.X)
    schema.require_real(x)
    require_whole_frames(x)
    motion = require_choice("motion", motion, kernel.MOTIONS)
    refine = require_count("refine", refine, 0)
    faces = require_flag("faces", faces)
    face = template_of(x, names, template)
    clock = Clock.of(heat)
    x = background.visible(x, threshold).transpose(..., schema.TIME, schema.Y, schema.X)
    x = x.drop_vars([d for d in (schema.Y, schema.X) if d in x.coords])
    if isinstance(x.data, da.Array):  # every pass reads, with one task a chunk
        alone = recipes.in_one(x.data)
        x = x if alone is None else x.copy(data=alone)
    packed = mean_faces(x, face, refine)
    n = face.weights.sizes[schema.FEATURE]
    fields = Fields(embedding=(n,), coverage=(n,), drift=(n,), landmark=(n, 2), residual=())
    work = partial(_measured, motion=motion, faces=face.fields, fields=fields)
    constants = face.spots.data, face.weights.data
    values = _per_chunk(work, x.data, packed.data, constants, fields.size)
    frames = x.isel({schema.Y: 0, schema.X: 0}, drop=True)
    measured = xr.DataArray(values, dims=[*frames.dims, "field"], coords=frames.coords)
    out = _unpacked(measured, packed, fields, face, faces)
    describe(out, _TEXTS)
    about = {"long_name": "mean temperature of the region", "units": "degC"}
    out[schema.EMBEDDING].attrs = {**about, **clock.attrs}
    return out.assign_attrs(motion=motion, **clock.attrs)


def _per_chunk(work: Any, x: Any, packed: Any, constants: tuple[Any, Any], n: int) -> Any:
    """``(…, t, n)``; the pixels are read again, chunk by chunk, once the faces are there."""
    if not any(isinstance(a, da.Array) for a in (x, packed, *constants)):
        return work(x, packed, *constants)
    packed, spots, weights = (da.asarray(a) for a in (packed, *constants))
    pixels = again(da.asarray(x), packed, spots, weights)
    *axes, time, _, _ = range(pixels.ndim)
    return da.blockwise(
        work, (*axes, time, 100), pixels, tuple(range(pixels.ndim)), packed, (*axes, 200),
        spots, (300, 301, 302), weights, (303, 304, 305), concatenate=True,
        new_axes={100: n}, dtype=np.float64, meta=np.empty((0,) * (time + 2)),
    )  # fmt: skip


def _measured(
    x: Any, people: Any, spots: Any, weights: Any, motion: str, faces: Fields, fields: Fields
) -> Any:
    """``(..., t, y, x), (..., packed), … -> (..., t, field)``."""
    grid = Grid(*faces.shapes["face"])
    middle = np.tensordot(weights, grid.places(), 2) / weights.sum(axis=(1, 2))[:, None]
    middle = np.concatenate([middle, np.ones((len(middle), 1))], axis=1)
    out = np.full((*x.shape[:-2], fields.size), np.nan)
    for where in np.ndindex(x.shape[:-3]):
        at = faces.part(people[where], "map")
        to = kernel.reference(faces.part(people[where], "face"), spots, motion)
        inside = np.ascontiguousarray(weights[:, to.seen])
        found = kernel.register(x[where], to, at, motion, inside)
        known = np.isfinite(found.residual)
        whole = weights.sum(axis=(1, 2))
        coverage = np.where(known[:, None], found.sums[..., 1] / whole, np.nan)
        enough = coverage >= kernel.FEWEST
        mean = found.sums[..., 0] / np.where(enough, found.sums[..., 1], 1)
        landmark = np.einsum("tij,rj->tri", found.maps, middle)
        drift = np.linalg.norm(landmark - middle @ at.T, axis=-1)
        out[where] = fields.pack(
            embedding=np.where(enough, mean, np.nan), coverage=coverage, drift=drift,
            landmark=landmark, residual=found.residual,
        )  # fmt: skip
    return out


def _unpacked(
    measured: xr.DataArray, packed: xr.DataArray, fields: Fields, face: Template, faces: bool
) -> xr.Dataset:
    dims = {"residual": (), "landmark": (schema.FEATURE, schema.AXIS)}
    lead = measured.dims[:-1]
    out = xr.Dataset(
        {
            name: (
                (*lead, *dims.get(name, (schema.FEATURE,))), fields.part(measured.data, name)
            )
            for name in fields.shapes
        },
        coords={
            **measured.coords,
            schema.FEATURE: face.weights[schema.FEATURE].values,
            schema.AXIS: ["x", "y"],
        },
    )  # fmt: skip
    of = face.fields
    out["match"] = (packed.dims[:-1], of.part(packed.data, "match"))
    if faces:
        on_grid = (schema.Y, schema.X)
        out["reference"] = ((*packed.dims[:-1], *on_grid), of.part(packed.data, "face"))
        out["weight"] = ((schema.FEATURE, *on_grid), face.weights.data)
    return out
