"""Two clocks: whether their samples are of the same moments."""

import numpy as np

from fhemb_xr.clock.coordinate import DATES
from fhemb_xr.clock.one_clock import RATE_TOLERANCE, Clock
from fhemb_xr.typing import F64

SAME_STEP = 0.5
"""Share of a step by which the moments of two clocks may differ and count as the same."""


def require_same(a: Clock, b: Clock) -> float:
    """Rate of two clocks [Hz], if every sample of one has its partner in the other.

    Both are even. Moments agree to half a step, in whatever units they are; a clock without
    moments agrees with every other of its rate.

    Raises
    ------
    SchemaError
        If one is uneven or of unknown rate.
    ValueError
        If they differ, with both.
    """
    if a.n != b.n:
        raise ValueError(
            f"the series have {a.n} and {b.n} samples: select the same time of both"
        )
    a, b = a.require_regular(), b.require_regular()
    if a.known_hz is None or b.known_hz is None:  # the one that knows speaks for both
        return (b if a.known_hz is None else a).rate_hz
    slack = max(RATE_TOLERANCE * 1e-3, SAME_STEP / max(a.n - 1, 1))
    if abs(a.rate_hz / b.rate_hz - 1) > slack:
        raise ValueError(
            f"the series have {a.rate_hz:g} and {b.rate_hz:g} samples a second: resample one"
        )
    if a.elapsed is None or b.elapsed is None:
        return a.rate_hz
    late = _later(a, b) + b.elapsed - a.elapsed
    if not np.all(np.abs(late) <= SAME_STEP / a.rate_hz):
        raise ValueError(
            "the series are of different times: select the same time of both, or drop the "
            "clock with .drop_vars('time') to compare sample by sample"
        )
    return a.rate_hz


def on_one_origin(a: Clock, b: Clock) -> tuple[F64, F64]:
    """Seconds of the samples of two clocks, even or not, on the origin of the first.

    Raises
    ------
    ValueError
        If one holds dates and the other seconds.
    SchemaError
        If one has no moments and its rate is not known.
    """
    if a.kind != DATES and b.kind != DATES:
        return a.seconds, b.seconds
    return a.since_first, _later(a, b) + b.since_first


def _later(a: Clock, b: Clock) -> float:
    """Seconds by which ``b`` starts later than ``a``."""
    if (a.kind == DATES) != (b.kind == DATES):
        raise ValueError(
            f"one clock holds {a.kind}, the other {b.kind}: give both the same kind with "
            ".assign_coords(time=...)"
        )
    return (b.start_ns - a.start_ns) / 1e9
