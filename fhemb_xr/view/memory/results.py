"""Results with an axis of time, as a strip shows them: quartiles of curves, a map of lags."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.plot import figure_data
from fhemb_xr.typing import F64

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Strip:
    """One result along time.

    Attributes
    ----------
    seconds
        Moments ``(t,)``; of windows their middle.
    values
        ``(3, t)`` lower quartile, median and upper quartile over people or pairs; one row
        where there is one curve; ``(lag, t)`` of a map.
    lags
        Lags of a map [s], else None.
    what
        Its name with its unit, and over how many curves the quartiles are.
    """

    seconds: F64
    values: F64
    lags: F64 | None
    what: str


def strip(x: xr.DataArray, feature: str = "") -> Strip:
    """What a strip shows of a result; of several features ``feature``, else the first.

    Raises
    ------
    BudgetError
        If the result is larger than one task may hold.
    """
    x = figure_data.loaded(x, "a strip")
    along = schema.WINDOW if schema.WINDOW in x.dims else schema.TIME
    name = str(x.attrs.get("long_name") or x.name or "result")
    if schema.FEATURE in x.dims:
        known = x[schema.FEATURE].values.tolist() if schema.FEATURE in x.coords else []
        k = known.index(feature) if feature in known else 0
        name = f"{name} of {known[k]}" if known else name
        x = x.isel({schema.FEATURE: k})
    if schema.SESSION in x.dims:
        x = x.isel({schema.SESSION: 0})
    seconds = _seconds(x, along)
    if schema.LAG in x.dims:
        others = [d for d in x.dims if d not in (along, schema.LAG)]
        values = x.transpose(schema.LAG, along, *others).values.astype(np.float64)
        values = values.reshape(*values.shape[:2], -1)
        many = f", median of {values.shape[2]}" if values.shape[2] > 1 else ""
        return Strip(seconds, _quantile(values, 0.5), _lags(x), f"{name}{many}")
    values = x.transpose(..., along).values.astype(np.float64).reshape(-1, seconds.size)
    if len(values) == 1:
        return Strip(seconds, values, None, name)
    rows = np.stack([_quantile(values.T, q) for q in QUARTILES])
    return Strip(seconds, rows, None, f"{name}: quartiles of {len(values)}")


def _seconds(x: xr.DataArray, along: str) -> F64:
    """Moments on the clock of the recording; of windows their middle."""
    if along == schema.TIME:
        return Clock.of(x).require_forward().axis_s
    starts = x[schema.TIME if schema.TIME in x.coords else schema.WINDOW].values
    if starts.dtype.kind not in "iuf":
        starts = x[schema.WINDOW].values
    middle: F64 = starts.astype(np.float64) + float(x.attrs.get("window_s", 0.0)) / 2
    return middle


def _lags(x: xr.DataArray) -> F64:
    known = schema.LAG in x.coords
    lags: F64 = np.asarray(x[schema.LAG].values if known else np.arange(x.sizes[schema.LAG]))
    return lags.astype(np.float64)


def _quantile(values: F64, q: float) -> F64:
    """Along the last axis, of what is there; NaN where nothing is."""
    seen = np.isfinite(values).any(axis=-1)
    out = np.full(seen.shape, np.nan)
    if seen.any():
        out[seen] = np.nanquantile(values[seen], q, axis=-1)
    return out
