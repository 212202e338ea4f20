"""Who is like whom: a matrix of relations between all pairs of series."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.clock import require_same as require_same_clock
from fhemb_xr.errors import warn
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.pairwise.cross_correlation import SHIFTY, is_decimated
from fhemb_xr.ops.pairwise.matrix_graph import related
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation as normalize_relation
from fhemb_xr.ops.pairwise.metric_options import (
    _LAGGED,
    SCALE_FREE,
    SCALED,
    _of_metric,
    lag_in_samples,
    require_normalization,
)
from fhemb_xr.ops.pairwise.series_blocks import arranged, check_partner
from fhemb_xr.ops.units import require_same, warn_if_mixed
from fhemb_xr.typing import F64


def pairwise(
    x: xr.DataArray,
    metric: str,
    dim: Hashable = "subject",
    *,
    other: xr.DataArray | None = None,
    normalize: str | tuple[float, float] = "none",
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
        Scale of each series and feature: ``"none"``, ``"zscore"`` or ``"meanvar"`` (mean 0,
        standard deviation 1, ddof 0, as tslearn), ``"minmax"`` (0 to 1). A constant gives 0.
        ``"frame"``: each sample over its features, mean 0 and standard deviation 1. A fixed
        range ``(low, high)``: from 0 to 1, the same for all.
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
        For ``"fastdtw"``: cells either side of the path of the pair at half the rate.
    max_lag_s
        Largest lag of ``"max_lagged_correlation"`` [s].
    nan
        What a gap inside a series does: ``"drop"`` leaves its samples out (of the pair, where
        samples are compared one by one), ``"propagate"`` makes its row and column NaN. A
        series without samples keeps its label and is NaN.
    precision
        Precision of ``"dtw"``: ``"double"``, or ``"single"``, twice as fast, to 1e-4.

    Returns
    -------
    DataArray
        Matrix ``(…, dim_0, dim_1)``, float64, lazy where ``x`` is, with the labels of ``dim``
        on both sides and the metric and its parameters in ``attrs``.

    Raises
    ------
    UnknownNameError
        No such metric, normalization or point metric (a ``KeyError``), with the nearest ones.
    ValueError
        A constraint out of range, or ``other`` with other features.
    SchemaError
        If ``other`` is in another unit, and nothing is normalised.
    BudgetError
        If a block of two series, or the matrix, is larger than the budget of a task.

    Warns
    -----
    UserWarning
        If ``"max_lagged_correlation"`` is asked of bands of a decimated wavelet transform; or a
        metric sums over features of different units that are not normalised.

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
    - Sakoe & Chiba (1978), IEEE Trans. ASSP 26, 43-49, doi:10.1109/TASSP.1978.1163055.
    - Székely, Rizzo & Bakirov (2007), Ann. Stat. 35, 2769-2794, doi:10.1214/009053607000000505.

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
    metric = require_choice("metric", metric, metrics.METRICS, synonyms.METRICS)
    normalize = require_normalization(normalize, x, dim)
    nan = require_choice("treatment of NaN", nan, ("propagate", "drop"))
    options: dict[str, Any] = {"normalize": normalize, "nan": nan}
    options |= _of_metric(
        metric, window=window, itakura=itakura, local=local, p=p, gamma=gamma, radius=radius,
        precision=precision, max_lag_s=max_lag_s,
    )  # fmt: skip
    if metric == _LAGGED:
        options["max_lag"] = lag_in_samples(options.pop("max_lag_s"), x)
    if metric == _LAGGED and max_lag_s and any(map(is_decimated, (x, other))):
        warn(SHIFTY)
    if normalize == "none":
        _require_one_scale(x, other, metric, local, dim)
    left = arranged(x, dim)
    right = left if other is None else arranged(other, dim)
    if other is not None:
        check_partner(left, right, dim)
        if metric == _LAGGED:  # samples of both are counted
            require_same_clock(Clock.of(x), Clock.of(other))
    function = partial(_relation, metric=metric, **options)
    parts = related(left, right, other is None, function, 2 if metric == _LAGGED else 1)
    out = labelled(parts[0], left, right, dim, metric, options)
    if metric == _LAGGED:
        lag = (
            out.dims,
            parts[1] / Clock.of(x).rate_hz,
            {"long_name": "lag at the maximum", "units": "s"},
        )
        out = out.assign_coords(lag_at_max=lag)
    return out


def _require_one_scale(
    x: xr.DataArray, other: xr.DataArray | None, metric: str, local: str, dim: Hashable
) -> None:
    """Refuse two units of the series, and warn of features in several."""
    if metric not in SCALED or local in SCALE_FREE:
        return
    if other is not None:
        require_same(x, other, ("the series", "other"))
    if dim != schema.FEATURE:
        warn_if_mixed(x, f"{metric!r} sums the differences", "choose normalize='zscore'")


def _relation(a: F64, b: F64, *, metric: str, upper: bool, **options: Any) -> F64:
    """``(…, k, f, t), (…, l, f, t) -> (parts, …, k, l)``."""
    blocks = [
        metrics.relation(a[i], b[i], metric, upper=upper, **options)
        for i in np.ndindex(a.shape[:-3])
    ]
    out = np.stack(blocks, axis=1) if blocks else np.empty((1, 0, a.shape[-3], b.shape[-3]))
    return out.reshape(len(out), *a.shape[:-3], a.shape[-3], b.shape[-3])


_SAME_UNITS = {"dtw", "fastdtw", "euclidean"}


def labelled(
    data: Any,
    a: xr.DataArray,
    b: xr.DataArray,
    dim: Hashable,
    metric: str,
    options: dict[str, Any],
) -> xr.DataArray:
    """A matrix with its labels, and how it was made as attributes."""
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
    if not isinstance(options["normalize"], str):
        out.attrs["normalize"] = list(options["normalize"])
    if units:
        out.attrs["units"] = units
    return out
