"""The graph of bands whose coefficients are carried from block to block along time."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar

from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.dask_internals import List, Task, TaskRef
from fhemb_xr.ops.blockwise.overlap import Plan
from fhemb_xr.ops.blockwise.read_fusion import Sources

WINDOW = 4
"""Blocks that are read before their turn comes, all series together."""


@dataclass
class Chain(Plan):
    """A :class:`Plan` whose blocks read only themselves, in the order of time.

    ``work(chunks, before, axis, block)`` gives what is carried to the next block, where it is
    ``before``, and what the block adds; ``rebuild(added, others, axis, block)`` makes the block
    from what it and those up to ``ahead`` samples later add, ``others`` the lengths along the
    other axes.

    A scheduler would read chunks long before their turn comes. So what comes straight from a
    store is read in the task that works on it; or, where there are too few series to keep
    workers busy that way, in one of its own, once the :data:`WINDOW`-th before it is done.
    """

    rebuild: Any = None
    ahead: int = 0
    names: ClassVar[tuple[str, ...]] = ("read", "link", "added", "block", "cut")

    def __post_init__(self) -> None:
        self.sources = Sources(self.data)
        lines = math.prod(n for k, n in enumerate(self.data.numblocks) if k != self.axis)
        self.window = WINDOW // lines

    def _layers(self, name: str) -> HighLevelGraph:
        return self.sources.graph(name, self.graph)

    def _line(
        self,
        place: tuple[int, ...],
        edges: list[int],
        names: dict[str, str],
        last: tuple[int, ...],
        in_chunks: bool,
    ) -> None:
        axis, lengths = self.axis, zip(self.data.chunks, place, strict=True)
        others = tuple(c[i] for k, (c, i) in enumerate(lengths) if k != axis)
        line = [(*place[:axis], i, *place[axis + 1 :]) for i in range(len(self.blocks))]
        begins = [block.begin for block in self.blocks]
        for i, (at, block) in enumerate(zip(line, self.blocks, strict=True)):
            self._link(i, line, place, names)
            stop = max(bisect_left(begins, block.end + self.ahead), i + 1)
            added = [(names["added"], *to) for to in line[i:stop]]
            key = self._cut(at, block, edges, names, last, in_chunks)
            self.graph[key] = (self.rebuild, added, others, axis, block)

    def _link(
        self, i: int, line: list[tuple[int, ...]], place: tuple[int, ...], names: dict[str, str]
    ) -> None:
        """The tasks that read a block and carry on what was open before it."""
        at, block, window = line[i], self.blocks[i], self.window
        link, read = (names["link"], *at), (names["read"], *at)
        before = TaskRef((names["link"], *line[i - 1])) if i else None
        chunks: Any = List(*map(TaskRef, self._chunks(place, block)))
        if window > 1 and self.sources.tasks:
            turn = TaskRef((names["added"], *line[i - window])) if i >= window else None
            self.graph[read] = self.sources.inlined(Task(read, _first, chunks, turn))
            self.graph[link] = Task(link, self.work, TaskRef(read), before, self.axis, block)
        else:
            task = Task(link, self.work, chunks, before, self.axis, block)
            self.graph[link] = self.sources.inlined(task)
        self.graph[(names["added"], *at)] = (itemgetter(1), link)


def _first(x: Any, _: Any) -> Any:
    return x
