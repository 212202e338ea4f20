"""Tidy tables for statistics: a row an observation, a column a variable."""

from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError

_CURVES = (schema.FEATURE, schema.COMPONENT, schema.BAND)


def to_dataframe(x: xr.DataArray, *, columns: str | None = None, dropna: bool = False) -> Any:
    """A tidy table of pandas: a row for each person and moment, a column for each feature.

    R, SPSS, statsmodels and seaborn take such a table. xarray's own ``to_dataframe`` has the
    labels in an index of several levels, and a column for every other coordinate.

    Parameters
    ----------
    x
        Any array with labels, e.g. an embedding ``(subject, session, time, feature)`` or a
        relation ``(subject_0, subject_1)``.
    columns
        Dimension whose labels become columns; None takes ``feature``, ``component`` or
        ``band`` if there is one. Without it there is one column with the name of the array.
    dropna
        Leave out the rows without any value.

    Returns
    -------
    pandas.DataFrame
        A pandas DataFrame with a column for each other dimension, in the order of ``x``, and
        then those of the values.

    Raises
    ------
    BudgetError
        If the table does not fit the budget.
    SchemaError
        If ``x`` has no dimension ``columns``, or two columns would have one name.

    Notes
    -----
    Memory: the table, twice. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.arange(4.0).reshape(2, 1, 2),
    ...     dims=("subject", "time", "feature"),
    ...     coords={"subject": [65, 66], "time": [0.0], "feature": ["mean", "std"]},
    ... )
    >>> print(fx.to_dataframe(x).to_string(index=False))
     subject  time  mean  std
          65   0.0   0.0  1.0
          66   0.0   2.0  3.0
    """
    if columns is None:
        columns = next((d for d in _CURVES if d in x.dims), None)
    elif columns not in x.dims:
        raise SchemaError(f"there is no dimension {columns!r} to make columns of: {x.dims}")
    rows = [d for d in x.dims if d != columns]
    n_rows = x.size // (x.sizes[columns] if columns else 1)
    n_columns = len(rows) + (x.sizes[columns] if columns else 1)
    budget.check(
        16 * n_rows * n_columns,
        f"a table of {n_rows} rows and {n_columns} columns",
        "select a part, e.g. with .fhemb.select(seconds=(start, stop))",
    )
    labelled = x.assign_coords({d: range(x.sizes[d]) for d in x.dims if d not in x.coords})
    bare = labelled.drop_vars([c for c in labelled.coords if c not in labelled.dims])
    names = [str(v) for v in bare[columns].values] if columns else [str(x.name or "value")]
    taken = [*map(str, rows), *names]
    if twice := sorted({n for n in taken if taken.count(n) > 1}):
        raise SchemaError(f"two columns would be called {', '.join(twice)}: rename one")
    parts = [bare.isel({columns: i}, drop=True) for i in range(len(names))] if columns else None
    ds = xr.Dataset(dict(zip(names, parts or [bare], strict=True))).compute()
    table = ds.to_dataframe(dim_order=rows).reset_index() if rows else ds.to_pandas()
    return table.dropna(subset=names, how="all", ignore_index=True) if dropna else table
