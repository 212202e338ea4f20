"""A PostgreSQL database as a source of frames."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from fhemb_xr.errors import SourceError, nearest
from ingest.hints import Hints
from ingest.postgres import clocks, connections, doubts, introspection
from ingest.postgres.connections import Door, Snapshot, Way, guarded
from ingest.postgres.hypertables import with_borders
from ingest.postgres.layouts import Layout
from ingest.postgres.reader import PostgresReader
from ingest.shards import Subject
from ingest.source import Found, Session

logger = logging.getLogger(__name__)


class PostgresSource:
    """Frames in PostgreSQL, with or without TimescaleDB.

    Parameters
    ----------
    connection
        Parameters of libpq, or a conninfo string. They are never shown and never pickled.
    schema, table
        Schema and table of the matrices; each schema of a sequence is one session.
    positions
        Table of face centres in the same schema. ``"auto"`` takes ``faceposition_t`` or
        ``faceposition`` if it exists; None reads none.
    hints
        Facts that a look at the table cannot show.
    way
        Tunnel to the database, see :func:`ingest.ssh.tunnel.tunnel`; a dead tunnel is renewed.
    statement_s, stall_s
        Longest statement, and longest silence of the server [s].
    """

    def __init__(
        self,
        connection: Mapping[str, object] | str,
        schema: str | Sequence[str],
        table: str = "face_t",
        *,
        positions: str | None = "auto",
        hints: Hints | None = None,
        way: Way | None = None,
        statement_s: float = 3600.0,
        stall_s: float = 60.0,
    ) -> None:
        self.door = Door(connection, way, statement_s)
        self.schemas = (schema,) if isinstance(schema, str) else tuple(schema)
        self.table, self.positions, self.hints = table, positions, hints or Hints()
        self.stall_s = stall_s
        self._layouts: dict[str, Layout] | None = None
        self._places: dict[str, Layout] = {}
        self._first_rows: dict[str, clocks.FirstRows] = {}
        self._origins: dict[str, str] = {}  # origins in the store that is filled
        self._rate_hz: float | None = None

    def __repr__(self) -> str:
        return f"PostgresSource({'+'.join(self.schemas)}.{self.table})"

    def connect(self) -> psycopg.Connection[Any]:
        """Open a read-only connection outside any transaction; see :meth:`Door.open`."""
        return self.door.open()

    def count_like(self, sessions: Sequence[Session], rate_hz: float | None) -> None:
        """Count frames from the origins of a store; see :class:`ingest.source.Timed`."""
        hint_hz = self.hints.rate_hz
        origins = {s.name: s.origin for s in sessions}
        timed = any(origins.values()) or not origins
        if rate_hz and hint_hz and rate_hz != hint_hz and timed:
            raise SourceError(
                f"asked for {rate_hz:g} frames a second, the layout says {hint_hz:g}: say one "
                "rate"
            )
        if (origins, rate_hz) != (self._origins, self._rate_hz):
            self._origins, self._rate_hz, self._layouts = origins, rate_hz, None

    def found(self) -> Found:
        """Look at the tables; see :class:`Source`."""
        return guarded(self.door.clean, self._found)

    def _found(self) -> Found:
        longest = self.door.statement_s + self.stall_s
        with self.connect() as conn, connections.watched(conn, longest):
            layouts = self._look(conn)
            sessions = tuple(_session(conn, name, lay) for name, lay in layouts.items())
            people: dict[Subject, None] = {}
            for layout in layouts.values():
                people.update(dict.fromkeys(introspection.subjects(conn, layout)))
            odd = [d for s in sessions for d in self._doubts(conn, s, layouts[s.name])]
            blind = tuple(
                dict.fromkeys(d for lay in layouts.values() for d in _blind(conn, lay))
            )
        first = next(iter(layouts.values()))
        return Found(
            name="+".join(self.schemas) + "." + self.table,
            layout=first.kind,
            cell=first.cell.name,
            sessions=sessions,
            subjects=tuple(people),
            positions=next((p.name for p in self._places.values()), None),
            doubts=(*dict.fromkeys(odd), *blind),
            blind=blind,
            # a clock of times uses its rate, given or assumed; frame numbers show no rate
            rate_hz=first.clock.rate_hz if first.clock.origin else self.hints.rate_hz,
        )

    @contextmanager
    def readers(self, n: int) -> Iterator[list["PostgresReader"]]:
        """Yield ``n`` readers that share one snapshot, watched by a watchdog."""
        with ExitStack() as stack:
            if self._layouts is None:
                self.found()
            snapshot = Snapshot(self.door, self.stall_s)
            stack.callback(snapshot.close)
            readers = [PostgresReader(self, snapshot) for _ in range(n)]
            lines = [snapshot, *(r.line for r in readers)]
            stack.enter_context(connections.watchdog(lines, self.stall_s))
            for reader in readers:
                stack.callback(reader.line.close)
                reader.reconnect()
            yield readers

    def layout(self, session: str) -> Layout:
        """The layout of the table of one session."""
        if self._layouts is None or session not in self._layouts:
            raise SourceError(f"no session {session!r}{nearest(session, self._layouts or ())}")
        return self._layouts[session]

    def place(self, session: str) -> Layout | None:
        """The layout of the table of face centres of one session; None if there is none."""
        return self._places.get(session)

    def _look(self, conn: psycopg.Connection[Any]) -> dict[str, Layout]:
        self._layouts, self._places, self._first_rows = {}, {}, {}
        hints = replace(self.hints, rate_hz=self._rate_hz or self.hints.rate_hz)
        for schema in self.schemas:
            layouts = introspection.find(conn, schema, self.table, hints)
            for name, layout in layouts.items():
                self._layouts[name] = with_borders(conn, self._counted(conn, name, layout))
            for name, place in self._look_for_positions(conn, schema).items():
                if name in self._layouts:  # both tables have the same clock and origin
                    origin = self._layouts[name].clock.origin
                    clock = replace(place.clock, origin=origin)
                    self._places[name] = with_borders(conn, replace(place, clock=clock))
        return self._layouts

    def _counted(self, conn: psycopg.Connection[Any], name: str, layout: Layout) -> Layout:
        """``layout`` with its origin: the store's, or the median phase of its first rows."""
        timed, stored = layout.clock.origin is not None, self._origins.get(name)
        if stored is not None and timed != bool(stored):
            raise SourceError(
                f"the store counts session {name!r} from {stored or 'frame 0'}, the clock of "
                f"{layout.name} holds {'times' if timed else 'numbers'}: this is another source"
            )
        if not timed:
            return layout
        if stored:
            origin: datetime | None = datetime.fromisoformat(stored)
        else:
            rows_ = self._first_rows[name] = clocks.first_rows(conn, layout)
            origin = rows_.origin(layout.clock.rate_hz)
        return replace(layout, clock=replace(layout.clock, origin=origin))

    def _look_for_positions(
        self, conn: psycopg.Connection[Any], schema: str
    ) -> dict[str, Layout]:
        if self.positions is None:
            return {}
        auto = self.positions == "auto"
        names = ("faceposition_t", "faceposition") if auto else (self.positions,)
        rate_hz = self._rate_hz or self.hints.rate_hz
        scale = self.hints.scale or 1.0
        hints = replace(self.hints, scale=scale, subjects=None, rate_hz=rate_hz)
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
        yield from doubts.of_table(conn, layout)
        yield from doubts.of_rows(conn, session, layout)
        if session.name in self._first_rows:
            known = bool(self._rate_hz or self.hints.rate_hz)
            rows_ = self._first_rows[session.name]
            yield from clocks.doubts(session.name, layout, rows_, known)
        if session.name not in self._places:
            yield f"session {session.name!r}: no table of positions; positions stay missing"


def _blind(conn: psycopg.Connection[Any], layout: Layout) -> Iterator[str]:
    if why := doubts.blind(conn, layout):
        yield f"{layout.name}: {why}: a later run does not see corrections, --reread does"


def _session(conn: psycopg.Connection[Any], name: str, layout: Layout) -> Session:
    row = conn.execute(layout.extent()).fetchone()
    assert row is not None  # an aggregate has one row
    first, last, n_rows, unclocked = row
    if first is None:
        raise SourceError(f"{layout.name} has no rows of session {name!r}: nothing to read")
    if unclocked:
        logger.debug("%d rows of %s have no frame number", unclocked, layout.name)
    origin = layout.clock.origin  # different times may fall on one frame
    unique = layout.kind != "wide" or (
        origin is None and introspection.clock_is_unique(conn, layout)
    )
    since = "" if origin is None else origin.isoformat()
    return Session(name, int(first), int(last) + 1, int(n_rows), unique, since)
