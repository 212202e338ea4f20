"""Files that last: synced, renamed whole, locked, readable by their owner only."""

import ctypes
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fhemb_xr.errors import StoreError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync_folder(path: Path) -> None:
    """Make the names in a folder last through a power loss."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(root: Path) -> None:
    """Everything under ``root`` to the disk, and out of the sight of other users."""
    for path in sorted(root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(root)


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A private folder beside ``target``, gone at the end unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.staging")
    aside.mkdir(mode=0o700)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sweep(target: Path) -> None:
    """Remove what killed writers left beside ``target``; call it under the lock only."""
    for left in target.parent.glob(f".{target.name}.*.staging"):
        shutil.rmtree(left, ignore_errors=True)


def publish(aside: Path, target: Path) -> None:
    """Put a finished folder in its place by one rename, or by exchange with the old one.

    A reader sees the old folder or the whole new one. After an exchange ``aside`` holds the
    old one, which goes with the staging.
    """
    if target.exists():
        _exchange(aside, target)
    else:
        aside.rename(target)
    sync_folder(target.parent)


def _exchange(a: Path, b: Path) -> None:
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        names = os.fsencode(a), os.fsencode(b)
        if not rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
            return
    # no exchange on this system or file system: two renames, the old one kept in between
    old = a.with_name(f".{b.name}.{uuid.uuid4().hex[:8]}.old.staging")
    b.rename(old)
    a.rename(b)
    old.rename(a)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep every other writer away from a store; a dead one holds nothing.

    Raises
    ------
    StoreError
        If another process writes it, naming that process.
    """
    path = store.with_name(f".{store.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = _acquire(path, store)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while still held: the next writer makes its own
        os.close(fd)


def _acquire(path: Path, store: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(fd):
            holder = os.read(fd, 200).decode(errors="replace").strip() or "another process"
            os.close(fd)
            raise StoreError(
                f"{store.name!r} is being written by {holder}: wait for it, or stop it"
            )
        try:
            if path.stat().st_ino == os.fstat(fd).st_ino:
                break
        except FileNotFoundError:
            pass
        os.close(fd)  # its holder removed the file between our opening and locking
    os.ftruncate(fd, 0)
    os.write(fd, f"process {os.getpid()}".encode())
    return fd


def _try_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def require_room(target: Path, n_bytes: int) -> None:
    """Refuse what would fill the disk.

    Raises
    ------
    StoreError
        With the bytes needed and the bytes free.
    """
    from fhemb_xr.budget import human

    there = next(p for p in (target.parent, *target.parent.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if n_bytes > 0.9 * free:
        raise StoreError(
            f"{target.name!r} needs up to {human(n_bytes)} and {human(free)} are free: make "
            "room, choose another disk, or save less"
        )
