"""How rare an observed value is among those of a null: p-values and their corrections.

References
----------
Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.
Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300,
doi:10.1111/j.2517-6161.1995.tb02031.x.
Westfall & Young (1993), Resampling-based multiple testing, Wiley (largest statistic).
"""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64

TAILS = ("greater", "less", "both")
TIE = 1e-12
"""What rounding may part: values nearer than this share of the larger count as equal."""


def score(values: Any, tail: str) -> Any:
    """Large where the value is extreme."""
    return {"greater": lambda v: v, "less": lambda v: -v, "both": abs}[tail](values)


def reached(null: F64, observed: F64) -> F64:
    """How many values of the null reach the observed: ``(..., n), (...) -> (...)``."""
    limit = observed - TIE * np.maximum(np.abs(observed), 1e-300)
    return np.asarray((null >= limit[..., None]).sum(axis=-1), dtype=np.float64)


def p_value(observed: F64, null: F64, *, tail: str, exact: bool) -> F64:
    """Share of the null that reaches the observed: ``(...), (..., n) -> (...)``.

    Values that are missing are left out. ``exact``: the null is complete and holds the
    observed value; else that is added to it, so that p is never 0. NaN without either.
    """
    n = np.isfinite(null).sum(axis=-1)
    more = 0 if exact else 1
    count = reached(score(null, tail), score(observed, tail)) + more
    some = np.isfinite(observed) & (n > 0)
    return np.where(some, count / np.maximum(n + more, 1), np.nan)


def band(null: F64, *, alpha: float) -> F64:
    """Quantiles alpha/2 and 1 - alpha/2 of the values there are: ``(..., n) -> (..., 2)``."""
    out = np.full((*null.shape[:-1], 2), np.nan)
    there = np.isfinite(null)
    whole, some = there.all(axis=-1), there.any(axis=-1)
    ends = [alpha / 2, 1 - alpha / 2]
    for rows, quantile in ((whole, np.quantile), (some & ~whole, np.nanquantile)):  # slow
        if rows.any():
            out[rows] = np.moveaxis(quantile(null[rows], ends, axis=-1), 0, -1)
    return out


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
