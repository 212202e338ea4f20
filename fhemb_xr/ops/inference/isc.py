"""Inter-subject correlation with its exact circular-shift null."""

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.inference import isc as shifts
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.checks import among
from fhemb_xr.ops.inference.p_values import (
    _check_share,
    _lazily,
    _results,
    _without_self,
)
from fhemb_xr.options import options
from fhemb_xr.typing import F64, Ints

WAYS = ("leave_one_out", "pairwise")


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
    clock = Clock.of(x).require_regular()
    _check_share(alpha)
    width, step = samples_of(window_s, step_s, clock)
    people: list[Hashable] = [dim] if how == "leave_one_out" else [f"{dim}_0", f"{dim}_1"]
    function = _values if null is None else _tests
    out_dims = dict.fromkeys(people, x.sizes[dim])
    if null is not None:
        out_dims = {"_cell": 4 * x.sizes[dim] ** len(people) + width}
    starts = np.arange(0, clock.n - width + 1, step)
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
    return _finished(out.assign_coords(names), x, starts, clock, window_s, how)


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
        d: max(c, default=1)
        for d, c in x.variable.chunksizes.items()
        if d not in (dim, schema.TIME)
    }
    if 40 * one + math.prod(rest.values()) * one > options.budget:
        rest = dict.fromkeys(rest, 1)
    return rechunked(x, {dim: -1, schema.TIME: -1, **rest})


def _finished(
    out: xr.Dataset, x: xr.DataArray, starts: Ints, clock: Clock,
    window_s: float | None, how: str,
) -> xr.Dataset:  # fmt: skip
    out["isc"].attrs = {"long_name": "inter-subject correlation", "units": "1"}
    out.attrs = {"how": how, **clock.attrs}
    if window_s is None:
        return out.isel({schema.WINDOW: 0})
    out = out.assign_coords({schema.WINDOW: starts / clock.rate_hz})
    out[schema.WINDOW].attrs = {"long_name": "start of window", "units": "s"}
    out.attrs["window_s"] = window_s
    if schema.TIME in x.indexes:
        times = np.asarray(x.indexes[schema.TIME])[starts]
        out = out.assign_coords({schema.TIME: (schema.WINDOW, times)})
    return out
