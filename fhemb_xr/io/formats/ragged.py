"""Recordings of unequal length as one flat Dataset, and back to a tree.

This is the contiguous ragged array of CF: the frames of all recordings follow each other along
``frame``, and ``n_frame(recording)`` holds their lengths. A store of a hundred recordings
therefore has as many arrays as a store of one. It is opened, written and verified like any
other store.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError

RECORDING, ROWS = "recording", "n_frame"
ABSENT = "fhemb_absent"
"""Attribute that lists, by path, the streams that a recording lacks."""
_AXES = (schema.FRAME, RECORDING)


def flat(tree: xr.DataTree) -> xr.Dataset:
    """Join a tree ``/session/person`` of streams to one lazy Dataset with all attributes.

    Raises
    ------
    SchemaError
        The tree has other levels, or a stream differs in its dimensions.
    """
    leaves = {n.path: n.to_dataset() for n in tree.leaves if schema.FRAME in n.sizes}
    levels = [path.strip("/").split("/") for path in leaves]
    if not leaves or any(len(parts) != len(schema.WHO) for parts in levels):
        raise SchemaError(
            f"a tree of streams has recordings at /{'/'.join(schema.WHO)}, "
            f"found {list(leaves) or tree.groups}"
        )
    root = tree.to_dataset(inherit=False)
    own = {p: ds.drop_vars([n for n in root.variables if n in ds]) for p, ds in leaves.items()}
    out = xr.Dataset(_joined(own) | dict(root.variables), attrs=root.attrs)
    for dim, names in zip(schema.WHO, zip(*levels, strict=True), strict=True):
        out[dim] = (RECORDING, np.asarray(names, dtype=object))
    rows = [ds.sizes[schema.FRAME] for ds in leaves.values()]
    about = {"long_name": "frames of a recording", "sample_dimension": schema.FRAME}
    out[ROWS] = (RECORDING, np.asarray(rows, np.int64), about)
    coords = {n for ds in leaves.values() for n in ds.coords} | set(root.coords)
    absent = {
        p.strip("/"): missing
        for p, ds in leaves.items()
        if (missing := [str(n) for n in out.data_vars if schema.FRAME in out[n].dims
                        and n not in coords and n not in ds])
    }  # fmt: skip
    out = out.assign_attrs({ABSENT: absent} if absent else {})
    return out.set_coords([*coords, *schema.WHO])


def _joined(leaves: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
    """Every variable of all recordings: joined along frames, or one value per recording."""
    names = dict.fromkeys(str(n) for ds in leaves.values() for n in ds.variables)
    out = {}
    for name in names:
        model = next(ds[name].variable for ds in leaves.values() if name in ds.variables)
        parts = [_part(ds, name, model) for ds in leaves.values()]
        if schema.FRAME in model.dims:
            out[name] = xr.Variable.concat(parts, schema.FRAME)
        elif all(p.identical(parts[0]) for p in parts) and model.dims == (name,):
            out[name] = model  # labels that all recordings share
        else:
            out[name] = xr.Variable.concat(parts, RECORDING)
    return out


def _part(ds: xr.Dataset, name: str, model: xr.Variable) -> xr.Variable:
    """The part of a variable from one recording; NaN if the recording lacks the variable."""
    import dask.array as da

    if name in ds.variables:
        part = ds[name].variable
        if part.dims != model.dims or _sizes(model, part) != dict(part.sizes):
            raise SchemaError(
                f"{name!r} is {dict(part.sizes)} in one recording and {dict(model.sizes)} in "
                "another: streams differ in their frames only"
            )
        # without dask, joining would read lazy data now
        return part.to_base_variable().chunk() if part.dims[:1] == (schema.FRAME,) else part
    shape = tuple(_sizes(model, ds).values())
    fill: Any = np.nan if model.dtype.kind == "f" else 0
    return xr.Variable(model.dims, da.full(shape, fill, dtype=model.dtype), model.attrs)


def _sizes(model: xr.Variable, of: xr.Variable | xr.Dataset) -> dict[Any, int]:
    """Sizes of ``model`` with the number of frames of ``of``."""
    n = of.sizes.get(schema.FRAME, 0)
    return {d: n if d == schema.FRAME else size for d, size in model.sizes.items()}


def tree(ds: xr.Dataset) -> xr.DataTree:
    """The inverse of :func:`flat`: a lazy tree.

    Parameters
    ----------
    ds
        Flat Dataset, lazily indexed or of dask arrays.
    """
    rows = ds[ROWS].values.tolist()
    stops = np.cumsum(rows).tolist()
    absent = ds.attrs.get(ABSENT, {})
    each = [n for n, v in ds.variables.items() if set(v.dims) & set(_AXES)]
    root = ds.drop_vars(each)
    root.attrs = {k: v for k, v in root.attrs.items() if k != ABSENT}
    shared = [n for n in root.variables if n not in root.dims]
    frames = ds[each].drop_vars([ROWS])
    nodes: dict[str, xr.Dataset] = {"/": root}
    who = [ds[d].values.tolist() for d in schema.WHO]
    for i, (path, stop) in enumerate(zip(zip(*who, strict=True), stops, strict=True)):
        name = "/".join(map(str, path))
        span = {schema.FRAME: slice(stop - rows[i], stop), RECORDING: i}
        leaf = frames.isel({d: s for d, s in span.items() if d in frames.dims})
        leaf = leaf.drop_vars([*schema.WHO, *shared, *absent.get(name, [])], errors="ignore")
        leaf.attrs = {k: v for k, v in ds.attrs.items() if k == schema.SAMPLING_RATE}
        nodes[name] = leaf
    return xr.DataTree.from_dict(nodes)
