"""Whole series of many chunks: one task reads them one after another into one array.

dask reads all chunks of a series, which wait until they can be joined: that holds the series
twice. Only chunks of an open store are read so: what is computed is done once, side by side.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize

from fhemb_xr.dask_internals import Task, TaskRef, meta_of
from fhemb_xr.ops.blockwise.read_fusion import Sources

_LARGE = 2**24
"""Bytes of a block from which it has a task of its own."""
_WIDE = 2**26
"""Bytes of a block from which it is read in parts, if its result is cut too."""
_MOST = 2**28
"""Bytes of the largest block."""
_TIMES = 4
"""How often a chunk is read at most."""

Chunks = tuple[tuple[int, ...], ...]


class Part(NamedTuple):
    """What a block has of a chunk along an axis: its number, and where it is in both."""

    number: int
    place: slice
    taken: slice


def joined(x: da.Array, chunks: Chunks) -> da.Array | None:
    """``x`` in ``chunks``, each block read by one task; None if it cannot be, or is small.

    Blocks that cut the chunks of ``x`` as well are cut out of larger ones, which are whole
    chunks of both if they are not too large. Memory: a larger block and one chunk of ``x``.
    Tasks: one per larger block, and one per block that is cut out of it.
    """
    if not _is_of_numbers(x):
        return None
    common = tuple(_common(have, want) for have, want in zip(x.chunks, chunks, strict=True))
    if common == x.chunks:
        return None
    blocks = _narrowed(common, chunks, x.dtype)
    if _largest(common, x.dtype) < _LARGE or _largest(blocks, x.dtype) > _MOST:
        return None
    sources = Sources(x, reading=True)
    if not sources.tasks:
        return None
    name = f"joined-{tokenize(x.name, blocks)}"
    parts = [_parts(have, sizes) for have, sizes in zip(x.chunks, blocks, strict=True)]
    graph: dict[Any, Any] = {}
    for at in np.ndindex(*map(len, blocks)):
        shape = tuple(n[i] for n, i in zip(blocks, at, strict=True))
        own = [p[i] for p, i in zip(parts, at, strict=True)]
        *before, last = _filling(x, (name, *at), shape, own)
        fused = sources.inlined(last, *before)
        if fused is last:
            return None  # a chunk is needed elsewhere too
        graph[fused.key] = fused
    out = da.Array(sources.alone(name, graph), name, blocks, meta=meta_of(x))
    return out if blocks == chunks else out.rechunk(chunks, method="tasks")


def _is_of_numbers(x: da.Array) -> bool:
    """Whether chunks are arrays of numbers, of known lengths other than 0."""
    lengths = [n for sizes in x.chunks for n in sizes]
    numbers = type(meta_of(x)) is np.ndarray and x.dtype.kind in "biuf"
    return numbers and x.ndim > 0 and bool(np.greater(lengths, 0).all())  # nan is unknown


def _common(have: tuple[int, ...], want: tuple[int, ...]) -> tuple[int, ...]:
    """The smallest blocks along an axis that are whole chunks of both."""
    return _between({*accumulate(have)} & {*accumulate(want)})


def _between(ends: set[int]) -> tuple[int, ...]:
    return tuple(b - a for a, b in pairwise((0, *sorted(ends))))


def _largest(blocks: Chunks, dtype: np.dtype[Any]) -> int:
    return dtype.itemsize * math.prod(map(max, blocks))


def _narrowed(blocks: Chunks, want: Chunks, dtype: np.dtype[Any]) -> Chunks:
    """Blocks cut where ``want`` is, until they are not too wide."""
    times = 1
    while _largest(blocks, dtype) > _WIDE and times < _TIMES:
        axis = max(range(len(want)), key=lambda i: len(want[i]) / len(blocks[i]))
        ends, cuts = [*accumulate(blocks[axis])], [*accumulate(want[axis])]
        middles = np.array([a + (b - a) // 2 for a, b in pairwise((0, *ends))])
        nearest = np.abs(np.array(cuts)[:, None] - middles).argmin(axis=0)
        halves = {cuts[i] for i in nearest}
        if halves <= {*ends}:
            break
        cut = _between({*ends} | halves)
        blocks, times = (*blocks[:axis], cut, *blocks[axis + 1 :]), 2 * times
    return blocks


def _parts(have: tuple[int, ...], blocks: tuple[int, ...]) -> list[list[Part]]:
    """What each block has of the chunks along an axis."""
    chunks, out = [*pairwise((0, *accumulate(have)))], []
    for begin, end in pairwise((0, *accumulate(blocks))):
        out.append(
            [
                Part(i, slice(max(a, begin) - begin, min(b, end) - begin),
                     slice(max(a, begin) - a, min(b, end) - a))
                for i, (a, b) in enumerate(chunks)
                if a < end and begin < b
            ]
        )  # fmt: skip
    return out


def _filling(
    x: da.Array, key: tuple[Any, ...], shape: tuple[int, ...], parts: Sequence[Sequence[Part]]
) -> list[Task]:
    """One task after another, each of which writes a chunk into the block ``key``."""
    tasks: list[Task] = []
    chosen = list(product(*parts))
    for i, part in enumerate(chosen):
        chunk = (x.name, *(p.number for p in part))
        before = TaskRef(tasks[-1].key) if tasks else None
        own = key if i == len(chosen) - 1 else (f"fill-{key[0]}", *key[1:], i)
        tasks.append(Task(own, _filled, before, TaskRef(chunk), part, shape, x.dtype))
    return tasks


def _filled(
    out: Any, chunk: Any, part: Sequence[Part], shape: tuple[int, ...], dtype: Any
) -> Any:
    out = np.empty_like(chunk, dtype=dtype, shape=shape) if out is None else out
    out[tuple(p.place for p in part)] = chunk[tuple(p.taken for p in part)]
    return out
