"""Is there more than one group? Silhouettes and dispersion beside those of one group.

The reference data are one group: points spread evenly over the box that holds the people, along
their principal axes, in which a relation is drawn by classical scaling.

References
----------
- Tibshirani, Walther & Hastie (2001), J. R. Stat. Soc. B 63, 411-423,
  doi:10.1111/1467-9868.00293 (the gap, and the rule "first").
- Dudoit & Fridlyand (2002), Genome Biol. 3, research0036.1,
  doi:10.1186/gb-2002-3-7-research0036 (the rule "global").
- Gower (1966), Biometrika 53, 325-338, doi:10.1093/biomet/53.3-4.325 (classical scaling).
"""

from collections.abc import Callable

import numpy as np

from fhemb_xr.kernels.clustering import clusters
from fhemb_xr.kernels.clustering.members import condensed, members
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.typing import F64, Ints

PARTS = ("silhouette", "p", "p_fwer", "null_low", "null_high")
RULES = ("global", "first")
GAP = ("gap", "gap_error", "log_dispersion")


def coordinates(d: F64) -> F64:
    """Points with these distances, along principal axes: ``(n, n) -> (n, r)``.

    Negative eigenvalues, of distances that are not Euclidean, are left out.
    """
    squares = (d**2 + d.T**2) / 2
    squares = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-squares / 2)
    kept = values > 1e-9 * max(float(values[-1]), 0.0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def reference(points: F64, rng: np.random.Generator) -> F64:
    """Distances of as many points that are one group: ``(n, r) -> (n, n)``."""
    from scipy.spatial import distance

    drawn = rng.uniform(points.min(axis=0), points.max(axis=0), points.shape)
    return np.asarray(distance.squareform(distance.pdist(drawn)))


def partitions(d: F64, tried: list[int], method: str, seed: int) -> list[Ints]:
    """Groups of each number of groups: ``(n, n) -> (n,)`` for each of ``tried``."""
    if method not in clusters.LINKAGES or len(d) < 2:
        return [clusters.labels(d, k, method, seed) for k in tried]
    from scipy.cluster import hierarchy

    tree = hierarchy.linkage(condensed(d), method)  # one tree is cut at all heights
    return list(hierarchy.cut_tree(tree, [min(k, len(d)) for k in tried]).T)


def silhouettes(d: F64, tried: list[int], method: str, seed: int) -> F64:
    """Mean silhouette of each number of groups, NaN where there are not so many."""
    found = partitions(d, tried, method, seed)
    return np.array([
        clusters.silhouette(d, g) if np.unique(g).size == k else np.nan
        for k, g in zip(tried, found, strict=True)
    ])  # fmt: skip


def dispersions(d: F64, tried: list[int], method: str, seed: int) -> F64:
    """Logarithm of the squared distances within groups, W_k; NaN where that is zero."""
    out = np.full(len(tried), np.nan)
    squares = (d**2 + d.T**2) / 2
    for j, groups in enumerate(partitions(d, tried, method, seed)):
        if np.unique(groups).size != tried[j]:
            continue
        member = groups[:, None] == np.unique(groups)
        within = ((member.T @ squares) * member.T).sum(axis=1) / (2 * member.sum(axis=0))
        total = within.sum()
        out[j] = np.log(total) if total > 0 else np.nan
    return out


def _beside_one_group(
    measure: Callable[[F64, list[int], str, int], F64], d: F64, tried: list[int], method: str,
    n: int, seed: int,
) -> tuple[F64, F64]:  # fmt: skip
    """A measure of the data, and of ``n`` data sets of one group: ``(k,), (n, k)``.

    NaN if fewer than three people have data. Without coordinates there are no such data sets.
    """
    inside, nothing = members(d), np.empty((0, len(tried)))
    if inside.size < 3:
        return np.full(len(tried), np.nan), nothing
    square = d[np.ix_(inside, inside)]
    points, rng = coordinates(square), np.random.default_rng(seed)
    own = measure(square, tried, method, seed)
    if not points.shape[1]:
        return own, nothing
    draws = [measure(reference(points, rng), tried, method, seed) for _ in range(n)]
    return own, np.array(draws)


def tested(d: F64, tried: list[int], method: str, n: int, seed: int, alpha: float) -> F64:
    """:data:`PARTS` of each number of groups: ``(n, n) -> (5, k)``.

    p_fwer is against the largest silhouette of any number of groups.
    """
    out = np.full((len(PARTS), len(tried)), np.nan)
    out[0], null = _beside_one_group(silhouettes, d, tried, method, n, seed)
    if not null.size:
        return out
    most = np.fmax.reduce(null, axis=1)
    out[1] = p_values.p_value(out[0], null.T, tail="greater", exact=False)
    out[2] = p_values.p_value(
        out[0], np.broadcast_to(most, (len(tried), n)), tail="greater", exact=False
    )
    out[3:] = p_values.band(null.T, alpha=alpha).T
    return out


def gaps(d: F64, tried: list[int], method: str, n: int, seed: int) -> F64:
    """:data:`GAP` of each number of groups: ``(n, n) -> (3, k)``."""
    out = np.full((len(GAP), len(tried)), np.nan)
    out[2], null = _beside_one_group(dispersions, d, tried, method, n, seed)
    if not null.size:
        return out
    out[0] = null.mean(axis=0) - out[2]
    out[1] = null.std(axis=0) * np.sqrt(1 + 1 / n)
    return out


def chosen(gap: F64, error: F64, tried: list[int], rule: str) -> float:
    """The number of groups by a rule of :data:`RULES`; NaN if there is none: ``(k,) -> ()``.

    ``"global"``: the smallest k whose gap is within one error of the largest gap. ``"first"``:
    the smallest k with ``gap(k) >= gap(k + 1) - error(k + 1)``.
    """
    if not np.isfinite(gap).any():
        return float("nan")
    if rule == "global":
        best = int(np.nanargmax(gap))
        return float(tried[int(np.argmax(gap >= gap[best] - error[best]))])
    for j in range(len(tried) - 1):
        if gap[j] >= gap[j + 1] - error[j + 1]:
            return float(tried[j])
    return float("nan")
