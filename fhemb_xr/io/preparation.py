"""Preparing a result for the disk: attributes, packing, chunks, codecs."""

import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.io import encoding, provenance
from fhemb_xr.io.formats import decimals, manifest
from fhemb_xr.io.local import sources
from fhemb_xr.io.remote import replacement
from fhemb_xr.io.storable import require_storable

SHARD_BYTES = 4 * 2**20
"""Size of a shard: smaller pieces are gathered along time until they have about this size."""

Packing = dict[str, dict[str, Any]]
"""Attributes that tell a reader how to unpack, by variable."""

_PRIVATE = (*manifest.PRIVATE, provenance.ARRAY, replacement.AT)
_CLOCK = {"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"}


def prepared(
    obj: xr.Dataset | xr.DataArray, origin: xr.Dataset | xr.DataArray | None = None
) -> tuple[xr.Dataset, Packing]:
    """The Dataset that goes to disk, and which of its variables are packed.

    It has a new stamp, plain attributes and chunks that are whole shards. Old encoding is gone.
    ``origin`` is the same result before parts of it were taken from an older store.
    """
    array = str(obj.name or "result") if isinstance(obj, xr.DataArray) else None
    require_storable(obj, array)
    ds = obj.to_dataset(name=array) if isinstance(obj, xr.DataArray) else obj
    if array is None and schema.is_like_recording(ds):
        ds = schema.ordered(ds)
        schema.validate(ds)  # now, and not after hours of work
    ds = provenance.stamp(ds.drop_encoding(), *_origin(obj, origin))
    ds.attrs = _plain(ds.attrs) | ({} if array is None else {provenance.ARRAY: array})
    for var in ds.variables.values():
        var.attrs = _plain(var.attrs)
    packed = {str(n): how for n, v in ds.data_vars.items() if (how := _packing(ds, v, array))}
    ds = ds.assign({n: _packed(ds[n], how) for n, how in packed.items()})
    stored = {n: _stored(v.to_base_variable()) for n, v in ds.variables.items()}
    # made of variables: arrays with lazy coordinates would be compared, which computes them
    coords = {n: stored.pop(n) for n in ds.coords}
    return xr.Dataset(stored, coords, ds.attrs), packed


def _origin(obj: Any, origin: Any) -> tuple[str, list[str]]:
    """The operation, and the stores that count as its sources."""
    return ("save", sources.uuids(obj)) if origin is None else ("extend", sources.uuids(origin))


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in attrs.items() if v is not None and k not in _PRIVATE}
    plain: dict[str, Any] = provenance.plain(kept)
    return plain


def _is_packable(ds: xr.Dataset) -> bool:
    """Whether this is a recording of temperatures; differences and bands keep every bit."""
    if ds.attrs[provenance.KIND] != "recording":
        return False
    heat = ds[schema.HEATMAP]
    degrees = heat.attrs.get("units") == schema.VARIABLES[schema.HEATMAP].units
    return heat.dtype.kind == "f" and degrees and "fhemb_bands" not in heat.attrs


def _packing(ds: xr.Dataset, var: xr.DataArray, array: str | None) -> dict[str, Any] | None:
    """How an array is packed; ``None`` if it is not."""
    if var.name == schema.HEATMAP and array is None and _is_packable(ds):
        return encoding.PACKING
    places = decimals.asked(var)
    return None if places is None else decimals.attributes(places)


def _packed(var: xr.DataArray, how: dict[str, Any]) -> Any:
    function: Any = encoding.pack
    dtype, options = "int16", dict[str, Any]()
    if how is not encoding.PACKING:
        function, dtype = decimals.pack, "int32"
        options = {"decimals": int(var.attrs[schema.DECIMALS]), "label": str(var.name)}
    data: Any = var.data
    if isinstance(data, da.Array):
        # without meta dask would run the kernel now
        meta = np.empty((0,) * data.ndim, dtype)
        data = data.map_blocks(function, dtype=dtype, meta=meta, **options)
    else:
        data = function(data, **options)
    return var.dims, data, var.attrs


def _stored(var: xr.Variable) -> xr.Variable:
    """``var`` with equal chunks of whole shards, text of any length, times in microseconds."""
    if var.dtype.kind == "M" and np.datetime_data(var.dtype)[0] in ("s", "ms"):
        # xarray writes NaT for times that are coarser than the unit of the encoding
        var = var.astype("M8[us]")
    if var.dtype.kind in "UT":
        var = var.astype(object)  # text of a fixed length has no Zarr 3 specification
    if not isinstance(var.data, da.Array):
        return var
    chunks, shards = encoding.layout(var.dims, _block(var), var.dtype.itemsize)
    return var.chunk(dict(zip(var.dims, shards or chunks, strict=True)))


def require_encoding(name: str | None, ds: xr.Dataset, packed: Packing) -> None:
    """Refuse an encoding that does not exist, or of an object without packed temperatures."""
    if name is None:
        return
    encoding.known(name)
    if packed.get(schema.HEATMAP) is not encoding.PACKING:
        raise ValueError(
            f"encoding={name!r} is for recordings in degC, which are packed to 16 bits, found "
            f"{ds.attrs[provenance.KIND]!r}: leave it out"
        )


def _block(var: xr.Variable) -> tuple[int, ...]:
    """Shape that one task writes: the longest chunk, gathered along time up to a shard."""
    cut = dict(var.sizes)
    if var.chunks:
        cut = {d: max(c) for d, c in var.chunksizes.items()}
    elif var.nbytes > SHARD_BYTES:
        cut |= {d: 1 for d in (schema.SUBJECT, *schema.WHO) if d in cut}
    n_bytes = math.prod(cut.values()) * var.dtype.itemsize
    clock = encoding.clock(var.dims)
    if clock in cut and 0 < n_bytes < SHARD_BYTES:
        pieces = min(SHARD_BYTES // n_bytes, -(-var.sizes[clock] // cut[clock]))
        cut[clock] *= max(1, pieces)
    return tuple(cut.values())


def codecs(
    var: xr.Variable, packed: dict[str, Any] | None, how: str | None = None
) -> dict[str, Any]:
    """Encoding of one variable, as :meth:`xarray.Dataset.to_zarr` takes it."""
    chunks, shards = encoding.layout(var.dims, _block(var), var.dtype.itemsize)
    out: dict[str, Any] = {"compressors": encoding.compressors(var.dtype), "chunks": chunks}
    if shards and var.chunks:
        out["shards"] = shards
    if packed:
        out["fill_value"] = packed["_FillValue"]
    if packed is encoding.PACKING:
        out["filters"] = encoding.filters(how, var.dims, chunks)
    if var.dtype.kind == "M":  # left alone, xarray counts in the coarsest unit that fits
        out |= {**_CLOCK, "dtype": "int64"}
        if _is_finer(var):
            out["units"] = "nanoseconds since 1970-01-01"
    return out


def _is_finer(var: xr.Variable) -> bool:
    """Whether moments are, or may be, finer than microseconds; lazy ones are not looked at."""
    if np.datetime_data(var.dtype)[0] != "ns":
        return False
    if var.chunks:
        return True
    values = var.to_numpy()
    known = values[~np.isnat(values)]
    return bool((known != known.astype("M8[us]")).any())
