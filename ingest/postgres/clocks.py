"""The origin of a clock of times: the median phase of its first rows.

Frame ``k`` holds every row within half a frame of ``origin + k / rate_hz``. If the first row
were the origin and the clock jitters, an early or late first row would move other rows to
neighbouring frames. With the median phase, jitter of up to half a frame moves no row.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from psycopg import Connection, sql

from ingest.postgres.layouts import Layout

FIRST_ROWS, FIRST_PIXELS = 2**12, 2**16
STILL = 0.01
"""Largest phase [frames] that counts as rounding: the first row then stays the origin."""
SPREAD = 0.1
"""Mean resultant length below which phases are spread over the frame: the rate is wrong."""


@dataclass(frozen=True)
class FirstRows:
    """Times of the first rows of a session: by subject, or of all subjects together."""

    times: tuple[tuple[datetime, ...], ...]

    def origin(self, rate_hz: float) -> datetime | None:
        """Time of frame 0; None if there are no rows."""
        if not self.times:
            return None
        first = min(times[0] for times in self.times)
        seconds = [(t - first).total_seconds() for times in self.times for t in times]
        phase = median_phase(np.array(seconds) * rate_hz)
        if abs(phase) < STILL:
            return first
        return first + timedelta(microseconds=round(phase / rate_hz * 1e6))

    def rate_hz(self) -> float | None:
        """Rate by the median step [Hz]; None for fewer than three rows."""
        steps = [
            (b - a).total_seconds()
            for times in self.times
            for a, b in pairwise(times)
            if len(times) > 2
        ]
        step = float(np.median(steps)) if steps else 0.0
        return 1 / step if step > 0 else None


def median_phase(frames: Any) -> float:
    """Median phase of rows relative to the first row, in frames, within [-0.5, 0.5).

    Parameters
    ----------
    frames
        Times since the first row, in frames.

    Returns
    -------
    float
        The median around the circular mean; 0.0 if the phases are spread over the frame.

    Examples
    --------
    >>> float(round(median_phase(np.array([0, 1.3, 2.3, 3.4, 4.2])), 3))
    0.3
    """
    turn = np.exp(2j * np.pi * np.asarray(frames, dtype=np.float64)).mean()
    if abs(turn) < SPREAD:
        return 0.0
    centre = float(np.angle(turn)) / (2 * math.pi)
    deviations = np.asarray(frames) - centre
    phase = centre + float(np.median(deviations - np.round(deviations)))
    return phase - math.floor(phase + 0.5)


def first_rows(conn: Connection[Any], layout: Layout) -> FirstRows:
    """Read the times of the first rows of a session, in the order of its clock."""
    clock = sql.Identifier(layout.clock.column)
    who = sql.SQL("NULL") if layout.subject is None else sql.Identifier(layout.subject)
    query = sql.SQL(
        "SELECT DISTINCT c, s::text FROM (SELECT {c} AS c, {s} AS s FROM {t}"
        " WHERE {c} IS NOT NULL {a} ORDER BY {c} LIMIT {n}) AS first_rows ORDER BY c"
    ).format(
        c=clock,
        s=who,
        t=sql.Identifier(*layout.table),
        a=layout.of_session(),
        n=sql.Literal(FIRST_PIXELS if layout.kind == "long" else FIRST_ROWS),
    )
    people: dict[Any, list[datetime]] = {}
    for time, subject in conn.execute(query):
        people.setdefault(subject, []).append(time)
    return FirstRows(tuple(tuple(times) for times in people.values()))


def doubts(session: str, layout: Layout, rows: FirstRows, known: bool) -> Iterator[str]:
    """Doubts about the rate that turns times into frames.

    Parameters
    ----------
    session
        Name of the session.
    layout
        Table and clock of the session.
    rows
        First rows of the session.
    known
        Whether the rate was given.
    """
    rate_hz, measured_hz = layout.clock.rate_hz, rows.rate_hz()
    if not known:
        yield f"session {session!r}: frames are counted at {rate_hz:g} Hz, an assumed rate"
    if measured_hz is not None and abs(measured_hz / rate_hz - 1) > 0.02:
        yield (
            f"session {session!r}: its first rows come at {measured_hz:.4g} Hz, but frames are "
            f"counted at {rate_hz:g} Hz: is the rate right (--rate)?"
        )
