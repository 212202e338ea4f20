"""Opening tables of OpenFace by the names of their columns, for all versions.

Versions differ in their columns, in the order of columns, and in a space after each comma. A
column at the same position may hold another quantity in another version, without an error.
Opening a table reads its first rows, and the columns of frame, clock and face.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SourceError
from fhemb_xr.io import streams
from fhemb_xr.typing import F64, Bools, Ints
from ingest.streams import text_tables
from ingest.streams.openface_tables import (
    CONFIDENCE,
    FACE_ID,
    FRAME,
    LANDMARKS,
    SUCCESS,
    look,
    opened,
    places,
)  # fmt: skip
from ingest.streams.openface_tables import STREAMS as STREAMS
from ingest.streams.openface_tables import columns as columns
from ingest.streams.text_tables import Table


def open_openface(
    path: Path | str,
    *,
    variables: Sequence[str] = STREAMS,
    min_confidence: float = 0.0,
    masked: bool = True,
    face_id: int | None = None,
    rate_hz: float | None = None,
) -> xr.Dataset:
    """Open a table of OpenFace as labelled, lazy streams, by the names of its columns.

    Parameters
    ----------
    path
        CSV file of OpenFace 1 or 2. Tables with decimal commas, and tables that another program
        rewrote, can be read too.
    variables
        Streams to open: ``face``, ``aus``, ``head``. A table without landmarks has only the
        last two.
    min_confidence
        Smallest confidence of a tracked frame.
    masked
        Whether values are NaN if tracking failed; False keeps the printed values.
    face_id
        Face to open, if a table has several faces; :func:`open_people` opens all of them.
    rate_hz
        Frames a second [Hz], for a table whose clock is empty, such as of a folder of pictures.

    Returns
    -------
    Dataset
        Dataset of ``face(frame, landmark, xy)`` [pixel], ``aus(frame, au)`` [0 to 5],
        ``head(frame, pose)`` [mm, rad], float32, with ``success`` and ``confidence`` along
        ``frame``, and ``face_id`` if it changes. A frame that the table lacks is NaN. ``frame``
        counts from 0 at 0 s; ``time`` [s] is the clock of the table.

    Raises
    ------
    SchemaError
        A column, which the error names, is missing; the table has several faces in a frame and
        ``face_id`` is not given; frames or clock do not increase.
    SourceError
        There is no such file, it has no rows, is cut off, or a cell is no number.

    Warns
    -----
    UserWarning
        The clock tells nothing and 25 Hz is assumed, or ``face_id`` changes.

    Notes
    -----
    Memory: 8 bytes per number of the used columns + 32 MiB, in the task that parses the table.
    Tasks: one, and two per stream. Computes at call: none; frames, clock and face of each row
    are read.

    References
    ----------
    - Baltrusaitis, Zadeh, Lim & Morency (2018), IEEE FG, 59-66, doi:10.1109/FG.2018.00019.
    """
    import dask.array as da

    table = look(Path(path), face_id)
    wanted = {name: columns(name) for name in variables}
    table.require(wanted)
    marks = [c for c in (SUCCESS, CONFIDENCE) if c in table.columns]
    used = [*marks, *(c for names in wanted.values() for c in names)]
    cells = da.map_blocks(  # dask's bind cannot read a from_delayed array again
        _parsed, table=table.text, used=[table.columns.index(c) for c in used],
        rows=table.rows, index=table.frames - table.first, n_frames=table.n_frames,
        chunks=((table.n_frames,), (len(used),)), dtype=np.float64, meta=np.empty((0, 0)),
    )  # fmt: skip
    place = {name: i for i, name in enumerate(used)}
    good = _tracked(cells, place, min_confidence)
    out: dict[str, Any] = {n: (schema.FRAME, cells[:, place[n]].astype("f4")) for n in marks}
    for name, names in wanted.items():
        first = place[names[0]]
        part = cells[:, first : first + len(names)].astype(np.float32)
        if masked:
            part = da.where(good[:, None], part, np.float32(np.nan))
        shape = (LANDMARKS, 2) if name == schema.FACE else (len(names),)
        attrs = {**schema.STREAMS[name].attrs, schema.POLICY: "none"} | table.decimals(names)
        data = part.reshape((table.n_frames, *shape))
        out[name] = (schema.STREAMS[name].dims, data, attrs)
    if table.faces is not None:
        out[FACE_ID] = (schema.FRAME, table.faces, {"long_name": "face in the table"})
    ds = xr.Dataset(out)
    ds = ds.assign_coords(schema.labels(dict(ds.sizes)))
    return table.clocked(ds, rate_hz)


def open_people(path: Path | str, **how: Any) -> streams.Streams:
    """Open a table of OpenFace with several faces: each ``face_id`` is a person.

    Parameters
    ----------
    path
        CSV file of OpenFace, with one or several rows a frame.
    how
        Options of :func:`open_openface`, without ``face_id``.

    Returns
    -------
    streams.Streams
        Streams as :func:`fhemb_xr.open_streams` returns them. The session has the name of the
        file; the persons are ``"0"``, ``"1"``, ... If a face is not there for the whole file,
        the result is a DataTree.

    Raises
    ------
    SchemaError, SourceError
        The same as for :func:`open_openface`.

    Notes
    -----
    Memory, tasks: those of :func:`open_openface`, for each person. Computes at call: none.
    OpenFace gives a face that leaves and returns a new number.
    """
    stem = Path(path).stem
    people = {
        (stem, str(face)): open_openface(path, face_id=face, **how) for face in face_ids(path)
    }
    return streams.assembled(people)


def face_ids(path: Path | str) -> list[int]:
    """The sorted faces of a table; ``[0]`` if it has no column of faces."""
    table = opened(Path(path))
    if FACE_ID not in table.columns:
        return [0]
    ids = text_tables.leading(table, [table.columns.index(FACE_ID)])[0]
    return [int(i) for i in np.unique(ids)]


def several_a_frame(path: Path | str) -> bool:
    """Whether a table has several rows for one frame."""
    table = opened(Path(path))
    frames = text_tables.leading(table, places(table, [FRAME]))[0]
    return bool(len(np.unique(frames)) < len(frames))


def _tracked(cells: Any, place: dict[str, int], least: float) -> Any:
    good = cells[:, place[SUCCESS]] > 0 if SUCCESS in place else cells[:, 0] == cells[:, 0]
    return good & (cells[:, place[CONFIDENCE]] >= least) if CONFIDENCE in place else good


def _parsed(table: Table, used: Sequence[int], rows: Bools, index: Ints, n_frames: int) -> F64:
    """The columns ``(frame, column)``, each row at its frame."""
    values = table.read(used).T
    if len(values) != len(rows):
        raise SourceError(
            f"{table.path.name!r} has {len(values)} rows, it had {len(rows)} when it was opened"
        )
    out = np.full((n_frames, len(used)), np.nan)
    out[index] = values[rows]
    return out
