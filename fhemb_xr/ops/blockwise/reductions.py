"""One pass over any number of chunks: a small state for each block, merged.

``reduce_blocks`` merges the states in a tree. ``fold_blocks`` is for states that are larger
than a chunk: it adds block after block to a state, in short chains that run in parallel.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.dask_internals import List, Task, TaskRef
from fhemb_xr.ops.blockwise import recipes
from fhemb_xr.ops.blockwise.read_fusion import Sources
from fhemb_xr.ops.blockwise.recipes import Recipe

Merge = Callable[[Any], Any]
LINKS = 4
"""Links of a chain at most: while one is added, other threads already read the next blocks."""
PARALLEL = 64
"""Tasks of a pass that are left at least where a task makes several blocks."""


def reduce_blocks(
    x: da.Array,
    state: Callable[..., Any],
    merge: Merge,
    finish: Callable[[Any], Any],
    *,
    n_core: int,
    width: tuple[int, ...],
    split_every: int = 8,
    core: tuple[int, ...] | None = None,
    apart: bool = False,
    **options: Any,
) -> da.Array:
    """Reduce the last ``n_core`` axes of ``x``, or ``core``, to an array of shape ``width``.

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``; ``merge`` is
    ``(..., k, *width) -> (..., *width)``, associative; ``finish`` keeps the shape. A task
    merges at most ``split_every`` states. ``apart``: the tasks read for themselves, which saves
    a task per chunk if nothing else needs the chunks at that time.
    """
    axes = tuple(range(x.ndim))
    core = axes[-n_core:] if core is None else core
    order = (*(a for a in axes if a not in core), *core)
    extra = tuple(range(x.ndim, x.ndim + len(width)))
    states = da.blockwise(
        _block,
        (*order, *extra),
        x,
        axes,
        kernel=state,
        options=options,
        order=order,
        n_core=n_core,
        n_width=len(width),
        new_axes=dict(zip(extra, width, strict=True)),
        adjust_chunks=dict.fromkeys(core, 1),
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim + len(width))),  # else dask runs the kernel now
    )
    last = tuple(range(x.ndim - n_core, x.ndim))
    return merge_states(states, merge, finish, core=last, split_every=split_every, apart=apart)


def merge_states(
    states: da.Array,
    merge: Merge,
    finish: Callable[[Any], Any],
    *,
    core: tuple[int, ...],
    split_every: int = 8,
    apart: bool = False,
) -> da.Array:
    """Merge the states of all blocks along the axes ``core``, in a tree.

    ``states`` has length 1 in each block along ``core``. Tasks: a seventh per block;
    ``da.reduction`` would add one to each block, and merge in pairs. ``apart``: nothing else
    needs the blocks, so tasks read for themselves. If :data:`PARALLEL` tasks are left, each
    makes and merges ``split_every`` states, one block after another. The result is the same to
    the last bit.
    """
    made = recipes.inlined(states, core) if apart else None
    several = math.prod(states.numblocks) >= PARALLEL * split_every
    lead, rest = core[0], range(core[-1] + 1, states.ndim)
    name = f"merged-{tokenize(states.name, merge, finish, core, split_every)}"
    graph: dict[Any, Task] = {}

    def add(key: Any, keys: list[Any], step: int, end: Any) -> None:
        how = len(core), lead, merge, end
        if made is not None and several and step == 0:
            graph[key] = made.task(key, _made_and_merged, keys, *how)
        else:
            graph[key] = Task(key, _merged, List(*map(TaskRef, keys)), *how)

    for where in np.ndindex(states.numblocks[:lead]):
        inner = np.ndindex(*(states.numblocks[i] for i in core))
        keys: list[Any] = [(states.name, *where, *at, *(0 for _ in rest)) for at in inner]
        if made is not None and not several:
            graph |= {key: made.block_task(key) for key in keys}
        step = 0
        while len(keys) > split_every:
            groups = [keys[i : i + split_every] for i in range(0, len(keys), split_every)]
            keys = [(f"step-{name}", *where, step, i) for i in range(len(groups))]
            for key, group in zip(keys, groups, strict=True):
                add(key, group, step, None)
            step += 1
        add((name, *where, *(0 for _ in rest)), keys, step, finish)
    layers = (
        HighLevelGraph.from_collections(name, graph, dependencies=[states])
        if made is None
        else made.graph(name, graph)
    )
    chunks = (*states.chunks[:lead], *(states.chunks[i] for i in rest))
    return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks)))


def _made_and_merged(
    recipe: Recipe, blocks: Any, inputs: Any, n_core: int, lead: int, merge: Merge, finish: Any
) -> Any:
    states = [recipe.block(values, inputs) for values in blocks]
    return _merged(states, n_core, lead, merge, finish)


def _block(
    x: Any, kernel: Any, options: dict[str, Any], order: Any, n_core: int, n_width: int
) -> Any:
    out = kernel(x.transpose(order), **options)
    lead = out.ndim - n_width
    return out.reshape(*out.shape[:lead], *(1,) * n_core, *out.shape[lead:])


def _merged(states: list[Any], n_core: int, lead: int, merge: Merge, finish: Any) -> Any:
    """States, of blocks or merged ones, merged; with ``finish`` the axes of blocks go."""
    shape = states[0].shape
    before, width = shape[:lead], shape[lead + n_core :]
    out = merge(np.stack([s.reshape(*before, *width) for s in states], axis=lead))
    return out.reshape(*before, *(1,) * n_core, *width) if finish is None else finish(out)


def fold_blocks(
    x: da.Array,
    state: Callable[..., Any],
    extend: Callable[..., Any],
    merge: Callable[[Any, Any], Any],
    *,
    n_core: int,
    width: tuple[int, ...],
    apart: bool = True,
    **options: Any,
) -> da.Array:
    """Reduce the last ``n_core`` axes of ``x`` to an array of shape ``width``.

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``. ``extend(state, block,
    **options)`` adds a block, ``merge(a, b)`` adds a state; neither changes its arguments.
    ``apart``: the tasks read for themselves, as nothing else needs the chunks at that time;
    a chain is one task.

    Notes
    -----
    Chains of at most :data:`LINKS` blocks run in parallel, and their states are merged in
    order. Memory with two threads: at most seven states and the blocks of two chains, for any
    number of blocks. A tree would hold a state for each of its levels and threads; long chains
    would hold most of their blocks. Tasks: under two per block.
    """
    lead = x.ndim - n_core
    name = f"chains-{tokenize(x, state, extend, merge, n_core, width, options)}"
    graph: dict[Any, Any] = {}
    made = recipes.inlined(x, range(lead, x.ndim)) if apart else None
    sources = Sources(x) if made is None else None
    for where in np.ndindex(x.numblocks[:lead]):
        blocks = [(x.name, *where, *i) for i in np.ndindex(x.numblocks[lead:])]
        at = (*where, *(0,) * len(width))
        for task in _stack(name, at, blocks, (state, extend, merge), options, made):
            graph[task.key] = sources.inlined(task) if apart and sources else task
    chunks = (*x.chunks[:lead], *((n,) for n in width))
    meta = np.empty((0,) * len(chunks))
    if made is not None:
        layers = made.graph(name, graph)
    else:
        assert sources is not None
        layers = sources.alone(name, graph) if apart else sources.graph(name, graph)
    return da.Array(layers, name, chunks, meta=meta)


def _stack(
    name: str, at: tuple[int, ...], blocks: list[Any], functions: Any, options: Any,
    made: recipes.Inlined | None,
) -> Iterator[Task]:  # fmt: skip
    """The tasks of one stack; the last has the key ``(name, *at)``."""
    state, extend, merge = functions
    count = max(math.isqrt(len(blocks) - 1) + 1, math.ceil(len(blocks) / LINKS))
    found: list[Any] = []
    for c, chain in enumerate(np.array_split(np.arange(len(blocks)), count)):
        before: tuple[TaskRef, ...] = ()
        if made is not None:
            key = (f"link-{name}", *at, c)
            some = [blocks[i] for i in chain]
            yield made.task(key, _made_and_added, some, state, extend, options)
            before = (TaskRef(key),)
        for i in chain if made is None else ():
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
        yield Task((name, *at), unchanged, *found)


def _made_and_added(
    recipe: Recipe, blocks: Any, inputs: Any, state: Any, extend: Any, options: Any
) -> Any:
    out = state(recipe.block(blocks[0], inputs), **options)
    for values in blocks[1:]:
        out = extend(out, recipe.block(values, inputs), **options)
    return out


def unchanged(x: Any) -> Any:
    """A state that needs no last step."""
    return x
