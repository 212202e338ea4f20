"""How rare an observed value is among those of a null: p-values and their corrections.

References
----------
- Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.
- Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300,
  doi:10.1111/j.2517-6161.1995.tb02031.x.
- Westfall & Young (1993), Resampling-based multiple testing, Wiley (largest statistic).
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64

TAILS = ("greater", "less", "both")
LEAST = 100
"""Values of a null that a tail can be fitted to."""
TIE = 1e-12
"""What rounding may part: values nearer than this share of the larger count as equal."""


def score(values: Any, tail: str) -> Any:
    """Large where the value is extreme."""
    return {"greater": lambda v: v, "less": lambda v: -v, "both": abs}[tail](values)


def reached(null: F64, observed: F64) -> F64:
    """How many values of the null reach the observed: ``(..., n), (...) -> (...)``.

    A null of one axis is that of all; it is sorted once, and not compared with each.
    """
    limit = observed - TIE * np.maximum(np.abs(observed), 1e-300)
    if null.ndim == 1:
        ordered = np.sort(null[~np.isnan(null)])
        return np.asarray(ordered.size - np.searchsorted(ordered, limit), dtype=np.float64)
    return np.asarray((null >= limit[..., None]).sum(axis=-1), dtype=np.float64)


def p_value(
    observed: F64, null: F64, *, tail: str = "greater", exact: bool = False,
    weight: F64 | None = None,
) -> F64:  # fmt: skip
    """Share of the null that reaches the observed: ``(...), (..., n) -> (...)``.

    Values that are missing are left out: they are no values that do not reach it. ``exact``:
    the null is complete and holds the observed value; else that is added to it, so that p is
    never 0. NaN without an observed value, or without a null. A value of the null counts as
    ``weight (..., n)`` values, at most 1: how much of the observed moments it is of.
    """
    known = ~np.isnan(null)
    n = (known if weight is None else np.where(known, weight, 0.0)).sum(axis=-1)
    more = 0 if exact else 1
    count = reached(score(null, tail), score(observed, tail)) + more
    some = np.isfinite(observed) & (n > 0)
    return np.where(some, np.minimum(count / np.maximum(n + more, 1), 1.0), np.nan)


def band(null: F64, *, alpha: float) -> F64:
    """Quantiles alpha/2 and 1 - alpha/2 of the values there are: ``(..., n) -> (..., 2)``.

    The ``k``-th smallest of n stands for the share ``k / (n + 1)``, as in the p-value, so that
    the band holds ``1 - alpha`` of new draws.
    """
    out = np.full((*null.shape[:-1], 2), np.nan)
    there = np.isfinite(null)
    whole, some = there.all(axis=-1), there.any(axis=-1)
    ends = [alpha / 2, 1 - alpha / 2]
    for rows, quantile in ((whole, np.quantile), (some & ~whole, np.nanquantile)):  # slow
        if rows.any() and null.shape[-1]:
            found = quantile(null[rows], ends, axis=-1, method="weibull")
            out[rows] = np.moveaxis(found, 0, -1)
    return out


def extrapolated(observed: F64, null: F64, *, tail: str) -> F64:
    """p-values with a generalised Pareto tail: ``(...), (..., n) -> (...)``.

    Where fewer than ten values of the null reach the observed, p is read from a tail fitted to
    the largest tenth of the null (at most 250 values) by L-moments. A tail that ends, of
    negative shape, counts as exponential: p is then too large rather than zero. The empirical
    p-value stays where it is smaller.

    References
    ----------
    - Knijnenburg et al. (2009), Bioinformatics 25, i161-i168,
      doi:10.1093/bioinformatics/btp211.
    - Hosking & Wallis (1987), Technometrics 29, 339-349, doi:10.1080/00401706.1987.10488243.
    """
    p = p_value(observed, null, tail=tail, exact=False)
    n = null.shape[-1]
    kept = min(250, max(10, n // 10))
    if n < LEAST:
        raise ValueError(f"a tail is fitted to {LEAST} values or more, found {n}")
    scores, seen = score(null, tail), score(observed, tail)
    ordered = np.sort(np.where(np.isfinite(scores), scores, -np.inf), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        limit = ordered[..., -kept - 1 : n - kept + 1].mean(axis=-1)
        above = ordered[..., -kept:] - limit[..., None]
        survival = _pareto(above, seen - limit) * kept / n
        rare = (reached(scores, seen) < 10) & np.isfinite(survival) & (seen > limit)
    return np.asarray(np.where(rare & np.isfinite(p), np.fmin(p, survival), p))


def _pareto(above: F64, x: F64) -> F64:
    """Share beyond ``x`` of the distribution of the sorted ``above``: ``(..., k), (...)``."""
    k = above.shape[-1]
    mean = above.mean(axis=-1)
    weighted = (above * (1 - (np.arange(1, k + 1) - 0.35) / k)).mean(axis=-1)
    shape = np.maximum(2 - mean / (mean - 2 * weighted), 0.0)
    scale = np.where(shape > 0, mean * (1 - shape), mean)
    z = x / scale
    heavy = shape > 1e-9
    tail = np.where(heavy, (1 + shape * z) ** (-1 / np.where(heavy, shape, 1)), np.exp(-z))
    return np.asarray(tail)


def false_discovery(p: F64) -> F64:
    """Smallest false discovery rate at which each would be found, over all: same shape.

    NaN are no tests.
    """
    out = np.full(p.shape, np.nan)
    there = np.isfinite(p)
    order = np.argsort(p[there], kind="stable")
    n = order.size
    raised = p[there][order] * n / np.arange(1, n + 1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum.accumulate(raised[::-1])[::-1]
    out[there] = np.minimum(adjusted, 1.0)
    return out
