"""Tables in text: what their lines are, looked at before a number is read.

A table may begin with comments and a preamble, and have a header, a row of units, or neither. A
line of nothing but numbers is no header. Rows that end with a separator have an empty column
more, which is left out; rows of another length are refused.
"""

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64

LOOK_LINES = 300
SEPARATORS = (",", ";", "\t")
COMMENTS = ("#", "%", "//")
_MISSING = {
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
QUALISYS = (
    "NO_OF_FRAMES", "NO_OF_CAMERAS", "NO_OF_MARKERS", "FREQUENCY", "NO_OF_ANALOG",
    "ANALOG_FREQUENCY", "DESCRIPTION", "TIME_STAMP", "DATA_INCLUDED", "EVENT", "MARKER_NAMES",
    "TRAJECTORY_TYPES",
)  # fmt: skip
"""Lines before the table of a Qualisys, by their first cell."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$")
_CLOCK = re.compile(r"\d{1,3}:\d\d(:\d\d)?([.,]\d+)?$")


@dataclass(frozen=True)
class Table:
    """How a table of text is laid out."""

    path: Path
    encoding: str
    separator: str
    decimal: str
    columns: tuple[str, ...]  # names, or "" of one that has none
    units: tuple[str, ...]
    width: int  # cells of a row, with an empty last one
    skip: int  # lines before the first row of numbers
    headerless: bool
    first_rows: tuple[tuple[str, ...], ...]
    preamble: tuple[tuple[str, ...], ...]

    @property
    def piece_rows(self) -> int:
        """Rows that are parsed together: about 32 MiB of numbers."""
        return max(1000, 2**22 // self.width)

    def read(self, places: Sequence[int]) -> F64:
        """Columns ``(column, row)`` as numbers; what is empty or ``n/a`` is NaN.

        Raises
        ------
        SourceError
            A cell is no number, which it names, or the table is damaged.
        """
        try:
            table = self._parsed(places)
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise self.damaged(error) from None
        try:
            values = table.to_numpy(dtype=np.float64, na_value=np.nan)
        except ValueError:
            texts = self._parsed(places, dtype=str)
            values = np.stack([self._numbers(texts[p], p) for p in places], axis=1)
        return np.ascontiguousarray(values.T)

    def texts(self, place: int) -> Any:
        """One column as text."""
        try:
            return self._parsed([place], dtype=str)[place]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise self.damaged(error) from None

    def damaged(self, error: Exception) -> SourceError:
        """The error of a table whose rows cannot be read."""
        why = " ".join(str(error).split())
        return SourceError(f"{self.path.name!r} is not a table, or is cut off ({why})")

    def _parsed(self, places: Sequence[int], dtype: Any = None) -> Any:
        import pandas as pd

        with opened(self.path, self.encoding) as text:
            pieces = pd.read_csv(
                text, sep=r"\s+" if self.separator == " " else self.separator, header=None,
                # all columns: of only some, pandas would cut longer rows in silence
                names=list(range(self.width)),
                skiprows=self.skip, decimal=self.decimal, comment="#", dtype=dtype,
                skipinitialspace=True, skip_blank_lines=True, na_values=["-nan(ind)", "n/a"],
                low_memory=False, float_precision="round_trip", chunksize=self.piece_rows,
            )  # fmt: skip
            table = pd.concat([piece[list(places)] for piece in pieces], ignore_index=True)
        return table

    def _numbers(self, column: Any, place: int) -> F64:
        """A column of text as numbers; the first that is none is named."""
        import pandas as pd

        text = column.str.strip().str.replace(self.decimal, ".", regex=False)
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & ~text.str.lower().isin(_MISSING) & text.notna())
        if wrong.size:
            comma = re.fullmatch(r"[+-]?\d+,\d+", str(column.iloc[wrong[0]]))
            raise SourceError(
                f"{self.path.name!r} has {column.iloc[wrong[0]]!r} in column "
                f"{self.columns[place]!r} at about line {self.skip + int(wrong[0]) + 1}: "
                "expected a number" + (", decimal=',' reads this one" if comma else "")
            )
        return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def opened(path: Path, encoding: str) -> Any:
    """A text file, gzipped or not."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    raw: Any = gzip.open(path, "rb") if packed else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding=encoding, newline="")


def look(path: Path, *, separator: str | None = None, decimal: str | None = None) -> Table:
    """What the lines of a table are.

    Raises
    ------
    SourceError
        The file is no text, has no row of numbers, or rows of another length than its header.
    """
    encoding, lines = _lines(path)
    kept = [(i, line) for i, line in enumerate(lines) if line.strip() and not _is_comment(line)]
    if not kept:
        raise SourceError(f"{path.name!r} is not a table: it has no row")
    split_by = separator or _separator([line for _, line in kept])
    rows = [(i, _cells(line, split_by)) for i, line in kept]
    point = decimal or _decimal([cells for _, cells in rows], split_by)
    width = Counter(len(cells) for _, cells in rows[len(rows) // 2 :]).most_common(1)[0][0]
    fitting = [
        (i, c) for i, c in rows if c[0] not in QUALISYS and width - 1 <= len(_bare(c)) <= width
    ]
    numeric = [k for k, (_, c) in enumerate(fitting) if len(c) == width and _is_data(c, point)]
    if not numeric:
        raise SourceError(
            f"{path.name!r} is not a table: no row of it has a number (with decimal commas: "
            "decimal=',')"
        )
    first = numeric[0]
    all_numbers = all(_is_number(c, point) or _is_missing(c) for c in fitting[first][1])
    titles, units, first = _titles(fitting, first, all_numbers)
    numbers = fitting[first:]
    begin = numbers[0][0] if numbers else len(lines)
    _require_even(path, titles, numbers, rows, begin, width)
    _require_end(path, encoding, split_by, width)
    last_empty = all(len(c) < width or not c[-1] for _, c in numbers)
    trailing = last_empty and width > 1 and len(_bare(titles)) < width
    n = width - trailing
    names = _named(titles, n) if titles else _of_comments(lines[:begin], split_by, n)
    return Table(
        path, encoding, split_by, point, names, _padded(units, n), width, begin, not titles,
        tuple(c for _, c in numbers[:50]), tuple(c for i, c in rows if i < begin),
    )  # fmt: skip


def _lines(path: Path) -> tuple[str, list[str]]:
    """The encoding of a file, and its first lines."""
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        try:
            with opened(path, encoding) as text:
                if encoding == "utf-16" and text.buffer.peek(2)[:2] not in _MARKS:
                    continue
                lines = [line for _, line in zip(range(LOOK_LINES), text, strict=False)]
        except UnicodeError:
            continue
        except (OSError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or error
            raise SourceError(f"{path.name!r} cannot be read: {why}") from None
        if any("\x00" in line for line in lines):
            break
        return encoding, lines
    raise SourceError(f"{path.name!r} is not a table: it is no text")


_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENTS)


def _separator(lines: Sequence[str]) -> str:
    """What parts the cells: what the last line looked at has most of."""
    line = lines[len(lines) // 2]
    counts = {s: line.count(s) for s in ("\t", ";", ",")}
    best = max(counts, key=lambda s: counts[s])
    if counts["\t"] or counts[";"]:  # then commas are those of numbers
        best = "\t" if counts["\t"] >= counts[";"] else ";"
    return best if counts[best] else " " if len(line.split()) > 1 else ","


def _decimal(rows: Sequence[tuple[str, ...]], separator: str) -> str:
    cells = [c for row in rows for c in row]
    commas = sum(bool(re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", c, re.I)) for c in cells)
    points = sum(bool(re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", c, re.I)) for c in cells)
    return "," if separator != "," and commas > points else "."


def _cells(line: str, separator: str) -> tuple[str, ...]:
    bare = line.rstrip("\r\n")
    cells = bare.split() if separator == " " else bare.split(separator)
    return tuple(c.strip().strip('"').strip() for c in cells)


def _bare(cells: tuple[str, ...]) -> tuple[str, ...]:
    return cells[:-1] if cells and not cells[-1] else cells


def _is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number, a date or a time of the day."""
    if _DATE.match(cell) or _CLOCK.match(cell):
        return True
    try:
        float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return cell.lower() not in ("nan", "inf", "-inf", "infinity")


def _is_missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _is_data(cells: Sequence[str], decimal: str) -> bool:
    """Whether a row is one of numbers, missing ones too; no header is."""
    return any(_is_number(c, decimal) for c in cells) or all(map(_is_missing, cells))


def _titles(
    rows: Sequence[tuple[int, tuple[str, ...]]], first: int, all_numbers: bool
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Header, units and the place of the first row of numbers."""
    before = [c for _, c in rows[:first]]
    if not before:
        return ((), (), first) if all_numbers else (rows[first][1], (), first + 1)
    if len(before) > 1 and _are_units(before[-1]):
        return before[-2], before[-1], first
    return before[-1], (), first


def _are_units(cells: Sequence[str]) -> bool:
    bare = [c.lower().strip("()[]{} ") for c in cells]
    return all(c in _UNITS for c in bare) and any(bare)


def _named(titles: Sequence[str], n: int) -> tuple[str, ...]:
    names = [*_padded(titles, n)]
    return tuple(name or f"column_{i}" for i, name in enumerate(names))


def _padded(cells: Sequence[str], n: int) -> tuple[str, ...]:
    bare = [c.strip("()[]{} ") if len(c) > 1 else c for c in cells]
    return tuple([*bare, *[""] * n][:n]) if cells else ("",) * n


def _of_comments(lines: Sequence[str], separator: str, n: int) -> tuple[str, ...]:
    """Names in the last comment before the numbers, where there are as many."""
    comments = [line.lstrip("#%/ \t") for line in lines if _is_comment(line)]
    cells = _bare(_cells(comments[-1], separator)) if comments else ()
    if n > 1 and len(cells) == n and not any(_is_number(c, ".") for c in cells):
        return cells
    return tuple(f"column_{i}" for i in range(n))


def _require_even(
    path: Path,
    titles: tuple[str, ...],
    numbers: Sequence[tuple[int, tuple[str, ...]]],
    rows: Sequence[tuple[int, tuple[str, ...]]],
    begin: int,
    width: int,
) -> None:
    """Refuse rows of another length than the header: their cells have no certain name."""
    n = len(_bare(titles)) if titles else width
    fitting = {i for i, _ in numbers}
    for i, cells in rows:
        bare = len(_bare(cells)) if len(cells) > n else len(cells)
        if i >= begin and (i not in fitting or bare != n):
            raise SourceError(
                f"{path.name!r} has {len(cells)} cells in line {i + 1}, expected {n}: is the "
                "separator right, or is the line cut off?"
            )


def _require_end(path: Path, encoding: str, separator: str, width: int) -> None:
    """Refuse a table whose last line is cut off: a part of a number is another number."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return  # gzip tells by itself
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2**16))
        end = file.read()
    if end.endswith((b"\n", b"\r", b"\x00")) or encoding == "utf-16":
        return
    cells = _cells(end.decode(encoding, "replace").splitlines()[-1], separator)
    if len(cells) < width - 1 and cells != ("",):
        raise SourceError(
            f"{path.name!r} is cut off: its last line has {len(cells)} of {width} cells"
        )


def is_date(cell: str) -> bool:
    """Whether a cell is a moment of ISO 8601."""
    return bool(_DATE.match(cell))


def is_time_of_day(cell: str) -> bool:
    """Whether a cell is a time such as ``12:30:01.25``."""
    return bool(_CLOCK.match(cell))


def leading(table: Table, places: Sequence[int]) -> F64:
    """A few columns ``(column, row)`` that stand at the left, without parsing the others.

    Raises
    ------
    SourceError
        A cell of them is no number, or a line has too few cells.
    """
    most = max(places) + 1
    sep = None if table.separator == " " else table.separator
    rows: list[list[float]] = []
    with opened(table.path, table.encoding) as text:
        for number, line in enumerate(text):
            if number < table.skip or not line.strip() or _is_comment(line):
                continue
            cells = line.split(sep, most)
            try:
                rows.append([_as_number(cells[p], table.decimal) for p in places])
            except (ValueError, IndexError):
                raise SourceError(
                    f"{table.path.name!r} has no number in line {number + 1}, in one of the "
                    f"columns {[table.columns[p] for p in places]!r}"
                ) from None
    return np.array(rows, dtype=np.float64).reshape(-1, len(places)).T


def _as_number(cell: str, decimal: str) -> float:
    return float(cell.strip().strip('"').replace(decimal, "."))
