"""Blocks along one axis, each with the stretch of the array that it depends on.

``dask.array.overlap`` needs chunks as long as the overlap, and rechunks them. Here a block
joins neighbouring chunks, reads whole chunks and the ends of others, and its result is cut back
into exactly the chunks that came in.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.dask_internals import meta_of
from fhemb_xr.ops.blockwise.grid import Block, Grid, Place, blocks


@dataclass
class Plan:
    """How ``data`` is cut along ``axis``, and the functions that work on the blocks.

    ``work(parts, state, axis, block)`` gives a block. If there are ``summary(parts, axis,
    block)`` and ``merge(state, state)``, ``state`` tells a block what came before it.
    """

    data: da.Array
    axis: int
    blocks: list[Block]
    work: Callable[..., Any]
    summary: Callable[..., Any] | None = None
    merge: Callable[..., Any] | None = None

    @property
    def largest_read(self) -> int:
        """Samples that the largest block reads."""
        return max(block.read_samples for block in self.blocks)

    def require_fit(self, factor: float, work: str, cure: str, *, more: int = 0) -> None:
        """Refuse ``work`` whose task would hold more than the budget.

        Parameters
        ----------
        factor
            Memory of a task, in multiples of the samples that it reads.
        work, cure
            What is done, and what helps: parts of the message.
        more
            Samples that a task holds beside those that it reads.

        Raises
        ------
        BudgetError
            With the bytes needed, the bytes allowed and the cure.
        """
        held = self.largest_read + more
        n_bytes = int(factor * row_bytes(self.data, self.axis) * held)
        budget.check(n_bytes, f"{work} in blocks of {held} samples", cure)

    def array(
        self, new: tuple[int, ...], meta: Any, lengths: Sequence[int] | None = None
    ) -> da.Array:
        """The lazy result; ``new``: the sizes of new last axes.

        In the chunks of ``data``; if ``lengths`` are given, each block is one chunk, of that
        length along the axis.
        """
        grid = Grid(self.data, self.axis, (self.blocks, self.work, self.merge))
        for line in grid.lines():
            self._add(grid, line, len(new), lengths is None)
        graph = HighLevelGraph.from_collections(grid.name("cut"), grid.graph, [self.data])
        return grid.array(graph, new, meta, lengths)

    def _add(self, grid: Grid, line: Place, n_new: int, in_chunks: bool) -> None:
        """The tasks of one row of chunks."""
        graph, before = grid.graph, None
        for i, block in enumerate(self.blocks):
            parts = grid.parts(line, block.reads)
            key = grid.result(line, i, block, n_new, in_chunks)
            graph[key] = (self.work, parts, before, self.axis, block)
            if self.summary and self.merge and i + 1 < len(self.blocks):
                own = [grid.chunk(line, j) for j in block.chunks]
                state, so_far = grid.key("state", line, i), grid.key("sofar", line, i)
                graph[state] = (self.summary, own, self.axis, block)
                graph[so_far] = (self.merge, before, state)
                before = so_far


def states_from(x: da.Array, same: da.Array, known: NDArray[np.bool_]) -> da.Array:
    """``x``, whose blocks learn what came before them from another array.

    Parameters
    ----------
    x
        A result of :meth:`Plan.array`.
    same
        Array in the chunks of ``x`` whose samples are missing where those of the data are.
    known
        For each chunk, whether ``same`` has it. Only there the data are not needed.
    """
    tasks = dict(x.dask.layers[x.name])
    states = [key for key in tasks if isinstance(key, tuple) and key[0].startswith(_STATE)]
    for key in states:
        summary, own, *rest = tasks[key]
        own = [(same.name, *at) if known[tuple(at)] else (name, *at) for name, *at in own]
        tasks[key] = (summary, own, *rest)
    if not states:
        return x
    layers = {**same.dask.layers, **x.dask.layers, x.name: MaterializedLayer(tasks)}
    before = {**same.dask.dependencies, **x.dask.dependencies}
    before[x.name] = before[x.name] | {same.name}
    return da.Array(HighLevelGraph(layers, before), x.name, x.chunks, meta=meta_of(x))


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


_STATE = "fhemb-state-"
"""Start of the names of the tasks that tell a block what came before it."""
_SHORT = 2**14
"""Samples up to which short chunks are joined."""


def along_time(
    x: xr.DataArray,
    work: Callable[[Any], Any],
    margin: int,
    *,
    extra: tuple[str, int] | None = None,
    each: float = 4,
) -> xr.DataArray:
    """Apply a function of series that sees ``margin`` samples on either side.

    ``work`` is ``(t, c) -> (t, c[, extra])``; ``each`` is the memory of a task, in multiples of
    what it reads.
    """
    schema.require_dims(x, schema.TIME)
    Clock.of(x).require_regular()
    axis, data = int(x.get_axis_num(schema.TIME)), floating(x.data)
    sizes = () if extra is None else (extra[1],)
    dims = x.dims if extra is None else (*x.dims, extra[0])
    out = _stretches(data, axis, work, margin, sizes, each)
    return xr.DataArray(out, dims=dims, coords=x.coords, name=x.name)


def _stretches(
    data: Any, axis: int, work: Any, margin: int, new: tuple[int, ...], each: float
) -> Any:
    n, block_work = data.shape[axis], partial(_stretch, work=work)
    if data.size == 0:
        return (da if isinstance(data, da.Array) else np).empty((*data.shape, *new), data.dtype)
    if not isinstance(data, da.Array):
        return block_work([data], None, axis, Block(0, n, range(1), ((0, n),)))
    cut = blocks(
        data.chunks[axis],
        min(4 * margin, _SHORT),
        lambda a, b: ((max(0, a - margin), min(n, b + margin)),),
    )
    plan = Plan(data, axis, cut, block_work)
    cure = "smaller chunks along the other dimensions or higher frequencies"
    plan.require_fit(each, "work along time", cure)
    return plan.array(new, np.empty((0,) * (data.ndim + len(new)), data.dtype))


def _stretch(parts: list[Any], _: Any, axis: int, block: Block, *, work: Any) -> Any:
    x, others = columns(parts, axis)
    first = block.begin - block.reads[0][0]
    out = work(x)[first : first + block.end - block.begin]
    shape = (len(out), *others, *out.shape[2:])
    return np.ascontiguousarray(np.moveaxis(out.reshape(shape), 0, axis))
