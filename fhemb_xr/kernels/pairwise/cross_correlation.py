"""Pearson correlation of two series in sliding windows, at every lag, in O(samples × lags).

Products are summed in blocks of ``gcd(window, step)`` samples, for all lags at once. A window
consists of the end of one group of ``window / block`` blocks and the start of the next. Both
parts are running sums inside their group (van Herk's method). Nothing is subtracted from a sum,
so rounding errors do not grow with time. Every group is centred on its own means, and the two
parts are merged by Chan's formula. A cell whose rounding error could exceed 1e-10 is summed
again on its own.

References
----------
- van Herk (1992), Pattern Recognit. Lett. 13, 517-521, doi:10.1016/0167-8655(92)90069-C.
- Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247, doi:10.1080/00031305.1983.10483115.
"""

from math import gcd

import numpy as np

from fhemb_xr.kernels.pairwise import correlation_sweeps
from fhemb_xr.typing import F64, Floats

_TILE_BYTES = 1 << 18  # of running sums: they should stay in the second-level cache


def pearson(a: Floats, b: Floats, window: int, step: int, max_lag: int) -> F64:
    """Correlation in each window and lag: ``(..., t), (..., t) -> (..., window, lag)``.

    The window of ``a`` is ``[s, s + window)``, of ``b`` ``[s + lag, s + lag + window)``; NaN
    where that leaves ``b``. Samples that are not finite in either are left out pairwise; fewer
    than two, or a constant, give NaN.

    Peak memory: the result, a part of one pair's again, and 40 bytes per sample of one pair.
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (s if s.shape == shape else np.broadcast_to(s, shape).copy() for s in (a, b))
    n_windows = count(a.shape[-1], window, step)
    out = np.full((*a.shape[:-1], n_windows, 2 * max_lag + 1), np.nan)
    for i in np.ndindex(a.shape[:-1]):
        x, y = (np.ascontiguousarray(s[i], dtype=np.float64) for s in (a, b))
        _pair(x, y, window, step, max_lag, out[i])
    return out


def overlap(a: F64, b: F64, max_lag: int) -> F64:
    """Correlation of ``a[t]`` and ``b[t + lag]`` where both are: ``(t), (t) -> (lag)``.

    Fewer than two pairs, or a constant, give NaN. Peak memory: 9 samples per sample.
    """
    seen = [np.isfinite(x) for x in (a, b)]
    x, y = (np.where(there, s, 0.0) for there, s in zip(seen, (a, b), strict=True))
    mask_a, mask_b = (there.astype(np.float64) for there in seen)
    n_lags = 2 * max_lag + 1
    group = correlation_sweeps.new_group(a.size, n_lags)
    correlation_sweeps.load(x, y, mask_a, mask_b, 0, -max_lag, group)
    sums, out = np.zeros((6, n_lags)), np.empty(n_lags)
    correlation_sweeps.six_products(group, 0, a.size, sums)
    correlation_sweeps.correlations(sums, group.ref, out)
    return out


def count(n_samples: int, window: int, step: int) -> int:
    """Number of windows that fit."""
    return max(0, (n_samples - window) // step + 1)


def _pair(a: F64, b: F64, window: int, step: int, max_lag: int, out: F64) -> None:
    if not out.size:
        return
    seen_a, seen_b = np.isfinite(a), np.isfinite(b)
    whole = bool(seen_a.all() and seen_b.all())
    q = window // gcd(window, step)
    if whole:
        inv = correlation_sweeps.inverse(a, window), correlation_sweeps.inverse(b, window)
    else:
        a, b = np.where(seen_a, a, 0.0), np.where(seen_b, b, 0.0)
        masks = seen_a.astype(np.float64), seen_b.astype(np.float64)
    tile = max(32, _TILE_BYTES // (8 * q * (1 if whole else 6)))
    for low in range(-max_lag, max_lag + 1, tile):
        lags = slice(low + max_lag, low + max_lag + tile)
        part = np.ascontiguousarray(out[:, lags])  # strided, it would compile again
        old, new = (correlation_sweeps.new_group(window, part.shape[1]) for _ in range(2))
        if whole:
            sums = np.zeros((q, part.shape[1]))
            correlation_sweeps.sweep(a, b, window, step, low, inv, old, new, sums, part)
        else:
            six = np.zeros((6, q, part.shape[1]))
            correlation_sweeps.sweep_gaps(a, b, masks, window, step, low, old, new, six, part)
        out[:, lags] = part
