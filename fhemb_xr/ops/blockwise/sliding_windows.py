"""Sliding windows: series cut into intervals of time, which may overlap."""

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds


def intervals(x: xr.DataArray, window_s: float | None, step_s: float | None) -> xr.DataArray:
    """Samples of each window, ``(window, …, time)``; ``time`` has no coordinate.

    Raises
    ------
    SchemaError
        If ``x`` has no ``time``.
    ValueError
        If a window is longer than the series, or not a positive number of seconds.
    """
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    width, step = samples_of(window_s, step_s, clock)
    starts = np.arange(0, clock.n - width + 1, step)
    bare = x.drop_vars(schema.TIME, errors="ignore")
    parts = [bare.isel({schema.TIME: slice(s, s + width)}) for s in starts.tolist()]
    out = xr.concat(parts, schema.WINDOW, coords="minimal", compat="override", join="override")
    about = {"long_name": "start of window", "units": "s"}
    begin = starts / clock.rate_hz if window_s is not None else 0.0 * starts
    out = out.assign_coords({schema.WINDOW: (schema.WINDOW, begin, about)})
    out.attrs = {**x.attrs, **clock.attrs}
    return out


def samples_of(window_s: float | None, step_s: float | None, clock: Clock) -> tuple[int, int]:
    """Length of a window and distance to the next, in samples.

    Raises
    ------
    ValueError
        If ``window_s`` or ``step_s`` is not a positive number; if a window is longer than the
        series or shorter than two samples; or if a step is shorter than one sample.
    SchemaError
        If the sampling rate is not known, so that seconds cannot become samples.
    """
    if window_s is None:
        if step_s is not None:
            raise ValueError(f"step_s needs window_s, found step_s={step_s!r} without window_s")
        return clock.n, max(clock.n, 1)
    step_s = window_s if step_s is None else step_s
    for name, value in (("window_s", window_s), ("step_s", step_s)):
        if not number_of_seconds(name, value) > 0:
            raise ValueError(f"{name} is a positive number of seconds, found {value!r}")
    width = clock.samples("window_s", window_s, least=2)
    if width > clock.n:
        raise ValueError(
            f"a window of {window_s:g} s ({width} samples) is longer than the series: "
            f"the largest is {clock.n / clock.rate_hz:g} s ({clock.n} samples)"
        )
    return width, clock.samples("step_s", step_s, least=1)
