"""How a table keeps its matrices, and the SQL that reads it.

*wide*: a row per frame, a column per subject (``subj40``), a cell a matrix or NULL; bytes have
columns of their shape beside them (``subj40_height``, ``subj40_width``) or in the row.
*tall*: a row per subject and frame, one column of matrices.
*long*: a row per pixel; the server packs each frame into bytes, in four fifths less traffic.

Whatever the layout, a reading is ``(clock, cell)`` or ``(clock, rows, columns, bytea)`` in the
order of the clock, an int8: the decoder need not know. A ``timestamptz`` clock becomes frame
numbers on the server, by the sampling rate. Identifiers enter SQL through ``psycopg.sql`` only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import NotSupportedError, ProgrammingError, sql

from ingest.shards import Cell, Subject


@dataclass(frozen=True)
class Clock:
    """The column that orders frames."""

    column: str
    rate_hz: float = 25.0
    origin: Any = None  # of a timestamptz: the time of frame 0; None: an integer

    def frame(self) -> sql.Composable:
        """The frame number, as int8."""
        column = sql.Identifier(self.column)
        if self.origin is None:
            return sql.SQL("{}::int8").format(column)
        return sql.SQL("round(extract(epoch FROM {} - {}) * {})::int8").format(
            column, sql.Literal(self.origin), sql.Literal(self.rate_hz)
        )

    def between(self, start: int, stop: int) -> sql.Composable:
        """A condition on the bare column, which an index and a hypertable understand."""
        column = sql.Identifier(self.column)
        low, high = (self._edge(frame) for frame in (start, stop))
        return sql.SQL("{c} >= {low} AND {c} < {high}").format(c=column, low=low, high=high)

    def _edge(self, frame: int) -> sql.Composable:
        if self.origin is None:
            return sql.Literal(frame)
        micros = math.ceil((frame - 0.5) * 1e6 / self.rate_hz)  # a frame starts half before it
        return sql.SQL("{} + {} * interval '1 microsecond'").format(
            sql.Literal(self.origin), sql.Literal(micros)
        )


@dataclass(frozen=True)
class Layout:
    """One session in one table."""

    kind: str
    table: tuple[str, str]
    clock: Clock
    cell: Cell
    wide: tuple[tuple[Subject, tuple[str, ...]], ...] = ()  # subject and its cells
    cells: tuple[str, ...] = ()  # tall: the matrix, or rows, columns, bytes; long: y, x, value
    subject: str | None = None  # column
    session: tuple[str, Any] | None = None  # column and value
    borders: tuple[int, ...] = ()  # frames at which a chunk of a hypertable ends
    compressed: int = 0  # chunks of a hypertable that are compressed

    @property
    def name(self) -> str:
        """``schema.table``."""
        return ".".join(self.table)

    def has(self, subject: Subject) -> bool:
        """Whether a subject can be asked for here."""
        return self.kind != "wide" or subject in dict(self.wide)

    def select(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """The rows of one subject in ``[start, stop)``."""
        if self.kind == "long":
            return self._packed(subject, start, stop)
        columns = [sql.Identifier(c) for c in self._cells(subject)]
        if len(columns) == 3:
            columns[:2] = [sql.SQL("{}::int4").format(c) for c in columns[:2]]  # type: ignore[misc]
        return sql.SQL("SELECT {}, {} FROM {} WHERE {} ORDER BY {}").format(
            self.clock.frame(),
            sql.SQL(", ").join(columns),
            sql.Identifier(*self.table),
            self._where(subject, start, stop),
            sql.Identifier(self.clock.column),
        )

    def copy(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """As :meth:`select`, streamed; ``COPY table`` would send nothing of a hypertable."""
        inner = self.select(subject, start, stop)
        return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(inner)

    def shapes(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """Shapes and how many frames have each; an array's needs it unpacked by the server."""
        names = {"c": sql.Identifier(self.clock.column), "t": sql.Identifier(*self.table)}
        where = self._where(subject, start, stop)
        cells = [sql.Identifier(c) for c in self._cells(subject)]
        if self.kind == "long":
            return sql.SQL("SELECT max({y}) + 1, max({x}) + 1, {n} FROM {t} WHERE {w}").format(
                y=cells[0], x=cells[1], n=self._corners(), w=where, **names
            )
        if len(cells) == 3:
            return sql.SQL(
                "SELECT {h}, {w}, count(*) FROM {t} WHERE {where} AND {d} IS NOT NULL"
                " GROUP BY 1, 2"
            ).format(h=cells[0], w=cells[1], d=cells[2], where=where, **names)
        return sql.SQL(
            "SELECT array_dims({m}), count(*) FROM {t} WHERE {w} AND {m} IS NOT NULL GROUP BY 1"
        ).format(m=cells[0], w=where, **names)

    def faces(self, subjects: Sequence[Subject], start: int, stop: int) -> sql.Composed:
        """Frames with a cell, for each subject, in one look that unpacks nothing."""
        table, between = sql.Identifier(*self.table), self.clock.between(start, stop)
        if self.kind == "wide":
            columns = [sql.Identifier(c[-1]) for who, c in self.wide if who in subjects]
            counts = [sql.SQL("count({})").format(c) for c in columns]
            return sql.SQL("SELECT {} FROM {} WHERE {}").format(
                sql.SQL(", ").join(counts), table, between
            )
        last = sql.Identifier(self.cells[-1])
        n = self._corners() if self.kind == "long" else sql.SQL("count({})").format(last)
        return sql.SQL("SELECT {s}, {n} FROM {t} WHERE {b} {a} GROUP BY 1").format(
            s=sql.Identifier(str(self.subject)), n=n, t=table, b=between, a=self.of_session()
        )

    def _corners(self) -> sql.Composed:
        """Frames of a long table: five times faster to count than different clocks.

        A frame has its corner, pixel (0, 0), or it is misshapen and counts as none.
        """
        y, x = (sql.Identifier(c) for c in self.cells[:2])
        return sql.SQL("count(*) FILTER (WHERE {y} = 0 AND {x} = 0)").format(y=y, x=x)

    def extent(self) -> sql.Composed:
        """First and last frame, rows, and rows without a clock."""
        clock = sql.Identifier(self.clock.column)
        frame = self.clock.frame()
        where = sql.SQL("WHERE true {}").format(self.of_session())
        return sql.SQL(
            "SELECT min({f}), max({f}), count(*), count(*) - count({c}) FROM {t} {w}"
        ).format(f=frame, c=clock, t=sql.Identifier(*self.table), w=where)

    def rows(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """The number of rows of one subject."""
        return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
            sql.Identifier(*self.table), self._where(subject, start, stop)
        )

    def version(self, conn: Any, subject: Subject, start: int, stop: int) -> str:
        """Rows, and a sum over the transactions that wrote them; 0 where nothing tells it."""
        table, where = sql.Identifier(*self.table), self._where(subject, start, stop)
        query = sql.SQL("SELECT count(*), {} FROM {} WHERE {}")
        wrote = sql.SQL("sum(hashint8extended({}, xmin::text::int8))").format(
            self.clock.frame()
        )
        try:
            if self.kind == "long":  # five thousand rows a frame: dearer than reading them
                raise NotSupportedError
            with conn.transaction():  # within the reader's: an error leaves the snapshot alone
                n, total = conn.execute(query.format(wrote, table, where)).fetchone()
        except (ProgrammingError, NotSupportedError):
            n, total = conn.execute(query.format(sql.SQL("0"), table, where)).fetchone()
        return f"{n}:{total or 0}"

    def _cells(self, subject: Subject) -> tuple[str, ...]:
        return dict(self.wide)[subject] if self.kind == "wide" else self.cells

    def _where(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        between = self.clock.between(start, stop)
        if self.kind == "wide":
            return sql.SQL("{}").format(between)
        return sql.SQL("{} AND {} = {} {}").format(
            between, sql.Identifier(str(self.subject)), sql.Literal(subject), self.of_session()
        )

    def of_session(self) -> sql.Composable:
        """A further condition, where a table holds several sessions."""
        if self.session is None:
            return sql.SQL("")
        column, value = self.session
        return sql.SQL("AND {} = {}").format(sql.Identifier(column), sql.Literal(value))

    def _packed(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """Pixels gathered into frames by the server, in the order of an index.

        Grouped by the bare column: the sorted rows are groups then, which a cast would hide
        from the planner. A pixel that is NULL is NaN, as in an array.
        """
        y, x, value = (sql.Identifier(c) for c in self.cells)
        return sql.SQL(
            "SELECT {f}, (max({y}) + 1)::int4, (max({x}) + 1)::int4,"
            " string_agg(float4send(coalesce({v}::float4, 'NaN')), ''::bytea) FROM ("
            "SELECT {c}, {y}, {x}, {v} FROM {t} WHERE {w} ORDER BY {c}, {y}, {x}) AS pixels"
            " GROUP BY {c} ORDER BY {c}"
        ).format(
            f=self.clock.frame(),
            y=y,
            x=x,
            v=value,
            t=sql.Identifier(*self.table),
            w=self._where(subject, start, stop),
            c=sql.Identifier(self.clock.column),
        )
