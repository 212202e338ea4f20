"""Inter-subject correlation of groups: summaries, intervals and tests by people, not by pairs.

Pairs that share a person are not independent, and neither are leave-one-out values. So people
are drawn, exchanged or turned over, and all their pairs follow.

References
----------
- Chen et al. (2016), NeuroImage 142, 248-259, doi:10.1016/j.neuroimage.2016.05.023.
"""

from collections.abc import Callable

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.kernels.inference.isc import matrix
from fhemb_xr.typing import F64, Bools, Ints

SUMMARIES = ("mean", "median")


def mean(r: F64) -> float:
    """Mean correlation by Fisher's z; NaN are left out."""
    seen = r[np.isfinite(r)]
    if not seen.size:
        return np.nan
    return float(np.tanh(np.arctanh(np.clip(seen, -1 + 1e-15, 1 - 1e-15)).mean()))


def median(r: F64) -> float:
    """Median correlation; NaN are left out."""
    seen = r[np.isfinite(r)]
    return float(np.median(seen)) if seen.size else np.nan


_SUMMARY: dict[str, Callable[[F64], float]] = {"mean": mean, "median": median}


def _plain_mean(values: F64) -> float:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if seen.size else np.nan


_OF_DIFFERENCES: dict[str, Callable[[F64], float]] = {"mean": _plain_mean, "median": median}


def pairs(r: F64) -> F64:
    """Values of the pairs of two people: ``(n, n) -> (n (n - 1) / 2,)``."""
    return np.asarray(r[np.triu_indices(len(r), 1)])


def _drawn(r: F64, who: Ints) -> F64:
    """Pairs of people drawn with replacement; one person twice is no pair."""
    out = r[np.ix_(who, who)]
    out[who[:, None] == who] = np.nan
    return pairs(out)


def effects(d: F64) -> F64:
    """Least-squares parts ``e`` of ``d[i, j] = e[i] + e[j]``: ``(n, n) -> (n,)``."""
    seen = np.isfinite(d) & ~np.eye(len(d), dtype=bool)
    weights = seen.astype(np.float64) + np.diag(seen.sum(axis=1).astype(np.float64))
    total = np.where(seen, d, 0.0).sum(axis=1)
    return np.asarray(np.linalg.lstsq(weights, total, rcond=None)[0])


def fields(n_groups: int, n: int) -> Fields:
    """Results of :func:`tested` for one summary, and ``n`` values of the null.

    One group: the difference is its own value.
    """
    groups = (n_groups,)
    return Fields(
        isc=groups, low=groups, high=groups, difference=(), difference_low=(),
        difference_high=(), p=(), null=(n,),
    )  # fmt: skip


def tested(
    x: F64, *, groups: Ints | None, paired: bool, n: int, seed: int, tail: str, alpha: float
) -> F64:
    """Summaries, intervals and the test: ``(..., [2], s, t) -> (..., 2, f)``.

    Along the axis of 2: mean and median. :func:`fields` says what the last axis of length
    ``f`` holds. Peak memory: 16 bytes per pair of people and draw of one.
    """
    lead = x.shape[: -3 if paired else -2]
    n_groups = 2 if paired or groups is not None else 1
    out = np.empty((*lead, len(SUMMARIES), fields(n_groups, n).size))
    for i in np.ndindex(lead):
        series = np.asarray(x[i], dtype=np.float64)
        rng = np.random.default_rng(seed)  # alike for all, so that no block matters
        if paired:
            first, second = (matrix(a, a) for a in series)
            out[i] = _paired(first, second, n, rng, tail, alpha)
            continue
        r = matrix(series, series).reshape(len(series), -1)
        out[i] = (
            _one(r, n, rng, tail, alpha)
            if groups is None
            else _two(r, groups == groups.max(), n, rng, tail, alpha)
        )
    return out


def _ends(values: F64, alpha: float) -> F64:
    """Percentiles of bootstrap draws, ``(..., n) -> (..., 2)``."""
    return p_values.band(values, alpha=alpha)


def _packed(value: F64, ends: F64, difference: F64, limits: F64, null: F64, tail: str) -> F64:
    """One row per summary: ``(k, g), (k, g, 2), (k,), (k, 2), (k, n) -> (k, f)``."""
    p = p_values.p_value(difference, null, tail=tail, exact=False)
    return fields(value.shape[1], null.shape[1]).pack(
        isc=value, low=ends[..., 0], high=ends[..., 1], difference=difference,
        difference_low=limits[:, 0], difference_high=limits[:, 1], p=p, null=null,
    )  # fmt: skip


def _one(r: F64, n: int, rng: np.random.Generator, tail: str, alpha: float) -> F64:
    """Mean and median, with the null in which any person's series may be turned over."""
    size = len(r)
    value = np.array([f(pairs(r)) for f in _SUMMARY.values()])
    draws, null = np.empty((2, n)), np.empty((2, n))
    for k in range(n):
        sample = _drawn(r, rng.integers(0, size, size))
        signs = rng.choice([-1.0, 1.0], size)
        turned = pairs(r * np.outer(signs, signs))
        draws[:, k] = [f(sample) for f in _SUMMARY.values()]
        null[:, k] = [f(turned) for f in _SUMMARY.values()]
    ends = _ends(draws, alpha)
    return _packed(value[:, None], ends[:, None], value, ends, null, tail)


def _two(
    r: F64, second: Bools, n: int, rng: np.random.Generator, tail: str, alpha: float
) -> F64:
    """The first group beside the second, with the null in which people change groups."""

    def both(who: Bools) -> F64:
        inside = [pairs(r[np.ix_(w, w)]) for w in (~who, who)]
        return np.array([[f(v) for v in inside] for f in _SUMMARY.values()])

    value = both(second)
    members = [np.flatnonzero(w) for w in (~second, second)]
    draws, null = np.empty((2, 2, n)), np.empty((2, n))
    for k in range(n):
        for g, m in enumerate(members):
            sample = _drawn(r, rng.choice(m, m.size))
            draws[:, g, k] = [f(sample) for f in _SUMMARY.values()]
        mixed = both(rng.permutation(second))
        null[:, k] = mixed[:, 0] - mixed[:, 1]
    limits = _ends(draws[:, 0] - draws[:, 1], alpha)
    return _packed(value, _ends(draws, alpha), value[:, 0] - value[:, 1], limits, null, tail)


def _paired(
    first: F64, second: F64, n: int, rng: np.random.Generator, tail: str, alpha: float
) -> F64:
    """The same people twice, with the null in which a person's part changes its sign."""
    size, both = len(first), (first, second)
    value = np.array([[f(pairs(r)) for r in both] for f in _SUMMARY.values()])
    change = first - second
    part = effects(change)
    difference = np.array([f(pairs(change)) for f in _OF_DIFFERENCES.values()])
    draws, limits, null = np.empty((2, 2, n)), np.empty((2, n)), np.empty((2, n))
    for k in range(n):
        who = rng.integers(0, size, size)
        for g, r in enumerate(both):
            sample = _drawn(r, who)
            draws[:, g, k] = [f(sample) for f in _SUMMARY.values()]
        sample = _drawn(change, who)
        turned = part * rng.choice([-1.0, 1.0], size)
        mixed = pairs(turned[:, None] + turned)
        limits[:, k] = [f(sample) for f in _OF_DIFFERENCES.values()]
        null[:, k] = [f(mixed) for f in _OF_DIFFERENCES.values()]
    ends = _ends(draws, alpha)
    return _packed(value, ends, difference, _ends(limits, alpha), null, tail)
