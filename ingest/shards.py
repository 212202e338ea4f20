"""What is read for one shard: its subjects, cells, blocks and counts."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.io.encoding import resample
from fhemb_xr.typing import F32, Ints


@dataclass
class Counts:
    """What was met on the way; the totals of a run are the sum over its shards."""

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
        """What ``--strict`` refuses."""
        names = ("empty_cells", "misshapen", "duplicates", "out_of_range")
        return [f"{getattr(self, n)} {n.replace('_', ' ')}" for n in names if getattr(self, n)]


@dataclass(frozen=True)
class Cell:
    """How one matrix is written: an array, or bytes after two columns of its shape."""

    kind: str  # "array" or "bytes"
    dtype: np.dtype[Any]  # of one element on the wire
    oid: int = 0  # of an array's elements
    scale: float = 1.0
    offset: float = 0.0

    @property
    def name(self) -> str:
        """``real[][]``, ``bytea <f4``."""
        return _NAMES.get(self.oid, f"bytea {self.dtype.str}")

    def degrees(self, values: NDArray[Any]) -> F32:
        """Elements as temperatures: native float32, contiguous."""
        with np.errstate(over="ignore"):  # a double beyond float32 is counted as out of range
            if (self.scale, self.offset) == (1.0, 0.0):
                return np.ascontiguousarray(values, dtype=np.float32)
            return np.asarray(values * self.scale + self.offset, dtype=np.float32)


_NAMES = {700: "real[][]", 701: "double precision[][]", 21: "smallint[][]", 23: "integer[][]"}


@dataclass(frozen=True)
class Run:
    """Rows of one shape: their clock values, and their elements ``(n, *dims)`` or None."""

    clock: Ints
    values: NDArray[Any] | None
    why: str = ""  # the counter of rows without values
    nulls: int = 0


@dataclass
class Block:
    """One shard being filled: frames centred on the grid, each with its own shape.

    ``top = (H - h) // 2`` and ``left = (W - w) // 2``; the rest is missing, as is a frame
    without a row or without a face. ``resized`` blocks have each frame resampled to the grid by
    area instead; ``height`` and ``width`` are then still those that the source has.
    """

    session: str
    subject: int | str
    start: int
    heat: NDArray[Any]  # (n, H, W), packed or float32, filled with the missing value
    until: int  # where the session ends, in this block or behind it
    resized: bool = False
    height: NDArray[np.int16] = field(init=False)
    width: NDArray[np.int16] = field(init=False)
    position: F32 = field(init=False)
    counts: Counts = field(default_factory=Counts)
    version: str = ""  # of the rows that it was read from, where the source can tell

    def __post_init__(self) -> None:
        n = len(self.heat)
        self.height, self.width = np.zeros((2, n), dtype=np.int16)
        self.position = np.full((n, 2), np.nan, dtype=np.float32)

    @property
    def stop(self) -> int:
        """One past the last frame number."""
        return self.start + len(self.heat)

    def place(self, run: Run, cell: Cell, pack: Any, limits: tuple[float, float]) -> None:
        """Put a run of matrices where its clock says."""
        index = self._index(run)
        if run.values is None or run.values.ndim != 3:
            why = run.why or "misshapen"
            setattr(self.counts, why, getattr(self.counts, why) + len(index))
            return
        rows_, cols = run.values.shape[1:]
        values = cell.degrees(run.values)
        self._drop_impossible(values, limits)
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
                f"{int(frame)}, the grid is {high}x{wide}: a new store can have a larger one "
                "(--grid), or frames of one size (--resize)"
            )
        return (high - rows_) // 2, (wide - cols) // 2

    def place_position(self, run: Run, cell: Cell) -> None:
        """Put a run of face centres ``(x, y)``; anything but two numbers stays NaN."""
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

    def _drop_impossible(self, values: F32, limits: tuple[float, float]) -> None:
        wrong = (values < limits[0]) | (values > limits[1])  # infinite too; NaN is neither
        n = int(np.count_nonzero(wrong))
        if n:
            values[wrong] = np.nan
            self.counts.out_of_range += n


def _as_slice(index: Ints) -> Any:
    """A slice where the frames follow each other: eight times faster than an index array."""
    if index.size and (index == np.arange(index[0], index[0] + index.size)).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


Subject = int | str
