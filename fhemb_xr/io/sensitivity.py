"""How much of a person a store shows: a mark on every store, which exports respect.

``"face"``
    Pixels of a face, their bands, means and eigenfaces. They are a picture that identifies a
    person.
``"derived-invertible"``
    Scores on eigenfaces and means of a grid. A picture can be reconstructed from them, with
    the basis or without it. Unknown contents also get this mark.
``"aggregate"``
    Statistics of whole frames, relations, groups. No picture can be reconstructed from them.
    They are still personal data while they belong to one person.

The mark is derived from the contents of an object, so it is right after every operation. A mark
that an object already carries is never lowered. Functions of the library do not copy the mark
of a heatmap to their results; arithmetic of xarray does.
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
    """The mark of a Dataset: the highest of its variables and of the marks it carries."""
    carried = [ds.attrs, *(v.attrs for v in ds.data_vars.values())]
    marks = [attrs.get(schema.SENSITIVITY) for attrs in carried]
    levels = [LEVELS.index(m) for m in marks if m in LEVELS]
    return LEVELS[max([0, *levels, *(_level(v) for v in ds.data_vars.values())])]


def invertible(features: Iterable[Any]) -> list[Any]:
    """The features that allow a picture to be reconstructed: ``pc`` scores and grid means."""
    return [f for f in features if _PICTURE.fullmatch(str(f))]


def _level(var: xr.DataArray) -> int:
    dims = set(map(str, var.dims))
    if {schema.Y, schema.X} <= dims:
        return LEVELS.index(FACE)
    names = var.coords[schema.FEATURE].values.ravel() if schema.FEATURE in var.coords else ()
    known = all(d in _PLAIN or _PAIR.fullmatch(d) for d in dims)
    return LEVELS.index(INVERTIBLE if invertible(names) or not known else AGGREGATE)
