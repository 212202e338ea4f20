"""Tables of boxes: their columns by many names, and landmarks of trackers.

====================== ===================================================================
table                  box
====================== ===================================================================
boxes                  ``x, y`` (upper left corner), ``width, height``; or ``x_max, y_max``, or
                       ``x_center, y_center``; py-feat's ``FaceRectX`` ...
OpenFace, MediaPipe    the smallest box around the landmarks ``x_0, y_0, x_1, ...``
DeepLabCut             the smallest box around the points with a likelihood of 0.6 or more
====================== ===================================================================

Points whose values all lie in 0 to 1 are fractions of the picture, as MediaPipe writes them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64

LIKELY = 0.6
"""Least likelihood of a point of DeepLabCut, its own default (``pcutoff``)."""
LEAST_POINTS = 3
_SUBJECT = (
    "subject", "subj", "subject_id", "person", "person_id", "individual", "face_id", "face",
    "track_id", "track", "id", "name",
)  # fmt: skip
_FRAME = ("frame", "frame_number", "frame_no", "frame_id", "frame_index", "image_number")
_FILM = ("session", "film", "video", "scene", "file")
_SIDES = {
    "x": ("x", "left", "x_min", "xmin", "x1", "facerectx", "bbox_x", "bb_left", "bbox_left"),
    "y": ("y", "top", "y_min", "ymin", "y1", "facerecty", "bbox_y", "bb_top", "bbox_top"),
    "width": ("width", "w", "facerectwidth", "bbox_width", "bbox_w", "bb_width"),
    "height": ("height", "h", "facerectheight", "bbox_height", "bbox_h", "bb_height"),
    "right": ("right", "x_max", "xmax", "x2", "bbox_right"),
    "bottom": ("bottom", "y_max", "ymax", "y2", "bbox_bottom"),
    "x_center": ("x_center", "xcenter", "cx", "x_centre", "center_x"),
    "y_center": ("y_center", "ycenter", "cy", "y_centre", "center_y"),
}


@dataclass(frozen=True, eq=False)
class BoxTable:
    """Rows of a table: film, subject, frame, and sides of the box in pixels."""

    films: Sequence[str] | None
    subjects: Sequence[str] = field(repr=False)
    frames: F64
    sides: F64  # (n, 4): left, top, right, bottom; NaN: no face
    base: int = 0  # number of the first frame in the count of the program
    fractions: bool = False  # of the picture
    pictures: bool = False  # whether frames are places in the film, also if it has numbers
    doubts: tuple[str, ...] = ()


def read_box_table(table: Any) -> BoxTable:
    """Read a table of boxes or of landmarks from a file or a pandas DataFrame.

    Raises
    ------
    SourceError
        There is no such file, or a column is missing; the error names what is needed.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return _understood(table, "the table")
    path = Path(table)
    if not path.is_file():
        raise SourceError(f"no table of boxes {str(path)!r}: is the path right?")
    if path.suffix.lower() in (".h5", ".hdf5", ".hdf"):
        raise SourceError(
            f"{path.name!r} is HDF5: export the table of boxes or points as CSV (DeepLabCut "
            "does so with save_as_csv=True)"
        )
    from ingest.streams import deeplabcut

    try:
        if deeplabcut.is_deeplabcut(path):
            return _of_deeplabcut(deeplabcut.read(path), path)
        return _understood(_read(path), repr(path.name))
    except (ValueError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise SourceError(f"cannot read the table of boxes {path.name!r}: {why}") from None


def _read(path: Path) -> Any:
    import pandas as pd

    from ingest.streams import text_cells

    with path.open(encoding="utf-8-sig") as file:
        lines = [line for _, line in zip(range(20), file, strict=False) if line.strip()]
    if len(lines) < 2:
        raise SourceError(f"{path.name!r} has no row of boxes")
    separator = text_cells.separator_of(lines)
    names = [_plain(c) for c in text_cells.cells_of(lines[0], separator)]
    twice = [n for n in names if n and names.count(n) > 1]
    if twice:
        raise SourceError(f"{path.name!r} has several columns {twice[0]!r}: keep one")
    rows = [text_cells.cells_of(line, separator) for line in lines[1:]]
    return pd.read_csv(
        path, sep=r"\s+" if separator == " " else separator, skipinitialspace=True,
        decimal=text_cells.decimal_of(rows, separator), encoding="utf-8-sig", index_col=False,
    )  # fmt: skip


def _understood(table: Any, name: str) -> BoxTable:
    place = {_plain(c): c for c in reversed(table.columns)}

    def column(names: Sequence[str]) -> Any:
        return next((table[place[n]] for n in names if n in place), None)

    frames = column(_FRAME)
    if frames is None:
        raise SourceError(
            f"{name} has no column frame among {', '.join(map(str, table.columns[:12]))}: a "
            "table of boxes has subject, frame, x, y, width, height"
        )
    sides, fractions, points = _sides(table, column, name)
    success = place.get("success")
    if success is not None:
        sides[_numbers(table[success], name) == 0] = np.nan
    who = column(_SUBJECT)
    subjects = ["face"] * len(table) if who is None else [*map(_label, who, range(len(table)))]
    doubts = []
    if who is None:
        doubts.append(f"{name} has no column subject: all boxes are of one person, 'face'")
    if points:
        doubts.append(f"{name} holds landmarks: a face is the smallest box around them")
    if fractions:
        doubts.append(
            f"{name} has numbers from 0 to 1: they are taken as fractions of a picture"
        )
    films = column(_FILM)
    return BoxTable(
        None if films is None else [str(f) for f in films],
        subjects, _numbers(frames, name), sides,
        base=1 if success is not None and points else 0,  # OpenFace counts from 1
        fractions=fractions, doubts=tuple(doubts),
    )  # fmt: skip


def _plain(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _label(value: Any, row: int) -> str:
    if value is None or value != value or str(value).strip() == "":
        raise SourceError(f"row {row + 1} of the table of boxes has no subject")
    number = isinstance(value, float) and value.is_integer()
    return str(int(value)) if number else str(value).strip()


def _numbers(column: Any, name: str) -> F64:
    """A column as numbers; empty cells are NaN."""
    import pandas as pd

    try:
        return np.asarray(pd.to_numeric(column), dtype=np.float64)
    except (ValueError, TypeError) as error:
        why = " ".join(str(error).split())
        raise SourceError(f"column {column.name!r} of {name} is no number: {why}") from None


def _sides(table: Any, column: Any, name: str) -> tuple[F64, bool, bool]:
    """Sides of each box, whether they are fractions, and whether they come from landmarks."""
    found = {side: column(names) for side, names in _SIDES.items()}
    got = {side: _numbers(c, name) for side, c in found.items() if c is not None}
    across = _interval(got, "x", "x_center", "width", "right")
    down = _interval(got, "y", "y_center", "height", "bottom")
    if across is not None and down is not None:
        sides = np.stack([across[0], down[0], across[1], down[1]], axis=1)
        return sides, _are_fractions(sides), False
    points = _landmarks(table, name)
    if points is None:
        raise SourceError(
            f"{name} has neither x, y, width, height nor landmarks x_0, y_0, x_1, ...: found "
            f"{', '.join(map(str, table.columns[:12]))}"
        )
    return around(points), _are_fractions(points), True


def _interval(got: Any, low: str, middle: str, size: str, high: str) -> Any:
    if low in got and size in got:
        return got[low], got[low] + got[size]
    if middle in got and size in got:
        return got[middle] - got[size] / 2, got[middle] + got[size] / 2
    return (got[low], got[high]) if low in got and high in got else None


def _landmarks(table: Any, name: str) -> F64 | None:
    """Landmarks ``(n, point, 2)`` of columns ``x_0, y_0, x_1, ...``; None if there are none."""
    places: dict[str, dict[int, Any]] = {"x": {}, "y": {}}
    for column in table.columns:
        match = re.fullmatch(r"([xy])_(\d+)", str(column).strip())
        if match:
            places[match[1]][int(match[2])] = column
    both = sorted(places["x"].keys() & places["y"].keys())
    if len(both) < LEAST_POINTS:
        return None
    axes = [
        np.stack([_numbers(table[places[a][i]], name) for i in both], axis=1)
        for a in ("x", "y")
    ]
    return np.stack(axes, axis=-1)


def around(points: F64) -> F64:
    """The smallest box around finite points: ``(n, point, 2) -> (n, 4)``; NaN for too few."""
    known = np.asarray(np.isfinite(points).all(axis=-1))
    low = np.where(known[..., None], points, np.inf).min(axis=1)
    high = np.where(known[..., None], points, -np.inf).max(axis=1)
    sides = np.concatenate([low, high], axis=1)
    sides[known.sum(axis=1) < LEAST_POINTS] = np.nan
    return sides


def _are_fractions(values: F64) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool((np.abs(finite) <= 1.5).all())


def _of_deeplabcut(points: Any, path: Path) -> BoxTable:
    """A table of DeepLabCut: one box a frame and individual."""
    parts = []
    for who, xy in points.items():
        likely = np.where((xy[..., 2] >= LIKELY)[..., None], xy[..., :2], np.nan)
        parts.append((who, around(likely)))
    n = len(parts[0][1])
    return BoxTable(
        None,
        [who for who, _ in parts for _ in range(n)],
        np.tile(np.arange(n, dtype=np.float64), len(parts)),
        np.concatenate([sides for _, sides in parts]),
        pictures=True,
        doubts=(
            f"{path.name!r} holds points of DeepLabCut: a face is the smallest box around "
            f"those with a likelihood of {LIKELY} or more",
        ),
    )
