"""Variance between any two frequencies, of many segments at once.

References
----------
- Bergstra, Bardenet, Bengio & Kégl (2011), NIPS 24, 2546-2554 (the tree of Parzen estimators).
"""

import numpy as np

from fhemb_xr.typing import F64


def cumulative(x: F64) -> F64:
    """Variance up to each frequency of the periodogram: ``(..., t) -> (..., t // 2 + 1)``.

    The straight line through each series is subtracted. The last entry is the variance that is
    left.
    """
    n = x.shape[-1]
    t = np.arange(n) - (n - 1) / 2
    slope = (x * t).sum(axis=-1, keepdims=True) / (t**2).sum()
    flat = x - x.mean(axis=-1, keepdims=True) - slope * t
    power = np.abs(np.fft.rfft(flat, axis=-1)) ** 2 / n**2
    power[..., 1 : (n + 1) // 2] *= 2  # what stands at negative frequencies
    return np.asarray(power.cumsum(axis=-1))


def between(below: F64, step_hz: float, low_hz: float, high_hz: float) -> F64:
    """Logarithm of the variance from ``low_hz`` to ``high_hz``: ``(..., k) -> (...)``.

    Each entry of the periodogram is spread evenly over its step of frequency.
    """
    edges = (np.array([low_hz, high_hz]) / step_hz + 0.5).clip(0, below.shape[-1])
    whole = np.concatenate([np.zeros((*below.shape[:-1], 1)), below], axis=-1)
    at = np.minimum(edges.astype(int), below.shape[-1] - 1)
    share = edges - at
    found = whole[..., at] * (1 - share) + whole[..., at + 1] * share
    power = found[..., 1] - found[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(power > 0, np.log(power), np.nan))
