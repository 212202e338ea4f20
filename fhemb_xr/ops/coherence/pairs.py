"""Pairs of people as a lazy array: what one person gives is made once, for all pairs."""

import itertools
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.dask_internals import Task, TaskRef
from fhemb_xr.typing import F64

Spans = list[tuple[int, int]]
One = Callable[[Any, int, int], Any]
"""Of a whole series, and of the first and last sample of a stretch."""
Two = Callable[[Any, Any], F64]


def pairs(n: int) -> list[tuple[int, int]]:
    """Positions of the two members of each pair."""
    return [*itertools.combinations(range(n), 2)]


def whole(x: F64, begin: int, end: int) -> F64:
    """A series as it is, whatever the stretch."""
    return x


def over_pairs(
    data: Any, one: One, two: Two, spans: Spans, shape: tuple[int, ...], token: Any,
    length: int | None = None,
) -> Any:  # fmt: skip
    """``two(one(i), one(j))`` of each pair and stretch.

    ``(..., n, t) -> (..., pair, *shape, t)``; with a ``length``, each stretch gives so many
    values instead of one for each moment.
    A dask array has one member and the whole of time in each chunk; its result has one pair and
    one stretch. Tasks: one for each member and stretch, one for each pair and stretch.
    """
    if not isinstance(data, da.Array):
        return _now(data, one, two, spans, shape, length)
    name = f"fhemb-pairs-{tokenize(data.name, token, spans, shape, length)}"
    graph: dict[Any, Task] = {}
    middle = (0,) * len(shape)
    for lead in np.ndindex(data.numblocks[:-2]):
        for k, span in enumerate(spans):
            for i in range(data.shape[-2]):
                key = (f"one-{name}", *lead, i, k)
                graph[key] = Task(key, _of_one, TaskRef((data.name, *lead, i, 0)), one, span)
            for p, (i, j) in enumerate(pairs(data.shape[-2])):
                key = (name, *lead, p, *middle, k)
                ones = [TaskRef((f"one-{name}", *lead, member, k)) for member in (i, j)]
                graph[key] = Task(key, _of_two, *ones, two, data.ndim - 1)
    n_pairs = len(pairs(data.shape[-2]))
    lengths = _lengths(spans, length)
    chunks = (*data.chunks[:-2], (1,) * n_pairs, *((n,) for n in shape), lengths)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[data])
    return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks)))


def _of_one(x: Any, one: One, span: tuple[int, int]) -> Any:
    return one(np.asarray(x).reshape(-1), *span)


def _of_two(a: Any, b: Any, two: Two, n_lead: int) -> F64:
    out = two(a, b)
    return out.reshape((1,) * n_lead + out.shape)


def _lengths(spans: Spans, length: int | None) -> tuple[int, ...]:
    return tuple(b - a if length is None else length for a, b in spans)


def _now(
    data: Any, one: One, two: Two, spans: Spans, shape: tuple[int, ...], length: int | None
) -> F64:
    """The same of a numpy array."""
    members = pairs(data.shape[-2])
    edges = [0, *itertools.accumulate(_lengths(spans, length))]
    out = np.empty((*data.shape[:-2], len(members), *shape, edges[-1]))
    for lead in np.ndindex(data.shape[:-2]):
        for span, place in zip(spans, itertools.pairwise(edges), strict=True):
            ones = [one(x, *span) for x in data[lead]]
            for p, (i, j) in enumerate(members):
                out[(*lead, p)][..., slice(*place)] = two(ones[i], ones[j])
    return out
