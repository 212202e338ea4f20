"""Correlation between people, and of all its circular shifts by one Fourier transform.

Pairs of samples of which one is missing are left out, in every shift; the mean of the others
is that of those who are there.

References
----------
Hasson et al. (2004), Science 303, 1634-1640, doi:10.1126/science.1089506.
Nastase et al. (2019), Soc. Cogn. Affect. Neurosci. 14, 667-685, doi:10.1093/scan/nsz037.
"""

from collections.abc import Iterator

import numpy as np

from fhemb_xr.kernels.inference import p_values
from fhemb_xr.typing import F64, Bools

_FLAT = 1e-13


def others(x: F64) -> F64:
    """Mean of everybody else at each sample: ``(s, t) -> (s, t)``, NaN where nobody is."""
    seen = np.isfinite(x)
    count = seen.sum(axis=0) - seen
    filled = np.where(seen, x, 0.0)
    total = filled.sum(axis=0) - filled
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _centred(x: F64) -> F64:
    seen = np.isfinite(x)
    n = np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    total = np.sum(x, axis=-1, keepdims=True, where=seen)
    return np.asarray(x - total / n)


def pearson(a: F64, b: F64) -> F64:
    """Of the samples that both have: ``(..., t), (..., t) -> (...)``; a constant gives NaN."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = (np.where(both, s, np.nan) for s in (a, b))
    dx, dy = (np.where(both, _centred(s), 0.0) for s in (x, y))
    flat = _flat(x, dx, both) | _flat(y, dy, both)
    norm = np.sqrt((dx * dx).sum(axis=-1) * (dy * dy).sum(axis=-1))
    r = (dx * dy).sum(axis=-1) / np.where(flat, np.nan, norm)
    return np.asarray(np.clip(r, -1, 1))


def _flat(x: F64, d: F64, both: Bools) -> Bools:
    """Whether nothing but rounding moves."""
    size = np.max(np.abs(x), axis=-1, initial=0.0, where=both)
    n = both.sum(axis=-1)
    return np.asarray((n < 2) | ((d * d).sum(axis=-1) <= n * (1e-14 * size) ** 2))


def circular(a: F64, b: F64) -> F64:
    """Correlation of ``np.roll(a, k)`` with ``b`` for all k: ``(s, t), (s, t) -> (s, t)``.

    Peak memory: 100 bytes per sample, twice that with gaps.
    """
    seen = [np.isfinite(s) for s in (a, b)]
    x, y = (np.where(m, _centred(s), 0.0) for m, s in zip(seen, (a, b), strict=True))
    flat = _flat(a, x, seen[0]) | _flat(b, y, seen[1])
    if seen[0].all() and seen[1].all():
        norm = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
        r = _products(x, y) / np.where(flat, np.nan, norm)[:, None]
    else:
        r = _with_gaps(x, y, *(m.astype(np.float64) for m in seen))
        r[flat] = np.nan
    return np.asarray(np.clip(r, -1, 1))


def _products(x: F64, y: F64) -> F64:
    """``sum over t of x[t - k] * y[t]`` for all k, in a circle."""
    from scipy import fft

    n = x.shape[-1]
    out: F64 = fft.irfft(np.conj(fft.rfft(x)) * fft.rfft(y), n)
    return out


def _with_gaps(x: F64, y: F64, p: F64, q: F64) -> F64:
    n = np.round(_products(p, q))
    n1 = np.maximum(n, 1)
    sx, sy = _products(x, q), _products(p, y)
    xx, yy = _products(x * x, q), _products(p, y * y)
    var_x, var_y = xx - sx * sx / n1, yy - sy * sy / n1
    total = [(s * s).sum(axis=-1, keepdims=True) for s in (x, y)]
    sure = (n > 1) & (var_x > _FLAT * total[0]) & (var_y > _FLAT * total[1])
    root = np.sqrt(np.where(sure, var_x * var_y, np.nan))
    return np.asarray((_products(x, y) - sx * sy / n1) / root)


def pairs(x: F64, how: str) -> Iterator[tuple[F64, F64]]:
    """Each person's series and what it is compared with, ``(s, t)`` twice.

    Leave one out: once. Pairwise: once per row of the matrix.
    """
    if how == "leave_one_out":
        yield x, others(x)
        return
    for row in x:
        yield x, np.broadcast_to(row, x.shape)


def isc(x: F64, *, how: str) -> F64:
    """Correlation of each with the others: ``(..., s, t) -> (..., s)``, or ``(..., s, s)``."""
    n = x.shape[-2]
    out = np.empty((*x.shape[:-1],) if how == "leave_one_out" else (*x.shape[:-1], n))
    for i in np.ndindex(x.shape[:-2]):
        found = [pearson(a, b) for a, b in pairs(np.asarray(x[i], dtype=np.float64), how)]
        out[i] = found[0] if how == "leave_one_out" else np.reshape(found, (n, n))
    return out


def tested(x: F64, *, how: str, alpha: float) -> F64:
    """The same with the null of all shifts: ``(..., s, t) -> (..., 4 * r + t)``.

    ``r`` is the number of values of :func:`isc`. First those values, then p, then the two ends
    of the band of 1 - alpha, then the largest value of all at each shift.
    Peak memory: 150 bytes per sample of one ``(s, t)``, twice that with gaps.
    """
    out = [_tested(np.asarray(x[i], dtype=np.float64), how, alpha) for i in _cells(x)]
    n = x.shape[-2] if how == "leave_one_out" else x.shape[-2] ** 2
    return np.reshape(out, (*x.shape[:-2], 4 * n + x.shape[-1]))


def _cells(x: F64) -> Iterator[tuple[int, ...]]:
    return iter(np.ndindex(x.shape[:-2]))


def _tested(x: F64, how: str, alpha: float) -> F64:
    parts, largest = [], np.full(x.shape[-1], -np.inf)
    for row, (a, b) in enumerate(pairs(x, how)):
        null = circular(a, b)
        r = pearson(a, b)
        p = p_values.p_value(r, null, tail="greater", exact=True)
        ends = p_values.band(null, alpha=alpha)
        if how == "pairwise":  # nobody is tested against himself
            null[row], p[row], ends[row] = np.nan, np.nan, np.nan
        largest = np.fmax(largest, np.fmax.reduce(null, axis=0, initial=-np.inf))
        parts.append([r, p, ends[:, 0], ends[:, 1]])
    return np.concatenate([np.swapaxes(parts, 0, 1).ravel(), largest])


def windows(x: F64, width: int, step: int) -> F64:
    """Parts of the series, as a view: ``(..., s, t) -> (..., w, s, width)``."""
    parts = np.lib.stride_tricks.sliding_window_view(x, width, axis=-1)[..., ::step, :]
    return np.asarray(np.moveaxis(parts, -2, -3))
