"""Groups of people who move alike, and maps of them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr.kernels.clustering import clusters as trees
from fhemb_xr.kernels.clustering.members import members
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import intervals
from fhemb_xr.ops.checks import listed, require_choice, require_count, require_seed
from fhemb_xr.ops.clustering import barycenters
from fhemb_xr.ops.clustering.one_group import tested_silhouettes
from fhemb_xr.ops.clustering.whole_matrix import _distance, _each, _of_people, _order
from fhemb_xr.ops.option_tables import CLUSTERS
from fhemb_xr.ops.pairwise.pair_dims import pair_dims, whole
from fhemb_xr.typing import F64, Ints


def clusters(
    d_or_x: xr.DataArray,
    n_clusters: int,
    *,
    method: str = "average",
    seed: int | None = None,
    max_iter: int = 50,
) -> xr.DataArray:
    """Group of every series.

    Groups are numbered in the order in which they first appear among the sorted labels, so
    that the same people get the same numbers whatever the order of the input.

    Parameters
    ----------
    d_or_x
        A relation ``(…, subject_0, subject_1)`` of :func:`pairwise`, or series, which are
        then compared by ``"dtw"``. A similarity (a correlation, ``normalize_relation(d,
        "gauss")``) is converted to distances: ``1 - value``. Where distances are negative,
        the smallest is subtracted from all.
    n_clusters
        How many groups; where there are fewer people with data, each is one of its own.
    method
        Linkage of the tree that is cut: ``average complete single weighted ward`` (the last
        is meant for Euclidean distances); ``kmedoids``, from seeded beginnings; ``spectral``,
        the same after a map by eigenvectors, for groups that are drawn out. Of series alone,
        not of a relation, k-means round prototypes, by tslearn: ``dba`` (warping barycentres),
        ``soft_dtw``, ``kshape`` (cross-correlation of z-scored series), ``gak`` (global
        alignment kernel), ``kmeans`` (sample by sample).
    seed
        Random seed. Trees ignore it: they are deterministic.
    max_iter
        Rounds at most of ``dba``, ``soft_dtw``, ``gak`` and ``kmeans``, for each of five
        beginnings.

    Returns
    -------
    DataArray
        Labels ``cluster(…, subject)``, int64, from 0 on, -1 for people without data, in the
        order of the input; lazy where it is.

    Raises
    ------
    ValueError
        If ``n_clusters`` or ``max_iter`` is not a positive whole number, or the method has no
        rounds.
    UnknownNameError
        No such method (a ``KeyError``).

    Notes
    -----
    Memory: one task holds the matrix three times. Tasks: one per matrix, and two per block to
    gather it. Computes at call: none.

    References
    ----------
    - Müllner (2011), Modern hierarchical, agglomerative clustering algorithms,
      doi:10.48550/arXiv.1109.2378.
    - Ng, Jordan & Weiss (2001), On spectral clustering, NIPS 14, 849-856.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     [[9.0, 9, 9], [0, 0, 1], [8, 9, 9]],
    ...     dims=("subject", "time"),
    ...     coords={"subject": [40, 41, 66]},
    ... )
    >>> fx.clusters(x.chunk(), 2).values.tolist()
    [0, 1, 0]
    """
    n_clusters = require_count("n_clusters", n_clusters)
    method, seed, rounds = _method(method), require_seed(seed), _rounds(method, max_iter)
    if method in barycenters.METHODS:
        out = barycenters.groups(d_or_x, n_clusters, method, seed, rounds)
        metric = method
    else:
        d = _distance(d_or_x)
        options = {"n_clusters": n_clusters, "method": method, "seed": seed}
        out = _of_people(_labels, d, np.int64, **options)
        metric = d.attrs.get("metric", "")
    out.attrs = {"long_name": "group", "units": "1", "n_clusters": n_clusters}
    out.attrs |= {"method": method, "metric": metric}
    if seed is not None:
        out.attrs["seed"] = seed
    return out.rename("cluster")


def silhouette(
    d_or_x: xr.DataArray,
    k: Iterable[int] = range(2, 11),
    *,
    method: str = "average",
    metric: str = "dtw",
    seed: int | None = None,
    window_s: float | None = None,
    step_s: float | None = None,
    null: int | None = None,
    alpha: float | None = None,
    max_iter: int = 50,
) -> xr.DataArray | xr.Dataset:
    """How well each number of groups separates the series: the mean silhouette.

    Parameters
    ----------
    d_or_x, method, seed, max_iter
        As in :func:`clusters`.
    k
        Numbers of groups to try.
    metric
        What series are compared by, one of :func:`pairwise`. With the method ``kmeans``,
        ``"euclidean"`` measures as the groups were made; with ``soft_dtw``,
        ``"soft_dtw_divergence"``.
    window_s, step_s
        Series are cut into intervals of this length [s], this far apart (default: end to end).
    null
        Number of data sets of one group that the silhouettes are compared with, see
        :func:`gap_statistic`. Then "one group" is a possible answer: no ``p_fwer`` is small.
    alpha
        The null band holds ``1 - alpha`` of the silhouettes of one group (default .05).

    Returns
    -------
    DataArray | Dataset
        Scores ``(…, [window,] n_clusters)`` from -1 to 1, float64, lazy where the input is; NaN
        for one group, or for as many groups as people. The best is
        ``score.idxmax("n_clusters")``. With ``null`` a Dataset of ``silhouette``, ``p``,
        ``p_fwer`` (against the largest of any number of groups tried), ``null_low`` and
        ``null_high``.

    Raises
    ------
    ValueError
        If a ``k`` is not a positive whole number, or an interval longer than the series; if a
        null has no seed, or ``alpha`` is given without one; a metric of a relation.
    UnknownNameError
        No such method or metric (a ``KeyError``); a null has the methods of relations only.

    Notes
    -----
    Memory: one task holds the matrix four times, six times with a null. Tasks: one per matrix,
    and two per block to gather it. Computes at call: none.

    References
    ----------
    - Rousseeuw (1987), J. Comput. Appl. Math. 20, 53-65, doi:10.1016/0377-0427(87)90125-7.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray([[9.0, 9], [0, 1], [8, 9], [0, 0]], dims=("subject", "time"))
    >>> float(fx.silhouette(x, [2, 3]).idxmax("n_clusters"))
    2.0
    """
    tried = [require_count("k", n) for n in listed(k)]
    if not tried:
        raise ValueError(f"k are numbers of groups to try, found none in {k!r}")
    method, seed, rounds = _method(method), require_seed(seed), _rounds(method, max_iter)
    if window_s is not None or step_s is not None:
        d_or_x = intervals(d_or_x, window_s, step_s)
    d = _distance(d_or_x, metric)
    if null is not None:
        return tested_silhouettes(
            d, tried, method, null, seed, 0.05 if alpha is None else alpha
        )
    if alpha is not None:
        raise ValueError(f"alpha is of a null, found {alpha!r} without null: give null=99")
    rows, columns = pair_dims(d)
    given, cores = [whole(d).drop_vars([rows, columns], errors="ignore")], [[rows, columns]]
    if method in barycenters.METHODS:
        found = [barycenters.groups(d_or_x, k, method, seed, rounds) for k in tried]
        given.append(_together(found))
        cores.append(["n_clusters", str(rows)[:-2]])
    out = apply_kernel(
        _scores,
        *given,
        core=cores,
        new={"n_clusters": len(tried)},
        tried=tried,
        method=method,
        seed=seed,
        order=_order(d),
    )
    out = out.assign_coords(n_clusters=np.array(tried, dtype=np.int64))
    out.attrs = {"long_name": "mean silhouette", "units": "1", "method": method}
    out.attrs["metric"] = d.attrs.get("metric", "")
    return out.rename("silhouette")


def leaf_order(d: xr.DataArray, *, method: str = "average") -> xr.DataArray:
    """Positions along ``subject`` so that neighbours are alike: the leaves of the tree.

    Those without data come last. Lazy where ``d`` is; one task per matrix.
    """
    method = require_choice("linkage", method, trees.LINKAGES, synonyms.LINKAGES)
    return _of_people(_leaves, _distance(d), np.int64, method=method).rename("leaf")


def linkage(d: xr.DataArray, *, method: str = "average") -> tuple[F64, Ints]:
    """Tree of a small, loaded relation ``(subject_0, subject_1)``, as scipy's; it computes.

    The tree is the one that :func:`clusters` cuts, turned so that neighbours are alike. Its
    leaves are the members that have data, whose positions in ``d`` are given too.
    """
    method = require_choice("linkage", method, trees.LINKAGES, synonyms.LINKAGES)
    rows, columns = pair_dims(d)
    distance = np.asarray(_distance(d).transpose(rows, columns), np.float64)
    return trees.linkage(distance, method), members(distance)


def _method(method: str) -> str:
    known = (*trees.METHODS, *barycenters.METHODS)
    return require_choice("method", method, known, synonyms.LINKAGES)


def _rounds(method: str, max_iter: int) -> int:
    """Rounds at most, of a method that has any."""
    max_iter = require_count("max_iter", max_iter)
    CLUSTERS.require_used(method, {"max_iter": max_iter})
    return max_iter


def _labels(
    d: F64, order: tuple[int, ...], n_clusters: int, method: str, seed: int | None
) -> NDArray[Any]:
    return _each(d, order, lambda m: trees.labels(m, n_clusters, method, seed))


def _leaves(d: F64, order: tuple[int, ...], method: str) -> NDArray[Any]:
    del order  # leaves are positions in the order given
    found = [trees.leaf_order(d[i], method) for i in np.ndindex(d.shape[:-2])]
    return np.stack(found).reshape(d.shape[:-1])


def _scores(
    d: F64,
    given: NDArray[Any] | None = None,
    *,
    tried: list[int],
    method: str,
    seed: int | None,
    order: tuple[int, ...],
) -> F64:
    """Silhouettes of groups that are ``given``, ``(…, tried, n)``, or found here."""
    out = np.full((*d.shape[:-2], len(tried)), np.nan)
    where = np.array(order, dtype=np.int64)
    for i in np.ndindex(d.shape[:-2]):
        m = d[i][np.ix_(where, where)]
        for j, k in enumerate(tried):
            found = trees.labels(m, k, method, seed) if given is None else given[i][j][where]
            if found.max(initial=-1) + 1 == k:
                out[(*i, j)] = trees.silhouette(m, found)
    return out


def _together(labels: list[xr.DataArray]) -> xr.DataArray:
    out = xr.concat(labels, "n_clusters", join="override").reset_coords(drop=True)
    return rechunked(out, {"n_clusters": -1})
