"""Features of sound at given moments, from the spectra of windows around them.

References
----------
- Sethares (1993), J. Acoust. Soc. Am. 94, 1218-1228, doi:10.1121/1.408175.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.typing import F64, Floats, Ints

FEATURES = {
    "level": ("A-weighted level of the sound", "dB"),
    "onset": (
        "onset strength: mean rise of the level of 40 bands since the frame before",
        "dB",
    ),
    "flux": ("spectral flux: rise of the magnitudes since the frame before", "1"),
    "novelty": ("novelty of the harmony: 1 - likeness of the chroma after and before", "1"),
    "roughness": ("sensory roughness of the partials", "1"),
}
_FLOOR = 1e-12
"""Power of silence, of full scale: -120 dB."""
_BROADER = 1.5
"""Bins over which the window spreads the power of a tone."""
_BANDS, _PARTIALS = 40, 20
_LOWEST, _HIGHEST = 30.0, 8000.0
"""Range of bands and partials [Hz]."""
_TONES = 130.0, 4200.0
"""Range of the chroma [Hz]."""


class Sound(NamedTuple):
    """How windows lie in a sound."""

    rate_hz: float
    width: int
    """Samples of a window."""
    context: int
    """Frames before and after, of which the harmony is compared."""


def features(x: Floats, first: int, starts: Ints, sound: Sound, names: tuple[str, ...]) -> F64:
    """Features of the frames but ``context`` at both ends: ``(n), (m) -> (m - 2 c, names)``.

    ``x`` holds the samples from ``first`` on, ``starts`` the first samples of the windows. A
    window that leaves ``x`` gives NaN. Memory: 40 bytes per sample of all windows.
    """
    inside = (starts >= first) & (starts + sound.width <= first + x.size)
    places = np.where(inside, starts - first, 0)[:, None] + np.arange(sound.width)
    frames = x[places].astype(np.float64) if x.size else np.zeros(places.shape)
    window = np.hanning(sound.width + 1)[:-1]
    magnitudes = np.abs(np.fft.rfft(frames * window, axis=1)) * (2 / window.sum())
    magnitudes[~inside] = np.nan
    hz = np.asarray(np.fft.rfftfreq(sound.width, 1 / sound.rate_hz), np.float64)
    c = sound.context
    shown = magnitudes[c : len(starts) - c]
    before = magnitudes[c - 1 : len(starts) - c - 1]
    found = {
        "level": lambda: _level(shown, hz),
        "onset": lambda: _onset(shown, before, hz),
        "flux": lambda: np.maximum(shown - before, 0).sum(axis=1),
        "novelty": lambda: _novelty(magnitudes, hz, c),
        "roughness": lambda: _roughness(shown, hz),
    }
    return np.stack([found[name]() for name in names], axis=1)


def _decibels(power: F64) -> F64:
    return np.asarray(10 * np.log10(power + _FLOOR))


def _level(magnitudes: F64, hz: F64) -> F64:
    """Level of what an ear hears, by the curve A of IEC 61672."""
    f = hz**2
    curve = 12194.0**2 * f * f
    curve /= (f + 20.6**2) * (f + 12194.0**2) * np.sqrt((f + 107.7**2) * (f + 737.9**2))
    weights = (curve * 10**0.1) ** 2  # 2.00 dB: 0 dB at 1 kHz
    return _decibels(magnitudes**2 / (2 * _BROADER) @ weights)


def _onset(shown: F64, before: F64, hz: F64) -> F64:
    bands = _mel_bands(hz)
    rise = _decibels(shown**2 @ bands) - _decibels(before**2 @ bands)
    return np.asarray(np.maximum(rise, 0).mean(axis=1))


def _mel_bands(hz: F64) -> F64:
    """Triangles that are even on the mel scale, ``(f, band)``."""
    ends = 2595 * np.log10(1 + np.array([_LOWEST, min(_HIGHEST, hz[-1])]) / 700)
    edges = 700 * (10 ** (np.linspace(ends[0], ends[1], _BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (hz[:, None] - low) / (middle - low)
    falling = (high - hz[:, None]) / (high - middle)
    return np.asarray(np.maximum(np.minimum(rising, falling), 0))


def _novelty(magnitudes: F64, hz: F64, context: int) -> F64:
    """``1 - cos`` between the mean chroma of the frames after and before."""
    tones = (hz >= _TONES[0]) & (hz <= _TONES[1])
    pitch = np.rint(12 * np.log2(hz[tones] / 440.0)).astype(np.int64) % 12
    chroma = magnitudes[:, tones] ** 2 @ np.eye(12)[pitch]
    run = np.concatenate([np.zeros((1, 12)), np.cumsum(np.nan_to_num(chroma), axis=0)])
    lost = np.concatenate([[0], np.cumsum(~np.isfinite(chroma[:, 0]))])
    here = np.arange(context, len(magnitudes) - context)
    after, before = run[here + context] - run[here], run[here] - run[here - context]
    size = np.sqrt((after**2).sum(axis=1) * (before**2).sum(axis=1))
    alike = (after * before).sum(axis=1) / np.where(size > 0, size, np.nan)
    known = lost[here + context] == lost[here - context]
    return np.where(known, np.clip(1 - alike, 0, 1), np.nan)


def _roughness(magnitudes: F64, hz: F64) -> F64:
    """Dissonance of the strongest partials (Sethares), each pair by its weaker one."""
    known = np.isfinite(magnitudes[:, 0])
    m = np.nan_to_num(magnitudes)
    peak = np.zeros(m.shape, bool)
    peak[:, 1:-1] = (m[:, 1:-1] > m[:, :-2]) & (m[:, 1:-1] >= m[:, 2:])
    heard = m > 1e-3 * m.max(axis=1, keepdims=True)
    m = np.where(peak & heard & (hz >= _LOWEST) & (hz <= _HIGHEST), m, 0.0)
    n = min(_PARTIALS, m.shape[1])
    strongest = np.argpartition(m, -n, axis=1)[:, -n:]
    a, f = np.take_along_axis(m, strongest, axis=1), hz[strongest]
    i, j = np.triu_indices(n, 1)
    weaker = np.minimum(a[:, i], a[:, j])
    distance = np.abs(f[:, i] - f[:, j])
    s = 0.24 / (0.0207 * np.minimum(f[:, i], f[:, j]) + 18.96)
    rough = 5 * (np.exp(-3.51 * s * distance) - np.exp(-5.75 * s * distance))
    return np.where(known, (weaker * rough).sum(axis=1), np.nan)
