"""Layouts of tables of matrices, and the SQL that reads them.

====== ======================= ==============================================================
layout a row per               cells
====== ======================= ==============================================================
wide   frame                   a column per subject (``subj40``): matrix or NULL. Bytes have
                               columns with their shape (``subj40_height``, ``subj40_width``,
                               or common to the row)
tall   subject and frame       one column of matrices
long   pixel                   one number; the server packs each frame into bytes, which
                               saves four fifths of the traffic
====== ======================= ==============================================================

In every layout a read returns ``(clock, cell)`` or ``(clock, rows, columns, bytea)`` in the
order of the clock, an int8, so the decoder does not depend on the layout. The server turns a
``timestamptz`` clock into frame numbers by the sampling rate. Identifiers enter SQL through
``psycopg.sql`` only.
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
    origin: Any = None  # time of frame 0 of a timestamptz clock; None: the clock is an integer

    def frame(self) -> sql.Composable:
        """The frame number, as int8."""
        column = sql.Identifier(self.column)
        if self.origin is None:
            return sql.SQL("{}::int8").format(column)
        return sql.SQL("round(extract(epoch FROM {} - {}) * {})::int8").format(
            column, sql.Literal(self.origin), sql.Literal(self.rate_hz)
        )

    def between(self, start: int, stop: int) -> sql.Composable:
        """A condition on the bare column, so that indexes and hypertables can use it."""
        column = sql.Identifier(self.column)
        low, high = (self._edge(frame) for frame in (start, stop))
        return sql.SQL("{c} >= {low} AND {c} < {high}").format(c=column, low=low, high=high)

    def _edge(self, frame: int) -> sql.Composable:
        if self.origin is None:
            return sql.Literal(frame)
        micros = math.ceil((frame - 0.5) * 1e6 / self.rate_hz)  # start: half a frame earlier
        return sql.SQL("{} + {} * interval '1 microsecond'").format(
            sql.Literal(self.origin), sql.Literal(micros)
        )


@dataclass(frozen=True)
class Layout:
    """The layout of one session in one table."""

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
        """Whether the table may have rows of a subject."""
        return self.kind != "wide" or subject in dict(self.wide)

    def select(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """SQL that selects the rows of one subject in ``[start, stop)``."""
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
        """SQL that streams :meth:`select`; ``COPY table`` sends no rows of a hypertable."""
        inner = self.select(subject, start, stop)
        return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(inner)

    def shapes(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """SQL that counts the frames of each shape; the server must unpack arrays for it."""
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
        """SQL that counts the frames with a cell, for each subject, without unpacking."""
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
        """SQL that counts the frames of a long table by their pixels (0, 0).

        This is five times faster than counting different clock values. A frame without this
        pixel is misshapen and does not count.
        """
        y, x = (sql.Identifier(c) for c in self.cells[:2])
        return sql.SQL("count(*) FILTER (WHERE {y} = 0 AND {x} = 0)").format(y=y, x=x)

    def extent(self) -> sql.Composed:
        """SQL for first frame, last frame, number of rows, and rows without a clock."""
        clock = sql.Identifier(self.clock.column)
        frame = self.clock.frame()
        where = sql.SQL("WHERE true {}").format(self.of_session())
        return sql.SQL(
            "SELECT min({f}), max({f}), count(*), count(*) - count({c}) FROM {t} {w}"
        ).format(f=frame, c=clock, t=sql.Identifier(*self.table), w=where)

    def rows(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """SQL that counts the rows of one subject."""
        return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
            sql.Identifier(*self.table), self._where(subject, start, stop)
        )

    def version(self, conn: Any, subject: Subject, start: int, stop: int) -> str:
        """Number of rows, and a sum over the transactions that wrote them (0: unknown)."""
        table, where = sql.Identifier(*self.table), self._where(subject, start, stop)
        query = sql.SQL("SELECT count(*), {} FROM {} WHERE {}")
        wrote = sql.SQL("sum(hashint8extended({}, xmin::text::int8))").format(
            self.clock.frame()
        )
        try:
            if self.kind == "long":  # five thousand rows a frame: slower than reading them
                raise NotSupportedError
            with conn.transaction():  # nested, so that an error does not end the snapshot
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
        """A further condition, for a table with several sessions."""
        if self.session is None:
            return sql.SQL("")
        column, value = self.session
        return sql.SQL("AND {} = {}").format(sql.Identifier(column), sql.Literal(value))

    def _packed(self, subject: Subject, start: int, stop: int) -> sql.Composed:
        """SQL that makes the server gather pixels into frames, in the order of an index.

        It groups by the bare column: the planner then knows that sorted rows are groups, which
        a cast would hide. A pixel that is NULL becomes NaN, as in an array.
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
