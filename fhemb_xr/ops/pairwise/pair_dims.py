"""The shape of a relation, ``(…, dim_0, dim_1)``, and the names that may be asked for."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked


def whole(d: xr.DataArray) -> xr.DataArray:
    """A relation in one piece, its pairs last.

    Raises
    ------
    BudgetError
        If four of them are larger than the budget of a task.
    """
    rows, columns = pair_dims(d)
    n_bytes = 4 * 8 * d.sizes[rows] ** 2
    budget.check(n_bytes, "a matrix of all pairs in one piece", "select fewer series")
    d = d.transpose(..., rows, columns)
    return rechunked(d, {rows: -1, columns: -1})


def of_matrix(
    kernel: Callable[..., Any],
    d: xr.DataArray,
    /,
    new: Mapping[Hashable, int] | None = None,
    dtype: type = np.float64,
    **options: Any,
) -> xr.DataArray:
    """Result of a kernel of each whole matrix, lazy where ``d`` is.

    ``new`` has the result's dimensions and their sizes. None: those of the matrix, with its
    labels.

    Raises
    ------
    BudgetError
        If four matrices are larger than the budget of a task.
    """
    pair, matrix = pair_dims(d), whole(d)
    if new is None:
        return apply_kernel(kernel, matrix, core=[pair], new=pair, dtype=dtype, **options)
    matrix = matrix.drop_vars(pair, errors="ignore")
    return apply_kernel(kernel, matrix, core=[pair], new=new, dtype=dtype, **options)


def pair_dims(d: xr.DataArray) -> tuple[Hashable, Hashable]:
    """The two dimensions of a relation, e.g. ``subject_0`` and ``subject_1``.

    Raises
    ------
    SchemaError
        If there is no such pair of the same length.
    """
    for name in d.dims:
        partner = f"{str(name)[:-2]}_1"
        if str(name).endswith("_0") and d.sizes.get(partner) == d.sizes[name]:
            return name, partner
    raise SchemaError(
        "need a relation with the same entries in rows and columns, with dimensions such as "
        f"('subject_0', 'subject_1'), found {dict(d.sizes)}: make one with fx.pairwise"
    )
