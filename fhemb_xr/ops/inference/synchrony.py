"""Whether people move together by more than chance."""

from collections.abc import Callable, Hashable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.clock import Clock
from fhemb_xr.errors import warn
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.kernels.inference import strangers
from fhemb_xr.kernels.inference import surrogates as copies
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops import option_tables, synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_share, unknown_name
from fhemb_xr.ops.inference import nulls
from fhemb_xr.ops.inference.isc import isc, moved_isc
from fhemb_xr.ops.inference.isc_nulls import regrouped
from fhemb_xr.ops.inference.p_values import (
    _results,
    _without_self,
    bonferroni,
    compared,
    warn_unreachable,
)
from fhemb_xr.ops.inference.surrogates import REPLICATE, surrogates
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.ops.pairwise.soft_lag import SOFT_LAG, soft_lag

_OF_LAGS = ("lagged_correlation", SOFT_LAG)
Statistic = str | Callable[[xr.DataArray], xr.DataArray]


def synchrony(
    x: xr.DataArray,
    statistic: Statistic,
    n: int | None = None,
    *,
    null: str | None = None,
    method: str | None = None,
    block_s: float | None = None,
    level: int | None = None,
    margin_s: float | None = None,
    across: Hashable | None = None,
    seed: int | None = None,
    dim: Hashable = "subject",
    tail: str | None = None,
    alpha: float = 0.05,
    extrapolate: bool = False,
    keep_null: bool = False,
    **parameters: Any,
) -> xr.Dataset:
    """A statistic of people beside what chance gives it, with p-values and corrections.

    Parameters
    ----------
    x
        Series along ``time``, of the members of ``dim``, chunked in any way.
    statistic
        A metric of :func:`pairwise`; ``"isc"`` for :func:`isc`; ``"lagged_correlation"``, the
        map of every pair; ``"soft_lag"`` for :func:`soft_lag`; or a function of ``x`` that
        keeps every dimension it does not know, such as ``replicate``.
    n
        Number of :func:`surrogates` that make the null; by default 200. ``"swap"`` has none.
    null
        ``"linear"`` (default) holds for people who drift, and what is tested is then the middle
        of the series, without the two margins. ``"circular"``, ``"phase"`` and ``"iaaft"`` hold
        for stationary series only. ``"swap"`` puts strangers in place of a partner (see
        ``across``) and holds for a shared stimulus. ``"block"`` warns: it is not a null.
    method
        Older name of ``null``.
    block_s, level, margin_s, seed, dim
        As in :func:`surrogates`.
    across
        Groups of ``"swap"``, as in :func:`isc`.
    tail
        What counts as extreme: ``"greater"``, ``"less"`` or ``"both"``. By default ``"less"``
        for distances, ``"both"`` for maps, ``"greater"`` otherwise.
    alpha
        The null band holds ``1 - alpha`` of the null.
    extrapolate
        Read p-values that fewer than ten surrogates reach from a generalised Pareto tail, so
        that they can be smaller than ``1 / (n + 1)``. Needs 100 surrogates or more.
    keep_null
        Give the values of the null too, ``null(…, replicate)``, for ``plot.null_histogram``.
    **parameters
        Parameters of :func:`pairwise`, :func:`isc`, :func:`lagged_correlation` or
        :func:`soft_lag`, such as ``window=0.1``.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is, of ``observed``, ``p``, ``p_fdr`` (Benjamini and
        Hochberg, over the whole result), ``p_fwer`` (largest statistic, over the whole result;
        of ``"swap"`` p times the number of tests), ``null_low`` and ``null_high``. The smallest
        p is ``1 / (n + 1)``. A pair of one with itself is not tested: NaN.

    Raises
    ------
    UnknownNameError
        No such statistic, null or tail (a ``KeyError``).
    ValueError
        If ``n``, ``alpha`` or a parameter is out of range, or an option is of another method.
    BudgetError
        If the null of one block of the result is larger than the budget of a task.

    Warns
    -----
    UserWarning
        If ``n`` is too small for a single finding to survive the correction in ``p_fdr``; if
        blocks are used as a null.

    Notes
    -----
    In ``"isc"`` only the tested person is a surrogate, in other statistics every member is.

    Memory per task: that of the statistic, and ``8 n`` bytes per value of a block of the
    result. Tasks: those of the statistic, once per replicate. Computes at call: none.

    References
    ----------
    - Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.
    - Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300,
      doi:10.1111/j.2517-6161.1995.tb02031.x.
    - Knijnenburg et al. (2009), Bioinformatics 25, i161-i168,
      doi:10.1093/bioinformatics/btp211.
    - Harris (2020), bioRxiv, doi:10.1101/2020.11.29.402719.

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
    alpha = require_share("alpha", alpha)
    method = _null(null, method)
    given = {"block_s": block_s, "level": level, "margin_s": margin_s, "across": across}
    method = nulls.require_null("null", method, ("swap", *copies.KINDS), **given)
    statistic = _meant(statistic)
    tail = _usual_tail(statistic) if tail is None else tail
    tail = require_choice("tail", tail, kernel.TAILS, synonyms.TAILS)
    drawn_only = {"n": n, "extrapolate": extrapolate, "keep_null": keep_null}
    option_tables.SYNCHRONY.require_used(method, drawn_only)
    name = statistic if isinstance(statistic, str) else getattr(statistic, "__name__", "")
    attrs: dict[str, Any] = {"statistic": name, "null": method, "surrogate": method}
    attrs.update(tail=tail, alpha=alpha)
    if method == "swap":
        out = _exchanged(x, statistic, dim, across, parameters, tail, alpha)
        return out.assign_attrs(attrs)
    n, seed = nulls.require_seed(method, n, seed)
    if extrapolate and n < kernel.LEAST:
        raise ValueError(
            f"extrapolate needs {kernel.LEAST} surrogates or more, found n={n}: take more"
        )
    if method == "block":
        warn(_no_null(x, block_s, level))
    drawn: dict[str, Any] = {"method": method, "block_s": block_s, "level": level}
    drawn |= {"margin_s": margin_s, "seed": seed, "dim": dim}
    margin = nulls.margin_of(x, margin_s) if method == "linear" else 0
    function, with_copies = _statistic(statistic, dim, parameters)
    still = nulls.middle(x, margin) if margin else x
    observed, chance = function(still), with_copies(still, surrogates(x, n, **drawn))
    if REPLICATE not in chance.dims:
        raise ValueError(f"the statistic has lost 'replicate': it has left {chance.dims}")
    observed, chance = (_without_self(a, dim) for a in (observed, chance))
    if not extrapolate:
        cure = "take n as large, read p_fwer, or extrapolate=True"
        warn_unreachable(n + 1, _tests(observed, statistic, dim), alpha, cure)
    out = compared(observed, chance, REPLICATE, tail=tail, alpha=alpha, extrapolate=extrapolate)
    if keep_null:
        out["null"] = chance.reset_coords(drop=True).transpose(..., REPLICATE)
        out["null"].attrs = {"long_name": "values of the null"}
    return out.assign_attrs({**attrs, "n": n, "seed": seed})


def _null(null: str | None, method: str | None) -> str:
    """The null by either of its names."""
    if null is not None and method is not None and null != method:
        raise ValueError(
            f"null and method are two names of one option, found null={null!r} and "
            f"method={method!r}: give null alone"
        )
    return null or method or "linear"


def _no_null(x: xr.DataArray, block_s: float | None, level: int | None) -> str:
    """What blocks as a null need: many correlation times in each."""
    level = 8 if level is None else min(level, 40)
    length = 2.0**level / Clock.of(x).rate_hz if block_s is None else block_s
    return (
        "blocks laid end to end are for intervals, not a null of coupling: blocks of "
        f"{length:g} s keep p-values right only for series whose correlation time is below "
        f"{length / 20:g} s; take null='linear'"
    )


def _meant(statistic: Statistic) -> Statistic:
    if callable(statistic):
        return statistic
    known = (*metrics.METRICS, "isc", *_OF_LAGS)
    return require_choice("statistic", statistic, known, synonyms.METRICS)


def _usual_tail(statistic: Statistic) -> str:
    if callable(statistic):
        return "greater"
    if statistic == "lagged_correlation":
        return "both"
    return "greater" if statistic in ("isc", SOFT_LAG, *metrics.SIMILARITIES) else "less"


def _statistic(
    statistic: Statistic, dim: Hashable, parameters: dict[str, Any]
) -> tuple[
    Callable[[xr.DataArray], xr.DataArray],
    Callable[[xr.DataArray, xr.DataArray], xr.DataArray],
]:
    """The statistic of series, and of series of which copies are tested."""
    if statistic == "isc":
        _check_isc(parameters)
        return (
            lambda x: isc(x, dim, **parameters)["isc"],
            lambda x, moving: moved_isc(x, moving, dim, **parameters),
        )
    function: Callable[[xr.DataArray], xr.DataArray]
    if callable(statistic):
        function = partial(statistic, **parameters)
    elif statistic == "lagged_correlation":
        _check_parameters(lagged_correlation, parameters)
        function = partial(_maps, dim=dim, parameters=parameters)
    elif statistic == SOFT_LAG:
        _check_parameters(soft_lag, parameters)
        function = partial(soft_lag, dim=dim, **parameters)
    else:
        _check_parameters(pairwise, parameters)
        function = partial(pairwise, metric=statistic, dim=dim, **parameters)
    return function, lambda x, moving: function(moving)


def _check_isc(parameters: dict[str, Any]) -> None:
    allowed = ("how", "window_s", "step_s")
    for name in parameters:
        if name not in allowed:
            raise unknown_name("parameter of 'isc' in synchrony", name, allowed)


def _check_parameters(function: Callable[..., Any], parameters: dict[str, Any]) -> None:
    """Refuse a parameter that the function of the statistic has not."""
    known = [
        p.name for p in signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    if function in (lagged_correlation, soft_lag) and "max_lag_s" not in parameters:
        raise ValueError(
            f"statistic {function.__name__!r} needs the largest lag, found no max_lag_s: give "
            "max_lag_s in seconds"
        )
    for name in parameters:
        if name not in known:
            raise unknown_name(f"parameter of {function.__name__!r} in synchrony", name, known)


def _maps(x: xr.DataArray, dim: Hashable, parameters: dict[str, Any]) -> xr.DataArray:
    """Lagged correlation of every member with every member."""
    sides = [x.rename({dim: f"{dim}_{i}"}) for i in (0, 1)]
    return lagged_correlation(*sides, **parameters)


def _tests(observed: xr.DataArray, statistic: Statistic, dim: Hashable) -> int:
    """Number of tests that are not the same test twice."""
    tests: int = observed.size
    if f"{dim}_0" not in observed.dims:
        return tests
    tests -= tests // max(observed.sizes[f"{dim}_0"], 1)
    mirrored = isinstance(statistic, str) and statistic in (*metrics.METRICS, SOFT_LAG)
    return tests // 2 if mirrored else tests


def _exchanged(
    x: xr.DataArray, statistic: Statistic, dim: Hashable, across: Hashable | None,
    parameters: dict[str, Any], tail: str, alpha: float,
) -> xr.Dataset:  # fmt: skip
    """A statistic of pairs, with the null of the same first member and every stranger."""
    if callable(statistic):
        raise ValueError(
            "null 'swap' needs a statistic of pairs, found a function: name a metric of "
            "fx.pairwise, 'isc', 'soft_lag' or 'lagged_correlation'"
        )
    if statistic == "isc":
        _check_isc(parameters)
        found = isc(x, dim, null="swap", across=across, tail=tail, alpha=alpha, **parameters)
        return found.rename(isc="observed")
    lines, groups, people = nulls.across_groups(x, dim, across)
    function, _ = _statistic(statistic, nulls.MEMBER, parameters)
    values = function(lines).reset_coords(drop=True)
    first, second = (f"{nulls.MEMBER}_{i}" for i in (0, 1))
    here = [groups.rename({nulls.MEMBER: first}), people.rename({nulls.MEMBER: first})]
    there = [groups.rename({nulls.MEMBER: second}), people.rename({nulls.MEMBER: second})]
    against_strangers = apply_kernel(
        strangers.tested,
        rechunked(values, {second: -1}),
        *here,
        *there,
        core=[[second], [], [], [second], [second]],
        new={second: None, "_part": 3},
        tail=tail,
        alpha=alpha,
        itself=False,
    )
    together = groups.rename({nulls.MEMBER: first}) == groups.rename({nulls.MEMBER: second})
    observed = values.where(together).where(
        people.rename({nulls.MEMBER: first}) != people.rename({nulls.MEMBER: second})
    )
    cells = [observed, *(against_strangers.isel(_part=i) for i in range(3))]
    observed, *parts = (_labelled(regrouped(a, x, dim, across), x, dim) for a in cells)
    alone = np.sum((groups.values != groups.values[:, None])
                   & (people.values != people.values[:, None]), axis=1)  # fmt: skip
    pairs = (groups.values == groups.values[:, None]).sum() - groups.size
    tests = int(pairs) * (observed.size // max(observed.sizes[f"{dim}_0"] ** 2, 1))
    if across in x.dims:
        tests //= x.sizes[across]
    cure = "take more groups, or read fewer pairs"
    warn_unreachable(int(alone.min()) + 1, tests, alpha, cure)
    return _results(observed, parts, bonferroni(parts[0]))


def _labelled(values: xr.DataArray, x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    if dim not in x.indexes:
        return values
    return values.assign_coords({f"{dim}_{i}": x[dim].values for i in (0, 1)})
