"""The data of one shard while it is read: subjects, cells, blocks and counts."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.io.encoding import resample
from fhemb_xr.typing import F32, Ints


@dataclass
class Counts:
    """Counts of rows, faces and faults; the totals of a run are the sum over its shards."""

    rows: int = 0
    faces: int = 0
    null_cells: int = 0
    empty_cells: int = 0
    misshapen: int = 0
    duplicates: int = 0
    null_pixels: int = 0
    out_of_range: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    def doubts(self) -> list[str]:
        """The counts that ``--strict`` refuses, as text."""
        names = ("empty_cells", "misshapen", "duplicates", "out_of_range")
        return [f"{getattr(self, n)} {n.replace('_', ' ')}" for n in names if getattr(self, n)]


@dataclass(frozen=True)
class Cell:
    """The encoding of one matrix: an array, or bytes after two columns with its shape."""

    kind: str  # "array" or "bytes"
    dtype: np.dtype[Any]  # dtype of one element as it is sent
    oid: int = 0  # PostgreSQL's number for the type of an array's elements
    scale: float = 1.0
    offset: float = 0.0

    @property
    def name(self) -> str:
        """Name of the type, such as ``real[][]`` or ``bytea <f4``."""
        return _NAMES.get(self.oid, f"bytea {self.dtype.str}")

    def degrees(self, values: NDArray[Any]) -> F32:
        """Elements as temperatures in °C: native, contiguous float32."""
        with np.errstate(over="ignore"):  # a double beyond float32 counts as out of range
            if (self.scale, self.offset) == (1.0, 0.0):
                return np.ascontiguousarray(values, dtype=np.float32)
            out = values * self.scale
            out += self.offset
            return np.asarray(out, dtype=np.float32)


_NAMES = {700: "real[][]", 701: "double precision[][]", 21: "smallint[][]", 23: "integer[][]"}


@dataclass(frozen=True)
class Run:
    """Rows of one shape: their clock values, and their elements ``(n, *dims)`` or None."""

    clock: Ints
    values: NDArray[Any] | None
    why: str = ""  # name of the count for rows without values
    nulls: int = 0

    def parts(self, n_bytes: int) -> Iterator["Run"]:
        """Runs of some rows each, whose values take at most ``n_bytes`` in float64."""
        if self.values is None or not len(self.values):
            yield self
            return
        n = max(1, n_bytes // max(1, 8 * self.values[0].size))
        for a in range(0, len(self.clock), n):
            rows = slice(a, a + n)
            yield Run(self.clock[rows], self.values[rows], self.why, 0 if a else self.nulls)


@dataclass
class Block:
    """One shard that is being filled: frames centred on the grid, each with its own shape.

    The upper left corner of a frame is ``top = (H - h) // 2``, ``left = (W - w) // 2``. Pixels
    outside it are missing. A frame without a row or a face is missing too. In a ``resized``
    block, each frame is resampled to the grid by area; ``height`` and ``width`` still are the
    sizes in the source.
    """

    session: str
    subject: int | str = field(repr=False)
    start: int
    heat: NDArray[Any]  # (n, H, W), packed or float32, filled with the missing value
    until: int  # end of the frames to read: of the block, or of the session if it is earlier
    resized: bool = False
    height: NDArray[np.int16] = field(init=False)
    width: NDArray[np.int16] = field(init=False)
    position: F32 = field(init=False)
    counts: Counts = field(default_factory=Counts)
    version: str = ""  # version of the rows that were read; "" if the source has none

    def __post_init__(self) -> None:
        n = len(self.heat)
        self.height, self.width = np.zeros((2, n), dtype=np.int16)
        self.position = np.full((n, 2), np.nan, dtype=np.float32)

    @property
    def stop(self) -> int:
        """Frame number after the last frame."""
        return self.start + len(self.heat)

    def place(self, run: Run, cell: Cell, pack: Any, limits: tuple[float, float]) -> None:
        """Put a run of matrices at the frames of its clock."""
        index = self._index(run)
        if run.values is None or run.values.ndim != 3:
            why = run.why or "misshapen"
            setattr(self.counts, why, getattr(self.counts, why) + len(index))
            return
        rows_, cols = run.values.shape[1:]
        values = cell.degrees(run.values)
        values = self._possible(values, limits)
        if self.resized:
            self.heat[_as_slice(index)] = pack(resample(values, self.heat.shape[1:]))
        else:
            top, left = self._corner(run.clock[0], rows_, cols)
            self.heat[_as_slice(index), top : top + rows_, left : left + cols] = pack(values)
        self.height[index], self.width[index] = rows_, cols
        self.counts.faces += len(index)
        self.counts.null_pixels += run.nulls

    def _corner(self, frame: int, rows_: int, cols: int) -> tuple[int, int]:
        high, wide = self.heat.shape[1:]
        if rows_ > high or cols > wide:
            raise SourceError(
                f"subject {self.subject} has a frame of {rows_}x{cols} pixels at frame "
                f"{int(frame)}, the grid is {high}x{wide}: make a new store with a larger grid "
                "(--grid), or with frames of one size (--resize)"
            )
        return (high - rows_) // 2, (wide - cols) // 2

    def place_position(self, run: Run, cell: Cell) -> None:
        """Put a run of face centres ``(x, y)``; values other than two numbers stay NaN."""
        if run.values is not None and run.values[0].size == 2:
            self.position[self._index(run)] = cell.degrees(run.values).reshape(-1, 2)

    def _index(self, run: Run) -> Ints:
        index = run.clock - self.start
        if index.size and not (index.min() >= 0 and index.max() < len(self.heat)):
            raise SourceError(
                f"asked for the frames [{self.start}, {self.stop}), the source sent "
                f"{int(run.clock.min())} to {int(run.clock.max())}"
            )
        return index

    def _possible(self, values: F32, limits: tuple[float, float]) -> F32:
        """Values within the limits; a copy if some are not, because files may be read-only."""
        wrong = (values < limits[0]) | (values > limits[1])  # True for infinity, not for NaN
        n = int(np.count_nonzero(wrong))
        self.counts.out_of_range += n
        return np.where(wrong, np.float32(np.nan), values) if n else values


def _as_slice(index: Ints) -> Any:
    """A slice if the frames are consecutive: eight times faster than an index array."""
    if index.size and (index == np.arange(index[0], index[0] + index.size)).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


Subject = int | str
