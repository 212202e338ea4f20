"""Doubts about a table, reported before anything is read."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection, sql

from ingest.postgres.layouts import Layout
from ingest.source import Session

_KIND = "SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = %s::regclass"
_SEES_WRITERS = "SELECT has_column_privilege(%s, 'xmin', 'SELECT')"
_MAY_WRITE = "SELECT has_table_privilege(%s, 'INSERT')"
_HIDES_ROWS = "SELECT row_security_active(%s)"


def of_table(conn: Connection[Any], layout: Layout) -> Iterator[str]:
    """Doubts about rights and policies: hidden rows, and the right to write."""
    if _answer(conn, _HIDES_ROWS, layout):
        yield (
            f"{layout.name} has row-level security: rows that are hidden from this user are "
            "not read"
        )
    if _answer(conn, _MAY_WRITE, layout):
        yield "this user may write to the table; a role that can only read is safer"


def of_rows(conn: Connection[Any], session: Session, layout: Layout) -> Iterator[str]:
    """Doubts about gaps and repetitions among the frame numbers of a session."""
    if not session.unique:
        yield f"{layout.name}: nothing forbids two rows of one frame; they are counted"
    if layout.kind != "wide":
        return
    n_frames = session.rows if session.unique else _frames(conn, session, layout)
    gaps, repeated = session.stop - session.start - n_frames, session.rows - n_frames
    if gaps > 0:
        yield f"session {session.name!r}: {gaps} frame numbers have no row"
    if repeated * 100 > session.rows:
        why = shared(repeated, session.rows, layout.clock.rate_hz)
        yield f"session {session.name!r}: {why}"


def shared(n_repeated: int, n_rows: int, rate_hz: float) -> str:
    """A text about rows that share a frame, with the rate that may be the reason."""
    return (
        f"{n_repeated} of {n_rows} rows ({n_repeated / n_rows:.1%}) share a frame with another "
        f"row, and one row of each frame is kept: are the rate ({rate_hz:g} Hz) and the clock "
        "right?"
    )


def blind(conn: Connection[Any], layout: Layout) -> str:
    """The reason why a later run misses corrected values; ``""`` if it finds them.

    A run finds them by ``xmin``, the transaction that wrote a row.
    """
    if layout.kind == "long":
        return "a table with a row for each pixel is compared by its number of rows"
    if layout.compressed:
        return f"{layout.compressed} compressed chunks are compared by their number of rows"
    kind = _answer(conn, _KIND, layout)
    if kind in ("v", "f"):
        return "a view or foreign table is compared by its number of rows"
    if not _answer(conn, _SEES_WRITERS, layout):
        return "this user may read only some columns, so it is compared by its number of rows"
    return ""


def _frames(conn: Connection[Any], session: Session, layout: Layout) -> int:
    """Number of different frame numbers: repeated rows must not hide gaps."""
    query = sql.SQL("SELECT count(DISTINCT {}) FROM {} WHERE true {}").format(
        layout.clock.frame(), sql.Identifier(*layout.table), layout.of_session()
    )
    row = conn.execute(query).fetchone()
    return int(row[0]) if row else 0


def _answer(conn: Connection[Any], question: str, layout: Layout) -> Any:
    """One value about a table."""
    name = sql.Identifier(*layout.table).as_string(conn)
    row = conn.execute(question.encode(), (name,)).fetchone()
    return row[0] if row else None
