"""Whether people move together by more than chance."""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.checks import among, check_number
from fhemb_xr.ops.inference.isc import (
    isc,
)
from fhemb_xr.ops.inference.p_values import (
    _check_share,
    _lazily,
    _results,
    _without_self,
)
from fhemb_xr.ops.inference.surrogates import REPLICATE, surrogates
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.typing import F64

Statistic = str | Callable[[xr.DataArray], xr.DataArray]


def synchrony(
    x: xr.DataArray,
    statistic: Statistic,
    n: int = 200,
    *,
    method: str = "circular",
    block_s: float | None = None,
    level: int | None = None,
    seed: int,
    dim: Hashable = "subject",
    tail: str | None = None,
    alpha: float = 0.05,
    **parameters: Any,
) -> xr.Dataset:
    """A statistic of people beside what chance gives it, with p-values and corrections.

    Parameters
    ----------
    x
        Series along ``time``, of the members of ``dim``, chunked in any way.
    statistic
        A metric of :func:`pairwise`; ``"isc"`` for :func:`isc`; ``"lagged_correlation"``, the
        map of every pair; or a function of ``x`` that keeps every dimension it does not know,
        such as ``replicate``.
    n
        How many :func:`surrogates` make the null.
    method, block_s, level, seed, dim
        As in :func:`surrogates`.
    tail
        What counts as extreme: ``"greater"``, ``"less"`` or ``"both"``. By default ``"less"``
        for distances, ``"both"`` for maps, ``"greater"`` else.
    alpha
        The null band holds ``1 - alpha`` of the null.
    **parameters
        Of :func:`pairwise`, :func:`isc` or :func:`lagged_correlation`, such as ``window=0.1``.

    Returns
    -------
    Dataset, float64, lazy where ``x`` is, of ``observed``, ``p``, ``p_fdr`` (Benjamini and
    Hochberg, over the whole result), ``p_fwer`` (largest statistic, the same), ``null_low`` and
    ``null_high``. The smallest p is ``1 / (n + 1)``. A pair of one with itself is not tested:
    NaN.

    Raises
    ------
    UnknownNameError
        No such statistic, surrogate or tail (a ``KeyError``).
    ValueError
        If ``n``, ``alpha`` or a parameter is out of range.
    BudgetError
        If the null of one block of the result is larger than the budget of a task.

    Notes
    -----
    Memory: that of the statistic, and ``8 n`` bytes per value of a block of the result. Tasks:
    those of the statistic, a replicate each. Computes at call: none.

    References
    ----------
    Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.
    Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300,
    doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=300) * [[1.0], [1.0], [0.0]]
    >>> x = xr.DataArray(shared + rng.normal(size=(3, 300)), dims=("subject", "time"))
    >>> out = fx.synchrony(x.chunk(), "correlation", 99, seed=1)
    >>> (out.p_fdr < 0.05).values.tolist()
    [[False, True, False], [True, False, False], [False, False, False]]
    """
    check_number("n", n, 1)
    _check_share(alpha)
    function, tail = _statistic(statistic, dim, parameters, tail)
    observed = function(x)
    drawn: dict[str, Any] = {"method": method, "block_s": block_s, "level": level, "seed": seed}
    null = function(surrogates(x, n, dim=dim, **drawn))
    if REPLICATE not in null.dims:
        raise ValueError(f"the statistic has lost 'replicate': it has left {null.dims}")
    observed, null = (_without_self(a, dim) for a in (observed, null))
    out = _compared(observed, null, tail, alpha)
    name = statistic if isinstance(statistic, str) else getattr(statistic, "__name__", "")
    out.attrs = {"statistic": name, "surrogate": method, "n": n, "seed": int(seed)}
    out.attrs |= {"tail": tail, "alpha": alpha}
    return out


def _statistic(
    statistic: Statistic, dim: Hashable, parameters: dict[str, Any], tail: str | None
) -> tuple[Callable[[xr.DataArray], xr.DataArray], str]:
    if tail is not None:
        among("tail", tail, kernel.TAILS)
    if callable(statistic):
        return (lambda x: statistic(x, **parameters)), tail or "greater"
    among("statistic", statistic, (*metrics.METRICS, "isc", "lagged_correlation"))
    if statistic == "lagged_correlation":
        return (lambda x: _maps(x, dim, parameters)), tail or "both"
    if statistic == "isc":
        return (lambda x: isc(x, dim, **parameters)["isc"]), tail or "greater"
    usual = "greater" if statistic in metrics.SIMILARITIES else "less"
    return (lambda x: pairwise(x, statistic, dim, **parameters)), tail or usual


def _maps(x: xr.DataArray, dim: Hashable, parameters: dict[str, Any]) -> xr.DataArray:
    """Lagged correlation of every member with every member."""
    sides = [x.rename({dim: f"{dim}_{i}"}) for i in (0, 1)]
    return lagged_correlation(*sides, **parameters)


def _compared(
    observed: xr.DataArray, null: xr.DataArray, tail: str, alpha: float
) -> xr.Dataset:
    null = null.reset_coords(drop=True).transpose(..., REPLICATE)
    most = kernel.score(null, tail).max([d for d in null.dims if d != REPLICATE])
    if null.chunks:
        null = null.chunk({REPLICATE: -1})
        cell = math.prod(max(c, default=1) for c in null.chunksizes.values())
        budget.check(24 * cell, "the null of one block", "ask for fewer replicates")
        most = most.chunk({REPLICATE: -1})
    found = _lazily(_judged, observed, null, sizes=3, tail=tail, alpha=alpha)
    score = kernel.score(observed, tail)
    family = _lazily(kernel.p_value, score, most, sizes=0, tail="greater", exact=False)
    return _results(observed, [found.isel(_found=i) for i in range(3)], family)


def _judged(observed: F64, null: F64, *, tail: str, alpha: float) -> F64:
    p = kernel.p_value(observed, null, tail=tail, exact=False)
    return np.concatenate([p[..., None], kernel.band(null, alpha=alpha)], axis=-1)
