"""Frames as matrices in text, as ResearchIR and other programs export them.

A frame is a block of lines with equally many numbers; a line of something else ends it. A file
holds one frame, or several below one another. Separators and decimal commas are seen.
"""

from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import Contents, Picture

LEAST = (4, 8)
"""Least rows and columns of a matrix that is found in a folder; smaller ones are tables."""
_SEPARATORS = (b"\t", b";", b",", b" ")
_LOOK_LINES = 200


class _Form:
    """Separator, decimal point and width of the rows of a file."""

    def __init__(self, separator: bytes, width: int, ends: bool) -> None:
        self.separator, self.width, self.ends = separator, width, ends
        self.comma = separator != b","

    @classmethod
    def of(cls, path: Path) -> "_Form":
        """The form of the first row of numbers.

        Raises
        ------
        SourceError
            There is no row of numbers, or a row of names is above it.
        """
        before: bytes = b""
        with path.open("rb") as file:
            for _, line in zip(range(_LOOK_LINES), file, strict=False):
                text = line.strip(b"\r\n\xef\xbb\xbf")
                for separator in _SEPARATORS:
                    ends = text.endswith(separator)
                    cells = text.removesuffix(separator).split(separator)
                    form = cls(separator, len(cells), ends)
                    if len(cells) > 1 and all(form.number(c) for c in cells):
                        form._require_no_names(before, path)
                        return form
                before = text
        raise SourceError(f"{path.name!r} has no row of numbers: expected a matrix of pixels")

    def _require_no_names(self, line: bytes, path: Path) -> None:
        cells = line.removesuffix(self.separator).split(self.separator)
        if len(cells) == self.width and not any(self.number(c) for c in cells if c.strip()):
            raise SourceError(
                f"{path.name!r} is a table with names of columns, not a matrix of pixels"
            )

    def number(self, cell: bytes) -> bool:
        """Whether a cell holds a number."""
        try:
            float(cell.replace(b",", b".") if self.comma else cell)
        except ValueError:
            return False
        return True

    def is_row(self, line: bytes) -> bool:
        """Whether a line is a row of a matrix, by its first and last number."""
        text = line.rstrip(b"\r\n")
        text = text.removesuffix(self.separator) if self.ends else text
        if text.count(self.separator) != self.width - 1:
            return False
        first, last = text.partition(self.separator)[0], text.rpartition(self.separator)[2]
        return self.number(first) and self.number(last)

    def parsed(self, text: bytes, path: Path, line: int) -> F64:
        """The numbers of some rows; ``line`` is where they start, for errors."""
        text = text.replace(b"\r", b"")
        if self.ends:
            text = (text + b"\n").replace(self.separator + b"\n", b"\n")
        if self.comma:
            text = text.replace(b",", b".")
        sep = None if self.separator == b" " else self.separator.decode()
        try:
            values: F64 = np.loadtxt(BytesIO(text), delimiter=sep, ndmin=2, comments=None)
        except ValueError as error:
            why = str(error).partition(" at row")[0]
            raise SourceError(
                f"a cell of {path.name!r} below line {line} is no number: {why}"
            ) from None
        return values


class _Matrices:
    """Blocks of a file as rows ``(time, y, x)``."""

    def __init__(self, path: Path, form: _Form, stack: ExitStack) -> None:
        self._path, self._form = path, form
        self._file = stack.enter_context(path.open("rb"))
        self._spans = _blocks(self._file, form)
        heights = {lines for *_, lines in self._spans}
        if len(heights) > 1:
            raise SourceError(
                f"{path.name!r} has frames of {min(heights)} to {max(heights)} rows: expected "
                "frames of one size"
            )
        self.shape = (len(self._spans), heights.pop(), form.width)
        self.dtype: np.dtype[Any] = np.dtype(np.float64)

    def __getitem__(self, rows: slice) -> F64:
        chosen = self._spans[rows]
        out = np.empty((len(chosen), *self.shape[1:]))
        for i, (start, stop, line, _) in enumerate(chosen):
            self._file.seek(start)
            out[i] = self._form.parsed(self._file.read(stop - start), self._path, line)
        return out


def _blocks(file: Any, form: _Form) -> list[tuple[int, int, int, int]]:
    """First and last byte, first line and number of lines of each block."""
    spans: list[tuple[int, int, int, int]] = []
    at = start = first = lines = 0
    for n, line in enumerate(file):
        if form.is_row(line):
            if not lines:
                start, first = at, n
            lines += 1
        elif lines:
            spans.append((start, at, first, lines))
            lines = 0
        at += len(line)
    return [*spans, (start, at, first, lines)] if lines else spans


def open_matrices(path: Path, stack: ExitStack) -> Contents:
    """Open a file of several frames; one block alone may be many frames, and is refused.

    Raises
    ------
    SourceError
        The file holds no matrices, one only, or some of different sizes.
    """
    rows = _Matrices(path, _Form.of(path), stack)
    if rows.shape[0] == 1:
        raise SourceError(
            f"{path.name!r} is one matrix of {rows.shape[1]} x {rows.shape[2]} numbers: put "
            "the frames into files of one folder, or an empty line between them"
        )
    return Contents({path.stem: rows}, alone=True)


def picture(path: Path) -> Picture:
    """The one frame of a file."""
    with ExitStack() as stack:
        rows = _Matrices(path, _Form.of(path), stack)
        if rows.shape[0] != 1:
            raise SourceError(f"{path.name!r} has {rows.shape[0]} frames, other files have one")
        return Picture(rows[:][0])


def is_matrix(path: Path) -> bool:
    """Whether the first lines of a file are a matrix that is too large for a table."""
    try:
        form = _Form.of(path)
    except SourceError:
        return False
    with path.open("rb") as file:
        lines = [form.is_row(line) for _, line in zip(range(_LOOK_LINES), file, strict=False)]
    return sum(lines) >= LEAST[0] and form.width >= LEAST[1]


def is_one(path: Path) -> bool:
    """Whether a file holds one frame."""
    with path.open("rb") as file:
        return len(_blocks(file, _Form.of(path))) == 1
