"""The background of a face: one threshold, in degrees Celsius, for every function of frames."""

import math
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.dask_internals import is_in_memory
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.kernels.frames.visible import limit
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.synonyms import folded

RECORDING = "recording"
COLDEST, HOTTEST = -30.0, 60.0
"""Temperatures between which the median of a face lies [°C]."""
_SAMPLES = 4096
_UNITS = {
    "kelvin": {"k", "kelvin", "kelvins", "degk", "deg_k"},
    "fahrenheit": {"f", "degf", "°f", "fahrenheit", "deg_f", "degree_f", "degrees_f",
                   "degree_fahrenheit", "degrees_fahrenheit"},
    "celsius": {"c", "degc", "°c", "celsius", "deg_c", "degree_c", "degrees_c",
                "degree_celsius", "degrees_celsius"},
}  # fmt: skip
_FACTOR_OFFSET = {"kelvin": (1.0, -273.15), "fahrenheit": (5 / 9, -160 / 9)}


def visible(heat: xr.DataArray, threshold: Any) -> xr.DataArray:
    """NaN where a pixel is colder than ``threshold``; the threshold is compared as float64.

    ``None`` masks nothing, ``"recording"`` takes ``attrs["temperature_threshold"]``, if there
    is one. Kelvin and Fahrenheit are converted to °C where a threshold applies.
    """
    threshold = chosen(heat, threshold)
    if threshold is None:
        return heat
    heat = celsius(heat, threshold)
    dtype = heat.dtype if heat.dtype.kind == "f" else np.dtype(np.float64)
    coldest = limit(threshold, heat.dtype)
    # one task a chunk, where() makes two
    seen = apply_kernel(_masked, heat, dtype=dtype, limit=coldest)
    kept = {k: v for k, v in heat.attrs.items() if k != schema.THRESHOLD}  # it is done
    return seen.assign_attrs(kept)


def _masked(x: Any, limit: Any) -> Any:
    return np.where(x >= limit, x, x.dtype.type(np.nan) if x.dtype.kind == "f" else np.nan)


def chosen(heat: xr.DataArray | xr.Dataset, threshold: Any) -> float | None:
    """The threshold that is meant [°C], or None.

    Raises
    ------
    ValueError
        If it is neither a number, nor None, nor ``"recording"``.
    """
    found = heat.attrs.get(schema.THRESHOLD) if _is_recording(threshold) else threshold
    if found is None:
        return None
    try:
        number = math.nan if isinstance(found, bool | str) else float(found)
    except (TypeError, ValueError):
        number = math.nan
    if not number > -math.inf:  # NaN would mask nothing
        kind = "°C, None or 'recording'" if isinstance(found, str) else "a number of °C"
        raise ValueError(f"threshold is {kind}, found {found!r}")
    return number


def celsius(heat: xr.DataArray, threshold: float | None = None) -> xr.DataArray:
    """The heatmap in °C, whatever ``attrs["units"]`` say; without units as it is.

    Warns of a threshold, and of pixels in memory, that cannot be °C.

    Raises
    ------
    SchemaError
        If a heatmap in kelvin or Fahrenheit is given a threshold that is not in °C.
    """
    unit = unit_word(heat.attrs.get("units"))
    if unit in _FACTOR_OFFSET:
        factor, offset = _FACTOR_OFFSET[unit]
        if threshold is not None and threshold > HOTTEST and not math.isinf(threshold):
            raise SchemaError(
                f"a threshold is given in °C, found {threshold:g} for a heatmap in {unit}: "
                f"{threshold:g} of these are {threshold * factor + offset:g} °C"
            )
        warn(f"the heatmap is in {unit} and is converted to °C: attrs['units'] says so")
        heat = (heat * factor + offset).astype(heat.dtype).assign_attrs(heat.attrs)
        return heat.assign_attrs(units="degC")
    if unit == "celsius":
        _warn_of_threshold(threshold)
        _warn_of_pixels(heat)
    return heat


def _is_recording(threshold: Any) -> bool:
    return isinstance(threshold, str) and folded(threshold) == RECORDING


def unit_word(units: Any) -> str:
    """``kelvin``, ``fahrenheit``, ``celsius``, or nothing for any other unit."""
    word = str(units).strip().casefold().replace(" ", "_")
    return next((unit for unit, words in _UNITS.items() if word in words), "")


def _warn_of_threshold(threshold: float | None) -> None:
    if threshold is None or COLDEST <= threshold <= HOTTEST or math.isinf(threshold):
        return
    kelvin = f"; {threshold:g} K are {threshold - 273.15:g} °C" if threshold > 200 else ""
    warn(f"a threshold of {threshold:g} °C, and no face has such a temperature{kelvin}")


def _warn_of_pixels(heat: xr.DataArray) -> None:
    """Warn if the median of pixels in memory is no face's; lazy ones are not looked at."""
    if heat.chunks is not None or not is_in_memory(heat.variable):
        return
    values = heat.variable.to_numpy().reshape(-1)
    values = values[:: max(1, values.size // _SAMPLES)]
    values = values[np.isfinite(values)]
    median = float(np.median(values)) if values.size else math.nan
    if median < COLDEST or median > HOTTEST:
        warn(
            f"the units of the heatmap say °C, its median is {median:.4g}, which is no face's "
            "temperature: set attrs['units'] to 'K' or 'degF', or convert it"
        )
