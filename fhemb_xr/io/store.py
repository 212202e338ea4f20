"""The only writer of results: staged, checked, synced, and put in place by one rename."""

import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, files, provenance

SHARD_BYTES = 4 * 2**20
"""Smaller pieces are gathered along time into shards of about this size."""


def save(obj: xr.Dataset | xr.DataArray, store: Any, *, mode: str = "w-") -> None:
    """Compute a lazy result, chunk by chunk, and store it as Zarr.

    Whatever Dask there is does the work. The result is staged beside its place, checked for
    completeness, synced to the disk and renamed: a reader sees the old store, or the whole new
    one. It may depend on the very store that it replaces.

    Parameters
    ----------
    obj
        A recording, an embedding, a relation, a basis, or any other result.
    store
        A path; or anything :meth:`xarray.Dataset.to_zarr` takes, which is then written in
        place and marked as complete at the end.
    mode
        ``"w-"`` refuses to overwrite, ``"w"`` exchanges what is there for the new one.

    Raises
    ------
    StoreError
        The store is there already, is being written by another process, or finds no room.
    ValueError
        An unknown mode, or a recording with temperatures that cannot be packed.

    Notes
    -----
    Memory: a few chunks, or 4 MiB where chunks are smaller, for each running task. Tasks: under
    three per chunk. Computes at call: one, of everything. Files are readable by their owner
    only; plain ``xr.open_zarr`` opens them.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> emb = fx.testing.audience(n_subjects=2, seconds=4).fhemb.embed(["mean"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     emb.fhemb.save(f"{folder}/emb.zarr")
    ...     again = fx.open_embedding(f"{folder}/emb.zarr").load()
    >>> bool((again == emb).all())
    True
    """
    if mode not in ("w-", "w"):
        raise ValueError(f"mode is 'w-' (refuse to overwrite) or 'w' (replace), found {mode!r}")
    ds = _prepared(obj)
    if not isinstance(store, str | Path) or "://" in str(store):
        _write(ds, store, mode)
        return
    target = Path(store).absolute()
    with files.locked(target):
        if mode == "w-" and target.exists():
            raise StoreError(f"{target.name!r} is there already: mode='w' replaces it")
        files.sweep(target)
        files.require_room(target, ds.nbytes)
        with files.staging(target) as aside:
            _write(ds, aside, "w-")  # "w" would make the folder anew, open to others
            _check(aside)
            files.sync_tree(aside)
            files.publish(aside, target)


def _prepared(obj: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """What goes to disk: stamped, with plain attributes, aligned chunks, stale encoding gone."""
    attrs: dict[str, Any] = {}
    if isinstance(obj, xr.DataArray):
        name = str(obj.name or "result")
        obj, attrs = obj.to_dataset(name=name), {provenance.ARRAY: name}
    else:
        # a Dataset read from a DataArray's store and added to is a Dataset
        obj = obj.assign_attrs({k: v for k, v in obj.attrs.items() if k != provenance.ARRAY})
        obj.attrs.pop(provenance.ARRAY, None)
    ds = provenance.stamp(obj.drop_encoding(), "save").assign_attrs(attrs)
    ds.attrs = provenance.plain({k: v for k, v in ds.attrs.items() if k != encoding.STATUS})
    ds.attrs.pop(encoding.FILES, None)
    for var in ds.variables.values():
        var.attrs = provenance.plain({k: v for k, v in var.attrs.items() if v is not None})
    recording = ds.attrs[provenance.KIND] == "recording"
    return ds.map(_aligned, keep_attrs=True).assign_coords(
        {n: _text(_aligned(c)) for n, c in ds.coords.items()}
    ).pipe(_packed if recording else _same)


def _same(ds: xr.Dataset) -> xr.Dataset:
    return ds


def _text(var: xr.DataArray) -> xr.DataArray:
    """Text of any length: fixed-length text has no Zarr v3 specification."""
    return var.astype(object) if var.dtype.kind in "UT" else var


def _aligned(var: xr.DataArray) -> xr.DataArray:
    """Equal chunks, gathered along time so that a file is worth its name."""
    if not isinstance(var.data, da.Array):
        return var
    cut = {d: max(c) for d, c in var.variable.chunksizes.items()}
    n_bytes = math.prod(cut.values()) * var.dtype.itemsize
    if schema.TIME in cut and 0 < n_bytes < SHARD_BYTES:
        pieces = min(SHARD_BYTES // n_bytes, -(-var.sizes[schema.TIME] // cut[schema.TIME]))
        cut[schema.TIME] *= max(1, pieces)
    return var.chunk(cut)


def _packed(ds: xr.Dataset) -> xr.Dataset:
    heat = ds[schema.HEATMAP]
    if heat.dtype.kind != "f":
        return ds
    data = heat.data
    if isinstance(data, da.Array):
        # meta given: else dask runs the kernel now
        meta = np.empty((0,) * data.ndim, np.int16)
        data = data.map_blocks(encoding.pack, dtype=np.int16, meta=meta)
    else:
        data = encoding.pack(data)
    return ds.assign({schema.HEATMAP: (heat.dims, data, heat.attrs)})


def _write(ds: xr.Dataset, store: Any, mode: str) -> None:
    recording = ds.attrs[provenance.KIND] == "recording"
    ds = ds.assign_attrs({encoding.STATUS: encoding.WRITING})
    ds.to_zarr(
        store,
        mode=mode,
        zarr_format=3,
        consolidated=False,  # not part of the Zarr 3 format
        encoding={n: _codecs(v) for n, v in ds.variables.items()},
        # a recording's frames that are all missing cost nothing; in a result a missing chunk
        # is a lost one
        write_empty_chunks=not recording,
        safe_chunks=True,
    )
    _finish(store, ds, recording)


def _codecs(var: xr.Variable) -> dict[str, Any]:
    out: dict[str, Any] = {"compressors": encoding.compressors(var.dtype)}
    chunks = tuple(max(c) for c in var.chunks) if var.chunks else tuple(var.shape)
    out["chunks"] = tuple(max(c, 1) for c in chunks)
    if var.dtype == np.int16 and var.ndim > 3:
        out |= {"fill_value": encoding.MISSING, **_sharded(var, out["chunks"])}
    return out


def _sharded(var: xr.Variable, whole: tuple[int, ...]) -> dict[str, Any]:
    """Inner chunks of a heatmap: a shard is too long to decompress for a single frame."""
    time = var.dims.index(schema.TIME)
    inner = encoding.divisor(whole[time], encoding.CHUNK_FRAMES)
    return {"chunks": (*whole[:time], inner, *whole[time + 1 :]), "shards": whole}


def _finish(store: Any, ds: xr.Dataset, recording: bool) -> None:
    """Say that the store is complete, and how to read what is packed."""
    import zarr

    group = zarr.open_group(str(store) if isinstance(store, Path) else store, mode="r+")
    if recording and ds[schema.HEATMAP].dtype == np.int16:
        # set here, not in xarray: it would take them for work that it has to do
        group[schema.HEATMAP].attrs.update(encoding.PACKING)
    done: dict[str, Any] = {encoding.STATUS: encoding.COMPLETE}
    if isinstance(store, Path):
        done[encoding.FILES] = encoding.count_files(store)
    group.attrs.update(done)


def _check(aside: Path) -> None:
    """Every chunk that a result must have is there."""
    import zarr

    group: Any = zarr.open_group(str(aside), mode="r")
    if group.attrs[provenance.KIND] == "recording":
        return
    found = group.attrs[encoding.FILES]
    for name, array in group.arrays():
        wanted = math.prod(
            -(-n // c) for n, c in zip(array.shape, array.shards or array.chunks, strict=True)
        )
        if found[name] < wanted:
            raise StoreError(f"{name!r} has {found[name]} of {wanted} chunks after writing")
