"""OpenFace's tables: columns by their names, whichever version wrote them.

Versions differ in which columns there are, in their order, and in a space after each comma; by
position, the columns of one version are other quantities in another, without an error. Only the
header, the first rows and the last one are read when a table is opened.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, SourceError
from fhemb_xr.io import streams
from fhemb_xr.typing import F64

FRAME, CLOCK, FACE_ID, SUCCESS, CONFIDENCE = (
    "frame",
    "timestamp",
    "face_id",
    "success",
    "confidence",
)
LANDMARKS = 68
_LOOK = 200
"""Rows that are looked at for how many decimals are printed."""


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
) -> xr.Dataset:
    """Open a table of OpenFace as streams: labelled, lazy, and by the names of its columns.

    Parameters
    ----------
    path
        A CSV file of OpenFace 1 or 2, one person.
    variables
        Which of ``face``, ``aus``, ``head``.
    min_confidence
        Frames of less confidence count as not tracked.
    masked
        NaN where tracking did not succeed; else what was printed all the same.

    Returns
    -------
    Dataset of ``face(frame, landmark, xy)`` [pixel], ``aus(frame, au)`` [0 to 5],
    ``head(frame, pose)`` [mm, rad], float32, and ``success`` and ``confidence`` along
    ``frame``. A frame that the table lacks is NaN. ``frame`` counts from 0 at 0 s.

    Raises
    ------
    SchemaError
        A column is missing, which it names; or the table has several faces in a frame.
    SourceError
        There is no such file, or it has no rows.

    Notes
    -----
    Memory: one task parses the table, 8 bytes per number of the columns that are used. Tasks:
    one, and two per stream. Computes at call: none; the header and a few rows are read.

    References
    ----------
    Baltrusaitis, Zadeh, Lim & Morency (2018), IEEE FG, 59-66, doi:10.1109/FG.2018.00019.
    """
    import dask.array as da

    table = _look(Path(path))
    wanted = {name: columns(name) for name in variables}
    table.require([FRAME, *(c for names in wanted.values() for c in names)])
    marks = [c for c in (SUCCESS, CONFIDENCE) if c in table.columns]
    used = [*marks, *(c for names in wanted.values() for c in names)]
    at = [table.columns.index(c) for c in (FRAME, *used)]
    cells = da.map_blocks(  # not from_delayed, which dask's bind cannot read anew
        _parsed, path=str(path), used=at, first=table.first, n_frames=table.n_frames,
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
    ds = xr.Dataset(out)
    ds = ds.assign_coords(schema.labels(dict(ds.sizes)))
    return streams.clocked(ds, table.rate_hz, table.start)


def _tracked(cells: Any, place: dict[str, int], least: float) -> Any:
    good = cells[:, place[SUCCESS]] > 0 if SUCCESS in place else cells[:, 0] == cells[:, 0]
    return good & (cells[:, place[CONFIDENCE]] >= least) if CONFIDENCE in place else good


@dataclass(frozen=True)
class _Table:
    """What a look at a table tells."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the first ones, and the last

    def require(self, names: Sequence[str]) -> None:
        missing = [n for n in names if n not in self.columns]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise SchemaError(
                f"{self.name!r} has no column {', '.join(map(repr, missing[:3]))}{more}: found "
                f"{len(self.columns)} columns, {', '.join(self.columns[:4])} …; was OpenFace "
                "run with all of its outputs?"
            )

    def cell(self, row: int, column: str) -> float:
        return float(self.rows[row][self.columns.index(column)])

    @property
    def first(self) -> int:
        return int(self.cell(0, FRAME))

    @property
    def n_frames(self) -> int:
        return int(self.cell(-1, FRAME)) - self.first + 1

    @property
    def rate_hz(self) -> float:
        """Frames a second, to three decimals as the clock is printed."""
        if CLOCK not in self.columns or self.n_frames < 2:
            return schema.DEFAULT_RATE_HZ
        seconds = self.cell(-1, CLOCK) - self.cell(0, CLOCK)
        return (
            round((self.n_frames - 1) / seconds, 3) if seconds > 0 else schema.DEFAULT_RATE_HZ
        )

    @property
    def start(self) -> int:
        """Frames since 0 s: OpenFace counts from 1, and a piece of a video from elsewhere."""
        return round(self.cell(0, CLOCK) * self.rate_hz) if CLOCK in self.columns else 0

    def decimals(self, names: Sequence[str]) -> dict[str, int]:
        """The most decimals of the cells seen; nothing where one has an exponent."""
        at = [self.columns.index(n) for n in names]
        cells = [row[i] for row in self.rows for i in at]
        if not all(c.lstrip("+-").replace(".", "", 1).isdigit() for c in cells):
            return {}
        return {schema.DECIMALS: max(len(c.partition(".")[2]) for c in cells)}


def _look(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header, *rows = [line for _, line in zip(range(_LOOK + 1), file, strict=False)]
        rows += [_last_line(path)] if rows else []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text with a header"
        raise SourceError(f"{path.name!r} cannot be read: {why}") from None
    cells = [_cells(r) for r in rows if r.strip()]
    names = _cells(header)
    if not cells or any(len(r) != len(names) for r in cells):
        raise SourceError(f"{path.name!r} has no rows, or is cut off: run OpenFace again")
    return _Table(path.name, names, tuple(cells))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.rstrip("\r\n").split(","))


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16))
        return file.read().rstrip(b"\r\n").rpartition(b"\n")[2].decode()


def _parsed(path: str, used: Sequence[int], first: int, n_frames: int) -> F64:
    """The columns ``(frame, column)`` by the number of each row's frame, which is the first."""
    with open(path, encoding="utf-8-sig") as file:
        next(file)
        rows = (line.replace("(ind)", "") for line in file)  # NaN, as Windows prints it
        # not pandas: the parser of some of its versions is off in the last bit
        found = np.loadtxt(rows, np.float64, delimiter=",", usecols=used, ndmin=2)
    at = found[:, 0].astype(np.int64) - first
    if at.min() < 0 or at.max() >= n_frames or (np.diff(at) <= 0).any():
        repeats = (
            "has several rows of a frame" if (np.diff(at) == 0).any() else "is not in order"
        )
        raise SchemaError(
            f"{Path(path).name!r} {repeats}: streams are of one person, one row a frame; split "
            f"the table by {FACE_ID!r}"
        )
    out = np.full((n_frames, len(used) - 1), np.nan)
    out[at] = found[:, 1:]
    return out
