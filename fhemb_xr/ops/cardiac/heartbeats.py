"""Heart beats of an electrocardiogram or a pulse wave."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import ConfigError, SchemaError
from fhemb_xr.kernels.cardiac import heartbeats as kernel
from fhemb_xr.ops.cardiac.trace_alignment import apply_whole
from fhemb_xr.ops.checks import require_choice

KINDS = ("ecg", "pulse")
SHORTEST_S, LONGEST_S = 0.27, 2.0
"""Intervals between beats [s] that a heart makes: 222 to 30 beats per minute."""
_LOWEST_HZ = 50  # what a detector of R waves needs
_DETECTOR_HZ = 75  # below it, the detector's filter up to 30 Hz has no room: sample up first
GAP = "gap"
"""Coordinate of beats: True in long gaps of the trace, over which no interval is counted."""


def beats(trace: xr.DataArray, *, kind: str = "ecg") -> xr.DataArray:
    """Where the heart beats.

    Parameters
    ----------
    trace
        ``(…, time)``, sampled evenly. Missing samples count as the mean; in a gap of more than
        0.27 s no beat is found.
    kind
        ``"ecg"``: the R waves, by the detector of sleepecg, from 50 Hz on. ``"pulse"``: the
        crests of a pulse wave (of a finger, an ear, a face) between 0.7 and 3 Hz.

    Returns
    -------
    DataArray
        Truth value of each sample, ``(…, time)``: a beat is known to half a sample. Where the
        trace may have gaps (floats, lazy or with missing samples), the coordinate ``gap`` is
        True in those of more than 0.27 s: :func:`rr` and the functions after it count no
        interval over them.

    Raises
    ------
    UnknownNameError
        No such kind (a ``KeyError``).
    SchemaError
        If there is no ``time``, no rate, or one too low for the kind.
    ConfigError
        If sleepecg is not installed: ``pip install 'fhemb_xr[physio]'``.

    Notes
    -----
    Memory: a task holds one whole series, 60 bytes per sample. Tasks: one per series, and
    three per chunk to gather it. Computes at call: none.

    References
    ----------
    - Pan & Tompkins (1985), IEEE Trans. Biomed. Eng. 32, 230-236, doi:10.1109/TBME.1985.325532.
    - Brunner & Hofer (2023), J. Open Source Softw. 8, 5411, doi:10.21105/joss.05411 (sleepecg).

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(0, 10, 0.01)
    >>> pulse = xr.DataArray(np.cos(2 * np.pi * 1.25 * t), dims="time", coords={"time": t})
    >>> found = fx.beats(pulse, kind="pulse")
    >>> found.time[found.values][1:4].values.tolist()
    [1.6, 2.4, 3.2]
    """
    kind = require_choice("kind of trace", kind, KINDS, {"ekg": "ecg", "ppg": "pulse"})
    schema.require_dims(trace, schema.TIME)
    rate_hz = _even_rate(trace, _LOWEST_HZ if kind == "ecg" else 6)
    function = _r_waves if kind == "ecg" else _crests
    if kind == "ecg":
        _detector()  # where it is missing, it is named now
    out = apply_whole(function, trace, np.bool_, rate_hz=rate_hz)
    if trace.dtype.kind == "f":
        gap = apply_whole(kernel.gaps, trace, np.bool_, longer=SHORTEST_S * rate_hz)
        if gap.chunks is not None or gap.values.any():
            out = out.assign_coords({GAP: gap.variable})
    out.attrs = {"long_name": "heart beat", "units": "1", schema.SAMPLING_RATE: rate_hz}
    return out.rename("beat")


def _even_rate(trace: xr.DataArray, lowest_hz: float) -> float:
    clock = Clock.of(trace)
    if not clock.regular:
        steps = np.diff(clock.since_first)
        raise SchemaError(
            f"beats are found in a trace that is sampled evenly, found steps from "
            f"{steps.min():.4g} to {steps.max():.4g} s: put it on an even clock with fx.align"
        )
    rate_hz = clock.rate_hz
    if rate_hz < lowest_hz:
        raise SchemaError(
            f"beats of this kind need {lowest_hz:g} samples a second, the trace has "
            f"{rate_hz:.4g}: read it at its own rate"
        )
    return rate_hz


def _filled(x: Any) -> Any:
    seen = np.isfinite(x)
    return np.where(seen, x, x[seen].mean() if seen.any() else 0.0).astype(np.float64)


def _detector() -> Any:
    try:
        from sleepecg.heartbeats import detect_heartbeats
    except ImportError:
        raise ConfigError(
            "beats of an electrocardiogram are found by sleepecg, which is not installed: "
            "pip install 'fhemb_xr[physio]'"
        ) from None
    return detect_heartbeats


def _r_waves(x: Any, *, rate_hz: float) -> Any:
    detect, times_faster = _detector(), 1 if rate_hz >= _DETECTOR_HZ else 2
    out = np.zeros(x.shape, dtype=np.bool_)
    for i in np.ndindex(x.shape[:-1]):
        if np.ptp(series := _filled(x[i])) > 0:
            found = detect(_sampled_up(series, times_faster), rate_hz * times_faster)
            out[i][np.minimum(np.rint(found / times_faster).astype(int), out.shape[-1] - 1)] = 1
    return out & ~kernel.gaps(x, longer=SHORTEST_S * rate_hz)


def _sampled_up(series: Any, times: int) -> Any:
    if times == 1:
        return series
    from scipy.signal import resample_poly

    return resample_poly(series - series[0], times, 1)


def _crests(x: Any, *, rate_hz: float) -> Any:
    from scipy.signal import butter, find_peaks, sosfiltfilt

    pulse = butter(2, (0.7, 3.0), "bandpass", fs=rate_hz, output="sos")
    out = np.zeros(x.shape, dtype=np.bool_)
    for i in np.ndindex(x.shape[:-1]):
        series = _filled(x[i])
        if np.ptp(series) > 0 and series.size > 4 * rate_hz:
            smooth = sosfiltfilt(pulse, series)
            far = max(1, round(rate_hz / 3))  # no two crests within a third of a second
            out[i][find_peaks(smooth, distance=far, prominence=0.3 * smooth.std())[0]] = True
    return out & ~kernel.gaps(x, longer=SHORTEST_S * rate_hz)
