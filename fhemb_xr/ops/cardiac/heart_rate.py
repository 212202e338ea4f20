"""What follows from heart beats: intervals, the rate and the phase, on the clock of frames."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import heartbeats as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.cardiac.events import beats_at
from fhemb_xr.ops.cardiac.heartbeats import GAP, LONGEST_S, SHORTEST_S
from fhemb_xr.ops.cardiac.trace_alignment import Clocked, apply_whole, times_of, times_on


def rr(beats: xr.DataArray | Sequence[float]) -> xr.DataArray:
    """Seconds since the beat before, at each beat; NaN elsewhere.

    Parameters
    ----------
    beats
        Result of :func:`beats`, ``(…, time)``; or the times of beats [s], a list or an array
        of floats, which go through :func:`beats_at`.

    Returns
    -------
    DataArray
        ``(…, time)`` [s], float64, lazy where ``beats`` is. ``.dropna("time")`` of one person
        is the series of RR intervals. An interval over a gap, of the trace or of the clock, is
        NaN.

    Raises
    ------
    SchemaError
        If there is no ``time``, or the values are neither truth values nor times that increase.

    Notes
    -----
    Memory: a task holds one whole series, 9 bytes per sample. Computes at call: none.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> beat = [True, False, True, False, False, True]
    >>> found = xr.DataArray(beat, dims="time", coords={"time": [0, 0.5, 1, 1.5, 2, 2.5]})
    >>> fx.rr(found).dropna("time").values.tolist()
    [1.0, 1.5]
    """
    found = _found(beats)
    out = apply_whole(
        kernel.intervals, found, np.float64, beside=_gaps_of(found), times=times_of(found)
    ).drop_vars(GAP, errors="ignore")
    out.attrs = {"long_name": "RR interval", "units": "s"}
    return out.rename("rr")


def instantaneous_rate(beats: xr.DataArray | Sequence[float], clock: Clocked) -> xr.DataArray:
    """Heart rate on another clock, such as that of the frames.

    Sixty over an RR interval holds in the middle of the interval, and is linear from middle to
    middle. Intervals below 0.27 s or above 2 s are no heart's: NaN, as before the first beat
    and after the last.

    Parameters
    ----------
    beats
        Result of :func:`beats`, ``(…, time)``, or times of beats [s], as :func:`rr` takes them.
    clock
        Anything with a ``time`` coordinate [s] on the same origin.

    Returns
    -------
    DataArray
        ``(…, time)`` on ``clock`` [1/min], float64, lazy where ``beats`` is.

    Raises
    ------
    SchemaError
        If either has no ``time``.

    Notes
    -----
    Memory: a task holds one whole series on both clocks, 16 bytes per sample. Computes at
    call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(0, 10, 0.25)
    >>> found = xr.DataArray(t % 1 == 0, dims="time", coords={"time": t})
    >>> fx.instantaneous_rate(found, found).values[6].item()
    60.0
    """
    out = _on(kernel.rate, beats, clock)
    out.attrs = {"long_name": "heart rate", "units": "1/min"}
    return out.rename("heart_rate")


def cardiac_wave(beats: xr.DataArray | Sequence[float], clock: Clocked) -> xr.DataArray:
    """One cosine per heart beat on another clock: its crest is the beat.

    It says when a heart beats, whatever the shape of the trace it was read from; :func:`pair`
    compares faces with it. NaN where :func:`instantaneous_rate` is.

    Parameters
    ----------
    beats
        Result of :func:`beats`, ``(…, time)``, or times of beats [s], as :func:`rr` takes them.
    clock
        Anything with a ``time`` coordinate [s] on the same origin.

    Returns
    -------
    DataArray
        ``(…, time)`` on ``clock``, from -1 to 1, float64, lazy where ``beats`` is.

    Raises
    ------
    SchemaError
        If either has no ``time``.

    Notes
    -----
    Memory: a task holds one whole series on both clocks, 16 bytes per sample. Computes at
    call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(0, 4, 0.25)
    >>> found = xr.DataArray(t % 1 == 0, dims="time", coords={"time": t})
    >>> fx.cardiac_wave(found, found).values[:5].round(6).tolist()
    [1.0, 0.0, -1.0, -0.0, 1.0]
    """
    turns = _on(kernel.phase, beats, clock)
    out = apply_kernel(_cosine, turns)
    out.attrs = {"long_name": "cosine of the cardiac phase", "units": "1"}
    return out.rename("trace")


def _cosine(turns: Any) -> Any:
    return np.cos(2 * np.pi * turns)


def _on(
    function: Callable[..., Any], beats: xr.DataArray | Sequence[float], clock: Clocked
) -> xr.DataArray:
    found = _found(beats)
    new, times = times_on(clock, found)
    return apply_whole(
        function, found, np.float64, clock, beside=_gaps_of(found), times=times,
        clock=new, shortest=SHORTEST_S, longest=LONGEST_S,
    )  # fmt: skip


def _found(beats: xr.DataArray | Sequence[float]) -> xr.DataArray:
    """Beats as truth values: those of :func:`beats`, or a list of times."""
    if not isinstance(beats, xr.DataArray) or beats.dtype.kind == "f":
        return beats_at(beats)
    schema.require_dims(beats, schema.TIME)
    if beats.dtype.kind != "b":
        raise SchemaError(
            f"beats are truth values of samples, found {beats.dtype}: take fx.beats(trace), "
            "x.astype(bool) of zeros and ones, or fx.beats_at(times_s) of times"
        )
    return beats


def _gaps_of(beats: xr.DataArray) -> xr.DataArray:
    """True in gaps of the trace, and at the first sample after one of the clock."""
    times = times_of(beats)
    steps = np.diff(times, prepend=times[:1])
    usual = float(np.median(steps[1:])) if len(steps) > 1 else 0.0
    jumps = (steps > 1.5 * usual) & (steps > SHORTEST_S) & (usual < SHORTEST_S)
    of_clock = xr.DataArray(jumps, dims=schema.TIME)
    gap = beats.coords[GAP].variable if GAP in beats.coords else None
    bare = beats.drop_vars(list(beats.coords))
    known = bare & False if gap is None else bare.copy(data=gap.transpose(*bare.dims).data)
    return (known | of_clock).transpose(*beats.dims)
