"""The coordinates ``time`` and ``frame`` as numbers."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.clock.rates import FRAME, TIME
from fhemb_xr.errors import SchemaError
from fhemb_xr.typing import F64

SECONDS, DATES, SAMPLES = "seconds", "dates", "samples"
_NANOSECONDS = {"D": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9,
                "ms": 10**6, "us": 10**3, "ns": 1}  # fmt: skip
_IN_WORDS = ("", "s", "sec", "secs", "second", "seconds", "1")


def times(x: xr.DataArray | xr.Dataset) -> Any:
    """Values of the coordinate ``time``, as NumPy has them; None where there is none."""
    if TIME not in x.dims or TIME not in x.coords:
        return None
    held = x[TIME].variable
    if held.dims != (TIME,):
        raise SchemaError(f"the coordinate 'time' lies along {held.dims}, need ('time',)")
    if TIME in x.indexes:
        index = x.indexes[TIME]
        if getattr(index, "tz", None) is not None:  # moments are moments in every zone
            return index.tz_convert("UTC").tz_localize(None).to_numpy()
        return held.values if held.dtype.kind in "iufmM" else _unreadable(index)
    if is_lazy(held.data):
        raise SchemaError(
            "the coordinate 'time' is lazy: .assign_coords(time=x.time.compute())"
        )
    return held.values if held.dtype.kind in "iufmM" else _unreadable(held.values)


def _unreadable(found: Any) -> Any:
    first = found[0] if len(found) else None
    kind = f"{type(first).__module__}.{type(first).__qualname__}"
    cure = (
        "change the calendar with x.convert_calendar('standard')"
        if kind.startswith("cftime")
        else "set it with .assign_coords(time=...)"
    )
    raise SchemaError(f"'time' is in seconds or datetime64, found {kind}: {cure}")


def seconds(values: Any, units: object) -> tuple[str, int, F64, float]:
    """Kind, start [ns], seconds since the start, and resolution [s] of a coordinate."""
    if values.dtype.kind in "mM":
        unit, count = np.datetime_data(values.dtype)
        if unit not in _NANOSECONDS:
            values, unit, count = values.astype(f"{values.dtype.kind}8[s]"), "s", 1
        each = _NANOSECONDS[unit] * count
        ticks = values.astype(np.int64)
        # subtract before dividing: seconds since 1970 leave a float only 7 digits after them
        elapsed = (ticks - ticks[:1]) * (each / 1e9)
        elapsed[np.isnat(values)] = np.nan
        start = int(ticks[0]) * each if ticks.size else 0
        return (DATES if values.dtype.kind == "M" else SECONDS), start, elapsed, each / 1e9
    if isinstance(units, str) and not _is_second(units):
        raise SchemaError(
            f"the coordinate 'time' is in {units!r}, need seconds: convert it with "
            ".assign_coords(time=...)"
        )
    moments = values.astype(np.float64)
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    resolution = float(np.spacing(largest)) if values.dtype.kind == "f" else 0.0
    first = moments[0] if moments.size and np.isfinite(moments[0]) else 0.0
    return SECONDS, round(float(first) * 1e9), moments - moments[:1], resolution


def _is_second(units: str) -> bool:
    word = units.strip().lower()
    return word in _IN_WORDS or word.startswith(("s since", "sec since", "seconds since"))


def frame_numbers(x: xr.DataArray | xr.Dataset) -> Any:
    """Data of the coordinate ``frame`` along time, or None."""
    if FRAME not in x.coords or x[FRAME].dims != (TIME,):
        return None
    return x[FRAME].variable.data


def is_lazy(data: Any) -> bool:
    """Whether reading the values computes something."""
    return hasattr(data, "dask")
