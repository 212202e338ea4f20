"""The Protocols of a source of frames and of its readers.

All readers of a database see one snapshot: a leader holds a read-only transaction, and the
other readers join it. :mod:`ingest.store.filling` describes what a snapshot does not cover. A
reader raises :class:`ConnectionLost` when it loses its connection or gets no byte for
``stall_s``; without that limit a dead tunnel would hang for ever. The caller may try again.
See :mod:`ingest.postgres.connections`.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from fhemb_xr.errors import SourceError
from ingest.shards import Block, Subject

Shapes = Counter[tuple[int, ...]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """One session of a source; its frames are ``[start, stop)``."""

    name: str
    start: int
    stop: int
    rows: int
    unique: bool = True  # whether the source forbids repeated frames
    origin: str = ""  # time of frame 0, for a clock of times


@dataclass(frozen=True)
class Found:
    """The contents of a source."""

    name: str
    layout: str
    cell: str
    sessions: tuple[Session, ...]
    subjects: tuple[Subject, ...] = field(repr=False)
    positions: str | None = None
    doubts: tuple[str, ...] = ()
    rate_hz: float | None = None  # rate by which frames were counted; None: unknown
    camera: Mapping[str, Any] = field(default_factory=dict)  # e.g. its emissivity
    boxes: str | None = None  # what a table of boxes holds, which cuts faces out of films
    blind: tuple[str, ...] = ()  # doubts: tables where a later run misses corrected values


class Reader(Protocol):
    """One connection, which runs one read at a time."""

    def faces(
        self, session: str, subjects: Sequence[Subject], start: int, stop: int
    ) -> dict[Subject, int]:
        """Number of frames with a cell, by subject."""

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """Number of frames of each shape."""

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block, and set its ``version`` if the source has one."""

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """A text that differs after rows of this interval have changed; ``""``: unknown."""

    def promise(self, session: str, subject: Subject, start: int, stop: int) -> int | None:
        """Number of rows in this interval; None if counting is expensive or not needed."""

    def cancel(self) -> None:
        """Stop the running read, from another thread."""

    def reconnect(self) -> None:
        """Open a new connection after a loss."""


class Source(Protocol):
    """A source of frames."""

    def found(self) -> Found:
        """Look at the tables or files, and describe their contents."""

    def readers(self, n: int) -> Any:
        """``n`` readers of one state of the source, as a context manager."""


@runtime_checkable
class Timed(Protocol):
    """A source that turns times into frame numbers, with an origin and a rate."""

    def count_like(self, sessions: Sequence[Session], rate_hz: float | None) -> None:
        """Count frames from the origins of these sessions; of others, from the first row."""


def count_like(source: Source, sessions: Sequence[Session], rate_hz: float | None) -> None:
    """Make a source count frames from the origin of a store.

    The origin of a table moves when its first rows are dropped or earlier rows arrive. Then
    every frame would get another number. The origin of a store never moves.

    Parameters
    ----------
    source
        Source that counts.
    sessions
        Sessions of the store; empty for a new store.
    rate_hz
        Frames a second; None takes the rate of the source.
    """
    if isinstance(source, Timed):
        source.count_like(sessions, rate_hz)


def in_threads(
    work: Callable[[Reader], None], readers: Sequence[Reader], stop: threading.Event
) -> None:
    """Run one thread per reader; the first error, or Ctrl-C, stops all of them.

    Parameters
    ----------
    work
        Function that is called once for each reader; it checks ``stop`` between its pieces.
    readers
        Readers of the threads; all are cancelled when one fails.
    stop
        Event that is set when a thread fails.
    """
    with ThreadPoolExecutor(len(readers), thread_name_prefix="fhemb-ingest") as pool:
        running: set[Future[None]] = {pool.submit(work, reader) for reader in readers}
        try:
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
        except BaseException:
            stop.set()
            with ThreadPoolExecutor(len(readers), thread_name_prefix="fhemb-cancel") as each:
                each.map(lambda reader: reader.cancel(), readers)  # each may take 1 s
            raise


class ConnectionLost(SourceError):  # noqa: N818 (a state; the caller tries again)
    """The connection broke or stalled while reading."""


class SnapshotLost(SourceError):  # noqa: N818 (a state; all readers start again)
    """The connection that held the common snapshot of all readers broke."""


def __getattr__(name: str) -> Any:
    """``PostgresSource`` for old imports; psycopg is imported only with it."""
    if name == "PostgresSource":
        return import_module("ingest.postgres.source").PostgresSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
