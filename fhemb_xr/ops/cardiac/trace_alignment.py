"""Traces of other clocks, aligned with the frames of a recording."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, number_of_seconds, on_one_origin
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import heartbeats as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked

Clocked = xr.DataArray | xr.Dataset


def align(
    ds: Clocked, trace: xr.DataArray, *, offset_s: float = 0.0, max_gap_s: float = 1.0
) -> xr.DataArray:
    """A trace on the clock of the frames.

    Where a frame's time (half a frame to either side) holds two samples or more, their mean:
    what is faster than the frames stays out. Where it holds fewer, a line between the samples
    on either side. An electrocardiogram is too fast for this: take :func:`cardiac_wave`.

    Parameters
    ----------
    ds
        Anything with a ``time`` coordinate [s]: a recording, its heatmap, an embedding.
    trace
        ``(…, time)`` with a clock of its own [s], even or not; missing samples are not there.
    offset_s
        Added to the clock of the trace, e.g. how much later it was started.
    max_gap_s
        Between samples farther apart the result is NaN, as outside the trace.

    Returns
    -------
    DataArray
        ``(…, time)`` on the clock of ``ds``, float64, lazy where ``trace`` is, with its
        attributes.

    Raises
    ------
    SchemaError
        If either has no ``time``.
    ValueError
        If ``offset_s`` or ``max_gap_s`` is not a number of seconds.

    Notes
    -----
    Memory: a task holds one whole series, 40 bytes per sample. Tasks: one per series, and three
    per chunk to gather it. Computes at call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=1, seconds=2)
    >>> t = np.arange(0, 2, 0.001)
    >>> ramp = xr.DataArray(t, dims="time", coords={"time": t}, attrs={"units": "uS"})
    >>> out = fx.align(ds, ramp)
    >>> out.sizes["time"], round(float(out[25]), 3)
    (50, 1.0)
    """
    offset = number_of_seconds("offset_s", offset_s)
    max_gap = number_of_seconds("max_gap_s", max_gap_s)
    if max_gap <= 0:
        raise ValueError(f"max_gap_s is a number of seconds, found {max_gap_s!r}: above 0")
    schema.require_dims(trace, schema.TIME)
    new, times = times_on(ds, trace)
    out = apply_whole(
        kernel.resampled, trace, np.float64, ds, times=times + offset, clock=new,
        max_gap=max_gap,
    )  # fmt: skip
    out.attrs = {k: v for k, v in trace.attrs.items() if k != schema.SAMPLING_RATE}
    return out.rename(trace.name)


def times_of(x: Clocked) -> Any:
    """Seconds of the samples of one clock, even or not, since the first."""
    return _clock(x).since_first


def times_on(clock: Clocked, x: xr.DataArray) -> tuple[Any, Any]:
    """Seconds of the samples of two clocks, even or not, on the origin of the first."""
    return on_one_origin(_clock(clock), _clock(x))


def _clock(x: Clocked) -> Clock:
    if isinstance(x, Clocked) and schema.TIME not in x.dims:
        raise SchemaError(f"need the dimension 'time', found {tuple(x.dims)}")
    return Clock.of(x).require_forward()


def apply_whole(
    function: Callable[..., Any],
    x: xr.DataArray,
    dtype: Any,
    clocked: Clocked | None = None,
    beside: xr.DataArray | None = None,
    **kwargs: Any,
) -> xr.DataArray:
    """A function of whole series, and of those ``beside``, on the clock of ``clocked``."""
    budget.check(60 * x.sizes[schema.TIME], "one whole trace", "select less time")
    series = [x] if beside is None else [x, beside]
    whole = [rechunked(s, {d: -1 if d == schema.TIME else 1 for d in s.dims}) for s in series]
    core = schema.TIME if clocked is None else "_clock"
    out = apply_kernel(
        function,
        *(
            s.drop_vars([n for n, c in s.coords.items() if schema.TIME in c.dims])
            for s in whole
        ),
        core=[[schema.TIME]] * len(series),
        new={core: None if clocked is None else clocked.sizes[schema.TIME]},
        dtype=dtype,
        **kwargs,
    )
    if clocked is not None:
        out = out.rename(_clock=schema.TIME)
        moments = clocked[schema.TIME] if schema.TIME in clocked.coords else None
        seconds = Clock.of(clocked).seconds if moments is None else moments.values
        return out.assign_coords({schema.TIME: (schema.TIME, seconds)})
    return out.assign_coords(x.coords)
