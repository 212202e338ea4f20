"""All pairs of two sets of series as a grid of blocks, the upper half worked out once."""

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr import budget
from fhemb_xr.typing import F64


def related(
    a: xr.DataArray, b: xr.DataArray, same: bool, function: Callable[..., F64], n_parts: int
) -> list[Any]:
    """Parts of the matrix, ``(…, dim_0, dim_1)`` each.

    Raises
    ------
    BudgetError
        If the matrix is larger than the budget of a task.
    """
    shape = (*a.shape[:-3], a.shape[-3], b.shape[-3])
    budget.check(8 * math.prod(shape), "the matrix of all pairs", "select fewer series")
    if not (a.chunks or b.chunks):
        out = function(a.values, b.values, upper=same)
        return list(out)
    left, right = (da.asarray(x.data) for x in (a, b))
    return list(_grid(left, right, same, function, n_parts))


def _grid(
    a: da.Array, b: da.Array, same: bool, function: Callable[..., F64], n_parts: int
) -> da.Array:
    """Tasks of equal work, one per block of pairs; below the diagonal they are mirrored."""
    name = "fhemb-pairwise-" + tokenize(a.name, b.name, same, function, n_parts)
    tasks: dict[tuple[Any, ...], Any] = {}
    twins = _twins(a.numblocks[-3]) if same else {}
    for where in product(*map(range, a.numblocks[:-3])):
        for i, j in product(range(a.numblocks[-3]), range(b.numblocks[-3])):
            key = (name, 0, *where, i, j)
            keys = (a.name, *where, i, 0, 0), (b.name, *where, j, 0, 0)
            if same and j < i:
                tasks[key] = (_transposed, (name, 0, *where, j, i))
            elif same and i == j and i in twins:
                first, second = twins[i]
                both = (f"{name}-twins", *where, first)
                tasks[key] = (itemgetter(int(i == second)), both)
                halves = [(a.name, *where, k, 0, 0) for k in (first, second)]
                tasks[both] = (_of_each, partial(function, upper=True), *halves)
            else:
                tasks[key] = (partial(function, upper=same and i == j), *keys)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[a, b])
    chunks = ((n_parts,), *a.chunks[:-2], b.chunks[-3])
    return da.Array(graph, name, chunks, dtype=np.float64, meta=np.empty((0,) * len(chunks)))


def _twins(n: int) -> dict[int, tuple[int, int]]:
    """Blocks on the diagonal two by two: each is half the work of another, both are as much."""
    pairs = [(i, i + n // 2) for i in range(n // 2)]
    return {i: pair for pair in pairs for i in pair}


def _of_each(function: Callable[..., F64], a: F64, b: F64) -> tuple[F64, F64]:
    return function(a, a), function(b, b)


def _transposed(block: F64) -> F64:
    """The mirror image; a lag, the second part, changes its sign."""
    out = block.swapaxes(-1, -2).copy()
    out[1:] *= -1
    return out
