"""Bands of any two frequencies by a Butterworth filter, and their power over time."""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.ops.blockwise.overlap import along_time
from fhemb_xr.ops.checks import require_count, require_interval
from fhemb_xr.ops.time_frequency.band_spec import gap_options

GAPS = ("split", "fill", "raise")
_SETTLED = 1e-7
"""Part of the response that is left where a recursive filter is cut."""


def bandpass(
    x: xr.DataArray,
    hz: tuple[float | None, float | None],
    *,
    order: int = 4,
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """A band of frequencies by a Butterworth filter, forth and back, without a shift in time.

    Parameters
    ----------
    x
        Array with ``time``, in any chunks.
    hz
        Lowest and highest frequency [Hz]; None for one of them makes it a low- or high-pass.
    order
        Order of the filter; filtering forth and back doubles it.
    gaps, max_gap_s
        As in :func:`wavelet_filter`: every run of samples on its own (``"split"``), gaps of up
        to ``max_gap_s`` seconds filled for the filter (``"fill"``), or refused while computing
        (``"raise"``). Missing samples stay missing.

    Returns
    -------
    DataArray
        Like ``x``, in its chunks; float32 stays float32.

    Raises
    ------
    ValueError
        Frequencies outside of 0 to half the sampling rate, or in the wrong order; another
        argument that is not allowed; or, while computing with ``gaps="raise"``, a gap.
    BudgetError
        A block and the samples that it depends on exceed the budget of one task.

    Notes
    -----
    ``scipy.signal.sosfiltfilt``, block by block. A block reads neighbours until the filter's
    response has faded to 1e-7, so the result equals that of the whole series to about 1e-7.
    Memory per task: 8 times the samples read. Tasks: under six per chunk. Computes at call:
    none.

    References
    ----------
    - Gustafsson (1996), IEEE Trans. Signal Process. 44, 988-992, doi:10.1109/78.492552.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(5000) / 25
    >>> x = xr.DataArray(
    ...     np.sin(6 * t) + np.sin(0.6 * t), dims="time", attrs={"sampling_rate": 25}
    ... )
    >>> slow = fx.bandpass(x.chunk(time=1000), (None, 0.3))
    >>> bool(abs(slow - np.sin(0.6 * t))[500:-500].max() < 0.01)
    True
    """
    from scipy.signal import butter

    from fhemb_xr.kernels.time_frequency.gaps import CONTEXT

    clock = Clock.of(x).require_regular()
    rate = clock.rate_hz
    kind, edges = _edges(hz, rate)
    gaps, max_gap_s = gap_options(gaps, max_gap_s, GAPS)
    order = require_count("order", order)
    longest = clock.samples("max_gap_s", max_gap_s) if gaps == "fill" else 0
    sos = butter(order, edges, kind, fs=rate, output="sos")
    margin = _settling(sos) + (longest + CONTEXT if longest else 0)
    work = partial(_filtered, sos=sos, longest=longest, refuse=gaps == "raise")
    out = along_time(x, work, margin, each=8)
    out.attrs = {k: v for k, v in x.attrs.items() if k in ("units", "long_name")}
    return out.assign_attrs(
        {schema.SAMPLING_RATE: rate, "bandpass_hz": np.atleast_1d(edges).tolist()}
    )


def band_power(
    x: xr.DataArray,
    hz: tuple[float | None, float | None],
    *,
    window_s: float = 10.0,
    order: int = 4,
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """Power of a band of frequencies around each moment.

    Parameters
    ----------
    x, hz, order, gaps, max_gap_s
        As in :func:`bandpass`.
    window_s
        Length of the centred moving average [s]; it leaves missing samples out.

    Returns
    -------
    DataArray
        Like ``x``: the mean square of the filtered signal [unit²]; missing where the sample in
        the middle of the window is missing. The sum over bands that cover all frequencies is
        nearly the power of the signal.

    Raises
    ------
    ValueError, BudgetError
        As :func:`bandpass`; a window that holds no sample.

    Notes
    -----
    Memory per task: 10 times the samples read. Tasks: under twelve per chunk. Computes at call:
    none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(5000) / 25
    >>> x = xr.DataArray(2 * np.sin(6 * t), dims="time", attrs={"sampling_rate": 25})
    >>> float(fx.band_power(x, (0.5, 2))[2500].round(1))
    2.0
    """
    n = Clock.of(x).require_regular().samples("window_s", window_s, least=1)
    filtered = bandpass(x, hz, order=order, gaps=gaps, max_gap_s=max_gap_s)
    out = along_time(filtered, partial(_mean_square, n=n), n // 2 + 1, each=10)
    units = {"units": f"({x.attrs['units']})^2"} if "units" in x.attrs else {}
    kept = {k: filtered.attrs[k] for k in (schema.SAMPLING_RATE, "bandpass_hz")}
    return out.assign_attrs({**units, **kept, "long_name": "band power"})


def _edges(hz: tuple[float | None, float | None], rate: float) -> tuple[str, Any]:
    cure = ""
    if isinstance(hz, int | float | np.number):
        cure = f": (None, {hz!r}) keeps what is slower, ({hz!r}, None) what is faster"
    within = f", between 0 and {rate / 2:g} Hz"
    low, high = require_interval("hz", hz, open_ends=True, within=within, cure=cure)
    found = [f for f in (low, high) if f is not None]
    if not found or any(not 0 < f < rate / 2 for f in found):
        raise ValueError(
            f"hz is a pair (lowest, highest){within}, one of them may be None, found {hz!r}"
        )
    if len(found) == 2:
        return "bandpass", found
    return ("lowpass" if low is None else "highpass"), found[0]


def _settling(sos: Any) -> int:
    """Samples after which the response of the slowest pole has faded."""
    poles = np.concatenate([np.roots(section[3:]) for section in sos])
    slowest = np.abs(poles).max()
    return int(np.ceil(np.log(_SETTLED) / np.log(min(slowest, 1 - 1e-6)))) + 1


def _filtered(x: Any, *, sos: Any, longest: int, refuse: bool) -> Any:
    from scipy.signal import sosfiltfilt

    from fhemb_xr.kernels.time_frequency.gap_filling import each_run

    if refuse and not np.isfinite(x).all():
        raise ValueError("a sample is missing: gaps='fill' or gaps='split' allow that")
    taps = 2 * len(sos) + 1 - min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum())

    def work(run: Any) -> Any:  # scipy's own padding, less where the run is shorter
        pad = min(3 * taps, len(run) - 1)
        return sosfiltfilt(sos, run, axis=0, padlen=pad).astype(x.dtype)

    return each_run(x, work, longest)


def _mean_square(x: Any, *, n: int) -> Any:
    from scipy.ndimage import uniform_filter1d

    there = np.isfinite(x)
    square = np.where(there, x, 0).astype(np.float64) ** 2
    share = uniform_filter1d(there.astype(np.float64), n, axis=0, mode="constant")
    mean = uniform_filter1d(square, n, axis=0, mode="constant")
    return np.where(there, mean / np.maximum(share, 0.5 / n), np.nan).astype(x.dtype)
