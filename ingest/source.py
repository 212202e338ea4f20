"""Where frames come from: a Protocol, and PostgreSQL.

All readers of one source see one snapshot: a leader holds a read-only transaction and the
others enter it, so a table that changes meanwhile cannot give two shards of different times. A
reader that loses its connection, or gets no byte for ``stall_s`` (a black-holed tunnel hangs
for ever otherwise), raises :class:`ConnectionLost`; its caller may try again.

Errors of psycopg are replaced, not chained: what is raised holds no parameter of a connection.
"""

import logging
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from fhemb_xr.errors import SourceError, nearest
from ingest import introspection
from ingest.frames import Block, Counts, Message, distinct, rows, runs
from ingest.hints import Hints
from ingest.hypertables import pieces
from ingest.layouts import Layout, Subject

T = TypeVar("T")
Shapes = Counter[tuple[int, ...]]
logger = logging.getLogger(__name__)


class ConnectionLost(SourceError):  # noqa: N818 (a state, and the caller tries again)
    """The connection broke or stalled while reading."""


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

    def cancel(self) -> None:
        """Stop what runs, from another thread."""

    def reconnect(self) -> None:
        """Start afresh after a loss."""


class Source(Protocol):
    """Something that holds frames."""

    def found(self) -> Found:
        """Look, and say what is there."""

    def readers(self, n: int) -> Any:
        """``n`` readers of one state of the source, as a context manager."""


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
            for reader in readers:
                reader.cancel()
            raise


class PostgresSource:
    """Frames in PostgreSQL, with or without TimescaleDB.

    Parameters
    ----------
    connection
        Parameters of libpq, or a conninfo string. Never shown, never pickled.
    schema, table
        Where the matrices are; a sequence of schemas is one session each.
    positions
        Table of face centres in the same schema; ``"auto"`` takes ``faceposition_t`` or
        ``faceposition`` where it is there, None reads none.
    hints
        What a look at the table cannot tell.
    statement_s, stall_s
        Longest statement, and longest silence, in seconds.
    """

    def __init__(
        self,
        connection: Mapping[str, object] | str,
        schema: str | Sequence[str],
        table: str = "face_t",
        *,
        positions: str | None = "auto",
        hints: Hints | None = None,
        statement_s: float = 3600.0,
        stall_s: float = 60.0,
    ) -> None:
        self._connection = connection
        self.schemas = (schema,) if isinstance(schema, str) else tuple(schema)
        self.table, self.positions, self.hints = table, positions, hints or Hints()
        self.statement_s, self.stall_s = statement_s, stall_s
        self._layouts: dict[str, Layout] | None = None
        self._places: dict[str, Layout] = {}

    def __repr__(self) -> str:
        return f"PostgresSource({'+'.join(self.schemas)}.{self.table})"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a source holds a password: it is not pickled, make it where it is used"
        )

    def connect(self, idle_s: float = 0) -> psycopg.Connection[Any]:
        """A read-only connection, out of any transaction.

        Raises
        ------
        SourceError
            If the server cannot be reached, or refuses.
        """
        given: dict[str, Any] = {
            "connect_timeout": 15,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "fhemb_xr ingest",
            "options": f"-c statement_timeout={int(self.statement_s * 1000)} "
            f"-c idle_in_transaction_session_timeout={int(idle_s * 1000)}",
        }
        try:
            if isinstance(self._connection, str):
                conn = psycopg.connect(self._connection, **given)
            else:
                conn = psycopg.connect(**(given | dict(self._connection)))
            conn.read_only, conn.isolation_level = True, psycopg.IsolationLevel.REPEATABLE_READ
            return conn
        except psycopg.Error as error:
            why = " ".join(str(error).split())
        raise SourceError(f"cannot connect to the database: {self.clean(why)}")

    def found(self) -> Found:
        """Look at the tables; see :class:`Source`."""
        return _guarded(self.clean, self._found)

    def _found(self) -> Found:
        with self.connect() as conn:
            layouts = self._look(conn)
            sessions = tuple(_session(conn, name, lay) for name, lay in layouts.items())
            people: dict[Subject, None] = {}
            for layout in layouts.values():
                people.update(dict.fromkeys(introspection.subjects(conn, layout)))
            doubts = [d for s in sessions for d in self._doubts(conn, s, layouts[s.name])]
        first = next(iter(layouts.values()))
        return Found(
            name="+".join(self.schemas) + "." + self.table,
            layout=first.kind,
            cell=first.cell.name,
            sessions=sessions,
            subjects=tuple(people),
            positions=next((p.name for p in self._places.values()), None),
            doubts=tuple(doubts),
        )

    @contextmanager
    def readers(self, n: int) -> Iterator[list["PostgresReader"]]:
        """``n`` connections on one snapshot, and a watchdog over them."""
        with ExitStack() as stack:
            if self._layouts is None:
                self.found()
            snapshot = _Snapshot(self)
            stack.callback(snapshot.close)
            readers = [PostgresReader(self, snapshot) for _ in range(n)]
            for reader in readers:
                stack.callback(reader.close)
                reader.reconnect()
            stack.enter_context(_watchdog(readers, self.stall_s))
            yield readers

    def layout(self, session: str) -> Layout:
        """How one session is kept."""
        if self._layouts is None or session not in self._layouts:
            raise SourceError(f"no session {session!r}{nearest(session, self._layouts or ())}")
        return self._layouts[session]

    def place(self, session: str) -> Layout | None:
        """How the face centres of one session are kept."""
        return self._places.get(session)

    def _look(self, conn: psycopg.Connection[Any]) -> dict[str, Layout]:
        self._layouts, self._places = {}, {}
        for schema in self.schemas:
            self._layouts |= introspection.find(conn, schema, self.table, self.hints)
            for name, place in self._look_for_positions(conn, schema).items():
                if name in self._layouts:  # one clock, so one origin
                    origin = self._layouts[name].clock.origin
                    clock = replace(place.clock, origin=origin)
                    self._places[name] = replace(place, clock=clock)
        return self._layouts

    def _look_for_positions(
        self, conn: psycopg.Connection[Any], schema: str
    ) -> dict[str, Layout]:
        if self.positions is None:
            return {}
        auto = self.positions == "auto"
        names = ("faceposition_t", "faceposition") if auto else (self.positions,)
        hints = replace(self.hints, scale=self.hints.scale or 1.0, subjects=None)
        for name in names:
            try:
                return introspection.find(conn, schema, name, hints)
            except SourceError:
                if not auto:
                    raise
        return {}

    def _doubts(
        self, conn: psycopg.Connection[Any], session: Session, layout: Layout
    ) -> Iterator[str]:
        gaps = session.stop - session.start - session.rows
        if not session.unique:
            yield f"{layout.name}: nothing forbids two rows of one frame; they are counted"
        if layout.kind == "wide" and gaps > 0:
            yield f"session {session.name!r}: {gaps} frame numbers have no row"
        if session.name not in self._places:
            yield f"session {session.name!r}: no table of positions; they stay missing"
        granted = conn.execute(
            "SELECT has_table_privilege(%s, 'INSERT')", (_quoted(conn, layout),)
        )
        if (row := granted.fetchone()) and row[0]:
            yield "this user may write to the table; a role that can only read is safer"

    def clean(self, text: str) -> str:
        """A server's message without anything secret that it may repeat."""
        known: object
        if isinstance(self._connection, str):
            known = psycopg.conninfo.conninfo_to_dict(self._connection).get("password")
        else:
            known = self._connection.get("password")
        return text.replace(str(known), "***") if known else text


def _quoted(conn: psycopg.Connection[Any], layout: Layout) -> str:
    return sql.Identifier(*layout.table).as_string(conn)


def _session(conn: psycopg.Connection[Any], name: str, layout: Layout) -> Session:
    row = conn.execute(layout.extent()).fetchone()
    assert row is not None  # an aggregate has one row
    first, last, n_rows, unclocked = row
    if first is None:
        raise SourceError(f"{layout.name} has no rows of session {name!r}: nothing to read")
    if unclocked:
        logger.debug("%d rows of %s have no frame number", unclocked, layout.name)
    unique = layout.kind != "wide" or introspection.clock_is_unique(conn, layout)
    origin = layout.clock.origin
    since = "" if origin is None else origin.isoformat()
    return Session(name, int(first), int(last) + 1, int(n_rows), unique, since)


_FINAL = (psycopg.errors.QueryCanceled, psycopg.errors.DiskFull)


def _failure(error: psycopg.Error, clean: Callable[[str], str]) -> SourceError:
    """An error of psycopg as ours; raised outside the ``except``, nothing is chained."""
    lost = isinstance(error, psycopg.OperationalError) and not isinstance(error, _FINAL)
    why = clean(" ".join(str(error).split())) or type(error).__name__
    return (ConnectionLost if lost else SourceError)(f"the database refused or failed: {why}")


def _guarded(clean: Callable[[str], str], work: Callable[[], T]) -> T:
    try:
        return work()
    except psycopg.Error as error:
        failure = _failure(error, clean)
    raise failure


class _Snapshot:
    """One state of the database, shared by connections."""

    def __init__(self, source: PostgresSource) -> None:
        self._source, self._lock = source, threading.Lock()
        self._conn: psycopg.Connection[Any] | None = None
        self._name = ""

    def enter(self, conn: psycopg.Connection[Any]) -> None:
        """Put a connection into the snapshot; a new one where the leader was lost."""
        with self._lock:
            if self._conn is None or not self._alive():
                self._export()
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._name)))

    def _alive(self) -> bool:
        assert self._conn is not None
        try:
            self._conn.execute("SELECT 1")
        except psycopg.Error:
            self.close()
            return False
        return True

    def _export(self) -> None:
        self._conn = self._source.connect()
        row = self._conn.execute("SELECT pg_export_snapshot()").fetchone()
        self._name = str(row and row[0])

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


class PostgresReader:
    """One connection in the snapshot."""

    def __init__(self, source: PostgresSource, snapshot: _Snapshot) -> None:
        self._source, self._snapshot = source, snapshot
        self._conn: psycopg.Connection[Any] | None = None
        self._versions: dict[Any, str] = {}  # a row of a wide table is everybody's
        self.beat: float | None = None  # when the last byte came, while reading
        self.n_bytes = 0

    def faces(
        self, session: str, subjects: Sequence[Subject], start: int, stop: int
    ) -> dict[Subject, int]:
        """Frames with a cell; see :class:`Reader`."""
        layout = self._source.layout(session)
        there = [name for name in subjects if layout.has(name)]
        found = self._all(layout.faces(there, start, stop)) if there else []
        if layout.kind == "wide" and found:
            found = list(zip(there, found[0], strict=True))
        counts: dict[Subject, int] = dict(found)
        return {name: counts.get(name, 0) for name in subjects}

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """Shapes of one subject; see :class:`Reader`."""
        found: Shapes = Counter()
        for *shape, n in self._all(self._source.layout(session).shapes(subject, start, stop)):
            found[_dims(shape)] += n
        return found

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block; see :class:`Reader`."""
        layout = self._source.layout(block.session)
        what = (block.subject, block.start, block.until)
        block.version = self.version(block.session, *what)
        if not layout.has(block.subject):
            return
        for run in runs(self._rows(layout, what, block.counts), layout.cell):
            place(run, layout.cell)
        where = self._source.place(block.session)
        if where is not None and where.has(block.subject):
            for run in runs(self._rows(where, what, Counts()), where.cell):
                block.place_position(run, where.cell)

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """Transactions that wrote the rows; see :class:`Reader`.

        A row that is updated or inserted has a new ``xmin``, and looking at it unpacks nothing
        (0.3 us a row). What has no ``xmin``, a view for one, is counted only.
        """
        places = (self._source.layout(session), self._source.place(session))
        found = [self._version(p, subject, start, stop) for p in places if p is not None]
        return "/".join(found)

    def _version(self, layout: Layout, subject: Subject, start: int, stop: int) -> str:
        if not layout.has(subject):
            return "-"
        key = (layout, None if layout.kind == "wide" else subject, start, stop)
        if key not in self._versions:
            self._versions[key] = _guarded(
                self._source.clean,
                lambda: layout.version(self._open(), subject, start, stop),
            )
        return self._versions[key]

    def cancel(self) -> None:
        """Stop what runs; see :class:`Reader`."""
        if self._conn is not None and not self._conn.closed:
            try:
                self._conn.cancel_safe(timeout=2)
            except psycopg.Error:
                logger.debug("the server did not take the cancellation")

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def reconnect(self) -> None:
        """A fresh connection in the snapshot; see :class:`Reader`."""
        self.close()
        _guarded(self._source.clean, self._enter)

    def _enter(self) -> None:
        self._conn = self._source.connect(idle_s=600)
        self._versions.clear()  # the snapshot may be a new one
        self._snapshot.enter(self._conn)

    def shut(self) -> None:
        """Break the connection under a reading that hangs, from another thread."""
        if self._conn is not None and not self._conn.closed:
            with socket.socket(fileno=os.dup(self._conn.fileno())) as sock:
                sock.shutdown(socket.SHUT_RDWR)

    def _open(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            raise ConnectionLost("the connection is closed")
        return self._conn

    def _all(self, query: sql.Composed) -> list[Any]:
        return _guarded(self._source.clean, lambda: self._open().execute(query).fetchall())

    def _rows(
        self, layout: Layout, what: tuple[Subject, int, int], counts: Counts
    ) -> Iterator[Message]:
        subject, start, stop = what
        try:
            for a, b in pieces(layout.borders, start, stop):
                query = layout.copy(subject, a, b)
                with self._open().cursor() as cursor, cursor.copy(query) as copy:
                    yield from distinct(rows(self._messages(copy)), counts)
            return
        except psycopg.Error as error:
            failure = _failure(error, self._source.clean)
        finally:
            self.beat = None
        raise failure

    def _messages(self, copy: psycopg.Copy) -> Iterator[Message]:
        self.beat = time.monotonic()
        while data := copy.read():
            self.n_bytes += len(data)
            yield data
            self.beat = time.monotonic()


def _dims(shape: Sequence[Any]) -> tuple[int, ...]:
    """``'[1:20][1:12]'``, or the numbers themselves,, as ``(20, 12)``; if empty, ``()``."""
    if len(shape) == 1:
        pairs = re.findall(r"\[(-?\d+):(-?\d+)\]", shape[0] or "")
        return tuple(int(high) - int(low) + 1 for low, high in pairs)
    return tuple(int(n or 0) for n in shape)


@contextmanager
def _watchdog(readers: Sequence[PostgresReader], stall_s: float) -> Iterator[None]:
    """Break connections that send nothing: keep-alives do not see a hole behind a forwarder."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(min(1.0, stall_s / 4)):
            for reader in readers:
                if reader.beat is not None and time.monotonic() - reader.beat > stall_s:
                    logger.debug("no byte for %g s: the connection is broken off", stall_s)
                    reader.shut()

    thread = threading.Thread(target=watch, name="fhemb-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
