"""Temperatures packed to 16 bits, in steps of 0.01 K."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray

from fhemb_xr.dask_internals import (
    ExplicitIndexer,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)
from fhemb_xr.typing import F32, Floats

if TYPE_CHECKING:
    import dask.array as da

SCALE_K, OFFSET_C, MISSING = 0.01, 75.0, -32768
LIMITS = (-250.0, 400.0)
"""Temperatures that can be stored [°C]."""
_COMPILED = 2**20  # number of samples from which the compiled loop is worth its start
PACKING: dict[str, Any] = {
    "scale_factor": SCALE_K,
    "add_offset": OFFSET_C,
    "_FillValue": MISSING,
}


def pack(x: Floats) -> NDArray[np.int16]:
    """Pack °C to 16 bits: ``(...) -> (...)``; NaN becomes the missing value.

    Peak memory: 11 bytes per sample.

    Raises
    ------
    ValueError
        If a temperature is outside :data:`LIMITS`.
    """
    out = np.subtract(x, OFFSET_C, dtype=np.float32)
    missing = np.isnan(out)
    out[missing] = 0
    if out.size and (out.min() < LIMITS[0] - OFFSET_C or out.max() > LIMITS[1] - OFFSET_C):
        low, high = np.nanmin(x), np.nanmax(x)
        raise ValueError(
            f"temperatures from {low:g} to {high:g} °C cannot be packed: the range is "
            f"{LIMITS} °C; store them as float32"
        )
    out *= np.float32(1 / SCALE_K)
    np.rint(out, out=out)
    packed: NDArray[np.int16] = out.astype(np.int16)
    packed[missing] = MISSING
    return packed


def unpack(packed: NDArray[np.int16]) -> F32:
    """Unpack 16 bits to °C, float32: ``(...) -> (...)``; the missing value becomes NaN.

    Peak memory: 4 bytes per sample (the result); 5 bytes for arrays below 2**20 samples.
    """
    if packed.size >= _COMPILED:
        from fhemb_xr.kernels.frames import packing

        return packing.unpack(packed, SCALE_K, OFFSET_C, MISSING)
    out = packed.astype(np.float32)
    out *= np.float32(SCALE_K)
    out += np.float32(OFFSET_C)
    out[packed == MISSING] = np.nan
    return out


class Unpacked:
    """A packed array that is read as float32 temperatures: one task reads and unpacks.

    Parameters
    ----------
    array
        Array of packed numbers, read when it is indexed.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> F32:
        found: F32 = unpack(np.asarray(self.array[key]))
        return found


def unpacked(packed: "da.Array", reader: Any = None) -> "da.Array":
    """A lazy array of packed numbers, as xarray opens it, as float32 temperatures.

    ``reader`` is an array that reads the temperatures; None: the numbers are read and
    unpacked. ``map_blocks`` would double the number of tasks.
    """
    import dask.array as da

    source = packed.dask.layers.get(f"original-{packed.name}")
    meta = np.empty((0,) * packed.ndim, np.float32)
    if reader is None:
        if source is None:  # not an array that is only read
            return packed.map_blocks(unpack, dtype=np.float32, meta=meta)
        (array,) = source.values()
        reader = Unpacked(array)
    return da.from_array(
        reader,
        chunks=packed.chunks,
        name=f"unpacked-{packed.name}",
        asarray=False,
        fancy=False,
        meta=meta,
    )


def decoded(raw: xr.Variable, reader: Any) -> xr.Variable:
    """A packed variable as float32 temperatures, lazily indexed; ``reader`` reads them."""
    attrs = {k: v for k, v in raw.attrs.items() if k not in PACKING}
    data = LazilyIndexedArray(_Indexed(reader))
    return xr.Variable(raw.dims, data, attrs, raw.encoding)


class _Indexed(BackendArray):
    """Temperatures as xarray indexes them."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: ExplicitIndexer) -> Any:
        return explicit_indexing_adapter(
            key, self.shape, self.array.support, self.array.__getitem__
        )
