"""Writing chunk by chunk, so that what was written is known.

Each task writes one file and returns whether it did. The marks of an array are therefore the
map of the files that must be in the store afterwards. A store that lacks one of them was
written to another disk, or lost it.
"""

import uuid
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

Marks = dict[str, NDArray[np.bool_]]
"""Which files of each lazily written array were written."""
PLAIN = "biufc"
"""Kinds of numbers that Zarr stores as they are; other kinds are computed before."""


class Target:
    """One array of a store, to be written by tasks in any process.

    Parameters
    ----------
    store
        Path as text, or the Zarr store.
    name
        Name of the array.
    keep_empty
        Whether a chunk that holds nothing but the fill value becomes a file.
    """

    def __init__(self, store: Any, name: str, keep_empty: bool) -> None:
        self.store, self.name, self.keep_empty = store, name, keep_empty
        self._token = uuid.uuid4().hex  # a write is never the same as an earlier one
        self._array: Any = None

    def __dask_tokenize__(self) -> str:
        return self._token

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def write(self, block: Any, index: tuple[int, ...]) -> bool:
        """Write the file at ``index`` of the grid; whether there is one now."""
        array = self._opened()
        data = np.asarray(block)
        unit = array.shards or array.chunks
        region = tuple(
            slice(i * u, i * u + n) for i, u, n in zip(index, unit, data.shape, strict=True)
        )
        array[region if region else ...] = data
        return self.keep_empty or not _is_all(data, array.fill_value)

    def _opened(self) -> Any:
        if self._array is None:
            import zarr

            group: Any = zarr.open_group(self.store, mode="r+")
            self._array = group[self.name].with_config({"write_empty_chunks": self.keep_empty})
        return self._array


def put(block: Any, target: Target, block_id: tuple[int, ...] = ()) -> NDArray[np.bool_]:
    """Write one block; an array of one value: whether a file is there now."""
    return np.full((1,) * np.ndim(block), target.write(block, block_id))


def marks(
    ds: xr.Dataset, store: Any, *, keep_empty: bool, group: str = ""
) -> dict[str, da.Array]:
    """The work of writing every lazy variable of ``ds``, as arrays with one mark a file.

    Parameters
    ----------
    ds
        Variables whose dask blocks are whole files of ``store``.
    store
        Path as text, or a Zarr store, with the metadata of all arrays.
    keep_empty
        As for :class:`Target`.
    group
        Group of the store that holds the arrays.
    """
    start = f"{group}/" if group else ""
    return {
        str(name): _marked(var.data, Target(store, f"{start}{name}", keep_empty))
        for name, var in ds.variables.items()
        if isinstance(var.data, da.Array)
    }


def _marked(data: da.Array, target: Target) -> da.Array:
    return data.map_blocks(
        put,
        target,
        dtype=bool,
        chunks=tuple((1,) * n for n in data.numblocks),
        meta=np.empty((0,) * data.ndim, bool),
    )


def settled(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with lazy variables of plain numbers only."""
    odd = [n for n, v in ds.variables.items() if v.chunks and v.dtype.kind not in PLAIN]
    return ds.assign({n: ds[n].compute() for n in odd}) if odd else ds


def outline(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with zeros in place of lazy data: enough to write the metadata."""
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
