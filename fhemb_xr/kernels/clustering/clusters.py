"""Groups of the members of a relation; those without data belong to none.

A relation is ``(n, n)``. Its *members* are those that have a value with anybody else; among
members every value must be there.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels.clustering.members import condensed, members
from fhemb_xr.typing import F64, Ints

LINKAGES = ("average", "complete", "single", "ward", "weighted")
METHODS = (*LINKAGES, "kmedoids", "spectral")


def linkage(d: F64, method: Any) -> F64:
    """Tree of the members, as scipy's: ``(n, n) -> (m - 1, 4)``, neighbours alike."""
    from scipy.cluster import hierarchy

    inside = members(d)
    if inside.size < 2:
        return np.empty((0, 4))
    distance = condensed(d[np.ix_(inside, inside)])
    return np.asarray(hierarchy.linkage(distance, method, optimal_ordering=True), np.float64)


def leaf_order(d: F64, method: Any) -> Ints:
    """Members so that neighbours are alike, then those without data: ``(n, n) -> (n,)``."""
    inside = members(d)
    outside = np.setdiff1d(np.arange(len(d)), inside)
    if inside.size > 2:
        inside = inside[leaves(linkage(d, method))]
    return np.concatenate([inside, outside])


def leaves(tree: F64) -> Ints:
    """Members in the order of the tree's leaves: ``(m - 1, 4) -> (m,)``."""
    from scipy.cluster import hierarchy

    return np.asarray(hierarchy.leaves_list(tree), dtype=np.int64)


def labels(d: F64, n_clusters: int, method: str, seed: int | None) -> Ints:
    """Group of each, numbered as they first appear, -1 without data: ``(n, n) -> (n,)``.

    Fewer members than groups: each is a group of its own.
    """
    out = np.full(len(d), -1, np.int64)
    inside = members(d)
    if not inside.size:
        return out
    n_clusters = min(n_clusters, inside.size)
    square = d[np.ix_(inside, inside)]
    if method in ("kmedoids", "spectral"):
        even = (square + square.T) / 2
        even = spectrum(even, n_clusters) if method == "spectral" else even
        found = kmedoids(even, n_clusters, np.random.default_rng(seed))
    else:
        from scipy.cluster import hierarchy

        tree = linkage(square, method)
        found = (
            hierarchy.cut_tree(tree, [n_clusters])[:, 0] if len(tree) else np.zeros(1, np.int64)
        )
    out[inside] = renumbered(found)
    return out


def renumbered(found: NDArray[Any]) -> Ints:
    """Numbers from 0 in order of first appearance."""
    _, first, which = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[which], dtype=np.int64)


def kmedoids(d: F64, k: int, rng: np.random.Generator, *, restarts: int = 10) -> Ints:
    """Partition around medoids: the best of several random beginnings, ``(n, n) -> (n,)``."""
    best, lowest = np.zeros(len(d), np.int64), np.inf
    for _ in range(restarts):
        medoids = _spread(d, k, rng)
        for _ in range(100):
            nearest = np.argmin(d[:, medoids], axis=1)
            nearest[medoids] = np.arange(k)
            moved = np.array([_centre(d, np.flatnonzero(nearest == c)) for c in range(k)])
            if (moved == medoids).all():
                break
            medoids = moved
        cost = d[np.arange(len(d)), medoids[nearest]].sum()
        if cost < lowest - 1e-12 * abs(lowest if np.isfinite(lowest) else 0):
            best, lowest = nearest, cost
    return np.asarray(best, dtype=np.int64)


def spectrum(d: F64, k: int) -> F64:
    """Distances in the first ``k`` eigenvectors of the affinity: ``(n, n) -> (n, n)``.

    The affinity is ``exp(-d² / s s')``, ``s`` and ``s'`` the distances of the two to their
    third neighbours. Ng, Jordan & Weiss (2001), NIPS 14, 849-856; Zelnik-Manor & Perona
    (2004), NIPS 17, 1601-1608.
    """
    from scipy.linalg import eigh

    n = len(d)
    near = np.sort(d, axis=1)[:, min(n - 1, 3)]
    least = near[near > 0].min() if (near > 0).any() else 1.0
    scale = np.maximum(near, least)  # of several at one place
    affinity = np.exp(-(d**2) / np.outer(scale, scale))
    root = np.sqrt(affinity.sum(axis=1))
    _, vectors = eigh(affinity / root[:, None] / root, subset_by_index=(n - k, n - 1))
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * np.clip(rows @ rows.T, -1, 1), 0)))


def _spread(d: F64, k: int, rng: np.random.Generator) -> Ints:
    """Beginnings that are far from each other, as k-means++ draws them."""
    chosen = [int(rng.integers(len(d)))]
    while len(chosen) < k:
        weight = np.maximum(d[:, chosen].min(axis=1), 0) ** 2
        weight[chosen] = 0
        if not weight.any():
            weight = np.ones(len(d))
            weight[chosen] = 0
        chosen.append(int(rng.choice(len(d), p=weight / weight.sum())))
    return np.array(chosen)


def _centre(d: F64, group: Ints) -> int:
    return int(group[np.argmin(d[np.ix_(group, group)].sum(axis=1))])


def silhouette(d: F64, groups: Ints) -> float:
    """Mean silhouette of the members; NaN for one group, or one each: ``(n, n), (n,) -> ()``.

    Rousseeuw (1987), J. Comput. Appl. Math. 20, 53-65, doi:10.1016/0377-0427(87)90125-7.
    """
    inside = np.flatnonzero(groups >= 0)
    square, mine = d[np.ix_(inside, inside)], renumbered(groups[inside])
    square = (square + square.T) / 2
    k = mine.max(initial=-1) + 1
    if not 1 < k < inside.size:
        return float("nan")
    member = np.eye(k)[mine]
    sizes = member.sum(axis=0)
    sums = square @ member - np.diag(square)[:, None] * member
    rows = np.arange(inside.size)
    within = sums[rows, mine] / np.maximum(sizes[mine] - 1, 1)
    sums[rows, mine] = np.inf
    between = (sums / sizes).min(axis=1)
    scale = np.maximum(within, between)
    score = np.where(scale > 0, (between - within) / np.where(scale > 0, scale, 1), 0)
    return float(np.where(sizes[mine] > 1, score, 0).mean())
