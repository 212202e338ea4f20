"""Numbers that were printed with *d* decimals, stored in fewer bits without loss.

A tool that prints 312.4 gives a multiple of 0.1. Stored as the whole number 3124 with
``scale_factor`` 0.1, it takes half the room of the nearest float32. It comes back as exactly
that float32: 3124 / 10 in float64 is the float64 nearest to the decimal, as reading the text
gives it. 32 bits hold every float32 that has *d* exact decimals. The upper bits are equal, so
shuffling and compression remove them.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray

from fhemb_xr.dask_internals import (
    ExplicitIndexer,
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)
from fhemb_xr.schema import DECIMALS
from fhemb_xr.typing import F32, Floats

MISSING = -(2**31)
MOST = 9
"""Largest number of decimals; no float32 holds more exactly."""


class Inexact(ValueError):  # noqa: N818  (a finding; its first argument is the variable)
    """A number has more decimals than the attribute says."""


def pack(x: Floats, decimals: int, label: str = "") -> NDArray[np.int32]:
    """Pack numbers with ``decimals`` decimals to 32 bits: ``(...) -> (...)``.

    NaN becomes the missing value. Peak memory: 25 bytes per sample.

    Raises
    ------
    Inexact
        A number has more decimals, so it would come back as another number.
    """
    with np.errstate(invalid="ignore"):
        whole = np.rint(np.multiply(x, 10.0**decimals, dtype=np.float64))
        fits = np.abs(whole) < -MISSING
        out = np.where(fits, whole, MISSING).astype(np.int32)
    lost = (unpack(out, decimals) != x) & ~np.isnan(x)
    if lost.any():
        raise Inexact(label, f"{float(np.asarray(x)[lost][0])!r} has not {decimals} decimals")
    return out


def unpack(packed: NDArray[np.int32], decimals: int) -> F32:
    """Unpack 32 bits to the float32 nearest to the decimal: ``(...) -> (...)``.

    Peak memory: 4 bytes per sample (the result).
    """
    out = np.empty(packed.shape, np.float32)
    whole, flat, unit = np.ravel(packed), out.reshape(-1), 10.0**decimals
    for start in range(0, whole.size, _AT_ONCE):
        part = whole[start : start + _AT_ONCE]
        place = flat[start : start + _AT_ONCE]
        place[...] = np.divide(part, unit)  # in float64, in pieces that fit the cache
        missing = part == MISSING
        if missing.any():
            place[missing] = np.nan
    return out


_AT_ONCE = 2**14


def asked(x: xr.DataArray) -> int | None:
    """Number of decimals to store a float32 array with; None if it has no such attribute.

    Raises
    ------
    ValueError
        The attribute is not a valid number of decimals.
    """
    places = x.attrs.get(DECIMALS)
    if places is None or x.dtype != np.float32:
        return None
    if not isinstance(places, int | np.integer) or not 0 <= places <= MOST:
        raise ValueError(
            f"attrs[{DECIMALS!r}] is a whole number from 0 to {MOST}, found {places!r}"
        )
    return int(places)


def as_it_is(obj: Any, name: str) -> Any:
    """``obj`` without the attribute, so that every bit of one array is stored."""
    if isinstance(obj, xr.DataArray):
        return obj.drop_attrs(deep=False).assign_attrs(_less(obj.attrs))
    var = obj[name]
    return obj.assign({name: (var.dims, var.data, _less(var.attrs))})


def _less(attrs: dict[Any, Any]) -> dict[Any, Any]:
    return {k: v for k, v in attrs.items() if k != DECIMALS}


def attributes(decimals: int) -> dict[str, Any]:
    """CF attributes by which any other program unpacks the numbers."""
    return dict(zip(_HOW, (10.0**-decimals, 0.0, MISSING), strict=True))


_HOW = ("scale_factor", "add_offset", "_FillValue")


def is_packed(var: xr.DataArray) -> bool:
    """Whether a variable is packed by us; xarray alone would round it in another way."""
    stored = var.encoding
    places = var.attrs.get(DECIMALS)
    ours = isinstance(places, int) and stored.get("dtype") == np.int32
    return ours and stored.get("_FillValue") == MISSING


def decoded(raw: xr.Variable) -> xr.Variable:
    """The float32 numbers of a packed variable, lazily indexed."""
    data = LazilyIndexedArray(_Decimals(raw, int(raw.attrs[DECIMALS])))
    attrs = {k: v for k, v in raw.attrs.items() if k not in _HOW}
    return xr.Variable(raw.dims, data, attrs, raw.encoding)


class _Decimals(BackendArray):
    """Packed numbers that are unpacked when they are read."""

    def __init__(self, raw: xr.Variable, decimals: int) -> None:
        self._raw, self._decimals = raw, decimals
        self.shape, self.dtype = raw.shape, np.dtype(np.float32)

    def __getitem__(self, key: ExplicitIndexer) -> Any:
        read = explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self._read)
        return read

    def _read(self, key: tuple[Any, ...]) -> F32:
        return unpack(self._raw[key].values, self._decimals)


def direct(raw: xr.Variable, array: Any) -> xr.Variable:
    """A variable that reads its Zarr array by plain slices, and unpacks it.

    xarray uses orthogonal selection for everything, which ``zarrs`` leaves to zarr-python. A
    window of 100 frames then took four times as long.
    """
    places = raw.attrs.get(DECIMALS) if array.dtype == np.int32 else None
    data = LazilyIndexedArray(_Stored(array, places))
    return xr.Variable(raw.dims, data, raw.attrs, raw.encoding)


class _Stored(BackendArray):
    """A Zarr array, lazily indexed."""

    def __init__(self, array: Any, decimals: int | None) -> None:
        self._array, self._decimals = array, decimals
        self.shape = array.shape
        self.dtype = array.dtype if decimals is None else np.dtype(np.float32)

    def __getitem__(self, key: ExplicitIndexer) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    async def async_getitem(self, key: ExplicitIndexer) -> Any:
        """Read without waiting; only integers and forward slices are supported."""
        if not all(_is_basic(k) for k in key.tuple):
            raise NotImplementedError("only integers and forward slices can be read")
        basic = tuple(k if isinstance(k, slice) else int(k) for k in key.tuple)
        return self._decoded(await self._array.async_array.getitem(basic))

    def _read(self, key: tuple[Any, ...]) -> Any:
        return self._decoded(self._array.get_basic_selection(key))

    def _decoded(self, values: Any) -> Any:
        stored = np.asarray(values)
        return stored if self._decimals is None else unpack(stored, self._decimals)


def _is_basic(k: Any) -> bool:
    if isinstance(k, slice):
        return k.step is None or k.step > 0
    return bool(np.ndim(k) == 0)
