"""Where frames come from: the Protocol of a source and of its readers.

All readers of a database see one snapshot: a leader holds a read-only transaction and the
others enter it. :mod:`ingest.store.filling` says what a snapshot does not cover. A
reader that loses its connection, or gets no byte for ``stall_s`` (a black-holed tunnel hangs
for ever otherwise), raises :class:`ConnectionLost`; its caller may try again. See
:mod:`ingest.postgres.connections`.
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
    """One session as the source holds it; frames are ``[start, stop)``."""

    name: str
    start: int
    stop: int
    rows: int
    unique: bool = True  # whether the source itself forbids a repeated frame
    origin: str = ""  # time of frame 0, of a clock that tells the time


@dataclass(frozen=True)
class Found:
    """What a source holds."""

    name: str
    layout: str
    cell: str
    sessions: tuple[Session, ...]
    subjects: tuple[Subject, ...]
    positions: str | None = None
    doubts: tuple[str, ...] = ()
    rate_hz: float | None = None  # by which it has counted its frames, where it knows
    camera: Mapping[str, Any] = field(default_factory=dict)  # e.g. its emissivity
    blind: tuple[str, ...] = ()  # doubts: where a later run does not see a corrected value


class Reader(Protocol):
    """One connection: reads one thing at a time."""

    def faces(
        self, session: str, subjects: Sequence[Subject], start: int, stop: int
    ) -> dict[Subject, int]:
        """Frames with a cell."""

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """How many frames have which shape."""

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block; its ``version`` too, where the source can tell."""

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """What differs if rows of this stretch were changed; ``""``: the source cannot tell."""

    def promise(self, session: str, subject: Subject, start: int, stop: int) -> int | None:
        """Rows that a reading of this stretch has; None: counting them is dear or needless."""

    def cancel(self) -> None:
        """Stop what runs, from another thread."""

    def reconnect(self) -> None:
        """Start afresh after a loss."""


class Source(Protocol):
    """Something that holds frames."""

    def found(self) -> Found:
        """Look at the tables or files, and tell what they hold."""

    def readers(self, n: int) -> Any:
        """``n`` readers of one state of the source, as a context manager."""


@runtime_checkable
class Timed(Protocol):
    """A source that turns times into frame numbers, from an origin and by a rate."""

    def count_like(self, sessions: Sequence[Session], rate_hz: float | None) -> None:
        """Count frames from the origins of these sessions; of others, from the first row."""


def count_like(source: Source, sessions: Sequence[Session], rate_hz: float | None) -> None:
    """Have a source count frames as a store does.

    The origin of a store is its own. That of a table moves when its first rows are dropped or
    earlier ones come, and every frame would get another number.

    Parameters
    ----------
    source
        What counts.
    sessions
        Sessions of the store; none for a new one.
    rate_hz
        Frames a second; None: as the source itself says.
    """
    if isinstance(source, Timed):
        source.count_like(sessions, rate_hz)


def in_threads(
    work: Callable[[Reader], None], readers: Sequence[Reader], stop: threading.Event
) -> None:
    """One thread a reader; the first error, or Ctrl-C, stops them all.

    Parameters
    ----------
    work
        Called once for each reader; looks at ``stop`` between its pieces.
    readers
        What the threads read with; cancelled when one fails.
    stop
        Set when one fails.
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
                each.map(lambda reader: reader.cancel(), readers)  # at once: each may take 1 s
            raise


class ConnectionLost(SourceError):  # noqa: N818 (a state, and the caller tries again)
    """The connection broke or stalled while reading."""


class SnapshotLost(SourceError):  # noqa: N818 (likewise, but all readers start again)
    """The connection that held the state of the database, which all readers share, broke."""


def __getattr__(name: str) -> Any:
    """``PostgresSource``, whose former place this is; psycopg is imported with it only."""
    if name == "PostgresSource":
        return import_module("ingest.postgres.source").PostgresSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
