"""A relation in memory, as the figures of relations and trees need it."""

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.pairwise.pair_dims import pair_dims
from fhemb_xr.plot import figure_data
from fhemb_xr.typing import F64, Ints

PAIR = (f"{schema.SUBJECT}_0", f"{schema.SUBJECT}_1")


def square(d: xr.DataArray) -> tuple[xr.DataArray, list[str]]:
    """A relation in memory, ``(subject_0, subject_1)``, and its labels.

    Raises
    ------
    SchemaError
        If it is not one square matrix over the same entries.
    """
    schema.require_real(d)
    dims = [str(dim) for dim in pair_dims(d)]
    d = figure_data.loaded(figure_data.require(d, "a relation", *dims), "a relation")
    rows, columns = (figure_data.ids(d, dim) for dim in dims)
    if rows != columns:
        raise SchemaError(
            "a relation is drawn over the same entries in rows and columns, found "
            f"{rows[:3]!r} and {columns[:3]!r}: compare a set with itself"
        )
    return d.astype(np.float64), rows


def order(d: xr.DataArray, method: str | None) -> Ints:
    """Rows in the order of the tree's leaves, those outside the tree last."""
    from fhemb_xr.ops.clustering.clusters import leaf_order

    if method is None:
        return np.arange(len(d))
    return np.asarray(leaf_order(d, method=method).values, dtype=np.int64)


def tree(d: xr.DataArray, method: str) -> tuple[F64, Ints, Ints]:
    """Tree that :func:`fhemb_xr.clusters` cuts, the rows in it, and its leaves among them."""
    from fhemb_xr.kernels.clustering.clusters import leaves
    from fhemb_xr.ops.clustering.clusters import linkage

    links, rows = linkage(d, method=method)
    return links, rows, leaves(links) if len(links) else np.arange(len(rows))
