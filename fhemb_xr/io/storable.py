"""Refusing what cannot be stored, before any work is done."""

import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from fhemb_xr.errors import EmptySelectionError, SchemaError, StoreError

_MEANING = (
    "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "_Encoding",
    "dtype", "coordinates",
)  # fmt: skip
"""Attributes that make every reader of CF change the values or mask them."""


def require_storable(obj: xr.Dataset | xr.DataArray, array: str | None) -> None:
    """Refuse an object that would fail after hours of work, or come back with other values.

    Parameters
    ----------
    obj
        The object to be stored.
    array
        Name under which a DataArray is stored; ``None`` for a Dataset.

    Raises
    ------
    SchemaError
        The object is of the wrong type, or its values or attributes cannot be stored.
    EmptySelectionError
        A variable is empty.
    ValueError
        A name cannot be stored, or a coordinate has several levels.
    """
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise SchemaError(
            f"can save a DataArray, a Dataset or a DataTree of sessions, found "
            f"{type(obj).__name__}"
        )
    for name, index in obj.indexes.items():
        if index.nlevels > 1:
            raise ValueError(
                f"the coordinate {name!r} has several levels, which Zarr cannot store: save "
                f".reset_index({name!r})"
            )
    variables: Any = {array: obj} if isinstance(obj, xr.DataArray) else obj.data_vars
    for name, var in (*variables.items(), *obj.coords.items()):
        _check_values(str(name), var)
        _check_attributes(repr(name), var.attrs, var.dtype.kind)
    if isinstance(obj, xr.Dataset):
        _check_attributes("the Dataset", {k: 0 for k in obj.attrs if k == "coordinates"}, "")
    if array is not None and array in obj.coords:
        raise ValueError(
            f"the array has the name of its coordinate {array!r}: give it another one with "
            ".rename(...)"
        )
    names = [array, *obj.coords] if isinstance(obj, xr.DataArray) else [*obj.variables]
    _warn_of_case([*map(str, names)])
    _check_names([*map(str, names)])


def _check_names(names: list[str]) -> None:
    """Refuse names that cannot be a folder: each variable is a folder of the store."""
    for name in names:
        if not name or set(name) & set("/\\") or name.startswith((".", "__")):
            raise ValueError(
                f"a variable cannot be stored as {name!r}: names have no slash and do not "
                "start with '.' or '__'"
            )


def _check_values(name: str, var: xr.DataArray) -> None:
    """Zarr stores numbers, times and text; it can store other objects only as pickles."""
    if 0 in var.shape and name not in var.dims:
        raise EmptySelectionError(
            f"nothing is left of {name!r}: its sizes are {dict(var.sizes)}"
        )
    if var.dtype.kind != "O":
        return
    if var.chunks or not all(isinstance(value, str) for value in var.values.flat):
        raise SchemaError(
            f"{name!r} holds objects, which are not stored: convert them to numbers, times or "
            "text"
        )


def _check_attributes(owner: str, attrs: Any, kind: str) -> None:
    """Refuse attributes that make readers change the values."""
    wrong = [k for k in _MEANING if attrs.get(k) is not None]
    units = str(attrs.get("units", ""))
    wrong += ["units"] if " since " in units or (kind == "M" and units) else []
    wrong += ["calendar"] if kind == "M" and "calendar" in attrs else []
    if wrong:
        raise SchemaError(
            f"{owner} cannot be stored with the attributes {wrong}: readers would scale, mask "
            "or convert the values by them; convert the values first, or drop the attributes "
            "with .drop_attrs()"
        )


def require_apart(names: list[str], folder: Path) -> None:
    """Refuse names that the disk of ``folder`` takes for one.

    Raises
    ------
    StoreError
        Names differ by case only, and the disk ignores case.
    """
    alike = _alike(names)
    if alike and folder.with_name(folder.name.swapcase()).exists():
        raise StoreError(
            f"the names {alike} differ by case only, and this disk takes them for one name: "
            "give another one with .rename(...), or save to another disk"
        )


def _alike(names: list[str]) -> list[str]:
    folded = [n.casefold() for n in names]
    return [n for n in names if folded.count(n.casefold()) > 1]


def _warn_of_case(names: list[str]) -> None:
    if alike := _alike(names):
        warnings.warn(
            f"the names {alike} differ by case only: disks that ignore case (macOS, Windows, "
            "exFAT, NTFS) take them for one name; give another one with .rename(...)",
            UserWarning,
            stacklevel=6,
        )
