"""Opening feature streams: landmarks, action units, head pose and embeddings per frame."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import clock, schema
from fhemb_xr.dask_internals import is_in_memory
from fhemb_xr.errors import SchemaError
from fhemb_xr.io import encoding, icechunk_versions, opening, provenance
from fhemb_xr.io.formats import codec_pipeline, decimals, hdf5, ragged
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.remote import places

Streams = xr.Dataset | xr.DataTree


def open_streams(
    store: Any,
    *,
    chunks: Any = {},  # noqa: B006  (xarray's own)
    sampling_rate: float | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Streams:
    """Open feature streams, labelled and lazy.

    Parameters
    ----------
    store
        Zarr store of :func:`save`: a path, an address or a store object. Or an HDF5 file in
        the layout of NoXi-Re's scripts (extra ``streams``).
    chunks
        Length of a dask chunk along each dimension, as in :meth:`xarray.Dataset.chunk`.
        ``{}`` takes the chunks on disk, gathered to at most 32 MiB. ``None`` gives xarray's
        lazily indexed arrays, without dask; they are the fastest for training windows. An
        HDF5 file is then always a tree.
    sampling_rate
        Sampling rate of an HDF5 file that states none [Hz]. None: 25 Hz, with a warning. What
        states its own rate is refused another.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Returns
    -------
    Streams
        If all recordings have the same length, a Dataset with the dimensions ``session``,
        ``person``, ``frame``. Otherwise a DataTree ``/session/person`` of Datasets. The
        variables have the names in :data:`fhemb_xr.schema.STREAMS`: ``face(frame, landmark,
        xy)``, ``aus(frame, au)``, ``head(frame, pose)``, ``vit(frame, embedding)``. Each has
        its normalisation policy in ``attrs["normalization"]``. All share ``time(frame)`` [s].

    Raises
    ------
    StoreError
        There is no store, or it is unfinished or damaged.
    SchemaError
        The store holds no streams.

    Notes
    -----
    Memory: a chunk. Tasks: one per chunk. Computes at call: none; labels are read.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> ds = fx.testing.streams(n_frames=200)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(ds, f"{folder}/a.zarr")
    ...     again = fx.open_streams(f"{folder}/a.zarr")
    >>> again.aus.dims
    ('session', 'person', 'frame', 'au')
    """
    local = atomic_files.local_path(store)
    if local is not None and hdf5.is_hdf5(local):
        each = [*hdf5.recordings(local)]
        rate = _rate_of(local, sampling_rate)
        found = {(s, p): chunked(clocked(ds, rate), chunks) for s, p, ds in each}
        return assembled(found, {schema.SAMPLING_RATE: rate})
    where = places.to_read(icechunk_versions.store_of(store), storage_options)
    ds = _direct(opening.opened(where, None), where)
    if ds.attrs.get(provenance.KIND) != "streams":
        kind = ds.attrs.get(provenance.KIND, "something else")
        raise SchemaError(f"expected feature streams, the store holds a {kind}")
    _require_stated(ds, sampling_rate)
    if ragged.ROWS not in ds.variables:
        return chunked(ds, chunks)
    tree = ragged.tree(ds)
    return tree.map_over_datasets(lambda leaf: chunked(leaf, chunks))


def _rate_of(path: Path, asked: float | None) -> float:
    """The rate of an HDF5 file [Hz]: what it states, what is asked for, or a guess."""
    stated = hdf5.stated_hz(path)
    if stated is not None and asked is None:
        return stated
    if stated is not None and clock.positive_hz("sampling_rate", asked) != stated:
        raise SchemaError(
            f"asked for sampling_rate={asked!r}, {path.name!r} states {stated:g} Hz: leave "
            "it out"
        )
    return clock.assumed_hz(asked, f"{path.name!r} states no rate", "sampling_rate")


def _require_stated(ds: xr.Dataset, asked: float | None) -> None:
    """Refuse a rate that a store does not state."""
    stated = clock.attribute_hz(ds)
    if asked is not None and clock.positive_hz("sampling_rate", asked) != stated:
        raise SchemaError(
            f"asked for sampling_rate={asked!r}, the store states {stated} Hz: leave it "
            "out, or set it with .assign_attrs(sampling_rate=...)"
        )


def _direct(ds: xr.Dataset, where: Any) -> xr.Dataset:
    """``ds`` whose numbers along ``frame`` are read directly from the Zarr arrays."""
    import zarr

    with codec_pipeline.reading(where if isinstance(where, Path) else None):
        group: Any = zarr.open_group(where, mode="r")
        plain = [
            n
            for n, v in ds.data_vars.items()
            if schema.FRAME in v.dims and v.dtype.kind in "fiu"
        ]
        variables = {n: decimals.direct(ds[n].variable, group[str(n)]) for n in plain}
    return ds.assign({n: v for n, v in variables.items() if v.dtype == ds[n].dtype})


def assembled(
    found: Mapping[tuple[str, str], xr.Dataset], attrs: Mapping[str, Any] = {}
) -> Streams:
    """Recordings by session and person as one Dataset, or as a tree if their lengths differ.

    Parameters
    ----------
    found
        Streams of each session and person.
    attrs
        Attributes of the whole.

    Raises
    ------
    SchemaError
        There are no recordings.
    """
    if not found:
        raise SchemaError("there are no recordings: nothing can be opened")
    sessions, persons = (list(dict.fromkeys(labels)) for labels in zip(*found, strict=True))
    shapes = {frozenset((n, v.shape) for n, v in ds.data_vars.items()) for ds in found.values()}
    variables = [v for ds in found.values() for v in ds.variables.values()]
    # concat would take the clock of the first recording for all
    one_clock = len({_clock_of(ds) for ds in found.values()}) == 1
    lazy = all(v.chunks or is_in_memory(v) for v in variables)
    if (
        not one_clock
        or len(shapes) > 1
        or len(found) < len(sessions) * len(persons)
        or not lazy
    ):
        # labels that all recordings share go to the root
        named = {d: c for ds in found.values() for d, c in ds.coords.items() if c.dims == (d,)}
        named.pop(schema.FRAME, None)
        nodes = {f"{s}/{p}": ds for (s, p), ds in found.items()}
        root = xr.Dataset(coords=named, attrs=dict(attrs))
        return xr.DataTree.from_dict({"/": root, **nodes})
    people, series = xr.Variable(schema.PERSON, persons), xr.Variable(schema.SESSION, sessions)
    rows = [xr.concat([found[s, p] for p in persons], people, **_SAME) for s in sessions]
    return xr.concat(rows, series, **_SAME).assign_attrs(attrs)


def _clock_of(ds: xr.Dataset) -> tuple[bytes, ...]:
    """Frame numbers and times, rounded to microseconds, as a key that identifies a clock."""
    known = [n for n in (schema.FRAME, schema.TIME) if n in ds.coords]
    return tuple(np.rint(np.asarray(ds[n].values, np.float64) * 1e6).tobytes() for n in known)


_SAME: Any = {
    "data_vars": "all",
    "coords": "minimal",
    "compat": "override",  # nothing is compared: that would read it
    "join": "override",
    "combine_attrs": "override",
}


def clocked(ds: xr.Dataset, rate_hz: float, first: int = 0) -> xr.Dataset:
    """``ds`` with frame numbers and seconds along ``frame``."""
    frame = np.arange(first, first + ds.sizes[schema.FRAME], dtype=np.int64)
    seconds = (schema.FRAME, frame / rate_hz, {"units": "s", "axis": "T"})
    out = ds.assign_coords({schema.FRAME: frame, schema.TIME: seconds})
    return out.assign_attrs({schema.SAMPLING_RATE: float(rate_hz)})


def chunked(ds: xr.Dataset, chunks: Any) -> xr.Dataset:
    """``ds`` in dask chunks: chunks on disk are gathered as far as a task may hold them."""
    if chunks is None:
        return ds
    lazy = {n: v for n, v in ds.data_vars.items() if schema.FRAME in v.dims}
    return ds.assign({n: v.chunk(_cut(v.variable) | dict(chunks)) for n, v in lazy.items()})


def _cut(var: xr.Variable) -> dict[Any, int]:
    one: dict[Any, int] = {d: 1 for d in schema.WHO if d in var.dims}
    row = math.prod({**var.sizes, **one, schema.FRAME: var.dtype.itemsize}.values())
    frames = max(1, encoding.CHUNK_BYTES // max(row, 1))
    stored = var.encoding.get("chunks") or var.encoding.get("chunksizes") or var.shape
    together = max(1, stored[var.dims.index(schema.FRAME)])
    return one | {schema.FRAME: max(together, frames // together * together)}
