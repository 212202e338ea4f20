"""Connections to PostgreSQL that never hang: limits on the server, a snapshot, a watchdog.

Each connection has limits for a statement, for a lock, and for idleness in a transaction. The
server checks that its client is still there, so no backend outlives us. The server cannot know
that a dead tunnel has lost its answer. The watchdog notices this: it breaks the connection, and
the read is tried again on another one.

Errors of psycopg are replaced and not chained: no error holds a parameter of a connection.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from fhemb_xr.errors import SourceError
from ingest.source import ConnectionLost, SnapshotLost

T = TypeVar("T")
NAME = "fhemb_xr ingest"
CONNECT_S, LOCK_S, CHECK_S = 15, 30, 5
logger = logging.getLogger(__name__)


class Way(Protocol):
    """A tunnel: its local address, and a way to renew it."""

    address: tuple[str, int]

    def renew(self, failed: tuple[str, int]) -> tuple[str, int]:
        """Open a new tunnel, unless there is a newer one than ``failed``."""


class Door:
    """Opens connections, and keeps the password secret.

    Parameters
    ----------
    connection
        Parameters of libpq, or a conninfo string.
    way
        Tunnel to the server; the names in ``connection`` stay, for ``.pgpass`` and
        certificates.
    statement_s
        Longest statement [s].
    """

    def __init__(
        self, connection: Mapping[str, object] | str, way: Way | None, statement_s: float
    ) -> None:
        self._connection, self._way, self.statement_s = connection, way, statement_s

    def __reduce__(self) -> Any:
        raise TypeError(
            "a source holds a password and cannot be pickled: make it in the process that "
            "uses it"
        )

    def open(self, idle_s: float = 0) -> psycopg.Connection[Any]:
        """Open a read-only connection outside any transaction.

        A dead tunnel may still listen. If nobody answers, a new tunnel is tried.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        if self._way is None:
            return self._open(idle_s, {})
        address = self._way.address
        try:
            return self._open(idle_s, _at(address))
        except SourceError as error:
            if "FATAL" in str(error):  # the server itself has answered
                raise
        return self._open(idle_s, _at(self._way.renew(address)))

    def _open(self, idle_s: float, where: dict[str, object]) -> psycopg.Connection[Any]:
        given = _limits(self.statement_s, idle_s)
        try:
            if isinstance(self._connection, str):
                conn = psycopg.connect(self._connection, **(given | where))
            else:
                conn = psycopg.connect(**(given | dict(self._connection) | where))
            conn.read_only, conn.isolation_level = True, psycopg.IsolationLevel.REPEATABLE_READ
            _look_after_us(conn)
            return conn
        except psycopg.Error as error:
            why = " ".join(str(error).split())
        raise SourceError(f"cannot connect to the database: {self.clean(why)}")

    def clean(self, text: str) -> str:
        """A message of the server without the password, which it may repeat."""
        known: object
        if isinstance(self._connection, str):
            known = psycopg.conninfo.conninfo_to_dict(self._connection).get("password")
        else:
            known = self._connection.get("password")
        return text.replace(str(known), "***") if known else text


def _at(address: tuple[str, int]) -> dict[str, object]:
    return {"hostaddr": address[0], "port": address[1]}


def _limits(statement_s: float, idle_s: float) -> dict[str, Any]:
    limits = {
        "statement_timeout": int(statement_s * 1000),
        "lock_timeout": LOCK_S * 1000,
        "idle_in_transaction_session_timeout": int(idle_s * 1000),
        "tcp_keepalives_idle": 30,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
    }
    return {
        "connect_timeout": CONNECT_S,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "application_name": NAME,
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
    }


def _look_after_us(conn: psycopg.Connection[Any]) -> None:
    """Make the server end a statement whose client is gone."""
    if conn.info.server_version < 140000:
        return
    conn.autocommit = True
    with suppress(psycopg.DataError):  # some systems cannot do this
        conn.execute(
            "SELECT set_config('client_connection_check_interval', %s, false)", (f"{CHECK_S}s",)
        )
    conn.autocommit = False


_FINAL = (psycopg.errors.QueryCanceled, psycopg.errors.DiskFull)


def failure(error: psycopg.Error, clean: Callable[[str], str]) -> SourceError:
    """Our error for an error of psycopg; raise it outside the ``except``, to chain nothing."""
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return SourceError(
            f"the table is locked for more than {LOCK_S} s: another user holds the lock, or a "
            "job of the database waits for it; try again later"
        )
    lost = isinstance(error, psycopg.OperationalError) and not isinstance(error, _FINAL)
    why = clean(" ".join(str(error).split())) or type(error).__name__
    return (ConnectionLost if lost else SourceError)(f"the database refused or failed: {why}")


def guarded(clean: Callable[[str], str], work: Callable[[], T]) -> T:
    """Run ``work``; errors of psycopg become ours."""
    try:
        return work()
    except psycopg.Error as error:
        lost = failure(error, clean)
    raise lost


class Line:
    """One connection, with the time until which it may be silent."""

    def __init__(self) -> None:
        self.conn: psycopg.Connection[Any] | None = None
        self.due: float | None = None  # monotonic time; None: no answer is expected

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Expect an answer within ``seconds``, while the block runs."""
        self.expect(seconds)
        try:
            yield
        finally:
            self.due = None

    def expect(self, seconds: float) -> None:
        """Expect the next answer within ``seconds``."""
        self.due = time.monotonic() + seconds

    def cancel(self) -> None:
        """Stop the running statement from another thread, or break the connection."""
        if self.conn is None or self.conn.closed:
            return
        try:
            self.conn.cancel_safe(timeout=1)
        except psycopg.Error:
            logger.debug("the server did not take the cancellation")
            self.shut()

    def shut(self) -> None:
        """Break the connection of a hanging read, from another thread."""
        with suppress(psycopg.Error, OSError):  # closed meanwhile
            if self.conn is not None and not self.conn.closed:
                with socket.socket(fileno=os.dup(self.conn.fileno())) as sock:
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self.conn is not None:
            self.conn.close()
            self.conn = None


class Snapshot(Line):
    """One state of the database, held by one connection and shared by others."""

    def __init__(self, door: Door, stall_s: float) -> None:
        super().__init__()
        self._door, self._stall_s, self._lock = door, stall_s, threading.Lock()
        self._name: str | None = None

    def enter(self, conn: psycopg.Connection[Any]) -> None:
        """Put a connection into the snapshot.

        Raises
        ------
        SnapshotLost
            The connection that holds the snapshot broke, so this state is lost for ever.
        """
        with self._lock:
            if self._name is None:
                self._export()
            elif not self._is_alive():
                raise SnapshotLost("the connection that held the snapshot broke")
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._name)))

    def _is_alive(self) -> bool:
        try:
            if self.conn is None:
                return False
            with self.within(self._stall_s):
                self.conn.execute("SELECT 1")
            return True
        except psycopg.Error:
            self.close()
            return False

    def _export(self) -> None:
        self.conn = self._door.open()
        with self.within(self._stall_s):
            row = self.conn.execute("SELECT pg_export_snapshot()").fetchone()
        self._name = str(row and row[0])


@contextmanager
def watchdog(lines: Sequence[Line], stall_s: float) -> Iterator[None]:
    """Break silent connections: keep-alives do not notice a dead line behind a forwarder."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(min(1.0, stall_s / 4)):
            for line in lines:
                if line.due is not None and time.monotonic() > line.due:
                    logger.debug("nothing came in time: the connection is broken off")
                    line.due = None
                    line.shut()

    thread = threading.Thread(target=watch, name="fhemb-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def watched(conn: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Break a connection if the block takes longer than ``seconds``."""
    line = Line()
    line.conn = conn
    with watchdog([line], seconds), line.within(seconds):
        yield
