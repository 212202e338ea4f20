"""Breathing and pulse: a wave, its rate in windows, and whether there is one at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.respiration import rates as kernel
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.checks import require_interval, require_share
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.ops.respiration.course import course
from fhemb_xr.ops.time_frequency.butterworth import bandpass
from fhemb_xr.ops.units import common_unit

_PERIODS = 6
"""Periods of the lowest frequency in a window: below, the trend takes part of it away."""
_FEWEST = 8
"""Frequencies of a band, four for each that a window can tell apart."""
_ORDER = 2
_FOUND = "found"


def respiration(
    x: xr.DataArray | xr.Dataset,
    roi: Sequence[str] | str = "nose_tip",
    *,
    minus: Sequence[str] | str | None = ("forehead", "cheeks"),
    hz: tuple[float, float] = (0.1, 0.7),
    window_s: float = 60.0,
    step_s: float = 10.0,
    reference: xr.DataArray | None = None,
    alpha: float = 0.01,
    template: xr.Dataset | None = None,
) -> xr.Dataset:
    """Breathing in the temperature of the nose: wave, rate, quality, and whether it is there.

    Air cools the nostrils on its way in, and warms them on its way out.

    Parameters
    ----------
    x
        A recording or its heatmap, in which the regions are followed by :func:`regions`; a
        result of it, or an embedding ``(…, time, feature)``; or a series ``(…, time)``, which
        is taken as it is.
    roi
        Region, or several, where breathing is looked for: ``"nose_tip"``, ``"perioral"``.
    minus
        Regions whose mean is subtracted, since what the whole face shares is not breathing;
        None: nothing. ``roi`` and ``minus`` are of frames and of series with a ``feature``.
    hz
        Lowest and highest frequency [Hz].
    window_s, step_s
        Length of the windows and distance between their starts [s]; a window holds six periods
        of the lowest frequency.
    reference
        Another trace of breathing ``(…, time)`` on the same clock, e.g. of a belt through
        :func:`align`: the result says how late the face is.
    alpha
        Largest chance at which a rate is given; windows with a higher ``p`` have none.
    template
        See :func:`regions`; of frames only.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is: ``wave(…, time)``, the band [unit of the series],
        for which gaps of up to a second are filled; ``rate(…, window)`` [1/min], NaN where ``p
        > alpha``; ``quality(…, window)``, the share of the power of the band that the rate and
        its harmonic have; ``p(…, window)``, how often noise has as high a peak; with a
        reference ``lag(…, window)`` [s], positive where the face is late, half a period at
        most. Several regions stand along ``feature``. ``window`` is the start of each window
        [s after the first sample]. A window that lacks more than a fifth of its samples is NaN.

    Raises
    ------
    SchemaError
        If there is no ``time``, or the clock is uneven or unknown.
    UnknownNameError
        No such region (a ``KeyError``).
    ValueError
        If windows are too short, a number is out of range, or the clocks differ.

    Notes
    -----
    The rate is the highest peak of the spectrum of a window above a background, a smooth curve
    through the logarithm of the spectrum beside the peak. ``p`` is that of noise of any such
    spectrum; of all windows without breathing, about a share ``alpha`` has a rate. What is
    periodic and not breathing (a swinging head, a stimulus) has a rate too.
    Memory per task: 60 bytes per sample of one whole series, and 20 KiB per sample of a window.
    Tasks: under ten per series and chunk, beside those of :func:`regions`. Computes at call:
    none.

    References
    ----------
    - Cho, Julier, Marquardt & Bianchi-Berthouze (2017), Biomed. Opt. Express 8, 4480-4503,
      doi:10.1364/BOE.8.004480.
    - Vaughan (2005), Astron. Astrophys. 431, 391-403, doi:10.1051/0004-6361:20041453.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(3000) / 10
    >>> nose = np.sin(2 * np.pi * 0.25 * t) + np.random.default_rng(0).normal(size=3000)
    >>> out = fx.respiration(xr.DataArray(nose, dims="time", coords={"time": t}))
    >>> float(out.rate.mean().round(1)), float(out.p.max())
    (15.0, 0.0005)
    """
    series = course(x, roi, minus, template)
    return _rates(series, hz, window_s, step_s, reference, alpha).assign_attrs(of="breathing")


def pulse(
    x: xr.DataArray | xr.Dataset,
    roi: Sequence[str] | str = "forehead",
    *,
    minus: Sequence[str] | str | None = None,
    hz: tuple[float, float] = (0.8, 3.0),
    window_s: float = 20.0,
    step_s: float = 5.0,
    reference: xr.DataArray | None = None,
    alpha: float = 0.01,
    template: xr.Dataset | None = None,
) -> xr.Dataset:
    """Pulse in the temperature of the skin: wave, rate, quality, and whether it is there.

    Parameters
    ----------
    x, roi, minus, hz, window_s, step_s, reference, alpha, template
        As in :func:`respiration`; the reference is a trace of the heart, e.g. of
        :func:`cardiac_wave`.

    Returns
    -------
    Dataset
        As :func:`respiration`; ``rate`` in beats a minute.

    Raises
    ------
    SchemaError, UnknownNameError, ValueError
        As :func:`respiration`.

    Notes
    -----
    As :func:`respiration`. The pulse changes the temperature of the skin by some mK: few
    cameras see it in one region. :func:`pair` looks for it in all pixels.

    References
    ----------
    - Garbey, Sun, Merla & Pavlidis (2007), IEEE Trans. Biomed. Eng. 54, 1418-1426,
      doi:10.1109/TBME.2007.891930.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(1000) / 25
    >>> skin = np.sin(2 * np.pi * 1.2 * t) + np.random.default_rng(0).normal(size=1000)
    >>> out = fx.pulse(xr.DataArray(skin, dims="time", coords={"time": t}))
    >>> float(out.rate.mean().round())
    72.0
    """
    series = course(x, roi, minus, template)
    return _rates(series, hz, window_s, step_s, reference, alpha).assign_attrs(of="pulse")


def _rates(
    x: xr.DataArray, hz: tuple[float, float], window_s: float, step_s: float,
    reference: xr.DataArray | None, alpha: float,
) -> xr.Dataset:  # fmt: skip
    clock = Clock.of(x).require_regular()
    band, step = _band(clock, hz, window_s, step_s)
    if require_share("alpha", alpha) < 1 / (kernel.DRAWS + 1):
        raise ValueError(
            f"alpha is {1 / (kernel.DRAWS + 1):g} or more, the smallest chance that is told, "
            f"found {alpha!r}"
        )
    budget.check(60 * clock.n, "one whole series", "select less time")
    if reference is not None:
        common_clock(x, reference)
    series = [x] if reference is None else [x, reference]
    whole = [rechunked(s, {d: -1 if d == schema.TIME else 1 for d in s.dims}) for s in series]
    starts = np.arange(0, clock.n - band.width + 1, step)
    whole = [
        s.drop_vars([n for n, c in s.coords.items() if schema.TIME in c.dims]) for s in whole
    ]
    found = apply_kernel(
        _in_windows,
        *whole,
        core=[[schema.TIME]] * len(whole), new={schema.WINDOW: starts.size, _FOUND: 4},
        band=band, step=step,
    )  # fmt: skip
    names = ("rate", "quality", "p", *(["lag"] if reference is not None else []))
    out = xr.Dataset({name: found.isel({_FOUND: k}) for k, name in enumerate(names)})
    sure = out["p"] <= alpha
    out["rate"] = 60 * out["rate"].where(sure)
    if "lag" in out:
        out["lag"] = out["lag"].where(sure)
    about = {"long_name": "start of window", "units": "s"}
    seconds = starts / clock.rate_hz
    out = out.assign_coords({schema.WINDOW: (schema.WINDOW, seconds, about)})
    edges = (band.low_hz, band.high_hz)
    out["wave"] = bandpass(x, edges, order=_ORDER, gaps="fill").astype(np.float64)
    return _described(out, x, clock, window_s)


def _band(
    clock: Clock, hz: tuple[float, float], window_s: float, step_s: float
) -> tuple[kernel.Band, int]:
    low, high = require_interval("hz", hz)
    if not 0 < low < high < clock.rate_hz / 2:
        raise ValueError(
            f"hz is a pair (lowest, highest) between 0 and {clock.rate_hz / 2:g} Hz, found "
            f"{hz!r}"
        )
    width, step = samples_of(window_s, step_s, clock)
    if width / clock.rate_hz * low < _PERIODS * (1 - 1e-9):
        raise ValueError(
            f"a window holds {_PERIODS} periods of the lowest frequency, {_PERIODS / low:g} s "
            f"of {low:g} Hz, found window_s={window_s!r}: take longer windows or a higher hz[0]"
        )
    band = kernel.Band(low, high, clock.rate_hz, width)
    if band.fine.size < _FEWEST:
        raise ValueError(
            f"hz spans {_FEWEST * clock.rate_hz / width / 4:.3g} Hz or more in windows of "
            f"{window_s:g} s, found {hz!r}"
        )
    return band, step


def _in_windows(x: Any, *beside: Any, band: kernel.Band, step: int) -> Any:
    """``(..., t)[, (..., t)] -> (..., window, 4)``."""
    starts = np.arange(0, x.shape[-1] - band.width + 1, step)
    lead = np.broadcast_shapes(x.shape[:-1], *(b.shape[:-1] for b in beside))
    every = [np.broadcast_to(v, (*lead, v.shape[-1])) for v in (x, *beside)]
    return kernel.rates(every[0], starts, band, *every[1:])


def _described(out: xr.Dataset, x: xr.DataArray, clock: Clock, window_s: float) -> xr.Dataset:
    texts = {
        "wave": ("band of the series", common_unit(x, "unit of the series")),
        "rate": ("rate of the highest peak", "1/min"),
        "quality": ("share of the power that the rate and its harmonic have", "1"),
        "p": ("share of noise with as high a peak", "1"),
        "lag": ("delay behind the reference", "s"),
    }
    describe(out, texts)
    out["wave"].attrs |= clock.attrs
    return out.assign_attrs(window_s=float(window_s), **clock.attrs)
