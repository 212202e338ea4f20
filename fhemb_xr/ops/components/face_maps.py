"""Patterns of features as patterns on the face: a sum of eigenfaces."""

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.pca import basis as bases
from fhemb_xr.typing import F64

_SOURCE = "fhemb_source"


def on_face(patterns: xr.DataArray, basis: xr.Dataset, feature: Hashable) -> xr.DataArray:
    """Patterns ``(…, component, feature)`` of scores as ``(…, component, y, x)``.

    The unit is that of the pixels; NaN outside the mask. Lazy where either is.

    Raises
    ------
    SchemaError
        If it is not a basis, the features are not scores of it, or each person has their own
        basis and the patterns are those of all.
    """
    (components,) = bases.parts(basis, ("components",))
    scale = (
        basis["scale"] if "scale" in basis else xr.ones_like(components[{schema.COMPONENT: 0}])
    )
    numbers = _numbers(patterns, feature, components.sizes[schema.COMPONENT])
    eigenfaces = components.isel({schema.COMPONENT: numbers}).rename(
        {schema.COMPONENT: _SOURCE}
    )
    parts = [_shared(part, patterns) for part in (eigenfaces, scale)]
    bare = patterns.drop_vars([feature], errors="ignore")
    core: list[list[Hashable]] = [[feature], [_SOURCE, *bases.PIXELS], [*bases.PIXELS]]
    out = apply_kernel(_summed, bare, *parts, core=core, new=bases.PIXELS)
    return out.transpose(..., schema.COMPONENT, *bases.PIXELS)


def _summed(patterns: F64, eigenfaces: F64, scale: F64) -> F64:
    """``(..., d), (..., d, y, x), (..., y, x) -> (..., y, x)``."""
    return np.asarray(np.einsum("...d,...dyx->...yx", patterns, eigenfaces) * scale)


def _shared(part: xr.DataArray, patterns: xr.DataArray) -> xr.DataArray:
    """A part of a basis without the dimensions of one entry that the patterns have not."""
    for dim in (schema.SUBJECT, schema.SESSION):
        if dim in part.dims and dim not in patterns.dims:
            if part.sizes[dim] > 1:
                raise SchemaError(
                    f"the basis is another for each of {part.sizes[dim]} along {dim!r}, and a "
                    "pattern that they share is on none of them: take scores of a pooled "
                    "basis, fx.pca(heat, per='pooled')"
                )
            part = part.isel({dim: 0}, drop=True)
    own = {_SOURCE, schema.Y, schema.X}
    return part.drop_vars([c for c in part.coords if {*part[c].dims} - own or not part[c].dims
                           or c in (_SOURCE,)], errors="ignore")  # fmt: skip


def _numbers(patterns: xr.DataArray, feature: Hashable, available: int) -> list[int]:
    """The eigenfaces that the features are scores of, by name or in order."""
    if feature not in patterns.coords:
        if patterns.sizes[feature] > available:
            raise SchemaError(
                f"there are {patterns.sizes[feature]} features, and the basis has {available} "
                "components: give the basis that they are scores of"
            )
        return list(range(patterns.sizes[feature]))
    names: list[Any] = [str(name) for name in patterns[feature].values]
    found = [int(n.removeprefix("pc")) if re.fullmatch(r"(pc)?\d+", n) else -1 for n in names]
    absent = [n for n, k in zip(names, found, strict=True) if not 0 <= k < available]
    if absent:
        raise SchemaError(
            f"the feature {absent[0]!r} is no score of a basis with {available} components: "
            "the features are pc0, pc1, …"
        )
    return found
