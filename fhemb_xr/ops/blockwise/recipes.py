"""One task for all that makes a block: reading, unpacking, masking and the kernel.

dask makes one layer of several only if none is used twice and none drops an axis. A recipe has
no such limits. It holds the tasks that make one block, with open places for slices and inputs,
and all blocks share it: a task takes microseconds to make, and a task may make several blocks,
one after another.

A recipe reads for itself. It is for a pass that nothing else shares its reading with.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.blockwise import Blockwise, blockwise_token
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.dask_internals import (
    DataNode,
    GraphNode,
    List,
    Task,
    TaskRef,
    execute_subgraph,
    keep_slices,
    meta_of,
    slices_read,
)
from fhemb_xr.ops.blockwise.rereading import Tasks

Place = tuple[int | None, ...]
"""For each axis of an array the axis of the result that it follows; None: its only block."""


class Input(NamedTuple):
    """The number of a block or array among the inputs of a task."""

    number: int


@dataclass(frozen=True)
class Recipe:
    """The tasks that make one block; ``places`` are the names of what is open in them."""

    tasks: dict[str, GraphNode]
    last: str
    places: tuple[Any, ...]

    def block(self, values: Sequence[Any], inputs: Sequence[Any]) -> Any:
        """The block whose places hold ``values``; an :class:`Input` stands for an input."""
        given = (inputs[v.number] if isinstance(v, Input) else v for v in values)
        return execute_subgraph(self.tasks, self.last, self.places, *given)

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, sorted(self.tasks.items()), self.last, self.places


class Reading(Tasks):
    """A layer of tasks that read for themselves; the budget looks at the slices they read."""

    def __init__(self, tasks: dict[Any, Any], output: str, slices: dict[str, Any]) -> None:
        super().__init__(tasks)
        self.output = output
        keep_slices(self, slices)


class _UnfitError(Exception):
    """A recipe cannot express a layer."""


class Inlined:
    """The recipe of a lazy array, and what its places hold in each block."""

    def __init__(self, x: da.Array) -> None:
        self.x, self.layers = x, x.dask.layers
        self.slices: dict[str, Any] = {}
        self._split = {axis for axis, n in enumerate(x.numblocks) if n > 1}
        self._tasks: dict[str, GraphNode] = {}
        self._open: dict[Any, str] = {}
        last = self._node(x.name, tuple(range(x.ndim)))
        self.recipe = Recipe(self._tasks, last, tuple(self._open.values()))
        self.needs = {_layer(what) for kind, what in self._open if kind != "slice"}
        if not self.needs <= self.layers.keys():
            raise _UnfitError

    def is_given_blocks(self, core: set[int]) -> bool:
        """Whether an input is different for each block, or along one of the axes ``core``."""
        places = [{*what[1]} for kind, what in self._open if kind == "block"]
        return any(self._split <= place or self._split & core & place for place in places)

    def values(self, block: Sequence[int]) -> list[Any]:
        """What the places hold in a block: slices, and references to inputs."""
        out: list[Any] = []
        for kind, what in self._open:
            if kind == "key":
                out.append(TaskRef(what))
                continue
            name, place = what
            at = tuple(0 if axis is None else block[axis] for axis in place)
            out.append(self.slices[name][at] if kind == "slice" else TaskRef((name, *at)))
        return out

    def block_task(self, key: tuple[Any, ...]) -> Task:
        """The task that makes the block ``key[1:]``."""
        recipe, values = self.recipe, self.values(key[1:])
        return Task(key, execute_subgraph, recipe.tasks, recipe.last, recipe.places, *values)

    def task(self, key: Any, function: Any, blocks: Iterable[Any], *more: Any) -> Task:
        """A task ``function(recipe, values of each block, inputs, *more)``.

        ``blocks`` are keys of blocks: a name and the place of the block.
        """
        numbers: dict[Any, int] = {}
        listed = [
            [
                Input(numbers.setdefault(v.key, len(numbers))) if isinstance(v, TaskRef) else v
                for v in self.values(block[1:])
            ]
            for block in blocks
        ]
        inputs = List(*map(TaskRef, numbers))
        return Task(key, function, self.recipe, listed, inputs, *more)

    def graph(self, name: str, tasks: dict[Any, Task]) -> HighLevelGraph:
        """The graph of ``tasks``, without the layers that they have taken in."""
        kept, left = set[str](), list(self.needs)
        before = self.x.dask.dependencies
        while left:
            layer = left.pop()
            if layer not in kept:
                kept.add(layer)
                left += before[layer]
        layers = {n: layer for n, layer in self.layers.items() if n in kept}
        made = Reading(tasks, name, self.slices)
        return HighLevelGraph(
            {**layers, name: made}, {n: before[n] for n in layers} | {name: self.needs}
        )

    def _node(self, name: str, place: Place) -> str:
        """The task of a layer in the recipe; it is made if it is not there."""
        key = f"{name} {place}"
        if key in self._tasks:
            return key
        layer = self.layers[name]
        own = dict(zip(layer.output_indices, place, strict=True))
        inner = {axis for _, ind in layer.indices for axis in ind or () if axis not in own}
        if any(layer.dims[axis] != 1 for axis in inner):
            raise _UnfitError  # a block is made of several
        tokens = {blockwise_token(i): pair for i, pair in enumerate(layer.indices)}
        subs = {token: self._argument(layer, own, *pair) for token, pair in tokens.items()}
        subs |= {k: self._place("key", k) for k in layer.task.dependencies - tokens.keys()}
        self._tasks[key] = layer.task.substitute(subs, key=key)
        return key

    def _argument(self, layer: Any, own: dict[Any, Any], arg: Any, ind: Any) -> Any:
        if ind is None:
            if isinstance(arg, TaskRef):
                return self._place("key", arg.key)
            if isinstance(arg, GraphNode) and arg.dependencies:
                raise _UnfitError
            return arg if isinstance(arg, GraphNode) else DataNode(None, arg)
        counts = layer.numblocks[arg]
        place = tuple(
            None if n == 1 else own.get(axis) for axis, n in zip(ind, counts, strict=True)
        )
        if arg in (read := slices_read(layer)):
            self.slices[arg] = read[arg]
            return self._place("slice", (arg, place))
        found = (
            self._node(arg, place)
            if self._is_taken(arg, place)
            else self._place("block", (arg, place))
        )
        depth = 0 if layer.concatenate is True else sum(axis not in own for axis in ind)
        nested: Any = TaskRef(found)
        for _ in range(depth):
            nested = List(nested)
        return nested if depth else found

    def _is_taken(self, name: str, place: Place) -> bool:
        """Whether each block of a layer is for one block of the result."""
        layer = self.layers.get(name)
        if not isinstance(layer, Blockwise) or layer.annotations or layer.output_blocks:
            return False
        return self._split <= {*place} and len(layer) == math.prod(self.x.numblocks)

    def _place(self, kind: str, what: Any) -> str:
        return self._open.setdefault((kind, what), f"place {len(self._open)}")


def _layer(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)


def inlined(x: da.Array, core: Iterable[int] = ()) -> Inlined | None:
    """The recipe of an array; None if its blocks cannot be made one by one.

    ``core``: axes along which a task may make several blocks. What a task is given must be the
    same for all of them, and no block of its own: it would wait in memory.
    """
    layer = x.dask.layers.get(x.name)
    if not isinstance(layer, Blockwise) or layer.annotations or layer.output_blocks:
        return None
    try:
        found = Inlined(x)
    except _UnfitError:
        return None
    return None if found.is_given_blocks({*core}) else found


def in_one(x: da.Array) -> da.Array | None:
    """``x``, each block made by one task that reads for itself; None if that cannot be.

    A task that needs the result of an earlier pass over the same data waits for it, and reads
    afterwards.
    """
    found = inlined(x)
    if found is None:
        return None
    name = f"{x.name.rpartition('-')[0]}-in-one-{tokenize(x.name)}"
    keys = [(name, *where) for where in np.ndindex(x.numblocks)]
    tasks = {key: found.block_task(key) for key in keys}
    return da.Array(found.graph(name, tasks), name, x.chunks, meta=meta_of(x))
