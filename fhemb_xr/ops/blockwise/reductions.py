"""One pass over any number of chunks: a small state for each block, merged.

``reduce_blocks`` merges the states in a tree. ``fold_blocks`` is for states that are larger
than a chunk: it adds block after block to a state, in short chains that run in parallel.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.dask_internals import Task, TaskRef

Merge = Callable[[Any], Any]
LINKS = 4
"""Links of a chain at most: while one is added, other threads already read the next blocks."""


def reduce_blocks(
    x: da.Array,
    state: Callable[..., Any],
    merge: Merge,
    finish: Callable[[Any], Any],
    *,
    n_core: int,
    width: tuple[int, ...],
    split_every: int = 8,
    **options: Any,
) -> da.Array:
    """Reduce the last ``n_core`` axes of ``x`` to an array of shape ``width``.

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``; ``merge`` is
    ``(..., k, *width) -> (..., *width)``, associative; ``finish`` keeps the shape. A task
    merges at most ``split_every`` states.
    """
    axes = tuple(range(x.ndim))
    core = axes[-n_core:]
    extra = tuple(range(x.ndim, x.ndim + len(width)))
    states = da.blockwise(
        _block,
        (*axes, *extra),
        x,
        axes,
        kernel=state,
        options=options,
        n_core=n_core,
        n_width=len(width),
        new_axes=dict(zip(extra, width, strict=True)),
        adjust_chunks=dict.fromkeys(core, 1),
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim + len(width))),  # else dask runs the kernel now
    )
    steps: dict[str, Any] = {"core": core, "merge": merge}
    return da.reduction(
        states,
        chunk=_pass,
        combine=partial(_merged, **steps, finish=None),
        aggregate=partial(_merged, **steps, finish=finish),
        axis=core,
        split_every=split_every,
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim - n_core + len(width))),
    )


def _block(x: Any, kernel: Any, options: dict[str, Any], n_core: int, n_width: int) -> Any:
    out = kernel(x, **options)
    lead = out.ndim - n_width
    return out.reshape(*out.shape[:lead], *(1,) * n_core, *out.shape[lead:])


def _pass(x: Any, axis: Any, keepdims: bool) -> Any:
    return x


def _merged(x: Any, axis: Any, keepdims: bool, *, core: Any, merge: Merge, finish: Any) -> Any:
    lead, width = x.shape[: core[0]], x.shape[core[-1] + 1 :]
    out = merge(x.reshape(*lead, -1, *width))
    if finish is not None:
        out = finish(out)
    return out.reshape(*lead, *(1,) * len(core), *width) if keepdims else out


def fold_blocks(
    x: da.Array,
    state: Callable[..., Any],
    extend: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    *,
    n_core: int,
    width: tuple[int, ...],
    **options: Any,
) -> da.Array:
    """Reduce the last ``n_core`` axes of ``x`` to an array of shape ``width``.

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``. ``extend(state, block,
    **options)`` adds a block, ``merge(a, b)`` adds a state; neither changes its arguments.

    Notes
    -----
    Chains of at most :data:`LINKS` blocks run in parallel, and their states are merged in
    order. Memory with two threads: at most seven states and the blocks of two chains, for any
    number of blocks. A tree would hold a state for each of its levels and threads; long chains
    would hold most of their blocks. Tasks: under two per block.
    """
    lead = x.ndim - n_core
    name = f"chains-{tokenize(x, state, extend, merge, n_core, width, options)}"
    graph: dict[Any, Task] = {}
    for where in np.ndindex(x.numblocks[:lead]):
        blocks = [(x.name, *where, *i) for i in np.ndindex(x.numblocks[lead:])]
        at = (*where, *(0,) * len(width))
        for task in _stack(name, at, blocks, (state, extend, merge), options):
            graph[task.key] = task
    chunks = (*x.chunks[:lead], *((n,) for n in width))
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[x])
    return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks)))


def _stack(
    name: str, at: tuple[int, ...], blocks: list[Any], functions: Any, options: Any
) -> Iterator[Task]:
    """The tasks of one stack; the last has the key ``(name, *at)``."""
    state, extend, merge = functions
    count = max(math.isqrt(len(blocks) - 1) + 1, math.ceil(len(blocks) / LINKS))
    found: list[Any] = []
    for c, chain in enumerate(np.array_split(np.arange(len(blocks)), count)):
        before: tuple[TaskRef, ...] = ()
        for i in chain:
            key = (f"link-{name}", *at, int(i))
            links = (*before, TaskRef(blocks[i]))
            yield Task(key, extend if before else state, *links, **options)
            before = (TaskRef(key),)
        found.append(before[0])
        if c > 0:
            key = (f"merge-{name}", *at, c) if c < count - 1 else (name, *at)
            yield Task(key, merge, *found)
            found = [TaskRef(key)]
    if count == 1:
        yield Task((name, *at), _same, *found)


def _same(x: Any) -> Any:
    return x
