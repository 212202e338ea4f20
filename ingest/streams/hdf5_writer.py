"""Writing feature streams to HDF5 in the layout that NoXi-Re's scripts read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import attribute_hz
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import encoding, provenance
from fhemb_xr.io.formats import hdf5
from fhemb_xr.io.local import systems
from fhemb_xr.io.streams import Streams

_KINDS = {(True, False): "openface", (False, True): "vit", (True, True): "mixed"}


def write_hdf5(streams: Streams, path: Path | str, *, mode: str = "w-", gzip: int = 4) -> None:
    """Write streams to HDF5 in the layout of NoXi-Re's scripts.

    The file holds ``sample_names`` and ``sample_000/<person>/<stream>`` as float32, with the
    attributes that the scripts read. It also holds our attributes, so that
    :func:`fhemb_xr.open_streams` returns the same streams.

    Parameters
    ----------
    streams
        Dataset with ``session`` and ``person``, or a DataTree ``/session/person``.
    path
        Path of the file.
    mode
        ``"w-"`` refuses to overwrite a file, ``"w"`` replaces it.
    gzip
        Level of compression; the default is that of the scripts.

    Raises
    ------
    StoreError
        The file exists.
    SchemaError
        The streams have no sessions and persons.

    Notes
    -----
    Memory: 32 MiB of one stream. Computes at call: one per piece of a stream. The file appears
    under its name when it is complete. It has no checksums; use Zarr to keep data.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> from ingest.streams import write_hdf5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_hdf5(fx.testing.streams(n_frames=50), f"{folder}/a.h5")
    ...     fx.open_streams(f"{folder}/a.h5").session.values.tolist()
    ['001', '002']
    """
    import h5py

    target = Path(path)
    if mode not in ("w-", "w"):
        raise ValueError(f"mode is 'w-' (refuse to overwrite) or 'w' (replace), found {mode!r}")
    if target.exists() and mode == "w-":
        raise StoreError(f"{target.name!r} is there already: mode='w' replaces it")
    sessions = _sessions(streams)
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with h5py.File(aside, "w") as file:
            _describe(file, sessions)
            for i, (name, people) in enumerate(sessions.items()):
                _sample(file.create_group(hdf5.group(i)), name, people, gzip)
        systems.sync_file(aside)
        systems.replace(aside, target)
        systems.sync_folder(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def _sessions(streams: Streams) -> dict[str, dict[str, xr.Dataset]]:
    """Recordings by session and person."""
    out: dict[str, dict[str, xr.Dataset]] = {}
    for session, person, ds in _recordings(streams):
        out.setdefault(session, {})[person] = ds
    if not out:
        raise SchemaError("streams for HDF5 have sessions and persons, found none")
    return out


def _recordings(streams: Streams) -> Iterator[tuple[str, str, xr.Dataset]]:
    if isinstance(streams, xr.DataTree):
        for leaf in streams.leaves:
            parts = leaf.path.strip("/").split("/")
            if len(parts) == 2:
                yield parts[0], parts[1], leaf.to_dataset()
        return
    missing = [d for d in schema.WHO if d not in streams.indexes]
    if missing:
        raise SchemaError(
            f"streams for HDF5 have labelled dimensions {schema.WHO}, missing are {missing}: "
            "add them with .expand_dims(...)"
        )
    for session in streams.indexes[schema.SESSION]:
        for person in streams.indexes[schema.PERSON]:
            yield str(session), str(person), streams.sel(session=session, person=person)


def _clock_attrs(sessions: dict[str, dict[str, xr.Dataset]]) -> dict[str, float]:
    """The rate of all recordings, if they have one in common."""
    each = {attribute_hz(ds) for people in sessions.values() for ds in people.values()}
    (rate,) = each if len(each) == 1 else (None,)
    return {} if rate is None else {schema.SAMPLING_RATE: rate}


def _describe(file: Any, sessions: dict[str, dict[str, xr.Dataset]]) -> None:
    import h5py

    first = next(iter(next(iter(sessions.values())).values()))
    names = [str(n) for n, v in first.data_vars.items() if schema.FRAME in v.dims]
    has = (schema.FACE in names, schema.VIT in names)
    policy = first[schema.VIT].attrs.get(schema.POLICY, "none") if has[1] else "none"
    shapes = (f"{n}: (T, {', '.join(map(str, first[n].shape[1:]))})" for n in names)
    file.attrs.update(
        {
            hdf5.COUNT: len(sessions),
            "feature_type": _KINDS.get(has, "other"),
            "vit_normalization": policy,
            "description": "feature streams",
            "features": ", ".join(shapes),
        }
    )
    file.attrs.update(_clock_attrs(sessions))
    text = h5py.string_dtype(encoding="utf-8")
    file.create_dataset(hdf5.NAMES, data=[*sessions], dtype=text)


def _sample(group: Any, name: str, people: dict[str, xr.Dataset], gzip: int) -> None:
    group.attrs["sample_name"] = name
    for person, ds in people.items():
        n_frames = ds.sizes[schema.FRAME]
        group.attrs[f"num_frames_{person}"] = n_frames
        member = group.create_group(person)
        member.attrs["num_frames"] = n_frames
        for stream, var in ds.data_vars.items():
            if schema.FRAME in var.dims:
                _dataset(member, str(stream), var, gzip)


def _dataset(group: Any, name: str, var: xr.DataArray, gzip: int) -> None:
    var = var.transpose(schema.FRAME, ...)
    row = int(np.prod(var.shape[1:])) * 4
    step = max(1, encoding.CHUNK_BYTES // row)
    dataset = group.create_dataset(
        name, var.shape, dtype="float32", compression="gzip", compression_opts=gzip
    )
    for start in range(0, var.shape[0], step):
        span = slice(start, start + step)
        dataset[span] = var.isel(frame=span).values
    for key, value in {schema.POLICY: "none", **var.attrs}.items():
        plain = provenance.plain(value)
        text = " ".join(map(str, plain)) if isinstance(plain, list) else plain
        dataset.attrs[str(key)] = text
    if name == schema.VIT:
        dataset.attrs["embedding_dim"] = var.shape[-1]
