"""Rates of breathing and of the pulse in windows, with what noise would give.

A window is a course about its parabola, under a Hann window. Its spectrum is compared with a
background that is fitted beside the highest peak and its harmonic: a parabola, power and
frequency as logarithms. How high the highest peak of white noise is, above its own background,
is found by drawing it; noise of another such spectrum gives the same.

References
----------
- Vaughan (2005), Astron. Astrophys. 431, 391-403, doi:10.1051/0004-6361:20041453.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fhemb_xr.typing import F64, Bools, Floats, Ints

LOST = 0.2
"""Share of a window that may be missing; it is bridged by lines."""
DRAWS = 1999
"""Windows of noise: the smallest chance that is told is 1 / 2000."""
FINER = 4
"""Frequencies for each that a window can tell apart."""
_BESIDE = 2
"""Half width of a peak under a Hann window, in frequencies that a window can tell apart."""
_TOGETHER = 256
"""Windows that are transformed at a time."""


class Band(NamedTuple):
    """What is looked for: frequencies, in windows of a length."""

    low_hz: float
    high_hz: float
    rate_hz: float
    width: int

    @property
    def coarse(self) -> Ints:
        """Frequencies of the window from half the lowest to twice the highest."""
        step = self.rate_hz / self.width
        first = max(2, int(np.ceil(self.low_hz / 2 / step)))
        last = min((self.width - 1) // 2, int(2 * self.high_hz / step))
        return np.arange(first, last + 1)

    @property
    def fine(self) -> Ints:
        """Frequencies of the band, in steps of a quarter of those of the window."""
        step = self.rate_hz / self.width / FINER
        return np.arange(int(np.ceil(self.low_hz / step)), int(self.high_hz / step) + 1)


def rates(x: Floats, starts: Ints, band: Band, beside: Floats | None = None) -> F64:
    """Frequency, quality, chance and delay in each window: ``(..., t) -> (..., window, 4)``.

    The frequency [Hz] is that of the highest peak above the background; the quality is the
    share of the power of the band that the peak and its harmonic have; the chance is how often
    noise has as high a peak; the delay [s] is that behind ``beside (..., t)``, by the phase at
    the peak. NaN: a window that lacks more than :data:`LOST`, or does not change.

    Peak memory: 256 windows, ten times.
    """
    out = np.full((*x.shape[:-1], len(starts), 4), np.nan)
    for where in np.ndindex(x.shape[:-1]):
        for first in range(0, len(starts), _TOGETHER):
            some = starts[first : first + _TOGETHER]
            found, usable = _spectra(_cut(x[where], some, band), band)
            part = out[where][first : first + len(some)]
            part[usable] = _peaks(found[usable], band)
            if beside is not None and usable.any():
                other, there = _spectra(_cut(beside[where], some, band), band)
                part[:, 3] = np.where(there, _delay(found, other, part[:, 0], band), np.nan)
    return out


def _cut(x: Floats, starts: Ints, band: Band) -> F64:
    return np.asarray(x[starts[:, None] + np.arange(band.width)], dtype=np.float64).copy()


def _spectra(x: F64, band: Band) -> tuple[Any, Bools]:
    """Spectra of windows ``(n, width)``, in steps of a quarter; and which windows have one."""
    there = np.isfinite(x)
    usable = np.asarray(there.mean(axis=1) >= 1 - LOST)
    t = np.arange(band.width)
    for k in np.flatnonzero(usable & ~there.all(axis=1)):
        x[k] = np.interp(t, t[there[k]], x[k, there[k]])
    parabola = np.linalg.qr(np.vander(np.linspace(-1, 1, band.width), 3))[0]
    level = np.abs(np.where(there, x, 0)).max(axis=1)
    x = np.where(usable[:, None], x, 0.0)
    x = x - (x @ parabola) @ parabola.T
    usable &= np.abs(x).max(axis=1) > 1e-9 * level
    taper = np.hanning(band.width + 1)[:-1]
    return np.fft.rfft(x * taper, FINER * band.width, axis=1), usable


def _peaks(spectra: Any, band: Band) -> F64:
    """``(n, frequency) -> (n, 4)``: frequency, quality, chance, and no delay."""
    power = _power(spectra)
    at, height = _highest(power, band)
    null = null_heights(band)
    chance = (1 + null.size - np.searchsorted(null, height, side="left")) / (null.size + 1)
    step = band.rate_hz / band.width / FINER
    quality = _share(power, at, band)
    return np.stack([_between(power, at) * step, quality, chance, np.full(at.size, np.nan)], -1)


def _power(spectra: Any) -> F64:
    """Never 0, so that it has a logarithm."""
    return np.asarray(np.maximum(spectra.real**2 + spectra.imag**2, 1e-300))


def _highest(power: F64, band: Band) -> tuple[Ints, F64]:
    """Where the peak is highest above the background, and how many times that it is."""
    fine = band.fine
    at = fine[power[:, fine].argmax(axis=1)]
    for _ in range(2):  # the fit leaves out the peak that it is to find
        at = fine[(power[:, fine] / _background(power, at, band)).argmax(axis=1)]
    return at, (power[:, fine] / _background(power, at, band)).max(axis=1)


def _background(power: F64, at: Ints, band: Band) -> F64:
    """The fit of each window's spectrum beside its peak and the harmonic: ``(n, fine)``.

    The logarithm of the power is a parabola of that of the frequency.
    """
    k = band.coarse
    middle = np.log(k).mean()
    columns = np.vander(np.log(k) - middle, 3)
    peak = at[:, None] / FINER
    use = (np.abs(k - peak) > _BESIDE) & (np.abs(k - 2 * peak) > _BESIDE)
    weighted = use[:, :, None] * columns
    y = np.log(power[:, FINER * k])
    products = np.einsum("nki,kj->nij", weighted, columns) + 1e-9 * np.eye(3)
    fitted = np.linalg.solve(products, np.einsum("nki,nk->ni", weighted, y)[..., None])
    fine = np.vander(np.log(band.fine / FINER) - middle, 3)
    return np.asarray(np.exp(fitted[..., 0] @ fine.T))


def _between(power: F64, at: Ints) -> F64:
    """The top of a parabola through the logarithms of three frequencies."""
    rows = np.arange(len(at))
    left, top, right = (np.log(power[rows, at + d]) for d in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = np.where(bend < 0, (left - right) / np.where(bend < 0, 2 * bend, 1), 0)
    return np.asarray(at + np.clip(shift, -1, 1))


def _share(power: F64, at: Ints, band: Band) -> F64:
    every = np.arange(band.fine[0], min(2 * band.fine[-1], power.shape[1] - 1) + 1)
    distance = np.minimum(np.abs(every - at[:, None]), np.abs(every - 2 * at[:, None]))
    some = power[:, every]
    near = distance <= _BESIDE * FINER
    return np.asarray((some * near).sum(axis=1) / some.sum(axis=1))


def _delay(x: Any, other: Any, hz: F64, band: Band) -> F64:
    """Seconds by which ``x`` is behind ``other`` at a frequency, half a period at most."""
    known = np.isfinite(hz)
    at = np.rint(np.where(known, hz, 0) / band.rate_hz * band.width * FINER).astype(int)
    rows = np.arange(len(at))
    phase = np.angle(x[rows, at] * np.conj(other[rows, at]))
    return np.where(known, -phase / (2 * np.pi * np.where(known, hz, 1)), np.nan)


@lru_cache(maxsize=32)
def null_heights(band: Band) -> F64:
    """Heights of the highest peaks of white noise, in order."""
    rng = np.random.default_rng(0)
    parts = []
    for first in range(0, DRAWS, _TOGETHER):
        noise = rng.standard_normal((min(_TOGETHER, DRAWS - first), band.width))
        spectra, _ = _spectra(noise, band)
        parts.append(_highest(_power(spectra), band)[1])
    return np.sort(np.concatenate(parts))
