"""The pulse in the pixels of a face, and what a heart's trace says it should be.

Both are written in the orthonormal cosines of the pulse band, over which white noise stays
white: 0.7 to 3 Hz of a window of 10 s are 47 numbers.

References
----------
- Ahmed, Natarajan & Rao (1974), IEEE Trans. Comput. C-23, 90-93, doi:10.1109/T-C.1974.223784.
"""

import numpy as np

from fhemb_xr.typing import F64, Bools, Floats

SLOW_HZ, PULSE_HZ = (0.05, 0.6), (0.7, 3.0)
PATTERNS = 10
"""Spatial patterns of slow motion, breathing and drift that are brought down to the noise."""
LOST = 0.2
"""Share of a window's frames that may lack the face, or of its trace."""


def cosines(n: int, rate_hz: float, band: tuple[float, float]) -> F64:
    """Orthonormal cosines with a frequency in the band [Hz]: ``(n, f)``."""
    step = rate_hz / (2 * n)
    k = np.arange(np.ceil(band[0] / step - 1e-9), np.floor(band[1] / step + 1e-9) + 1)
    t = np.arange(n)[:, None] + 0.5
    return np.asarray(np.sqrt(2 / n) * np.cos(np.pi * t * k[k > 0] / n))


def movie(x: Floats, rate_hz: float) -> F64:
    """The pulse band of a window without slow motion: ``(..., t, y, x) -> (..., f, y, x)``.

    The leading spatial patterns of 0.05 to 0.6 Hz are those of motion, breathing and drift. In
    the pulse band each is brought down to the level of the noise, not removed: a pulse that
    looks like a drift stays. Scaled to a root mean square of 1. Pixels that are missing in any
    frame with a face are 0; frames without a face are bridged by a line, and a window that
    lacks too many of them is NaN. Peak memory: 40 bytes per sample of a window.
    """
    slow, fast = (cosines(x.shape[-3], rate_hz, band) for band in (SLOW_HZ, PULSE_HZ))
    out = np.empty((*x.shape[:-3], fast.shape[1], *x.shape[-2:]))
    for i in np.ndindex(x.shape[:-3]):
        # laid out alike whatever it is a view of, so that sums have one order
        flat = np.array(x[i].reshape(x.shape[-3], -1), dtype=np.float64, order="C")
        out[i] = _steadied(flat, slow, fast).reshape(out.shape[-3:])
    return out


def _steadied(x: F64, slow: F64, fast: F64) -> F64:
    face = np.asarray(np.isfinite(x).any(axis=1))
    if not face.any() or np.mean(~face) > LOST:
        return np.full((fast.shape[1], x.shape[1]), np.nan)
    pixels = np.isfinite(x[face]).all(axis=0)
    if not pixels.any():
        return np.full((fast.shape[1], x.shape[1]), np.nan)
    out = np.zeros((fast.shape[1], x.shape[1]))
    seen = _bridged(x[:, pixels], face)
    seen -= seen.mean(axis=0)
    f = _attenuated(fast.T @ seen, slow.T @ seen)
    size = np.sqrt(np.mean(f**2))
    out[:, pixels] = f / size if size > 1e-9 else np.nan
    return out


def _bridged(x: F64, face: Bools) -> F64:
    """Frames without a face as a line between those on either side: ``(t, p)``."""
    if face.all():
        return x.copy()
    there, t = np.flatnonzero(face), np.arange(len(x))
    right = np.clip(np.searchsorted(there, t), 0, len(there) - 1)
    left = np.clip(np.searchsorted(there, t, side="right") - 1, 0, len(there) - 1)
    a, b = there[left], there[right]
    share = np.where(b > a, (t - a) / np.maximum(b - a, 1), 0)[:, None]
    return np.asarray(x[a] * (1 - share) + x[b] * share)


def _attenuated(f: F64, s: F64) -> F64:
    """``f`` with the patterns of ``s`` at the level of its noise: ``(f, p), (s, p) -> (f, p)``.

    A Wiener gain for each direction among the patterns, from the median pixel of the rest.
    """
    _, u = np.linalg.eigh(s @ s.T)
    v = u[:, -PATTERNS:].T @ s
    size = np.linalg.norm(v, axis=1, keepdims=True)
    v = v[size[:, 0] > 1e-9 * size.max()] / size[size[:, 0] > 1e-9 * size.max()]
    v = np.linalg.qr(v.T)[0].T  # the patterns of a series in blocks are orthogonal to rounding
    part = f @ v.T
    rest = f - part @ v
    noise = np.sqrt(np.median(np.sum(rest**2, axis=0)))
    left, size, right = np.linalg.svd(part, full_matrices=False)
    gain = np.minimum(1, noise / np.maximum(size, 1e-300)) ** 2
    return np.asarray(rest + ((left * (size * gain)) @ right) @ v)


def waves(h: Floats, rate_hz: float, lags_s: Floats) -> F64:
    """A heart's trace at each delay, in the pulse band: ``(..., t), (l,) -> (..., l, f)``.

    Each of unit length. Missing samples are bridged by a line; a window that lacks too many
    of them, or does not change, is NaN.
    """
    fast = cosines(h.shape[-1], rate_hz, PULSE_HZ)
    t = np.arange(h.shape[-1]) / rate_hz
    out = np.full((*h.shape[:-1], len(lags_s), fast.shape[1]), np.nan)
    for i in np.ndindex(h.shape[:-1]):
        seen = np.isfinite(h[i])
        if seen.any() and np.mean(~seen) <= LOST:
            late = np.stack([np.interp(t - d, t[seen], h[i][seen]) for d in lags_s])
            out[i] = _unit((late - late.mean(axis=-1, keepdims=True)) @ fast)
    return out


def quadrature(w: F64, rate_hz: float, n: int) -> F64:
    """A wave and itself a quarter turn later, orthonormal: ``(..., f) -> (..., 2, f)``."""
    fast, side = cosines(n, rate_hz, PULSE_HZ), np.sign(np.fft.fftfreq(n))
    out = np.empty((*w.shape[:-1], 2, w.shape[-1]))
    for i in np.ndindex(w.shape[:-1]):  # one by one: a product of many has another order
        now = np.ascontiguousarray(w[i])
        later = np.fft.ifft(-1j * side * np.fft.fft(fast @ now)).real @ fast
        out[i] = now, _unit(later - np.sum(later * now) * now)
    return out


def _unit(x: F64) -> F64:
    size = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.where(size > 1e-9, size, np.nan))
