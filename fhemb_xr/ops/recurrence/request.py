"""What is asked of a recurrence plot, checked: its kind, states, radius and null."""

import xarray as xr

from fhemb_xr.clock import Clock
from fhemb_xr.kernels.recurrence.plots import Plot
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice, require_positive, require_share

METRICS = {"maximum": "supremum", "chebyshev": "supremum", "l2": "euclidean"}
"""Other names of the metrics."""


def ways(other: xr.DataArray | None, how: str, metric: str) -> tuple[str, str]:
    """The kind of the plot (``auto``, ``cross``, ``joint``) and the metric that are meant."""
    how = require_choice("how", how, ("cross", "joint"))
    if other is None and how == "joint":
        raise ValueError("a joint plot is of two series, found one: give other=")
    metric = require_choice("metric", metric, ("euclidean", "supremum"), METRICS)
    return ("auto" if other is None else how), metric


def plot_of(
    x: xr.DataArray, how: str, metric: str, radius: float | None, rate: float | None,
    theiler_s: float | None,
) -> Plot:  # fmt: skip
    """The plot that is asked for; what depends on the clock is filled in later."""
    if (radius is None) == (rate is None):
        raise ValueError(
            f"exactly one of radius and rate says which moments recur, found radius={radius!r} "
            f"and rate={rate!r}: e.g. rate=0.05"
        )
    if theiler_s is not None and how == "cross":
        raise ValueError(
            f"theiler_s leaves out moments near the same moment of one series, found "
            f"theiler_s={theiler_s!r} for two: it belongs to how='joint' and to x alone"
        )
    return Plot(
        dim=1,
        delay=0,
        radius=None if radius is None else require_positive("radius", radius),
        rate=0.0 if rate is None else require_share("rate", rate),
        supremum=metric == "supremum",
        joint=how == "joint",
        theiler=1 if theiler_s is None else Clock.of(x).samples("theiler_s", theiler_s),
        shortest=(2, 2),
        max_lag=0,
    )


def delay_of(clock: Clock, dim: int, delay_s: float | None) -> int:
    """Samples between the copies that make up a state."""
    if dim == 1 and delay_s is None:
        return 0
    if dim == 1 or delay_s is None:
        raise ValueError(
            f"delay_s is the distance of the dim delayed copies in a state, found dim={dim!r} "
            f"and delay_s={delay_s!r}: give both, or neither"
        )
    return clock.samples("delay_s", delay_s, least=1)


def null_of(null: str, how: str, max_lag_s: float | None) -> str:
    """The null that is meant, if it can tell something of such a plot."""
    null = require_choice("null", null, ("circular", "linear", "swap"), synonyms.NULLS)
    if how == "auto":
        raise ValueError(f"null {null!r} moves one series against another: give other=")
    if how == "cross" and max_lag_s is None and null != "swap":
        raise ValueError(
            f"null {null!r} of a cross plot tests the profile, found no max_lag_s: give it, "
            "0 for lag 0 alone, or test returns at the same moments with how='joint'"
        )
    return null


def require_states(width: int, length: int, plot: Plot) -> None:
    """Refuse windows that the series, or two states, do not fit into."""
    if width > length:
        raise ValueError(
            f"a window of {width} samples is longer than the {length} samples between the "
            "margins: take shorter windows, or a smaller margin_s"
        )
    least = (plot.dim - 1) * plot.delay + 2
    if width < least:
        raise ValueError(
            f"{plot.dim} copies {plot.delay} samples apart need {least} samples or more, found "
            f"{width}: take longer windows, a smaller dim or a smaller delay_s"
        )
