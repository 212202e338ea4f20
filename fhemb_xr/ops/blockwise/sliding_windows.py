"""Series cut into intervals of time, which may overlap."""

import numpy as np
import xarray as xr

from fhemb_xr import schema


def intervals(x: xr.DataArray, window_s: float | None, step_s: float | None) -> xr.DataArray:
    """``(window, …, time)``: the samples of each interval; ``time`` loses its clock.

    Raises
    ------
    SchemaError
        If ``x`` has no ``time``.
    ValueError
        If an interval is longer than the series, or not a positive number of seconds.
    """
    schema.require_dims(x, schema.TIME)
    rate, length = schema.sampling_rate(x), x.sizes[schema.TIME]
    width, step = samples_of(window_s, step_s, length, rate)
    starts = np.arange(0, length - width + 1, step)
    bare = x.drop_vars(schema.TIME, errors="ignore")
    parts = [bare.isel({schema.TIME: slice(s, s + width)}) for s in starts.tolist()]
    out = xr.concat(parts, schema.WINDOW, coords="minimal", compat="override", join="override")
    clock = {"long_name": "start of window", "units": "s"}
    out = out.assign_coords({schema.WINDOW: (schema.WINDOW, starts / rate, clock)})
    out.attrs = {**x.attrs, schema.SAMPLING_RATE: rate}
    return out


def samples_of(
    window_s: float | None, step_s: float | None, length: int, rate: float
) -> tuple[int, int]:
    """Length of a window and distance to the next, in samples.

    Raises
    ------
    ValueError
        If one is not a positive number, or a window is longer than the series.
    """
    if window_s is None:
        if step_s is not None:
            raise ValueError(f"step_s is of windows, found {step_s!r} without window_s")
        return length, max(length, 1)
    step_s = window_s if step_s is None else step_s
    for name, value in (("window_s", window_s), ("step_s", step_s)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is a positive number of seconds, found {value!r}")
    width = max(2, round(window_s * rate))
    if width > length:
        raise ValueError(
            f"a window of {window_s:g} s ({width} samples) is longer than the series: "
            f"the largest is {length / rate:g} s ({length} samples)"
        )
    return width, max(1, round(step_s * rate))
