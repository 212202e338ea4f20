"""Singular values and vectors of a relation."""

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.kernels.clustering import members
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.ops.pairwise.pair_dims import of_matrix, pair_dims
from fhemb_xr.typing import F64


def svd_relation(d: xr.DataArray) -> xr.Dataset:
    """Singular values and vectors of a relation.

    The number of large singular values tells how many axes the relation has.

    Parameters
    ----------
    d
        Relation ``(…, subject_0, subject_1)`` of :func:`pairwise`, best a similarity. Turn
        distances into one by ``normalize_relation(d, "gauss")``.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``d`` is: ``left(…, subject, component)``,
        ``singular_value(…, component)`` from the largest to the smallest, and ``right(…,
        subject, component)``. ``left * singular_value @ right`` is ``d``. The largest entry of
        each left vector is positive. People without data have NaN in the vectors, and for each
        of them one singular value is 0.

    Raises
    ------
    SchemaError
        If ``d`` is not a relation.
    BudgetError
        If the matrix is larger than the budget of a task.

    Notes
    -----
    Memory: one task holds the matrix four times. Tasks: one per matrix, and two per block to
    gather it. Computes at call: none.

    References
    ----------
    - Golub & Reinsch (1970), Numer. Math. 14, 403-420, doi:10.1007/BF02163027.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> d = xr.DataArray([[2.0, 0], [0, 3]], dims=("subject_0", "subject_1"))
    >>> fx.svd_relation(d).singular_value.values.tolist()
    [3.0, 2.0]
    """
    rows, _ = pair_dims(d)
    n, dim = d.sizes[rows], str(rows)[:-2]
    fields = _fields(n)
    out = of_matrix(_decomposed, d, {"_row": fields.size, schema.COMPONENT: n})
    left, right = (out.isel(_row=fields[side]).rename(_row=dim) for side in ("left", "right"))
    value = out.isel(_row=fields["singular_value"])
    parts = xr.Dataset({"left": left, "singular_value": value, "right": right})
    parts = parts.assign_coords({schema.COMPONENT: np.arange(n)})
    if rows in d.indexes:
        parts = parts.assign_coords({dim: (dim, d[rows].values)})
    parts["singular_value"].attrs = {"long_name": "singular value"}
    if "units" in d.attrs:
        parts["singular_value"].attrs["units"] = d.attrs["units"]
    return parts


def _fields(n: int) -> Fields:
    """Rows of the array that :func:`_decomposed` returns."""
    return Fields(left=(n,), singular_value=(), right=(n,))


def _decomposed(d: F64) -> F64:
    """Vectors and values: ``(..., n, n) -> (..., row, n)``, rows as in :func:`_fields`."""
    n = d.shape[-1]
    fields = _fields(n)
    out = np.full((*d.shape[:-2], fields.size, n), np.nan)
    out[..., fields["singular_value"], :] = 0
    for i in np.ndindex(d.shape[:-2]):
        inside = members.members(np.asarray(d[i], dtype=np.float64))
        u, s, vt = np.linalg.svd(d[i][np.ix_(inside, inside)])
        m = inside.size
        if not m:
            continue
        sign = np.where(u[np.abs(u).argmax(axis=0), np.arange(m)] < 0, -1, 1)
        left, right = out[i][fields["left"]], out[i][fields["right"]]
        left[inside], right[inside] = 0, 0
        left[inside, :m], right[inside, :m] = u * sign, vt.T * sign
        out[i][fields["singular_value"], :m] = s
    return out
