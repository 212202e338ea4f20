"""Blocks along one axis, each with the stretch of the array that it depends on.

``dask.array.overlap`` needs chunks as long as the overlap, and rechunks them; here a block is
some neighbouring chunks, reads whole chunks and the ends of others, and is cut back into
exactly the chunks that came in.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Block:
    """Samples ``begin`` to ``end``, made of chunks ``chunks``, from the stretches ``reads``."""

    begin: int
    end: int
    chunks: range
    reads: Ranges


def blocks(
    chunks: Sequence[int], least: int, reads: Callable[[int, int], Ranges]
) -> list[Block]:
    """Neighbouring chunks together until they are ``least`` long; the rest joins the last."""
    edges = [0, *accumulate(chunks)]
    starts, begin = [0], 0
    for i, edge in enumerate(edges[1:-1], 1):
        if edge - begin >= least and edges[-1] - edge >= least:
            starts.append(i)
            begin = edge
    spans = zip(starts, [*starts[1:], len(chunks)], strict=True)
    return [Block(edges[a], edges[b], range(a, b), reads(edges[a], edges[b])) for a, b in spans]


@dataclass
class Plan:
    """How ``data`` is cut along ``axis``, and the functions that work on the blocks.

    ``work(parts, state, axis, block)`` gives a block; ``summary(parts, axis, block)`` and
    ``merge(state, state)``, where there are any, say to a block what came before it.
    """

    data: da.Array
    axis: int
    blocks: list[Block]
    work: Callable[..., Any]
    summary: Callable[..., Any] | None = None
    merge: Callable[..., Any] | None = None
    graph: dict[Any, Any] = field(default_factory=dict)

    def array(self, extra: tuple[int, ...], meta: Any) -> da.Array:
        """The lazy result in the chunks of ``data``; ``extra``: the sizes of new last axes."""
        token = tokenize(self.data.name, self.axis, self.blocks, self.work, self.merge)
        names = {k: f"fhemb-{k}-{token}" for k in ("edge", "state", "sofar", "block", "cut")}
        edges = [0, *accumulate(self.data.chunks[self.axis])]
        for place in product(*(range(n) for n in self.data.numblocks)):
            if place[self.axis] == 0:  # one line of blocks along the axis
                self._line(place, edges, names, (0,) * len(extra))
        graph = HighLevelGraph.from_collections(names["cut"], self.graph, [self.data])
        chunks = (*self.data.chunks, *((n,) for n in extra))
        return da.Array(graph, names["cut"], chunks, meta=meta)

    def _line(
        self, place: tuple[int, ...], edges: list[int], names: dict[str, str], last: Any
    ) -> None:
        graph, axis, before = self.graph, self.axis, None
        for i, block in enumerate(self.blocks):
            at = (*place[:axis], i, *place[axis + 1 :])
            parts = [self._part(place, *r, names["edge"]) for r in _cuts(block.reads, edges)]
            cut = {
                (names["cut"], *place[:axis], j, *place[axis + 1 :], *last): edges[j : j + 2]
                for j in block.chunks
            }
            alone = len(cut) == 1
            key = next(iter(cut)) if alone else (names["block"], *at)
            graph[key] = (self.work, parts, before, axis, block)
            for to, (a, b) in () if alone else cut.items():
                graph[to] = (_end, key, axis, a - block.begin, b - block.begin)
            if self.summary and self.merge and i + 1 < len(self.blocks):
                own = [self._part(place, j, None, None, "") for j in block.chunks]
                graph[(names["state"], *at)] = (self.summary, own, axis, block)
                graph[(names["sofar"], *at)] = (self.merge, before, (names["state"], *at))
                before = (names["sofar"], *at)

    def _part(self, place: tuple[int, ...], j: int, a: Any, b: Any, name: str) -> Any:
        """The key of a chunk, or of an end of it, which is copied so that the chunk may go."""
        source = (self.data.name, *place[: self.axis], j, *place[self.axis + 1 :])
        if a is None:
            return source
        key = (name, *source[1:], a, b)
        self.graph[key] = (_end, source, self.axis, a, b)
        return key


def _cuts(reads: Ranges, edges: list[int]) -> Iterator[tuple[int, int | None, int | None]]:
    """Chunks, whole (None) or from one sample to another, that make up the stretches."""
    for lo, hi in reads:
        j = bisect_right(edges, lo) - 1
        while j < len(edges) - 1 and edges[j] < hi:
            a, b = max(lo, edges[j]) - edges[j], min(hi, edges[j + 1]) - edges[j]
            whole = b - a == edges[j + 1] - edges[j]
            if b > a:
                yield (j, None, None) if whole else (j, a, b)
            j += 1


def _end(x: Any, axis: int, a: int, b: int) -> Any:
    return np.ascontiguousarray(x[(slice(None),) * axis + (slice(a, b),)])
