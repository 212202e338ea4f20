"""How steady the phase between two series is: phase locking, and the weighted lag index.

``s(t)`` is the product of one series' wavelet coefficient and the conjugate of the other's. All
measures are of sums over time, which are added over stretches.

References
----------
- Lachaux, Rodriguez, Martinerie & Varela (1999), Hum. Brain Mapp. 8, 194-208,
  doi:10.1002/(SICI)1097-0193(1999)8:4<194::AID-HBM4>3.0.CO;2-C.
- Vinck, Oostenveld, van Wingerden, Battaglia & Pennartz (2011), NeuroImage 55, 1548-1565,
  doi:10.1016/j.neuroimage.2011.01.055.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels.coherence.wavelets import CONE, Scales, coefficients
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.typing import F64, Floats

SUMS = 9
"""Moments; real and imaginary part of s, and of s / |s|; |Im s|; |s|; the power of either."""
MEASURES = ("plv", "wpli", "coherence", "phase")
_NONE = 1e-12
"""Share of |s| below which its imaginary part is rounding."""


def waves(x: Floats, scales: Scales, begin: int, end: int) -> Any:
    """Coefficients of a stretch, NaN in the cone of an end or a gap: ``(t) -> (p, n)``."""
    found, distance = coefficients(x, scales, begin, end)
    return np.where(distance > CONE * scales.samples[:, None], found, np.nan)


def sums(a: Any, b: Any) -> F64:
    """Sums over the moments that both have: ``(p, n), (p, n) -> (9, p, 1)``."""
    known = np.isfinite(a.real + b.real)
    (u, v), (x, y) = (
        [np.where(known, part, 0.0) for part in (wave.real, wave.imag)] for wave in (a, b)
    )  # real numbers: products and sizes of complex ones take twice the time
    first, second = u * u + v * v, x * x + y * y
    real, imaginary, size = u * x + v * y, v * x - u * y, np.sqrt(first * second)
    some = size > 0
    inverse = np.divide(1.0, size, out=np.zeros(size.shape), where=some)
    units = [np.einsum("pt,pt->p", part, inverse) for part in (real, imaginary)]
    rows = (np.abs(imaginary), size, first, second)
    out = np.stack(
        [
            some.sum(axis=-1), real.sum(axis=-1), imaginary.sum(axis=-1), *units,
            *(row.sum(axis=-1) for row in rows),
        ]
    )  # fmt: skip
    return np.asarray(out[..., None])


def measures(found: F64) -> F64:
    """The measures of sums: ``(..., 9, p) -> (..., 4, p)``; NaN without a moment."""
    n, re, im, unit_re, unit_im, lag, size, first, second = np.moveaxis(found, -2, 0)
    n = np.where(n > 0, n, np.nan)
    power = np.where(n > 0, first * second, np.nan)
    sure = lag > _NONE * size
    wpli = np.where(sure, np.abs(im) / np.where(sure, lag, 1.0), np.nan)
    return np.stack(
        [
            np.minimum(np.hypot(unit_re, unit_im) / n, 1.0),
            np.minimum(wpli, 1.0),
            np.minimum((re * re + im * im) / power, 1.0),
            np.where(n > 0, np.arctan2(im, re), np.nan),
        ],
        axis=-2,
    )


def p_values(x: Floats, y: Floats, scales: Scales, shifts: RandomShifts) -> F64:
    """Share of shifts with as much phase locking, and wPLI: ``(t), (t) -> (2, p)``.

    A shift without a moment that both series have is left out.
    Memory: ``100 * periods`` bytes per sample.
    """
    length = x.size
    a, b = (waves(s, scales, 0, length) for s in (x, y))
    moves = [0, *shifts.drawn(length)]
    found = np.stack([_of_shift(a, b, shifts.margin, by) for by in moves], axis=-1)
    return p_value(found[..., 0], found[..., 1:])


def _of_shift(a: Any, b: Any, margin: int | None, by: int) -> F64:
    """Phase locking and wPLI, ``b`` taken ``by`` samples later: ``(2, p)``.

    Times the root of the number of moments: with gaps, shifts differ in it, and fewer moments
    lock more by chance, as one over that root.
    """
    if margin is None:
        moved = np.roll(b, -by, axis=-1)
    else:
        length = a.shape[-1]
        a, moved = a[:, margin : length - margin], b[:, margin + by : length - margin + by]
    found = sums(a, moved)[..., 0]
    return np.asarray(measures(found)[:2] * np.sqrt(found[0]))
