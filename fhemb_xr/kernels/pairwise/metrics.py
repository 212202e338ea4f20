"""Every metric that relates two blocks of series, behind one signature.

A block is ``(k, f, t)``: series, features, samples. Where a series ends before ``t`` the rest
is NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Floats, Ints

SIMILARITIES = ("correlation", "dcor", "max_lagged_correlation")
"""Metrics whose large values mean alike; their distance is ``1 - value``."""
WARPING = ("dtw", "fastdtw", "soft_dtw", "soft_dtw_divergence")


def relation(a: Floats, b: Floats, metric: str, *, upper: bool, **options: Any) -> F64:
    """Relation of all pairs: ``(k, f, t), (l, f, t) -> (parts, k, l)``.

    There is one part, and a second, the lag, of ``max_lagged_correlation``. ``upper`` says
    that ``a`` is ``b``: only half is worked out, and mirrored.
    """
    nan, normalize = options.pop("nan"), options.pop("normalize")
    single = options.pop("precision", "double") == "single"
    pack = metric in WARPING
    dtype = np.float32 if single else np.float64
    left = prepared(a, normalize, nan, pack, dtype)
    right = left if upper else prepared(b, normalize, nan, pack, dtype)
    out = _KERNELS[metric](*left, *right, upper=upper, **options)
    parts = np.asarray(out, dtype=np.float64)
    parts = parts if parts.ndim == 3 else parts[None]
    return mirrored(parts) if upper else parts


def mirrored(parts: F64) -> F64:
    """The upper half on the lower one, in place; a lag, the second part, changes its sign."""
    low = np.tri(parts.shape[-1], k=-1, dtype=bool)
    for part, sign in zip(parts, (1, -1), strict=False):
        part[low] = sign * part.T[low]
    return parts


def prepared(
    x: Floats, normalize: Any, nan: str, pack: bool, dtype: type[np.floating[Any]]
) -> tuple[Floats, Ints]:
    """Scaled series and their lengths; ``pack`` closes gaps where ``nan="drop"``.

    A series with a gap, where gaps are not dropped, has length 0 and no samples.
    """
    x = np.array(x, dtype=np.float64)  # a copy: it is written to
    seen = np.isfinite(x)
    lengths = np.zeros(len(x), np.int64)
    for k, (series, there) in enumerate(zip(x, seen, strict=True)):
        series[~there] = np.nan
        some, all_ = there.any(axis=0), there.all(axis=0)
        n = int(some.nonzero()[0][-1]) + 1 if some.any() else 0
        if nan == "propagate" and not all_[:n].all():
            n, series[:] = 0, np.nan
        elif pack and not all_[:n].all():
            n = int(all_.sum())
            series[:, :n] = series[:, all_]
            series[:, n:] = np.nan
        _scale(series[:, :n], normalize)
        lengths[k] = n
    return x.astype(dtype), lengths


def _scale(series: F64, how: str | tuple[float, float]) -> None:
    """Normalise the features of one series in place, ``(f, t)``; a pair becomes 0 and 1."""
    if isinstance(how, str):
        _SCALERS[how](series)
    else:
        series -= how[0]
        series /= how[1] - how[0]


def _keep(x: F64) -> None:
    pass


def _zscore(x: F64) -> None:
    """Mean 0 and standard deviation 1 (ddof 0); a constant becomes 0."""
    n = np.maximum(np.isfinite(x).sum(axis=-1, keepdims=True), 1)
    x -= np.nansum(x, axis=-1, keepdims=True) / n
    std = np.sqrt(np.nansum(x * x, axis=-1, keepdims=True) / n)
    x /= np.where(std > 0, std, 1)


def _minmax(x: F64) -> None:
    """From 0 to 1; a constant becomes 0."""
    seen = np.isfinite(x)
    low = np.min(x, axis=-1, keepdims=True, initial=np.inf, where=seen)
    span = np.max(x, axis=-1, keepdims=True, initial=-np.inf, where=seen) - low
    x -= np.where(np.isfinite(low), low, 0)
    x /= np.where(np.isfinite(span) & (span > 0), span, 1)


def _frame(x: F64) -> None:
    """Each sample over its features: mean 0 and standard deviation 1; a constant becomes 0."""
    _zscore(x.T)


_SCALERS: dict[str, Callable[[F64], None]] = {
    "none": _keep,
    "zscore": _zscore,
    "meanvar": _zscore,
    "minmax": _minmax,
    "frame": _frame,
}
NORMALIZATIONS = tuple(_SCALERS)
"""Ways to scale a series; a fixed range ``(low, high)`` is one, too."""


def _dtw(a: Floats, na: Ints, b: Floats, nb: Ints, **options: Any) -> Floats:
    from fhemb_xr.kernels.dtw import distances

    return distances.distances(a, b, na, nb, **options)


def _fast(a: F64, na: Ints, b: F64, nb: Ints, *, upper: bool, radius: int) -> F64:
    from fhemb_xr.kernels.dtw import paths

    return paths.distances(a, b, na, nb, upper=upper, radius=radius)


def _soft(a: F64, na: Ints, b: F64, nb: Ints, **options: Any) -> F64:
    from fhemb_xr.kernels.dtw import soft_dtw

    return soft_dtw.values(a, b, na, nb, **options)


def _soft_divergence(a: F64, na: Ints, b: F64, nb: Ints, **options: Any) -> F64:
    from fhemb_xr.kernels.dtw import soft_dtw

    return soft_dtw.divergences(a, b, na, nb, **options)


def _dcor(a: F64, na: Ints, b: F64, nb: Ints, *, upper: bool) -> F64:
    from fhemb_xr.kernels.pairwise import distance_correlation

    return distance_correlation.distance_correlations(a, na, b, nb, upper=upper)


def _max_lagged(a: F64, na: Ints, b: F64, nb: Ints, *, upper: bool, max_lag: int) -> F64:
    """Largest correlation over the lags, and its lag in samples; the nearest to 0 of equals."""
    out = np.full((2, len(a), len(b)), np.nan)
    order = np.argsort(np.abs(np.arange(-max_lag, max_lag + 1) - 0.25), kind="stable")
    for i, j in pairs(len(a), len(b), upper):
        r = correlations_at_lags(a[i], b[j], max_lag)[order]
        if np.isfinite(r).any():
            best = int(np.nanargmax(r))
            out[:, i, j] = r[best], order[best] - max_lag
    return out


def correlations_at_lags(a: F64, b: F64, max_lag: int) -> F64:
    """Correlation of ``a[t]`` and ``b[t + lag]``, mean over features: ``(f, t) -> (lag)``."""
    from fhemb_xr.kernels.pairwise import cross_correlation

    each = [cross_correlation.overlap(x, y, max_lag) for x, y in zip(a, b, strict=True)]
    return np.asarray(np.mean(each, axis=0))


def _correlation(a: F64, na: Ints, b: F64, nb: Ints, *, upper: bool) -> F64:
    """Pearson correlation of the samples that both have, its mean over the features."""
    each = [_pearson(a[:, f], b[:, f]) for f in range(a.shape[1])]
    return np.asarray(np.mean(each, axis=0))


def _pearson(a: F64, b: F64) -> F64:
    """``(k, t), (l, t) -> (k, l)``, pairwise complete, by products of matrices."""
    ones = [np.isfinite(x).astype(np.float64) for x in (a, b)]
    a, b = (np.nan_to_num(_centred(x)) for x in (a, b))
    n = ones[0] @ ones[1].T
    i = 1 / np.maximum(n, 1)
    sa, sb = a @ ones[1].T, ones[0] @ b.T
    ab = a @ b.T - sa * sb * i
    saa, sbb = a**2 @ ones[1].T, ones[0] @ (b**2).T
    aa, bb = saa - sa**2 * i, sbb - sb**2 * i
    moves = (n > 1) & (aa > 1e-12 * saa) & (bb > 1e-12 * sbb)
    root = np.sqrt(np.where(moves, aa * bb, 1))
    return np.where(moves, np.clip(ab / root, -1, 1), np.nan)


def _centred(x: F64) -> F64:
    """Less the mean of what is there; a constant becomes exactly 0."""
    n = np.maximum(np.isfinite(x).sum(axis=-1, keepdims=True), 1)
    first = np.nan_to_num(x[:, :1])
    x = x - first
    return np.asarray(x - np.nansum(x, axis=-1, keepdims=True) / n)


def _euclidean(a: F64, na: Ints, b: F64, nb: Ints, *, upper: bool) -> F64:
    """Root of the summed squares over the samples that both have."""
    out = np.full((len(a), len(b)), np.nan)
    for i, j in pairs(len(a), len(b), upper):
        square = ((a[i] - b[j]) ** 2).sum(axis=0)
        seen = np.isfinite(square)
        if seen.any():
            out[i, j] = np.sqrt(square[seen].sum())
    return out


def pairs(n: int, m: int, upper: bool) -> list[tuple[int, int]]:
    """Positions of two series; with ``upper`` each pair once, and each with itself."""
    return [(i, j) for i in range(n) for j in range(i if upper else 0, m)]


_KERNELS: dict[str, Callable[..., Any]] = {
    "dtw": _dtw,
    "fastdtw": _fast,
    "soft_dtw": _soft,
    "soft_dtw_divergence": _soft_divergence,
    "dcor": _dcor,
    "correlation": _correlation,
    "max_lagged_correlation": _max_lagged,
    "euclidean": _euclidean,
}
METRICS = tuple(_KERNELS)
