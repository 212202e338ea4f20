"""Filling a store: read and write shards until the store equals one state of the source.

All readers of a pass share one snapshot. It protects against rows that others insert, update or
delete. It does not protect against changes of whole tables: a partition that is truncated,
rewritten or dropped becomes empty, also in an open snapshot.

1. A pass counts the rows of its shards when its snapshot begins. A shard that then yields fewer
   rows is not written and is read again.
2. After a pass, the versions of all shards are compared in a *new* snapshot. Shards that differ
   are read again. The other shards are the same in both snapshots, so the store never mixes two
   states. A shard that was rewritten without a change, as jobs of a database do often, is read
   in the new snapshot itself: it counts as equal only if its rows are equal there.
3. A shard that ends with fewer rows than at the start of the run is an error that names it.
"""

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fhemb_xr.errors import FhembError, SourceError, StoreError
from ingest.shards import Block, Subject
from ingest.source import ConnectionLost, Reader, SnapshotLost, in_threads
from ingest.store import revision
from ingest.store.ledger import Entry, Key
from ingest.store.work import SourceChangedError, Work, refuse
from ingest.store.writer import Target, Task

Faces = Mapping[str, Mapping[Subject, int]]
ATTEMPTS = 3
PASSES = 4
"""Largest number of passes over shards whose rows change while they are read."""
BACKOFF_S = 1.0
_DROPPED = "rows were dropped meanwhile; the same command takes the rows that are left"
logger = logging.getLogger(__name__)


@dataclass
class _Pass:
    """The state of one pass, with the results of earlier passes."""

    first: dict[Key, int] = field(default_factory=dict)  # rows at the start of the run
    promised: dict[Key, int] = field(default_factory=dict)  # rows at the start of this pass
    broken: list[Task] = field(default_factory=list)  # fewer rows than at its start
    short: list[Task] = field(default_factory=list)  # fewer rows than at the start of the run
    again: set[Key] = field(default_factory=set)  # read at least twice
    unchanged: set[Key] = field(default_factory=set)  # read twice with the same rows
    kept: set[Key] = field(default_factory=set)  # the source has lost their faces


def fill(work: Work, target: Target, planned: Faces | None = None) -> None:
    """Read and write the missing shards until the store equals the source.

    Parameters
    ----------
    work
        Source and options of the run.
    target
        Store to fill.
    planned
        Number of faces in the plan, by session and subject; None if it is not the first run.

    Raises
    ------
    SourceChangedError
        Rows vanished while they were read, or change in every pass.
    """
    state = _Pass()
    for attempt in range(1, PASSES + 1):
        try:
            _read_missing(work, target, state)
        except SnapshotLost as lost:
            if attempt >= ATTEMPTS:
                raise
            logger.debug("pass %d: %s", attempt, lost)
            revision.forget(target, changed(work, target), reread=False)
            continue
        differing = _compared(work, target, state, planned)
        if not differing and not state.broken:
            break
        state.again |= {t.key for t in (*differing, *state.broken)}
        revision.forget(target, differing, reread=False)
    else:
        raise SourceChangedError(
            f"{_named((*state.broken, *differing)[0])} changed each of {PASSES} times that it "
            "was read: run the same command again when the source no longer changes"
        )
    if state.short:
        n_rows = state.first[state.short[0].key]
        raise SourceChangedError(
            f"{_named(state.short[0])} had {n_rows} rows when the run began, and fewer when "
            f"it was read: {_DROPPED}"
        )


def changed(work: Work, target: Target) -> list[Task]:
    """Shards whose rows have changed since they were read."""
    entries = target.ledger.entries.values()
    if not (work.reread or any(e.version for e in entries)):
        return []
    with work.source.readers(1) as readers:
        return revision.suspects(target, readers[0], reread=work.reread)


def _compared(work: Work, target: Target, state: _Pass, planned: Faces | None) -> list[Task]:
    """Shards that differ in a new snapshot; if none differs, check the number of faces."""
    if not any(e.version for e in target.ledger.entries.values()):
        return []
    with work.source.readers(1) as readers:
        differing = [
            task
            for task in revision.suspects(target, readers[0])
            if task.key not in state.kept
            and not (task.key in state.unchanged and _same(readers[0], target, task))
        ]
        if planned is not None and not (differing or state.broken):
            _require_faces(target, readers[0], planned)
    return differing


def _same(reader: Reader, target: Target, task: Task) -> bool:
    """Whether the rows of a shard in this snapshot are those in the store."""
    return target.renew(_read(reader, target, task, threading.Event()))


def _require_faces(target: Target, reader: Reader, planned: Faces) -> None:
    """Refuse a store with fewer faces than planned, if the source has lost them since."""
    for session in target.sessions:
        for who, n_planned in planned[session.name].items():
            entries = [
                e
                for e in target.ledger.entries.values()
                if (e.session, e.subject) == (session.name, who)
            ]
            n_read = sum(_cells(e) for e in entries)
            if n_read >= n_planned:
                continue
            span = (session.start, session.stop)
            n_now = reader.faces(session.name, [who], *span)[who]
            if n_now < n_planned:
                shortest = min(entries, key=lambda e: (e.counts.rows, e.start))
                task = Task(shortest.session, shortest.subject, shortest.start, shortest.stop)
                raise SourceChangedError(
                    f"{_named(task)} and the other shards of this subject have {n_read} faces, "
                    f"the plan counted {n_planned}: {_DROPPED}"
                )


def _cells(entry: Entry) -> int:
    counts = entry.counts
    return counts.faces + counts.misshapen + counts.empty_cells + counts.duplicates


def _named(task: Task) -> str:
    return (
        f"session {task.session!r}, subject {task.subject}, frames [{task.start}, {task.stop})"
    )


def _promises(target: Target, todo: Sequence[Task], reader: Reader, state: _Pass) -> None:
    """Count the rows of the shards in the snapshot that will read them."""
    promise = getattr(reader, "promise", None)  # readers of files have none
    if promise is None:
        return
    ends = {s.name: s.stop for s in target.sessions}
    for task in todo:
        until = min(task.stop, ends[task.session])
        n_rows = promise(task.session, task.subject, task.start, until)
        if n_rows is not None:
            state.promised[task.key] = n_rows
            state.first.setdefault(task.key, n_rows)
    reader.reconnect()  # into the same snapshot, which releases the locks on all partitions


def _read_missing(work: Work, target: Target, state: _Pass) -> None:
    """One pass: read the missing shards from one snapshot, and write them."""
    state.promised, state.broken = {}, []
    todo = target.missing()
    if not todo:
        return
    n_frames = sum(e.stop - e.start for e in target.ledger.entries.values())
    total = n_frames + sum(t.stop - t.start for t in todo)
    stop, guard, left = threading.Event(), threading.Lock(), iter(todo)

    def shards(reader: Reader) -> None:
        nonlocal n_frames
        while not stop.is_set():
            with guard:
                task = next(left, None)
            if task is None:
                return
            block = _read(reader, target, task, stop)
            if block.counts.rows < state.promised.get(task.key, 0):
                with guard:
                    state.broken.append(task)
                continue
            written, kept = _put(work, target, task, block)
            with guard:
                _noted(state, task, block, written, kept)
                work.n_read, work.n_written = work.n_read + 1, work.n_written + written
                n_frames += task.stop - task.start
                if work.progress is not None:
                    work.progress(n_frames, total)

    with work.source.readers(min(work.workers, len(todo))) as readers:
        _promises(target, todo, readers[0], state)
        if work.strict:
            _look(target, todo, readers)
        in_threads(shards, readers, stop)
        work.n_bytes += sum(getattr(r, "n_bytes", 0) for r in readers)


def _noted(state: _Pass, task: Task, block: Block, written: bool, kept: bool) -> None:
    """Note whether a shard lost rows since the run began, was unchanged, or was kept."""
    state.short = [t for t in state.short if t.key != task.key]
    if not kept and block.counts.rows < state.first.get(task.key, 0):
        state.short.append(task)
    state.unchanged.discard(task.key)
    if kept:
        state.kept.add(task.key)
    elif task.key in state.again and not written:
        state.unchanged.add(task.key)


def _look(target: Target, todo: Sequence[Task], readers: Sequence[Reader]) -> None:
    """Read everything once without writing; the readers keep the snapshot for the pass."""
    stop, guard, left = threading.Event(), threading.Lock(), iter(todo)

    def shards(reader: Reader) -> None:
        while not stop.is_set():
            with guard:
                task = next(left, None)
            if task is None:
                return
            refuse(True, _read(reader, target, task, stop).counts.doubts(), task)

    in_threads(shards, readers, stop)


def _put(work: Work, target: Target, task: Task, block: Block) -> tuple[bool, bool]:
    """Write a shard, or keep the old one if faces would be lost; return (written, kept)."""
    former = target.former.get(task.key)
    fewer = former is not None and block.counts.faces < former.counts.faces
    if target.base is None or work.reread or not fewer:
        return _write(target, block), False
    assert former is not None
    work.doubt(
        [
            f"subject {task.subject}, frames [{task.start}, {task.stop}): the source has "
            f"{block.counts.faces} faces, the store {former.counts.faces}, which it keeps; "
            "--reread replaces them by those of the source"
        ]
    )
    target.keep(block)
    return False, True


def _read(reader: Reader, target: Target, task: Task, stop: threading.Event) -> Block:
    """Read one shard; try again a few times after a lost connection."""
    for attempt in range(1, ATTEMPTS + 1):
        block = target.block(task)
        try:
            if attempt > 1:
                reader.reconnect()
            reader.read(block, lambda run, cell, b=block: target.place(b, run, cell))
            return block
        except SnapshotLost:
            raise
        except SourceError as error:
            lost = isinstance(error, ConnectionLost) or attempt > 1
            if not lost or attempt == ATTEMPTS or stop.is_set():
                raise
            kind = type(error).__name__  # its text may say whose row it was
            logger.debug("attempt %d of %s failed: %s", attempt, task, kind)
        stop.wait(BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1))
    raise AssertionError("unreachable")


def _write(target: Target, block: Block) -> bool:
    try:
        return target.write(block)
    except FhembError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(
            f"cannot write to {str(target.base or target.path)!r}: {why}; finished shards "
            "stay, and the same command continues from there"
        ) from error
