"""Folders that appear whole: staged beside their place and renamed or exchanged."""

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import owners, systems


def local_path(store: Any) -> Path | None:
    """Folder of a store on this machine, links resolved; None for any other kind of store."""
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
    """Refuse a place that is taken.

    Raises
    ------
    StoreError
        The place holds a store and ``replace`` is False, or it holds something that is not a
        store.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not any((target / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise StoreError(
            f"{target.name!r} is there and is not a Zarr store: choose another name"
        )
    if not replace:
        raise StoreError(f"{target.name!r} is there already: mode='w' replaces it")


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Make a private folder beside ``target``; remove it at the end unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _beside(target)
    aside.mkdir(mode=0o700)
    try:
        with owners.owning(aside):
            yield aside
    except (Exception, KeyboardInterrupt):
        # when one thread fails, others still write and create the folder again
        for pause_s in (0.02, 0.1, 0.4):
            shutil.rmtree(aside, ignore_errors=True)
            time.sleep(pause_s)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.staging")


def _moved(path: Path, target: Path) -> Path:
    """Give a folder the name of a staging of ``target``; return the new path."""
    new = _beside(target)
    systems.rename(path, new)
    return new


def kept_staging(target: Path, token: str) -> Path:
    """Make a private folder beside ``target`` that stays until it is published."""
    aside = target.with_name(f".{target.name}.{token}.resume")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside.mkdir(mode=0o700, exist_ok=True)
    return aside


def sweep(target: Path, keep: str | None = None) -> None:
    """Repair and remove the leftovers of killed writers beside ``target``.

    The caller must hold the lock of ``target``.

    Parameters
    ----------
    target
        Folder of the store.
    keep
        Token of the resumable staging that stays.

    Raises
    ------
    StoreError
        A writer on this machine or another one may still be alive.
    """
    leftovers = leavings(target)
    for path in leftovers:
        owners.require_dead(path, target.name)
    leftovers = [p for p in leftovers if p.name != f".{target.name}.{keep}.resume"]
    for old in (p for p in leftovers if p.suffix == ".old" and not target.exists()):
        systems.rename(old, target)
    for path in (p for p in leftovers if p.exists()):
        if path.suffix == ".resume":  # a half-removed staging must not be resumed
            path = _moved(path, target)
        shutil.rmtree(path, ignore_errors=True)
    for path in _strays(target):
        path.unlink(missing_ok=True)


def _strays(target: Path) -> list[Path]:
    """Owner files of dead writers whose stagings are gone."""
    if not target.parent.is_dir():
        return []
    start = f"{target.name}."
    owner_files = (p for p in target.parent.iterdir() if p.name.endswith(owners.ENDING))
    return [p for p in owner_files if p.name.lstrip(".").startswith(start) and not p.is_dir()
            and not p.with_name(p.name.removesuffix(owners.ENDING)).exists()]  # fmt: skip


def sweep_pieces(store: Path) -> None:
    """Remove unfinished files of killed writers inside a store; zarr warns of them."""
    for piece in store.rglob("*.partial"):
        piece.unlink(missing_ok=True)


def successor(target: Path) -> Path:
    """Folder where an ingest builds the successor of a complete store."""
    return target.with_name(f".{target.name}.next")


def leavings(target: Path) -> list[Path]:
    """Leftovers of killed writers of this store, and of no other, beside it."""
    # a resumable staging is first made in a staging of its own
    ending = r"\.[0-9a-f]{8}\.(staging|old|resume)(\.[0-9a-f]{8}\.staging)?"
    ours = re.compile(rf"\.?\.{re.escape(target.name)}{ending}")
    if not target.parent.is_dir():
        return []
    return sorted(p for p in target.parent.iterdir() if ours.fullmatch(p.name))


def publish(aside: Path, target: Path) -> None:
    """Put a finished folder in its place by one rename, or by exchange with the old folder.

    A reader sees the old folder or the whole new one. After an exchange ``aside`` holds the
    old folder, which is removed with the staging. A resumable staging is removed at once,
    because a later run would resume it.
    """
    if not target.exists():
        systems.rename(aside, target)
        systems.sync_folder(target.parent)
        return
    old = _moved(aside, target) if aside.suffix == ".resume" else aside
    try:
        _exchange(old, target)
    except OSError:
        if old != aside:
            systems.rename(old, aside)  # it can be resumed
        raise
    systems.sync_folder(target.parent)
    if old != aside:
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> None:
    if systems.exchanged(a, b):
        return
    # This system or file system cannot exchange. For a moment there is no store; if the
    # process dies then, `sweep` puts the old one back.
    old = b.with_name(f".{b.name}.{uuid.uuid4().hex[:8]}.old")
    systems.rename(b, old)
    try:
        systems.rename(a, b)
    except OSError:
        systems.rename(old, b)
        raise
    try:
        systems.rename(old, a)
    except OSError:  # the new folder is in its place: `sweep` removes what is left of the old
        shutil.rmtree(old, ignore_errors=True)


def require_room(target: Path, n_bytes: int) -> None:
    """Refuse a result that would fill the disk.

    Raises
    ------
    StoreError
        The disk has too little room; the error gives the bytes needed and the bytes free.
    """
    from fhemb_xr.budget import human

    folder = next(p for p in (target.parent, *target.parent.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if n_bytes > 0.9 * free:
        raise StoreError(
            f"{target.name!r} needs up to {human(n_bytes)} and {human(free)} are free: make "
            "room, choose another disk, or save less"
        )
