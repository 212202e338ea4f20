"""Opening feature streams of other tools: NumPy embeddings, SSI skeletons, whole folders.

:func:`fhemb_xr.open_streams` opens Zarr stores and HDF5 files of NoXi-Re's scripts;
:mod:`ingest.streams.openface` opens tables of OpenFace.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import clock, schema
from fhemb_xr.errors import SchemaError, SourceError
from fhemb_xr.io import encoding, streams
from fhemb_xr.typing import Ints
from ingest.streams.openface import STREAMS, face_ids, open_openface, several_a_frame

_TYPES = {"FLOAT": "<f4", "DOUBLE": "<f8", "SHORT": "<i2", "INT": "<i4"}


def open_npy(
    path: Path | str, stream: str = schema.VIT, *, rate_hz: float | None = None
) -> xr.Dataset:
    """Open a NumPy file ``(frame, …)`` as one stream, lazily.

    Parameters
    ----------
    path
        File ``.npy``; nothing is unpickled.
    stream
        Name of the variable; the name of a known stream gives its dimensions and attributes.
    rate_hz
        Frames a second [Hz]. None: 25 Hz, with a warning.

    Returns
    -------
    Dataset
        Dataset with one variable.

    Raises
    ------
    SourceError
        There is no such file, or it holds no array.
    SchemaError
        The array lacks the dimensions of the stream.

    Notes
    -----
    Memory: a chunk, at most 32 MiB. Tasks: one per chunk. Computes at call: none.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from ingest.streams import open_npy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.ones((50, 8), "f4"))
    ...     open_npy(f"{folder}/a.npy", rate_hz=25).vit.dims
    ('frame', 'embedding')
    """
    path = Path(path)
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no array of NumPy"
        raise SourceError(f"{path.name!r} cannot be read: {why}") from None
    data = _blocks(_npy, str(path), whole.shape, whole.dtype)
    rate = clock.assumed_hz(rate_hz, f"{path.name!r} states no rate")
    return _one(stream, data, path.name, rate)


def open_skeleton(
    path: Path | str, *, joints: int = 25, rate_hz: float | None = None
) -> xr.Dataset:
    """Open a skeleton stream of SSI, ``skeleton(frame, joint, part)``, lazily.

    Parameters
    ----------
    path
        Header file ``….stream``, or the file of numbers ``….stream~`` beside it. Without a
        header a frame has 350 float32 numbers, as in NoXi.
    joints
        Number of joints of a frame. The parts of a joint are (numbers of a frame) / joints; the
        first three parts are x, y and z.
    rate_hz
        Frames a second, where no header says it [Hz]. None: 25 Hz, with a warning.

    Returns
    -------
    Dataset
        Dataset with ``skeleton``.

    Raises
    ------
    SourceError
        There is no such file.
    SchemaError
        The number of values differs from the header, or a frame cannot be divided into joints.

    Notes
    -----
    Memory: a chunk, at most 32 MiB. Tasks: one per chunk. Computes at call: none.

    References
    ----------
    - Wagner, Lingenfelser, Baur et al. (2013), ACM Multimedia, 831-834,
      doi:10.1145/2502081.2502223.
    """
    name = str(path).removesuffix("~")
    numbers, header = Path(f"{name}~"), Path(name)
    about = _header(header) if header.is_file() else {}
    dim, dtype = int(about.get("dim", 350)), np.dtype(_TYPES[about.get("type", "FLOAT")])
    try:
        size = numbers.stat().st_size
    except OSError as error:
        raise SourceError(f"{numbers.name!r} cannot be read: {error.strerror}") from None
    n_frames, rest = divmod(size, dim * dtype.itemsize)
    if rest or n_frames != int(about.get("num", n_frames)):
        raise SchemaError(
            f"{numbers.name!r} has {size} bytes, expected {about.get('num', 'whole')} frames "
            f"of {dim} {dtype.name}: is it cut off?"
        )
    if dim % joints:
        raise SchemaError(f"a frame of {dim} numbers cannot be divided into {joints} joints")
    data = _blocks(_raw, str(numbers), (n_frames, dim), dtype)
    data = data.reshape((n_frames, joints, dim // joints))
    if "sr" in about:
        rate = clock.positive_hz(f"sr of {header.name!r}", float(about["sr"]))
        if rate_hz is not None and clock.positive_hz("rate_hz", rate_hz) != rate:
            raise SchemaError(
                f"asked for rate_hz={rate_hz!r}, {header.name!r} says {rate:g} Hz"
            )
    else:
        rate = clock.assumed_hz(rate_hz, f"{numbers.name!r} states no rate")
    return _one(schema.SKELETON, data, numbers.name, rate)


def open_folder(
    folder: Path | str | Sequence[Path | str],
    *,
    persons: Sequence[str] = ("expert", "novice"),
    stream: str = schema.VIT,
    rate_hz: float | None = None,
    variables: Sequence[str] = STREAMS,
    min_confidence: float = 0.0,
    masked: bool = True,
) -> streams.Streams:
    """Open all ``<session>_<person>.csv`` and ``.npy`` of a folder, by session and person.

    Parameters
    ----------
    folder
        Folder with OpenFace's tables, NumPy files, or both; or several folders. Files of one
        person are joined by frame number; a file without a frame gives NaN.
    persons
        Names of the persons, with which the file names end.
    stream
        Name of the stream in the NumPy files.
    rate_hz
        Frames a second of NumPy files [Hz]. None: those of a table beside it, or 25 Hz with a
        warning.
    variables, min_confidence, masked
        Options of :func:`open_openface`. A table with several faces in a frame becomes several
        persons, ``<person>_<face_id>``.

    Returns
    -------
    streams.Streams
        Streams as :func:`fhemb_xr.open_streams` returns them: a Dataset, or a DataTree if
        lengths differ.

    Raises
    ------
    SourceError
        No file has such a name.
    SchemaError
        The content of a file differs from its name.

    Notes
    -----
    Memory, tasks: those of :func:`open_openface` and :func:`open_npy`. Computes at call: none.
    """
    recordings: dict[tuple[str, str], list[xr.Dataset]] = {}
    folders = [Path(f) for f in ([folder] if isinstance(folder, Path | str) else folder)]
    files = [path for f in folders if f.is_dir() for path in f.iterdir()]
    for path in sorted(files, key=lambda p: p.name):  # a table before the array beside it
        session, _, person = path.stem.rpartition("_")
        if path.suffix.lower() not in (".csv", ".npy") or person not in persons or not session:
            continue
        if path.suffix.lower() == ".npy":
            beside = recordings.get((session, person), [])
            known = beside[0].attrs[schema.SAMPLING_RATE] if beside else None
            rate = known if rate_hz is None else rate_hz
            opened = {person: open_npy(path, stream, rate_hz=rate)}
        else:
            options: Any = {"variables": variables, "min_confidence": min_confidence}
            opened = _tables(path, person, options | {"masked": masked})
        for who, ds in opened.items():
            recordings.setdefault((session, who), []).append(ds)
    if not recordings:
        ends = " or ".join(f"_{p}.csv, _{p}.npy" for p in persons)
        where = ", ".join(repr(f.name) for f in folders)
        raise SourceError(f"no file in {where} ends in {ends}")
    return streams.assembled({who: _joined(parts) for who, parts in recordings.items()})


def _tables(path: Path, person: str, options: dict[str, Any]) -> dict[str, xr.Dataset]:
    """Streams of one person, or of several persons if frames have several faces."""
    faces = face_ids(path)
    if len(faces) == 1 or not several_a_frame(path):
        return {person: open_openface(path, **options)}
    return {f"{person}_{face}": open_openface(path, face_id=face, **options) for face in faces}


def _joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the streams of one recording by frame number, on the clock of the first."""
    if len(parts) == 1:
        return parts[0]
    bare = [p.drop_vars(schema.TIME) for p in parts]
    ds = xr.merge(bare, join="outer", combine_attrs="override", compat="no_conflicts")
    first = int(ds.indexes[schema.FRAME][0])
    out = streams.clocked(ds, schema.sampling_rate(parts[0]), first)
    uneven = next((p for p in parts if not _is_line(p)), None)
    if uneven is None:
        return out
    places = out.indexes[schema.FRAME].get_indexer(uneven.indexes[schema.FRAME])
    seconds = out[schema.TIME].values.copy()
    seconds[places] = uneven[schema.TIME].values  # an uneven clock was measured
    return out.assign_coords({schema.TIME: out[schema.TIME].copy(data=seconds)})


def _is_line(ds: xr.Dataset) -> bool:
    line = ds[schema.FRAME].values / ds.attrs[schema.SAMPLING_RATE]
    return bool(np.allclose(ds[schema.TIME].values, line, rtol=0, atol=1e-9))


def _one(stream: str, data: Any, name: str, rate_hz: float) -> xr.Dataset:
    known = schema.STREAMS.get(stream)
    others = (f"{stream}_{i}" for i in range(1, data.ndim))
    dims = known.dims if known else (schema.FRAME, *others)
    if len(dims) != data.ndim or data.dtype.kind not in "fiu":
        raise SchemaError(
            f"{name!r} holds {data.dtype} of shape {data.shape}, expected numbers {dims}"
        )
    attrs = {**(known.attrs if known else {}), schema.POLICY: "none"}
    ds = xr.Dataset({stream: (dims, data.astype(np.float32), attrs)})
    return streams.clocked(ds.assign_coords(schema.labels(dict(ds.sizes))), rate_hz)


def _blocks(read: Any, path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A lazy array of a file, cut along its frames into pieces that fit a task."""
    import dask.array as da

    row = int(np.prod(shape[1:])) * dtype.itemsize
    step = max(1, encoding.CHUNK_BYTES // max(row, 1))
    starts = np.arange(0, max(shape[0], 1), step)
    spans = np.stack([starts, np.minimum(starts + step, shape[0])], axis=1)
    cut = (tuple((spans[:, 1] - spans[:, 0]).tolist()), *((n,) for n in shape[1:]))
    index = da.from_array(spans, chunks=(1, 2))
    return index.map_blocks(
        read, path, shape[1:], dtype, chunks=cut, dtype=dtype, drop_axis=1,
        new_axis=list(range(1, len(shape))), meta=np.empty((0,) * len(shape), dtype),
    )  # fmt: skip


def _npy(span: Ints, path: str, row: tuple[int, ...], dtype: Any) -> Any:
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[slice(*span[0])])


def _raw(span: Ints, path: str, row: tuple[int, ...], dtype: Any) -> Any:
    n = int(np.prod(row))
    start, stop = map(int, span[0])
    read = np.fromfile(path, dtype, (stop - start) * n, offset=start * n * dtype.itemsize)
    return read.reshape((stop - start, *row))


def _header(path: Path) -> Mapping[str, str]:
    """Attributes of a stream's header: rate, numbers per frame, their type, frames."""
    import re

    text = path.read_text(encoding="utf-8", errors="replace")
    about = dict(re.findall(r'\b(sr|dim|type|num|ftype)="([^"]*)"', text))
    if about.get("ftype", "BINARY") != "BINARY" or about.get("type", "FLOAT") not in _TYPES:
        raise SchemaError(
            f"{path.name!r} describes {about.get('ftype')} {about.get('type')}: binary streams "
            f"of {list(_TYPES)} can be read"
        )
    return about
