"""Mean series under warping, and groups round them: k-means by DBA or soft-DTW, k-shape.

The arithmetic is tslearn's, in one thread, but k-shape's: tslearn's starts threads of its own,
which two tasks at once may not.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.clustering import clusters, kshape
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_choice, require_count, require_positive
from fhemb_xr.ops.option_tables import BARYCENTRE
from fhemb_xr.ops.units import warn_if_mixed
from fhemb_xr.typing import F64, Bools, Ints

METHODS = ("dba", "soft_dtw", "kshape", "gak", "kmeans")
"""Ways of :func:`fhemb_xr.clusters` that need the series, not only their distances."""
BARYCENTRES = ("dba", "soft_dtw", "mean")
CLUSTER = "cluster"
SCALED_BEFORE = "scale them before, e.g. (x - x.mean('time')) / x.std('time')"
BEGINNINGS = 5
_ALONE = "_one"
_WARPING = {"dba", "soft_dtw", "gak"}


def barycentre(
    x: xr.DataArray,
    method: str = "dba",
    *,
    dim: Hashable = schema.SUBJECT,
    labels: xr.DataArray | None = None,
    gamma: float = 1.0,
    max_iter: int = 50,
) -> xr.DataArray:
    """The series in the middle of others, of all or of every group.

    Parameters
    ----------
    x
        Series ``(…, dim, [feature], time)``, chunked in any way.
    method
        ``"dba"``: warping barycentre averaging, which lessens the sum of squared warping
        distances; ``"soft_dtw"``: the minimum of the mean soft-DTW; ``"mean"``: sample by
        sample. All begin at the mean.
    dim
        Dimension that is averaged over.
    labels
        Groups of :func:`fhemb_xr.clusters`: a barycentre each, along ``cluster``.
    gamma
        Smoothing of ``"soft_dtw"``, positive; towards 0 it comes near ``"dba"``.
    max_iter
        Rounds at most.

    Returns
    -------
    DataArray
        ``(…, [cluster], [feature], time)``, float64, in the units of ``x``; lazy where ``x``
        is. Series with a missing sample are left out; NaN where none is left.

    Raises
    ------
    SchemaError
        If ``x`` has no ``time`` or no ``dim``, or ``labels`` do not say how many groups there
        are.
    ValueError
        If ``gamma`` or ``max_iter`` is not positive.
    UnknownNameError
        No such method (a ``KeyError``).
    BudgetError
        If the series, or the table of one warping, are larger than the budget of a task.

    Notes
    -----
    Memory: one task holds all series twice, and ``8 time²`` bytes to warp one of them. Tasks:
    one per series that is left, and under three per chunk to gather. Computes at call: none.

    References
    ----------
    - Petitjean, Ketterlin & Gançarski (2011), Pattern Recognit. 44, 678-693,
      doi:10.1016/j.patcog.2010.09.013.
    - Cuturi & Blondel (2017), Soft-DTW, ICML 70, 894-903, doi:10.48550/arXiv.1703.01541.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> bumps = [[0.0, 1, 4, 1, 0, 0, 0], [0, 0, 1, 4, 1, 0, 0], [0, 0, 0, 1, 4, 1, 0]]
    >>> x = xr.DataArray(bumps, dims=("subject", "time"))
    >>> float(fx.barycentre(x).max()), float(x.mean("subject").max())
    (4.0, 2.0)
    """
    method = require_choice("barycentre", method, BARYCENTRES, synonyms.BARYCENTRES)
    gamma, max_iter = require_positive("gamma", gamma), require_count("max_iter", max_iter)
    BARYCENTRE.require_used(method, {"gamma": gamma, "max_iter": max_iter})
    if method != "mean":
        warn_if_mixed(x, f"{method!r} warps by the sum", SCALED_BEFORE)
    data = _series(x, dim, warped=method != "mean")
    options: dict[str, Any] = {"method": method, "gamma": gamma, "max_iter": max_iter}
    core = [*data.dims[-2:]]
    if labels is None:
        out = apply_kernel(_centres, data, core=[[dim, *core]], new=core, **options)
    else:
        n = _count(labels)
        out = apply_kernel(
            _centres, data, _group_of(labels, x, dim), core=[[dim, *core], [dim]],
            new={CLUSTER: n} | dict.fromkeys(core), n=n, **options,
        )  # fmt: skip
        out = out.assign_coords({CLUSTER: np.arange(n)})
    out = out.isel({_ALONE: 0}) if _ALONE in out.dims else out
    if schema.TIME in x.coords and x[schema.TIME].dims == (schema.TIME,):
        out = out.assign_coords({schema.TIME: x[schema.TIME]})
    keep = {**{k: v for k, v in x.attrs.items() if k == "units"}, **Clock.of(x).attrs}
    out.attrs = {"long_name": f"{method} barycentre of {dim}s", "method": method, **keep}
    return out.rename("barycentre")


def groups(
    x: xr.DataArray,
    n_clusters: int,
    method: str,
    seed: int | None,
    max_iter: int = 50,
    dim: Hashable = schema.SUBJECT,
) -> xr.DataArray:
    """Labels ``(…, dim)`` by prototypes, numbered as :func:`fhemb_xr.clusters` does."""
    if any(str(d).endswith("_0") for d in x.dims):
        raise SchemaError(
            f"{method!r} finds the middle of series, found a relation {x.dims}: give the series"
        )
    if method != "kshape":
        warn_if_mixed(x, f"{method!r} sums the differences", SCALED_BEFORE)
    data = _series(x, dim, warped=method in _WARPING)
    options: dict[str, Any] = {
        "n": int(n_clusters),
        "method": method,
        "seed": seed,
        "max_iter": max_iter,
        "order": _sorted(x, dim),
    }
    core = [[dim, *data.dims[-2:]]]
    return apply_kernel(_grouped, data, core=core, new=[dim], dtype=np.int64, **options)


def _series(x: xr.DataArray, dim: Hashable, *, warped: bool) -> xr.DataArray:
    """Whole series, ``(…, dim, feature, time)``."""
    schema.require_dims(x, dim, schema.TIME)
    names = [d for d in (schema.FEATURE, schema.COMPONENT) if d in x.dims and d != dim]
    if not names:
        x, names = x.expand_dims(_ALONE), [_ALONE]
    x = x.transpose(..., dim, names[0], schema.TIME)
    needed = 16 * int(np.prod(x.shape[-3:])) + (8 * x.shape[-1] ** 2 if warped else 0)
    budget.check(needed, "all series in one piece", "select less time or fewer series")
    return rechunked(x, {dim: -1, names[0]: -1, schema.TIME: -1})


def _sorted(x: xr.DataArray, dim: Hashable) -> tuple[int, ...]:
    ids = x.indexes[dim].tolist() if dim in x.indexes else list(range(x.sizes[dim]))
    return tuple(sorted(range(len(ids)), key=lambda i: ids[i]))


def _group_of(labels: xr.DataArray, x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    schema.require_dims(labels, dim)
    if dim in labels.indexes and dim in x.indexes:
        labels = labels.reindex({dim: x.indexes[dim]}, fill_value=-1)
    return rechunked(labels, {dim: -1})


def _count(labels: xr.DataArray) -> int:
    n = labels.attrs.get("n_clusters")
    if n is None:
        raise SchemaError(
            "labels say how many groups there are in attrs['n_clusters'], found "
            f"{sorted(map(str, labels.attrs))}: make them with fx.clusters"
        )
    return int(n)


def _centres(
    x: F64, labels: Ints | None = None, *, n: int = 1, method: str, gamma: float, max_iter: int
) -> F64:
    """``(…, k, f, t), (…, k) -> (…, [n], f, t)``."""
    if labels is None:
        lead = x.shape[:-3]
        found = [_centre(x[i], method, gamma, max_iter) for i in np.ndindex(lead)]
        return np.array(found, np.float64).reshape(*lead, *x.shape[-2:])
    labels = np.broadcast_to(labels, x.shape[:-2])
    out = np.full((*x.shape[:-3], n, *x.shape[-2:]), np.nan)
    for *i, group in np.ndindex(*x.shape[:-3], n):
        mine = x[tuple(i)][labels[tuple(i)] == group]
        out[(*i, group)] = _centre(mine, method, gamma, max_iter)
    return out


def _centre(x: F64, method: str, gamma: float, max_iter: int) -> F64:
    """``(k, f, t) -> (f, t)``."""
    x = x[_whole(x)].astype(np.float64)
    if not x.size:
        return np.full(x.shape[1:], np.nan)
    if method == "mean":
        return np.asarray(x.mean(axis=0))
    from tslearn import barycenters

    from fhemb_xr.kernels._jit import keep

    keep("tslearn")
    series = np.ascontiguousarray(x.transpose(0, 2, 1))  # tslearn has time first
    if method == "dba":
        found = barycenters.dtw_barycenter_averaging(series, max_iter=max_iter)
    else:
        found = barycenters.softdtw_barycenter(series, gamma=gamma, max_iter=max_iter)
    return np.asarray(found.T, np.float64)


def _whole(x: F64) -> Bools:
    """Which series miss nothing: ``(k, f, t) -> (k,)``."""
    return np.asarray(np.isfinite(x).all(axis=(1, 2)))


def _grouped(
    x: F64, *, n: int, method: str, seed: int | None, max_iter: int, order: tuple[int, ...]
) -> Ints:
    """Labels of every set of series: ``(…, k, f, t) -> (…, k)``."""
    out = np.full(x.shape[:-2], -1, np.int64)
    for i in np.ndindex(x.shape[:-3]):
        there = _whole(x[i])
        if method == "kshape":  # a constant series has no shape
            there &= np.ptp(x[i], axis=-1).min(axis=-1, initial=np.inf) > 0
        mine = np.array([p for p in order if there[p]], np.int64)
        out[(*i, mine)] = clusters.renumbered(
            _found(x[i][mine].astype(np.float64), n, method, seed, max_iter)
        )
    return out


def _found(x: F64, n: int, method: str, seed: int | None, max_iter: int) -> Ints:
    """``(k, f, t) -> (k,)``; fewer series than groups are each one of its own."""
    if len(x) <= n:
        return np.arange(len(x))
    if method == "kshape":
        return kshape.kshape(x, n, np.random.default_rng(seed), restarts=BEGINNINGS)[0]
    fitted = _estimator(method, n, seed, max_iter).fit(
        np.ascontiguousarray(x.transpose(0, 2, 1))
    )
    return np.asarray(fitted.labels_, np.int64)


def _estimator(method: str, n: int, seed: int | None, max_iter: int) -> Any:
    """Of tslearn; of five beginnings the best."""
    from tslearn import clustering

    from fhemb_xr.kernels._jit import keep

    keep("tslearn")
    common = {"n_clusters": n, "n_init": BEGINNINGS, "random_state": seed}
    common["max_iter"] = max_iter
    if method == "gak":
        return clustering.KernelKMeans(kernel="gak", **common)
    metric = {"dba": "dtw", "soft_dtw": "softdtw", "kmeans": "euclidean"}[method]
    return clustering.TimeSeriesKMeans(metric=metric, **common)
