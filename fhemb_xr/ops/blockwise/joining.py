"""Whole series of many chunks: one task reads them one after another into one array.

dask reads all chunks of a series, which wait until they can be joined: that holds the series
twice. Under a cluster its exchange between workers keeps buffers of up to 1 GiB beside.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise, product
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from fhemb_xr.dask_internals import Task, TaskRef, meta_of
from fhemb_xr.ops.blockwise.read_fusion import Sources

_LARGE, _MOST = 2**24, 2**28
"""Bytes of a block from which it is worth a task that reads alone, and up to which one may."""

Chunks = tuple[tuple[int, ...], ...]


def joined(x: da.Array, chunks: Chunks) -> da.Array | None:
    """``x`` in ``chunks``, each block read by one task; None if it cannot be, or is small.

    Blocks that cut the chunks of ``x`` as well are cut out of the smallest block that is whole
    chunks of both. Memory: that block and one chunk of ``x``. Tasks: one a block.
    """
    whole = tuple(_common(have, want) for have, want in zip(x.chunks, chunks, strict=True))
    largest = x.dtype.itemsize * math.prod(map(max, whole)) if x.size else 0
    if whole == x.chunks or not _LARGE <= largest <= _MOST:
        return None
    sources = Sources(x)
    if not sources.tasks:
        return None
    name = f"joined-{tokenize(x.name, whole)}"
    places = [_places(have, want) for have, want in zip(x.chunks, whole, strict=True)]
    graph: dict[Any, Any] = {}
    for at in np.ndindex(*map(len, whole)):
        shape = tuple(n[i] for n, i in zip(whole, at, strict=True))
        parts = [p[i] for p, i in zip(places, at, strict=True)]
        *before, last = _filling(x, (name, *at), shape, parts)
        fused = sources.inlined(last, *before)
        if fused is last:
            return None  # chunks are needed elsewhere too, or would be made here one by one
        graph[fused.key] = fused
    out = da.Array(sources.alone(name, graph), name, whole, meta=meta_of(x))
    return out if whole == chunks else out.rechunk(chunks, method="tasks")


def _common(have: tuple[int, ...], want: tuple[int, ...]) -> tuple[int, ...]:
    """The smallest blocks along an axis that are whole chunks of both."""
    ends = sorted({*accumulate(have)} & {*accumulate(want)})
    return tuple(b - a for a, b in pairwise((0, *ends)))


def _places(have: tuple[int, ...], blocks: tuple[int, ...]) -> list[list[tuple[int, slice]]]:
    """For each block the numbers of its chunks along an axis, and where they are in it."""
    out: list[list[tuple[int, slice]]] = []
    numbers = enumerate(have)
    for size in blocks:
        filled, block = 0, []
        while filled < size:
            number, n = next(numbers)
            block.append((number, slice(filled, filled + n)))
            filled += n
        out.append(block)
    return out


def _filling(
    x: da.Array, key: tuple[Any, ...], shape: tuple[int, ...],
    parts: Sequence[Sequence[tuple[int, slice]]],
) -> list[Task]:  # fmt: skip
    """One task after another, each of which writes a chunk into the block ``key``."""
    tasks: list[Task] = []
    chosen = list(product(*parts))
    for i, part in enumerate(chosen):
        chunk, where = (x.name, *(n for n, _ in part)), tuple(s for _, s in part)
        before = TaskRef(tasks[-1].key) if tasks else None
        own = key if i == len(chosen) - 1 else (f"fill-{key[0]}", *key[1:], i)
        tasks.append(Task(own, _filled, before, TaskRef(chunk), where, shape, x.dtype))
    return tasks


def _filled(out: Any, chunk: Any, where: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    out = np.empty_like(chunk, dtype=dtype, shape=shape) if out is None else out
    out[where] = chunk
    return out
