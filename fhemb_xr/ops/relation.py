"""Who is like whom: a matrix of relations between all pairs of series."""

import math
from collections.abc import Callable, Hashable
from functools import partial
from itertools import product
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest
from fhemb_xr.kernels import pairs, scales
from fhemb_xr.options import options as settings

F64 = NDArray[np.float64]

POINT_METRICS = (
    "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "canberra",
    "braycurtis", "cosine", "correlation", "hamming", "jaccard",
)  # fmt: skip

_LAGGED = "max_lagged_correlation"
_PARAMETERS = {
    "dtw": ("window", "itakura", "local", "p", "precision"),
    "soft_dtw": ("gamma", "window", "itakura"),
    "soft_dtw_divergence": ("gamma", "window", "itakura"),
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
        braycurtis cosine correlation hamming jaccard``.
    gamma
        Smoothing of the soft metrics, above 0: towards 0 they become the square of ``"dtw"``.
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
    eighth of the people in each or fewer, within the budget; warping adds five samples per
    sample of the longest series. Tasks: at least 64 blocks (a task each, half of them only a
    transpose), and under three per chunk of ``x`` to gather them. Computes at call: none.

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
    among("metric", metric, pairs.METRICS)
    among("normalization", normalize, pairs.NORMALIZATIONS)
    among("treatment of NaN", nan, ("propagate", "drop"))
    among("precision", precision, ("double", "single"))
    rate = schema.sampling_rate(x)
    options: dict[str, Any] = {"normalize": normalize, "nan": nan}
    options |= _of_metric(
        metric, window=window, itakura=itakura, local=local, p=p, gamma=gamma,
        precision=precision, max_lag=_in_samples(max_lag_s, x, metric, rate),
    )  # fmt: skip
    left = _arranged(x, dim)
    right = left if other is None else _arranged(other, dim)
    if other is not None:
        _check_partner(left, right, dim)
    function = partial(_relation, metric=metric, **options)
    parts = _related(left, right, other is None, function, 2 if metric == _LAGGED else 1)
    out = _labelled(parts[0], left, right, dim, metric, options)
    if metric == _LAGGED:
        lag = (out.dims, parts[1] / rate, {"long_name": "lag at the maximum", "units": "s"})
        out = out.assign_coords(lag_at_max=lag)
    return out


def among(what: str, name: str, allowed: tuple[str, ...]) -> None:
    """Check a name.

    Raises
    ------
    UnknownNameError
        With the nearest of those ``allowed``.
    """
    if name not in allowed:
        raise UnknownNameError(
            f"no {what} {name!r}: there are {', '.join(allowed)}{nearest(name, allowed)}"
        )


def _of_metric(metric: str, **given: Any) -> dict[str, Any]:
    """The parameters that ``metric`` has, checked."""
    given = {name: given[name] for name in _PARAMETERS.get(metric, ())}
    window, itakura = given.get("window"), given.get("itakura")
    if window is not None:
        if isinstance(window, bool) or not window >= 0 or (_is_share(window) and window > 1):
            raise ValueError(
                f"window is a number of samples (int) or a fraction of the series (float), "
                f"found {window!r}"
            )
        given["window"] = float(window) if _is_share(window) else int(window)
    if itakura is not None and not itakura >= 1:
        raise ValueError(f"itakura is the largest slope, 1 or more, found {itakura!r}")
    if window is not None and itakura is not None:
        raise ValueError("asked for window and for itakura: give one of the two")
    if not given.get("gamma", 1) > 0:
        raise ValueError(f"gamma is a positive number, found {given['gamma']!r}")
    among("point metric", given.get("local", "euclidean"), POINT_METRICS)
    return given


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


def _arranged(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """``(…, dim, feature, time)``, in blocks along ``dim`` where lazy."""
    schema.require_dims(x, dim, schema.TIME)
    if dim == schema.TIME:
        raise ValueError("cannot compare along 'time': it is what the series run along")
    names = [d for d in (schema.FEATURE, schema.COMPONENT) if d in x.dims and d != dim]
    x = x.drop_vars(schema.TIME, errors="ignore")
    if not names:
        x, names = x.expand_dims(_ALONE), [_ALONE]
    x = x.transpose(..., dim, names[0], schema.TIME)
    samples = x.sizes[schema.TIME] * x.sizes[names[0]]
    block = _block_length(x.sizes[dim], samples)
    if not x.chunks:
        return x
    return x.chunk({schema.TIME: -1, names[0]: -1, dim: block, **_one_by_one(x)})


def _one_by_one(x: xr.DataArray) -> dict[Hashable, int]:
    """One member at a time of the dimensions that are kept."""
    return dict.fromkeys(x.dims[:-3], 1)


def _block_length(n: int, samples: int) -> int:
    """Series in a block: an eighth of them, or fewer where two blocks would be too much."""
    bytes_each = 2 * 28 * samples
    budget.check(bytes_each, "a pair of series", "select less time or fewer features")
    most = max(1, settings.budget // max(bytes_each, 1))
    return max(1, min(math.ceil(n / _SIDE), most))


def _check_partner(a: xr.DataArray, b: xr.DataArray, dim: Hashable) -> None:
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


def _related(
    a: xr.DataArray, b: xr.DataArray, same: bool, function: Callable[..., F64], n_parts: int
) -> list[Any]:
    """Parts of the matrix, ``(…, dim_0, dim_1)`` each."""
    shape = (*a.shape[:-3], a.shape[-3], b.shape[-3])
    budget.check(8 * math.prod(shape), "the matrix of all pairs", "select fewer series")
    if not (a.chunks or b.chunks):
        out = function(a.values, b.values, upper=same)
        return list(out)
    left, right = (da.asarray(x.data) for x in (a, b))
    return list(_grid(left, right, same, function, n_parts))


def _grid(
    a: da.Array, b: da.Array, same: bool, function: Callable[..., F64], n_parts: int
) -> da.Array:
    """One task per block of pairs; of a series with itself, the lower half is mirrored."""
    name = "fhemb-pairwise-" + tokenize(a.name, b.name, same, function, n_parts)
    tasks: dict[tuple[Any, ...], Any] = {}
    for where in product(*map(range, a.numblocks[:-3])):
        for i, j in product(range(a.numblocks[-3]), range(b.numblocks[-3])):
            key = (name, 0, *where, i, j)
            if same and j < i:
                tasks[key] = (_transposed, (name, 0, *where, j, i))
            else:
                keys = (a.name, *where, i, 0, 0), (b.name, *where, j, 0, 0)
                tasks[key] = (partial(function, upper=same and i == j), *keys)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[a, b])
    chunks = ((n_parts,), *a.chunks[:-2], b.chunks[-3])
    return da.Array(graph, name, chunks, dtype=np.float64, meta=np.empty((0,) * len(chunks)))


def _transposed(block: F64) -> F64:
    """The mirror image; a lag, the second part, changes its sign."""
    out = block.swapaxes(-1, -2).copy()
    out[1:] *= -1
    return out


def _relation(a: F64, b: F64, *, metric: str, upper: bool, **options: Any) -> F64:
    """``(…, k, f, t), (…, l, f, t) -> (parts, …, k, l)``."""
    blocks = [
        pairs.relation(a[i], b[i], metric, upper=upper, **options)
        for i in np.ndindex(a.shape[:-3])
    ]
    out = np.stack(blocks, axis=1) if blocks else np.empty((1, 0, a.shape[-3], b.shape[-3]))
    return out.reshape(len(out), *a.shape[:-3], a.shape[-3], b.shape[-3])


_SAME_UNITS = {"dtw", "euclidean"}


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


def normalize_relation(d: xr.DataArray, how: str) -> xr.DataArray:
    """A finished matrix on another scale.

    Parameters
    ----------
    d
        Matrix ``(…, dim_0, dim_1)`` of :func:`pairwise`; other dimensions are matrices apart.
    how
        ``"max"``: over the largest absolute value. ``"minmax"``: from 0 to 1. ``"zscore"``:
        mean 0, standard deviation 1 (ddof 0). ``"l1"``, ``"l2"``: rows of norm 1.
        ``"softmax"``: of each row. ``"sym"``: ``D^-½ M D^-½`` with the sums of the rows in
        ``D``. ``"log"``: ``log(1 + M)``. ``"none"``: as it is.

    Returns
    -------
    Matrix of the same shape, float64, lazy where ``d`` is. NaN are left out of every sum and
    stay NaN; where a scale would be 0, the result is 0.

    Raises
    ------
    UnknownNameError
        No such scale (a ``KeyError``).
    SchemaError
        If ``d`` is not a relation.

    Notes
    -----
    Memory: one task holds the matrix four times. Tasks: one per matrix, and two per block to
    gather it. Computes at call: none.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> d = xr.DataArray([[0.0, 4], [4, 0]], dims=("subject_0", "subject_1"))
    >>> fx.normalize_relation(d, "max").values.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    among("scale", how, tuple(scales.SCALES))
    rows, columns = pair_dims(d)
    out: xr.DataArray = xr.apply_ufunc(
        _scaled,
        whole(d),
        input_core_dims=[[rows, columns]],
        output_core_dims=[[rows, columns]],
        kwargs={"how": how},
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    out.attrs = dict(d.attrs) if how == "none" else {**d.attrs, "units": "1", "scale": how}
    return out.rename(d.name)


def _scaled(d: F64, how: str) -> F64:
    out = np.empty(d.shape)
    for i in np.ndindex(d.shape[:-2]):
        out[i] = scales.SCALES[how](d[i].astype(np.float64))
    return out


def whole(d: xr.DataArray) -> xr.DataArray:
    """A relation in one piece, its pairs last.

    Raises
    ------
    BudgetError
        If four of them are larger than the budget of a task.
    """
    rows, columns = pair_dims(d)
    n_bytes = 4 * 8 * d.sizes[rows] ** 2
    budget.check(n_bytes, "a matrix of all pairs in one piece", "select fewer series")
    d = d.transpose(..., rows, columns)
    return d.chunk({rows: -1, columns: -1}) if d.chunks else d


def pair_dims(d: xr.DataArray) -> tuple[Hashable, Hashable]:
    """The two dimensions of a relation, e.g. ``subject_0`` and ``subject_1``.

    Raises
    ------
    SchemaError
        If there is no such pair of the same length.
    """
    for name in d.dims:
        partner = f"{str(name)[:-2]}_1"
        if str(name).endswith("_0") and d.sizes.get(partner) == d.sizes[name]:
            return name, partner
    raise SchemaError(
        f"need a square relation with dimensions such as ('subject_0', 'subject_1'), "
        f"found {dict(d.sizes)}: make one with fx.pairwise"
    )
