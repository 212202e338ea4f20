"""Units of temperatures, and whether numbers can be temperatures of faces at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fhemb_xr.errors import ConfigError, SourceError, nearest
from fhemb_xr.typing import Floats
from ingest.hints import Hints
from ingest.shards import Cell

UNITS: dict[str, tuple[float, float]] = {
    "degC": (1.0, 0.0),
    "K": (1.0, -273.15),
    "degF": (5 / 9, -160 / 9),
    "cK": (0.01, -273.15),
    "dK": (0.1, -273.15),
}
"""Scale and offset that make °C of a unit."""
_OTHER_NAMES = {
    "c": "degC", "°c": "degC", "celsius": "degC", "degc": "degC", "deg c": "degC",
    "degree_celsius": "degC", "degrees_celsius": "degC", "degrees celsius": "degC",
    "degree celsius": "degC", "deg_c": "degC",
    "k": "K", "kelvin": "K", "degk": "K", "degrees kelvin": "K",
    "f": "degF", "°f": "degF", "fahrenheit": "degF", "degf": "degF", "deg f": "degF",
    "degree_fahrenheit": "degF", "degrees_fahrenheit": "degF", "deg_f": "degF",
    "ck": "cK", "centikelvin": "cK", "0.01 k": "cK", "dk": "dK", "decikelvin": "dK",
}  # fmt: skip
FACES_C = (-30.0, 55.0)
"""Medians of frames that are taken for °C: a cold room, and a hot face."""


def unit(name: str) -> str:
    """The unit that a name means.

    Raises
    ------
    ConfigError
        If there is no such unit, with the nearest.

    Examples
    --------
    >>> unit("Kelvin"), unit("degC")
    ('K', 'degC')
    """
    found = known_unit(name)
    if found is None:
        raise ConfigError(
            f"units are one of {', '.join(UNITS)}, found {name!r}{nearest(name, UNITS)}"
        )
    return found


def known_unit(name: str) -> str | None:
    """The unit that a name means; None where it means none of a temperature."""
    return name if name in UNITS else _OTHER_NAMES.get(name.strip().lower())


def cell(
    name: str, dtype: np.dtype[Any], hints: Hints, told: str | None, sample: Floats
) -> Cell:
    """How numbers become °C: by the hints, else by the file, else as °C if they can be.

    Parameters
    ----------
    name
        Name of the stack, for errors.
    dtype
        Type of its numbers.
    hints
        ``units``, or ``scale`` and ``offset``, of the user.
    told
        Unit that the file tells.
    sample
        Some frames, as they are stored.

    Raises
    ------
    SourceError
        Integers whose scale nobody says, or numbers that are no temperatures of faces in °C.
    """
    if hints.units is not None:
        return Cell("bytes", dtype, 0, *UNITS[unit(hints.units)])
    if hints.scale is not None:
        made = Cell("bytes", dtype, 0, hints.scale, hints.offset)
    elif told is not None and (known := known_unit(told)) is not None:
        return Cell("bytes", dtype, 0, *UNITS[known])
    elif dtype.kind == "f":
        made = Cell("bytes", dtype)
    else:
        raise SourceError(
            f"{name!r} holds integers: say their unit ({_named(UNITS)}; units), or how many "
            "degrees one of them is (scale)"
        )
    _require_faces(name, sample, made)
    return made


def _require_faces(name: str, sample: Floats, made: Cell) -> None:
    """Refuse numbers that no face has as °C."""
    values = sample[np.isfinite(sample)]
    if not values.size:
        return
    middle = float(np.median(values * made.scale + made.offset))
    if FACES_C[0] <= middle <= FACES_C[1]:
        return
    fitting = [u for u, (a, b) in UNITS.items() if 10 <= float(np.median(values)) * a + b <= 50]
    better = f"units are {' or '.join(fitting)}, it seems" if fitting else "of which unit?"
    raise SourceError(
        f"{name!r} holds numbers around {middle:.6g}, which are no °C of faces: {better}; say "
        f"units ({_named(UNITS)}; --units), or scale and offset in the TOML"
    )


def _named(units: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(units)
