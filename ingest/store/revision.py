"""Updating a complete store when rows of its source were added or changed.

A complete store is never written into, because readers may have it open. Its successor
``.NAME.next`` is built beside it. Shards that do not change are hard links to the same files
(copies if the file system has no links), so the update costs only the shards that differ. The
successor is filled like any other store, shard by shard, with its own ledger. A killed run
continues in it. When it is complete, the two folders are exchanged in one step, and the old one
is removed.

The length of a recording therefore never changes under a reader: the successor has the longer
axis from the start. Links are safe, because zarr replaces files and never writes into one.

Changes are found without reading the frames. The ledger keeps a *version* of each shard: the
number of its rows and a sum over the transactions that wrote them (``xmin``). This costs 0.3 µs
per row. Restoring a dump, compressing a chunk or rewriting equal rows changes versions too.
Such shards are read, found equal by their checksum, and not written.

Some tables have no ``xmin``: views, *long* tables, tables with rights on some columns only,
chunks that TimescaleDB has compressed. Their version is the number of rows only, so a corrected
value is not found. A doubt in the plan and in every run says so. ``reread`` finds the changes,
at the cost of reading everything.

If the source has fewer faces of a shard than the store, the shard stays and is reported: a
database may drop old rows, and the recording must keep them. ``reread`` replaces such shards
too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import zarr

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding
from fhemb_xr.io.integrity.repair import DAMAGED
from fhemb_xr.io.local import atomic_files, durable_files, systems
from fhemb_xr.io.local.atomic_files import successor
from fhemb_xr.io.provenance import UUID, restamp
from ingest.planning import cut
from ingest.source import Found, Reader, Session
from ingest.store.writer import Target, Task


def sweep(path: Path) -> None:
    """Remove a folder ``.NAME.next`` that is not the successor of this store.

    It may belong to another store, or be the old store after the exchange. In a true successor
    only the pieces of killed runs are removed.
    """
    aside = successor(path)
    if not aside.exists():
        return
    ours = (path / "zarr.json").is_file() and (aside / "zarr.json").is_file()
    if not (ours and _attributes(aside).get("fhemb_succeeds") == _attributes(path).get(UUID)):
        shutil.rmtree(aside)
    atomic_files.sweep_pieces(aside)


def suspects(target: Target, reader: Reader, *, reread: bool = False) -> list[Task]:
    """Shards in the ledger whose rows have changed; with ``reread`` all shards."""
    entries, ends = target.ledger.entries, {s.name: s.stop for s in target.sessions}
    if reread and not target.ledger.header.get("reread"):  # no killed run has begun it
        return [t for t in target.tasks() if t.key in entries]
    differing = []
    for task in target.tasks():
        entry = entries.get(task.key)
        until = min(task.stop, ends[task.session])
        if entry is not None and _differs(entry.version, reader, task, until):
            differing.append(task)
    return differing


def forget(target: Target, tasks: Sequence[Task], *, reread: bool) -> None:
    """Mark shards as missing; ``reread`` notes in the ledger that these were all shards."""
    header = target.ledger.header
    target.forget(tasks, header | {"reread": True} if reread else header)


def _differs(version: str, reader: Reader, task: Task, until: int) -> bool:
    now = reader.version(task.session, task.subject, task.start, until) if version else ""
    return bool(now) and now != version


def require_same_origin(target: Target, found: Found) -> None:
    """Refuse a source whose frame 0 has another time than the store's.

    Raises
    ------
    StoreError
        The times differ, so every frame would get another place.
    """
    now = {s.name: s.origin for s in found.sessions}
    for session in target.sessions:
        origin = now.get(session.name, session.origin)
        if origin != session.origin:
            raise StoreError(
                f"{str(target.base or target.path)!r} counts the frames of session "
                f"{session.name!r} from {session.origin or 'frame 0'}, the source from "
                f"{origin or 'frame 0'}: make a new store"
            )


def grown(
    target: Target, found: Found, frames: tuple[int, int] | None = None
) -> tuple[Session, ...]:
    """The sessions of a store with the frames that the source has now; never shorter.

    Raises
    ------
    StoreError
        The source has frames before the first frame of the store.
    """
    asked = frames or target.ledger.header["asked_frames"]
    now = {s.name: s for s in cut(found, asked and (asked[0], asked[1]))}
    return tuple(_longer(target, s, now.get(s.name, s)) for s in target.sessions)


def _longer(target: Target, old: Session, new: Session) -> Session:
    name = str(target.base or target.path)
    if new.start < target.start:
        raise StoreError(
            f"{name!r} starts at frame {target.start}, the source now at {new.start}: frames "
            "can only be added at the end; make a new store"
        )
    return replace(new, start=min(old.start, new.start), stop=max(old.stop, new.stop))


def opened(path: Path) -> Target:
    """Open the successor that a killed run has begun."""
    return Target(successor(path), base=path)


def begin(path: Path, sessions: Sequence[Session]) -> Target:
    """Make the successor of a complete store, or open the one that a killed run has begun.

    Parameters
    ----------
    path
        Folder of the complete store.
    sessions
        Sessions of the successor, from :func:`grown`.

    Returns
    -------
    Target
        The successor; :meth:`Target.missing` lists the shards to fill.
    """
    aside = successor(path)
    if not aside.exists():
        with atomic_files.staging(path) as folder:
            _link(path, folder / path.name)
            durable_files.sync_tree(folder / path.name)
            systems.rename(folder / path.name, aside)
    _lengthen(aside, sessions)
    target = opened(path)
    target.ledger.mend()
    target.adopt(sessions)
    return target


def end(path: Path, target: Target, what: str) -> None:
    """Put a filled successor in the place of its store."""
    restamp(target.group, what)
    del target.group.attrs["fhemb_succeeds"]
    header = {k: v for k, v in target.ledger.header.items() if k not in ("reread", DAMAGED)}
    target.forget((), header)
    target.finish()
    aside = successor(path)
    atomic_files.publish(aside, path)
    shutil.rmtree(aside, ignore_errors=True)


def _link(store: Path, aside: Path) -> None:
    """Copy a store: link data files, copy metadata and the ledger, which will change."""
    for path in sorted(store.rglob("*")):
        copy = aside / path.relative_to(store)
        if path.is_dir():
            copy.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            changes = path.suffix in (".json", ".jsonl")
            (shutil.copy2 if changes else durable_files.link)(path, copy)
    group = zarr.open_group(aside, mode="r+")
    succeeds = group.attrs.get(UUID)
    group.attrs.update({encoding.STATUS: encoding.WRITING, "fhemb_succeeds": succeeds})


def _lengthen(aside: Path, sessions: Sequence[Session]) -> None:
    """Resize the arrays to the length of the sessions."""
    group = zarr.open_group(aside, mode="r+")
    n = max(s.stop for s in sessions) - min(s.start for s in sessions)
    rate = float(_attributes(aside)[schema.SAMPLING_RATE])
    arrays: list[Any] = [group[name] for name in (*schema.VARIABLES, schema.FRAME, schema.TIME)]
    for array in arrays:
        dims = array.metadata.dimension_names
        if schema.TIME in dims:
            size = dict(zip(dims, array.shape, strict=True)) | {schema.TIME: n}
            array.resize(tuple(size[d] for d in dims))
    encoding.set_axes(group, [(s.start, s.stop) for s in sessions], rate)


def _attributes(store: Path) -> dict[str, Any]:
    return dict(zarr.open_group(store, mode="r").attrs)
