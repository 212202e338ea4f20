"""Units of features and of arrays: what must not be added up, compared or joined unscaled.

A difference in °C and one of a skewness cannot be summed: whichever moves by larger numbers
decides alone. Whoever sums over features without scaling them warns here; whoever compares
two arrays refuses two units.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.ops import background
from fhemb_xr.ops.frames.feature_names import STATISTICS

UNITS = "units"
"""Attribute of an array, or coordinate along its features."""
_OF_NAME = {
    "variance": "(degC)^2", "skew": "1", "kurtosis": "1", "entropy": "1",
    **dict.fromkeys(("Tx", "Ty", "Tz"), "mm"), **dict.fromkeys(("Rx", "Ry", "Rz"), "rad"),
}  # fmt: skip
_FAMILIES = {"p": "degC", "g": "degC"}
"""Units of families of features, whose names end in a number."""
_SCORES = {"pc": "degC", "bh": "1/degC"}
"""The same of features that a figure shows without a unit."""


def unit_of(x: xr.DataArray, feature: object = None) -> str:
    """Unit of one feature: of the array, of its coordinate ``units``, or by its name.

    Empty where nothing says it.
    """
    if UNITS in x.attrs:
        return str(x.attrs[UNITS])
    if UNITS in x.coords and feature is not None and x[UNITS].dims == (schema.FEATURE,):
        return str(x[UNITS].sel(feature=feature).item())
    return _by_name(str(feature or ""))


def common_unit(x: xr.DataArray, unlike: str) -> str:
    """The unit of all entries, ``"1"`` where nothing says it; ``unlike`` where they differ."""
    if UNITS in x.attrs:
        return str(x.attrs[UNITS])
    said = x.coords.get(UNITS)
    if said is not None and said.chunks is None:
        units = {str(u) for u in said.values.ravel()}
    elif schema.FEATURE in x.coords:
        names = x.coords[schema.FEATURE].values.ravel()
        units = {_by_name(str(n), {**_FAMILIES, **_SCORES}) for n in names}
    else:
        return "1"
    return unlike if len(units) > 1 else units.pop() or "1"


def _by_name(name: str, families: Mapping[str, str] = _FAMILIES) -> str:
    family = name.rstrip("0123456789_.")
    if name in _OF_NAME:
        return _OF_NAME[name]
    if name in STATISTICS:
        return "degC"
    return families.get(family, "") if family != name else ""


def units_along(x: xr.DataArray, dim: Hashable) -> dict[str, list[str]]:
    """Names along ``dim`` by their unit; those of unknown unit are left out."""
    if UNITS in x.attrs or dim not in x.dims:
        return {}
    said = x.coords.get(UNITS)
    if said is not None and said.dims == (dim,) and said.chunks is None:
        units = [str(u) for u in said.values]
    elif dim in x.indexes:
        units = [_by_name(str(n), {**_FAMILIES, **_SCORES}) for n in x.indexes[dim]]
    else:
        return {}
    names = x.indexes[dim] if dim in x.indexes else np.arange(x.sizes[dim])
    out: dict[str, list[str]] = {}
    for name, unit in zip(names, units, strict=True):
        if unit:
            out.setdefault(_plain(unit), []).append(str(name))
    return out


def warn_if_mixed(x: xr.DataArray, what: str, cure: str, dim: Hashable = "feature") -> None:
    """Warn if ``what`` adds up features of several units as they are."""
    found = units_along(x, dim)
    if len(found) < 2:
        return
    examples = ", ".join(f"{names[0]} [{unit}]" for unit, names in found.items())
    warn(
        f"{what} of features in different units ({examples}), which are not normalised: those "
        f"that move by the largest numbers decide alone; {cure}, or say that they have one "
        f"scale with .assign_attrs(units='1')"
    )


def require_same(a: Any, b: Any, what: tuple[str, str]) -> None:
    """Check that two arrays are in one unit, as far as their attributes say.

    Raises
    ------
    SchemaError
        With both units.
    """
    ours, theirs = (_plain(str(x.attrs.get(UNITS, ""))) for x in (a, b))
    if ours and theirs and ours != theirs:
        raise SchemaError(
            f"{what[0]} has the unit {a.attrs[UNITS]!r}, {what[1]} {b.attrs[UNITS]!r}: convert "
            "one, and set its attrs['units']"
        )


def require_one_scale(each: Iterable[xr.DataArray], name: str) -> None:
    """Check that parts that are joined are in one unit and normalised alike.

    Raises
    ------
    SchemaError
        With what was found.
    """
    parts = list(each)
    for attribute, usual in ((UNITS, ""), (schema.POLICY, "none")):
        found = dict.fromkeys(_plain(str(x.attrs.get(attribute, usual))) for x in parts)
        if len(found) > 1:
            raise SchemaError(
                f"recordings have {name!r} with the {attribute} {', '.join(map(repr, found))}: "
                "they cannot be joined before all have the same"
            )


def _plain(unit: str) -> str:
    """One word for a temperature unit, however it is spelled; other units as they are."""
    return background.unit_word(unit) or unit.strip()


def require_range(given: Any) -> tuple[float, float]:
    """Two finite numbers, the first below the second.

    Raises
    ------
    ValueError
        If they are not.
    """
    ends = np.asarray(given)
    if ends.shape == (2,) and ends.dtype.kind in "iuf" and np.isfinite(ends).all():
        low, high = map(float, ends)
        if low < high:
            return low, high
    raise ValueError(f"a range is (low, high), two numbers that rise, found {given!r}")
