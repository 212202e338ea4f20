"""Every name of dask, xarray, zarr and zarrs that is not public, in one place.

A new version of a dependency may move or remove these names without notice. The comment of
each says why we use it, since which version it is there, and what would replace it. "Since" is
the oldest version that we know of; the oldest that we support is in ``pyproject.toml``, the one
that we test is in ``constraints.txt``. A test (``tests/test_architecture.py``) forbids these
names in all other modules.
"""

from collections.abc import Mapping
from typing import Any

import dask.array as da
import xarray as xr

# Tasks as objects. A task may be a tuple too, but tuples can neither be fused nor ask for
# their dependencies, and dask deprecates them. A task whose function is ``_execute_subgraph``
# holds other tasks: what looks into graphs must look into it.
# Since: dask 2024.12. Replacement: the same names in public, once there are any.
from dask._task_spec import Alias, DataNode, GraphNode, List, Task, TaskRef, _execute_subgraph

# Layers of other libraries may still hold tuples; this turns them into tasks.
# Since: dask 2024.12. Replacement: none is needed once no layer holds tuples.
from dask._task_spec import convert_legacy_graph  # isort: skip

# The key of a copy that dask.graph_manipulation makes. Our own layer must give its copies the
# keys that dask gives to the layers around it.
# Since: dask 2026.3 (our oldest). Replacement: dask's own ``MaterializedLayer.clone``, once it
# sees the keys inside of Task objects (2026.8 does not).
from dask.base import clone_key

# The function that waits for one key and returns another: what ``bind`` puts into its copies.
# Since: dask 2026.3 (our oldest). Replacement: as for ``clone_key``.
from dask.graph_manipulation import chunks as _chunk_functions

# Arrays that xarray reads when they are indexed. ``xarray.backends.BackendArray`` is public,
# and its documentation names these as what a backend uses with it.
# Since: xarray 2026.4 (our oldest). Replacement: public names, once xarray has them.
from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

wait_for = _chunk_functions.bind
execute_subgraph = _execute_subgraph

__all__ = [
    "Alias", "DataNode", "ExplicitIndexer", "GraphNode", "IndexingSupport",
    "LazilyIndexedArray", "List", "Task", "TaskRef", "clone_key", "convert_legacy_graph",
    "cuts_a_chunk", "execute_subgraph", "explicit_indexing_adapter", "is_in_memory",
    "keep_slices", "meta_of", "python_pipeline", "slices_read", "sync", "taken_apart",
    "wait_for",
]  # fmt: skip


def meta_of(x: da.Array) -> Any:
    """The empty array that says of which kind the chunks are.

    Why: a second array over the same chunks must say the same. Since: dask 2026.3
    (our oldest). Replacement: a public attribute, once dask has one.
    """
    return x._meta


def taken_apart(nodes: Mapping[Any, Any]) -> dict[Any, Any]:
    """A graph whose fused tasks are written as the tasks that they hold.

    Why: what a task is made of, and what it reads, stands in the tasks inside of it.
    """
    left, out = dict(nodes), {}
    while left:
        key, node = left.popitem()
        if not isinstance(node, Task):
            out[key] = node
        elif node.func is _execute_subgraph:
            inside, last, given, *refs = node.args
            names = {k: ("inside", key, k) for k in inside}
            known = names | {k: _given(ref) for k, ref in zip(given, refs, strict=True)}
            left |= {names[k]: n.substitute(known, key=names[k]) for k, n in inside.items()}
            out[key] = Alias(key, known[last])
        else:  # a fused task may be an argument, e.g. of a task that waits for another one
            fused = {i: a for i, a in enumerate(node.args)
                     if isinstance(a, Task) and a.func is _execute_subgraph}  # fmt: skip
            names = {i: ("argument", key, i) for i in fused}
            left |= {names[i]: a.substitute({}, key=names[i]) for i, a in fused.items()}
            args = (TaskRef(names[i]) if i in names else a for i, a in enumerate(node.args))
            out[key] = Task(key, node.func, *args, **node.kwargs) if fused else node
    return out


def _given(value: Any) -> Any:
    """What a fused task is given: the key of another task, or a value."""
    if isinstance(value, TaskRef):
        return value.key
    return value if isinstance(value, GraphNode) else DataNode(None, value)


def cuts_a_chunk(node: GraphNode) -> bool:
    """Whether a task does nothing but take a chunk, or a part of it.

    Why: ``x.isel(feature=3)`` is a layer of single tasks, which says nothing of what they do.
    Since: dask 2026.3 (our oldest). Replacement: none known; without it, series that were cut
    are read as dask reads them.
    """
    function: Any = getattr(node, "func", None)
    known = getattr(function, "__module__", "") in ("dask.array.chunk", "dask.array._shuffle")
    return isinstance(node, Alias) or (known and function.__name__ in ("getitem", "_getitem"))


def is_in_memory(variable: xr.Variable) -> bool:
    """Whether the values are in memory, so that using them reads nothing.

    Why: ``chunks`` is None both for these and for a variable that is read when it is used.
    Since: xarray 2026.4 (our oldest). Replacement: a public attribute, once xarray has one.
    """
    return bool(variable._in_memory)


def slices_read(layer: Any) -> Mapping[str, Any]:
    """What a dask layer slices out of the arrays that it reads; empty for most layers.

    Why: the chunks that are read may be larger than those of the result. Since: dask
    2026.3 (our oldest). Replacement: none known; without it, only the chunks of the results
    can be checked.
    """
    return getattr(layer, "io_deps", {})


def keep_slices(layer: Any, slices: Mapping[str, Any]) -> None:
    """Tell :func:`slices_read` what a layer of our own slices out of arrays.

    Why, since and replacement: as for :func:`slices_read`.
    """
    layer.io_deps = dict(slices)


def python_pipeline(pipeline: Any) -> Any:
    """The pipeline of zarr-python that a pipeline of ``zarrs`` falls back on; None if strict.

    Why: it writes, and reads in a forked process, whose compiled threads are gone.
    Since: zarrs 0.2. Replacement: ``zarr.core.codec_pipeline.BatchedCodecPipeline``.
    """
    return pipeline.python_impl


def sync(coroutine: Any) -> Any:
    """Wait for a coroutine of zarr.

    Why: ``asyncio.run`` fails in a notebook, whose loop is running; and this survives a fork.
    Since: zarr 3.0. Imported here, because zarr is heavy. Replacement: zarr's blocking
    methods, where they cover the call.
    """
    from zarr.core.sync import sync as wait

    return wait(coroutine)
