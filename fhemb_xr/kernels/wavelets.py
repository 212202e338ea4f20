"""Wavelet bands of a stretch of a series, and fillings of its gaps.

Bands are numbered as PyWavelets orders coefficients: 0 is the approximation A_L of the deepest
level L, band b ≥ 1 the detail D_{L+1-b}.

References
----------
Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
Percival & Walden (2000), Wavelet Methods for Time Series Analysis, doi:10.1017/CBO9780511841040.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
LOCAL_MODES = (
    "symmetric", "reflect", "zero", "constant", "smooth", "antisymmetric", "antireflect",
)  # fmt: skip
"""Extensions that look only at the end that they extend."""
CIRCULAR_MODES = ("periodic", "periodization")
"""Extensions that look at the other end, so that the whole series must be at hand."""
PADDING = {
    "symmetric": "symmetric",
    "reflect": "reflect",
    "constant": "edge",
    "zero": "constant",
    "periodic": "wrap",
}
"""Extensions of the shift-invariant transform, by numpy's names."""


def depth(bands: Sequence[int], level: int) -> int:
    """The deepest level that these bands need."""
    return max(level if b == 0 else level + 1 - b for b in bands)


def reach(wavelet: str, levels: int) -> int:
    """Samples on either side that an output sample depends on: (F - 1)(2^J - 1)."""
    return (pywt.Wavelet(wavelet).dec_len - 1) * (2**levels - 1)


def dwt_bands(
    x: Floats, axis: int, groups: Sequence[Sequence[int]], wavelet: str, level: int, mode: str
) -> list[Floats]:
    """For each group of bands its sum, each like ``x``; unneeded branches are not computed.

    Peak memory: four times ``x`` and the results.
    """
    deepest = max(depth(g, level) for g in groups)
    lengths, details, a = [], [], x
    for _ in range(deepest):
        lengths.append(a.shape[axis])
        a, d = pywt.dwt(a, wavelet, mode, axis)
        details.append(d)
    return [_inverse(a, details, lengths, axis, g, wavelet, level, mode) for g in groups]


def _inverse(
    a: Floats, details: list[Floats], lengths: list[int], axis: int, bands: Sequence[int],
    wavelet: str, level: int, mode: str,
) -> Floats:  # fmt: skip
    out = a if 0 in bands else None
    for j in range(len(details), 0, -1):
        d = details[j - 1] if level + 1 - j in bands else None
        if out is None and d is None:
            continue
        if out is not None and out.shape[axis] > details[j - 1].shape[axis]:
            out = _cut(out, axis, details[j - 1].shape[axis])
        out = _cut(pywt.idwt(out, d, wavelet, mode, axis), axis, lengths[j - 1])
    assert out is not None
    return out


def _cut(x: Floats, axis: int, length: int) -> Floats:
    return x[(slice(None),) * axis + (slice(length),)]


def modwt_bands(
    x: Floats, axis: int, groups: Sequence[Sequence[int]], wavelet: str, level: int, mode: str
) -> list[Floats]:
    """The same by the maximal-overlap transform: zero-phase, shift-invariant, additive.

    A band is ``x`` convolved with the autocorrelation of the band's cascaded filter.
    Peak memory: six times ``x`` and the results.
    """
    from scipy.signal import oaconvolve

    out = []
    for bands in groups:
        kernel = _zero_phase(wavelet, level, tuple(sorted(bands)))
        half = len(kernel) // 2
        pad = [(half, half) if i == axis else (0, 0) for i in range(x.ndim)]
        longer = np.pad(x, pad, mode=PADDING[mode])  # type: ignore[call-overload]
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        found = oaconvolve(longer, kernel.reshape(shape), mode="valid", axes=axis)
        out.append(found.astype(x.dtype, copy=False))
    return out


def _zero_phase(wavelet: str, level: int, bands: tuple[int, ...]) -> NDArray[np.float64]:
    w = pywt.Wavelet(wavelet)
    low, high = np.array(w.dec_lo) / np.sqrt(2), np.array(w.dec_hi) / np.sqrt(2)
    smooth, parts = np.ones(1), {}
    for j in range(1, level + 1):
        parts[level + 1 - j] = np.convolve(smooth, _spread(high, 2 ** (j - 1)))
        smooth = np.convolve(smooth, _spread(low, 2 ** (j - 1)))
    parts[0] = smooth
    half = max(len(parts[b]) for b in bands) - 1
    total = np.zeros(2 * half + 1)
    for b in bands:
        auto = np.correlate(parts[b], parts[b], "full")
        edge = half - len(auto) // 2
        total[edge : edge + len(auto)] += auto
    return total


def _spread(filt: NDArray[np.float64], gap: int) -> NDArray[np.float64]:
    out = np.zeros((len(filt) - 1) * gap + 1)
    out[::gap] = filt
    return out


def fill(x: Floats, axis: int, longest: int) -> Floats:
    """Gaps filled: linearly where not longer than ``longest``, else by the nearest sample.

    A filled value depends on no sample farther away than the sample that it serves, so the
    result does not depend on how a series is cut. A series without any sample becomes 0.

    Peak memory: 50 bytes per sample.
    """
    y = np.moveaxis(x, axis, -1)
    n = y.shape[-1]
    finite = np.isfinite(y)
    at = np.arange(n)
    left = np.maximum.accumulate(np.where(finite, at, -1), axis=-1)
    right = np.minimum.accumulate(np.where(finite, at, n)[..., ::-1], axis=-1)[..., ::-1]
    has_left, has_right = left >= 0, right < n
    low = np.take_along_axis(y, left.clip(0), axis=-1)
    high = np.take_along_axis(y, right.clip(max=n - 1), axis=-1)
    to_left, to_right = at - left, right - at
    gap = to_left + to_right
    share = (to_left / np.maximum(gap, 1)).astype(y.dtype)
    between = np.where(
        gap - 1 <= longest, low + share * (high - low), np.where(to_left <= to_right, low, high)
    )
    one_side = np.where(has_left, low, np.where(has_right, high, 0))
    out = np.where(finite, y, np.where(has_left & has_right, between, one_side))
    return np.moveaxis(out.astype(x.dtype, copy=False), -1, axis)
