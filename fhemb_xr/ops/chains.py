"""One pass over chunks whose state is larger than they are: added to in chains, then merged."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Task, TaskRef
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

LINKS = 4
"""Of a chain, at most: while one is added, other threads read the blocks of those behind."""


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

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``; ``extend(state, block,
    **options)`` adds a block, ``merge(a, b)`` another state; both leave what they are given.

    Notes
    -----
    Blocks are linked in chains of at most :data:`LINKS`, run in parallel and merged one after
    another: while two threads run, at most five states are there and two being made, and two
    chains' blocks, however many blocks. A tree would hold a state for each of its levels and
    threads, long chains most of their blocks. Tasks: under two per block.
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
