"""OpenFace's tables: columns by their names, whichever version wrote them.

Versions differ in which columns there are, in their order, and in a space after each comma; by
position, the columns of one version are other quantities in another, without an error. When a
table is opened, its first rows are read, and the columns of frame, clock and face.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, SourceError
from fhemb_xr.io import streams
from fhemb_xr.typing import F64, Bools, Ints
from ingest.files.clocks import rate_of
from ingest.streams import text_tables
from ingest.streams.text_tables import Table

FRAME, CLOCK, FACE_ID, SUCCESS, CONFIDENCE = (
    "frame",
    "timestamp",
    "face_id",
    "success",
    "confidence",
)
LANDMARKS = 68
MOST_DECIMALS = 9
"""More printed decimals than these come of a program that wrote the table again."""
_EVEN_S = 1.5e-3
"""A clock printed to a millisecond is even where it differs no more than this from a line."""


def columns(stream: str) -> list[str]:
    """Names of the columns of a stream, in the order of its elements.

    Examples
    --------
    >>> from ingest.streams.openface import columns
    >>> columns("face")[:3], columns("aus")[0], columns("head")[0]
    (['x_0', 'y_0', 'x_1'], 'AU01_r', 'pose_Tx')
    """
    if stream == schema.FACE:
        return [f"{axis}_{i}" for i in range(LANDMARKS) for axis in ("x", "y")]
    pattern = {schema.AUS: "{}_r", schema.HEAD: "pose_{}"}
    if stream not in pattern:
        raise SchemaError(f"OpenFace has no stream {stream!r}: there are {list(STREAMS)}")
    return [pattern[stream].format(label) for label in schema.STREAMS[stream].labels]


STREAMS = (schema.FACE, schema.AUS, schema.HEAD)


def open_openface(
    path: Path | str,
    *,
    variables: Sequence[str] = STREAMS,
    min_confidence: float = 0.0,
    masked: bool = True,
    face_id: int | None = None,
    rate_hz: float | None = None,
) -> xr.Dataset:
    """Open a table of OpenFace as streams: labelled, lazy, and by the names of its columns.

    Parameters
    ----------
    path
        A CSV file of OpenFace 1 or 2. Decimal commas and tables that another program wrote
        again are read, too.
    variables
        Which of ``face``, ``aus``, ``head``; a table without landmarks has the last two.
    min_confidence
        Frames of less confidence count as not tracked.
    masked
        NaN where tracking did not succeed; False keeps what was printed.
    face_id
        Which face, where a table has several; :func:`open_people` opens all of them.
    rate_hz
        Frames a second [Hz] of a table whose clock tells nothing, as of a folder of pictures.

    Returns
    -------
    Dataset of ``face(frame, landmark, xy)`` [pixel], ``aus(frame, au)`` [0 to 5],
    ``head(frame, pose)`` [mm, rad], float32, and ``success`` and ``confidence`` along
    ``frame``; ``face_id``, where it changes. A frame that the table lacks is NaN. ``frame``
    counts from 0 at 0 s; ``time`` [s] is the table's own clock.

    Raises
    ------
    SchemaError
        A column is missing, which it names; the table has several faces in a frame and no
        ``face_id`` was asked for; frames or clock do not increase.
    SourceError
        There is no such file, it has no rows, is cut off, or a cell is no number.

    Warns
    -----
    UserWarning
        The clock tells nothing and 25 Hz is assumed, or ``face_id`` changes.

    Notes
    -----
    Memory: one task parses the table, 8 bytes per number of the columns that are used and
    32 MiB. Tasks: one, and two per stream. Computes at call: none; frames, clock and face of
    each row are read.

    References
    ----------
    Baltrusaitis, Zadeh, Lim & Morency (2018), IEEE FG, 59-66, doi:10.1109/FG.2018.00019.
    """
    import dask.array as da

    table = _look(Path(path), face_id)
    wanted = {name: columns(name) for name in variables}
    table.require(wanted)
    marks = [c for c in (SUCCESS, CONFIDENCE) if c in table.columns]
    used = [*marks, *(c for names in wanted.values() for c in names)]
    cells = da.map_blocks(  # not from_delayed, which dask's bind cannot read anew
        _parsed, table=table.text, used=[table.columns.index(c) for c in used],
        rows=table.rows, at=table.frames - table.first, n_frames=table.n_frames,
        chunks=((table.n_frames,), (len(used),)), dtype=np.float64, meta=np.empty((0, 0)),
    )  # fmt: skip
    place = {name: i for i, name in enumerate(used)}
    good = _tracked(cells, place, min_confidence)
    out: dict[str, Any] = {n: (schema.FRAME, cells[:, place[n]].astype("f4")) for n in marks}
    for name, own in wanted.items():
        part = cells[:, place[own[0]] : place[own[0]] + len(own)].astype(np.float32)
        if masked:
            part = da.where(good[:, None], part, np.float32(np.nan))
        shape = (LANDMARKS, 2) if name == schema.FACE else (len(own),)
        attrs = {**schema.STREAMS[name].attrs, schema.POLICY: "none"} | table.decimals(own)
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
        A CSV file of OpenFace, one or several rows a frame.
    how
        As of :func:`open_openface`, without ``face_id``.

    Returns
    -------
    As of :func:`fhemb_xr.open_streams`: the session has the name of the file, the persons are
    ``"0"``, ``"1"``, ... A face that comes later or goes earlier makes it a DataTree.

    Raises
    ------
    SchemaError, SourceError
        As :func:`open_openface`.

    Notes
    -----
    Memory, tasks: those of :func:`open_openface`, for each person. Computes at call: none.
    OpenFace gives a face that left a new number when it comes back.
    """
    stem = Path(path).stem
    found = {
        (stem, str(one)): open_openface(path, face_id=one, **how) for one in face_ids(path)
    }
    return streams.assembled(found)


def face_ids(path: Path | str) -> list[int]:
    """The faces of a table, in the order of their numbers; ``[0]`` where it names none."""
    table = _opened(Path(path))
    if FACE_ID not in table.columns:
        return [0]
    ids = text_tables.leading(table, [table.columns.index(FACE_ID)])[0]
    return [int(i) for i in np.unique(ids)]


def several_a_frame(path: Path | str) -> bool:
    """Whether a table has several rows of one frame."""
    table = _opened(Path(path))
    frames = text_tables.leading(table, _places(table, [FRAME]))[0]
    return bool(len(np.unique(frames)) < len(frames))


def _tracked(cells: Any, place: dict[str, int], least: float) -> Any:
    good = cells[:, place[SUCCESS]] > 0 if SUCCESS in place else cells[:, 0] == cells[:, 0]
    return good & (cells[:, place[CONFIDENCE]] >= least) if CONFIDENCE in place else good


@dataclass(frozen=True, eq=False)
class _Table:
    """What a look at a table tells about one face."""

    text: Table
    rows: Bools  # those of the face
    frames: Ints  # number of the frame of each of them
    stamps: F64 | None  # and its time [s]
    faces: Ints | None  # by frame, where several are mixed

    @property
    def columns(self) -> tuple[str, ...]:
        return self.text.columns

    @property
    def first(self) -> int:
        return int(self.frames[0])

    @property
    def n_frames(self) -> int:
        return int(self.frames[-1]) - self.first + 1

    def require(self, wanted: dict[str, list[str]]) -> None:
        """Refuse a table that lacks columns of what is wanted."""
        missing = [c for names in wanted.values() for c in names if c not in self.columns]
        if not missing:
            return
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        whole = [s for s in STREAMS if set(columns(s)) <= set(self.columns)]
        cure = (
            f"variables={whole!r} opens what is there"
            if whole
            else "tables of other programs open with ingest.streams.open_table"
        )
        raise SchemaError(
            f"{self.text.path.name!r} has no column {', '.join(map(repr, missing[:3]))}{more}: "
            f"found {len(self.columns)} columns, {', '.join(self.columns[:4])} …; {cure}"
        )

    def clocked(self, ds: xr.Dataset, asked_hz: float | None) -> xr.Dataset:
        """``ds`` on the table's own clock, as a line where it is one."""
        told = None if self.stamps is None else rate_of(self.stamps)
        rate = asked_hz or told or schema.DEFAULT_RATE_HZ
        if self.stamps is None or not told:
            if asked_hz is None and self.n_frames > 1:
                warnings.warn(
                    f"the clock of {self.text.path.name!r} tells nothing: "
                    f"{rate:g} Hz is assumed, rate_hz= says another",
                    UserWarning,
                    stacklevel=3,
                )
            return streams.clocked(ds, rate)
        name = self.text.path.name
        back = np.flatnonzero(np.diff(self.stamps) <= 0)
        if back.size:
            raise SchemaError(
                f"the clock of {name!r} does not increase after frame "
                f"{self.frames[back[0]]}: {self.stamps[back[0]]:g} s, then "
                f"{self.stamps[back[0] + 1]:g} s"
            )
        first = round(float(self.stamps[0]) * rate)
        out = streams.clocked(ds, rate, first)
        numbers = np.arange(self.first, self.first + self.n_frames)
        seconds = np.interp(numbers, self.frames, self.stamps)  # of frames that are not there
        if np.abs(seconds - out[schema.TIME].values).max() <= _EVEN_S:
            return out
        return out.assign_coords({schema.TIME: out[schema.TIME].copy(data=seconds)})

    def decimals(self, names: Sequence[str]) -> dict[str, int]:
        """The most decimals of the cells seen; nothing where one has an exponent, or many."""
        at = [self.columns.index(n) for n in names]
        cells = [row[i] for row in self.text.first_rows for i in at if i < len(row) and row[i]]
        point = self.text.decimal
        if not all(c.lstrip("+-").replace(point, "", 1).isdigit() for c in cells):
            return {}
        most = max((len(c.partition(point)[2]) for c in cells), default=0)
        return {schema.DECIMALS: most} if most <= MOST_DECIMALS else {}


def _opened(path: Path) -> Table:
    try:
        table = text_tables.look(path)
    except SourceError as error:
        if "not a table" in str(error):
            raise SourceError(f"{path.name!r} has no rows of OpenFace ({error})") from None
        raise
    if FRAME not in table.columns:
        raise SchemaError(
            f"{path.name!r} has no column {FRAME!r}: found {', '.join(table.columns[:4])} …; "
            "tables of other programs open with ingest.streams.open_table"
        )
    return table


def _look(path: Path, face_id: int | None) -> _Table:
    """Frames, clock and faces of all rows."""
    table = _opened(path)
    known = [n for n in (FRAME, CLOCK, FACE_ID) if n in table.columns]
    found = dict(zip(known, text_tables.leading(table, _places(table, known)), strict=True))
    frames = found[FRAME].astype(np.int64)
    ids = found.get(FACE_ID, np.zeros(len(frames))).astype(np.int64)
    there = np.unique(ids).tolist()
    if face_id is not None and face_id not in there:
        raise SchemaError(f"{path.name!r} has no face_id {face_id!r}: there are {there}")
    rows = np.ones(len(ids), bool) if face_id is None else ids == face_id
    _require_order(path.name, frames[rows], there)
    stamps = found[CLOCK][rows] if CLOCK in found else None
    mixed = None
    if face_id is None and len(there) > 1:
        warnings.warn(
            f"{path.name!r} has the faces {there} one after the other, in one stream: "
            "face_id= chooses one, open_people opens all",
            UserWarning,
            stacklevel=3,
        )
        mixed = np.full(int(frames[-1] - frames[0]) + 1, -1)
        mixed[frames - frames[0]] = ids
    return _Table(table, rows, frames[rows], stamps, mixed)


def _places(table: Table, names: Sequence[str]) -> list[int]:
    return [table.columns.index(n) for n in names]


def _require_order(name: str, frames: Ints, faces: list[int]) -> None:
    steps = np.diff(frames)
    if (steps > 0).all():
        return
    what = "has several rows of a frame" if (steps == 0).any() else "is not in order"
    which = f" (there are {faces})" if len(faces) > 1 else ""
    raise SchemaError(
        f"{name!r} {what}: a stream is of one person, one row a frame; choose one by "
        f"{FACE_ID!r}{which}, or open all with open_people"
    )


def _parsed(table: Table, used: Sequence[int], rows: Bools, at: Ints, n_frames: int) -> F64:
    """The columns ``(frame, column)``, each row at its frame."""
    found = table.read(used).T
    if len(found) != len(rows):
        raise SourceError(
            f"{table.path.name!r} has {len(found)} rows, it had {len(rows)} when it was opened"
        )
    out = np.full((n_frames, len(used)), np.nan)
    out[at] = found[rows]
    return out
