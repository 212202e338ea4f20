"""Wavelet bands along time, exact for any chunking, without ever holding a whole series."""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.ops.blockwise.overlap import along_time
from fhemb_xr.ops.time_frequency.band_graph import BandGraph
from fhemb_xr.ops.time_frequency.band_spec import (
    Bands,
    Interval,
    band_attrs,
    check,
    choose,
    frequencies,
)


def wavelet_bands(
    x: xr.DataArray,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    transform: str = "dwt",
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """Split a signal into its wavelet bands, each at full length.

    Parameters
    ----------
    x
        Array with ``time``, in any chunks.
    wavelet
        Name of a discrete wavelet of PyWavelets.
    level
        Depth L. A level that is too deep for the series is computed with a warning.
    mode
        Extension at both ends, level by level, as PyWavelets names it.
    transform
        ``"dwt"``: decimated. Its bands change when the signal is shifted: noise and the same
        noise shifted correlate at a median of 0.64 after filtering
        (``docs/shift_variance.png``). ``"modwt"``: the maximal-overlap multiresolution,
        zero-phase and shift-invariant. Use it to compare people in time. It extends the series
        once (symmetric, reflect, constant, zero, periodic).
    gaps
        Treatment of missing samples, which always stay missing.
        ``"split"``: every run of samples is filtered on its own, as PyWavelets would filter it.
        ``"fill"``: gaps of up to ``max_gap_s`` are filled for the filter by an autoregressive
        model of both sides (up to three samples by a line), and only longer gaps split the
        series. Use it if faces are lost for moments.
        ``"propagate"``: NaN spreads over the filter's reach, as in PyWavelets.
        ``"raise"``: a missing sample is an error while computing.
    max_gap_s
        Longest gap that ``gaps="fill"`` fills [s]. Refused with other values of ``gaps``.

    Returns
    -------
    DataArray
        ``x`` with a last dimension ``band``, 0 to L in PyWavelets' order: 0 is the
        approximation A_L, band b ≥ 1 the detail D_{L+1-b}. Coordinates ``frequency_low`` and
        ``frequency_high`` [Hz], ``period_low`` and ``period_high`` [s], if the sampling rate is
        known. Bands sum to ``x``. float32 and float64 are kept, integers of up to 16 bits
        become float32, longer ones float64. Chunks are those of ``x``.

    Raises
    ------
    UnknownNameError
        Unknown wavelet; with the nearest names.
    ValueError
        Another argument that is not allowed; or, while computing with ``gaps="raise"``, a gap.
    BudgetError
        A block and the samples that it depends on exceed the budget of one task.

    Notes
    -----
    Equal to ``pywt.wavedec``, zeroed coefficients, ``pywt.waverec`` over the whole series, to
    rounding.

    *Overlap.* A block reads about ``(F - 1)(2^L - 1)`` samples of its neighbours on each side,
    where F is the length of the filter. Chunks that are much shorter are joined, up to 16 MiB.

    *Streaming.* If a block would have to read more than twice its own length (wide frames), the
    streaming algorithm is used instead, for ``"dwt"`` unless it fills gaps or joins both ends.
    A few coefficients of each level are passed from block to block, in the order of time. Every
    sample is read and transformed once for each result; ``persist`` a small input of several
    results. With streaming, computing one minute computes everything before that minute too.
    Measured for 5 400 pixels in chunks of 1 000 samples: 1.3 to 1.7 times the time of copying
    the store, before 2.7 (``benchmarks/bench_wavelets_store.py``).

    Memory per running task:

    ==================  ================================================================
    overlap             block read + output + 24 MiB (more for one long series)
    block of one chunk  at most twice the chunk + output
    streaming           three times the block + output
    ==================  ================================================================

    Between the tasks of a stream, coefficients wait: ``2^-j`` of the series for the detail of
    level j. Chunks of several people are copied once more. Tasks: under six per chunk. Computes
    at call: none.

    References
    ----------
    - Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
    - Percival & Walden (2000), Wavelet Methods for Time Series Analysis,
      doi:10.1017/CBO9780511841040.
    - Janssen, Veldhuis & Vries (1986), IEEE Trans. Acoust. Speech Signal Process. 34, 317-330,
      doi:10.1109/TASSP.1986.1164824 (filling).

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=2000), dims="time")
    >>> parts = fx.wavelet_bands(x.chunk(time=700))
    >>> parts.sizes["band"], bool(abs(parts.sum("band") - x).max() < 1e-12)
    (9, True)
    """
    asked = check(x, wavelet, level, mode, transform, gaps, max_gap_s)
    every = tuple(range(asked.level + 1))
    spec = asked.spec(*((b,) for b in every))
    data = BandGraph.of(x, spec, asked.gaps, asked.max_gap_s).array()
    out = xr.DataArray(data, dims=(*x.dims, schema.BAND), coords=x.coords, name=x.name)
    out = out.assign_coords({schema.BAND: np.arange(asked.level + 1)})
    if asked.clock.known_hz is not None:
        out = out.assign_coords(_in_hertz(asked.level, asked.clock.known_hz))
    out.attrs = band_attrs(x, every, asked)
    return out


def _in_hertz(level: int, rate_hz: float) -> dict[str, Any]:
    """Coordinates along ``band``: nominal frequencies [Hz] and periods [s]."""
    low, high = np.array(frequencies(level, rate_hz)).T
    with np.errstate(divide="ignore"):
        shortest, longest = 1 / high, 1 / low
    return {
        "frequency_low": (schema.BAND, low, {"units": "Hz"}),
        "frequency_high": (schema.BAND, high, {"units": "Hz"}),
        "period_low": (schema.BAND, shortest, {"units": "s"}),
        "period_high": (schema.BAND, longest, {"units": "s"}),
    }


def wavelet_filter(
    x: xr.DataArray,
    bands: Bands | None = None,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    hz: Interval | None = None,
    period_s: Interval | None = None,
    transform: str = "dwt",
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """The sum of some wavelet bands, without computing the others.

    Parameters
    ----------
    x, wavelet, level, mode, transform, gaps, max_gap_s
        As in :func:`wavelet_bands`.
    bands
        Band numbers in PyWavelets' order, one number, or ``"all"``.
    hz, period_s
        Alternative to ``bands``: the lowest and the highest frequency [Hz], or the shortest and
        the longest period [s]. Bands with at least half of their octaves in it are taken.

    Returns
    -------
    DataArray
        Like ``x``, lazy where it is, in its chunks. ``attrs["fhemb_bands"]`` describes the
        result as JSON: wavelet, level, mode, transform, bands, and the intervals in Hz and
        seconds, with adjacent bands merged.

    Raises
    ------
    UnknownNameError
        Unknown wavelet; with the nearest names.
    ValueError
        No band, an unknown band, or another argument that is not allowed.
    BudgetError
        As :func:`wavelet_bands`.

    Notes
    -----
    As :func:`wavelet_bands`, with the deepest level that the bands need instead of L. Tasks:
    under six per chunk. Computes at call: none.

    References
    ----------
    - As :func:`wavelet_bands`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(2000.0) % 50, dims="time", attrs={"sampling_rate": 25.0})
    >>> y = fx.wavelet_filter(x.chunk(time=600), [2, 3, 5])
    >>> fx.ops.time_frequency.band_spec.band_label(y.attrs)
    '0.10–0.39, 0.78–1.56 Hz'
    >>> z = fx.wavelet_filter(x.chunk(time=600), period_s=(5, 20))
    >>> fx.ops.time_frequency.band_spec.band_label(z.attrs, "s")
    '5.12–20.48 s'
    """
    asked = check(x, wavelet, level, mode, transform, gaps, max_gap_s)
    chosen = choose(bands, asked.level, asked.clock, hz, period_s)
    data = BandGraph.of(x, asked.spec(chosen), asked.gaps, asked.max_gap_s).array()
    out = xr.DataArray(data, dims=x.dims, coords=x.coords, name=x.name)
    out.attrs = band_attrs(x, chosen, asked)
    return out


def coverage(
    x: xr.DataArray,
    bands: Bands | None = None,
    wavelet: str = "db4",
    level: int = 8,
    *,
    hz: Interval | None = None,
    period_s: Interval | None = None,
    transform: str = "dwt",
) -> xr.DataArray:
    """Share of each filtered sample that rests on present samples.

    Parameters
    ----------
    x, bands, wavelet, level, hz, period_s, transform
        As in :func:`wavelet_filter`.

    Returns
    -------
    DataArray
        Like ``x``, float32 from 0 to 1: the share of the filter's energy that lies on samples
        of ``x``, and not on missing samples or beyond the ends. Above 0.99, gaps and ends
        change the filtered sample little, whatever their treatment.

    Raises
    ------
    UnknownNameError, ValueError
        As :func:`wavelet_filter`.

    Notes
    -----
    The energy of the decimated transform differs from sample to sample with period 2^level; it
    is averaged over that period. Memory per task: twice the samples read + output. Tasks: under
    six per chunk. Computes at call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.zeros(9000), dims="time").chunk(time=1000)
    >>> x = x.where(x.time != 4000)
    >>> share = fx.coverage(x, [3, 5])
    >>> share[[0, 2000, 4000]].values.astype(float).round(2).tolist()
    [0.55, 1.0, 0.91]
    """
    asked = check(x, wavelet, level, "zero", transform)
    chosen = choose(bands, asked.level, asked.clock, hz, period_s)
    spec = asked.spec(chosen)
    present = x.notnull().astype(np.float32)  # the share is float32 for any x
    out = along_time(present, partial(_covered, spec=spec), spec.reach).rename("coverage")
    out.attrs = {
        **band_attrs(x, chosen, asked),
        "long_name": "energy of the filter on present samples",
        "units": "1",
    }
    return out


def _covered(present: Any, *, spec: Any) -> Any:
    from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel

    return kernel.covered(present > 0, spec)
