"""Opening what was stored: checked, labelled, lazy."""

import json
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import encoding, provenance


def open_recording(store: Any, *, chunks: Any = {}) -> xr.Dataset:  # noqa: B006  (xarray's own)
    """Open a recording, checked and lazy.

    Parameters
    ----------
    store
        A path, or anything else that :func:`xarray.open_zarr` takes.
    chunks
        As in :func:`xarray.open_zarr`; ``{}``: the chunks on disk, about 1000 frames of one
        person. With ``None`` the arrays are xarray's own lazily indexed ones and the heatmap is
        decoded to float64.

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
    Memory: 7 bytes per sample of a chunk (1.75 times a float32 chunk) for each running task.
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
    ds = _open(store, chunks)
    schema.validate(ds)
    return ds


def open_embedding(store: Any) -> xr.DataArray:
    """Open an embedding: ``embedding(subject, session, time, feature)``, lazy.

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
    found = open_result(store)
    if not isinstance(found, xr.DataArray) or found.name != schema.EMBEDDING:
        is_now = found.attrs.get(provenance.KIND, "something else")
        raise SchemaError(f"expected an embedding, the store holds a {is_now}")
    return found


def open_result(store: Any) -> xr.DataArray | xr.Dataset:
    """Open anything that :func:`save` stored, as what it was: a DataArray or a Dataset.

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
    ds = _open(store, {})
    name = ds.attrs.get(provenance.ARRAY)
    if name is None:
        return ds
    about = {k: ds.attrs[k] for k in (provenance.KIND, provenance.UUID, schema.HISTORY) if k in ds.attrs}
    return ds[name].assign_attrs(about)


def _open(store: Any, chunks: Any) -> xr.Dataset:
    local = Path(store) if isinstance(store, str | Path) and "://" not in str(store) else None
    attrs = _attributes(store, local)
    if local is not None:
        _check_files(local, attrs)
    options = {"consolidated": False, "chunks": chunks}
    ds = xr.open_zarr(store, **options)
    labels = xr.open_zarr(store, consolidated=False, chunks=None).coords
    if schema.HEATMAP in ds and ds[schema.HEATMAP].dtype == np.float64 and chunks is not None:
        raw = xr.open_zarr(store, mask_and_scale=False, **options)[schema.HEATMAP]
        if raw.dtype == np.int16:
            ds = ds.assign({schema.HEATMAP: _unpacked(raw)})
    return _named(ds, labels)


def _unpacked(raw: xr.DataArray) -> xr.DataArray:
    """float32, where xarray would decode two bytes to eight."""
    data = raw.data
    assert isinstance(data, da.Array)
    meta = np.empty((0,) * data.ndim, np.float32)
    out = raw.copy(data=data.map_blocks(encoding.unpack, dtype=np.float32, meta=meta))
    out.attrs = {k: v for k, v in raw.attrs.items() if k not in encoding.PACKING}
    return out


def _named(ds: xr.Dataset, coords: Any) -> xr.Dataset:
    """Labels loaded, and as numpy text: pandas, JSON and plots know it better than Zarr's."""
    labels = {n: (c.dims, _label(c.values), c.attrs) for n, c in coords.items() if c.ndim < 2}
    private = (encoding.STATUS, encoding.FILES)
    out = ds.assign_coords(labels)
    out.attrs = {k: v for k, v in ds.attrs.items() if k not in private}
    return out


def _label(values: Any) -> Any:
    return np.array([str(v) for v in values], dtype=str) if values.dtype.kind in "OT" else values


def _attributes(store: Any, local: Path | None) -> dict[str, Any]:
    """Attributes of a finished store of a version that can be read."""
    name = local.name if local is not None else "the store"
    if local is not None and not local.exists():
        raise StoreError(f"there is no store {name!r}: is the path right?")
    try:
        attrs = _raw_attributes(store, local)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{name!r} is not a Zarr 3 store, or it is damaged ({error})") from None
    if attrs.get(encoding.STATUS, encoding.COMPLETE) != encoding.COMPLETE:
        raise StoreError(
            f"{name!r} is unfinished: start the command that writes it again, it goes on "
            "where it was"
        )
    try:
        newer = schema.check_version(attrs)
    except SchemaError as error:
        raise SchemaError(f"{name!r}: {error}") from None
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
    """Compare the files there with those that were written; a missing chunk would read as NaN."""
    wanted = attrs.get(encoding.FILES)
    if not wanted:
        return
    found = encoding.count_files(local)
    lost = {n: (found.get(n, 0), k) for n, k in wanted.items() if found.get(n, 0) < k}
    if lost:
        text = ", ".join(f"{n!r} has {a} of {b} files" for n, (a, b) in lost.items())
        raise StoreError(f"{local.name!r} has lost data: {text}; make it again, or restore it")
