"""Traces of other clocks, aligned with the frames of a recording."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.cardiac import heartbeats as kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked

Clock = xr.DataArray | xr.Dataset


def align(
    ds: Clock, trace: xr.DataArray, *, offset_s: float = 0.0, max_gap_s: float = 1.0
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
    ``(…, time)`` on the clock of ``ds``, float64, lazy where ``trace`` is, with its attributes.

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
    for name, value in (("offset_s", offset_s), ("max_gap_s", max_gap_s)):
        if not np.isfinite(value) or (name == "max_gap_s" and value <= 0):
            raise ValueError(f"{name} is a number of seconds, found {value!r}")
    schema.require_dims(trace, schema.TIME)
    new = _times(ds)
    times = _times(trace) + offset_s
    out = _whole(
        kernel.resampled, trace, np.float64, new, times=times, clock=new, max_gap=max_gap_s
    )
    out.attrs = {k: v for k, v in trace.attrs.items() if k != schema.SAMPLING_RATE}
    return out.rename(trace.name)


def _times(obj: Clock) -> Any:
    if schema.TIME not in obj.dims:
        raise SchemaError(f"need the dimension 'time', found {tuple(obj.dims)}")
    if schema.TIME in obj.indexes:
        return np.asarray(obj.indexes[schema.TIME], dtype=np.float64)
    return np.arange(obj.sizes[schema.TIME]) / schema.sampling_rate(obj)


def _whole(
    function: Callable[..., Any],
    x: xr.DataArray,
    dtype: Any,
    new: Any = None,
    beside: xr.DataArray | None = None,
    **kwargs: Any,
) -> xr.DataArray:
    """A function of whole series, and of those ``beside`` them; ``new``: the result's clock."""
    budget.check(60 * x.sizes[schema.TIME], "one whole trace", "select less time")
    series = [x] if beside is None else [x, beside]
    whole = [rechunked(s, {d: -1 if d == schema.TIME else 1 for d in s.dims}) for s in series]
    core = schema.TIME if new is None else "_clock"
    out: xr.DataArray = xr.apply_ufunc(
        function,
        *(
            s.drop_vars([n for n, c in s.coords.items() if schema.TIME in c.dims])
            for s in whole
        ),
        input_core_dims=[[schema.TIME]] * len(series),
        output_core_dims=[[core]],
        kwargs=kwargs,
        dask="parallelized",
        dask_gufunc_kwargs={} if new is None else {"output_sizes": {core: new.size}},
        output_dtypes=[dtype],
        keep_attrs=False,
    )
    if new is not None:
        return out.rename(_clock=schema.TIME).assign_coords({schema.TIME: new})
    return out.assign_coords(x.coords)
