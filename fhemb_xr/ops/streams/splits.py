"""Recordings of feature streams, one by one, and which part of a study each belongs to."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.dask_internals import is_in_memory
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.units import require_one_scale

Streams = xr.Dataset | xr.DataTree
AnyStreams = TypeVar("AnyStreams", xr.Dataset, xr.DataTree)
PARTS: Mapping[str, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}


def recordings(streams: Streams) -> Iterator[tuple[dict[str, str], xr.Dataset]]:
    """Session and person, and streams along ``frame``, of every recording."""
    if isinstance(streams, xr.DataTree):
        for leaf in streams.leaves:
            if schema.FRAME in leaf.sizes:
                levels = leaf.path.strip("/").split("/")
                yield dict(zip(schema.WHO, levels, strict=False)), leaf.to_dataset()
        return
    dims = [d for d in schema.WHO if d in streams.dims]
    for place in np.ndindex(*(streams.sizes[d] for d in dims)):
        at = dict(zip(dims, place, strict=True))
        who = {d: str(streams[d].values[i]) if d in streams.coords else str(i)
               for d, i in at.items()}  # fmt: skip
        yield who, streams.isel(at)


def split(
    streams: AnyStreams,
    parts: Mapping[str, float] = PARTS,
    *,
    by: str = schema.SESSION,
    seed: int = 0,
) -> AnyStreams:
    """Whole sessions or persons into parts, as a coordinate ``split``.

    No session or person is in two parts, so that a test sees no window of what was trained on.

    Parameters
    ----------
    streams
        Feature streams; or any Dataset with a labelled dimension.
    parts
        Names and shares, which need not sum to one. Every part with a share gets one label at
        least, where there are as many.
    by
        ``"session"``, ``"person"``, or any coordinate that names who is who, e.g. ``subject``:
        where ``person`` is a role such as expert, the same role is another human each time.
    seed
        Same seed, same parts, whatever the order of the data.

    Returns
    -------
    AnyStreams
        The same, with ``split`` along the dimensions of ``by``; in a tree, in each recording.

    Raises
    ------
    UnknownNameError
        There is no such coordinate.
    ValueError
        There are fewer labels than parts, or a share is negative.

    Notes
    -----
    Memory, tasks: none. Computes at call: none; the labels are read.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.split(fx.testing.streams(5, 50))
    >>> sorted(ds.split.values.tolist())
    ['test', 'train', 'train', 'train', 'validation']
    """
    if isinstance(streams, xr.DataTree):
        leaves = {n.path: n.to_dataset(inherit=False) for n in streams.subtree}
        own = {n.path: _label(n, by) for n in streams.leaves if schema.FRAME in n.sizes}
        chosen = _assigned(own.values(), parts, by, seed)
        for path, label in own.items():
            leaves[path] = leaves[path].assign_coords({schema.SPLIT: chosen[label]})
        return xr.DataTree.from_dict(leaves)
    if by not in streams.coords:
        raise unknown_name("coordinate", by, streams.coords)
    names = streams[by].astype(str)
    chosen = _assigned(names.values.ravel().tolist(), parts, by, seed)
    found = np.vectorize(chosen.__getitem__, otypes=[object])(names.values).astype(str)
    return streams.assign_coords({schema.SPLIT: (names.dims, found)})


def _label(leaf: xr.DataTree, by: str) -> str:
    levels = dict(zip(schema.WHO, leaf.path.strip("/").split("/"), strict=False))
    if by in levels:
        return levels[by]
    if by not in leaf.coords or leaf.coords[by].ndim:
        there = [*levels, *map(str, leaf.coords)]
        raise UnknownNameError(f"{leaf.path} has no coordinate {by!r}{nearest(by, there)}")
    return str(leaf.coords[by].item())


def _assigned(labels: object, parts: Mapping[str, float], by: str, seed: int) -> dict[str, str]:
    """A part for each label, by the largest remainder, and one label at least for each."""
    names = sorted(set(labels))  # type: ignore[call-overload]
    wanted = {part: share for part, share in parts.items() if share > 0}
    if len(names) < len(wanted) or not wanted or any(s < 0 for s in parts.values()):
        raise ValueError(
            f"{len(names)} labels of {by!r} cannot be split into parts of {dict(parts)}: there "
            "must be one label for each part, and no share below 0"
        )
    exact = np.array([*wanted.values()]) / sum(wanted.values()) * len(names)
    count = np.floor(exact).astype(int)
    count[np.argsort(count - exact, kind="stable")[: len(names) - count.sum()]] += 1
    for empty in np.flatnonzero(count == 0):
        count[count.argmax()] -= 1
        count[empty] = 1
    order = np.random.default_rng(seed).permutation(len(names))
    of = np.repeat([*wanted], count)
    return {names[i]: str(part) for i, part in zip(order, of, strict=True)}


def of_part(streams: Streams, part: str | None) -> list[xr.Dataset]:
    """The recordings of a part; all of them for None, or where nothing is split.

    Raises
    ------
    UnknownNameError
        No recording is in that part.
    """
    each = [ds for _, ds in recordings(streams)]
    if not each:
        raise SchemaError("there are no recordings: streams have the dimension 'frame'")
    if part is None or not any(schema.SPLIT in ds.coords for ds in each):
        return each
    labels = [str(ds.coords[schema.SPLIT].item()) for ds in each]
    if part not in labels:
        raise unknown_name("recording is in the part", part, dict.fromkeys(labels))
    return [ds for ds, label in zip(each, labels, strict=True) if label == part]


def pooled(each: list[xr.Dataset], name: str) -> xr.DataArray:
    """One stream of several recordings, one after the other along ``frame``.

    Raises
    ------
    UnknownNameError
        No recording has that stream.
    SchemaError
        Recordings have it in several units, or normalised in several ways.
    """
    found = [ds[name].variable for ds in each if name in ds.data_vars]
    if not found:
        there = dict.fromkeys(str(n) for ds in each for n in ds.data_vars)
        raise unknown_name("stream", name, there)
    require_one_scale([ds[name] for ds in each if name in ds.data_vars], name)
    lazy = [v if v.chunks or is_in_memory(v) else v.chunk() for v in found]
    labels = {d: c for d, c in each[0].coords.items() if c.dims == (d,) and d != schema.FRAME}
    whole = xr.Variable.concat(lazy, schema.FRAME)
    kept = {d: c for d, c in labels.items() if d in whole.dims}
    return xr.DataArray(whole, coords=kept, name=name)
