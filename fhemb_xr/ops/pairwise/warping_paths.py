"""Which moment of one series is warped onto which of another."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.pairwise.metric_options import check_constraint, require_normalization
from fhemb_xr.ops.units import require_same, warn_if_mixed
from fhemb_xr.typing import F64, Floats, Ints

_OTHER = "fhemb_other_time"
_BASE_CELLS = 2**22  # of the table of one part: 32 MiB


def warping_path(
    a: xr.DataArray,
    b: xr.DataArray,
    *,
    window: float | None = None,
    itakura: float | None = None,
    normalize: str | tuple[float, float] = "none",
    nan: str = "drop",
) -> xr.Dataset:
    """The best warping path of two series, as the samples of ``b`` that each of ``a`` meets.

    A path never goes back, so those samples are a range, and the range of the next sample
    begins where this one ends, or one later.

    Parameters
    ----------
    a, b
        Series along ``time``, of any length, and of all of ``feature`` (or ``component``) at
        once; other dimensions are matched by name.
    window, itakura, normalize, nan
        As in :func:`pairwise`; a gap is never propagated: its samples are left out.

    Returns
    -------
    Dataset
        Dataset of ``first(…, time)`` and ``last(…, time)``, int64, positions along ``time`` of
        ``b``, lazy where the series are; -1 where a sample of ``a`` is missing, and throughout
        where no path is allowed. The root of the squared differences summed along the path is
        the distance of ``pairwise(…, "dtw")``.

    Raises
    ------
    UnknownNameError
        No such normalization (a ``KeyError``).
    ValueError
        A constraint out of range.
    BudgetError
        If a pair of series is larger than the budget of a task.

    Notes
    -----
    Memory: one task holds both series, 100 bytes per sample, and 32 MiB: never the table, of
    which parts are computed again (twice the work of the distance). Tasks: one per block, and
    three per chunk to gather the series. Computes at call: none.

    References
    ----------
    - Hirschberg (1975), Commun. ACM 18, 341-343, doi:10.1145/360825.360861.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> a = xr.DataArray([0.0, 1, 2], dims="time")
    >>> b = xr.DataArray([0.0, 0, 1, 2, 2], dims="time")
    >>> out = fx.warping_path(a, b)
    >>> out["first"].values.tolist(), out["last"].values.tolist()
    ([0, 2, 3], [1, 2, 4])
    """
    normalize = require_normalization(normalize, a)
    if normalize == "none":
        require_same(a, b, ("a", "b"))
        warn_if_mixed(a, "'dtw' sums the differences", "choose normalize='zscore'")
    nan = require_choice("treatment of NaN", nan, ("drop",))
    window = check_constraint(window, itakura)
    names = [d for d in (schema.FEATURE, schema.COMPONENT) if d in a.dims and d in b.dims]
    for x in (a, b):
        schema.require_dims(x, schema.TIME)
        samples = x.sizes[schema.TIME] * (x.sizes[names[0]] if names else 1)
        budget.check(200 * samples + 8 * _BASE_CELLS, "a pair of series", "select less time")
    clock = a[schema.TIME] if schema.TIME in a.indexes else None
    out = apply_kernel(
        _ranges,
        _whole(a, names),
        _whole(b, names).rename({schema.TIME: _OTHER}),
        core=[[*names, schema.TIME], [*names, _OTHER]],
        new={"end": 2, schema.TIME: None},
        dtype=np.int64,
        several=bool(names),
        window=window,
        itakura=itakura,
        normalize=normalize,
    )
    if clock is not None:
        out = out.assign_coords({schema.TIME: clock})
    ends = xr.Dataset({n: out.isel(end=i) for i, n in enumerate(("first", "last"))})
    for name, var in ends.items():
        var.attrs = {"long_name": f"{name} sample of the other series", "units": "1"}
    return ends


def _whole(x: xr.DataArray, names: list[str]) -> xr.DataArray:
    x = x.drop_vars(schema.TIME, errors="ignore")
    return rechunked(x, dict.fromkeys([*names, schema.TIME], -1))


def _ranges(a: F64, b: F64, *, several: bool, normalize: Any, **limits: Any) -> Ints:
    """``(…, [f,] n), (…, [f,] m) -> (…, 2, n)``."""
    from fhemb_xr.kernels.dtw import paths  # compiles

    if not several:
        a, b = a[..., None, :], b[..., None, :]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    out = np.full((*lead, 2, a.shape[-1]), -1, np.int64)
    for i in np.ndindex(lead):
        there = [np.isfinite(x[i]).all(axis=0) for x in (a, b)]
        x, y = (_prepared(s[i], normalize) for s in (a, b))
        steps = paths.path(x, y, cells=_BASE_CELLS, **limits)
        mine, yours = (np.flatnonzero(t) for t in there)
        sample = np.arange(mine.size if len(steps) else 0)
        first = np.searchsorted(steps[:, 0], sample)
        last = np.searchsorted(steps[:, 0], sample, side="right") - 1
        for k, at in enumerate((first, last)):
            out[(*i, k, mine[sample])] = yours[steps[at, 1]]
    return out


def _prepared(x: F64, normalize: Any) -> Floats:
    """What is there, scaled as :func:`pairwise` scales it."""
    series, n = metrics.prepared(x[None], normalize, "drop", True, np.float64)
    return series[0, :, : n[0]]
