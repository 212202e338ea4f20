"""Opening what was stored: checked, labelled, lazy."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import encoding, icechunk_versions, provenance
from fhemb_xr.io.formats import codecs, decimals, manifest
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.remote import inventory, places, replacement


def open_recording(
    store: Any,
    *,
    chunks: Any = {},  # noqa: B006  (xarray's own)
    storage_options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Open a recording, checked and lazy.

    Parameters
    ----------
    store
        Path, address such as ``"s3://bucket/a.zarr"``, zip file, or any Zarr store.
    chunks
        Chunks as in :func:`xarray.open_zarr`; ``{}``: the chunks on disk, about 1000 frames of
        one person. With ``None`` the arrays are xarray's own lazily indexed ones, without dask.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Returns
    -------
    Dataset by :mod:`fhemb_xr.schema`, with ``heatmap(subject, session, time, y, x)`` in °C,
    float32, NaN where there is no face.

    Raises
    ------
    StoreError
        Nothing is there, or it is unfinished, damaged, or not a Zarr 3 store.
    SchemaError
        It is not a recording, with everything that is wrong; or its version is too new.

    Notes
    -----
    Memory: 6 bytes per sample of a chunk (1.5 times a float32 chunk) for each running task.
    Tasks: two per chunk. Computes at call: none; coordinates along dimensions are read.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     ds = fx.open_recording(f"{folder}/a.zarr")
    >>> ds.heatmap.dtype, ds.heatmap.chunks is not None
    (dtype('float32'), True)
    """
    ds = opened(store, chunks, storage_options)
    ds = schema.ordered(ds)
    schema.validate(ds)
    # taken out of its Dataset, the heatmap must still know its clock
    rate = {schema.SAMPLING_RATE: ds.attrs[schema.SAMPLING_RATE]}
    return ds.assign({schema.HEATMAP: ds[schema.HEATMAP].assign_attrs(rate)})


def open_embedding(
    store: Any, *, storage_options: Mapping[str, Any] | None = None
) -> xr.DataArray:
    """Open an embedding: ``embedding(subject, session, time, feature)``, lazy.

    Parameters
    ----------
    store, storage_options
        As for :func:`open_recording`.

    Raises
    ------
    StoreError, SchemaError
        As :func:`open_recording`.

    Notes
    -----
    Memory: a chunk. Tasks: one per chunk. Computes at call: none.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> emb = fx.testing.audience(n_subjects=2, seconds=4).fhemb.embed(["mean", "p50"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(emb, f"{folder}/emb.zarr")
    ...     fx.open_embedding(f"{folder}/emb.zarr").feature.values.tolist()
    ['mean', 'p50']
    """
    found = open_result(store, storage_options=storage_options)
    if not isinstance(found, xr.DataArray) or found.name != schema.EMBEDDING:
        is_now = found.attrs.get(provenance.KIND, "something else")
        raise SchemaError(f"expected an embedding, the store holds a {is_now}")
    return found


def open_result(
    store: Any, *, storage_options: Mapping[str, Any] | None = None
) -> xr.DataArray | xr.Dataset:
    """Open anything that :func:`save` stored, as what it was: a DataArray or a Dataset.

    Parameters
    ----------
    store, storage_options
        As for :func:`open_recording`.

    Raises
    ------
    StoreError, SchemaError
        As :func:`open_recording`.

    Notes
    -----
    Memory: a chunk. Tasks: one per chunk. Computes at call: none.

    Examples
    --------
    >>> import tempfile, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray([1.0, 2.0], dims="k", name="score", attrs={"units": "1"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.save(x, f"{folder}/x.zarr")
    ...     fx.open_result(f"{folder}/x.zarr").name
    'score'
    """
    ds = opened(store, {}, storage_options)
    name = ds.attrs.get(provenance.ARRAY)
    if name is None:
        return ds
    names = (
        provenance.KIND, provenance.UUID, provenance.SOURCES, provenance.DIGEST,
        schema.HISTORY, schema.SENSITIVITY,
    )  # fmt: skip
    about = {k: ds.attrs[k] for k in names if k in ds.attrs}
    found: xr.DataArray = ds[name].assign_attrs(about)
    return found


def opened(
    store: Any, chunks: Any, storage_options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Any finished store of this version, with labels loaded and what is packed unpacked."""
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
            f"{_name(local)} is damaged ({error}): `fhemb verify` tells where, `fhemb repair` "
            "what can be done"
        ) from None
    if chunks is not None:
        lazy = _zarr(where, chunks=chunks, **how)
        ds = lazy.assign_coords({n: c for n, c in ds.coords.items() if c.ndim < 2})
        ds.attrs = _public(ds.attrs)
    ds = _exact(ds, plain, where, how)
    if schema.HEATMAP not in plain or not _is_packed(plain[schema.HEATMAP]):
        return _plainly(ds, chunks)
    others = [n for n in plain.variables if n != schema.HEATMAP]
    raw = _zarr(where, chunks=chunks, mask_and_scale=False, drop_variables=others, **how)
    return _plainly(ds.assign({schema.HEATMAP: _unpacked(raw)}), chunks)


_LAYOUT = ("chunks", "chunksizes", "preferred_chunks", "source")


def _plainly(ds: xr.Dataset, chunks: Any) -> xr.Dataset:
    """``ds`` without the encoding on disk: numbers that are unpacked must not be written by it.

    xarray would cut temperatures to whole degrees, and make 0 of what is missing. Where the
    arrays are not dask's, how their chunks lie is kept for those who read by them.
    """
    kept = _LAYOUT if chunks is None else ("source",)
    for var in ds.variables.values():
        var.encoding = {k: v for k, v in var.encoding.items() if k in kept}
    return ds


def _guarded(store: Any, attrs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A Zarr store that says what is lost or replaced, and the group to read in it."""
    from fhemb_xr.io.remote.generation import RemoteGeneration

    path = attrs.get(replacement.AT, "")
    inventory.require_whole(store, path, attrs)
    return RemoteGeneration(store, path, attrs), {"group": path} if path else {}


def _zarr(where: Any, **how: Any) -> xr.Dataset:
    with codecs.reading(getattr(where, "root", None)), warnings.catch_warnings():
        # zarr takes the file that a writer is about to rename for a foreign object, and what
        # file managers leave on every shared disk
        warnings.filterwarnings("ignore", _FOREIGN, UserWarning)
        ds: xr.Dataset = xr.open_zarr(where, consolidated=False, **how)
    return ds


_FOREIGN = r"Object at (.*\.partial|(.*/)?(\.[^/ ]*|Thumbs\.db|desktop\.ini)) "
"""Start of zarr's warning about files that hold nothing of the store."""


def _exact(ds: xr.Dataset, plain: xr.Dataset, where: Any, how: dict[str, Any]) -> xr.Dataset:
    """``ds`` with decimals as the float32 that they were."""
    packed = [n for n, v in plain.data_vars.items() if decimals.is_packed(v)]
    if not packed:
        return ds
    others = [n for n in plain.variables if n not in packed]
    raw = _zarr(where, chunks=None, mask_and_scale=False, drop_variables=others, **how)
    for name in packed:
        exact = decimals.decoded(raw[name].variable)
        chunks = ds[name].chunksizes
        ds = ds.assign({name: exact.chunk(chunks) if chunks else exact})
    return ds


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def _is_packed(heat: xr.DataArray) -> bool:
    """Whether xarray, left to itself, would make eight bytes of our two."""
    how = heat.encoding
    ours = all(how.get(k) == v for k, v in encoding.PACKING.items())
    return ours and how.get("dtype") == np.int16


def _unpacked(raw: xr.Dataset) -> xr.DataArray:
    heat = raw[schema.HEATMAP]
    if heat.chunks is None:
        # xarray decodes to the type that these two have
        small = {k: np.float32(encoding.PACKING[k]) for k in ("scale_factor", "add_offset")}
        heat.attrs = {**heat.attrs, **small}
        decoded: xr.DataArray = xr.decode_cf(raw)[schema.HEATMAP]
        return decoded
    data: Any = heat.data
    meta = np.empty((0,) * heat.ndim, np.float32)
    out = heat.copy(data=data.map_blocks(encoding.unpack, dtype=np.float32, meta=meta))
    out.attrs = {k: v for k, v in heat.attrs.items() if k not in encoding.PACKING}
    return out


def _named(ds: xr.Dataset) -> xr.Dataset:
    """Labels loaded, and as numpy text: pandas, JSON and plots know it better than Zarr's."""
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
    # by way of objects: NumPy does not cast its text of any length to that of a fixed one
    return values.astype(object).astype(str) if values.dtype.kind in "OT" else values


def _name(local: Path | None) -> str:
    return "the store" if local is None else repr(local.name)


def _attributes(store: Any, local: Path | None) -> dict[str, Any]:
    """Attributes of a finished store of a version that can be read."""
    name = _name(local)
    if local is not None and not local.exists():
        if atomic_files.leavings(local):
            raise StoreError(f"{name} is missing, a writer died: save or ingest it again")
        raise StoreError(f"there is no store {name}: is the path right?")
    try:
        attrs = _raw_attributes(store, local)
    except _UNREADABLE as error:
        raise StoreError(f"{name} is not a Zarr 3 store, or it is damaged ({error})") from None
    if attrs.get(encoding.STATUS, encoding.COMPLETE) != encoding.COMPLETE:
        again = "it goes on where it was" if local is not None else "it begins again"
        raise StoreError(
            f"{name} is unfinished: start the command that writes it again, {again}"
        )
    try:
        newer = schema.check_version(attrs)
    except SchemaError as error:
        raise SchemaError(f"{name}: {error}") from None
    if newer:
        warnings.warn(newer, UserWarning, stacklevel=4)
    return attrs


def _raw_attributes(store: Any, local: Path | None) -> dict[str, Any]:
    if local is not None:
        found = json.loads((local / "zarr.json").read_text())
        if found.get("zarr_format") != 3 or found.get("node_type") != "group":
            raise ValueError("its zarr.json is not that of a Zarr 3 group")
        return dict(found.get("attributes", {}))
    import zarr

    return dict(zarr.open_group(store, mode="r").attrs)


def _check_files(local: Path, attrs: dict[str, Any]) -> None:
    """Compare with what was written: a missing chunk would read as NaN."""
    wanted = attrs.get(manifest.FILES)
    if not wanted:
        return
    found = manifest.count_files(local)
    lost = {n: (found.get(n, 0), k) for n, k in wanted.items() if found.get(n, 0) < k}
    if lost:
        text = ", ".join(f"{n!r} has {a} of {b} files" for n, (a, b) in lost.items())
        raise StoreError(
            f"{local.name!r} has lost data: {text}; `fhemb verify` tells where, `fhemb repair` "
            "what can be done"
        )
