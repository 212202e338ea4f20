"""Refuse work whose tasks would need more memory than allowed, before anything is computed.

An operation that knows the memory of its tasks calls :func:`check` when it is built. Chunks
that are too large for the workers are found by :func:`require_fit` just before computing.
"""

import math
import sys
from collections.abc import Iterator
from typing import Any

import xarray as xr

from fhemb_xr.dask_internals import slices_read
from fhemb_xr.errors import BudgetError
from fhemb_xr.options import options


def human(n_bytes: float) -> str:
    """``1536`` → ``'1.5 KiB'``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(n_bytes) < 1024:
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.4g} TiB"


def check(n_bytes: int, work: str, cure: str) -> None:
    """Refuse ``work`` whose task would hold more than the budget.

    Raises
    ------
    BudgetError
        With the bytes needed, the bytes allowed and the cure.
    """
    if n_bytes > options.budget:
        raise BudgetError(
            f"{work} needs {human(n_bytes)} in one task, the budget is "
            f"{human(options.budget)}: {cure}, or allow more with fx.set_options(budget=...)"
        )


COPIES = 4
"""Chunks that a task holds at once: its input, its output, and two of work space."""
SHARE = 0.5
"""Share of a worker's memory for tasks; the rest is for Python, dask and the system."""


def session_client() -> Any:
    """The Dask client of this session; None without one."""
    distributed = sys.modules.get("distributed")  # no client was made without it
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def worker_share() -> int | None:
    """Bytes of one task on the workers of this session's Dask client; None without one."""
    client = session_client()
    if client is None:
        return None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    shares = [w["memory_limit"] / w["nthreads"] for w in workers if w["memory_limit"]]
    return int(SHARE * min(shares)) if shares else None


def require_fit(obj: xr.Dataset, allowed: int | None) -> None:
    """Refuse work with chunks that a worker cannot hold, before any of it is done.

    Parameters
    ----------
    obj
        Dataset that will be computed.
    allowed
        Bytes that one task may take; None: no limit.

    Raises
    ------
    BudgetError
        With the largest chunk, the bytes needed, the bytes allowed, and a chunk that fits.
    """
    if allowed is None:
        return
    shape, itemsize = max(_chunks(obj), key=lambda c: math.prod(c[0]) * c[1], default=((), 0))
    needed = COPIES * math.prod(shape) * itemsize
    if needed <= allowed:
        return
    longest = max(shape)
    fits = max(1, longest * allowed // needed)
    raise BudgetError(
        f"a chunk of {' x '.join(map(str, shape))} samples needs about {human(needed)} in one "
        f"task, a worker has {human(allowed)} for it: cut the side of {longest} into {fits} or "
        f"fewer, e.g. with open_recording(..., chunks={{'time': {fits}}}) or .chunk(...), or "
        "start workers with more memory or fewer threads"
    )


def _chunks(obj: xr.Dataset) -> Iterator[tuple[tuple[int, ...], int]]:
    """Shape and bytes per sample of the largest chunk of all inputs and outputs."""
    for var in obj.variables.values():
        if var.chunks:
            yield tuple(max(sizes) for sizes in var.chunks), var.dtype.itemsize
    graph = obj.__dask_graph__()
    for layer in graph.layers.values() if graph is not None else ():
        for part in slices_read(layer).values():
            if hasattr(part, "starts"):  # slices of an array that is read
                # packed samples of 2 bytes are unpacked to 4
                yield tuple(max(c) for c in part.chunks), max(4, _itemsize(graph, layer))


def _itemsize(graph: Any, layer: Any) -> int:
    """Bytes per sample of the array that a layer reads."""
    for name in graph.dependencies[layer.output]:
        for source in graph.layers[name].values():
            if dtype := getattr(source, "dtype", None):
                return int(dtype.itemsize)
    return 8
