"""Looking at a database: tables, layouts, sessions, subjects.

:class:`ingest.hints.Hints` adds the facts that a look cannot show.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from psycopg import Connection, sql

from fhemb_xr import schema
from fhemb_xr.errors import SourceError, nearest
from ingest.hints import Hints, subject_ids
from ingest.postgres.copy_decoder import ARRAYS
from ingest.postgres.layouts import Clock, Layout
from ingest.shards import Cell, Subject

_CLOCKS = ("frame_number", "frame", "frame_no", "frame_id", "time", "t", "ts", "timestamp")
_SUBJECTS = ("subject", "subj", "subject_id", "subj_id")
_SESSIONS = ("session", "session_id", "session_name")
_HEIGHTS, _WIDTHS = ("height", "h", "rows", "n_rows"), ("width", "w", "cols", "n_cols")
_ROWS, _COLUMNS = ("y", "row", "i"), ("x", "col", "column", "j")
_VALUES = ("value", "temperature", "temp", "celsius")
_WIDE = re.compile(r"subj(?:ect)?_?(\w+)$")
_INTEGERS = {"int2", "int4", "int8", "numeric"}
_BYTEA = {"float32": "<f4", "float64": "<f8", "uint16": "<u2"}

_DESCRIBE = """
SELECT a.attname, t.typname, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_TABLES = """
SELECT n.nspname || '.' || c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema)'
ORDER BY 1
"""
_UNIQUE = """
SELECT count(*) FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indnatts = 1 AND a.attname = %s
"""


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    element: int


def find(
    conn: Connection[Any], schema: str, table: str, hints: Hints | None = None
) -> dict[str, Layout]:
    """The layouts of a table, one for each session in it.

    A clock of times gets the origin ``"?"``. :mod:`ingest.postgres.clocks` finds the origin
    later, or the store that is filled gives it.

    Raises
    ------
    SourceError
        There is no such table (the error names the nearest ones), or it holds no matrices.
    """
    hints = hints or Hints()
    columns = [_Column(*row) for row in conn.execute(_DESCRIBE, (schema, table))]
    if not columns:
        asked, names = f"{schema}.{table}", [name for (name,) in conn.execute(_TABLES)]
        raise SourceError(f"no table {asked!r} that this user can see{nearest(asked, names)}")
    layout = _wide(schema, table, columns, hints) or _by_row(schema, table, columns, hints)
    if layout is None:
        present = ", ".join(f"{c.name} {c.type}" for c in columns)
        raise SourceError(
            f"{schema}.{table} holds no matrices that can be read: expected a frame number and "
            f"subjNN columns, or subject, frame and a matrix or y, x, value; found {present}"
        )
    return _sessions(conn, layout, columns, hints)


def _wide(schema: str, table: str, columns: list[_Column], hints: Hints) -> Layout | None:
    clock = _role(columns, "clock", _CLOCKS, hints)
    by_row = _role(columns, "subject", _SUBJECTS, hints) and not hints.subjects
    named = [] if by_row else _named(columns, hints)
    if clock is None or not named or _role_name("matrix", hints):
        return None
    as_bytes = named[0][1].type == "bytea"
    cell = _bytes(hints) if as_bytes else _array(named[0][1], hints)
    pairs = [
        (who, (*(_shape_of(c, columns, hints) if as_bytes else ()), c.name))
        for who, c in sorted(named, key=lambda pair: pair[0])
    ]
    return Layout("wide", (schema, table), _clock(clock, hints), cell, wide=tuple(pairs))


def _named(columns: list[_Column], hints: Hints) -> list[tuple[Any, _Column]]:
    """Subjects and their columns of matrices; ids are integers if all of them are."""
    matrices = {c.name: c for c in columns if c.element in ARRAYS or c.type == "bytea"}
    if hints.subjects:
        for column in hints.subjects.values():
            if column not in matrices:
                raise SourceError(
                    f"no column {column!r} of matrices{nearest(column, matrices)}"
                )
        named = [(who, matrices[column]) for who, column in hints.subjects.items()]
    else:
        named = [(m[1], c) for c in matrices.values() if (m := _WIDE.match(c.name))]
    return list(
        zip(subject_ids([str(who) for who, _ in named]), (c for _, c in named), strict=True)
    )


def _shape_of(column: _Column, columns: list[_Column], hints: Hints) -> tuple[str, str]:
    """Columns with the shape of a bytea: ``subj40_height`` and so on, or common to the row."""
    present = {c.name for c in columns}
    sides = []
    for role, names in (("height", _HEIGHTS), ("width", _WIDTHS)):
        beside = [f"{column.name}_{n}" for n in names if f"{column.name}_{n}" in present]
        shared = None if beside else _role(columns, role, names, hints)
        sides += beside[:1] or ([shared.name] if shared else [])
    if len(sides) != 2:
        raise SourceError(
            f"{column.name!r} is bytea without its shape: expected {column.name}_height and "
            f"{column.name}_width, or height and width; give other names in the TOML"
        )
    return sides[0], sides[1]


def _by_row(schema: str, table: str, columns: list[_Column], hints: Hints) -> Layout | None:
    clock = _role(columns, "clock", _CLOCKS, hints)
    subject = _role(columns, "subject", _SUBJECTS, hints)
    if clock is None or subject is None:
        return None
    matrix = _cell_columns(columns, hints)
    if matrix is None:
        return None
    kind, cell, cells = matrix
    return Layout(
        kind, (schema, table), _clock(clock, hints), cell, cells=cells, subject=subject.name
    )


def _cell_columns(
    columns: list[_Column], hints: Hints
) -> tuple[str, Cell, tuple[str, ...]] | None:
    named = _role_name("matrix", hints)
    matrices = [c for c in columns if c.element in ARRAYS and named in (None, c.name)]
    if matrices:
        return "tall", _array(matrices[0], hints), (matrices[0].name,)
    h, w = (_role(columns, r, n, hints) for r, n in (("height", _HEIGHTS), ("width", _WIDTHS)))
    blobs = [c for c in columns if c.type == "bytea" and named in (None, c.name)]
    if blobs and h and w:
        return "tall", _bytes(hints), (h.name, w.name, blobs[0].name)
    y, x, value = (
        _role(columns, role, names, hints)
        for role, names in (("y", _ROWS), ("x", _COLUMNS), ("value", _VALUES))
    )
    if y and x and value:
        return "long", Cell("bytes", ARRAYS[700].dtype), (y.name, x.name, value.name)
    return None


def _role_name(role: str, hints: Hints) -> str | None:
    return (hints.columns or {}).get(role)


def _role(
    columns: list[_Column], role: str, names: tuple[str, ...], hints: Hints
) -> _Column | None:
    by_name = {c.name: c for c in columns if c.element not in ARRAYS}
    chosen = _role_name(role, hints)
    if chosen is not None and chosen not in by_name:
        raise SourceError(f"no column {chosen!r} for the {role}{nearest(chosen, by_name)}")
    return next((by_name[n] for n in ([chosen] if chosen else names) if n in by_name), None)


def _array(column: _Column, hints: Hints) -> Cell:
    cell = ARRAYS[column.element]
    if cell.dtype.kind == "i":
        if hints.scale is None:
            raise SourceError(
                f"{column.name!r} holds integers: say how many degrees one unit is (scale)"
            )
        return replace(cell, scale=hints.scale, offset=hints.offset)
    return cell


def _bytes(hints: Hints) -> Cell:
    if hints.bytes_dtype not in _BYTEA:
        raise SourceError(f"no bytea of {hints.bytes_dtype!r}: allowed are {', '.join(_BYTEA)}")
    if hints.bytes_dtype == "uint16" and hints.scale is None:
        raise SourceError("the bytea holds integers: say how many degrees one unit is (scale)")
    scale = 1.0 if hints.scale is None else hints.scale
    return Cell("bytes", np.dtype(_BYTEA[hints.bytes_dtype]), 0, scale, hints.offset)


def _clock(column: _Column, hints: Hints) -> Clock:
    if column.type in _INTEGERS:
        return Clock(column.name, hints.rate_hz or schema.DEFAULT_RATE_HZ)
    if column.type == "timestamptz":
        return Clock(column.name, hints.rate_hz or schema.DEFAULT_RATE_HZ, origin="?")
    raise SourceError(
        f"the clock {column.name!r} is of type {column.type}: expected integer or timestamptz"
    )


def _sessions(
    conn: Connection[Any], layout: Layout, columns: list[_Column], hints: Hints
) -> dict[str, Layout]:
    """A layout for each value of a session column; without one, the schema's name."""
    column = None if layout.kind == "wide" else _role(columns, "session", _SESSIONS, hints)
    if column is None:
        return {layout.table[0]: layout}
    query = sql.SQL("SELECT DISTINCT {} FROM {} ORDER BY 1").format(
        sql.Identifier(column.name), sql.Identifier(*layout.table)
    )
    names = [value for (value,) in conn.execute(query) if value is not None]
    return {str(name): replace(layout, session=(column.name, name)) for name in names}


def subjects(conn: Connection[Any], layout: Layout) -> list[Subject]:
    """The ids of the people in a table, with or without faces."""
    if layout.kind == "wide":
        return [name for name, _ in layout.wide]
    query = sql.SQL("SELECT DISTINCT {} FROM {} ORDER BY 1").format(
        sql.Identifier(str(layout.subject)), sql.Identifier(*layout.table)
    )
    return [value for (value,) in conn.execute(query) if value is not None]


def clock_is_unique(conn: Connection[Any], layout: Layout) -> bool:
    """Whether the database forbids two rows of one frame."""
    name = sql.Identifier(*layout.table).as_string(conn)
    row = conn.execute(_UNIQUE, (name, layout.clock.column)).fetchone()
    return bool(row and row[0])
