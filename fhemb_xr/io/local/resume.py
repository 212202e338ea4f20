"""Resuming an interrupted save: finished chunks on the disk are kept.

Dask names identify a result: they depend on the data, the functions and their options. The same
call in another process therefore finds its own chunks, and another call does not.
"""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr.io.packed import differences


def token(obj: xr.Dataset | xr.DataArray, *how: str) -> str:
    """Eight hexadecimal digits, the same for the same result in every process.

    ``how`` are options of the save that change what is written.

    Raises
    ------
    ValueError
        The graph holds an object that dask cannot name in the same way in every process.
    """
    try:
        return str(tokenize(obj, *how, ensure_deterministic=True))[:8]
    except Exception as error:  # the class depends on the version of dask
        raise ValueError(
            "cannot resume a result that is not the same in every process "
            f"({type(error).__name__}): save it with resume=False"
        ) from None


def rest(ds: xr.Dataset, store: Path, part: tuple[str, int] | None = None) -> Delayed:
    """The remaining work, as one object: a task for every unfinished chunk.

    ``part`` is a dimension and the number of a chunk along it: only those chunks are written,
    and with the first, all variables without the dimension.

    Other results may need a finished chunk, as clusters need a distance matrix. They read it
    from the store. A chunk that is packed on its way to the disk is computed again instead.
    """
    import zarr

    tasks: dict[Any, Any] = {}
    finished: dict[Any, Any] = {}
    lazy = [v.data for v in ds.variables.values() if isinstance(v.data, da.Array)]
    for name, var in ds.variables.items():
        if not isinstance(var.data, da.Array):
            continue
        array = zarr.open_array(store / str(name), mode="r")
        starts = [np.cumsum([0, *c]).tolist() for c in var.data.chunks]
        for where in np.ndindex(var.data.numblocks):
            if not is_of(part, var.dims, where):
                continue
            region = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, where, strict=True))
            block, place = (var.data.name, *where), (str(store), str(name), region)
            if _is_whole(array, store / str(name), where, region):
                finished[block] = (_get, *place)
            else:
                tasks[(f"fhemb-put-{name}", *where)] = (_put, block, *place)
    end = "fhemb-put-all-" + tokenize(sorted(map(str, tasks)), str(store))
    tasks[end] = (_nothing, list(tasks))
    graph = HighLevelGraph.from_collections(end, tasks, dependencies=lazy)
    if finished or part is not None:
        needed = dict(graph.cull({end}))
        needed |= {key: task for key, task in finished.items() if key in needed}
        graph = HighLevelGraph.from_collections(end, needed)
    return Delayed(end, graph)


def is_of(part: tuple[str, int] | None, dims: Any, where: tuple[int, ...]) -> bool:
    """Whether a chunk at a place in the grid belongs to a part; None: to the whole."""
    if part is None:
        return True
    dim, number = part
    return (where[dims.index(dim)] if dim in dims else 0) == number


def _is_whole(array: Any, folder: Path, where: tuple[int, ...], region: Any) -> bool:
    """Whether a chunk exists and its checksum is right."""
    if not (folder / array.metadata.encode_chunk_key(where)).exists():
        return False
    try:
        array[region]
    except Exception:  # whatever is wrong, the chunk is computed again
        return False
    return True


def _get(store: str, name: str, region: Any) -> Any:
    import zarr

    return zarr.open_array(f"{store}/{name}", mode="r")[region]


def _put(block: Any, store: str, name: str, region: Any) -> None:
    import zarr

    array: Any = zarr.open_array(f"{store}/{name}", mode="r+")
    # chunks of nothing but the fill value too: a missing chunk counts as lost
    whole = array.with_config({"write_empty_chunks": True})
    differences.write(whole, region, np.asarray(block))


def _nothing(done: list[None]) -> None:
    del done
