"""Writing a store chunk by chunk, and recording which chunks were written.

Each task writes one file and returns a mark: whether the file exists. The marks of an array
are the map of the files that the store must hold afterwards. If one is missing, a worker wrote
to another disk, or the disk lost the file.
"""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr.errors import StoreError
from fhemb_xr.io import provenance
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.packed import differences

Marks = dict[str, NDArray[np.bool_]]
"""For each array, which of its files were written."""
Part = tuple[str, int] | None
"""A dimension, and the number of a file along it; None: everything."""
Compute = Callable[[list[Any]], list[Any]]
PLAIN = "biufc"
"""Dtype kinds that Zarr stores unchanged; variables of other kinds are computed before."""


class Target:
    """One array of a store, written by tasks in any process.

    Parameters
    ----------
    store
        Path as a string, or the Zarr store.
    name
        Name of the array.
    keep_empty
        Whether a chunk that holds only the fill value becomes a file.
    """

    def __init__(self, store: Any, name: str, keep_empty: bool) -> None:
        self.store, self.name, self.keep_empty = store, name, keep_empty
        self._token = uuid.uuid4().hex  # dask must not take two writes for the same task
        self._array: Any = None

    def __dask_tokenize__(self) -> str:
        return self._token

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def write(self, block: Any, index: tuple[int, ...]) -> bool:
        """Write the file at ``index`` of the grid; return whether the file exists."""
        if isinstance(self.store, str) and not os.path.isdir(self.store):
            # Ctrl-C, or an error of another task: writing would make the folder again
            raise StoreError("the save has ended and its staging is removed")
        array = self._opened()
        data = np.asarray(block)
        unit = array.shards or array.chunks
        region = tuple(
            slice(i * u, i * u + n) for i, u, n in zip(index, unit, data.shape, strict=True)
        )
        differences.write(array, region if region else ..., data)
        return self.keep_empty or not _is_all(data, array.fill_value)

    def _opened(self) -> Any:
        if self._array is None:
            import zarr

            group: Any = zarr.open_group(self.store, mode="r+")
            self._array = group[self.name].with_config({"write_empty_chunks": self.keep_empty})
        return self._array


def put(block: Any, target: Target, block_id: tuple[int, ...] = ()) -> NDArray[np.bool_]:
    """Write one block; return an array of one value: whether the file exists."""
    return np.full((1,) * np.ndim(block), target.write(block, block_id))


def marks(
    ds: xr.Dataset, store: Any, *, keep_empty: bool, group: str = ""
) -> dict[str, da.Array]:
    """Lazy arrays of marks, one per file; computing them writes the variables of ``ds``.

    Parameters
    ----------
    ds
        Variables whose dask blocks are whole files of ``store``.
    store
        Path as a string, or a Zarr store; it already holds the metadata of all arrays.
    keep_empty
        Whether a chunk that holds only the fill value becomes a file.
    group
        Group of the store that holds the arrays.
    """
    start = f"{group}/" if group else ""
    return {
        str(name): _marked(var.data, Target(store, f"{start}{name}", keep_empty))
        for name, var in ds.variables.items()
        if isinstance(var.data, da.Array)
    }


def parts(ds: xr.Dataset, by: str | None) -> list[Part]:
    """The parts that are written one after the other: one per chunk along ``by``.

    Raises
    ------
    ValueError
        No lazy variable has the dimension.
    """
    if by is None:
        return [None]
    counts = [v.data.numblocks[v.dims.index(by)] for v in ds.variables.values()
              if isinstance(v.data, da.Array) and by in v.dims]  # fmt: skip
    if not counts:
        raise ValueError(
            f"cannot save by {by!r}: the dimensions are {tuple(map(str, ds.sizes))}, and one "
            "lazy variable at least must have it"
        )
    return [(by, i) for i in range(max(counts))]


def written(
    ds: xr.Dataset, work: dict[str, da.Array], by: str | None, compute: Compute
) -> Marks:
    """Compute ``work``, part after part; each part has a graph of its own."""
    out = {name: np.zeros(marks.shape, bool) for name, marks in work.items()}
    for part in parts(ds, by):
        regions = {name: _region(ds.variables[name].dims, part) for name in work}
        at = {name: region for name, region in regions.items() if region is not None}
        done = compute([work[name][region] for name, region in at.items()])
        for (name, region), marks in zip(at.items(), done, strict=True):
            out[name][region] = marks
    return out


def _region(dims: Any, part: Part) -> tuple[slice, ...] | None:
    """The files of an array that a part writes; None: none of them."""
    if part is None:
        return (slice(None),) * len(dims)
    dim, number = part
    if dim not in dims:
        return None if number else (slice(None),) * len(dims)
    return tuple(slice(number, number + 1) if d == dim else slice(None) for d in dims)


def _marked(data: da.Array, target: Target) -> da.Array:
    return data.map_blocks(
        put,
        target,
        dtype=bool,
        chunks=tuple((1,) * n for n in data.numblocks),
        meta=np.empty((0,) * data.ndim, bool),
    )


def settled(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with all variables computed but those of plain numbers."""
    odd = [n for n, v in ds.variables.items() if v.chunks and v.dtype.kind not in PLAIN]
    return ds.assign({n: ds[n].compute() for n in odd}) if odd else ds


def outline(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with zeros in place of lazy data, which is enough to write the metadata."""
    lazy = {n: v for n, v in ds.variables.items() if isinstance(v.data, da.Array)}
    return ds.assign(
        {
            n: (v.dims, da.zeros(v.shape, dtype=v.dtype, chunks=v.data.chunks), v.attrs)
            for n, v in lazy.items()
        }
    )


def _is_all(data: Any, value: Any) -> bool:
    if data.dtype.kind in "fc" and value is not None and np.isnan(value):
        return bool(np.isnan(data).all())
    return bool((data == value).all())


def require_written(aside: Path, written: Marks) -> None:
    """Refuse a store that lacks a chunk that a task wrote or a result must have."""
    import zarr

    group: Any = zarr.open_group(str(aside), mode="r")
    maps = group.attrs[manifest.PRESENT]
    for name, array in group.arrays():
        present = manifest.expected(maps.get(name), manifest.grid(array.metadata.to_dict()))
        require_there(name, present, written, group.attrs[provenance.KIND] == "recording")


def require_there(name: str, present: Any, written: Marks, recording: bool) -> None:
    """Refuse an array that lacks such a chunk; frames without a face take none."""
    required = np.broadcast_to(written.get(name, np.array(not recording)), present.shape)
    if lost := int((required & ~present).sum()):
        raise StoreError(
            f"{name!r} has {int(present.sum())} of {int(required.sum())} chunks after writing, "
            f"{lost} written chunks are missing: do all workers write to the same disk? "
            "The old store is kept"
        )
