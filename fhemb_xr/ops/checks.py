"""Checks of arguments that several rooms share."""

import numpy as np

from fhemb_xr.errors import UnknownNameError, nearest


def among(what: str, name: str, allowed: tuple[str, ...]) -> None:
    """Check a name.

    Raises
    ------
    UnknownNameError
        With the nearest of those ``allowed``.
    """
    if name not in allowed:
        raise UnknownNameError(
            f"no {what} {name!r}: there are {', '.join(allowed)}{nearest(name, allowed)}"
        )


def check_number(name: str, value: int, least: int) -> None:
    """Check a count.

    Raises
    ------
    ValueError
        If it is not a whole number, or below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is a whole number from {least} on, found {value!r}")
