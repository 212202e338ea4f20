"""A complete store that its source has left behind: rows that came, or were changed.

A complete store is never written into: readers may have it open. Its successor is built beside
it, ``.NAME.next``, with the shards that stay as hard links to the same files (copies where the
file system has no links), so that it costs the shards that differ and no more. It is filled
like any other store, shard by shard under its own ledger; a killed run goes on in it. When it
is whole, the two folders change places in one step, and the old one goes.

The length of a recording is thus never changed under a reader: the successor has the longer
axis from the start. zarr replaces files and never writes into one, so a link is safe.

Changes are found without reading the frames: the ledger keeps a *version* of each shard, the
number of its rows and a sum over the transactions that wrote them (``xmin``), 0.3 us a row.
Restoring a dump, compressing a chunk or writing rows as they were changes versions too; such
shards are read, found equal by their checksum, and left.

Where nothing tells ``xmin``, the version is the number of rows only, and a corrected value is
not found: views, *long* tables, rights on some columns only, chunks that TimescaleDB has
compressed. A doubt in the plan and at every run says so; ``reread`` finds what was changed, for
the price of reading everything.

A shard of which the source has fewer faces than the store is left as it is and reported: rows
that a database drops for their age must not take the recording with them. ``reread`` takes such
shards over too.
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
from fhemb_xr.io.local import atomic_files, durable_files
from fhemb_xr.io.local.atomic_files import successor
from fhemb_xr.io.provenance import UUID, restamp
from ingest.planning import cut
from ingest.source import Found, Reader, Session
from ingest.store.writer import Target, Task


def sweep(path: Path) -> None:
    """Remove a successor that is none: of another store, or the old one after the exchange.

    What a killed run began in one that stays goes too.
    """
    aside = successor(path)
    if not aside.exists():
        return
    ours = (path / "zarr.json").is_file() and (aside / "zarr.json").is_file()
    if not (ours and _attributes(aside).get("fhemb_succeeds") == _attributes(path).get(UUID)):
        shutil.rmtree(aside)
    atomic_files.sweep_pieces(aside)


def suspects(target: Target, reader: Reader, *, reread: bool = False) -> list[Task]:
    """Shards in the ledger whose rows were changed since, or all of them."""
    entries, ends = target.ledger.entries, {s.name: s.stop for s in target.sessions}
    if reread and not target.ledger.header.get("reread"):  # else a killed run has begun it
        return [t for t in target.tasks() if t.key in entries]
    found = []
    for task in target.tasks():
        entry = entries.get(task.key)
        until = min(task.stop, ends[task.session])
        if entry is not None and _differs(entry.version, reader, task, until):
            found.append(task)
    return found


def forget(target: Target, tasks: Sequence[Task], *, reread: bool) -> None:
    """Have shards read again, remembering whether that was all of them."""
    header = target.ledger.header
    target.forget(tasks, header | {"reread": True} if reread else header)


def _differs(version: str, reader: Reader, task: Task, until: int) -> bool:
    now = reader.version(task.session, task.subject, task.start, until) if version else ""
    return bool(now) and now != version


def require_same_origin(target: Target, found: Found) -> None:
    """Refuse a source whose frame 0 is of another time than the store's.

    Raises
    ------
    StoreError
        If it is: every frame would have another place.
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
    """The sessions of a store as its source has them now; never shorter than they were.

    Raises
    ------
    StoreError
        If frames came before the store's first.
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
    """The successor that a killed run has begun."""
    return Target(successor(path), base=path)


def begin(path: Path, sessions: Sequence[Session]) -> Target:
    """The successor of a complete store, made or gone on with, as long as ``sessions``.

    Parameters
    ----------
    path
        The complete store.
    sessions
        As :func:`grown` returned them.

    Returns
    -------
    The successor, to be filled; what it lacks is :meth:`Target.missing`.
    """
    aside = successor(path)
    if not aside.exists():
        with atomic_files.staging(path) as folder:
            _link(path, folder / path.name)
            durable_files.sync_tree(folder / path.name)
            (folder / path.name).rename(aside)
    _lengthen(aside, sessions)
    target = opened(path)
    target.ledger.mend()
    target.adopt(sessions)
    return target


def end(path: Path, target: Target, what: str) -> None:
    """Let a filled successor take the place of its store."""
    restamp(target.group, what)
    del target.group.attrs["fhemb_succeeds"]
    header = {k: v for k, v in target.ledger.header.items() if k not in ("reread", DAMAGED)}
    target.forget((), header)
    target.finish()
    aside = successor(path)
    atomic_files.publish(aside, path)
    shutil.rmtree(aside, ignore_errors=True)


def _link(store: Path, aside: Path) -> None:
    """The same store again: files of data are shared, those that are changed are copied."""
    for path in sorted(store.rglob("*")):
        there = aside / path.relative_to(store)
        if path.is_dir():
            there.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            changes = path.suffix in (".json", ".jsonl")
            (shutil.copy2 if changes else durable_files.link)(path, there)
    group = zarr.open_group(aside, mode="r+")
    succeeds = group.attrs.get(UUID)
    group.attrs.update({encoding.STATUS: encoding.WRITING, "fhemb_succeeds": succeeds})


def _lengthen(aside: Path, sessions: Sequence[Session]) -> None:
    """Arrays as long as the sessions; nothing where they are already."""
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
