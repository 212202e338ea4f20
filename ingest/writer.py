"""The recording being filled: preallocated whole, shard by shard, each marked in the ledger.

A store is built to the side and appears by one rename, whole in its metadata, empty, and marked
``writing``, so that nothing opens it as finished. A shard is one write: zarr puts every file in
its place by a rename, the files are synced, and then the ledger gets its line. Killed anywhere
in between, the shard is simply not there for the next run. When all are there, the mark goes.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from fhemb_xr import schema
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, files, provenance
from ingest.frames import Block, Cell, Run
from ingest.layouts import Subject
from ingest.ledger import Entry, Ledger
from ingest.planning import Plan
from ingest.source import Session


@dataclass(frozen=True)
class Options:
    """How the store is made."""

    title: str | None = None
    threshold: float = 25.0
    float32: bool = False
    shard_frames: int | None = None


@dataclass(frozen=True)
class Task:
    """One shard to be read and written; frames are ``[start, stop)``."""

    session: str
    subject: Subject
    start: int
    stop: int


class Target:
    """A store and its ledger, opened for writing; hold the lock while it lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger.read(path)
        self.group = zarr.open_group(path, mode="r+")
        self._arrays: dict[str, Any] = {n: self.group[n] for n in schema.VARIABLES}
        head = self.ledger.header
        self.sessions = tuple(Session(**s) for s in head["sessions"])
        self.subjects: tuple[Subject, ...] = tuple(head["subjects"])
        self.grid: tuple[int, int] = tuple(head["grid"])
        self.start: int = min(s.start for s in self.sessions)
        self.shard_frames: int = head["shard_frames"]
        self._check_alignment()

    @property
    def complete(self) -> bool:
        """Whether the store is finished and opens as a recording."""
        return bool(self.group.attrs.get(encoding.STATUS) == encoding.COMPLETE)

    def tasks(self) -> list[Task]:
        """All shards; people change fastest, so that neighbouring rows are read together."""
        spans = [(s, a, b) for s in self.sessions for a, b in self._spans(s)]
        return [Task(s.name, who, a, b) for s, a, b in spans for who in self.subjects]

    def missing(self) -> list[Task]:
        """Shards without a line in the ledger."""
        done = self.ledger.entries
        return [t for t in self.tasks() if (t.session, t.subject, t.start) not in done]

    def block(self, task: Task) -> Block:
        """An empty shard to fill."""
        heat = self._arrays[schema.HEATMAP]
        missing = heat.fill_value
        data = np.full((task.stop - task.start, *self.grid), missing, dtype=heat.dtype)
        ends = {s.name: s.stop for s in self.sessions}
        until = min(task.stop, ends[task.session])
        return Block(task.session, task.subject, task.start, data, until)

    def place(self, block: Block, run: Run, cell: Cell) -> None:
        """Put a run into a block in the store's own encoding."""
        block.place(run, cell, self._pack, encoding.LIMITS)

    def write(self, block: Block) -> Entry:
        """One shard: write, sync, mark."""
        where = self._where(block)
        for name, data in _variables(block).items():
            array = self._arrays[name]
            file = self._file(array, where)
            if name != schema.HEATMAP or block.counts.faces or file.exists():
                array[where] = data
            _sync(file, self.path / name)
        entry = Entry(
            session=block.session,
            subject=block.subject,
            start=block.start,
            stop=block.stop,
            crc32=checksum(block),
            empty=not block.counts.faces,
            counts=block.counts,
        )
        self.ledger.append(entry)
        return entry

    def stored(self, task: Task) -> Block:
        """What the store has of a shard, in its own encoding."""
        block = self.block(task)
        where = self._where(block)
        block.heat[:] = self._arrays[schema.HEATMAP][where]
        block.height[:] = self._arrays[schema.HEIGHT][where]
        block.width[:] = self._arrays[schema.WIDTH][where]
        block.position[:] = self._arrays[schema.POSITION][where]
        return block

    def finish(self) -> None:
        """Mark the store as complete; refused while a shard is missing.

        Raises
        ------
        StoreError
            If a shard is missing.
        """
        left = self.missing()
        if left:
            raise StoreError(
                f"{len(left)} shards of {str(self.path)!r} are missing: run it again"
            )
        self.ledger.rewrite()
        counts = encoding.count_files(self.path)
        self.group.attrs.update({encoding.STATUS: encoding.COMPLETE, encoding.FILES: counts})
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
        """Two threads in one chunk would lose what the first wrote, without a word."""
        for name, array in self._arrays.items():
            if name == schema.N_TIME:
                continue
            unit = array.shards or array.chunks
            if tuple(unit[:3]) != (1, 1, self.shard_frames):
                raise StoreError(
                    f"{name!r} is written in pieces of {unit[:3]}, the ledger says "
                    f"{(1, 1, self.shard_frames)}: the store is not one of this version"
                )


def create(path: Path, plan: Plan, options: Options) -> None:
    """Make the empty store to the side and let it appear by one rename.

    Raises
    ------
    StoreError
        If the disk has too little room for it.
    """
    # by measurement a packed pixel takes 7 bits, an unpacked one 18
    files.require_room(path, int(plan.n_faces * plan.pixels * (2.5 if options.float32 else 1)))
    with files.staging(path) as folder:
        aside = folder / path.name
        group = encoding.create_recording(
            aside,
            subjects=list(plan.subjects),
            sessions=[s.name for s in plan.sessions],
            n_frames=plan.n_frames,
            shape=plan.grid,
            sampling_rate=plan.rate_hz,
            title=options.title or plan.source,
            threshold=options.threshold,
            float32=options.float32,
            shard_frames=options.shard_frames,
        )
        _set_axes(group, plan)
        made = provenance.stamp(xr.Dataset(), f"ingest of {plan.source}").attrs
        group.attrs.update({n: made[n] for n in (provenance.UUID, schema.HISTORY)})
        heat: Any = group[schema.HEATMAP]
        Ledger.create(aside, header(plan, options, (heat.shards or heat.chunks)[2]))
        files.sync_tree(aside)
        files.publish(aside, path)


def sweep(path: Path) -> None:
    """Remove what a killed run left; call it under the lock only."""
    files.sweep(path)
    if path.is_dir():
        for left in path.rglob("*.partial"):
            left.unlink(missing_ok=True)


def header(plan: Plan, options: Options, shard_frames: int) -> dict[str, Any]:
    """What a store is of: the first line of its ledger."""
    return {
        "fhemb_ledger": "1.0",
        "source": plan.source,
        "layout": plan.layout,
        "cell": plan.cell,
        "sessions": [vars(s) for s in plan.sessions],
        "subjects": list(plan.subjects),
        "grid": list(plan.grid),
        "float32": options.float32,
        "rate_hz": plan.rate_hz,
        "shard_frames": int(shard_frames),
        "asked_frames": plan.asked_frames and list(plan.asked_frames),
    }


def checksum(block: Block) -> str:
    """CRC-32 of a shard as it is stored, in hexadecimal; the same from any machine."""
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


def _set_axes(group: Any, plan: Plan) -> None:
    frame = np.arange(plan.start, plan.stop, dtype=np.int64)
    group[schema.FRAME][:] = frame
    group[schema.TIME][:] = frame / plan.rate_hz
    n_time = [s.stop - plan.start for s in plan.sessions]
    group[schema.N_TIME][:] = np.broadcast_to(n_time, (len(plan.subjects), len(n_time)))


def _sync(file: Path, root: Path) -> None:
    """A file and the names that lead to it, down to ``root``; an absent one has no data."""
    if not file.exists():
        return
    file.chmod(0o600)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    folder = file.parent
    while folder != root.parent:
        folder.chmod(0o700)
        files.sync_folder(folder)
        folder = folder.parent
