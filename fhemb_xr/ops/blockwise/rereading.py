"""A second pass that re-reads its input after the first pass has finished."""

from collections.abc import Hashable
from typing import Any

import dask.array as da
from dask.blockwise import Blockwise, blockwise_token
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from fhemb_xr.dask_internals import (
    Task,
    TaskRef,
    clone_key,
    convert_legacy_graph,
    meta_of,
    wait_for,
)


def again(x: da.Array, *after: da.Array) -> da.Array:
    """``x``, read again after ``after``; otherwise all its chunks would wait in memory.

    Whatever else a task needs with a chunk is named too: threads run what is ready last first,
    so that all chunks would be read before a constant that is still to be made.
    """
    layers = {
        name: layer if _is_copied_whole(layer) else Tasks(dict(layer))
        for name, layer in x.dask.layers.items()
    }
    graph = HighLevelGraph(layers, x.dask.dependencies)
    same = da.Array(graph, x.name, x.chunks, meta=meta_of(x))
    bound: da.Array = bind(same, [*after], seed="-".join(a.name for a in after))
    return bound


def after(x: Any, *others: Any) -> Any:
    """``x``, read again once others are known (edges, a basis): no stack waits in memory."""
    for other in others:
        lazy = isinstance(x, da.Array) and isinstance(other, da.Array)
        x = again(x, other) if lazy else x
    return x


def _is_copied_whole(layer: Any) -> bool:
    """Whether dask's own copy of a layer refers to copies only.

    A keyword argument may be a task of its own (dask makes one of every long list). dask's
    copy of the layer (2026.8) still asks for the original, which is not in the new graph.
    """
    if not isinstance(layer, Blockwise):
        return False
    blocks = {blockwise_token(i) for i in range(len(layer.indices))}
    return not set(layer.task.dependencies) - blocks


class Tasks(MaterializedLayer):  # type: ignore[misc]  # its types are not looked at
    """A layer whose copy depends on copies; dask's own (2026.8) overlooks keys inside tasks.

    With dask's layer, a part of a recording would be read once, and wait in memory for every
    pass.
    """

    def clone(
        self, keys: set[Any], seed: Hashable, bind_to: Any = None
    ) -> tuple[MaterializedLayer, bool]:
        """As dask's: the layer with new keys, and whether any task waits for ``bind_to``."""
        made: dict[Any, Any] = {}
        bound = False
        for key, task in convert_legacy_graph(self.mapping, keys).items():
            new = clone_key(key, seed)
            known = {k: clone_key(k, seed) for k in task.dependencies if k in keys}
            copy = task.substitute(known, key=new)
            leaf = bind_to is not None and not known
            made[new] = Task(new, wait_for, copy, TaskRef(bind_to)) if leaf else copy
            bound |= leaf
        return MaterializedLayer(made), bound
