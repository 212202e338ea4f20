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
    """One connection in the snapshot; see :class:`ingest.source.Reader`."""

    def __init__(self, source: Tables, snapshot: Snapshot) -> None:
        self._source, self._snapshot, self.line = source, snapshot, Line()
        self._versions: dict[Any, str] = {}  # all people share the rows of a wide table
        self._promises: dict[Any, int] = {}
        self.n_bytes = self.n_pixels = 0

    def faces(
        self, session: str, subjects: Sequence[Subject], start: int, stop: int
    ) -> dict[Subject, int]:
        """Number of frames with a cell, by subject."""
        layout = self._source.layout(session)
        present = [name for name in subjects if layout.has(name)]
        answer = self._all(layout.faces(present, start, stop)) if present else []
        if layout.kind == "wide" and answer:
            answer = list(zip(present, answer[0], strict=True))
        counts: dict[Subject, int] = dict(answer)
        return {name: counts.get(name, 0) for name in subjects}

    def shapes(self, session: str, subject: Subject, start: int, stop: int) -> Shapes:
        """Number of frames of each shape."""
        layout, shapes = self._source.layout(session), Shapes()
        if layout.has(subject):
            for *shape, n in self._all(layout.shapes(subject, start, stop)):
                shapes[_dims(shape)] += n
        return shapes

    def read(self, block: Block, place: Callable[..., None]) -> None:
        """Fill a block, with its version and positions."""
        layout = self._source.layout(block.session)
        span = (block.subject, block.start, block.until)
        if not layout.has(block.subject):
            block.version = self.version(block.session, *span)
            return
        before = self.n_pixels
        for run in runs(self._rows(layout, span, block.counts), layout.cell):
            place(run, layout.cell)
        if layout.kind == "long":  # each row is a pixel, so the rows are counted already
            self._versions[_key(layout, *span)] = f"{self.n_pixels - before}:0"
        block.version = self.version(block.session, *span)
        positions = self._source.place(block.session)
        if positions is not None and positions.has(block.subject):
            for run in runs(self._rows(positions, span, Counts()), positions.cell):
                block.place_position(run, positions.cell)

    def version(self, session: str, subject: Subject, start: int, stop: int) -> str:
        """Number of rows, and a sum over the transactions that wrote them.

        A row that is updated or inserted has a new ``xmin``. Reading it unpacks nothing, and
        takes 0.3 µs per row. Rows without ``xmin``, such as those of a view, are only counted.
        """
        tables = (self._source.layout(session), self._source.place(session))
        versions = [self._version(t, subject, start, stop) for t in tables if t is not None]
        return "/".join(versions)

    def promise(self, session: str, subject: Subject, start: int, stop: int) -> int | None:
        """Number of rows of one subject; None for tables with a row per pixel."""
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
        """Stop the running statement, from another thread."""
        self.line.cancel()

    def reconnect(self) -> None:
        """Open a new connection in the snapshot."""
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
        """Ask a question; a longer silence than ``statement_s`` + ``stall_s`` is a dead line.

        A count may be slow; the server stops it at ``statement_timeout``.
        """
        with self.line.within(self._source.door.statement_s + self._source.stall_s):
            return guarded(self._source.door.clean, question)

    def _rows(
        self, layout: Layout, span: tuple[Subject, int, int], counts: Counts
    ) -> Iterator[Message]:
        subject, start, stop = span
        self.line.expect(self._source.stall_s)  # also for the first byte of the answer
        try:
            for a, b in pieces(layout.borders, start, stop):
                query = layout.copy(subject, a, b)
                with self._open().cursor() as cursor, cursor.copy(query) as copy:
                    messages = rows(self._messages(copy))
                    if layout.kind == "long":
                        messages = self._counted(messages)
                    yield from distinct(messages, counts)
            return
        except psycopg.Error as error:
            lost = connections.failure(error, self._source.door.clean)
        finally:
            self.line.due = None
        raise lost

    def _counted(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Pass on the frames of a long table, and count their pixels, which are its rows."""
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
    """``'[1:20][1:12]'``, or two numbers, as ``(20, 12)``; an empty text as ``()``."""
    if len(shape) == 1:
        pairs = re.findall(r"\[(-?\d+):(-?\d+)\]", shape[0] or "")
        return tuple(int(high) - int(low) + 1 for low, high in pairs)
    return tuple(int(n or 0) for n in shape)
