"""Wavelet coherence of Morlet transforms, in stretches of time that give what the whole gives.

A transform and its smoothing reach :data:`REACH` scales to either side, beyond which the
Gaussian envelopes are below 2e-8. Scales are in samples.

References
----------
- Torrence & Compo (1998), Bull. Am. Meteorol. Soc. 79, 61-78,
  doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2.
- Grinsted, Moore & Jevrejeva (2004), Nonlinear Process. Geophys. 11, 561-566,
  doi:10.5194/npg-11-561-2004.
"""

from typing import Any, NamedTuple

import numpy as np

from fhemb_xr.typing import F64, Floats

_OMEGA = 6.0
PERIOD_OF_SCALE = 4 * np.pi / (_OMEGA + np.sqrt(2 + _OMEGA**2))
REACH = 6.0
_DECORRELATION = 0.6
"""Octaves over which periods are averaged, to either side half of it."""
CONE = float(np.sqrt(2))
"""Scales from an end or a gap within which a value depends on what is not there."""


class Scales(NamedTuple):
    """Scales of the periods that are asked for, in samples, and their steps."""

    of_periods: tuple[float, ...]
    per_octave: int

    @property
    def samples(self) -> F64:
        """``(p)``."""
        return np.array(self.of_periods)

    @property
    def margin(self) -> int:
        """Samples that a transform, or a smoothing, reaches to either side."""
        return int(np.ceil(REACH * max(self.of_periods)))


class Transform(NamedTuple):
    """One series in one stretch of time."""

    waves: Any
    """(p, n + 2 m): coefficients, with a margin for smoothing where the series goes on."""
    power: F64
    """(p, n): smoothed power, NaN in the cone of an end or a gap."""
    before: int
    """Samples of ``waves`` before the first of ``power``."""


def prepared(x: Floats) -> tuple[F64, F64]:
    """A series about its mean with its gaps bridged by lines, and the distance to what is lost.

    ``(t) -> (t), (t)``; a series that never moves becomes 0. Memory: 60 bytes per sample.
    """
    there = np.isfinite(x)
    places = np.arange(x.size)
    if not there.any():
        return np.zeros(x.size), np.zeros(x.size)
    y = np.interp(places, places[there], x[there].astype(np.float64))
    d = y - x[there].mean(dtype=np.float64)
    if np.abs(d).max() <= 1e-13 * np.abs(y).max():
        d[:] = 0.0
    lost = np.concatenate([[-1], places[~there], [x.size]])
    after = lost[np.searchsorted(lost, places)]
    before = lost[np.searchsorted(lost, places, side="right") - 1]
    return d, np.minimum(after - places, places - before).astype(np.float64)


def transform(x: Floats, scales: Scales, begin: int, end: int) -> Transform:
    """Coefficients and smoothed power of ``begin <= t < end`` of a whole series ``(t)``.

    Memory: ``40 * periods`` bytes per sample of the stretch and four margins.
    """
    y, distance = prepared(x)
    m = scales.margin
    a, b = max(0, begin - m), min(x.size, end + m)
    waves = _waves(y, scales, a, b)
    s = scales.samples[:, None]
    power = smoothed((waves.real**2 + waves.imag**2) / s, scales, begin - a, end - begin)
    power = np.where(distance[begin:end] > CONE * s, power, np.nan)
    return Transform(waves, power, begin - a)


def coefficients(x: Floats, scales: Scales, begin: int, end: int) -> tuple[Any, F64]:
    """Coefficients of a stretch, and the distance of its moments to what is lost.

    ``(t) -> (p, n), (n)``. Memory: ``32 * periods`` bytes per sample of the stretch and two
    margins.
    """
    y, distance = prepared(x)
    return _waves(y, scales, begin, end), distance[begin:end]


def _waves(y: F64, scales: Scales, a: int, b: int) -> Any:
    """Coefficients of ``a <= t < b``: ``(t) -> (p, b - a)``."""
    from scipy import fft

    m = scales.margin
    first, last = max(0, a - m), min(y.size, b + m)
    size = fft.next_fast_len(last - first + m)
    omega = 2 * np.pi * fft.fftfreq(size)
    spectrum = fft.fft(y[first:last], size)
    out = np.empty((len(scales.of_periods), b - a), np.complex128)
    positive = omega > 0
    for p, s in enumerate(scales.of_periods):
        window = np.where(positive, np.exp(-0.5 * (s * omega - _OMEGA) ** 2), 0.0)
        daughter = np.sqrt(2 * np.pi * s) * np.pi**-0.25 * window
        out[p] = fft.ifft(spectrum * daughter)[a - first : b - first]
    return out


def smoothed(values: Any, scales: Scales, before: int, n: int) -> Any:
    """Averages over time and over periods: ``(p, before + n + after) -> (p, n)``.

    Rows in which the boxcar leaves the periods have less weight, above and below a fraction.
    """
    from scipy import fft

    length, complex_ = values.shape[-1], np.iscomplexobj(values)
    over_time = np.empty((len(values), n), values.dtype)
    for p, s in enumerate(scales.of_periods):
        m = int(np.ceil(REACH * s))  # a short scale needs a short margin
        a, b = max(0, before - m), min(length, before + n + m)
        size = fft.next_fast_len(b - a + m, real=not complex_)
        k = 2 * np.pi * (fft.fftfreq(size) if complex_ else fft.rfftfreq(size))
        window = np.exp(-0.5 * (s * k) ** 2)
        if complex_:
            course = fft.ifft(fft.fft(values[p, a:b], size) * window)
        else:
            course = fft.irfft(fft.rfft(values[p, a:b], size) * window, size)
        over_time[p] = course[before - a : before - a + n]
    plain = over_time.view(np.float64)  # real and imaginary parts side by side
    return (_period_weights(len(values), scales.per_octave) @ plain).view(values.dtype)


def _period_weights(n: int, per_octave: int) -> F64:
    """Boxcar of :data:`_DECORRELATION` octaves with half weights at its ends, ``(n, n)``."""
    size = max(round(2 * _DECORRELATION * per_octave), 1)
    weights = np.ones(size)
    if size > 1:
        weights[[0, -1]] = 0.5
    weights /= weights.sum()
    out = np.zeros((n, n))
    for k, w in enumerate(weights):
        out += w * np.eye(n, k=(size - 1) // 2 - k)
    return out


def coherence(a: Transform, b: Transform, scales: Scales) -> F64:
    """Squared coherence, and phase by which ``a`` leads: ``(2, p, n)``.

    Memory: ``90 * periods`` bytes per sample of the stretch and two margins.
    """
    cross = a.waves * np.conj(b.waves) / scales.samples[:, None]
    cross = smoothed(cross, scales, a.before, a.power.shape[-1])
    return of_spectra(cross, a.power, b.power)


def of_spectra(cross: Any, first: F64, second: F64) -> F64:
    """Squared coherence, and phase: ``(p, n), (p, n), (p, n) -> (2, p, n)``."""
    product = first * second
    known = product > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = (cross.real**2 + cross.imag**2) / np.where(known, product, np.nan)
        phase = np.where(known, np.angle(cross), np.nan)
    return np.stack([np.minimum(r2, 1.0), phase])
