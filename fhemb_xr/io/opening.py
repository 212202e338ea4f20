"""Opening a finished store: version checked, labels loaded, packed variables unpacked."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import encoding, icechunk_versions
from fhemb_xr.io.formats import codec_pipeline, decimals, manifest
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.packed import blosc_blocks, differences, packing
from fhemb_xr.io.remote import inventory, places, replacement


def opened(
    store: Any, chunks: Any, storage_options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Open any finished store of this version: labels loaded, packed variables unpacked."""
    store = places.to_read(icechunk_versions.store_of(store), storage_options)
    local = atomic_files.local_path(store)
    where = store if local is None else local
    attrs = _attributes(where, local)
    how: dict[str, Any] = {}
    if local is not None:
        from fhemb_xr.io.local.read_guard import Generation

        _check_files(local, attrs)
        where = Generation(local, attrs)
    elif not icechunk_versions.is_store(store):
        where, how = _guarded(store, attrs)
    try:
        plain = _zarr(where, chunks=None, **how)
        ds = _named(plain)
    except _UNREADABLE as error:
        raise StoreError(
            f"{_name(local)} is damaged ({error}): `fhemb verify` shows where, `fhemb repair` "
            "shows what can be done"
        ) from None
    if chunks is not None:
        lazy = _zarr(where, chunks=chunks, **how)
        ds = lazy.assign_coords({n: c for n, c in ds.coords.items() if c.ndim < 2})
        ds.attrs = _public(ds.attrs)
    ds = _exact(ds, plain, where, how)
    if schema.HEATMAP not in plain or not _is_packed(plain[schema.HEATMAP]):
        return _plainly(ds, chunks)
    others = _listed(plain, [schema.HEATMAP])
    raw = _zarr(where, chunks=chunks, mask_and_scale=False, drop_variables=others, **how)
    return _plainly(ds.assign({schema.HEATMAP: _unpacked(raw, where, how)}), chunks)


_LAYOUT = ("chunks", "chunksizes", "preferred_chunks", "source")


def _plainly(ds: xr.Dataset, chunks: Any) -> xr.Dataset:
    """``ds`` without the encoding on disk, which must not be used for unpacked numbers.

    With it xarray would write temperatures as whole degrees, and missing values as 0. Arrays
    without dask keep their chunk layout, because readers of them use it.
    """
    kept = _LAYOUT if chunks is None else ("source",)
    for var in ds.variables.values():
        var.encoding = {k: v for k, v in var.encoding.items() if k in kept}
    return ds


def _guarded(store: Any, attrs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The Zarr store, wrapped so that lost or replaced data raise, and the group to read."""
    from fhemb_xr.io.remote.generation import RemoteGeneration

    path = attrs.get(replacement.AT, "")
    inventory.require_whole(store, path, attrs)
    return RemoteGeneration(store, path, attrs), {"group": path} if path else {}


def _zarr(where: Any, **how: Any) -> xr.Dataset:
    with codec_pipeline.reading(getattr(where, "root", None)), warnings.catch_warnings():
        # zarr warns of unknown objects: files that a writer is about to rename, and files that
        # file managers leave on shared disks
        warnings.filterwarnings("ignore", _FOREIGN, UserWarning)
        ds: xr.Dataset = xr.open_zarr(where, consolidated=False, **how)
    return ds


_FOREIGN = r"Object at (.*\.partial|(.*/)?(\.[^/ ]*|Thumbs\.db|desktop\.ini)) "
"""Start of zarr's warning about files that do not belong to the store."""


def _exact(ds: xr.Dataset, plain: xr.Dataset, where: Any, how: dict[str, Any]) -> xr.Dataset:
    """``ds`` with packed decimals as the float32 values that were saved."""
    packed = [n for n, v in plain.data_vars.items() if decimals.is_packed(v)]
    if not packed:
        return ds
    others = _listed(plain, packed)
    raw = _zarr(where, chunks=None, mask_and_scale=False, drop_variables=others, **how)
    for name in packed:
        exact = decimals.decoded(raw[name].variable)
        chunks = ds[name].chunksizes
        ds = ds.assign({name: exact.chunk(chunks) if chunks else exact})
    return ds


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def _listed(ds: xr.Dataset, but: list[Any]) -> list[str]:
    """The other variables, in one order: zarr lists arrays in any, and xarray names by it."""
    return sorted(str(n) for n in ds.variables if n not in but)


def _is_packed(heat: xr.DataArray) -> bool:
    """Whether the heatmap has our packing, which xarray alone would decode to float64."""
    stored = heat.encoding
    ours = all(stored.get(k) == v for k, v in encoding.PACKING.items())
    return ours and stored.get("dtype") == np.int16


def _unpacked(raw: xr.Dataset, where: Any, how: dict[str, Any]) -> Any:
    heat, reader = raw[schema.HEATMAP], None
    if heat.encoding.get("filters") or heat.chunks is None:
        import zarr

        with codec_pipeline.reading(getattr(where, "root", None)):
            group: Any = zarr.open_group(where, mode="r", path=how.get("group"))
        array = group[schema.HEATMAP]
        reader = differences.reader(array)
        if heat.chunks is None:
            return packing.decoded(heat.variable, reader or blosc_blocks.Temperatures(array))
    out = heat.copy(data=packing.unpacked(heat.data, reader))
    out.attrs = {k: v for k, v in heat.attrs.items() if k not in encoding.PACKING}
    return out


def _named(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with loaded labels, as NumPy text, which pandas, JSON and plots understand."""
    labels = {
        n: (c.dims, _label(c.values), c.attrs) for n, c in ds.coords.items() if c.ndim < 2
    }
    out = ds.assign_coords(labels)
    out.attrs = _public(ds.attrs)
    return out


def _public(attrs: dict[Any, Any]) -> dict[Any, Any]:
    private = (*manifest.PRIVATE, replacement.AT)
    return {k: v for k, v in attrs.items() if k not in private}


def _label(values: Any) -> Any:
    # NumPy casts text of variable length to fixed length only through objects
    return values.astype(object).astype(str) if values.dtype.kind in "OT" else values


def _name(local: Path | None) -> str:
    return "the store" if local is None else repr(local.name)


def _attributes(store: Any, local: Path | None) -> dict[str, Any]:
    """Attributes of a store; refuse one that is unfinished or of a version we cannot read."""
    name = _name(local)
    if local is not None and not local.exists():
        if atomic_files.leavings(local):
            raise StoreError(f"{name} is missing, its writer died: save or ingest it again")
        raise StoreError(f"there is no store {name}: is the path right?")
    try:
        attrs = _raw_attributes(store, local)
    except _UNREADABLE as error:
        raise StoreError(f"{name} is not a Zarr 3 store, or it is damaged ({error})") from None
    if attrs.get(encoding.STATUS, encoding.COMPLETE) != encoding.COMPLETE:
        then = "it continues where it stopped" if local is not None else "it starts over"
        raise StoreError(f"{name} is unfinished: run the command that writes it again, {then}")
    try:
        newer = schema.check_version(attrs)
    except SchemaError as error:
        raise SchemaError(f"{name}: {error}") from None
    if newer:
        warnings.warn(newer, UserWarning, stacklevel=4)
    return attrs


def _raw_attributes(store: Any, local: Path | None) -> dict[str, Any]:
    if local is not None:
        root = json.loads((local / "zarr.json").read_text())
        if root.get("zarr_format") != 3 or root.get("node_type") != "group":
            raise ValueError("its zarr.json does not describe a Zarr 3 group")
        return dict(root.get("attributes", {}))
    import zarr

    return dict(zarr.open_group(store, mode="r").attrs)


def _check_files(local: Path, attrs: dict[str, Any]) -> None:
    """Compare the number of files with the manifest: a missing chunk would read as NaN."""
    expected = attrs.get(manifest.FILES)
    if not expected:
        return
    counts = manifest.count_files(local)
    lost = {n: (counts.get(n, 0), k) for n, k in expected.items() if counts.get(n, 0) < k}
    if lost:
        text = ", ".join(f"{n!r} has {a} of {b} files" for n, (a, b) in lost.items())
        raise StoreError(
            f"{local.name!r} has lost data: {text}; `fhemb verify` shows where, `fhemb repair` "
            "shows what can be done"
        )
