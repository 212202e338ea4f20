"""A finished relation on another scale."""

import numpy as np
import xarray as xr

from fhemb_xr.kernels.pairwise import matrix_scaling
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.pairwise.pair_dims import of_matrix
from fhemb_xr.ops.pairwise.similarity import KIND, KINDS, is_similarity
from fhemb_xr.typing import F64


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
        ``D``. ``"log"``: ``log(1 + M)``. ``"none"``: as it is. From distances to similarities:
        ``"gauss"``: ``exp(-M² / 2σ²)``, σ the median of the distances between different
        members; ``"invert"``: ``1 / (1 + M)``; ``"complement"``: 1 less ``"minmax"``.

    Returns
    -------
    DataArray
        Matrix of the same shape, float64, lazy where ``d`` is. NaN are left out of every sum
        and stay NaN; where a scale would be 0, the result is 0. ``attrs["kind"]`` says whether
        the values are a ``"distance"`` or a ``"similarity"``.

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
    how = require_choice("scale", how, matrix_scaling.SCALES)
    out = of_matrix(_scaled, d, how=how)
    out.attrs = dict(d.attrs)
    if how != "none":
        kind = KINDS[is_similarity(d) != (how in matrix_scaling.SIMILARITIES)]
        out.attrs |= {"units": "1", "scale": how, KIND: kind}
    return out.rename(d.name)


def _scaled(d: F64, how: str) -> F64:
    out = np.empty(d.shape)
    for i in np.ndindex(d.shape[:-2]):
        out[i] = matrix_scaling.SCALES[how](d[i].astype(np.float64))
    return out
