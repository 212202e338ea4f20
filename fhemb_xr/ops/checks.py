"""Checks of arguments that several rooms share: names, counts, numbers, whole frames."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest


def require_choice(
    what: str, name: Any, allowed: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> str:
    """The one of ``allowed`` that is meant: case does not matter, nor a known synonym.

    Raises
    ------
    UnknownNameError
        With the nearest of those ``allowed``.
    """
    known = tuple(allowed)
    if isinstance(name, str):
        if name in known:
            return str(name)
        folded = {k.casefold(): k for k in known}
        word = (synonyms or {}).get(name.casefold(), name).casefold()
        if word in folded:
            return folded[word]
    raise _unknown(what, name, known)


def _unknown(what: str, name: Any, known: tuple[str, ...]) -> UnknownNameError:
    return UnknownNameError(
        f"no {what} {name!r}: there are {', '.join(known)}{nearest(name, known)}"
    )


def require_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number from ``least`` on, as Python's int; numpy's and 5.0 are as good.

    Raises
    ------
    ValueError
        If it is not a whole number, or below ``least``.
    """
    number = _scalar(value)
    if number is None or number % 1 or number < least:
        raise ValueError(f"{name} is a whole number from {least} on, found {value!r}")
    return int(number)


def require_positive(name: str, value: Any) -> float:
    """A finite number above 0, as Python's float.

    Raises
    ------
    ValueError
        If it is not.
    """
    number = _scalar(value)
    if number is None or not 0 < number < math.inf:
        raise ValueError(f"{name} is a positive number, found {value!r}")
    return float(number)


def _scalar(value: Any) -> Any:
    """A finite real number, or None; arrays of no dimension count, booleans and text do not."""
    array = np.asarray(value) if isinstance(value, int | float | np.generic) else value
    if not isinstance(array, np.ndarray | xr.DataArray) or array.ndim:
        return None
    if array.dtype.kind not in "iuf" or (isinstance(array, xr.DataArray) and array.chunks):
        return None
    number = array.item()
    return number if math.isfinite(number) else None


def require_used(
    what: str,
    chosen: str,
    takes: Mapping[str, Iterable[str]],
    given: Mapping[str, Any],
    usual: Mapping[str, Any],
) -> None:
    """Check that the chosen method uses every option that differs from its default.

    ``takes`` has the options of each method, ``usual`` the defaults.

    Raises
    ------
    ValueError
        With the methods that do take the option.
    """
    for name, value in given.items():
        is_usual = value is usual[name] or (np.ndim(value) == 0 and value == usual[name])
        if is_usual or name in takes.get(chosen, ()):
            continue
        users = [method for method, names in takes.items() if name in names]
        raise ValueError(
            f"{what} {chosen!r} has no option {name!r}, found {name}={value!r}: it belongs to "
            f"{', '.join(users)}"
        )


def require_whole_frames(heat: xr.DataArray) -> None:
    """Check that ``y`` and ``x`` lie in one chunk each.

    Raises
    ------
    SchemaError
        If there is no ``y`` or ``x``, or a frame is cut, with the cure (a ``ValueError``).
    """
    if missing := {schema.Y, schema.X} - {*heat.dims}:
        raise SchemaError(f"a frame has 'y' and 'x', found {heat.dims}: {missing} missing")
    cut = {d: len(heat.variable.chunksizes.get(d, (1,))) for d in (schema.Y, schema.X)}
    if max(cut.values()) > 1:
        raise SchemaError(
            f"a frame must be whole in its chunk, found {cut} chunks: heat.chunk(y=-1, x=-1)"
        )


def among(what: str, name: Any, allowed: Iterable[str]) -> None:
    """Check a name that must be spelled exactly, see :func:`require_choice`."""
    if name not in (known := tuple(allowed)):
        raise _unknown(what, name, known)


check_number = require_count
