"""Blocks of neighbouring chunks along one axis, and the graph of the tasks that make them."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

Ranges = tuple[tuple[int, int], ...]
Place = tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Samples ``begin`` to ``end``, made of chunks ``chunks``, from the stretches ``reads``."""

    begin: int
    end: int
    chunks: range
    reads: Ranges

    @property
    def read_samples(self) -> int:
        """Samples that the block reads."""
        return sum(b - a for a, b in self.reads)


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
class Grid:
    """Tasks on the chunks of ``data`` along ``axis``, gathered in one ``graph``.

    A *line* is the position of a row of chunks along the axis: a position in the grid whose
    index along the axis does not count. ``purpose`` tells two graphs over the same data apart:
    everything that their results depend on.
    """

    data: da.Array
    axis: int
    purpose: Any
    graph: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.edges = [0, *accumulate(self.data.chunks[self.axis])]
        self.token = tokenize(self.data.name, self.axis, self.purpose)

    def lines(self) -> Iterator[Place]:
        """Every row of chunks along the axis."""
        counts = [n if k != self.axis else 1 for k, n in enumerate(self.data.numblocks)]
        return product(*map(range, counts))

    def name(self, name: str) -> str:
        """The full name of a kind of task."""
        return f"fhemb-{name}-{self.token}"

    def key(self, name: str, line: Place, i: int, *more: int) -> tuple[Any, ...]:
        """The key of the i-th task of a kind in a line."""
        return (self.name(name), *self._at(line, i), *more)

    def _at(self, line: Place, i: int) -> Place:
        return (*line[: self.axis], i, *line[self.axis + 1 :])

    def chunk(self, line: Place, j: int) -> tuple[Any, ...]:
        """The key of a chunk of the data."""
        return (self.data.name, *self._at(line, j))

    def parts(self, line: Place, reads: Ranges) -> list[Any]:
        """Keys of the chunks that make up ``reads``, and of new tasks that cut ends of chunks.

        The ends are copies, so that their chunk can be released.
        """
        keys = []
        for j, a, b in _cuts(reads, self.edges):
            key = self.chunk(line, j)
            if a is not None and b is not None:
                key, source = self.key("edge", line, j, a, b), key
                self.graph[key] = (end_of, source, self.axis, a, b)
            keys.append(key)
        return keys

    def result(self, line: Place, i: int, block: Block, n_new: int, in_chunks: bool) -> Any:
        """The key that the i-th block must have, after adding tasks that cut it into chunks.

        ``n_new``: last axes that the result has and the data have not. ``in_chunks`` is False
        where a block stays one chunk.
        """
        if not in_chunks:
            return self.key("cut", line, i, *(0,) * n_new)
        cuts = [self.key("cut", line, j, *(0,) * n_new) for j in block.chunks]
        if len(cuts) == 1:
            return cuts[0]
        key = self.key("block", line, i)
        for j, cut in zip(block.chunks, cuts, strict=True):
            a, b = self.edges[j] - block.begin, self.edges[j + 1] - block.begin
            self.graph[cut] = (end_of, key, self.axis, a, b)
        return key

    def array(
        self, layers: Any, new: tuple[int, ...], meta: Any, lengths: Sequence[int] | None
    ) -> da.Array:
        """The result, from the graph's layers; ``new``: the sizes of new last axes.

        ``lengths``: of the chunks along the axis; None for those of the data.
        """
        chunks = [*self.data.chunks, *((n,) for n in new)]
        if lengths is not None:
            chunks[self.axis] = tuple(lengths)
        return da.Array(layers, self.name("cut"), tuple(chunks), meta=meta)


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


def end_of(x: Any, axis: int, a: int, b: int) -> Any:
    """A copy of some samples, so that the whole can be released."""
    return np.ascontiguousarray(x[(slice(None),) * axis + (slice(a, b),)])
