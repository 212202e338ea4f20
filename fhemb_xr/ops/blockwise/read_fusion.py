"""Fuse the read into the task that uses it, so that chunks are not loaded early and kept."""

from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.sizeof import sizeof

from fhemb_xr.dask_internals import (
    DataNode,
    GraphNode,
    Task,
    convert_legacy_graph,
    cuts_a_chunk,
    slices_read,
)
from fhemb_xr.ops.blockwise.rereading import Tasks

_SMALL = 2**16
"""Bytes up to which an object that many tasks read is copied into each of them."""


class Sources:
    """The tasks that read and change the chunks of ``data``, if they do nothing else.

    Tasks of a sequence run one after another. A scheduler may load their chunks long before,
    and the chunks then wait in memory. So reading is fused into the task itself. Only chunks
    that are made one by one from an open store are fused; everything else is computed once for
    all tasks that need it.

    Parameters
    ----------
    data
        Array whose chunks are read.
    reading
        Nothing but reading is fused, no work on the chunks.
    """

    def __init__(self, data: da.Array, *, reading: bool = False) -> None:
        self.data = data
        layers = data.dask.layers.values()
        plain = all(_is_plain(layer, reading) for layer in layers)
        whole = {key: task for layer in layers for key, task in layer.items()} if plain else {}
        self.tasks: dict[Any, GraphNode] = convert_legacy_graph(whole)
        self.readers = Counter(key for task in self.tasks.values() for key in task.dependencies)

    def inlined(self, task: Task, *before: Task) -> GraphNode:
        """The task, fused with those that make its input if no other task reads it.

        ``before`` are tasks that it needs, and that nothing else needs.
        """
        own, reads = {t.key: t for t in (task, *before)}, Counter[Any]()
        left = [task, *before]
        while left:
            for key in left.pop().dependencies:
                reads[key] += 1
                if key in self.tasks and key not in own:
                    own[key] = self.tasks[key]
                    left.append(self.tasks[key])
        shared = any(
            reads[key] < self.readers[key] and not isinstance(node, DataNode)
            for key, node in own.items()
        )
        return task if shared or len(own) == 1 + len(before) else Task.fuse(*own.values())

    def alone(self, name: str, tasks: dict[Any, GraphNode]) -> HighLevelGraph:
        """The graph of ``tasks`` that read for themselves, without the layers that read."""
        read = {key for task in tasks.values() for key in task.dependencies} - tasks.keys()
        if any(not isinstance(self.tasks.get(key), DataNode) for key in read):
            return self.graph(name, tasks)
        layers = self.data.dask.layers
        kept = {n: layer for n, layer in layers.items() if read & layer.keys()}
        before: dict[str, set[str]] = {n: set() for n in kept} | {name: {*kept}}
        return HighLevelGraph({**kept, name: Tasks(tasks)}, before)

    def graph(self, name: str, tasks: dict[Any, Any]) -> HighLevelGraph:
        """The graph of ``tasks``, as a layer on top of ``data``."""
        return HighLevelGraph.from_collections(name, Tasks(tasks), [self.data])


def _is_plain(layer: Any, reading: bool) -> bool:
    """Whether a layer works chunk by chunk, cuts chunks, or is an open store.

    ``reading``: of the work, only reading and a new order of the axes will do.
    """
    if layer.annotations:
        return False
    if isinstance(layer, Blockwise):
        turns = layer.task.func is np.transpose
        return turns or bool(slices_read(layer)) or not reading
    # only a store may be no task yet; a layer of many is left at the first that does more
    nodes = convert_legacy_graph(dict(layer)) if len(layer) == 1 else layer
    return all(
        _is_small(node.value) if isinstance(node, DataNode) else cuts_a_chunk(node)
        for node in nodes.values()
    )


def _is_small(value: Any) -> bool:
    inner = value
    while hasattr(inner, "array"):  # an array that xarray wraps may be in memory
        inner = inner.array
    return not isinstance(inner, np.ndarray) and sizeof(value) <= _SMALL
