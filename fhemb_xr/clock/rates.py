"""Rates and seconds: what a caller gives, checked; the names that a clock has in an array."""

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError, warn

TIME, FRAME, SAMPLING_RATE = "time", "frame", "sampling_rate"
ASSUMED_HZ = 25.0
"""Rate of files that state none, of the cameras this library was made for."""


def number_of_seconds(name: str, value: object) -> float:
    """A finite number of seconds as a float.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = np.asarray(value)
    if found.dtype.kind not in "iuf" or found.size != 1 or not np.isfinite(found).all():
        raise ValueError(f"{name} is a number of seconds, found {value!r}")
    return float(found.reshape(())[()])


def assumed_hz(asked: object, of: str, argument: str = "rate_hz") -> float:
    """The rate that was asked for [Hz], or :data:`ASSUMED_HZ`, with a warning that says so.

    Parameters
    ----------
    asked
        Rate of the caller, or None.
    of
        Subject of the warning, such as ``"'a.npy' states no rate"``.
    argument
        Name of the argument that ends the guess.

    Raises
    ------
    ValueError
        If the rate asked for is not a positive number.
    """
    if asked is not None:
        return positive_hz(argument, asked)
    warn(f"{of}: {ASSUMED_HZ:g} Hz is assumed, {argument}= sets another rate")
    return ASSUMED_HZ


def positive_hz(name: str, value: object) -> float:
    """A positive, finite number of hertz as a float.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = np.asarray(value)
    if found.dtype.kind in "iuf" and found.size == 1:
        rate = float(found.reshape(())[()])
        if np.isfinite(rate) and rate > 0:
            return rate
    raise ValueError(f"{name} is a positive number of hertz, found {value!r}")


def attribute_hz(x: xr.DataArray | xr.Dataset) -> float | None:
    """What ``attrs["sampling_rate"]`` says [Hz], or None.

    Raises
    ------
    SchemaError
        If it is not a positive number.
    """
    said = x.attrs.get(SAMPLING_RATE)
    if said is None:
        return None
    try:
        return positive_hz(SAMPLING_RATE, said)
    except ValueError:
        raise SchemaError(
            f"the attribute {SAMPLING_RATE!r} is a positive number [Hz], found {said!r}"
        ) from None
