"""Going on with a result that was interrupted: chunks that are on the disk are kept.

What is being computed is known by its Dask names, which say the data, the functions and their
options: the same call in another process finds its own pieces, another call does not.
"""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph


def token(obj: xr.Dataset | xr.DataArray) -> str:
    """Eight hexadecimal digits that the same result gets in every process.

    Raises
    ------
    ValueError
        If its graph has something in it that has no name of its own.
    """
    try:
        return str(tokenize(obj, ensure_deterministic=True))[:8]
    except Exception as error:  # dask raises what its version likes
        raise ValueError(
            "cannot resume a result that is not the same in every process "
            f"({type(error).__name__}): save it with resume=False"
        ) from None


def rest(ds: xr.Dataset, store: Path) -> Delayed:
    """The work that is left, as one object: a task for every chunk that is not whole.

    What else is made of a chunk that is whole, as groups are of a matrix, reads it, unless it
    is packed on its way to the disk: then it is made again.
    """
    import zarr

    tasks: dict[Any, Any] = {}
    done: dict[Any, Any] = {}
    lazy = [v.data for v in ds.variables.values() if isinstance(v.data, da.Array)]
    for name, var in ds.variables.items():
        if not isinstance(var.data, da.Array):
            continue
        array = zarr.open_array(store / str(name), mode="r")
        starts = [np.cumsum([0, *c]).tolist() for c in var.data.chunks]
        for where in np.ndindex(var.data.numblocks):
            region = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, where, strict=True))
            block, at = (var.data.name, *where), (str(store), str(name), region)
            if _is_whole(array, store / str(name), where, region):
                done[block] = (_get, *at)
            else:
                tasks[(f"fhemb-put-{name}", *where)] = (_put, block, *at)
    end = "fhemb-put-all-" + tokenize(sorted(map(str, tasks)), str(store))
    tasks[end] = (_nothing, list(tasks))
    graph = HighLevelGraph.from_collections(end, tasks, dependencies=lazy)
    if done:
        graph = HighLevelGraph.from_collections(end, {**graph, **done})
    return Delayed(end, graph)


def _is_whole(array: Any, folder: Path, where: tuple[int, ...], region: Any) -> bool:
    """Whether a chunk is there, and what was written is what is read (its checksum says so)."""
    if not (folder / array.metadata.encode_chunk_key(where)).exists():
        return False
    try:
        array[region]
    except Exception:  # whatever is wrong with it, it is made anew
        return False
    return True


def _get(store: str, name: str, region: Any) -> Any:
    import zarr

    return zarr.open_array(f"{store}/{name}", mode="r")[region]


def _put(block: Any, store: str, name: str, region: Any) -> None:
    import zarr

    array: Any = zarr.open_array(f"{store}/{name}", mode="r+")
    # one that is all of the fill value too: a missing chunk is a lost one
    array.with_config({"write_empty_chunks": True})[region] = np.asarray(block)


def _nothing(done: list[None]) -> None:
    del done
