"""Cells of a table in text: numbers, dates, units, missing values, and what separates them."""

import re
from collections.abc import Sequence

SEPARATORS = (",", ";", "\t")
COMMENTS = ("#", "%", "//")
MISSING = {
    "",
    "na",
    "n/a",
    "nan",
    "-nan",
    "null",
    "none",
    "-nan(ind)",
    "nan(ind)",
    "inf",
    "-inf",
}
_UNITS = {
    "s", "ms", "us", "µs", "sec", "mv", "uv", "µv", "v", "nv", "a.u.", "au", "bpm", "hz", "%",
    "us/cm", "µs/cm", "mmhg", "degc", "°c", "c", "k", "mm", "cm", "m", "g", "nm", "1/min",
    "n/a", "-", "", "bool", "unitless", "kpa", "ohm", "kohm", "seconds", "volts",
}  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$")
_CLOCK = re.compile(r"\d{1,3}:\d\d(:\d\d)?([.,]\d+)?$")


def is_comment(line: str) -> bool:
    """Whether a line is a comment."""
    return line.lstrip().startswith(COMMENTS)


def separator_of(lines: Sequence[str]) -> str:
    """The separator of cells: the most frequent one in the middle line."""
    line = lines[len(lines) // 2]
    counts = {s: line.count(s) for s in ("\t", ";", ",")}
    best = max(counts, key=lambda s: counts[s])
    if counts["\t"] or counts[";"]:  # commas then belong to numbers
        best = "\t" if counts["\t"] >= counts[";"] else ";"
    return best if counts[best] else " " if len(line.split()) > 1 else ","


def decimal_of(rows: Sequence[tuple[str, ...]], separator: str) -> str:
    """The decimal point of the numbers: a comma if it is more frequent than a point."""
    cells = [c for row in rows for c in row]
    commas = sum(bool(re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", c, re.I)) for c in cells)
    points = sum(bool(re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", c, re.I)) for c in cells)
    return "," if separator != "," and commas > points else "."


def cells_of(line: str, separator: str) -> tuple[str, ...]:
    """The cells of a line, without quotes and surrounding spaces."""
    bare = line.rstrip("\r\n")
    cells = bare.split() if separator == " " else bare.split(separator)
    return tuple(c.strip().strip('"').strip() for c in cells)


def without_last(cells: tuple[str, ...]) -> tuple[str, ...]:
    """``cells`` without an empty last cell."""
    return cells[:-1] if cells and not cells[-1] else cells


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number, a date or a time of the day."""
    if _DATE.match(cell) or _CLOCK.match(cell):
        return True
    try:
        float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return cell.lower() not in ("nan", "inf", "-inf", "infinity")


def is_missing(cell: str) -> bool:
    """Whether a cell is a missing value."""
    return cell.lower() in MISSING


def is_data(cells: Sequence[str], decimal: str) -> bool:
    """Whether a row is data, not a header: it has a number, or only missing values."""
    return any(is_number(c, decimal) for c in cells) or all(map(is_missing, cells))


def are_units(cells: Sequence[str]) -> bool:
    """Whether all cells are units."""
    bare = [c.lower().strip("()[]{} ") for c in cells]
    return all(c in _UNITS for c in bare) and any(bare)


def named(titles: Sequence[str], n: int) -> tuple[str, ...]:
    """Names of ``n`` columns; a column without a title is called by its place."""
    names = [*padded(titles, n)]
    return tuple(name or f"column_{i}" for i, name in enumerate(names))


def padded(cells: Sequence[str], n: int) -> tuple[str, ...]:
    """``n`` cells without brackets; empty cells at the end."""
    bare = [c.strip("()[]{} ") if len(c) > 1 else c for c in cells]
    return tuple([*bare, *[""] * n][:n]) if cells else ("",) * n


def is_date(cell: str) -> bool:
    """Whether a cell is a date or time in ISO 8601."""
    return bool(_DATE.match(cell))


def is_time_of_day(cell: str) -> bool:
    """Whether a cell is a time such as ``12:30:01.25``."""
    return bool(_CLOCK.match(cell))
