"""Maps of a distance matrix: people as points in two or three dimensions."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.kernels.clustering import manifold, members
from fhemb_xr.kernels.pairwise.matrix_scaling import SIMILARITIES
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice, require_count, require_seed
from fhemb_xr.ops.clustering.whole_matrix import _distance, _each, _of_people
from fhemb_xr.ops.option_tables import MAP
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation
from fhemb_xr.typing import F64

MAPS = ("mds", "pca", "tsne", "umap")
_EXACT = {
    "mds": manifold.mds, "pca": manifold.principal, "eigenvectors": manifold.eigenvectors,
}  # fmt: skip


def embed_relation(
    d: xr.DataArray,
    method: str = "mds",
    *,
    n_dims: int = 2,
    seed: int | None = None,
    similarity: str | None = None,
) -> xr.DataArray:
    """A map of the members of a relation, near where they are alike.

    Parameters
    ----------
    d
        A relation ``(…, subject_0, subject_1)`` of :func:`pairwise`. A similarity (a
        correlation) is converted to distances: ``1 - value``.
    method
        ``"mds"``: classical scaling, the distances on the map come nearest to those of ``d``.
        ``"pca"``: principal components of the rows. ``"tsne"`` (needs scikit-learn) and
        ``"umap"`` (needs umap-learn) keep neighbours.
    n_dims
        Axes of the map.
    seed
        Random seed of ``"tsne"`` and ``"umap"``; the others are deterministic.
    similarity
        ``"gauss"``, ``"invert"`` or ``"complement"`` of :func:`normalize_relation`: ``"pca"``
        then takes the leading eigenvectors of this similarity, times the roots of their values.

    Returns
    -------
    DataArray
        Coordinates ``(…, subject, component)``, float64, lazy where ``d`` is; NaN for people
        without data. Of mds and pca the largest coordinate of each axis is positive.

    Raises
    ------
    ValueError
        If ``n_dims`` is not a positive whole number.
    UnknownNameError
        No such method or similarity (a ``KeyError``).

    Notes
    -----
    Memory: one task holds the matrix four times. Tasks: one per matrix, and two per block to
    gather it. Computes at call: none.

    References
    ----------
    - Torgerson (1952), Psychometrika 17, 401-419, doi:10.1007/BF02288916.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> d = xr.DataArray([[0.0, 3], [3, 0]], dims=("subject_0", "subject_1"))
    >>> fx.embed_relation(d, n_dims=1).values.ravel().round(9).tolist()
    [1.5, -1.5]
    """
    n_dims = require_count("n_dims", n_dims)
    method, seed = require_choice("map", method, MAPS, synonyms.MAPS), require_seed(seed)
    MAP.require_used(method, {"similarity": similarity})
    d = _distance(d)
    if similarity is not None:
        how = require_choice("similarity", similarity, SIMILARITIES)
        d = normalize_relation(d, how)
    out = _of_people(
        _mapped, d, np.float64, {schema.COMPONENT: n_dims},
        method=method if similarity is None else "eigenvectors", n_dims=n_dims, seed=seed,
    )  # fmt: skip
    out = out.assign_coords({schema.COMPONENT: np.arange(n_dims)})
    out.attrs = {"long_name": f"{method} of {d.attrs.get('metric', 'a relation')}"}
    return out.rename("map")


def _mapped(
    d: F64, order: tuple[int, ...], method: str, n_dims: int, seed: int | None
) -> NDArray[Any]:
    if method in _EXACT:
        return _each(d, order, lambda m: _EXACT[method](m, n_dims))
    return _each(d, order, lambda m: _neighbours(m, method, n_dims, seed))


def _neighbours(d: F64, method: str, n_dims: int, seed: int | None) -> F64:
    """A map by a library that is not needed otherwise."""
    out = np.full((len(d), n_dims), np.nan)
    inside = members.members(d)
    square = d[np.ix_(inside, inside)]
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, max(1.0, (inside.size - 1) / 3))
        found = TSNE(
            n_dims,
            metric="precomputed",
            init="random",
            perplexity=perplexity,
            random_state=seed,
        )
    else:
        from umap import UMAP  # type: ignore[import-not-found,unused-ignore]

        found = UMAP(n_components=n_dims, metric="precomputed", random_state=seed)
    out[inside] = found.fit_transform(np.maximum(square, 0))
    return out
