"""Checks of arguments that several rooms share: names, counts, numbers, whole frames."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest
from fhemb_xr.ops.synonyms import meant

MOST_LISTED = 24
"""An error lists as many names at most."""


def require_choice(
    what: str, name: Any, allowed: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> str:
    """The one of ``allowed`` that is meant, see :func:`fhemb_xr.ops.synonyms.meant`.

    Raises
    ------
    UnknownNameError
        With the nearest of those ``allowed``.
    """
    known = tuple(allowed)
    found = meant(name, known, synonyms or {})
    if found is None:
        raise unknown_name(what, name, known)
    return found


def unknown_name(
    what: str, name: Any, known: Iterable[object], *, personal: bool = False
) -> UnknownNameError:
    """What to raise for a name that is not among ``known``, with the nearest of them.

    All are listed where they are few; ``personal`` ones, of people or sessions, never are.
    """
    known = tuple(known)
    few = not personal and len(known) <= MOST_LISTED
    there = f": there are {', '.join(map(str, known))}" if few else f" among {len(known)}"
    return UnknownNameError(f"no {what} {name!r}{there}{nearest(name, known)}")


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


def require_seed(seed: Any) -> int | None:
    """A seed from 0 on, as Python's int, or None.

    Raises
    ------
    ValueError
        If it is neither.
    """
    return None if seed is None else require_count("seed", seed, 0)


def listed(values: Any) -> list[Any]:
    """One value, or those of a list, range, set, array or generator, as a list."""
    if isinstance(values, np.ndarray | xr.DataArray):
        found: list[Any] = np.asarray(values).ravel().tolist()
        return found
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return [*values]


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


def require_number(name: str, value: Any) -> float:
    """A finite number, as Python's float.

    Raises
    ------
    ValueError
        If it is not.
    """
    number = _scalar(value)
    if number is None:
        raise ValueError(f"{name} is a number, found {value!r}")
    return float(number)


def require_flag(name: str, value: Any) -> bool:
    """True or False, of Python or NumPy.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is True or False, found {value!r}")
    return bool(value)


def require_share(name: str, value: Any) -> float:
    """A number above 0 and below 1, as Python's float.

    Raises
    ------
    ValueError
        If it is not.
    """
    number = _scalar(value)
    if number is None or not 0 < number < 1:
        raise ValueError(f"{name} is a share between 0 and 1, found {value!r}")
    return float(number)


def require_interval(
    name: str, value: Any, *, open_ends: bool = False, within: str = "", cure: str = ""
) -> tuple[Any, Any]:
    """``(lowest, highest)`` of a range of numbers, as Python's floats, the lower one first.

    A tuple, a list and an array of two are as good; with ``open_ends`` None and
    infinity say that an end is open.

    Raises
    ------
    ValueError
        If it is not two numbers, or the first is not below the second.
    """
    ends = ", one of them may be None" if open_ends else ""
    wanted = f"{name} is a pair (lowest, highest), the lower one first{within}{ends}"
    pair = list(value) if isinstance(value, list | tuple | np.ndarray) else []
    if open_ends and len(pair) == 2:
        pair = [None if _is_open(v, end) else v for v, end in zip(pair, (-1, 1), strict=True)]
    found = [_scalar(v) for v in pair]
    wrong = [v for v in pair if _scalar(v) is None and not (open_ends and v is None)]
    numbers = [float(v) for v in found if v is not None]
    if len(found) != 2 or wrong or not (len(numbers) < 2 or numbers[0] < numbers[1]):
        raise ValueError(f"{wanted}, found {value!r:.60}{cure}")
    low, high = (None if v is None else float(v) for v in found)
    return low, high


def _is_open(value: Any, end: int) -> bool:
    """Whether a value is the infinity that lies beyond this end."""
    return isinstance(value, float | np.floating) and bool(value == end * np.inf)


def _scalar(value: Any) -> Any:
    """A finite real number, or None; arrays of no dimension count, booleans and text do not."""
    array = np.asarray(value) if isinstance(value, int | float | np.generic) else value
    if not isinstance(array, np.ndarray | xr.DataArray) or array.ndim:
        return None
    if array.dtype.kind not in "iuf" or (isinstance(array, xr.DataArray) and array.chunks):
        return None
    number = array.item()
    return number if math.isfinite(number) else None


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
