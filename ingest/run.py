"""Filling a store from a source: plan, read and write shard by shard, finish."""

import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fhemb_xr.io.encoding import LIMITS
from fhemb_xr.io.integrity.repair import DAMAGED
from fhemb_xr.io.local import atomic_files
from fhemb_xr.io.local.locks import locked
from ingest.hints import Request
from ingest.planning import plan
from ingest.shards import Counts
from ingest.source import Found, Source, count_like
from ingest.store import creation, revision, writer
from ingest.store.filling import changed, fill
from ingest.store.work import Progress, StrictError, Work, refuse
from ingest.store.writer import Target

__all__ = ["Progress", "Request", "StrictError", "Summary", "ingest"]


@dataclass(frozen=True)
class Summary:
    """The work of a run, and the state of the store after it."""

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
        """All fields, for JSON."""
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
    encoding: str | None = None,
    shard_frames: int | None = None,
    workers: int = 2,
    strict: bool = False,
    append: bool = False,
    reread: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Fill a store from a source; run it again to continue after a stop.

    The first run decides the people, the frames, the grid and the origin of the clock. Later
    runs take these from the store. They write only shards that are missing or whose rows have
    changed since. If nothing changes in a complete store, no byte of it changes. Otherwise a
    successor takes its place in one step, see :mod:`ingest.store.revision`.

    Parameters
    ----------
    source
        Source of the frames, e.g. a :class:`ingest.postgres.source.PostgresSource`.
    store
        Folder of the store; it is created if it does not exist.
    subjects
        ``"all"``, ids, or inclusive pairs: ``[(40, 44), 53]``. A person without any face keeps
        the place and the label; all values are NaN.
    frames
        Half-open interval of frame numbers; None: all frames.
    grid
        Rows and columns of the store's frames; None takes the largest rows and columns, for
        which the server reads the shape of every frame once.
    resize
        Rows and columns to which each frame is resampled, by area. Without it, each frame lies
        in the middle of the grid. ``height`` and ``width`` keep the sizes of the source.
    title, rate_hz, threshold
        Attributes of the store: its title (None: the source's name), frames a second (None:
        the clock of the source; without a clock 25, and a doubt), lowest temperature of a
        face [°C].
    float32
        Whether to store without packing; None keeps the state of the store, and packs a new
        one.
    encoding
        ``"fast"`` or ``"dense"``, see :func:`fhemb_xr.save`; None keeps the encoding of the
        store, and makes a new one ``"fast"``.
    shard_frames
        Number of frames in one file; None takes the default of the recording's encoding.
    workers
        Number of connections and threads.
    strict
        Whether to refuse cells that are no matrices, repeated frames and impossible
        temperatures. Otherwise they are left out and counted (table in
        :mod:`ingest.postgres.copy_decoder`). All rows are read once in the same snapshot before
        anything is written, so a refusal leaves every store as it was.
    append
        Whether to add the frames that arrived at the end since the store was made.
    reread
        Whether to read everything again and write the shards that differ, also if the source
        now has fewer frames than the store. Needed for sources that do not show which rows
        have changed.
    progress
        Function that is called after each shard with the number of finished frames and of all
        frames.

    Returns
    -------
    Summary
        A :class:`Summary`: counts of the rows read, missing frames, duration, doubts.

    Raises
    ------
    SourceError
        The source cannot be read, or ``strict`` refuses something.
    SourceChangedError
        Rows vanish while they are read, or change at each reading; a ``SourceError``. The
        same command continues the run.
    StoreError
        The store differs from the request, another run is writing it, or the disk has no room.
    ValueError
        An unknown encoding, or ``"dense"`` together with ``float32``.

    Notes
    -----
    Memory per worker: a stored shard + the buffers of zarr, together under two float32 shards.
    A shard that is read twice is written once. Looking for changed rows costs the server
    0.3 µs per row and sends nothing.
    """
    started, path = time.perf_counter(), Path(store)
    request = Request(
        subjects=subjects,
        frames=frames,
        grid=grid,
        resize=resize,
        rate_hz=rate_hz,
        title=title,
        threshold=threshold,
        float32=float32,
        encoding=encoding,
        shard_frames=shard_frames,
    )
    work = Work(source, workers, strict, reread, progress)
    with locked(path):
        writer.sweep(path)
        revision.sweep(path)
        if path.exists():
            target = _again(work, path, request, append)
        else:
            target = _first(work, path, request)
    return _summary(target, work, time.perf_counter() - started)


def _first(work: Work, path: Path, request: Request) -> Target:
    """Plan a store, make it and fill it."""
    planned = plan(work.source, request, exact=True, workers=work.workers)
    refuse(work.strict, planned.misshapen)
    work.doubt(planned.doubts)
    creation.create(path, planned, request)
    target = Target(path)
    count_like(work.source, target.sessions, planned.rate_hz)
    try:
        fill(work, target, planned.faces)
    except StrictError:
        shutil.rmtree(path)  # the store is still empty
        raise
    target.finish()
    return target


def _again(work: Work, path: Path, request: Request, append: bool) -> Target:
    """Continue an unfinished store, or update a complete one from its source."""
    target = Target(path)
    header = target.ledger.header
    asked = replace(request, frames=None) if append else request
    asked.require_same(header, str(path))
    count_like(work.source, target.sessions, header["rate_hz"])
    found = work.source.found()
    revision.require_same_origin(target, found)
    work.doubt(found.blind)
    was_complete = target.complete
    if not was_complete:
        _complete(work, target)
    if was_complete or append:
        target = _revised(work, target, found, request if append else None)
    return target


def _complete(work: Work, target: Target) -> None:
    """Finish a store that was never complete; also read shards that changed since."""
    target.ledger.mend()
    revision.forget(target, changed(work, target), reread=work.reread)
    fill(work, target)
    target.finish()


def _revised(work: Work, target: Target, found: Found, grow: Request | None) -> Target:
    """A complete store, or its successor if the source has changed.

    ``grow`` requests the frames to be added at the end; None adds none.
    """
    path = target.path
    begun = atomic_files.successor(path).exists()
    latest = revision.opened(path) if begun else target
    sessions = latest.sessions
    if grow is not None:
        sessions = revision.grown(latest, found, grow.frames)
    longer = any(a.stop < b.stop for a, b in zip(target.sessions, sessions, strict=True))
    differing = [] if begun else changed(work, target)
    if not (begun or longer or differing or target.ledger.header.get(DAMAGED)):
        return target
    following = revision.begin(path, sessions)
    if begun:
        differing = changed(work, following)
    revision.forget(following, differing, reread=work.reread)
    fill(work, following)
    revision.end(path, following, f"ingest of changes in {found.name}")
    return Target(path)


def _summary(target: Target, work: Work, seconds: float) -> Summary:
    total = target.ledger.total()
    expected = len(target.subjects) * sum(s.stop - s.start for s in target.sessions)
    return Summary(
        store=str(target.path),
        subjects=len(target.subjects),
        frames=max(s.stop for s in target.sessions) - target.start,
        shards=len(target.ledger.entries),
        shards_read=work.n_read,
        shards_written=work.n_written,
        counts=total,
        missing=expected - total.faces,
        read_bytes=work.n_bytes,
        seconds=round(seconds, 3),
        doubts=(*work.doubts, *_lost(total), *_shared(total, target)),
    )


def _shared(total: Counts, target: Target) -> tuple[str, ...]:
    """A doubt about rows that were left out because another row has the same frame."""
    if total.duplicates * 100 <= total.rows:
        return ()
    share, rate_hz = total.duplicates / total.rows, target.ledger.header["rate_hz"]
    return (
        f"{total.duplicates} of {total.rows} rows ({share:.1%}) share a frame with another row "
        f"and were left out: are the rate ({rate_hz:g} Hz) and the clock right?",
    )


def _lost(total: Counts) -> tuple[str, ...]:
    """A doubt about temperatures that were left out, or about faces that are nowhere."""
    if not total.faces:
        return ("no frame holds a number: all faces are missing",)
    if not total.out_of_range:
        return ()
    return (
        f"{total.out_of_range} pixels are out of the range of {LIMITS[0]:g} to {LIMITS[1]:g} "
        "°C and stay missing: are the numbers in °C?",
    )
