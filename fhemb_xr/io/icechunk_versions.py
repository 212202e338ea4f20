"""Stores with commits (icechunk): every save is a version that can be opened again.

Functions that take a store also take a session: ``fx.save(emb, session)``,
``fx.open_result(session)``.
"""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import locks

FIRST = "Repository initialized"


@dataclass(frozen=True)
class Version:
    """One commit of a versioned store."""

    snapshot: str
    written_at: datetime.datetime
    message: str


def store_of(store: Any) -> Any:
    """The Zarr store of a session; any other store unchanged."""
    return store.store if is_session(store) else store


def is_session(store: Any) -> bool:
    """Whether a store is an icechunk session; imports nothing."""
    kind = type(store)
    return kind.__module__.startswith("icechunk.") and hasattr(kind, "commit")


def is_store(store: Any) -> bool:
    """Whether a Zarr store belongs to an icechunk session; imports nothing."""
    return type(store).__module__.startswith("icechunk.")


@contextmanager
def version(path: str | Path, message: str, *, branch: str = "main") -> Iterator[Any]:
    """Write a new version of a store on this machine: all that the block saves, or nothing.

    The store keeps every earlier version. A chunk that did not change is not stored again.

    Parameters
    ----------
    path
        Folder of the versioned store; it is created if it does not exist.
    message
        Text that describes the version.
    branch
        Branch that the version continues.

    Yields
    ------
    icechunk.Session
        An icechunk session: give it to :func:`save` with ``mode="w"``. At the end of the block
        it is committed if anything changed, and dropped if anything failed. For a repository
        elsewhere (S3, …) make the session with icechunk itself, and save with ``message=``.

    Raises
    ------
    StoreError
        Another process is writing the store, the folder holds something else, or there is no
        such branch.
    ImportError
        icechunk is not installed: ``pip install 'fhemb_xr[versions]'``.

    Notes
    -----
    A lock keeps other writers away, because commits on a local disk are not safe from each
    other. Worker processes cannot write into a session; threads of this process do.

    Examples
    --------
    >>> import tempfile, fhemb_xr as fx
    >>> emb = fx.testing.audience(n_subjects=2, seconds=4).heatmap.mean(["y", "x"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with fx.version(f"{folder}/emb", "first look") as session:
    ...         fx.save(emb, session)
    ...     with fx.version(f"{folder}/emb", "in kelvin") as session:
    ...         fx.save(emb + 273.15, session, mode="w")
    ...     first, second = fx.versions(f"{folder}/emb")
    ...     past = fx.open_version(f"{folder}/emb", snapshot=first.snapshot)
    ...     old = fx.open_result(past).load()
    >>> bool((old == emb).all()), second.message
    (True, 'in kelvin')
    """
    if not message.strip():
        raise ValueError("a version has a message that says what it is, found an empty one")
    target = Path(path).expanduser().resolve()
    with locks.locked(target):
        _require_repository(target, or_nothing=True)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _errors(target):
            session = _repository(target, new=True).writable_session(branch)
        yield session
        if session.has_uncommitted_changes:
            session.commit(message)


def open_version(
    path: str | Path,
    *,
    snapshot: str | None = None,
    tag: str | None = None,
    as_of: datetime.datetime | None = None,
    branch: str = "main",
) -> Any:
    """Open a version of a store on this machine for reading.

    Parameters
    ----------
    path
        Folder of the versioned store.
    snapshot, tag
        Snapshot (of :func:`versions`) or tag of the version; by default the newest version of
        the branch.
    as_of
        Moment; the version that was the newest of the branch at this moment is opened.
    branch
        Branch of the versions.

    Returns
    -------
    icechunk.Session
        An icechunk session for :func:`open_recording`, :func:`open_embedding` and
        :func:`open_result`.

    Raises
    ------
    StoreError
        There is no versioned store, or no such version.
    ValueError
        More than one of ``snapshot``, ``tag`` and ``as_of``.

    Examples
    --------
    See :func:`version`.
    """
    asked = {"snapshot_id": snapshot, "tag": tag}
    given = {k: v for k, v in asked.items() if v is not None}
    if len(given) + (as_of is not None) > 1:
        raise ValueError("one version is opened: give snapshot, tag or as_of, not several")
    target = Path(path).expanduser().resolve()
    _require_repository(target, or_nothing=False)
    with _errors(target):
        repository = _repository(target, new=False)
        if given:
            return repository.readonly_session(**given)
        return repository.readonly_session(branch, as_of=as_of)


def versions(path: str | Path, *, branch: str = "main") -> list[Version]:
    """List the versions of a store on this machine, the oldest first.

    Parameters
    ----------
    path
        Folder of the versioned store.
    branch
        Branch of the versions.

    Raises
    ------
    StoreError
        There is no versioned store, or no such branch.

    Examples
    --------
    See :func:`version`.
    """
    target = Path(path).expanduser().resolve()
    _require_repository(target, or_nothing=False)
    with _errors(target):
        line = list(_repository(target, new=False).ancestry(branch=branch))
    return [
        Version(v.id, v.written_at, v.message) for v in reversed(line) if v.message != FIRST
    ]


def commit(session: Any, message: str | None) -> None:
    """Commit a session, if there is a message."""
    if message is not None:
        session.commit(message)


def _repository(target: Path, *, new: bool) -> Any:
    import icechunk

    icechunk.set_logs_filter("error")  # it warns of parallel commits, which our lock prevents
    storage = icechunk.local_filesystem_storage(str(target))
    kind = icechunk.Repository
    return kind.open_or_create(storage) if new else kind.open(storage)


def is_versioned(target: Path) -> bool:
    """Whether a folder is a store with commits."""
    return (target / "refs").is_dir() and not (target / "zarr.json").exists()


def _require_repository(target: Path, *, or_nothing: bool) -> None:
    exists = target.is_dir() and any(target.iterdir())
    if exists and not is_versioned(target):
        raise StoreError(
            f"{target.name!r} is there and is no versioned store: choose another name"
        )
    if not exists and not or_nothing:
        raise StoreError(f"there is no versioned store {target.name!r}: is the path right?")


@contextmanager
def _errors(target: Path) -> Iterator[None]:
    """Shorten icechunk's errors, which are pages long, to one sentence."""
    import icechunk

    try:
        yield
    except icechunk.IcechunkError as error:
        first = str(error).strip().splitlines()[0].strip(" x×|-")
        raise StoreError(f"{target.name!r}: {first}; fx.versions lists the versions") from None
