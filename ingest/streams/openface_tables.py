"""Looking at a table of OpenFace: its columns, frames, clock and faces."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from fhemb_xr import clock, schema
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
"""Largest number of printed decimals; more come from a program that rewrote the table."""
_EVEN_S = 1.5e-3
"""Largest deviation of an even clock that is printed in milliseconds [s]."""


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


@dataclass(frozen=True, eq=False)
class FaceTable:
    """The part of a table that belongs to one face."""

    text: Table
    rows: Bools  # mask of the rows of the face
    frames: Ints  # frame number of each of these rows
    stamps: F64 | None  # time of each of these rows [s]
    faces: Ints | None  # face of each frame, if several faces are mixed

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.text.columns

    @property
    def first(self) -> int:
        """Number of the first frame."""
        return int(self.frames[0])

    @property
    def n_frames(self) -> int:
        """Number of frames from the first to the last."""
        return int(self.frames[-1]) - self.first + 1

    def require(self, wanted: dict[str, list[str]]) -> None:
        """Refuse a table that lacks columns of the wanted streams."""
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
        """``ds`` on the clock of the table; a clock that is nearly even becomes even."""
        clock_hz = None if self.stamps is None else rate_of(self.stamps)
        if self.stamps is None or not clock_hz:
            unknown = f"the clock of {self.text.path.name!r} tells nothing"
            if asked_hz is None and self.n_frames < 2:  # one frame has no rate that matters
                asked_hz = clock.ASSUMED_HZ
            return streams.clocked(ds, clock.assumed_hz(asked_hz, unknown))
        rate = clock_hz if asked_hz is None else clock.positive_hz("rate_hz", asked_hz)
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
        seconds = np.interp(numbers, self.frames, self.stamps)  # also for missing frames
        if np.abs(seconds - out[schema.TIME].values).max() <= _EVEN_S:
            return out
        return out.assign_coords({schema.TIME: out[schema.TIME].copy(data=seconds)})

    def decimals(self, names: Sequence[str]) -> dict[str, int]:
        """Number of printed decimals; empty if a cell has an exponent or too many decimals."""
        rows = self.text.first_rows
        wanted = [self.columns.index(n) for n in names]
        cells = [row[i] for row in rows for i in wanted if i < len(row) and row[i]]
        point = self.text.decimal
        if not all(c.lstrip("+-").replace(point, "", 1).isdigit() for c in cells):
            return {}
        most = max((len(c.partition(point)[2]) for c in cells), default=0)
        return {schema.DECIMALS: most} if most <= MOST_DECIMALS else {}


def opened(path: Path) -> Table:
    """The layout of a table; a table without frame numbers is refused."""
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


def look(path: Path, face_id: int | None) -> FaceTable:
    """Read frames, clock and faces of all rows."""
    table = opened(path)
    known = [n for n in (FRAME, CLOCK, FACE_ID) if n in table.columns]
    values = dict(zip(known, text_tables.leading(table, places(table, known)), strict=True))
    frames = values[FRAME].astype(np.int64)
    ids = values.get(FACE_ID, np.zeros(len(frames))).astype(np.int64)
    faces = np.unique(ids).tolist()
    if face_id is not None and face_id not in faces:
        raise SchemaError(f"{path.name!r} has no face_id {face_id!r}: there are {faces}")
    rows = np.ones(len(ids), bool) if face_id is None else ids == face_id
    _require_order(path.name, frames[rows], faces)
    stamps = values[CLOCK][rows] if CLOCK in values else None
    mixed = None
    if face_id is None and len(faces) > 1:
        warnings.warn(
            f"{path.name!r} has the faces {faces} one after the other, in one stream: "
            "face_id= chooses one, open_people opens all",
            UserWarning,
            stacklevel=3,
        )
        mixed = np.full(int(frames[-1] - frames[0]) + 1, -1)
        mixed[frames - frames[0]] = ids
    return FaceTable(table, rows, frames[rows], stamps, mixed)


def places(table: Table, names: Sequence[str]) -> list[int]:
    """Places of columns in a table."""
    return [table.columns.index(n) for n in names]


def _require_order(name: str, frames: Ints, faces: list[int]) -> None:
    steps = np.diff(frames)
    if (steps > 0).all():
        return
    what = "has several rows of a frame" if (steps == 0).any() else "is not in order"
    which = f" (there are {faces})" if len(faces) > 1 else ""
    raise SchemaError(
        f"{name!r} {what}: a stream has one person, one row a frame; choose one by "
        f"{FACE_ID!r}{which}, or open all with open_people"
    )
