"""Correlated components: their courses, and their patterns on the face."""

from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.components.face_maps import on_face
from fhemb_xr.plot import figure_data
from fhemb_xr.plot.components import courses

NEEDED = ("scores", "patterns", "strength")


def corrca(
    result: xr.Dataset, *, basis: xr.Dataset | None = None, title: str | None = None
) -> Any:
    """The courses of correlated components, or with a basis their patterns on the face.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.corrca`.
    basis
        The pooled eigenfaces of which the features ``pc0``, ``pc1``, … are scores. With it, the
        pattern of each component is drawn as a face, as a share of its largest pixel.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout, a row per component: the mean course of the people, in grey one
        standard deviation of the people to either side. With a basis an Overlay of Images.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.corrca``, or the features are not scores of the basis.
    BudgetError
        If the courses do not fit the budget.

    Notes
    -----
    Memory: the scores, or the components of the basis. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(4, 100, 3))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> figure = fx.corrca(x.assign_attrs(sampling_rate=25.0), 2).fhemb.plot.corrca()
    """
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with fx.corrca"
        )
    names = [n for n in (*NEEDED, "p") if n in result and (n != "scores" or basis is None)]
    found = figure_data.loaded(
        figure_data.one(result[names], schema.SESSION), "correlated components"
    )
    if basis is None:
        return _courses(found, title)
    return _faces(found, basis, title)


def _strengths(found: xr.Dataset) -> list[str]:
    """What is said of each component: its correlation between people, and p."""
    said = [f"r = {round(float(r), 2) + 0.0:.2f}" for r in found["strength"].values.reshape(-1)]
    if "p" in found:
        said = [
            f"{r}, p = {float(p):.2g}" for r, p in zip(said, found["p"].values, strict=True)
        ]
    return said


def _courses(found: xr.Dataset, title: str | None) -> Any:
    return courses.rows(found, _strengths(found), "Correlated components", title)


def _faces(found: xr.Dataset, basis: xr.Dataset, title: str | None) -> Any:
    figure_data.require_basis(basis, "components")
    (feature,) = [d for d in found["patterns"].dims if d != schema.COMPONENT]
    maps = figure_data.loaded(on_face(found["patterns"], basis, feature), "eigenfaces")
    heading = title if title is not None else "Patterns of correlated components"
    return courses.on_faces(maps, "CC", _strengths(found), heading)
