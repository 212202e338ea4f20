"""How much of a person a store shows: a mark on every store, which exports respect.

``"face"``
    Pixels of a face, their bands, means and eigenfaces: a picture by which a person is known.
``"derived-invertible"``
    Scores on eigenfaces and means of a grid, from which pictures can be made again, with the
    basis or without; and whatever cannot be told.
``"aggregate"``
    Statistics of whole frames, relations, groups: no picture can be made of them. They are
    personal data all the same while they belong to one person.

The mark is read off what an object holds, so that it follows every derivation by itself; a mark
that came along with it is never lowered. The functions of the library do not carry a heatmap's
mark over to what they make; arithmetic of xarray does.
"""

import re
from collections.abc import Iterable
from typing import Any

import xarray as xr

from fhemb_xr import schema

AGGREGATE, INVERTIBLE, FACE = LEVELS = ("aggregate", "derived-invertible", "face")
_PICTURE = re.compile(r"pc\d+|g\d+_\d+")
_PLAIN = {
    schema.SUBJECT, schema.SESSION, schema.TIME, schema.FEATURE, schema.BAND, schema.WINDOW,
    schema.LAG, schema.AXIS,
}  # fmt: skip
_PAIR = re.compile(r".+_[01]")


def of(ds: xr.Dataset) -> str:
    """The mark of a Dataset: the highest of its variables, and of the marks it carries."""
    carried = [ds.attrs, *(v.attrs for v in ds.data_vars.values())]
    marks = [attrs.get(schema.SENSITIVITY) for attrs in carried]
    levels = [LEVELS.index(m) for m in marks if m in LEVELS]
    return LEVELS[max([0, *levels, *(_level(v) for v in ds.data_vars.values())])]


def invertible(features: Iterable[Any]) -> list[Any]:
    """The features of which pictures can be made: scores on eigenfaces, means of a grid."""
    return [f for f in features if _PICTURE.fullmatch(str(f))]


def _level(var: xr.DataArray) -> int:
    dims = set(map(str, var.dims))
    if {schema.Y, schema.X} <= dims:
        return LEVELS.index(FACE)
    names = var.coords[schema.FEATURE].values.ravel() if schema.FEATURE in var.coords else ()
    told = all(d in _PLAIN or _PAIR.fullmatch(d) for d in dims)
    return LEVELS.index(INVERTIBLE if invertible(names) or not told else AGGREGATE)
