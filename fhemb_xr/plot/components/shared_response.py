"""Shared courses of an audience, and the people around them."""

from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data
from fhemb_xr.plot.components import courses

NEEDED = ("scores", "explained")


def shared_response(result: xr.Dataset, *, title: str | None = None) -> Any:
    """The courses that people share, a row for each component.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.shared_response`.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout, a row per component: the mean course of the people, in grey one
        standard deviation of the people to either side, and the share of variance that it
        explains.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.shared_response``.
    BudgetError
        If the courses do not fit the budget.

    Notes
    -----
    Memory: the scores. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(4, 100, 3))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> out = fx.shared_response(x.assign_attrs(sampling_rate=25.0), 2)
    >>> figure = out.fhemb.plot.shared_response()
    """
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with "
            "fx.shared_response"
        )
    names = [n for n in (*NEEDED, "p") if n in result]
    found = figure_data.loaded(figure_data.one(result[names], schema.SESSION), "shared courses")
    said = [f"{100 * float(e):.2g} %" for e in found["explained"].values.reshape(-1)]
    if "p" in found:
        ps = found["p"].values.reshape(-1)
        said = [f"{e}, p = {float(p):.2g}" for e, p in zip(said, ps, strict=True)]
    return courses.rows(found, said, "Shared response", title)
