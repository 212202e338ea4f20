"""Blocks along one axis, each with the stretch of the array that it depends on.

``dask.array.overlap`` needs chunks as long as the overlap, and rechunks them; here a block is
some neighbouring chunks, reads whole chunks and the ends of others, and is cut back into
exactly the chunks that came in.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, product
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr import budget, schema

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
    names: ClassVar[tuple[str, ...]] = ("edge", "state", "sofar", "block", "cut")

    def array(
        self, extra: tuple[int, ...], meta: Any, lengths: Sequence[int] | None = None
    ) -> da.Array:
        """The lazy result; ``extra``: the sizes of new last axes.

        In the chunks of ``data``; where ``lengths`` are given, each block is one chunk, of
        this length along the axis.
        """
        token = tokenize(self.data.name, self.axis, self.blocks, self.work, self.merge)
        names = {name: f"fhemb-{name}-{token}" for name in self.names}
        edges = [0, *accumulate(self.data.chunks[self.axis])]
        for place in product(*(range(n) for n in self.data.numblocks)):
            if place[self.axis] == 0:  # one line of blocks along the axis
                self._line(place, edges, names, (0,) * len(extra), lengths is None)
        graph = self._layers(names["cut"])
        chunks = [*self.data.chunks, *((n,) for n in extra)]
        if lengths is not None:
            chunks[self.axis] = tuple(lengths)
        return da.Array(graph, names["cut"], tuple(chunks), meta=meta)

    def _layers(self, name: str) -> HighLevelGraph:
        return HighLevelGraph.from_collections(name, self.graph, [self.data])

    def _line(
        self,
        place: tuple[int, ...],
        edges: list[int],
        names: dict[str, str],
        last: tuple[int, ...],
        in_chunks: bool,
    ) -> None:
        graph, axis, before = self.graph, self.axis, None
        for i, block in enumerate(self.blocks):
            at = (*place[:axis], i, *place[axis + 1 :])
            parts = pieces(
                self.graph, self.data, names["edge"], axis, place, edges, block.reads
            )
            key = self._cut(at, block, edges, names, last, in_chunks)
            graph[key] = (self.work, parts, before, axis, block)
            if self.summary and self.merge and i + 1 < len(self.blocks):
                own = self._chunks(place, block)
                graph[(names["state"], *at)] = (self.summary, own, axis, block)
                graph[(names["sofar"], *at)] = (self.merge, before, (names["state"], *at))
                before = (names["sofar"], *at)

    def _chunks(self, place: tuple[int, ...], block: Block) -> list[Any]:
        """Keys of the chunks of a block."""
        axis = self.axis
        return [(self.data.name, *place[:axis], j, *place[axis + 1 :]) for j in block.chunks]

    def _cut(
        self,
        at: tuple[int, ...],
        block: Block,
        edges: list[int],
        names: dict[str, str],
        last: tuple[int, ...],
        in_chunks: bool,
    ) -> Any:
        """The key of a block's result, and the tasks that cut it into its chunks."""
        axis, many = self.axis, block.chunks if in_chunks else (at[self.axis],)
        cut = [(names["cut"], *at[:axis], j, *at[axis + 1 :], *last) for j in many]
        if len(cut) == 1:
            return cut[0]
        key = (names["block"], *at)
        for j, to in zip(many, cut, strict=True):
            a, b = edges[j] - block.begin, edges[j + 1] - block.begin
            self.graph[to] = (_end, key, axis, a, b)
        return key


def pieces(
    graph: dict[Any, Any],
    data: da.Array,
    name: str,
    axis: int,
    place: tuple[int, ...],
    edges: list[int],
    reads: Ranges,
) -> list[Any]:
    """Keys of the chunks that make up ``reads``, and of ends of chunks.

    Ends are tasks ``name`` in ``graph``, and copies, so that their chunk may go.
    """
    keys = []
    for j, a, b in _cuts(reads, edges):
        key = (data.name, *place[:axis], j, *place[axis + 1 :])
        if a is not None:
            key, source = (name, *key[1:], a, b), key
            graph[key] = (_end, source, axis, a, b)
        keys.append(key)
    return keys


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


def columns(parts: list[Any], axis: int) -> tuple[Any, tuple[int, ...]]:
    """Parts put together as ``(t, c)``, and the shape of the other dimensions."""
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    x = np.moveaxis(np.asarray(x), axis, 0)
    return x.reshape(len(x), -1), x.shape[1:]


def floating(data: Any) -> Any:
    """float32 and float64 as they are, short integers as float32, others as float64."""
    if data.dtype.kind == "f" and data.dtype.itemsize >= 4:
        return data
    return data.astype(np.result_type(data.dtype, np.float32))


def row_bytes(data: da.Array, axis: int) -> int:
    """Bytes of one sample in time of the largest chunk."""
    others = (max(c) for i, c in enumerate(data.chunks) if i != axis)
    return int(data.dtype.itemsize * math.prod(others))


_SHORT = 2**14  # samples: up to here short chunks are worked on together


def along_time(
    x: xr.DataArray,
    work: Callable[[Any], Any],
    margin: int,
    *,
    extra: tuple[str, int] | None = None,
    each: float = 4,
) -> xr.DataArray:
    """A function of series that sees ``margin`` neighbours: ``(t, c) -> (t, c[, extra])``.

    ``each``: what a task holds, in multiples of what it reads.
    """
    schema.require_dims(x, schema.TIME)
    schema.require_regular(x)
    axis, data = int(x.get_axis_num(schema.TIME)), floating(x.data)
    n, sizes = data.shape[axis], () if extra is None else (extra[1],)
    block_work = partial(_stretch, work=work)
    if data.size == 0:
        out = (da if isinstance(data, da.Array) else np).empty(
            (*data.shape, *sizes), data.dtype
        )
    elif isinstance(data, da.Array):
        found = blocks(
            data.chunks[axis],
            min(4 * margin, _SHORT),
            lambda a, b: ((max(0, a - margin), min(n, b + margin)),),
        )
        held = max(b - a for block in found for a, b in block.reads)
        n_bytes = int(each * row_bytes(data, axis) * held)
        budget.check(
            n_bytes,
            f"a block of {held} samples",
            "smaller chunks along the other dimensions or higher frequencies",
        )
        meta = np.empty((0,) * (data.ndim + len(sizes)), data.dtype)
        out = Plan(data, axis, found, block_work).array(sizes, meta)
    else:
        out = block_work([data], None, axis, Block(0, n, range(1), ((0, n),)))
    dims = x.dims if extra is None else (*x.dims, extra[0])
    return xr.DataArray(out, dims=dims, coords=x.coords, name=x.name)


def _stretch(parts: list[Any], _: Any, axis: int, block: Block, *, work: Any) -> Any:
    x, others = columns(parts, axis)
    first = block.begin - block.reads[0][0]
    out = work(x)[first : first + block.end - block.begin]
    shape = (len(out), *others, *out.shape[2:])
    return np.ascontiguousarray(np.moveaxis(out.reshape(shape), 0, axis))


def _end(x: Any, axis: int, a: int, b: int) -> Any:
    return np.ascontiguousarray(x[(slice(None),) * axis + (slice(a, b),)])
