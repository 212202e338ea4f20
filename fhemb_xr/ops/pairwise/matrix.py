"""Who is like whom: a matrix of relations between all pairs of series."""

import math
from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.pairwise.matrix_graph import related
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation as normalize_relation
from fhemb_xr.ops.pairwise.pair_dims import among
from fhemb_xr.options import options as settings
from fhemb_xr.typing import F64

POINT_METRICS = (
    "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "canberra",
    "braycurtis", "cosine", "correlation", "hamming", "jaccard", "mahalanobis",
)  # fmt: skip

_LAGGED = "max_lagged_correlation"
_PARAMETERS = {
    "dtw": ("window", "itakura", "local", "p", "precision"),
    "soft_dtw": ("gamma", "window", "itakura"),
    "soft_dtw_divergence": ("gamma", "window", "itakura"),
    "fastdtw": ("radius",),
    _LAGGED: ("max_lag",),
}
_ALONE = "fhemb_alone"  # the feature axis of what has none
_SIDE = 8  # blocks along one side of the grid: 36 tasks of equal work, for any cluster at hand


def pairwise(
    x: xr.DataArray,
    metric: str,
    dim: Hashable = "subject",
    *,
    other: xr.DataArray | None = None,
    normalize: str = "none",
    window: float | None = None,
    itakura: float | None = None,
    local: str = "euclidean",
    p: float = 3.0,
    gamma: float = 1.0,
    radius: int = 1,
    max_lag_s: float | None = None,
    nan: str = "drop",
    precision: str = "double",
) -> xr.DataArray:
    """Relation of every two series along ``dim``, block by block, the upper half once.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way. With a dimension ``feature`` (or
        ``component``) they are of several variables at once; the other dimensions, such as
        ``session``, are kept, and their members never compared with each other. Trailing NaN
        means that a series is shorter.
    metric
        ``"dtw"``: root of the summed squared differences along the best warping path.
        ``"fastdtw"``: near it, never below, in time linear in the length.
        ``"euclidean"``: the same without warping, over the samples that both have.
        ``"soft_dtw"``: the soft minimum over paths of the summed squares, not rooted, and
        ``"soft_dtw_divergence"``: that less half of each series with itself.
        ``"correlation"``: Pearson, over the samples that both have; the mean over features.
        ``"max_lagged_correlation"``: the largest over all lags up to ``max_lag_s``, with the
        coordinate ``lag_at_max`` [s], positive where the second of the pair follows.
        ``"dcor"``: distance correlation (biased), of all features at once.
    dim
        The dimension whose members are compared.
    other
        Compare the series of ``x`` with these, and not with each other.
    normalize
        Of each series and feature first: ``"none"``, ``"zscore"`` or ``"meanvar"`` (mean 0,
        standard deviation 1, ddof 0, as tslearn), ``"minmax"`` (0 to 1). A constant gives 0.
    window
        Half-width of the Sakoe-Chiba band of warping: samples if an int, else a fraction of
        the longer series, rounded down. A shorter series may also stay behind by the
        difference in length.
    itakura
        Largest slope of the Itakura parallelogram of warping, 1 or more.
    local, p
        Distance of two points in ``"dtw"``: ``"euclidean"``, or without root, summed along
        the path: ``sqeuclidean cityblock chebyshev minkowski`` (exponent ``p``) ``canberra
        braycurtis cosine correlation hamming jaccard mahalanobis``, the last by the
        covariance of both series of a pair (ddof 1; NaN where it is singular).
    gamma
        Smoothing of the soft metrics, above 0: towards 0 they become the square of ``"dtw"``.
    radius
        Of ``"fastdtw"``: cells either side of the path of the pair at half the rate.
    max_lag_s
        Largest lag of ``"max_lagged_correlation"`` [s].
    nan
        What a gap inside a series does: ``"drop"`` leaves its samples out (of the pair, where
        samples are compared one by one), ``"propagate"`` makes its row and column NaN. A
        series without samples keeps its label and is NaN.
    precision
        Of the work in ``"dtw"``: ``"double"``, or ``"single"``, twice as fast, to 1e-4.

    Returns
    -------
    Matrix ``(…, dim_0, dim_1)``, float64, lazy where ``x`` is, with the labels of ``dim`` on
    both sides and the metric and its parameters in ``attrs``.

    Raises
    ------
    UnknownNameError
        No such metric, normalization or point metric (a ``KeyError``), with the nearest ones.
    ValueError
        A constraint out of range, or ``other`` with other features.
    BudgetError
        If a block of two series, or the matrix, is larger than the budget of a task.

    Notes
    -----
    Memory: each task holds two blocks of series, 28 bytes per sample over all of ``time``, an
    eighth of the people in each or fewer, within the budget, and warping for each sample of
    the longest series 128 bytes per feature and 152 more. Tasks: at least 64 blocks (a task
    each, half of them only a transpose), and under three per chunk of ``x`` to gather them.
    Computes at call: none.
    A long one is best saved with ``resume=True``: what an interrupted run has done is kept.

    References
    ----------
    Sakoe & Chiba (1978), IEEE Trans. ASSP 26, 43-49, doi:10.1109/TASSP.1978.1163055.
    Székely, Rizzo & Bakirov (2007), Ann. Stat. 35, 2769-2794, doi:10.1214/009053607000000505.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     [[0.0, 1, 2, 3], [0, 0, 1, 3], [5, 5, 5, 5]],
    ...     dims=("subject", "time"),
    ...     coords={"subject": [40, 41, 66]},
    ... )
    >>> float(fx.pairwise(x.chunk(), "dtw").sel(subject_0=40, subject_1=41))
    1.0
    """
    among("metric", metric, metrics.METRICS)
    among("normalization", normalize, metrics.NORMALIZATIONS)
    among("treatment of NaN", nan, ("propagate", "drop"))
    among("precision", precision, ("double", "single"))
    rate = schema.sampling_rate(x)
    options: dict[str, Any] = {"normalize": normalize, "nan": nan}
    options |= _of_metric(
        metric, window=window, itakura=itakura, local=local, p=p, gamma=gamma, radius=radius,
        precision=precision, max_lag=_in_samples(max_lag_s, x, metric, rate),
    )  # fmt: skip
    left = arranged(x, dim)
    right = left if other is None else arranged(other, dim)
    if other is not None:
        check_partner(left, right, dim)
    function = partial(_relation, metric=metric, **options)
    parts = related(left, right, other is None, function, 2 if metric == _LAGGED else 1)
    out = _labelled(parts[0], left, right, dim, metric, options)
    if metric == _LAGGED:
        lag = (out.dims, parts[1] / rate, {"long_name": "lag at the maximum", "units": "s"})
        out = out.assign_coords(lag_at_max=lag)
    return out


def _of_metric(metric: str, **given: Any) -> dict[str, Any]:
    """The parameters that ``metric`` has, checked."""
    given = {name: given[name] for name in _PARAMETERS.get(metric, ())}
    if "window" in given:
        given["window"] = check_constraint(given["window"], given["itakura"])
    radius = given.get("radius", 1)
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
        raise ValueError(f"radius is a whole number from 0 on, found {radius!r}")
    if not given.get("gamma", 1) > 0:
        raise ValueError(f"gamma is a positive number, found {given['gamma']!r}")
    among("point metric", given.get("local", "euclidean"), POINT_METRICS)
    return given


def check_window(window: float | None) -> float | None:
    """A Sakoe-Chiba half-width as a plain int or float.

    Raises
    ------
    ValueError
        If it is negative, or a fraction above 1.
    """
    if window is None:
        return None
    if isinstance(window, bool) or not window >= 0 or (_is_share(window) and window > 1):
        raise ValueError(
            f"window is a number of samples (int) or a fraction of the series (float), "
            f"found {window!r}"
        )
    return float(window) if _is_share(window) else int(window)


def check_constraint(window: float | None, itakura: float | None) -> float | None:
    """The window of :func:`check_window`, if the two can be asked for together.

    Raises
    ------
    ValueError
        If one is out of range, or both are given.
    """
    if itakura is not None and not itakura >= 1:
        raise ValueError(f"itakura is the largest slope, 1 or more, found {itakura!r}")
    if window is not None and itakura is not None:
        raise ValueError("asked for window and for itakura: give one of the two")
    return check_window(window)


def _in_samples(max_lag_s: float | None, x: xr.DataArray, metric: str, rate: float) -> int:
    if metric != _LAGGED:
        return 0
    schema.require_dims(x, schema.TIME)
    n = x.sizes[schema.TIME]
    if max_lag_s is None or not 0 <= max_lag_s * rate < n:
        raise ValueError(
            f"max_lag_s is a number of seconds from 0 to less than the series "
            f"({n / rate:g} s), found {max_lag_s!r}"
        )
    return round(max_lag_s * rate)


def _is_share(window: float) -> bool:
    return not isinstance(window, int | np.integer)


def arranged(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """``(…, dim, feature, time)``, in blocks along ``dim`` where lazy.

    Raises
    ------
    SchemaError
        If there is no ``dim`` or no ``time``.
    BudgetError
        If a pair of series is larger than the budget of a task.
    """
    schema.require_dims(x, dim, schema.TIME)
    if dim == schema.TIME:
        raise ValueError("cannot compare along 'time': it is what the series run along")
    names = [d for d in (schema.FEATURE, schema.COMPONENT) if d in x.dims and d != dim]
    x = x.drop_vars(schema.TIME, errors="ignore")
    if not names:
        x, names = x.expand_dims(_ALONE), [_ALONE]
    x = x.transpose(..., dim, names[0], schema.TIME)
    samples = x.sizes[schema.TIME] * x.sizes[names[0]]
    block = _block_length(x.sizes[dim], samples, math.prod(x.shape[:-3]))
    return rechunked(x, {schema.TIME: -1, names[0]: -1, dim: block, **_one_by_one(x)})


def _one_by_one(x: xr.DataArray) -> dict[Hashable, int]:
    """One member at a time of the dimensions that are kept."""
    return dict.fromkeys(x.dims[:-3], 1)


def _block_length(n: int, samples: int, matrices: int) -> int:
    """Series in a block: an eighth of them, more where there are many matrices, or fewer where
    two blocks would be too much.
    """
    side = max(1, math.ceil(_SIDE / math.sqrt(max(matrices, 1))))
    bytes_each = 2 * 28 * samples
    budget.check(bytes_each, "a pair of series", "select less time or fewer features")
    beside = 280 * samples  # what several pairs at once take, with one feature the most
    most = max(1, (settings.budget - beside) // max(bytes_each, 1))
    return max(1, min(math.ceil(n / side), most))


def check_partner(a: xr.DataArray, b: xr.DataArray, dim: Hashable) -> None:
    """Check that two arranged arrays can be compared.

    Raises
    ------
    ValueError
        If they differ in more than the members of ``dim`` and the length.
    """
    if a.dims != b.dims:
        raise ValueError(f"other has the dimensions {b.dims}, the series {a.dims}")
    for d in a.dims:
        if d in (dim, schema.TIME):
            continue
        mine, yours = a.indexes.get(d), b.indexes.get(d)
        same = a.sizes[d] == b.sizes[d] and (
            mine is None or yours is None or mine.equals(yours)
        )
        if not same:
            raise ValueError(f"other has different labels along {d!r}: select the same of both")


def _relation(a: F64, b: F64, *, metric: str, upper: bool, **options: Any) -> F64:
    """``(…, k, f, t), (…, l, f, t) -> (parts, …, k, l)``."""
    blocks = [
        metrics.relation(a[i], b[i], metric, upper=upper, **options)
        for i in np.ndindex(a.shape[:-3])
    ]
    out = np.stack(blocks, axis=1) if blocks else np.empty((1, 0, a.shape[-3], b.shape[-3]))
    return out.reshape(len(out), *a.shape[:-3], a.shape[-3], b.shape[-3])


_SAME_UNITS = {"dtw", "fastdtw", "euclidean"}


def _labelled(
    data: Any,
    a: xr.DataArray,
    b: xr.DataArray,
    dim: Hashable,
    metric: str,
    options: dict[str, Any],
) -> xr.DataArray:
    lead = a.dims[:-3]
    coords: dict[Hashable, Any] = {
        k: v for k, v in a.coords.items() if set(v.dims) <= set(lead)
    }
    for side, x in (("_0", a), ("_1", b)):
        if dim in x.indexes:
            coords[f"{dim}{side}"] = (f"{dim}{side}", x[dim].values)
    out = xr.DataArray(
        data, dims=(*lead, f"{dim}_0", f"{dim}_1"), coords=coords, name="relation"
    )
    plain = options["normalize"] == "none" and options.get("local", "euclidean") == "euclidean"
    units = a.attrs.get("units", "") if metric in _SAME_UNITS and plain else "1"
    out.attrs = {"long_name": f"{metric} of {dim}s", "metric": metric}
    out.attrs |= {k: v for k, v in options.items() if v is not None}
    if units:
        out.attrs["units"] = units
    return out
