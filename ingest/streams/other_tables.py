"""Opening tables of other programs by their names of columns: py-feat, LibreFace and others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import clock, schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest
from fhemb_xr.io import streams
from fhemb_xr.typing import F64
from ingest.files.clocks import rate_of
from ingest.streams import deeplabcut, text_tables

Columns = Mapping[str, Sequence[str]]
_FEAT_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
PY_FEAT: Columns = {
    "face": [f"{axis}_{i}" for i in range(68) for axis in ("x", "y")],
    "units": [f"AU{n:02}" for n in _FEAT_UNITS],
    "angles": ["Pitch", "Roll", "Yaw"],
}
"""Variables of a table of py-feat: landmarks, action units (0 to 1), angles of the head."""
_FRAMES = ("frame", "frame_idx", deeplabcut.FRAME)
_FASTEST_HZ = 2000.0
_PATTERNS: dict[str, dict[str, str]] = {
    "LibreFace": {
        "intensities": r"au_\d+_intensity",
        "detected": r"au_\d+",
        "angles": "pitch|yaw|roll",
        "gaze": "gaze_(yaw|pitch)",
    },
    "MediaPipe": {
        "blendshapes": "(_neutral|(brow|cheek|eye|jaw|mouth|nose)[A-Z][A-Za-z]+)",
        "landmarks": r"[xyz]_\d+",
    },
}
"""Variables of other programs, and the regular expression of their columns."""


def known_columns(columns: Sequence[str]) -> Columns:
    """The variables of a table, by the names that known programs give to columns.

    Raises
    ------
    SchemaError
        No known program writes such columns.

    Examples
    --------
    >>> known_columns(["frame_idx", "pitch", "au_1_intensity", "au_1"])
    {'intensities': ['au_1_intensity'], 'detected': ['au_1'], 'angles': ['pitch']}
    """
    if all(c in columns for names in PY_FEAT.values() for c in names):
        return PY_FEAT
    for patterns in _PATTERNS.values():
        found = {v: [c for c in columns if re.fullmatch(p, c)] for v, p in patterns.items()}
        if found[next(iter(found))] or len(found.get("landmarks", ())) >= 3 * 68:
            return {variable: names for variable, names in found.items() if names}
    raise SchemaError(
        f"the columns {', '.join(columns[:8])}, ... are of no known program (py-feat, "
        "LibreFace, MediaPipe, DeepLabCut): name them, variables={'name': ['column', ...]}"
    )


def open_table(
    path: Path | str,
    variables: Columns | None = None,
    *,
    frame: str | None = None,
    time: str | None = None,
    time_unit: str = "s",
    rate_hz: float | None = None,
) -> xr.Dataset:
    r"""Open a table of any program as streams; you name the columns of each variable.

    Parameters
    ----------
    path
        Table in text, with a header and one row a frame.
    variables
        Name of each variable, and its columns in their order. ``face`` takes 68 landmarks as
        ``x, y, x, y, ...``. None finds those of py-feat, LibreFace (``intensities``,
        ``detected``, ``angles``, ``gaze``), MediaPipe (``blendshapes``, ``landmarks``) and
        DeepLabCut (``points``: ``nose_x, nose_y, nose_likelihood, ...``; with several
        individuals a variable for each).
    frame
        Column with the frame numbers; None takes ``frame`` or ``frame_idx``, or counts the
        rows.
    time, time_unit
        Column with the clock, and its unit (``s ms us``).
    rate_hz
        Frames a second [Hz] of a table without a clock.

    Returns
    -------
    Dataset
        Lazy Dataset along ``frame``, float32. A variable that OpenFace lacks has the dimension
        ``<name>_column``, labelled by the names of its columns.

    Raises
    ------
    UnknownNameError
        There is no such column; the error (a ``KeyError``) names the nearest ones.
    SchemaError
        Neither a clock nor a rate is given, or frames do not increase; the program is unknown;
        a clock of more than 2000 Hz (LibreFace writes seconds into ``frame_time_in_ms``).
    SourceError
        There is no such file, it is no table, or a cell is no number.

    Notes
    -----
    Memory: 8 bytes per used number + 32 MiB, in the task that parses the table. Computes at
    call: none; clock and frames are read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from ingest.streams import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "a.csv"
    ...     _ = file.write_text("t,smile,blink\n0,0.5,0\n0.1,0.6,1\n")
    ...     ds = open_table(file, {"shapes": ["smile", "blink"]}, time="t").load()
    >>> ds.shapes.dims, ds.shapes.values.tolist()[1]
    (('frame', 'shapes_column'), [0.6000000238418579, 1.0])
    """
    import dask.array as da

    table = text_tables.look(Path(path))
    if deeplabcut.is_deeplabcut(table.path):
        table, variables = _of_deeplabcut(table, variables)
    variables = known_columns(table.columns) if variables is None else variables
    place = {name: i for i, name in enumerate(table.columns)}
    asked = [*(c for names in variables.values() for c in names), *filter(None, (frame, time))]
    for name in asked:
        if name not in place:
            raise UnknownNameError(f"no column {name!r}{nearest(name, place)}")
    numbers, seconds, hertz = _clock(table, place, frame, time, time_unit, rate_hz)
    out: dict[str, Any] = {}
    for name, names in variables.items():
        cells = da.map_blocks(
            _cells, table=table, places=[place[c] for c in names], n=len(numbers),
            chunks=((len(numbers),), (len(names),)), dtype=np.float32,
            meta=np.empty((0, 0), np.float32),
        )  # fmt: skip
        out[name] = _variable(name, names, cells)
    coords: dict[str, Any] = {
        f"{n}_column": list(c) for n, c in variables.items() if f"{n}_column" in out[n][0]
    }
    ds = xr.Dataset(out, coords=coords)
    ds = streams.clocked(ds.assign_coords(schema.labels(dict(ds.sizes))), hertz)
    moments = ds[schema.TIME].copy(data=seconds)
    return ds.assign_coords({schema.FRAME: numbers, schema.TIME: moments})


def _of_deeplabcut(
    table: text_tables.Table, variables: Columns | None
) -> tuple[text_tables.Table, Columns]:
    """A table of DeepLabCut with one name a column, and its variables."""
    people = deeplabcut.columns(table.path)
    names = [c for columns in people.values() for c in columns]
    named = replace(table, columns=(deeplabcut.FRAME, *names), units=("",) * (len(names) + 1))
    alone = len(people) == 1
    return named, variables or ({"points": names} if alone else people)


def _variable(name: str, names: Sequence[str], cells: Any) -> tuple[Any, ...]:
    if name == schema.FACE and len(names) == 136:
        attrs = {**schema.STREAMS[name].attrs, schema.POLICY: "none"}
        return schema.STREAMS[name].dims, cells.reshape((cells.shape[0], 68, 2)), attrs
    known = schema.STREAMS.get(name)
    if known is not None and len(known.labels) == len(names) and len(known.dims) == 2:
        return known.dims, cells, {**known.attrs, schema.POLICY: "none"}
    if known is not None:
        raise SchemaError(
            f"the stream {name!r} has {len(known.labels)} columns, found {len(names)}: give "
            "the variable another name"
        )
    return (schema.FRAME, f"{name}_column"), cells, {schema.POLICY: "none"}


def _cells(table: text_tables.Table, places: Sequence[int], n: int) -> Any:
    return table.read(places).T.astype(np.float32)


def _clock(
    table: text_tables.Table,
    place: Mapping[str, int],
    frame: str | None,
    time: str | None,
    unit: str,
    rate_hz: float | None,
) -> tuple[Any, F64, float]:
    """Frame numbers, times [s], and rate [Hz]."""
    from ingest.streams.table_layouts import UNITS_S, length, seconds

    if unit not in UNITS_S:
        raise ValueError(f"time_unit is one of {', '.join(UNITS_S)}, found {unit!r}")
    if (time is None) == (rate_hz is None):
        raise SchemaError(
            "a table of streams has a clock (time=, a column) or a rate (rate_hz=), not both"
        )
    if time is not None:
        ticks = seconds(table, place[time], UNITS_S[unit])
        told = rate_of(ticks)
        unknown = f"the clock of {table.path.name!r} tells no rate"
        hertz = told or clock.assumed_hz(None, unknown)
        if hertz > _FASTEST_HZ:
            raise SchemaError(
                f"the clock {time!r} of {table.path.name!r} has {hertz:g} Hz in {unit}: give "
                "another time_unit (LibreFace writes seconds into frame_time_in_ms)"
            )
        return np.arange(len(ticks)), ticks, hertz
    assert rate_hz is not None
    frame = frame or next((name for name in _FRAMES if name in place), None)
    if frame is None:
        numbers = np.arange(length(table, 0))
    else:
        told_numbers = table.read([place[frame]])[0]
        if not (told_numbers == np.floor(told_numbers)).all():
            raise SchemaError(
                f"column {frame!r} of {table.path.name!r} has no whole number in each row: "
                "give another column, frame="
            )
        numbers = told_numbers.astype(np.int64)
        if (np.diff(numbers) <= 0).any():
            raise SchemaError(
                f"{table.path.name!r} has several rows of a frame, or is not in order: a "
                "stream has one person"
            )
    return numbers, numbers / rate_hz, clock.positive_hz("rate_hz", rate_hz)
