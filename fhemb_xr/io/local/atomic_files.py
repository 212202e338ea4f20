"""Files that last: synced, renamed whole, locked, readable by their owner only."""

import ctypes
import errno
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import owners

_AT_FDCWD = -100
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def local_path(store: Any) -> Path | None:
    """Folder of a store on this machine, links followed; None for a store of any other kind."""
    if isinstance(store, str) and store.startswith("file://"):
        store = url2pathname(urlsplit(store).path)
    if not isinstance(store, str | Path):
        from zarr.storage import LocalStore

        if not isinstance(store, LocalStore):
            return None
        store = store.root
    if "://" in str(store) or "::" in str(store):
        return None
    return Path(store).expanduser().resolve()


def require_place(target: Path, *, replace: bool) -> None:
    """Refuse to touch what is there, or what is not a store.

    Raises
    ------
    StoreError
        A store is there and is not to be replaced; or there is something else, never replaced.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not any((target / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise StoreError(
            f"{target.name!r} is there and is not a Zarr store: choose another name"
        )
    if not replace:
        raise StoreError(f"{target.name!r} is there already: mode='w' replaces it")


def sync_folder(path: Path) -> None:
    """Make the names in a folder last through a power loss."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync(fd: int) -> None:
    """An open file to the disk; on macOS out of the disk's own memory too."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # file systems of other systems do not know it
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file to the side, to the disk, and put it in its place by one rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())
    aside.chmod(0o600)
    aside.replace(path)
    sync_folder(path.parent)


def sync_tree(root: Path) -> None:
    """Everything under ``root`` to the disk, and out of the sight of other users."""
    for path in sorted(root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if path.is_dir():
            sync_folder(path)
        else:
            # Windows syncs only what is open for writing
            with path.open("r+b" if sys.platform == "win32" else "rb") as file:
                sync(file.fileno())
    sync_folder(root)


def open_new(path: Path, mode: str = "w") -> IO[Any]:
    """A file that its owner alone may read, to be written; one that is there is an error."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), mode)


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A private folder beside ``target``, gone at the end unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _beside(target)
    aside.mkdir(mode=0o700)
    try:
        with owners.owning(aside):
            yield aside
    except (Exception, KeyboardInterrupt):
        # threads that were writing when one of them failed make the folder again
        for pause_s in (0.02, 0.1, 0.4):
            shutil.rmtree(aside, ignore_errors=True)
            time.sleep(pause_s)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.staging")


def kept_staging(target: Path, token: str) -> Path:
    """A private folder beside ``target`` that stays until it is published."""
    aside = target.with_name(f".{target.name}.{token}.resume")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside.mkdir(mode=0o700, exist_ok=True)
    return aside


def sweep(target: Path, keep: str | None = None) -> None:
    """Mend and remove what killed writers left beside ``target``; only under its lock.

    ``keep``: the token of what is to be gone on with.

    Raises
    ------
    StoreError
        A writer on this machine or another one may still live.
    """
    left = leavings(target)
    for path in left:
        owners.require_dead(path, target.name)
    left = [p for p in left if p.name != f".{target.name}.{keep}.resume"]
    for old in (p for p in left if p.suffix == ".old" and not target.exists()):
        old.rename(target)
    for path in (p for p in left if p.exists()):
        if path.suffix == ".resume":  # nobody goes on with what is half removed
            path = path.rename(_beside(target))
        shutil.rmtree(path, ignore_errors=True)
    for path in _strays(target):
        path.unlink(missing_ok=True)


def _strays(target: Path) -> list[Path]:
    """Names of dead writers whose stagings are gone."""
    if not target.parent.is_dir():
        return []
    begin = f".{target.name}."
    found = (p for p in target.parent.iterdir() if p.name.endswith(owners.ENDING))
    return [p for p in found if p.name.lstrip(".").startswith(begin[1:]) and not p.is_dir()
            and not p.with_name(p.name.removesuffix(owners.ENDING)).exists()]  # fmt: skip


def sweep_pieces(store: Path) -> None:
    """Remove what killed writers began inside a store; zarr takes it for a foreign object."""
    for left in store.rglob("*.partial"):
        left.unlink(missing_ok=True)


def successor(target: Path) -> Path:
    """Where an ingest builds what will take the place of a complete store."""
    return target.with_name(f".{target.name}.next")


def link(path: Path, there: Path) -> None:
    """Another name for a file, or a copy where the file system has no links."""
    try:
        os.link(path, there)
    except OSError:
        shutil.copy2(path, there)


def leavings(target: Path) -> list[Path]:
    """What killed writers of this store, and of no other, left beside it."""
    # what is to be gone on with is begun in a staging of its own
    ending = r"\.[0-9a-f]{8}\.(staging|old|resume)(\.[0-9a-f]{8}\.staging)?"
    ours = re.compile(rf"\.?\.{re.escape(target.name)}{ending}")
    if not target.parent.is_dir():
        return []
    return sorted(p for p in target.parent.iterdir() if ours.fullmatch(p.name))


def publish(aside: Path, target: Path) -> None:
    """Put a finished folder in its place by one rename, or by exchange with the old one.

    A reader sees the old folder or the whole new one. After an exchange ``aside`` holds the
    old one, which goes with the staging; it is removed at once where a later run would go on
    with it.
    """
    if not target.exists():
        aside.rename(target)
        sync_folder(target.parent)
        return
    old = aside.rename(_beside(target)) if aside.suffix == ".resume" else aside
    try:
        _exchange(old, target)
    except OSError:
        old.rename(aside)  # to be gone on with
        raise
    sync_folder(target.parent)
    if old != aside:
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> None:
    if _swapped(os.fsencode(a), os.fsencode(b)):
        return
    # no exchange on this system or file system: for a moment nothing is there, and whoever
    # dies in it leaves the old one for `sweep` to put back
    old = b.with_name(f".{b.name}.{uuid.uuid4().hex[:8]}.old")
    b.rename(old)
    try:
        a.rename(b)
    except OSError:
        old.rename(b)
        raise
    old.rename(a)


def _swapped(a: bytes, b: bytes) -> bool:
    if sys.platform == "win32":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    if (linux := getattr(system, "renameat2", None)) is not None:
        return not linux(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE)
    if (darwin := getattr(system, "renamex_np", None)) is not None:
        return not darwin(a, b, _EXCHANGE)
    return False


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep every other writer away from a store; a dead one holds nothing.

    Raises
    ------
    StoreError
        If another process writes it, naming that process.
    """
    path = store.with_name(f".{store.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_name(store)
        fd = _acquire(path, store)
    except OSError as error:
        if (why := _PLACES.get(error.errno or 0)) is None or isinstance(error, StoreError):
            raise
        raise StoreError(f"{store.name[:40]!r} cannot be written: {why}") from None
    try:
        yield
    finally:
        _let_go(path, fd)


def _let_go(path: Path, fd: int) -> None:
    """Remove a lock while it is held: the next writer makes its own."""
    if sys.platform == "win32":  # an open file cannot be removed there
        os.close(fd)
        with suppress(OSError):  # the next writer has it open
            path.unlink(missing_ok=True)
        return
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    """Who wrote the name into a lock; it may be about to."""
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
        os.close(fd)  # its holder removed the file between our opening and locking
    with suppress(OSError):  # the name of the holder is a courtesy: the disk may be full
        os.write(fd, f"process {os.getpid()}".ljust(32).encode())
    return fd


_PLACES = {
    errno.EROFS: "the disk is mounted read-only; save elsewhere, or mount it for writing",
    errno.EACCES: "its folder may not be written; change its mode or owner, or save elsewhere",
    errno.EPERM: "its folder may not be written; change its mode or owner, or save elsewhere",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
_LONGEST = len("..00000000.staging.00000000.staging")
"""Characters that stagings add to a name."""


def require_name(target: Path) -> None:
    """Refuse a name that leaves no room for the names of its stagings.

    Raises
    ------
    StoreError
        With the length that fits.
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


def try_lock(fd: int) -> bool:
    """Whether an open file is ours now, until it is closed or we end."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # a file system without locks (Lustre without -o flock): owners.py keeps writers apart
        return sys.platform != "win32" and error.errno in _NO_LOCKS
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
