"""A source into a store: plan, read and write shard by shard, finish."""

import logging
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fhemb_xr.errors import FhembError, SourceError, StoreError
from fhemb_xr.io.encoding import LIMITS
from fhemb_xr.io.integrity.repair import DAMAGED
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.local.atomic_files import locked
from ingest.planning import choose, plan
from ingest.shards import Block, Counts
from ingest.source import ConnectionLost, Reader, SnapshotLost, Source, in_threads
from ingest.store import revision, writer
from ingest.store.writer import Options, Target, Task

Progress = Callable[[int, int], None]
ATTEMPTS = 3
BACKOFF_S = 1.0
logger = logging.getLogger(__name__)


class StrictError(SourceError):
    """What ``strict`` refuses was found; nothing was written."""


@dataclass(frozen=True)
class Summary:
    """What a run did, and what is in the store after it."""

    store: str
    subjects: int
    frames: int  # length of the time axis
    shards: int
    shards_read: int
    shards_written: int
    counts: Counts
    missing: int  # frames of a person without a face
    read_bytes: int
    seconds: float
    doubts: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def ingest(
    source: Source,
    store: str | Path,
    *,
    subjects: object = "all",
    frames: tuple[int, int] | None = None,
    title: str | None = None,
    grid: tuple[int, int] | None = None,
    resize: tuple[int, int] | None = None,
    rate_hz: float | None = None,
    threshold: float = 25.0,
    float32: bool | None = None,
    shard_frames: int | None = None,
    workers: int = 2,
    strict: bool = False,
    append: bool = False,
    reread: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Fill a store from a source; run it again to go on where it was stopped.

    The first run decides whom, which frames and which grid; later ones take that from the store
    and write only the shards that it lacks, or whose rows were changed since. A complete store
    that lacks nothing is left as it is, to the byte; one that does is exchanged for its
    successor in one step, see :mod:`ingest.store.revision`.

    Parameters
    ----------
    source
        Where the frames are, e.g. a :class:`ingest.postgres.source.PostgresSource`.
    store
        Folder of the store, there or not.
    subjects
        ``"all"``, ids, or inclusive pairs: ``[(40, 44), 53]``. A person without any face keeps
        the place and label, with NaN.
    frames
        Half-open interval of frame numbers; None: all there are.
    grid
        Rows and columns of the store's frames; None: the largest found of each, for which the
        server has to look at every frame once.
    resize
        Rows and columns that each frame is resampled to, by area, instead of being centred on
        a grid; ``height`` and ``width`` keep the sizes that the source has.
    title, rate_hz, threshold
        Attributes of the store: its title (None: the source's name), frames a second (None:
        by the clock of the source, else 25 and a doubt), lowest temperature of a face [°C].
    float32
        Store without packing; None: as the store is, packed where it is new.
    shard_frames
        Frames in one file; None: as the recording's encoding has it.
    workers
        Connections, and threads.
    strict
        Refuse cells that are no matrices, repeated frames and impossible temperatures, instead
        of leaving them out and counting them (table in
        :mod:`ingest.postgres.copy_decoder`). All rows are first
        read once in the same snapshot, so a refusal leaves the store as it was, or none.
    append
        Add the frames that arrived at the end since the store was made.
    reread
        Read everything again and write what differs, also where the source has less than the
        store; for sources that cannot tell what was changed.
    progress
        Called with the frames done and all frames, after each shard.

    Returns
    -------
    What was read, what is missing, how long it took.

    Raises
    ------
    SourceError
        If the source cannot be read, or ``strict`` found something.
    StoreError
        If the store is another one than asked for, is being written by another run, or there is
        no room.

    Notes
    -----
    Memory: for each worker one shard as it is stored, and what zarr needs to compress it, under
    two shards of float32 together. A shard that was read twice is never written twice. Looking
    for changed rows costs the server 0.3 us a row and sends nothing.
    """
    path, started, created = Path(store), time.perf_counter(), False
    asked = _Asked(source, workers, strict, reread, progress)
    done = _Done()
    with locked(path):
        writer.sweep(path)
        revision.sweep(path)
        if not path.exists():
            made = plan(
                source,
                subjects=subjects,
                frames=frames,
                grid=grid,
                resize=resize,
                exact=True,
                workers=workers,
                rate_hz=rate_hz,
            )
            _refuse(strict, made.misshapen)
            writer.create(path, made, Options(title, threshold, bool(float32), shard_frames))
            created = True
            done.doubts += made.doubts
        target = Target(path)
        _agree(target, subjects, None if append else frames, grid, float32, resize)
        was_complete = target.complete
        if not was_complete:
            try:
                _complete(asked, target, done)
            except StrictError:
                if created:
                    shutil.rmtree(path)  # nothing is in it
                raise
        if was_complete or append:
            target = _revised(asked, target, done, frames if append else None, append)
    return _summary(target, done, time.perf_counter() - started)


@dataclass(frozen=True)
class _Asked:
    """What the parts of a run need to know."""

    source: Source
    workers: int
    strict: bool
    reread: bool
    progress: Progress | None


@dataclass
class _Done:
    """What the parts of a run did."""

    read: int = 0  # shards
    written: int = 0
    n_bytes: int = 0
    doubts: tuple[str, ...] = ()


def _complete(asked: _Asked, target: Target, done: _Done) -> None:
    """Go on in a store that was never whole; what was changed since its first run too."""
    target.ledger.mend()
    changed = _changed(asked, target)
    revision.forget(target, changed, reread=asked.reread)
    _fill(asked, target, done)
    target.finish()


def _revised(
    asked: _Asked,
    target: Target,
    done: _Done,
    frames: tuple[int, int] | None,
    append: bool,
) -> Target:
    """A complete store, or the one that has taken its place because the source went on."""
    path, begun = target.path, atomic_files.successor(target.path).exists()
    latest = revision.opened(path) if begun else target
    sessions = latest.sessions
    if append:
        sessions = revision.grown(latest, asked.source.found(), frames)
    longer = any(a.stop < b.stop for a, b in zip(target.sessions, sessions, strict=True))
    changed = [] if begun else _changed(asked, target)
    if not (begun or longer or changed or target.ledger.header.get(DAMAGED)):
        return target
    following = revision.begin(path, sessions)
    if begun:
        changed = _changed(asked, following)
    revision.forget(following, changed, reread=asked.reread)
    _fill(asked, following, done)
    revision.end(path, following, f"ingest of what {asked.source.found().name} has since")
    return Target(path)


def _changed(asked: _Asked, target: Target) -> list[Task]:
    """Shards whose rows are no longer those that were read."""
    entries = target.ledger.entries.values()
    if not (asked.reread or any(e.version for e in entries)):
        return []
    with asked.source.readers(1) as readers:
        return revision.suspects(target, readers[0], reread=asked.reread)


def _agree(
    target: Target,
    subjects: object,
    frames: tuple[int, int] | None,
    grid: tuple[int, int] | None,
    float32: bool | None,
    resize: tuple[int, int] | None,
) -> None:
    """A second run of other frames or people is another store."""
    asked: dict[str, tuple[object, object]] = {}
    if not (isinstance(subjects, str) and subjects == "all"):
        asked["subjects"] = (choose(subjects, target.subjects), target.subjects)
    if frames is not None:
        held = (target.start, max(s.stop for s in target.sessions))
        first = target.ledger.header["asked_frames"]  # may reach beyond what there was
        same = list(frames) in (list(held), first)
        asked["frames"] = (held if same else tuple(frames), held)
    if grid is not None:
        asked["grid"] = (tuple(grid), target.grid)
    held_size = target.grid if target.ledger.header.get("resized") else None
    if resize is not None:
        asked["size"] = (tuple(resize), held_size)
    if float32 is not None:
        asked["float32"] = (float32, target.ledger.header["float32"])
    for what, (wanted, there) in asked.items():
        if wanted != there:
            raise StoreError(
                f"{str(target.path)!r} holds the {what} {there!r}, asked for {wanted!r}: "
                "choose another name for another store"
            )


def _fill(asked: _Asked, target: Target, done: _Done) -> None:
    """Read and write the shards that are missing, all of one state of the source.

    If that state is lost, with the connection that held it, what was changed since is read
    again with what is still missing, of a new one.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _read_missing(asked, target, done)
            return
        except SnapshotLost as lost:
            if attempt == ATTEMPTS:
                raise
            logger.debug("attempt %d: %s", attempt, lost)
        revision.forget(target, _changed(asked, target), reread=False)


def _read_missing(asked: _Asked, target: Target, done: _Done) -> None:
    todo = target.missing()
    if not todo:
        return
    frames = sum(e.stop - e.start for e in target.ledger.entries.values())
    total = frames + sum(t.stop - t.start for t in todo)
    stop, guard, left = threading.Event(), threading.Lock(), iter(todo)

    def work(reader: Reader) -> None:
        nonlocal frames
        while not stop.is_set():
            with guard:
                task = next(left, None)
            if task is None:
                return
            block = _read(reader, target, task, stop)
            written = _put(target, task, block, asked.reread, done)
            with guard:
                done.read, done.written = done.read + 1, done.written + written
                frames += task.stop - task.start
                if asked.progress is not None:
                    asked.progress(frames, total)

    with asked.source.readers(min(asked.workers, len(todo))) as readers:
        if asked.strict:
            _look(target, todo, readers)
        in_threads(work, readers, stop)
        done.n_bytes += sum(getattr(r, "n_bytes", 0) for r in readers)


def _look(target: Target, todo: Sequence[Task], readers: Sequence[Reader]) -> None:
    """Read everything once and write nothing; the readers keep the snapshot for the writing."""
    stop, guard, left = threading.Event(), threading.Lock(), iter(todo)

    def work(reader: Reader) -> None:
        while not stop.is_set():
            with guard:
                task = next(left, None)
            if task is None:
                return
            _refuse(True, _read(reader, target, task, stop).counts.doubts(), task)

    in_threads(work, readers, stop)


def _put(target: Target, task: Task, block: Block, reread: bool, done: _Done) -> bool:
    """Write a shard, unless the store would lose faces by it that it has."""
    former = target.former.get(task.key)
    fewer = former is not None and block.counts.faces < former.counts.faces
    if target.base is None or reread or not fewer:
        return _write(target, block)
    assert former is not None
    done.doubts += (
        f"subject {task.subject}, frames [{task.start}, {task.stop}): the source has "
        f"{block.counts.faces} faces, the store {former.counts.faces}, which it keeps; "
        "--reread takes over what the source has",
    )
    target.keep(block)
    return False


def _read(reader: Reader, target: Target, task: Task, stop: threading.Event) -> Block:
    """One shard; a lost connection is made anew a few times."""
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
            logger.debug("attempt %d of %s failed: %s", attempt, task, error)
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
            f"cannot write to {str(target.base or target.path)!r}: {why}; what was written "
            "stays, and "
            "the same command goes on from there"
        ) from error


def _refuse(strict: bool, doubts: Sequence[str], task: Task | None = None) -> None:
    if strict and doubts:
        where = f"subject {task.subject}, frames [{task.start}, {task.stop}): " if task else ""
        raise StrictError(f"refused by --strict: {where}{'; '.join(doubts)}")


def _summary(target: Target, done: _Done, seconds: float) -> Summary:
    total = target.ledger.total()
    expected = len(target.subjects) * sum(s.stop - s.start for s in target.sessions)
    return Summary(
        store=str(target.path),
        subjects=len(target.subjects),
        frames=max(s.stop for s in target.sessions) - target.start,
        shards=len(target.ledger.entries),
        shards_read=done.read,
        shards_written=done.written,
        counts=total,
        missing=expected - total.faces,
        read_bytes=done.n_bytes,
        seconds=round(seconds, 3),
        doubts=(*done.doubts, *_lost(total)),
    )


def _lost(total: Counts) -> tuple[str, ...]:
    """A doubt about temperatures that were left out."""
    if not total.out_of_range:
        return ()
    return (
        f"{total.out_of_range} pixels are out of the range of {LIMITS[0]:g} to {LIMITS[1]:g} "
        "°C and stay missing: are the numbers in °C?",
    )
