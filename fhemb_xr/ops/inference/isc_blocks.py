"""Series of people in blocks, so that no task of :func:`fhemb_xr.isc` holds those of all.

The whole null of one person is short (two megabytes for a session of 270 000 frames), so it is
held at once and its quantiles are exact. What grows is the number of people: a task works on
one block of them, of pairs on two, and leaves the largest score of its block at each shift.
"""

import math
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.inference import isc as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.options import options

OTHER = "fhemb_other"
"""People who stand still."""
SERIES = 32 * 2**20
"""Bytes of the series of one block, as float64."""
WORK = 64 * 2**20
"""Bytes of the work on people who move at once, if it is more than one."""
_MOVED = 400  # bytes per sample of one who moves: spectra, null and masks, with gaps
_HELD = 64  # bytes per sample of a block: both sides, the pieces they are made of, and copies

Grid = list[list[xr.DataArray]]


class Plan(NamedTuple):
    """People of one block, people who move at once, and the bytes of one task."""

    people: int
    group: int
    n_bytes: int

    def slices(self, n: int) -> list[slice]:
        """The blocks of ``n`` people."""
        return [slice(k, min(k + self.people, n)) for k in range(0, max(n, 1), self.people)]


def plan(n_people: int, n_time: int) -> Plan:
    """Blocks whose tasks stay under the budget, by the sizes alone.

    Raises
    ------
    BudgetError
        If the null of one person is larger than the budget of a task.
    """
    n_time = max(n_time, 1)
    work = min(WORK, options.budget // 2)
    group = min(max(work // (_MOVED * n_time), 1), max(n_people, 1))
    spare = max(options.budget - _MOVED * n_time * group, 0)
    most = min(SERIES // (8 * n_time), spare // (_HELD * n_time))
    n_blocks = math.ceil(n_people / max(most, 1))
    people = math.ceil(n_people / max(n_blocks, 1)) or 1
    needed = n_time * (_MOVED * group + _HELD * people)
    budget.check(needed, "the null of one person", "select less time")
    return Plan(people, group, needed)


class People:
    """Blocks of people who move, and of those who stand still.

    Of ``"leave_one_out"`` a block of who moves meets the means of the others, of
    ``"pairwise"`` every block meets every block.
    """

    def __init__(
        self, x: xr.DataArray, dim: Hashable, how: str, copies: xr.DataArray | None = None
    ) -> None:
        self.dim, self.how = dim, how
        n = x.sizes[dim]
        self.plan = plan(n, x.sizes[schema.TIME])
        self.slices = self.plan.slices(n)
        x = self._bare(x)
        lines = self._gathered(x)
        blocks = [lines.isel({dim: s}) for s in self.slices]
        self.still = blocks if how == "pairwise" else self._others(x, blocks)
        self.still = [b.rename({dim: OTHER}) for b in self.still]
        if copies is not None:
            lines = self._gathered(self._bare(copies))
            blocks = [lines.isel({dim: s}) for s in self.slices]
        self.moving = blocks

    def applied(
        self, function: Callable[..., Any], new: Callable[..., dict[Hashable, int]],
        places: bool, **work: Any,
    ) -> Grid:  # fmt: skip
        """The kernel on each block, or pair of blocks: rows who stand, columns who move.

        ``new`` gives the core dimensions of the result for ``(still, moving)`` people;
        ``places`` tells the kernel whether a block meets itself.
        """
        grid: Grid = []
        rows = self._cells()
        for row in rows:
            line = []
            for r, c in row:
                moving, still = self.moving[c], self.still[r]
                given = dict(work, group=self.plan.group)
                if places:
                    given["itself"] = r == c
                sizes = new(still.sizes[OTHER], moving.sizes[self.dim])
                core: list[list[Hashable]] = [[self.dim, schema.TIME], [OTHER, schema.TIME]]
                line.append(
                    apply_kernel(function, moving, still, core=core, new=sizes, **given)
                )
            grid.append(line)
        return grid

    def counts(self) -> list[list[tuple[int, int]]]:
        """People who stand still and who move, of each cell of the grid."""
        return [
            [(self.still[r].sizes[OTHER], self.moving[c].sizes[self.dim]) for r, c in row]
            for row in self._cells()
        ]

    def _cells(self) -> list[list[tuple[int, int]]]:
        """Blocks who stand still and who move, of each cell of the grid."""
        count = range(len(self.slices))
        if self.how == "pairwise":
            return [[(r, c) for c in count] for r in count]
        return [[(c, c) for c in count]]

    def _bare(self, x: xr.DataArray) -> xr.DataArray:
        """Without labels of people and times, which no result of a block carries."""
        along = {self.dim, schema.TIME}
        return x.drop_vars([c for c in x.coords if along & {*x[c].dims}])

    def _gathered(self, x: xr.DataArray) -> xr.DataArray:
        """All of time of one block of people, of as little else as the budget asks for."""
        chunks = {self.dim: self.plan.people, schema.TIME: -1, **self._rest(x)}
        return rechunked(x, chunks)

    def _rest(self, x: xr.DataArray) -> dict[Hashable, int]:
        sizes = x.variable.chunksizes
        found = {
            d: max(c, default=1) for d, c in sizes.items() if d not in (self.dim, schema.TIME)
        }
        more = math.prod(found.values()) - 1
        more *= _HELD * self.plan.people * x.sizes[schema.TIME]
        return found if self.plan.n_bytes + more <= options.budget else dict.fromkeys(found, 1)

    def _others(self, x: xr.DataArray, blocks: list[xr.DataArray]) -> list[xr.DataArray]:
        """Mean of the others of each: the sum of all people, minus the person."""
        rest = self._rest(x)
        most = max(SERIES // (8 * x.sizes[self.dim] * math.prod(rest.values()) or 1), 1)
        chunks: dict[Hashable, int] = {self.dim: -1, **rest}
        if x.chunks and max(x.chunksizes[schema.TIME], default=0) > most:
            chunks[schema.TIME] = most
        of_all = apply_kernel(
            kernel.sums, rechunked(x, chunks), core=[[self.dim]], new={"_sum": 2}
        )
        of_all = rechunked(of_all, {schema.TIME: -1}).transpose(..., "_sum", schema.TIME)
        core: list[list[Hashable]] = [[self.dim, schema.TIME], ["_sum", schema.TIME]]
        return [apply_kernel(kernel.rest, b, of_all, core=core, new=core[0]) for b in blocks]


def joined(grid: Grid, people: list[Hashable]) -> xr.DataArray:
    """The blocks as one array of all people, or of all pairs."""
    lines = [_end_to_end(row, people[-1]) for row in grid]
    return _end_to_end(lines, people[0])


def _end_to_end(parts: list[xr.DataArray], dim: Hashable) -> xr.DataArray:
    if len(parts) == 1:
        return parts[0]
    return xr.concat(parts, str(dim), coords="minimal", compat="override", join="override")
