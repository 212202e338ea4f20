"""A source into a store: plan, read and write shard by shard, finish."""

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
from ingest.store import revision, writer
from ingest.store.filling import Progress, StrictError, Work, changed, fill, refuse
from ingest.store.writer import Target

__all__ = ["Progress", "Request", "StrictError", "Summary", "ingest"]


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

    The first run decides the people, the frames, the grid and the origin of the clock. Later
    runs take these from the store, and write only the shards that are missing or whose rows
    were changed since. A complete store to which nothing is added stays as it is, to the byte.
    Otherwise its successor takes its place in one step, see :mod:`ingest.store.revision`.

    Parameters
    ----------
    source
        Where the frames are, e.g. a :class:`ingest.postgres.source.PostgresSource`.
    store
        Folder of the store; it is made if it does not exist.
    subjects
        ``"all"``, ids, or inclusive pairs: ``[(40, 44), 53]``. A person without any face keeps
        the place and the label; all values are NaN.
    frames
        Half-open interval of frame numbers; None: all frames.
    grid
        Rows and columns of the store's frames; None: the largest number of each, for which the
        server looks at every frame once.
    resize
        Rows and columns that each frame is resampled to, by area. Without it, each frame lies
        in the middle of the grid. ``height`` and ``width`` keep the sizes of the source.
    title, rate_hz, threshold
        Attributes of the store: its title (None: the source's name), frames a second (None:
        by the clock of the source; 25 and a doubt where it has none), lowest temperature of a
        face [°C].
    float32
        Store without packing; None: as the store is, and packed where it is new.
    shard_frames
        Frames in one file; None: the default of the recording's encoding.
    workers
        Connections, and threads.
    strict
        Refuse cells that are no matrices, repeated frames and impossible temperatures, instead
        of leaving them out and counting them (table in
        :mod:`ingest.postgres.copy_decoder`). All rows are read once in the same snapshot before
        anything is written, so a refusal changes no store and makes none.
    append
        Add the frames that arrived at the end since the store was made.
    reread
        Read everything again and write the shards that differ, also where the source has fewer
        frames than the store; needed for sources that do not tell which rows were changed.
    progress
        Function of the frames done and of all frames, called after each shard.

    Returns
    -------
    Counts of what was read, what is missing, the time it took, and the doubts.

    Raises
    ------
    SourceError
        If the source cannot be read, or ``strict`` refuses something.
    SourceChangedError
        If rows vanish while they are read, or change at each reading; a ``SourceError``. The
        same command goes on.
    StoreError
        If the store does not hold what is asked for, another run is writing it, or the disk has
        no room.

    Notes
    -----
    Memory: for each worker one shard as it is stored, and what zarr needs to compress it, under
    two shards of float32 together. A shard that was read twice is never written twice. Looking
    for changed rows costs the server 0.3 us a row and sends nothing.
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
    made = plan(work.source, request, exact=True, workers=work.workers)
    refuse(work.strict, made.misshapen)
    work.doubt(made.doubts)
    writer.create(path, made, request)
    target = Target(path)
    count_like(work.source, target.sessions, made.rate_hz)
    try:
        fill(work, target, made.faces)
    except StrictError:
        shutil.rmtree(path)  # nothing is in it
        raise
    target.finish()
    return target


def _again(work: Work, path: Path, request: Request, append: bool) -> Target:
    """Go on in a store, or bring a complete one up to its source."""
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
    """Go on in a store that was never whole; what was changed since its first run too."""
    target.ledger.mend()
    revision.forget(target, changed(work, target), reread=work.reread)
    fill(work, target)
    target.finish()


def _revised(work: Work, target: Target, found: Found, grow: Request | None) -> Target:
    """A complete store, or the one that has taken its place because the source went on.

    ``grow`` says which frames shall be added at the end; None: none.
    """
    path, begun = target.path, atomic_files.successor(target.path).exists()
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
    revision.end(path, following, f"ingest of what {found.name} has since")
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
    """A doubt about rows that were left out because another one has their frame."""
    if total.duplicates * 100 <= total.rows:
        return ()
    share, rate_hz = total.duplicates / total.rows, target.ledger.header["rate_hz"]
    return (
        f"{total.duplicates} of {total.rows} rows ({share:.1%}) share a frame with another row "
        f"and were left out: are the rate ({rate_hz:g} Hz) and the clock right?",
    )


def _lost(total: Counts) -> tuple[str, ...]:
    """A doubt about temperatures that were left out."""
    if not total.out_of_range:
        return ()
    return (
        f"{total.out_of_range} pixels are out of the range of {LIMITS[0]:g} to {LIMITS[1]:g} "
        "°C and stay missing: are the numbers in °C?",
    )
