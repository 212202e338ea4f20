"""Chunks of TimescaleDB: a range is read chunk by chunk.

Only speed depends on this. Without TimescaleDB, without the right to look, or in a release with
other columns there are no borders, and the same rows come in fewer statements.

The columns are those of TimescaleDB 2.28. The tests use a stand-in for its view in plain
PostgreSQL, because no package registry has the extension.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from psycopg import Connection, Error

from ingest.postgres.layouts import Layout

_THERE = "SELECT to_regclass('timescaledb_information.chunks')"
_CHUNKS = """
SELECT range_end, range_end_integer FROM timescaledb_information.chunks
WHERE hypertable_schema = %s AND hypertable_name = %s
"""
_COMPRESSED = """
SELECT count(*) FROM timescaledb_information.chunks
WHERE hypertable_schema = %s AND hypertable_name = %s AND is_compressed
"""


def with_borders(conn: Connection[Any], layout: Layout) -> Layout:
    """The layout with the frames at which chunks end, and the number of compressed chunks."""
    if not any(_asked(conn, _THERE, ())):
        return layout
    ends = _asked(conn, _CHUNKS, layout.table)
    origin, rate = layout.clock.origin, layout.clock.rate_hz
    if origin is None:
        frames = {int(number) for _, number in ends if number is not None}
    else:
        frames = {
            math.ceil((end - origin).total_seconds() * rate + 0.5) for end, _ in ends if end
        }
    compressed = sum(n for (n,) in _asked(conn, _COMPRESSED, layout.table))
    return replace(layout, borders=tuple(sorted(frames)), compressed=compressed)


def _asked(conn: Connection[Any], query: Any, values: Sequence[Any]) -> list[Any]:
    """Rows of an answer; empty if the question is not allowed. The snapshot stays intact."""
    try:
        with conn.transaction():
            return [row for row in conn.execute(query, values) if row != (None,)]
    except Error:
        return []


def pieces(borders: Sequence[int], start: int, stop: int) -> list[tuple[int, int]]:
    """``[start, stop)`` cut at the borders inside it.

    Examples
    --------
    >>> pieces((0, 40, 80), 10, 50)
    [(10, 40), (40, 50)]
    """
    edges = [start, *(b for b in borders if start < b < stop), stop]
    return list(pairwise(edges))
