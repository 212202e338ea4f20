"""Moments on a trace: the codes of a trigger channel, and beats whose times are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.checks import require_number
from fhemb_xr.typing import F64

EVENT = "event"
_LIKELY_S = 20.0
"""A usual step of beats beyond this [s] is one in milliseconds."""


def events(
    trace: xr.DataArray, *, baseline: float | None = None, threshold: float | None = None
) -> xr.Dataset:
    """Find the codes of a trigger channel: when each begins, how long it stays, which it is.

    Parameters
    ----------
    trace
        ``(time)`` of one channel, e.g. ``open_trace("a.bdf", "Status")``. Missing samples count
        as the baseline.
    baseline
        Value that means "no trigger"; None: the most frequent value.
    threshold
        For an analogue channel (volts): above it there is an event, of code 1.

    Returns
    -------
    Dataset
        Dataset along ``event``: ``onset`` [s], ``duration`` [s] and ``code`` (int64), in the
        order of time. A code that changes into another without the baseline between them begins
        a new event.

    Raises
    ------
    SchemaError
        If there are other dimensions than ``time``, or values that are no whole numbers and no
        ``threshold``.

    Notes
    -----
    Memory: the channel twice. Computes at call: one, of the channel.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> codes = [0, 0, 7, 7, 0, 3, 0, 0]
    >>> t = np.arange(8) / 4
    >>> found = fx.events(xr.DataArray(codes, dims="time", coords={"time": t}))
    >>> found.onset.values.tolist(), found.code.values.tolist()
    ([0.5, 1.25], [7, 3])
    """
    schema.require_dims(trace, schema.TIME)
    if trace.ndim > 1:
        raise SchemaError(
            f"events are found in one channel, found the dimensions {trace.dims}: select one, "
            "e.g. trace.sel(channel='Status')"
        )
    times = Clock.of(trace).require_forward().axis_s
    values = np.asarray(trace.values, dtype=np.float64)
    threshold = None if threshold is None else require_number("threshold", threshold)
    baseline = None if baseline is None else require_number("baseline", baseline)
    codes, idle = _codes(values, baseline, threshold)
    edges = np.flatnonzero(np.diff(codes)) + 1
    starts = np.r_[0, edges]
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    stops = np.r_[times[edges], times[-1] + usual]
    seen = codes[starts] != idle
    return xr.Dataset(
        {
            "onset": (EVENT, times[starts][seen], {"units": "s"}),
            "duration": (EVENT, (stops - times[starts])[seen], {"units": "s"}),
            "code": (EVENT, codes[starts][seen], {"long_name": "trigger code"}),
        },
        attrs={"long_name": "events"},
    )


def _codes(values: F64, baseline: float | None, threshold: float | None) -> tuple[Any, int]:
    """Whole numbers, and the one that means "no trigger"."""
    seen = np.isfinite(values)
    if threshold is not None:
        if baseline is not None:
            raise SchemaError(
                f"an analogue channel has a threshold ({threshold!r}) and no baseline, found "
                f"{baseline!r} too"
            )
        return (np.where(seen, values, -np.inf) > threshold).astype(np.int64), 0
    whole = values[seen]
    odd = np.flatnonzero(whole != np.rint(whole))
    if odd.size:
        raise SchemaError(
            f"codes of triggers are whole numbers, found {float(whole[odd[0]])!r}: an analogue "
            "channel needs threshold="
        )
    if baseline is None:
        kinds, counts = np.unique(whole, return_counts=True)
        baseline = float(kinds[counts.argmax()]) if kinds.size else 0.0
    return np.where(seen, values, baseline).astype(np.int64), int(baseline)


def beats_at(times_s: Sequence[float] | xr.DataArray) -> xr.DataArray:
    """Beats whose times are known, e.g. of another program, as :func:`beats` gives them.

    Parameters
    ----------
    times_s
        Times of beats [s], increasing; of one person.

    Returns
    -------
    DataArray
        ``beat(time)``, True throughout, with those times as its coordinate: :func:`rr`,
        :func:`instantaneous_rate` and :func:`cardiac_wave` take it.

    Raises
    ------
    SchemaError
        If the times are not numbers that increase; if they look like intervals, or like
        milliseconds.

    Notes
    -----
    Memory: the times. Computes at call: a lazy array of times.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> beat = fx.beats_at([0.5, 1.25, 2.25])
    >>> fx.rr(beat).dropna("time").values.tolist()
    [0.75, 1.0]
    """
    try:
        times = np.asarray(times_s, dtype=np.float64)
    except (TypeError, ValueError):
        raise SchemaError(
            f"times of beats are numbers of seconds, found {type(times_s).__name__}"
        ) from None
    if times.ndim != 1:
        raise SchemaError(
            f"times of beats are a list of one person's, found the shape {times.shape}: truth "
            "values of samples come from fx.beats(trace)"
        )
    if not np.isfinite(times).all():
        raise SchemaError("times of beats have missing values: drop them with .dropna('time')")
    steps = np.diff(times)
    if (steps <= 0).any():
        k = int(np.flatnonzero(steps <= 0)[0])
        are_intervals = times.size > 2 and 0.2 < np.median(times) < 2
        raise SchemaError(
            f"times of beats increase, found {times[k]:g} s and then {times[k + 1]:g} s"
            + (": intervals become times by np.cumsum(...)" if are_intervals else "")
        )
    if steps.size and float(np.median(steps)) > _LIKELY_S:
        raise SchemaError(
            f"beats are usually {np.median(steps):g} s apart, which no heart does: divide "
            "milliseconds by 1000"
        )
    clock = (schema.TIME, times, {"units": "s", "axis": "T"})
    return xr.DataArray(
        np.ones(times.size, dtype=np.bool_),
        dims=schema.TIME,
        coords={schema.TIME: clock},
        name="beat",
        attrs={"long_name": "heart beat", "units": "1"},
    )
