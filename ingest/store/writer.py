"""Writing a recording shard by shard; the ledger marks each finished shard.

An empty store with all its metadata is built beside its place and renamed. It is marked
``writing``, so that nothing opens it as finished. A shard is one write: zarr renames every file
to its place, the files are synced, and then the ledger gets a line. If the process is killed in
between, the next run finds no line and writes the shard again. When all shards are written, the
mark is removed.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.local import atomic_files, durable_files, systems
from fhemb_xr.io.packed import differences
from ingest.shards import Block, Cell, Run, Subject
from ingest.source import Session
from ingest.store.ledger import Entry, Key, Ledger


@dataclass(frozen=True)
class Task:
    """One shard to read and write; its frames are ``[start, stop)``."""

    session: str
    subject: Subject = field(repr=False)  # personal: in no log
    start: int
    stop: int

    @property
    def key(self) -> Key:
        """Key of the shard in the ledger."""
        return self.session, self.subject, self.start


class Target:
    """A store and its ledger, opened for writing; the caller must hold the lock.

    Parameters
    ----------
    path
        Folder of the store.
    base
        Folder of the store that this one will replace, and with which it shares files.
    """

    def __init__(self, path: Path, base: Path | None = None) -> None:
        self.path, self.base = path, base
        self.ledger = Ledger.read(path)
        self.group = zarr.open_group(path, mode="r+")
        self._arrays: dict[str, Any] = {n: self.group[n] for n in schema.VARIABLES}
        head = self.ledger.header
        self.sessions = tuple(Session(**s) for s in head["sessions"])
        self.subjects: tuple[Subject, ...] = tuple(head["subjects"])
        self.grid: tuple[int, int] = tuple(head["grid"])
        self.start: int = min(s.start for s in self.sessions)
        self.shard_frames: int = head["shard_frames"]
        self.former = Ledger.read(base).entries if base else {}
        self._check_alignment()

    @property
    def complete(self) -> bool:
        """Whether the store is finished and opens as a recording."""
        return bool(self.group.attrs.get(encoding.STATUS) == encoding.COMPLETE)

    def tasks(self) -> list[Task]:
        """All shards; people vary fastest, so that neighbouring rows are read together."""
        spans = [(s, a, b) for s in self.sessions for a, b in self._spans(s)]
        return [Task(s.name, who, a, b) for s, a, b in spans for who in self.subjects]

    def missing(self) -> list[Task]:
        """Shards without a line in the ledger, or with a line of another length."""
        done = self.ledger.entries
        return [t for t in self.tasks() if (e := done.get(t.key)) is None or e.stop != t.stop]

    def forget(self, tasks: Iterable[Task], header: Mapping[str, Any]) -> None:
        """Mark shards as missing; their ledger entries stay in :attr:`former`."""
        keys = [t.key for t in tasks if t.key in self.ledger.entries]
        self.former |= {key: self.ledger.entries[key] for key in keys}
        if keys or header != self.ledger.header:
            self.ledger.revise(header, keys)

    def block(self, task: Task) -> Block:
        """An empty shard to fill."""
        heat = self._arrays[schema.HEATMAP]
        missing = heat.fill_value
        data = np.full((task.stop - task.start, *self.grid), missing, dtype=heat.dtype)
        ends = {s.name: s.stop for s in self.sessions}
        until = min(task.stop, ends[task.session])
        resized = bool(self.ledger.header.get("resized"))
        return Block(task.session, task.subject, task.start, data, until, resized)

    def place(self, block: Block, run: Run, cell: Cell) -> None:
        """Put a run into a block in the store's own encoding."""
        block.place(run, cell, self._pack, encoding.LIMITS)

    def write(self, block: Block) -> bool:
        """Write, sync and mark a shard; return False if the store already has the same bits."""
        entry = _entry(block)
        former = self.former.get(entry.key)
        same = former is not None and replace(former, version=entry.version) == entry
        if same:
            self._restore(block)
        else:
            self._store(block)
        self.ledger.append(entry)
        return not same

    def renew(self, block: Block) -> bool:
        """Note the new version of a shard whose bits are the same; return False if not so."""
        entry = _entry(block)
        held = self.ledger.entries.get(entry.key)
        if held is None or replace(held, version=entry.version) != entry:
            return False
        self.ledger.append(entry)
        return True

    def adopt(self, sessions: Sequence[Session]) -> None:
        """Take longer sessions; the shards at their old ends become missing."""
        before = {s.name: s for s in self.sessions}
        grown = {s.name for s in sessions if before[s.name].stop != s.stop}
        self.sessions = tuple(sessions)
        ended = [
            key
            for key, e in self.ledger.entries.items()
            if e.session in grown and e.start + self.shard_frames > before[e.session].stop
        ]
        header = self.ledger.header | {"sessions": [vars(s) for s in sessions]}
        if header != self.ledger.header:
            self.ledger.revise(header, ended)

    def keep(self, block: Block) -> None:
        """Keep a shard as it was before it was read again."""
        self._restore(block)
        self.ledger.append(self.former[block.session, block.subject, block.start])

    def _restore(self, block: Block) -> None:
        """Restore the files of the base store, if a killed run replaced them."""
        if self.base is None:
            return
        for array in (self._arrays[name] for name in _variables(block)):
            file = self._file(array, self._where(block))
            original = self.base / file.relative_to(self.path)
            if original.exists() and not (file.exists() and file.samefile(original)):
                durable_files.replace_file(file, original.read_bytes())
            elif file.exists() and not original.exists():
                file.unlink()

    def _store(self, block: Block) -> None:
        where = self._where(block)
        for name, data in _variables(block).items():
            array = self._arrays[name]
            file = self._file(array, where)
            file.unlink(missing_ok=True)  # it may be damaged, or a link in a successor
            if name != schema.HEATMAP or block.counts.faces:
                differences.write(array, where, data)
            _sync(file, self.path / name)

    def stored(self, task: Task) -> Block:
        """Read a shard from the store, in its own encoding."""
        block = self.block(task)
        where = self._where(block)
        block.heat[:] = self._arrays[schema.HEATMAP][where]
        block.height[:] = self._arrays[schema.HEIGHT][where]
        block.width[:] = self._arrays[schema.WIDTH][where]
        block.position[:] = self._arrays[schema.POSITION][where]
        return block

    def finish(self) -> None:
        """Mark the store as complete.

        Raises
        ------
        StoreError
            A shard is missing.
        """
        missing = self.missing()
        if missing:
            raise StoreError(
                f"{len(missing)} shards of {str(self.path)!r} are missing: run it again"
            )
        self.ledger.rewrite()
        self.group.attrs.update(manifest.seal(self.path, {encoding.STATUS: encoding.COMPLETE}))
        _sync(self.path / "zarr.json", self.path)

    def _pack(self, values: Any) -> Any:
        packed = self._arrays[schema.HEATMAP].dtype.kind == "i"
        return encoding.pack(values) if packed else values

    def _where(self, block: Block) -> tuple[int, int, slice]:
        session = [s.name for s in self.sessions].index(block.session)
        first = block.start - self.start
        span = slice(first, first + len(block.heat))
        return self.subjects.index(block.subject), session, span

    def _spans(self, session: Session) -> Iterator[tuple[int, int]]:
        step = self.shard_frames
        first = self.start + (session.start - self.start) // step * step
        for a in range(first, session.stop, step):
            yield a, min(a + step, self.start + self._n_frames)

    @property
    def _n_frames(self) -> int:
        return int(self._arrays[schema.HEATMAP].shape[2])

    def _file(self, array: Any, where: tuple[int, int, slice]) -> Path:
        subject, session, span = where
        at = (subject, session, span.start // self.shard_frames)
        key = array.metadata.encode_chunk_key((*at, *(0,) * (array.ndim - 3)))
        return self.path / str(array.basename) / str(key)

    def _check_alignment(self) -> None:
        """Refuse chunks that two shards share: two threads would overwrite each other."""
        for name, array in self._arrays.items():
            if name == schema.N_TIME:
                continue
            unit = array.shards or array.chunks
            if tuple(unit[:3]) != (1, 1, self.shard_frames):
                raise StoreError(
                    f"{name!r} is written in pieces of {unit[:3]}, the ledger says "
                    f"{(1, 1, self.shard_frames)}: the store is not one of this version"
                )


def _entry(block: Block) -> Entry:
    return Entry(
        session=block.session,
        subject=block.subject,
        start=block.start,
        stop=block.stop,
        crc32=checksum(block),
        empty=not block.counts.faces,
        counts=block.counts,
        version=block.version,
    )


def sweep(path: Path) -> None:
    """Remove leftovers of killed runs; the caller must hold the lock."""
    atomic_files.sweep(path)
    atomic_files.sweep_pieces(path)


def checksum(block: Block) -> str:
    """CRC-32 of a shard as it is stored, in hexadecimal; the same on every machine."""
    crc = 0
    for data in _variables(block).values():
        little = data.astype(data.dtype.newbyteorder("<"), copy=False)
        crc = zlib.crc32(np.ascontiguousarray(little).data, crc)
    return f"{crc:08x}"


def _variables(block: Block) -> dict[str, Any]:
    return {
        schema.HEATMAP: block.heat,
        schema.HEIGHT: block.height,
        schema.WIDTH: block.width,
        schema.POSITION: block.position,
    }


def _sync(file: Path, root: Path) -> None:
    """Sync a file and its folders up to ``root``; a shard without data has no file."""
    if not file.exists():
        return
    file.chmod(0o600)
    systems.sync_file(file)
    folder = file.parent
    while folder != root.parent:
        folder.chmod(0o700)
        systems.sync_folder(folder)
        folder = folder.parent
