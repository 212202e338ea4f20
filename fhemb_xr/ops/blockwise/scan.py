"""A sequential scan along one axis: a small state goes from each block to the next.

The chunks of a line are worked on in order. Everything depends on the state before it, so a
scheduler would read chunks long before their turn comes, and keep them in memory. Hence two
means. A chunk that comes straight from a store is read inside of the task that works on it. If
there are too few lines to keep the workers busy that way, a task of its own reads the chunk,
but only after the :data:`WINDOW`-th block before it is done.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import dask.array as da

from fhemb_xr.dask_internals import List, Task, TaskRef
from fhemb_xr.ops.blockwise.grid import Block, Grid, Place
from fhemb_xr.ops.blockwise.read_fusion import Sources

WINDOW = 4
"""Blocks that are read before their turn comes, all lines together."""


@dataclass
class Chain:
    """Blocks that read only their own chunks, one after another along ``axis``.

    ``work(chunks, before, axis, block)`` gives a pair: the state for the next block, whose
    ``before`` is this pair, and what the block adds to the result. ``rebuild(added, others,
    axis, block)`` makes the result of a block from what it and the blocks up to ``ahead``
    samples later add; ``others`` are the lengths along the other axes.
    """

    data: da.Array
    axis: int
    blocks: list[Block]
    work: Callable[..., Any]
    rebuild: Callable[..., Any]
    ahead: int = 0

    def __post_init__(self) -> None:
        self._begins = [block.begin for block in self.blocks]

    def array(self, new: tuple[int, ...], meta: Any) -> da.Array:
        """The lazy result in the chunks of ``data``; ``new``: the sizes of new last axes."""
        grid, sources = Grid(self.data, self.axis, (self.blocks, self.work)), Sources(self.data)
        window = WINDOW // math.prod(
            n for k, n in enumerate(self.data.numblocks) if k != self.axis
        )
        for line in grid.lines():
            for i in range(len(self.blocks)):
                self._add_link(grid, sources, line, i, window)
                self._add_result(grid, line, i, len(new))
        return grid.array(sources.graph(grid.name("cut"), grid.graph), new, meta, None)

    def _add_link(self, grid: Grid, sources: Sources, line: Place, i: int, window: int) -> None:
        """The tasks that read a block and pass the state on."""
        block, link, read = self.blocks[i], grid.key("link", line, i), grid.key("read", line, i)
        before = TaskRef(grid.key("link", line, i - 1)) if i else None
        chunks: Any = List(*(TaskRef(grid.chunk(line, j)) for j in block.chunks))
        if window > 1 and sources.tasks:
            turn = TaskRef(grid.key("added", line, i - window)) if i >= window else None
            grid.graph[read] = sources.inlined(Task(read, _first, chunks, turn))
            grid.graph[link] = Task(link, self.work, TaskRef(read), before, self.axis, block)
        else:
            task = Task(link, self.work, chunks, before, self.axis, block)
            grid.graph[link] = sources.inlined(task)
        grid.graph[grid.key("added", line, i)] = (itemgetter(1), link)

    def _add_result(self, grid: Grid, line: Place, i: int, n_new: int) -> None:
        """The tasks that make a block's result from what it and later blocks add."""
        block, axis = self.blocks[i], self.axis
        lengths = zip(self.data.chunks, line, strict=True)
        others = tuple(c[at] for k, (c, at) in enumerate(lengths) if k != axis)
        stop = max(bisect_left(self._begins, block.end + self.ahead), i + 1)
        added = [grid.key("added", line, j) for j in range(i, stop)]
        key = grid.result(line, i, block, n_new, in_chunks=True)
        grid.graph[key] = (self.rebuild, added, others, axis, block)


def _first(x: Any, _: Any) -> Any:
    return x
