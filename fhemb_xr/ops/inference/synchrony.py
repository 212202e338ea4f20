"""Whether people move together by more than chance."""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.inference import isc as shifts
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.inference.surrogates import REPLICATE, check_number, surrogates
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.ops.pairwise.pair_dims import among
from fhemb_xr.options import options
from fhemb_xr.typing import F64, Ints

Statistic = str | Callable[[xr.DataArray], xr.DataArray]

WAYS = ("leave_one_out", "pairwise")


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


def _without_self(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """NaN where a member is paired with itself."""
    sides = f"{dim}_0", f"{dim}_1"
    x = x.drop_vars([c for c in x.coords if c not in x.dims and set(sides) <= {*x[c].dims}])
    if not {*sides} <= {*x.dims}:
        return x
    positions = [xr.DataArray(np.arange(x.sizes[d]), dims=d) for d in sides]
    return x.where(positions[0] != positions[1])


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


def _lazily(
    function: Callable[..., F64], observed: xr.DataArray, null: xr.DataArray, *, sizes: int,
    **kwargs: Any,
) -> xr.DataArray:  # fmt: skip
    core = [d for d in null.dims if d not in observed.dims]
    out: xr.DataArray = xr.apply_ufunc(
        function,
        observed,
        null,
        input_core_dims=[[], core],
        output_core_dims=[["_found"] if sizes else []],
        kwargs=kwargs,
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"_found": sizes}} if sizes else {},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return out


def _results(
    observed: xr.DataArray,
    parts: list[xr.DataArray],
    family: xr.DataArray,
    name: str = "observed",
) -> xr.Dataset:
    # what the observed value is labelled by; lazy labels would be computed, to be compared
    p, low, high, family = (x.reset_coords(drop=True) for x in (*parts, family))
    out = xr.Dataset({name: observed, "p": p, "p_fdr": _discovery(p), "p_fwer": family})
    out = out.assign(null_low=low, null_high=high)
    units = observed.attrs.get("units", "1")
    texts = {
        "p": "p-value", "p_fdr": "p-value, false discovery rate (Benjamini-Hochberg)",
        "p_fwer": "p-value, family-wise error rate (largest statistic)",
        "null_low": "lower end of the null band", "null_high": "upper end of the null band",
    }  # fmt: skip
    for key, text in texts.items():
        of_null = key.startswith("null")
        out[key].attrs = {"long_name": text, "units": units if of_null else "1"}
    return out


def _discovery(p: xr.DataArray) -> xr.DataArray:
    """Over all of ``p``, in one task."""
    budget.check(48 * p.size, "the correction of all p-values", "test fewer at once")
    p = rechunked(p, dict.fromkeys(p.dims, -1))
    out: xr.DataArray = xr.apply_ufunc(
        kernel.false_discovery,
        p,
        input_core_dims=[p.dims],
        output_core_dims=[p.dims],
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return out


def _check_share(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")


def isc(
    x: xr.DataArray,
    dim: Hashable = "subject",
    *,
    how: str = "leave_one_out",
    window_s: float | None = None,
    step_s: float | None = None,
    null: str | None = None,
    alpha: float = 0.05,
) -> xr.Dataset:
    """Inter-subject correlation, with the exact null of all circular shifts.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way; features and other dimensions are kept, each
        by itself. A sample that is missing is left out of its pair, and out of the mean.
    dim
        The people.
    how
        ``"leave_one_out"``: each person with the mean of the others; ``"pairwise"``: each with
        each.
    window_s, step_s
        In windows of this length [s], so far apart (default: end to end), else over all of
        ``time``.
    null
        ``"circular"``: one person is shifted in a circle by every number of samples, within the
        window where there are windows; the observed value is one of them.
    alpha
        The null band holds ``1 - alpha`` of the shifts.

    Returns
    -------
    Dataset, float64, lazy where ``x`` is, of ``isc(…, [window,] dim)`` or ``isc(…, [window,]
    dim_0, dim_1)``. With a null also ``p`` (share of the shifts that reach the observed value;
    at least ``1 / time``), ``p_fdr`` and ``p_fwer`` over the whole result, ``null_low`` and
    ``null_high``. For ``p_fwer`` every series is shifted alike, and the largest value counts.

    Raises
    ------
    UnknownNameError
        No such ``how`` or ``null`` (a ``KeyError``).
    SchemaError
        If ``x`` has no ``time``, or no ``dim``.
    ValueError
        If a window is longer than the series, or not a positive number.
    BudgetError
        If all series of one feature are larger than the budget of a task.

    Notes
    -----
    Memory: one task holds the series of all people over the whole of ``time`` for one block of
    the other dimensions, and 300 bytes per sample of one of them. Tasks: one per block, and
    three per chunk of ``x`` to gather it; a null adds seven per block and one for all p-values.
    Computes at call: none. Work: ``time · log(time)`` per value for all shifts.

    References
    ----------
    Nastase, Gazzola, Hasson & Keysers (2019), Soc. Cogn. Affect. Neurosci. 14, 667-685,
    doi:10.1093/scan/nsz037.
    Westfall & Young (1993), Resampling-based multiple testing, Wiley.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(
    ...     rng.normal(size=200) + rng.normal(size=(5, 200)), dims=("subject", "time")
    ... )
    >>> out = fx.isc(x.chunk(), null="circular")
    >>> out.p.values.tolist()
    [0.005, 0.005, 0.005, 0.005, 0.005]
    """
    among("way", how, WAYS)
    if null is not None:
        among("null", null, ("circular",))
    schema.require_dims(x, dim, schema.TIME)
    schema.require_regular(x)
    _check_share(alpha)
    rate, length = schema.sampling_rate(x), x.sizes[schema.TIME]
    width, step = samples_of(window_s, step_s, length, rate)
    people: list[Hashable] = [dim] if how == "leave_one_out" else [f"{dim}_0", f"{dim}_1"]
    function = _values if null is None else _tests
    out_dims = dict.fromkeys(people, x.sizes[dim])
    if null is not None:
        out_dims = {"_cell": 4 * x.sizes[dim] ** len(people) + width}
    starts = np.arange(0, length - width + 1, step)
    dims = {schema.WINDOW: starts.size, **out_dims}
    found: xr.DataArray = xr.apply_ufunc(
        function,
        _gathered(x, dim).drop_vars([dim, schema.TIME], errors="ignore"),
        input_core_dims=[[dim, schema.TIME]],
        output_core_dims=[list(dims)],
        kwargs={"how": how, "width": width, "step": step} | ({"alpha": alpha} if null else {}),
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": dims},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    names: dict[Hashable, Any] = {}
    if dim in x.indexes:
        names = dict.fromkeys(people, x[dim].values)
    if how == "leave_one_out":  # what else is known of each, such as a group
        names |= {n: c.variable for n, c in x.coords.items() if c.dims == (dim,)}
    out = (
        _unpacked(found, people, x.sizes[dim], width, names)
        if null
        else found.to_dataset(name="isc")
    )
    return _finished(out.assign_coords(names), x, starts, rate, window_s, how)


def _values(x: F64, *, how: str, width: int, step: int) -> F64:
    return shifts.isc(shifts.windows(x, width, step), how=how)


def _tests(x: F64, *, how: str, width: int, step: int, alpha: float) -> F64:
    return shifts.tested(shifts.windows(x, width, step), how=how, alpha=alpha)


def _unpacked(
    found: xr.DataArray, people: list[Hashable], n: int, width: int, names: Any
) -> xr.Dataset:
    """The values, their p and band, and the family's p from the largest of each shift."""
    cells = n ** len(people)
    largest = found.isel(_cell=slice(4 * cells, None))
    largest = largest.max([d for d in found.dims if d != "_cell"])
    parts = [
        _shaped(found.isel(_cell=slice(i * cells, (i + 1) * cells)), people, n)
        for i in range(4)
    ]
    observed = _without_self(parts[0], str(people[0])[:-2])
    family = _lazily(kernel.p_value, observed, largest, sizes=0, tail="greater", exact=True)
    return _results(parts[0], parts[1:], family, name="isc")


def _shaped(x: xr.DataArray, people: list[Hashable], n: int) -> xr.DataArray:
    """``_cell`` as one dimension of people, or two."""
    data = x.data.reshape((*x.shape[:-1], *(n,) * len(people)))
    return xr.DataArray(data, dims=(*x.dims[:-1], *people), coords=x.coords)


def _gathered(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """All people and all of time in one block, of as little else as the budget asks for."""
    one = 8 * x.sizes[dim] * x.sizes[schema.TIME]
    budget.check(40 * one, "all series of one feature", "select less time or fewer people")
    if not x.chunks:
        return x
    rest = {
        d: max(c, default=1) for d, c in x.chunksizes.items() if d not in (dim, schema.TIME)
    }
    if 40 * one + math.prod(rest.values()) * one > options.budget:
        rest = dict.fromkeys(rest, 1)
    return rechunked(x, {dim: -1, schema.TIME: -1, **rest})


def _finished(
    out: xr.Dataset, x: xr.DataArray, starts: Ints, rate: float,
    window_s: float | None, how: str,
) -> xr.Dataset:  # fmt: skip
    out["isc"].attrs = {"long_name": "inter-subject correlation", "units": "1"}
    out.attrs = {"how": how, schema.SAMPLING_RATE: rate}
    if window_s is None:
        return out.isel({schema.WINDOW: 0})
    clock = starts / rate
    out = out.assign_coords({schema.WINDOW: clock})
    out[schema.WINDOW].attrs = {"long_name": "start of window", "units": "s"}
    out.attrs["window_s"] = window_s
    if schema.TIME in x.indexes:
        times = np.asarray(x.indexes[schema.TIME])[starts]
        out = out.assign_coords({schema.TIME: (schema.WINDOW, times)})
    return out
