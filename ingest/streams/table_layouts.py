"""Layouts of tables of traces: BIDS, Empatica E4, Qualisys, or a table with a header."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.streams import text_cells, text_tables
from ingest.streams.text_tables import Table

UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_EMPATICA = {1: ("{}",), 3: ("x", "y", "z")}
_EARLIEST_S = 1e9
"""Smallest start time of an Empatica file, in seconds since 1970 (the year 2001)."""


@dataclass(frozen=True)
class Layout:
    """A table with names and units of its columns, and its rate if the file gives one."""

    table: Table
    names: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float | None = None


def understood(
    path: Path, separator: str | None, decimal: str | None, names: Sequence[str] | None
) -> Layout:
    """The layout of a table.

    Raises
    ------
    SourceError
        The file is no table, or the number of names differs from the number of columns.
    """
    table = text_tables.look(path, separator=separator, decimal=decimal)
    layout = (
        _bids(table)
        or _empatica(table)
        or _qualisys(table)
        or Layout(table, table.columns, table.units)
    )
    if names is None:
        return layout
    if not table.headerless:
        raise SourceError(
            f"{path.name!r} has a header ({', '.join(table.columns[:4])}): give names only for "
            "tables without a header"
        )
    if len(names) != len(layout.names):
        raise SourceError(
            f"{path.name!r} has {len(layout.names)} columns, {len(names)} names are given: "
            f"{list(names)!r}"
        )
    return replace(layout, names=tuple(map(str, names)))


def _bids(table: Table) -> Layout | None:
    """The layout of a table without a header, with a JSON file beside it (BIDS)."""
    name = table.path.name.removesuffix(".gz").rpartition(".")[0]
    beside = table.path.with_name(f"{name}.json")
    if not table.headerless or not beside.is_file():
        return None
    try:
        about = json.loads(beside.read_text("utf-8"))
        names = tuple(map(str, about.get("Columns", table.columns)))
        rate = about.get("SamplingFrequency")
        rate_hz = None if rate is None else float(rate)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SourceError(f"{beside.name!r} cannot be read ({error})") from None
    if len(names) != len(table.columns):
        raise SourceError(
            f"{table.path.name!r} has {len(table.columns)} columns, {beside.name!r} names "
            f"{len(names)}"
        )
    noted = (about.get(n) for n in names)
    units = tuple(str(n.get("Units", "")) if isinstance(n, dict) else "" for n in noted)
    return Layout(table, names, units, rate_hz)


def _empatica(table: Table) -> Layout | None:
    """The layout of a file that starts with two lines: time of the first sample, and rate."""
    rows = table.first_rows
    if not table.headerless or len(rows) < 3 or len(table.columns) not in _EMPATICA:
        return None
    try:
        moment, rate = ({float(c) for c in row if c} for row in rows[:2])
    except ValueError:
        return None
    whole = len(moment) == len(rate) == 1 and max(moment) > _EARLIEST_S
    if not whole or not 0 < max(rate) <= 10_000:
        return None
    names = _EMPATICA[len(table.columns)]
    stem = table.path.name.partition(".")[0].lower()
    n = len(names)
    skipped = replace(table, skip=table.skip + 2, first_rows=rows[2:])
    return Layout(skipped, tuple(m.format(stem) for m in names), ("",) * n, max(rate))


def _qualisys(table: Table) -> Layout | None:
    """The layout of a file with lines such as ``FREQUENCY``, ``MARKER_NAMES`` at its start."""
    about = {row[0].upper(): row[1:] for row in table.preamble if row and row[0]}
    if "FREQUENCY" not in about:
        return None
    try:
        rate_hz = float(about["FREQUENCY"][0])
    except (ValueError, IndexError):
        return None
    markers = [m for m in about.get("MARKER_NAMES", ()) if m]
    names = table.columns
    if table.headerless and len(markers) * 3 == len(names):
        names = tuple(f"{m} {axis}" for m in markers for axis in "XYZ")
    return Layout(table, names, table.units, rate_hz)


def require_rate(layout: Layout, rate_hz: float | None) -> None:
    """Refuse a rate that contradicts the file.

    Raises
    ------
    SourceError
        The rates differ by more than a thousandth.
    """
    file_hz = layout.rate_hz
    if rate_hz is not None and file_hz is not None and abs(rate_hz / file_hz - 1) > 1e-3:
        raise SourceError(
            f"{layout.table.path.name!r} tells {file_hz:g} Hz, asked for {rate_hz:g} Hz: leave "
            "rate_hz out"
        )


def length(table: Table, place: int) -> int:
    """Number of rows."""
    return int(table.texts(place).size)


def seconds(table: Table, place: int, scale: float) -> F64:
    """The clock of a table, from 0 on [s].

    Raises
    ------
    SourceError
        A cell is no time, or the clock does not increase.
    """
    import pandas as pd

    texts = table.texts(place).astype(str).str.strip()
    name, first_line = table.path.name, table.skip + 1
    sample = next((t for t in texts if t), "")
    if text_cells.is_date(sample):
        moments = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        missing, since = moments.isna(), moments - moments.iloc[0]
        ticks, scale = since.dt.total_seconds().to_numpy(dtype=np.float64), 1.0
    elif text_cells.is_time_of_day(sample):
        short = texts.str.count(":") == 1
        whole = texts.where(~short, texts + ":00").str.replace(",", ".", regex=False)
        spans = pd.to_timedelta(whole, errors="coerce")
        missing = spans.isna()
        ticks, scale = spans.dt.total_seconds().to_numpy(dtype=np.float64), 1.0
    else:
        plain = texts.str.replace(table.decimal, ".", regex=False)
        numbers = pd.to_numeric(plain, errors="coerce")
        missing, ticks = numbers.isna(), numbers.to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(missing | ~np.isfinite(ticks))
    if wrong.size:
        raise SourceError(
            f"the clock of {name!r} has no number in line {wrong[0] + first_line}"
        )
    back = np.flatnonzero(np.diff(ticks) <= 0)
    if back.size:
        raise SourceError(
            f"the clock of {name!r} does not increase in line {back[0] + 1 + first_line}: "
            f"{ticks[back[0]]:g}, then {ticks[back[0] + 1]:g}"
        )
    return np.asarray((ticks - ticks[:1]) * scale)
