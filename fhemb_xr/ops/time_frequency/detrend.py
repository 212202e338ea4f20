"""Slow drifts taken out of series."""

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.kernels.time_frequency import detrend as kernel
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.checks import require_count
from fhemb_xr.ops.time_frequency.butterworth import bandpass


def detrend(
    x: xr.DataArray, *, order: int = 1, highpass_s: float | None = None
) -> xr.DataArray:
    """Series without their polynomial trend, and without what is slower than a period.

    Parameters
    ----------
    x
        Any array with ``time``, in any chunks, also a heatmap. Every series has its own trend.
        Missing samples stay missing and do not matter.
    order
        Order of the polynomial: 0 takes the mean out, 1 a line.
    highpass_s
        Longest period that is kept [s], by :func:`bandpass` after the polynomial.

    Returns
    -------
    DataArray
        Like ``x``, in its chunks; float32 stays float32, whole numbers become float64.

    Raises
    ------
    SchemaError
        If ``x`` has no ``time``.
    ValueError
        If ``order`` is not a whole number from 0 on, or ``highpass_s`` is shorter than two
        samples.

    Notes
    -----
    After it, the circular null holds for people who each drift along such a polynomial; a
    random walk needs ``null="linear"`` nevertheless.

    Equal for all chunks of ``time`` to rounding. The data are read twice. Memory per task:
    three blocks of ``x``, plus ``8 (order + 1) (order + 2)`` bytes per series. Tasks: under
    five per chunk. Computes at call: none.

    References
    ----------
    - Harris (2020), Nonsense correlations in neuroscience, bioRxiv,
      doi:10.1101/2020.11.29.402719.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(1000) / 25
    >>> x = xr.DataArray(np.sin(6 * t) + 33 - 0.01 * t, dims="time")
    >>> flat = fx.detrend(x.chunk(time=100))
    >>> bool(abs(flat - np.sin(6 * t)).max() < 0.05)
    True
    """
    schema.require_dims(x, schema.TIME)
    clock = Clock.of(x).require_regular()
    order = require_count("order", order, 0)
    if highpass_s is not None:
        highpass_s = _period(highpass_s, clock)
    given = x if x.dtype.kind == "f" else x.astype(np.float64)
    last = given.transpose(..., schema.TIME)
    data = _without_trend(last.data, kernel.basis(clock.n, order))
    out = last.copy(deep=False, data=data).transpose(*x.dims)
    if highpass_s is not None:
        coords = out.coords
        out = bandpass(out.assign_attrs(x.attrs), (1 / highpass_s, None)).assign_coords(coords)
    keep = {k: v for k, v in x.attrs.items() if k in ("units", "long_name")}
    out.attrs = {**keep, **clock.attrs, "detrend_order": order}
    if highpass_s is not None:
        out.attrs["highpass_s"] = float(highpass_s)
    return out.rename(x.name)


def _period(highpass_s: float, clock: Clock) -> float:
    period = number_of_seconds("highpass_s", highpass_s)
    if not period * clock.rate_hz > 2:
        raise ValueError(
            f"highpass_s is a period of more than {2 / clock.rate_hz:g} s, found {highpass_s!r}"
        )
    return period


def _without_trend(data: Any, polynomials: Any) -> Any:
    if not isinstance(data, da.Array):
        return kernel.residual(
            data, polynomials, kernel.finish(kernel.state(data, polynomials))
        )
    k = polynomials.shape[1]
    lead, time = tuple(range(data.ndim - 1)), data.ndim - 1
    terms, sums = data.ndim, data.ndim + 1
    rows = da.from_array(polynomials, chunks=(data.chunks[-1], -1))
    meta = np.empty((0,) * (data.ndim + 1))
    states = da.blockwise(
        _state,
        (*lead, time, sums),
        data,
        (*lead, time),
        rows,
        (time, terms),
        new_axes={sums: k * (k + 1)},
        adjust_chunks={time: 1},
        concatenate=True,
        dtype=np.float64,
        meta=meta,
    )
    total = states.sum(axis=time, split_every=8)
    fit = total.map_blocks(
        kernel.finish,
        chunks=(*total.chunks[:-1], (k,)),
        dtype=np.float64,
        meta=np.empty((0,) * data.ndim),
    )
    return da.blockwise(
        _residual,
        (*lead, time),
        again(data, fit),
        (*lead, time),
        rows,
        (time, terms),
        fit,
        (*lead, terms),
        concatenate=True,
        dtype=data.dtype,
        meta=np.empty((0,) * data.ndim, data.dtype),
    )


def _state(x: Any, polynomials: Any) -> Any:
    return kernel.state(x, polynomials)[..., None, :]


def _residual(x: Any, polynomials: Any, coefficients: Any) -> Any:
    return kernel.residual(x, polynomials, coefficients)
