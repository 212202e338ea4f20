"""Components behind the features: their courses, and their patterns on the face."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data
from fhemb_xr.plot.components import courses

NEEDED = ("scores", "patterns", "explained_variance_ratio")
MAPS = "maps"


def components(result: xr.Dataset, *, maps: bool = False, title: str | None = None) -> Any:
    """The courses of components, or their patterns on the face.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.components`; of one person, if each has a fit of their own.
    maps
        Draw the patterns as faces, each as a share of its largest pixel. The result has them
        if it was made with ``basis=``.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout, a row per component: the mean course of the people, in grey one
        standard deviation of the people to either side, beside its share of variance. With
        ``maps`` an Overlay of Images.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.components``, or has no maps.
    BudgetError
        If the courses do not fit the budget.

    Notes
    -----
    Memory: the scores, or the maps. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).laplace(size=(4, 300, 3))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> figure = fx.components(x.assign_attrs(sampling_rate=25.0), 2).fhemb.plot.components()
    """
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with "
            "fx.components"
        )
    if maps and MAPS not in result:
        raise SchemaError(
            f"need {MAPS!r}, found {sorted(map(str, result))}: give the eigenfaces, "
            "fx.components(x, n, basis=basis)"
        )
    names = [MAPS if maps else "scores", "explained_variance_ratio", "converged"]
    found = figure_data.one(result[[n for n in names if n in result]], schema.SESSION)
    if schema.SUBJECT in found["explained_variance_ratio"].dims:
        found = _of_one(found)
    found = figure_data.loaded(found, "components")
    said = [f"{100 * float(v):.2g} %" for v in found["explained_variance_ratio"].values]
    what = (
        "Components"
        if bool(np.all(found.get("converged", True)))
        else "Components, unfinished,"
    )
    if maps:
        heading = title if title is not None else "Patterns of components, share of variance"
        return courses.on_faces(found[MAPS], "", said, heading)
    return courses.rows(found, said, what, title)


def _of_one(found: xr.Dataset) -> xr.Dataset:
    """The components of the one person that is there."""
    if found.sizes[schema.SUBJECT] > 1:
        raise SchemaError(
            f"components of {found.sizes[schema.SUBJECT]} people, each with their own: choose "
            "one person with .sel(subject=[...])"
        )
    kept = ("scores",)
    return found.assign(
        {n: v.isel({schema.SUBJECT: 0}) for n, v in found.items()
         if n not in kept and schema.SUBJECT in v.dims}
    )  # fmt: skip
