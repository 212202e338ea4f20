"""Opening stores: checked, labelled, lazy."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.io import provenance
from fhemb_xr.io.opening import opened


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
        Chunks as in :func:`xarray.open_zarr`. ``{}`` takes the chunks on disk, about 1000
        frames of one person. ``None`` gives xarray's lazily indexed arrays, without dask.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Returns
    -------
    Dataset
        Dataset as :mod:`fhemb_xr.schema` describes it, with
        ``heatmap(subject, session, time, y, x)`` in °C, float32; NaN means no face.

    Raises
    ------
    StoreError
        There is no store; or it is unfinished, damaged, or not a Zarr 3 store.
    SchemaError
        The store is not a recording (the error lists all that is wrong), or its version is
        too new.

    Notes
    -----
    Memory per task: 6 bytes per sample of a chunk (1.5 × a float32 chunk). Tasks: one per
    chunk. Computes at call: none; only coordinates along dimensions are read.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fx.testing.audience(n_subjects=2, seconds=4).fhemb.save(f"{folder}/a.zarr")
    ...     ds = fx.open_recording(f"{folder}/a.zarr")
    >>> ds.heatmap.dtype, ds.heatmap.chunks is not None
    (dtype('float32'), True)
    """
    return as_recording(opened(store, chunks, storage_options))


def as_recording(ds: xr.Dataset) -> xr.Dataset:
    """An opened store as the recording that :func:`open_recording` returns."""
    ds = schema.ordered(ds)
    schema.validate(ds)
    # the heatmap must know its clock when it is taken out of the Dataset
    rate = {schema.SAMPLING_RATE: ds.attrs[schema.SAMPLING_RATE]}
    return ds.assign({schema.HEATMAP: ds[schema.HEATMAP].assign_attrs(rate)})


def open_embedding(
    store: Any, *, storage_options: Mapping[str, Any] | None = None
) -> xr.DataArray:
    """Open an embedding: ``embedding(subject, session, time, feature)``, lazy.

    Parameters
    ----------
    store, storage_options
        The same as for :func:`open_recording`.

    Raises
    ------
    StoreError, SchemaError
        The same as for :func:`open_recording`; or the store holds something else.

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
    result = open_result(store, storage_options=storage_options)
    if not isinstance(result, xr.DataArray) or result.name != schema.EMBEDDING:
        kind = result.attrs.get(provenance.KIND, "something else")
        raise SchemaError(f"expected an embedding, the store holds a {kind}")
    return result


def open_result(
    store: Any, *, storage_options: Mapping[str, Any] | None = None
) -> xr.DataArray | xr.Dataset:
    """Open any result of :func:`save`; a DataArray comes back as one, a Dataset too.

    Parameters
    ----------
    store, storage_options
        The same as for :func:`open_recording`.

    Raises
    ------
    StoreError, SchemaError
        The same as for :func:`open_recording`.

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
    return as_result(opened(store, {}, storage_options))


def as_result(ds: xr.Dataset) -> xr.DataArray | xr.Dataset:
    """An opened store as the result that :func:`open_result` returns."""
    name = ds.attrs.get(provenance.ARRAY)
    if name is None:
        return ds
    names = (
        provenance.KIND, provenance.UUID, provenance.SOURCES, provenance.DIGEST,
        schema.HISTORY, schema.SENSITIVITY,
    )  # fmt: skip
    about = {k: ds.attrs[k] for k in names if k in ds.attrs}
    array: xr.DataArray = ds[name].assign_attrs(about)
    return array
