"""The only writer of results: staged, checked, synced, and put in place by one rename."""

import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import EmptySelectionError, SchemaError, StoreError
from fhemb_xr.io import chunk_writer, encoding, icechunk_versions, provenance
from fhemb_xr.io.formats import decimals, manifest, ragged
from fhemb_xr.io.local import atomic_files, compute, owners, sources
from fhemb_xr.io.local import resume as resuming
from fhemb_xr.io.remote import inventory, places, replacement

logger = logging.getLogger(__name__)
SHARD_BYTES = 4 * 2**20
"""Smaller pieces are gathered along time into shards of about this size."""


Packing = dict[str, dict[str, Any]]
"""How to read what is packed, by variable."""


def save(
    obj: xr.Dataset | xr.DataArray | xr.DataTree,
    store: Any,
    *,
    mode: str = "w-",
    resume: bool = False,
    message: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Compute a lazy result, chunk by chunk, and store it as Zarr.

    The Dask scheduler in use does the work. The result is staged beside its place, checked for
    completeness, synced to the disk and renamed: a reader sees the old store, or the whole new
    one. The result may depend on the store that it replaces.

    Parameters
    ----------
    obj
        Recording, embedding, relation, basis, or any other result; or a tree of feature
        streams, as :func:`open_streams` returns it.
    store
        Path; address such as ``"s3://bucket/emb.zarr"``; any Zarr store; or an icechunk
        session, see :func:`version`.
    mode
        ``"w-"`` refuses to overwrite, ``"w"`` replaces the store that is there.
    resume
        Keep finished chunks when the work is interrupted, and go on with them when the same
        result is saved there again, in this process or another: a matrix of all pairs of an
        opera takes hours. The store must be a folder.
    message
        Message of the commit, with a session; ``None`` leaves the commit to the caller.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Raises
    ------
    StoreError
        The store is there already, is read-only, a zip file, or being written by another
        process; the disk has no room; something is there that is not a store; or chunks that
        were written are not there afterwards.
    BudgetError
        Chunks are too large for the workers of this session's Dask client.
    ClusterError
        A worker cannot do the work: it lacks this version of the library, or does not see the
        target or a source; workers died of a task; or there are none.
    SchemaError
        A Dataset whose ``heatmap`` has the dimensions of a recording, and that is none: with
        everything that is wrong, before anything is computed.
    ValueError
        An unknown mode, a message without a session, options without an address, a name that
        cannot be stored, a recording with temperatures that cannot be packed, or a result that
        cannot be resumed.

    Notes
    -----
    Memory: three times a chunk, or 12 MiB where chunks are smaller, for each running task.
    Tasks: under three per chunk. Computes at call: one, of everything.

    A Dataset that is a whole recording in °C is packed to 16 bits (error 5 mK at most). All
    other results, a heatmap alone too, keep every bit. A float32 array whose
    ``attrs["decimals"]`` gives its number of decimals takes less room, without loss. Files
    are readable by their owner only; plain ``xr.open_zarr`` opens them. What was opened lazily
    before its store was replaced raises an error when it is computed: open it again.

    With worker processes the folder of the store and every store that is read must be seen by
    this process and by all workers under the same path. In a store that is no folder the new
    result is written beside the old one, made known by one object, and copied to its place:
    three times the traffic of a new store.

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
    if icechunk_versions.is_session(store):
        if resume:
            raise ValueError("only a folder can be resumed, found an icechunk session")
        save(obj, icechunk_versions.store_of(store), mode=mode)
        icechunk_versions.commit(store, message)
        return
    if message is not None:
        raise ValueError(
            "a message is of a commit: give a session of fx.version, found a store"
        )
    store = places.to_write(store, storage_options)
    if isinstance(obj, xr.DataTree):
        obj = ragged.flat(obj)
    try:
        _save(obj, store, mode, resume)
    except decimals.Inexact as more:
        logger.debug("%s of %r: stored as it is", more.args[1], more.args[0])
        # in an icechunk session the store is written in place, and was begun
        again = "w" if icechunk_versions.is_store(store) else mode
        save(decimals.as_it_is(obj, more.args[0]), store, mode=again, resume=resume)


def _save(obj: xr.Dataset | xr.DataArray, store: Any, mode: str, resume: bool) -> None:
    token = resuming.token(obj) if resume else None
    ds, packed = _prepared(obj)
    budget.require_fit(ds, budget.worker_share())
    target = atomic_files.local_path(store)
    if target is None:
        if resume:
            raise ValueError(f"only a folder can be resumed, found {type(store).__name__}")
        if icechunk_versions.is_store(store):
            _write_in_place(ds, store, mode, packed)
        else:
            _write_elsewhere(ds, store, mode, packed)
        return
    with atomic_files.locked(target):
        atomic_files.sweep(target, keep=token)
        atomic_files.require_place(target, replace=mode == "w")
        atomic_files.require_room(target, ds.nbytes)
        if token is not None:
            aside = atomic_files.kept_staging(target, token)
            _go_on(ds, aside, packed)
            _publish(aside, target)
            return
        with atomic_files.staging(target) as aside:
            _write(ds, aside, "a", packed)  # "w" would make the folder again, open to others
            _publish(aside, target)


def _publish(aside: Path, target: Path) -> None:
    atomic_files.sync_tree(aside)
    atomic_files.publish(aside, target)


def _go_on(ds: xr.Dataset, aside: Path, packed: Packing) -> None:
    """Write what an earlier run has not."""
    ds = chunk_writer.settled(ds)
    if not (aside / manifest.ROOT).exists():
        with atomic_files.staging(aside) as begun:  # the outline is there whole, or not at all
            _outline(ds, begun, "a", packed)
            aside.rmdir()
            begun.rename(aside)
    with owners.owning(aside):
        compute.compute([resuming.rest(ds, aside)], aside)
        _finish(aside, packed)
    whole = {str(n): np.array(True) for n, v in ds.variables.items() if v.chunks}
    _require_written(aside, whole)


def _prepared(obj: xr.Dataset | xr.DataArray) -> tuple[xr.Dataset, Packing]:
    """What goes to disk, and what of it is packed.

    Stamped, with plain attributes and aligned chunks, stale encoding gone.
    """
    array = str(obj.name or "result") if isinstance(obj, xr.DataArray) else None
    _check_names(obj, array)
    ds = obj.to_dataset(name=array) if isinstance(obj, xr.DataArray) else obj
    if array is None and schema.is_like_recording(ds):
        ds = schema.ordered(ds)
        schema.validate(ds)  # before hours of work, and not when it is opened
    ds = provenance.stamp(ds.drop_encoding(), "save", sources.uuids(obj))
    ds.attrs = _plain(ds.attrs) | ({} if array is None else {provenance.ARRAY: array})
    for var in ds.variables.values():
        var.attrs = _plain(var.attrs)
    packed = {str(n): how for n, v in ds.data_vars.items() if (how := _packing(ds, v, array))}
    ds = ds.assign({n: _packed(ds[n], how) for n, how in packed.items()})
    kept = {n: _stored(c) for n, c in ds.coords.items()}  # map drops those of no variable
    return ds.map(_stored, keep_attrs=True).assign_coords(kept), packed


_PRIVATE = (*manifest.PRIVATE, provenance.ARRAY, replacement.AT)


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in attrs.items() if v is not None and k not in _PRIVATE}
    plain: dict[str, Any] = provenance.plain(kept)
    return plain


def _check_values(name: str, var: xr.DataArray) -> None:
    """Numbers, times and text have a place in Zarr; other objects only as pickles."""
    if 0 in var.shape and name not in var.dims:
        raise EmptySelectionError(
            f"nothing is left of {name!r}: its sizes are {dict(var.sizes)}"
        )
    if var.dtype.kind != "O":
        return
    if var.chunks or not all(isinstance(value, str) for value in var.values.flat):
        raise SchemaError(
            f"{name!r} holds objects, which are not stored: numbers, times and text are"
        )


_MEANING = (
    "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "_Encoding",
    "dtype", "coordinates",
)  # fmt: skip
"""Attributes by which every reader of CF changes the values, or takes them away."""


def _check_attributes(owner: str, attrs: Any, kind: str) -> None:
    """Refuse attributes that readers act on: other values would come back."""
    wrong = [k for k in _MEANING if attrs.get(k) is not None]
    units = str(attrs.get("units", ""))
    wrong += ["units"] if " since " in units or (kind == "M" and units) else []
    wrong += ["calendar"] if kind == "M" and "calendar" in attrs else []
    if wrong:
        raise SchemaError(
            f"{owner} cannot be stored with the attributes {wrong}: whoever opens it would "
            "scale, mask or convert the values by them; do so before, or drop them with "
            ".drop_attrs()"
        )


def _check_names(obj: xr.Dataset | xr.DataArray, array: str | None) -> None:
    """Refuse before any work what would fail after it."""
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise SchemaError(
            f"can save a DataArray, a Dataset or a DataTree of sessions, found "
            f"{type(obj).__name__}"
        )
    for name, index in obj.indexes.items():
        if index.nlevels > 1:
            raise ValueError(
                f"the coordinate {name!r} has several levels, which Zarr cannot store: save "
                f".reset_index({name!r})"
            )
    own: Any = {array: obj} if isinstance(obj, xr.DataArray) else obj.data_vars
    for name, var in (*own.items(), *obj.coords.items()):
        _check_values(str(name), var)
        _check_attributes(repr(name), var.attrs, var.dtype.kind)
    if isinstance(obj, xr.Dataset):
        _check_attributes("the Dataset", {k: 0 for k in obj.attrs if k == "coordinates"}, "")
    if array is not None and array in obj.coords:
        raise ValueError(
            f"the array has the name of its coordinate {array!r}: give it another one with "
            ".rename(...)"
        )
    names = [array, *obj.coords] if isinstance(obj, xr.DataArray) else [*obj.variables]
    _warn_of_case([*map(str, names)])
    for name in map(str, names):
        # a variable is a folder of the store
        if not name or set(name) & set("/\\") or name.startswith((".", "__")):
            raise ValueError(
                f"a variable cannot be stored as {name!r}: names have no slash and do not "
                "start with '.' or '__'"
            )


def _warn_of_case(names: list[str]) -> None:
    alike = [n for n in names if [m.casefold() for m in names].count(n.casefold()) > 1]
    if alike:
        warnings.warn(
            f"the names {alike} differ by case only: on disks that do not tell case (macOS, "
            "Windows, exFAT, NTFS) they are one name; give another one with .rename(...)",
            UserWarning,
            stacklevel=6,
        )


def _is_packable(ds: xr.Dataset) -> bool:
    """A recording of temperatures; differences and bands of them are kept to the last bit."""
    if ds.attrs[provenance.KIND] != "recording":
        return False
    heat = ds[schema.HEATMAP]
    degrees = heat.attrs.get("units") == schema.VARIABLES[schema.HEATMAP].units
    return heat.dtype.kind == "f" and degrees and "fhemb_bands" not in heat.attrs


def _packing(ds: xr.Dataset, var: xr.DataArray, array: str | None) -> dict[str, Any] | None:
    """How an array is packed, if it is."""
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
        # meta given: else dask runs the kernel now
        meta = np.empty((0,) * data.ndim, dtype)
        data = data.map_blocks(function, dtype=dtype, meta=meta, **options)
    else:
        data = function(data, **options)
    return var.dims, data, var.attrs


def _stored(var: xr.DataArray) -> xr.DataArray:
    """Equal chunks that are whole shards; text of any length; moments that fit their unit."""
    if var.dtype.kind == "M" and np.datetime_data(var.dtype)[0] in ("s", "ms"):
        # xarray makes NaT of what is coarser than the unit it shall count in
        attrs, fine = var.attrs, var.variable.to_base_variable().astype("M8[us]")
        var = xr.DataArray(fine, coords=var.drop_vars([var.name], errors="ignore").coords)
        var.attrs = attrs
    if var.dtype.kind in "UT":
        var = var.astype(object)  # text of a fixed length has no Zarr 3 specification
    if not isinstance(var.data, da.Array):
        return var
    chunks, shards = encoding.layout(var.dims, _block(var.variable), var.dtype.itemsize)
    return var.chunk(dict(zip(var.dims, shards or chunks, strict=True)))


def _block(var: xr.Variable) -> tuple[int, ...]:
    """What one task writes: the longest chunks, gathered along time to be worth a file."""
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


def _write_in_place(ds: xr.Dataset, store: Any, mode: str, packed: Packing) -> None:
    from zarr.errors import ContainsArrayError, ContainsGroupError

    try:
        _write(ds, store, mode, packed)
    except (FileExistsError, ContainsArrayError, ContainsGroupError):
        raise StoreError("the store holds something already: mode='w' replaces it") from None


def _write_elsewhere(ds: xr.Dataset, store: Any, mode: str, packed: Packing) -> None:
    """Write into a store that is no folder: beside what is there, then in its place."""
    with replacement.staged(store, replace=mode == "w") as path:
        written = _chunks(ds, store, "a", packed, path)
        _describe(store, packed, path)
        there = inventory.seal(store, path, {encoding.STATUS: encoding.COMPLETE})
        for name, found in there.items():
            _require_there(name, found, written, not _keeps_empty(ds))
    replacement.publish(store, path)


def _write(ds: xr.Dataset, store: Any, mode: str, packed: Packing) -> None:
    written = _chunks(ds, store, mode, packed)
    _finish(store, packed)
    if isinstance(store, Path):
        _require_written(store, written)


def _chunks(
    ds: xr.Dataset, store: Any, mode: str, packed: Packing, path: str = ""
) -> chunk_writer.Marks:
    """Write all arrays of a group; which files of the lazy ones there are."""
    ds = chunk_writer.settled(ds)
    _outline(ds, store, mode, packed, path)
    folder = store if isinstance(store, Path) else None
    place = store if folder is None else str(folder)
    work = chunk_writer.marks(ds, place, keep_empty=_keeps_empty(ds), group=path)
    return dict(zip(work, compute.compute([*work.values()], folder), strict=True))


def _keeps_empty(ds: xr.Dataset) -> bool:
    """Whether a chunk of missing values becomes a file.

    In a recording, frames that are all missing cost nothing. In a result, a missing file is
    a lost one.
    """
    return bool(ds.attrs[provenance.KIND] != "recording")


def _outline(ds: xr.Dataset, store: Any, mode: str, packed: Packing, path: str = "") -> None:
    """Write everything but the lazy chunks."""
    how: Any = mode
    chunk_writer.outline(ds).assign_attrs({encoding.STATUS: encoding.WRITING}).to_zarr(
        store,
        mode=how,
        group=path or None,
        zarr_format=3,
        consolidated=False,  # not part of the Zarr 3 format
        encoding={n: _codecs(v, packed.get(str(n))) for n, v in ds.variables.items()},
        write_empty_chunks=_keeps_empty(ds),
        safe_chunks=True,
        compute=False,
    )


_CLOCK = {"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"}


def _codecs(var: xr.Variable, packed: dict[str, Any] | None) -> dict[str, Any]:
    chunks, shards = encoding.layout(var.dims, _block(var), var.dtype.itemsize)
    out: dict[str, Any] = {"compressors": encoding.compressors(var.dtype), "chunks": chunks}
    if shards and var.chunks:
        out["shards"] = shards
    if packed:
        out["fill_value"] = packed["_FillValue"]
    if var.dtype.kind == "M":  # xarray would count in the coarsest unit that fits
        out |= {**_CLOCK, "dtype": "int64"}
    return out


def _finish(store: Any, packed: Packing) -> None:
    """Say that the store is complete, and how to read what is packed."""
    group = _describe(store, packed)
    done: dict[str, Any] = {encoding.STATUS: encoding.COMPLETE}
    if isinstance(store, Path):
        atomic_files.sweep_pieces(store)  # of a worker that was killed, its task redone
        done = manifest.seal(store, done)
    group.attrs.update(done)


def _describe(store: Any, packed: Packing, path: str = "") -> Any:
    """Say how to read what is packed; the group."""
    import zarr

    place = str(store) if isinstance(store, Path) else store
    group = zarr.open_group(place, mode="r+", path=path or None)
    for name, how in packed.items():
        # set here, not in xarray: it would take them for work that it has to do
        group[name].attrs.update(how)
    return group


def _require_written(aside: Path, written: chunk_writer.Marks) -> None:
    """Every chunk that a task wrote, and every chunk that a result must have, is there."""
    import zarr

    group: Any = zarr.open_group(str(aside), mode="r")
    maps = group.attrs[manifest.PRESENT]
    for name, array in group.arrays():
        there = manifest.expected(maps.get(name), manifest.grid(array.metadata.to_dict()))
        _require_there(name, there, written, group.attrs[provenance.KIND] == "recording")


def _require_there(name: str, there: Any, written: chunk_writer.Marks, recording: bool) -> None:
    must = np.broadcast_to(written.get(name, np.array(not recording)), there.shape)
    if lost := int((must & ~there).sum()):
        raise StoreError(
            f"{name!r} has {int(there.sum())} of {int(must.sum())} chunks after writing, "
            f"{lost} that were written are not there: do all workers write to the same disk? "
            "The store that was there is kept"
        )
