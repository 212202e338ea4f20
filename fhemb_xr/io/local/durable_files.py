"""Files that outlast a power loss, readable by their owner only."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def sync_folder(path: Path) -> None:
    """Sync a folder, so that the names in it outlast a power loss."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync(fd: int) -> None:
    """Sync an open file to the disk; on macOS also out of the disk's cache."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # file systems of other operating systems lack it
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, sync it, and rename it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())
    aside.chmod(0o600)
    aside.replace(path)
    sync_folder(path.parent)


def sync_tree(root: Path) -> None:
    """Sync everything under ``root`` to the disk, and make it private to its owner."""
    for path in sorted(root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if path.is_dir():
            sync_folder(path)
        else:
            # Windows syncs only files that are open for writing
            with path.open("r+b" if sys.platform == "win32" else "rb") as file:
                sync(file.fileno())
    sync_folder(root)


def open_new(path: Path, mode: str = "w") -> IO[Any]:
    """Create a file that only its owner can read; an existing file is an error."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), mode)


def link(path: Path, new: Path) -> None:
    """Give a file a second name; copy it if the file system has no links."""
    try:
        os.link(path, new)
    except OSError:
        shutil.copy2(path, new)
