"""One connection in the snapshot of a PostgreSQL source: counts, shapes, frames, versions."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from ingest.postgres import connections
from ingest.postgres.connections import Door, Line, Snapshot, guarded
from ingest.postgres.copy_decoder import PACKED_AT, Message, distinct, rows, runs
from ingest.postgres.hypertables import pieces
from ingest.postgres.layouts import Layout
from ingest.shards import Block, Counts, Subject
from ingest.source import ConnectionLost, Shapes

T = TypeVar("T")


class Tables(Protocol):
    """What a reader needs of its source: the tables of each session, and connections."""

    door: Door
    stall_s: float

    def layout(self, session: str) -> Layout:
        """Layout of the table of matrices of a session."""

    def place(self, session: str) -> Layout | None:
        """Layout of the table of face centres of a session; None if there is none."""


class PostgresReader:
    """One connection in the snapshot."""

    def __init__(self, source: Tables, snapshot: Snapshot) -> None:
        self._source, self._snapshot, self.line = source, snapshot, Line()
        self._versions: dict[Any, str] = {}  # a row of a wide table is everybody's
        self._promises: dict[Any, int] = {}
        self.n_bytes = self.n_pixels = 0

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
        layout, shapes = self._source.layout(session), Shapes()
        if layout.has(subject):
            for *shape, n in self._all(layout.shapes(subject, start, stop)):
                shapes[_dims(shape)] += n
        return shapes

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block; see :class:`Reader`."""
        layout = self._source.layout(block.session)
        what = (block.subject, block.start, block.until)
        if not layout.has(block.subject):
            block.version = self.version(block.session, *what)
            return
        before = self.n_pixels
        for run in runs(self._rows(layout, what, block.counts), layout.cell):
            place(run, layout.cell)
        if layout.kind == "long":  # each row is a pixel: they need not be counted again
            self._versions[_key(layout, *what)] = f"{self.n_pixels - before}:0"
        block.version = self.version(block.session, *what)
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

    def promise(self, session: str, subject: Subject, start: int, stop: int) -> int | None:
        """Rows of one subject, except of pixels; see :class:`Reader`."""
        layout = self._source.layout(session)
        if layout.kind == "long" or not layout.has(subject):
            return None
        key = _key(layout, subject, start, stop)
        if key not in self._promises:
            self._promises[key] = int(self._all(layout.rows(subject, start, stop))[0][0])
        return self._promises[key]

    def _version(self, layout: Layout, subject: Subject, start: int, stop: int) -> str:
        if not layout.has(subject):
            return "-"
        key = _key(layout, subject, start, stop)
        if key not in self._versions:
            self._versions[key] = self._asked(
                lambda: layout.version(self._open(), subject, start, stop)
            )
        return self._versions[key]

    def cancel(self) -> None:
        """Stop what runs; see :class:`Reader`."""
        self.line.cancel()

    def reconnect(self) -> None:
        """A fresh connection in the snapshot; see :class:`Reader`."""
        self.line.close()
        guarded(self._source.door.clean, self._enter)

    def _enter(self) -> None:
        self.line.conn = self._source.door.open(idle_s=600)
        self._versions.clear()
        with self.line.within(self._source.stall_s):
            self._snapshot.enter(self.line.conn)

    def _open(self) -> psycopg.Connection[Any]:
        if self.line.conn is None:
            raise ConnectionLost("the connection is closed")
        return self.line.conn

    def _all(self, query: sql.Composed) -> list[Any]:
        return self._asked(lambda: self._open().execute(query).fetchall())

    def _asked(self, question: Callable[[], T]) -> T:
        """A count may take long: the server ends it, and its silence after that is a hole."""
        with self.line.within(self._source.door.statement_s + self._source.stall_s):
            return guarded(self._source.door.clean, question)

    def _rows(
        self, layout: Layout, what: tuple[Subject, int, int], counts: Counts
    ) -> Iterator[Message]:
        subject, start, stop = what
        self.line.expect(self._source.stall_s)  # the beginning of an answer, too
        try:
            for a, b in pieces(layout.borders, start, stop):
                query = layout.copy(subject, a, b)
                with self._open().cursor() as cursor, cursor.copy(query) as copy:
                    found = rows(self._messages(copy))
                    if layout.kind == "long":
                        found = self._counted(found)
                    yield from distinct(found, counts)
            return
        except psycopg.Error as error:
            lost = connections.failure(error, self._source.door.clean)
        finally:
            self.line.due = None
        raise lost

    def _counted(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Pixels of a long table on their way, which are its rows."""
        for message in messages:
            self.n_pixels += (len(message) - PACKED_AT) // 4
            yield message

    def _messages(self, copy: psycopg.Copy) -> Iterator[Message]:
        self.line.expect(self._source.stall_s)
        while data := copy.read():
            self.n_bytes += len(data)
            yield data
            self.line.expect(self._source.stall_s)


def _key(layout: Layout, subject: Subject, start: int, stop: int) -> Any:
    return layout, None if layout.kind == "wide" else subject, start, stop


def _dims(shape: Sequence[Any]) -> tuple[int, ...]:
    """``'[1:20][1:12]'``, or the numbers themselves,, as ``(20, 12)``; if empty, ``()``."""
    if len(shape) == 1:
        pairs = re.findall(r"\[(-?\d+):(-?\d+)\]", shape[0] or "")
        return tuple(int(high) - int(low) + 1 for low, high in pairs)
    return tuple(int(n or 0) for n in shape)
