"""How many groups there are, if there is more than one: against data of one group."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.kernels.clustering import clusters as trees
from fhemb_xr.kernels.clustering import one_group as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.clustering.whole_matrix import _distance, _order
from fhemb_xr.ops.pairwise.pair_dims import of_matrix
from fhemb_xr.typing import F64

_TEXTS = {
    "silhouette": "mean silhouette",
    "p": "p-value against one group",
    "p_fwer": "p-value against one group, of any number of groups tried",
    "null_low": "lower end of the silhouettes of one group",
    "null_high": "upper end of the silhouettes of one group",
    "gap": "gap statistic",
    "gap_error": "standard error of the gap",
    "log_dispersion": "logarithm of the squared distances within groups",
}


def gap_statistic(
    d_or_x: xr.DataArray,
    k: Iterable[int] = range(1, 9),
    *,
    method: str = "average",
    rule: str = "global",
    n: int = 100,
    seed: int,
) -> xr.Dataset:
    """Gap statistic: how many groups there are, where one is a possible answer.

    The dispersion within ``k`` groups is compared with that of data of one group, drawn evenly
    over the box that holds the people along their principal axes.

    Parameters
    ----------
    d_or_x
        Relation or series, as in :func:`clusters`.
    k
        Numbers of groups to try: whole numbers in a row.
    method
        Linkage of the tree, ``"kmedoids"`` or ``"spectral"``, as in :func:`clusters`.
    rule
        ``"global"``: the smallest k whose gap is within one error of the largest. ``"first"``:
        the smallest k whose gap is that of ``k + 1`` minus its error or more; it can stop too
        early, at one group where there are three.
    n
        Number of data sets of one group.
    seed
        Random seed, from 0 on.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where the input is, by ``n_clusters``: ``gap``, its standard
        error ``gap_error``, ``log_dispersion``; and ``n_groups``, the number of groups by the
        rule, NaN where there is none. ``k`` groups are not found where there are not so many
        people, or where a group has no dispersion: NaN.

    Raises
    ------
    UnknownNameError
        No such method or rule (a ``KeyError``).
    ValueError
        If ``k`` are not two whole numbers or more in a row, or another number is out of range.

    Notes
    -----
    Assumes distances of points in space. Of warping distances and others that are not, only
    what points can have is in the reference, so that the gap is shifted, alike for all k.

    Memory: one task holds the matrix six times. Tasks: one per matrix, and two per block to
    gather it. Computes at call: none. Work: ``n + 1`` trees.

    References
    ----------
    - Tibshirani, Walther & Hastie (2001), J. R. Stat. Soc. B 63, 411-423,
      doi:10.1111/1467-9868.00293 (the gap, and the rule "first").
    - Dudoit & Fridlyand (2002), Genome Biol. 3, research0036.1,
      doi:10.1186/gb-2002-3-7-research0036 (the rule "global").

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> one = xr.DataArray(rng.normal(size=(20, 30)), dims=("subject", "time"))
    >>> two = one + xr.DataArray(np.arange(20) % 2 * 9.0, dims="subject")
    >>> relations = [fx.pairwise(x, "euclidean") for x in (one, two)]
    >>> [float(fx.gap_statistic(d, [1, 2, 3], n=19, seed=0).n_groups) for d in relations]
    [1.0, 2.0]
    """
    tried = _counts(k)
    if len(tried) < 2 or tried != list(range(tried[0], tried[0] + len(tried))):
        raise ValueError(f"k are two whole numbers or more in a row, found {tried}")
    method = require_choice("method", method, trees.METHODS)
    rule = require_choice("rule", rule, kernel.RULES)
    options: dict[str, Any] = {"method": method, "n": require_count("n", n)}
    options["seed"] = require_count("seed", seed, 0)
    d = _distance(d_or_x)
    found = _each_matrix(_gaps, d, len(kernel.GAP), tried, options)
    out = xr.Dataset({name: found.isel(_part=i) for i, name in enumerate(kernel.GAP)})
    core = [["n_clusters"], ["n_clusters"]]
    out["n_groups"] = apply_kernel(
        _chosen, out["gap"], out["gap_error"], core=core, tried=tried, rule=rule
    )
    out["n_groups"].attrs = {"long_name": "number of groups", "units": "1"}
    return _labelled(out, tried, {**options, "rule": rule})


def tested_silhouettes(
    d: xr.DataArray, tried: list[int], method: str, null: Any, seed: int | None, alpha: float
) -> xr.Dataset:
    """Silhouettes beside those of ``null`` data sets of one group, see :func:`silhouette`."""
    options: dict[str, Any] = {
        "method": require_choice("method of silhouette(null=)", method, trees.METHODS),
        "n": require_count("null", null),
    }
    if seed is None:
        raise ValueError("the null is drawn at random, found no seed: give seed=0")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")
    options |= {"seed": require_count("seed", seed, 0), "alpha": alpha}
    found = _each_matrix(_tested, d, len(kernel.PARTS), tried, options)
    out = xr.Dataset({name: found.isel(_part=i) for i, name in enumerate(kernel.PARTS)})
    return _labelled(out, tried, options)


def _counts(k: Iterable[int]) -> list[int]:
    return [require_count("k", n) for n in np.atleast_1d(np.asarray(k)).tolist()]


def _labelled(out: xr.Dataset, tried: list[int], options: dict[str, Any]) -> xr.Dataset:
    out = out.assign_coords(n_clusters=np.array(tried, dtype=np.int64))
    for name in out.data_vars:
        if text := _TEXTS.get(str(name)):
            out[name].attrs = {"long_name": text, "units": "1", "method": options["method"]}
    return out.assign_attrs(options)


def _each_matrix(
    function: Any, d: xr.DataArray, parts: int, tried: list[int], options: dict[str, Any]
) -> xr.DataArray:
    """``function`` of each whole matrix, its members in the order of their labels."""
    new: dict[Hashable, int] = {"_part": parts, "n_clusters": len(tried)}
    return of_matrix(function, d, new, tried=tried, order=_order(d), **options)


def _looped(
    function: Any, d: F64, tried: list[int], order: tuple[int, ...], parts: int, **options: Any
) -> F64:
    out = np.empty((*d.shape[:-2], parts, len(tried)))
    where = np.array(order, dtype=np.int64)
    for i in np.ndindex(d.shape[:-2]):
        matrix = np.asarray(d[i], dtype=np.float64)[np.ix_(where, where)]
        out[i] = function(matrix, tried, **options)
    return out


def _gaps(d: F64, *, tried: list[int], order: tuple[int, ...], **options: Any) -> F64:
    return _looped(kernel.gaps, d, tried, order, len(kernel.GAP), **options)


def _tested(d: F64, *, tried: list[int], order: tuple[int, ...], **options: Any) -> F64:
    return _looped(kernel.tested, d, tried, order, len(kernel.PARTS), **options)


def _chosen(gap: F64, error: F64, *, tried: list[int], rule: str) -> F64:
    out = np.empty(gap.shape[:-1])
    for i in np.ndindex(out.shape):
        out[i] = kernel.chosen(gap[i], error[i], tried, rule)
    return out
