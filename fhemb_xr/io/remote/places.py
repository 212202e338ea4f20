"""Turning what a user gives as a store into a path or a Zarr store."""

import zipfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files

Options = Mapping[str, Any] | None


def to_read(store: Any, storage_options: Options = None) -> Any:
    """The folder or the Zarr store to read from.

    Parameters
    ----------
    store
        Path, address such as ``"s3://bucket/a.zarr"``, zip file, dict, Zarr store, or
        anything that :func:`xarray.open_zarr` takes.
    storage_options
        Options of the file system of an address, as fsspec takes them.

    Raises
    ------
    ValueError
        There are options but ``store`` is not an address.
    """
    local = atomic_files.local_path(store)
    if local is None:
        return _opened(store, storage_options, read_only=True)
    _require_no_options(store, storage_options)
    if local.suffix == ".zip" and zipfile.is_zipfile(local):
        from zarr.storage import ZipStore

        return ZipStore(local, mode="r")
    return local


def to_write(store: Any, storage_options: Options = None) -> Any:
    """The folder or the Zarr store to write to; parameters as for :func:`to_read`.

    Raises
    ------
    StoreError
        The store is a zip file, or it is read-only.
    ValueError
        There are options but ``store`` is not an address.
    """
    if getattr(store, "read_only", False):
        raise StoreError(
            f"the store is read-only ({type(store).__name__}): open it for writing, or save "
            "elsewhere"
        )
    local = atomic_files.local_path(store)
    name = local.name if local is not None else type(store).__name__
    if name.endswith(".zip") or name == "ZipStore":
        raise StoreError(
            f"{name!r} is a zip file, into which chunks cannot be written in any order: save "
            "to a folder and pack it with shutil.make_archive(name, 'zip', folder); fx.open_* "
            "read zip files"
        )
    if local is None:
        return _opened(store, storage_options, read_only=False)
    _require_no_options(store, storage_options)
    return local


def _opened(store: Any, storage_options: Options, read_only: bool) -> Any:
    from zarr.storage import FsspecStore, MemoryStore

    if isinstance(store, str):
        return FsspecStore.from_url(store, dict(storage_options or {}), read_only=read_only)
    _require_no_options(store, storage_options)
    if hasattr(store, "fs") and hasattr(store, "root") and isinstance(store, MutableMapping):
        return FsspecStore.from_mapper(store, read_only=read_only)  # fsspec's own mapping
    if isinstance(store, MutableMapping):
        held: Any = store
        return MemoryStore(held, read_only=read_only)
    return store


def _require_no_options(store: Any, storage_options: Options) -> None:
    if storage_options:
        kind = type(store).__name__ if not isinstance(store, str | Path) else "a path"
        raise ValueError(
            f"storage_options belong to an address such as 's3://bucket/name', found {kind}"
        )
