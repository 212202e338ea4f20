"""Files that outlast a power loss, readable by their owner only."""

import os
import shutil
from pathlib import Path
from typing import IO, Any

from fhemb_xr.io.local import systems


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, sync it, and rename it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        systems.sync(file.fileno())
    aside.chmod(0o600)
    systems.replace(aside, path)
    systems.sync_folder(path.parent)


def sync_tree(root: Path) -> None:
    """Sync everything under ``root`` to the disk, and make it private to its owner."""
    for path in sorted(root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if path.is_dir():
            systems.sync_folder(path)
        else:
            systems.sync_file(path)
    systems.sync_folder(root)


def open_new(path: Path, mode: str = "w") -> IO[Any]:
    """Create a file that only its owner can read; an existing file is an error."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), mode)


def link(path: Path, new: Path) -> None:
    """Give a file a second name; copy it if the file system has no links."""
    try:
        os.link(path, new)
    except OSError:
        shutil.copy2(path, new)
