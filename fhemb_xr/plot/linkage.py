"""The tree over a relation: which rows stand together."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.kernels.clustering import clusters, members
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.plot import figure_data
from fhemb_xr.typing import F64, Ints

SIMILARITIES = metrics.SIMILARITIES
PAIR = (f"{schema.SUBJECT}_0", f"{schema.SUBJECT}_1")


def square(d: xr.DataArray) -> tuple[F64, list[str]]:
    """A relation in memory with its labels.

    Raises
    ------
    SchemaError
        If it is not one square matrix over the same entries.
    """
    dims = _pair(d)
    d = figure_data.loaded(figure_data.require(d, "a relation", *dims), "a relation")
    rows, columns = (figure_data.ids(d, dim) for dim in dims)
    if rows != columns:
        raise SchemaError(
            f"a relation is drawn over the same entries in rows and columns, found {len(rows)} "
            f"rows and {len(columns)} columns: compare a set with itself"
        )
    return d.values.astype(np.float64), rows


def _pair(d: xr.DataArray) -> tuple[str, str]:
    """The two dimensions ``s_0`` and ``s_1``."""
    for dim in map(str, d.dims):
        stem, _, end = dim.rpartition("_")
        if end == "0" and f"{stem}_1" in d.dims:
            return dim, f"{stem}_1"
    raise SchemaError(f"need the dimensions {PAIR}, found {d.dims}")


def links(values: F64, metric: str, method: Any) -> F64:
    """SciPy's linkage of two rows or more, every pair with a value.

    Notes
    -----
    Memory: one more matrix.
    """
    return clusters.ordered(1 - values if metric in SIMILARITIES else values, method)


def comparable(values: F64) -> Ints:
    """Rows that all have a value with one another: those with most missing go first.

    A person who is never seen has no value with anybody, and must not cost the others
    their tree.
    """
    values = values.copy()
    np.fill_diagonal(values, 0)  # nobody needs a value with himself
    return members.members(values)


def order(values: F64, metric: str, method: str | None) -> Ints:
    """Rows in the order of the tree's leaves, those outside the tree last."""
    n = len(values)
    rows = comparable(values)
    if method is None or len(rows) < 2:
        return np.arange(n)
    tree = links(values[np.ix_(rows, rows)], metric, method)
    return np.concatenate([rows[leaves(tree)], np.setdiff1d(np.arange(n), rows)])


def leaves(tree: F64) -> Ints:
    """Rows in the order in which the tree's leaves stand."""
    from scipy.cluster import hierarchy

    return np.asarray(hierarchy.leaves_list(tree), dtype=np.int64)
