"""From beats to rates and phases, and from one clock to another; the time axis last."""

import numpy as np

from fhemb_xr.typing import F64, Bools, Floats


def gaps(x: Floats, *, longer: float) -> Bools:
    """Samples in a run of more than ``longer`` missing ones: ``(..., t) -> (..., t)``."""
    missing = ~np.isfinite(x)
    out = np.zeros(x.shape, dtype=np.bool_)
    for i in np.ndindex(x.shape[:-1]):
        edges = np.flatnonzero(np.diff(missing[i].astype(np.int8), prepend=0, append=0))
        for start, stop in edges.reshape(-1, 2):
            out[i][start:stop] = stop - start > longer
    return out


def _steps(beats: Bools, gap: Bools, times: F64) -> F64:
    """Seconds between beats; NaN where a gap lies between them: ``(t,) -> (beats - 1,)``."""
    at = np.flatnonzero(beats)
    before = np.cumsum(gap)[at]
    return np.where(np.diff(before) > 0, np.nan, np.diff(times[at]))


def intervals(beats: Bools, gap: Bools, times: F64) -> F64:
    """Seconds since the beat before, at each beat: ``(..., t), (..., t), (t,) -> (..., t)``.

    NaN where there is no beat, and where a gap lies between the two.
    """
    out = np.full(beats.shape, np.nan)
    for i in np.ndindex(beats.shape[:-1]):
        out[i][np.flatnonzero(beats[i])[1:]] = _steps(beats[i], gap[i], times)
    return out


def phase(
    beats: Bools, gap: Bools, times: F64, clock: F64, *, shortest: float, longest: float
) -> F64:
    """Beats since the first, with fractions, on a clock: ``(..., t), (..., t) -> (..., n)``.

    Linear between two beats; NaN outside them, over a gap, and in an interval that no heart
    makes.
    """
    out = np.full((*beats.shape[:-1], clock.size), np.nan)
    for i in np.ndindex(beats.shape[:-1]):
        at = times[beats[i]]
        if at.size < 2:
            continue
        place = np.clip(np.searchsorted(at, clock, side="right") - 1, 0, at.size - 2)
        step = _steps(beats[i], gap[i], times)[place]
        inside = (clock >= at[0]) & (clock <= at[-1]) & (step >= shortest) & (step <= longest)
        out[i] = np.where(inside, place + (clock - at[place]) / step, np.nan)
    return out


def rate(
    beats: Bools, gap: Bools, times: F64, clock: F64, *, shortest: float, longest: float
) -> F64:
    """Beats per minute on a clock: ``(..., t), (..., t) -> (..., n)``.

    Sixty over an interval holds in its middle, and is linear from middle to middle; NaN where
    the phase is.
    """
    out = phase(beats, gap, times, clock, shortest=shortest, longest=longest)
    for i in np.ndindex(beats.shape[:-1]):
        at = times[beats[i]]
        step = _steps(beats[i], gap[i], times)
        good = (step >= shortest) & (step <= longest)
        if good.any():
            middles = (at[:-1] + step / 2)[good]
            smooth = np.interp(clock, middles, 60 / step[good])
            out[i] = np.where(np.isfinite(out[i]), smooth, np.nan)
    return out


def resampled(x: Floats, times: F64, clock: F64, *, max_gap: float) -> F64:
    """A signal on another clock: ``(..., t), (t,), (n,) -> (..., n)``.

    Two samples or more within half a step of the new clock: their mean, which keeps what is
    faster than the new clock out of it. Fewer: a line between the samples on either side,
    where they are at most ``max_gap`` seconds apart, otherwise NaN. Missing samples are left
    out.
    Peak memory: 40 bytes per sample.
    """
    half = np.median(np.diff(clock)) / 2 if clock.size > 1 else 0.0
    out = np.full((*x.shape[:-1], clock.size), np.nan)
    for i in np.ndindex(x.shape[:-1]):
        seen = np.isfinite(x[i])
        t, v = times[seen], x[i][seen].astype(np.float64)
        if t.size:
            out[i] = _on_clock(v, t, clock, float(half), max_gap)
    return out


def _on_clock(v: F64, t: F64, clock: F64, half: float, max_gap: float) -> F64:
    # half a microsecond early, so that rounding of a clock puts no sample into two steps
    first, last = (np.searchsorted(t, clock + side - 5e-7) for side in (-half, half))
    centre = v.mean()
    sums = np.concatenate([[0.0], np.cumsum(v - centre)])
    count = last - first
    mean = centre + (sums[last] - sums[first]) / np.maximum(count, 1)
    right = np.clip(np.searchsorted(t, clock), 0, t.size - 1)
    left = np.clip(np.searchsorted(t, clock, side="right") - 1, 0, t.size - 1)
    near = (t[right] - t[left] <= max_gap) & (clock >= t[0]) & (clock <= t[-1])
    line = np.where(near, np.interp(clock, t, v), np.nan)
    return np.where(count > 1, mean, line)
