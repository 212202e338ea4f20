"""The only writer of results: it stages, checks, syncs and renames a store."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.errors import StoreError
from fhemb_xr.io import chunk_writer, icechunk_versions, provenance, storable
from fhemb_xr.io import encoding as layout
from fhemb_xr.io.formats import decimals, manifest, ragged
from fhemb_xr.io.integrity import chunk_identity
from fhemb_xr.io.local import (
    atomic_files,
    compute,
    durable_files,
    locks,
    owners,
    progress,
    systems,
)
from fhemb_xr.io.local import resume as resuming
from fhemb_xr.io.preparation import Packing, codecs, prepared, require_encoding
from fhemb_xr.io.remote import inventory, places, replacement

logger = logging.getLogger(__name__)


def save(
    obj: xr.Dataset | xr.DataArray | xr.DataTree,
    store: Any,
    *,
    mode: str = "w-",
    resume: bool = False,
    by: str | None = None,
    message: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    encoding: str | None = None,
) -> None:
    """Compute a lazy result, chunk by chunk, and store it as Zarr.

    The Dask scheduler in use does the work. The result is written to a folder beside its
    place, checked, synced to the disk and renamed. A reader therefore sees the old store or
    the whole new one. The result may depend on the store that it replaces.

    Parameters
    ----------
    obj
        Recording, embedding, relation, basis, or any other result; or a tree of feature
        streams, as :func:`open_streams` returns it.
    store
        Path; address such as ``"s3://bucket/emb.zarr"``; any Zarr store; or an icechunk
        session, see :func:`version`.
    mode
        ``"w-"`` refuses to overwrite a store, ``"w"`` replaces it.
    resume
        Whether to keep finished chunks when the work is interrupted. Save the same result
        there again, in this process or another, and only the missing chunks are computed.
        The store must be a folder.
    by
        Dimension whose parts are computed one after the other, for example ``"session"``. Each
        part has a graph of its own, so the scheduler never holds that of ten evenings.
    message
        Message of the commit, for an icechunk session; ``None`` leaves the commit to the
        caller.
    storage_options
        Options of the file system of an address, as fsspec takes them.
    encoding
        For a recording in °C: ``"fast"`` stores its temperatures, ``"dense"`` their differences
        from frame to frame, which take a third less room and twice the time to write. Both
        come back with the same bits; ``docs/layout.md`` compares them. None means ``"fast"``.

    Raises
    ------
    StoreError
        The store exists, is read-only, is a zip file, or another process is writing it; the
        disk has no room; the place holds something that is not a store; or written chunks
        are missing afterwards.
    BudgetError
        Chunks are too large for the workers of this session's Dask client.
    ClusterError
        A worker cannot do the work: it lacks this version of the library, or does not see the
        target or a source. Or a task killed workers, or there are no workers.
    SchemaError
        A Dataset has a ``heatmap`` with the dimensions of a recording but is not a valid
        recording. The error lists all that is wrong, before anything is computed.
    ValueError
        An unknown mode or encoding, an encoding of something that is no recording in °C, a
        message without a session, options without an address, ``by`` a dimension that is not
        there, a name that cannot be stored, a recording with temperatures
        that cannot be packed, or a result that cannot be resumed.

    Notes
    -----
    Memory per task: max(3 × chunk, 12 MiB). Tasks: under three per chunk. Computes at call:
    one, of everything; with ``by`` one for each part, and what the parts share (eigenfaces) is
    computed for each.

    A whole recording in °C (a Dataset) is packed to 16 bits, with an error of at most 5 mK.
    All other results keep every bit, also a heatmap alone. A float32 array whose
    ``attrs["decimals"]`` gives its number of decimals takes less room, without loss. Only
    their owner can read the files; plain ``xr.open_zarr`` opens them. An array that was opened
    lazily before its store was replaced raises an error when it is computed: open it again.

    With worker processes, this process and all workers must see the folder of the store, and
    every store that is read, under the same path. In a store that is no folder, a replacement
    is written beside the old result, made known by one object, and copied to its place. This
    takes three times the traffic of a new store.

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
        save(obj, icechunk_versions.store_of(store), mode=mode, by=by, encoding=encoding)
        icechunk_versions.commit(store, message)
        return
    if message is not None:
        raise ValueError(
            "a message is of a commit: save to a session of fx.version, found a store"
        )
    store = places.to_write(store, storage_options)
    if isinstance(obj, xr.DataTree):
        obj = ragged.flat(obj)
    try:
        _save(_Job.of(obj, by=by, encoding=encoding), store, mode, resume)
    except decimals.Inexact as inexact:
        name, reason = inexact.args[:2]
        logger.debug("%s of %r: stored as float32", reason, name)
        # an icechunk session is written in place: the first try has left a part there
        second_mode = "w" if icechunk_versions.is_store(store) else mode
        how: Any = {"mode": second_mode, "resume": resume, "by": by, "encoding": encoding}
        save(decimals.as_it_is(obj, name), store, **how)


@dataclass(frozen=True)
class _Job:
    """A result as it was given, and as it goes to the disk."""

    given: xr.Dataset | xr.DataArray
    origin: xr.Dataset | xr.DataArray
    ds: xr.Dataset
    packed: Packing
    by: str | None
    encoding: str | None

    @classmethod
    def of(
        cls, given: Any, *, origin: Any = None, by: str | None = None,
        encoding: str | None = None,
    ) -> "_Job":  # fmt: skip
        ds, packed = prepared(given, origin)
        require_encoding(encoding, ds, packed)
        budget.require_fit(ds, budget.worker_share())
        chunk_writer.parts(ds, by)  # refuse a wrong dimension before anything is done
        return cls(given, given if origin is None else origin, ds, packed, by, encoding)

    def made_of(self) -> dict[str, Any]:
        """The attribute with the identities of the chunks; made after the work is done."""
        return chunk_identity.recorded(self.origin, self.ds.attrs)


def replace(obj: xr.DataArray, store: Path, origin: xr.DataArray) -> None:
    """Replace the result in a folder by ``obj``, of which parts are read from that result.

    ``origin`` is the same result without these reads: sources and identities of chunks are
    those of ``origin``. A run that is interrupted continues when it is started again.
    """
    _save(_Job.of(obj, origin=origin), store, "w", resume=True)


@progress.shown("Saving")
def _save(job: _Job, store: Any, mode: str, resume: bool) -> None:
    # a dense run must not go on where another one stopped
    how = [job.encoding] if job.encoding == layout.DENSE else []
    token = resuming.token(job.given, *how) if resume else None
    target = atomic_files.local_path(store)
    if target is None:
        if resume:
            raise ValueError(f"only a folder can be resumed, found {type(store).__name__}")
        if icechunk_versions.is_store(store):
            _write_in_place(job, store, mode)
        else:
            _write_elsewhere(job, store, mode)
        return
    with locks.locked(target):
        atomic_files.sweep(target, keep=token)
        atomic_files.require_place(target, replace=mode == "w")
        atomic_files.require_room(target, job.ds.nbytes)
        if token is not None:
            aside = atomic_files.kept_staging(target, token)
            _go_on(job, aside)
            _publish(aside, target)
            return
        with atomic_files.staging(target) as aside:
            _write(job, aside, "a")  # "w" would make a new folder that others can read
            _publish(aside, target)


def _publish(aside: Path, target: Path) -> None:
    durable_files.sync_tree(aside)
    atomic_files.publish(aside, target)


def _go_on(job: _Job, aside: Path) -> None:
    """Write the chunks that an earlier run has not written."""
    ds = chunk_writer.settled(job.ds)
    if not (aside / manifest.ROOT).exists():
        with atomic_files.staging(aside) as begun:  # the outline appears whole, or not at all
            _outline(job, ds, begun, "a")
            aside.rmdir()
            systems.rename(begun, aside)
    with owners.owning(aside):
        for part in chunk_writer.parts(ds, job.by):
            compute.compute([resuming.rest(ds, aside, part)], aside)
        _finish(aside, job)
    whole = {str(n): np.array(True) for n, v in ds.variables.items() if v.chunks}
    chunk_writer.require_written(aside, whole)


def _write_in_place(job: _Job, store: Any, mode: str) -> None:
    from zarr.errors import ContainsArrayError, ContainsGroupError

    try:
        _write(job, store, mode)
    except (FileExistsError, ContainsArrayError, ContainsGroupError):
        raise StoreError("the store holds something already: mode='w' replaces it") from None


def _write_elsewhere(job: _Job, store: Any, mode: str) -> None:
    """Write into a store that is no folder: first beside the old result, then in its place."""
    with replacement.staged(store, replace=mode == "w") as path:
        written = _chunks(job, store, "a", path)
        _describe(store, job.packed, path)
        present = inventory.seal(store, path, {layout.STATUS: layout.COMPLETE})
        for name, chunks in present.items():
            chunk_writer.require_there(name, chunks, written, not _keeps_empty(job.ds))
    replacement.publish(store, path)


def _write(job: _Job, store: Any, mode: str) -> None:
    written = _chunks(job, store, mode)
    _finish(store, job)
    if isinstance(store, Path):
        chunk_writer.require_written(store, written)


def _chunks(job: _Job, store: Any, mode: str, path: str = "") -> chunk_writer.Marks:
    """Write all arrays of a group; return which files of the lazy arrays exist."""
    ds = chunk_writer.settled(job.ds)
    _outline(job, ds, store, mode, path)
    folder = store if isinstance(store, Path) else None
    place = store if folder is None else str(folder)
    work = chunk_writer.marks(ds, place, keep_empty=_keeps_empty(ds), group=path)
    return chunk_writer.written(ds, work, job.by, lambda some: compute.compute(some, folder))


def _keeps_empty(ds: xr.Dataset) -> bool:
    """Whether a chunk of missing values becomes a file.

    In a recording, frames that are all missing take no file. In a result, a missing file
    means lost data.
    """
    return bool(ds.attrs[provenance.KIND] != "recording")


def _outline(job: _Job, ds: xr.Dataset, store: Any, mode: str, path: str = "") -> None:
    """Write everything but the lazy chunks of ``ds``."""
    if isinstance(store, Path):
        storable.require_apart([*map(str, ds.variables)], store)
    how: Any = mode
    chunk_writer.outline(ds).assign_attrs({layout.STATUS: layout.WRITING}).to_zarr(
        store,
        mode=how,
        group=path or None,
        zarr_format=3,
        consolidated=False,  # not part of the Zarr 3 format
        encoding={
            n: codecs(v, job.packed.get(str(n)), job.encoding) for n, v in ds.variables.items()
        },
        write_empty_chunks=_keeps_empty(ds),
        safe_chunks=True,
        compute=False,
    )


def _finish(store: Any, job: _Job) -> None:
    """Mark the store as complete, and say how to unpack."""
    group = _describe(store, job.packed)
    done: dict[str, Any] = {layout.STATUS: layout.COMPLETE}
    if isinstance(store, Path):
        done |= job.made_of()
        atomic_files.sweep_pieces(store)  # a killed worker leaves pieces
        done = manifest.seal(store, done)
    group.attrs.update(done)


def _describe(store: Any, packed: Packing, path: str = "") -> Any:
    """Write how to unpack into the attributes; return the group."""
    import zarr

    place = str(store) if isinstance(store, Path) else store
    group = zarr.open_group(place, mode="r+", path=path or None)
    for name, how in packed.items():
        # xarray would pack the data once more if it were given these attributes
        group[name].attrs.update(how)
    return group
