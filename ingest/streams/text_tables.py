"""Tables in text: finding their layout before numbers are read.

A table may start with comments and a preamble. It may have a header and a row of units. A line
of numbers only is no header. Rows that end with a separator have an extra empty column, which
is left out. Rows of another length are refused.
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
from ingest.streams import text_cells

LOOK_LINES = 300
QUALISYS = (
    "NO_OF_FRAMES", "NO_OF_CAMERAS", "NO_OF_MARKERS", "FREQUENCY", "NO_OF_ANALOG",
    "ANALOG_FREQUENCY", "DESCRIPTION", "TIME_STAMP", "DATA_INCLUDED", "EVENT", "MARKER_NAMES",
    "TRAJECTORY_TYPES",
)  # fmt: skip
"""First cells of the lines before the table in a Qualisys file."""


@dataclass(frozen=True)
class Table:
    """The layout of a table in text."""

    path: Path
    encoding: str
    separator: str
    decimal: str
    columns: tuple[str, ...]  # names; "" if a column has none
    units: tuple[str, ...]
    width: int  # number of cells in a row, with an empty last cell
    skip: int  # number of lines before the first row of numbers
    headerless: bool
    first_rows: tuple[tuple[str, ...], ...]
    preamble: tuple[tuple[str, ...], ...]

    @property
    def piece_rows(self) -> int:
        """Number of rows that are parsed together: about 32 MiB of numbers."""
        return max(1000, 2**22 // self.width)

    def read(self, places: Sequence[int]) -> F64:
        """Read columns ``(column, row)`` as numbers; empty cells and ``n/a`` are NaN.

        Raises
        ------
        SourceError
            A cell, which the error names, is no number; or the table is damaged.
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
        """Read one column as text."""
        try:
            return self._parsed([place], dtype=str)[place]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise self.damaged(error) from None

    def damaged(self, error: Exception) -> SourceError:
        """The error for a table whose rows cannot be read."""
        why = " ".join(str(error).split())
        return SourceError(f"{self.path.name!r} is not a table, or is cut off ({why})")

    def _parsed(self, places: Sequence[int], dtype: Any = None) -> Any:
        import pandas as pd

        with opened(self.path, self.encoding) as text:
            pieces = pd.read_csv(
                text, sep=r"\s+" if self.separator == " " else self.separator, header=None,
                # name all columns: with fewer, pandas silently cuts longer rows
                names=list(range(self.width)),
                skiprows=self.skip, decimal=self.decimal, comment="#", dtype=dtype,
                skipinitialspace=True, skip_blank_lines=True, na_values=["-nan(ind)", "n/a"],
                low_memory=False, float_precision="round_trip", chunksize=self.piece_rows,
            )  # fmt: skip
            table = pd.concat([piece[list(places)] for piece in pieces], ignore_index=True)
        return table

    def _numbers(self, column: Any, place: int) -> F64:
        """A column of text as numbers; the error names the first cell that is none."""
        import pandas as pd

        text = column.str.strip().str.replace(self.decimal, ".", regex=False)
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = np.flatnonzero(
            numbers.isna() & ~text.str.lower().isin(text_cells.MISSING) & text.notna()
        )
        if wrong.size:
            comma = re.fullmatch(r"[+-]?\d+,\d+", str(column.iloc[wrong[0]]))
            raise SourceError(
                f"{self.path.name!r} has {column.iloc[wrong[0]]!r} in column "
                f"{self.columns[place]!r} at about line {self.skip + int(wrong[0]) + 1}: "
                "expected a number" + (", give decimal=',' to read it" if comma else "")
            )
        return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def opened(path: Path, encoding: str) -> Any:
    """Open a text file, gzipped or not."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    raw: Any = gzip.open(path, "rb") if packed else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding=encoding, newline="")


def look(path: Path, *, separator: str | None = None, decimal: str | None = None) -> Table:
    """Find the layout of a table.

    Raises
    ------
    SourceError
        The file is no text, has no row of numbers, or its rows differ in length from its
        header.
    """
    encoding, lines = _lines(path)
    kept = [
        (i, line)
        for i, line in enumerate(lines)
        if line.strip() and not text_cells.is_comment(line)
    ]
    if not kept:
        raise SourceError(f"{path.name!r} is not a table: it has no row")
    split_by = separator or text_cells.separator_of([line for _, line in kept])
    rows = [(i, text_cells.cells_of(line, split_by)) for i, line in kept]
    point = decimal or text_cells.decimal_of([cells for _, cells in rows], split_by)
    width = Counter(len(cells) for _, cells in rows[len(rows) // 2 :]).most_common(1)[0][0]
    rows_of_width = [
        (i, c)
        for i, c in rows
        if c[0] not in QUALISYS and width - 1 <= len(text_cells.without_last(c)) <= width
    ]
    numeric = [
        k
        for k, (_, c) in enumerate(rows_of_width)
        if len(c) == width and text_cells.is_data(c, point)
    ]
    if not numeric:
        raise SourceError(
            f"{path.name!r} is not a table: no row has a number (for decimal commas give "
            "decimal=',')"
        )
    first = numeric[0]
    all_numbers = all(
        text_cells.is_number(c, point) or text_cells.is_missing(c)
        for c in rows_of_width[first][1]
    )
    titles, units, first = _titles(rows_of_width, first, all_numbers)
    numbers = rows_of_width[first:]
    start = numbers[0][0] if numbers else len(lines)
    _require_even(path, titles, numbers, rows, start, width)
    _require_end(path, encoding, split_by, width)
    last_empty = all(len(c) < width or not c[-1] for _, c in numbers)
    trailing = last_empty and width > 1 and len(text_cells.without_last(titles)) < width
    n = width - trailing
    names = text_cells.named(titles, n) if titles else _of_comments(lines[:start], split_by, n)
    padded = text_cells.padded(units, n)
    return Table(
        path, encoding, split_by, point, names, padded, width, start, not titles,
        tuple(c for _, c in numbers[:50]), tuple(c for i, c in rows if i < start),
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


def _titles(
    rows: Sequence[tuple[int, tuple[str, ...]]], first: int, all_numbers: bool
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Header, units and place of the first row of numbers."""
    before = [c for _, c in rows[:first]]
    if not before:
        return ((), (), first) if all_numbers else (rows[first][1], (), first + 1)
    if len(before) > 1 and text_cells.are_units(before[-1]):
        return before[-2], before[-1], first
    return before[-1], (), first


def _of_comments(lines: Sequence[str], separator: str, n: int) -> tuple[str, ...]:
    """Names in the last comment before the numbers, if it has a name for each column."""
    comments = [line.lstrip("#%/ \t") for line in lines if text_cells.is_comment(line)]
    cells = (
        text_cells.without_last(text_cells.cells_of(comments[-1], separator))
        if comments
        else ()
    )
    if n > 1 and len(cells) == n and not any(text_cells.is_number(c, ".") for c in cells):
        return cells
    return tuple(f"column_{i}" for i in range(n))


def _require_even(
    path: Path,
    titles: tuple[str, ...],
    numbers: Sequence[tuple[int, tuple[str, ...]]],
    rows: Sequence[tuple[int, tuple[str, ...]]],
    start: int,
    width: int,
) -> None:
    """Refuse rows whose length differs from the header: the names of their cells are unsure."""
    n = len(text_cells.without_last(titles)) if titles else width
    fitting = {i for i, _ in numbers}
    for i, cells in rows:
        bare = len(text_cells.without_last(cells)) if len(cells) > n else len(cells)
        if i >= start and (i not in fitting or bare != n):
            raise SourceError(
                f"{path.name!r} has {len(cells)} cells in line {i + 1}, expected {n}: is the "
                "separator right, or is the line cut off?"
            )


def _require_end(path: Path, encoding: str, separator: str, width: int) -> None:
    """Refuse a table whose last line is cut off: part of a number is a wrong number."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return  # gzip finds truncation itself
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2**16))
        end = file.read()
    if end.endswith((b"\n", b"\r", b"\x00")) or encoding == "utf-16":
        return
    cells = text_cells.cells_of(end.decode(encoding, "replace").splitlines()[-1], separator)
    if len(cells) < width - 1 and cells != ("",):
        raise SourceError(
            f"{path.name!r} is cut off: its last line has {len(cells)} of {width} cells"
        )


def leading(table: Table, places: Sequence[int]) -> F64:
    """Read a few columns ``(column, row)`` at the left, without parsing the others.

    Raises
    ------
    SourceError
        A cell of these columns is no number, or a line has too few cells.
    """
    most = max(places) + 1
    sep = None if table.separator == " " else table.separator
    rows: list[list[float]] = []
    with opened(table.path, table.encoding) as text:
        for number, line in enumerate(text):
            if number < table.skip or not line.strip() or text_cells.is_comment(line):
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
