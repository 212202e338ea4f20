"""Locks that keep a second writer away from a store."""

import errno
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import systems

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep every other writer away from a store; a lock ends with its process.

    Raises
    ------
    StoreError
        Another process, which the error names, is writing the store.
    """
    path = store.with_name(f".{store.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_name(store)
        fd = _acquire(path, store)
    except OSError as error:
        if (why := _PLACES.get(error.errno or 0)) is None or isinstance(error, StoreError):
            raise
        if error.errno == errno.ENOENT and not path.parent.exists():
            why = "its folder was removed meanwhile; save again, or save elsewhere"
        raise StoreError(f"{store.name[:40]!r} cannot be written: {why}") from None
    try:
        _warn_of_modes(fd, store)
        yield
    finally:
        systems.remove_locked(path, fd)


def _warn_of_modes(fd: int, store: Path) -> None:
    if systems.ignores_modes(fd):
        warnings.warn(
            f"{store.name!r} is on a disk that ignores modes (exFAT, NTFS, SMB): whoever "
            "reaches the disk can read it; mount the disk for yourself only (umask=077)",
            UserWarning,
            stacklevel=4,
        )


def _holder(fd: int) -> str:
    """The process named in a lock file; it may need a moment to write its name."""
    for _ in range(20):
        os.lseek(fd, 0, os.SEEK_SET)  # not pread, which Windows lacks
        if name := os.read(fd, 200).decode(errors="replace").strip():
            return name
        time.sleep(0.005)
    return "another process"


def _acquire(path: Path, store: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not try_lock(fd):
            holder = _holder(fd)
            os.close(fd)
            raise StoreError(
                f"{store.name!r} is being written by {holder}: wait for it, or stop it"
            )
        try:
            if path.stat().st_ino == os.fstat(fd).st_ino:
                break
        except FileNotFoundError:
            pass
        os.close(fd)  # the holder removed the file between our opening and our locking
    with suppress(OSError):  # the lock works without the name: the disk may be full
        os.write(fd, f"process {os.getpid()}".ljust(32).encode())
    return fd


_NAMES = "this disk has no such names; leave out '<>:\"|?*' and a dot at the end"
_PLACES = {
    errno.EROFS: "the disk is mounted read-only; save elsewhere, or mount it for writing",
    errno.EACCES: "its folder may not be written; change its mode or owner, or save elsewhere",
    errno.EPERM: "its folder may not be written; change its mode or owner, or save elsewhere",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    **dict.fromkeys((errno.EINVAL, errno.ENOENT), _NAMES),  # which of them, the disk decides
}
_LONGEST = len("..00000000.staging.00000000.staging")
"""Characters that stagings add to a name."""


def require_name(target: Path) -> None:
    """Refuse a name that leaves no room for the names of its stagings.

    Raises
    ------
    StoreError
        The name is too long; the error gives the length that fits.
    """
    try:
        longest = os.pathconf(target.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = 255
    length = len(os.fsencode(target.name))
    if length + _LONGEST > longest:
        raise StoreError(
            f"the name {target.name[:40] + '…'!r} has {length} bytes, this disk has room for "
            f"{longest - _LONGEST}: choose a shorter one"
        )
    if not systems.has_room_for_paths(target, _LONGEST):
        raise StoreError(
            f"the path of {target.name!r} has {len(str(target))} characters, and this Windows "
            "takes 259 with all that a store adds: choose a folder nearer to the root, or "
            "enable long paths (LongPathsEnabled)"
        )


def try_lock(fd: int) -> bool:
    """Try to lock an open file, until it is closed or this process ends; return success."""
    try:
        systems.lock(fd)
    except OSError as error:
        # a file system without locks (Lustre without -o flock): owners.py keeps writers apart
        return error.errno in _NO_LOCKS
    return True
