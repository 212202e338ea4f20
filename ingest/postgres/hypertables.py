"""Where TimescaleDB cuts a table: ranges are read within one of its chunks at a time.

Nothing depends on it but speed. Without TimescaleDB, without the right to look, or where a
release has other columns, there are no borders, and the same rows come in fewer statements.

Not run against the extension itself, which no package registry has: compressed chunks,
space partitions. A stand-in of its view in plain PostgreSQL is what the tests cut by.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from psycopg import Connection, Error

from ingest.postgres.layouts import Layout

_CHUNKS = """
SELECT range_end, range_end_integer FROM timescaledb_information.chunks
WHERE hypertable_schema = %s AND hypertable_name = %s
"""


def with_borders(conn: Connection[Any], layout: Layout) -> Layout:
    """The layout, and the frame numbers at which a chunk of its hypertable ends."""
    row = conn.execute("SELECT to_regclass('timescaledb_information.chunks')").fetchone()
    if row is None or row[0] is None:
        return layout
    try:
        with conn.transaction():  # an error leaves the snapshot alone
            ends = conn.execute(_CHUNKS, layout.table).fetchall()
    except Error:
        return layout
    origin, rate = layout.clock.origin, layout.clock.rate_hz
    if origin is None:
        frames = {int(number) for _, number in ends if number is not None}
    else:
        frames = {
            math.ceil((end - origin).total_seconds() * rate + 0.5) for end, _ in ends if end
        }
    return replace(layout, borders=tuple(sorted(frames)))


def pieces(borders: Sequence[int], start: int, stop: int) -> list[tuple[int, int]]:
    """``[start, stop)`` cut at the borders in it.

    Examples
    --------
    >>> pieces((0, 40, 80), 10, 50)
    [(10, 40), (40, 50)]
    """
    edges = [start, *(b for b in borders if start < b < stop), stop]
    return list(pairwise(edges))
