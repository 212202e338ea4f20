"""Units of temperatures, and whether numbers can be temperatures of faces."""

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
"""Scale and offset that convert a unit to °C."""
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
"""Range of medians of frames in °C: a cold room, a hot face."""
USUAL_C = (10.0, 50.0)
"""Range of medians that show which unit was meant [°C]."""


def unit(name: str) -> str:
    """The unit that a name means.

    Raises
    ------
    ConfigError
        The unit is unknown; the error gives the nearest one.

    Examples
    --------
    >>> unit("Kelvin"), unit("degC")
    ('K', 'degC')
    """
    known = known_unit(name)
    if known is None:
        raise ConfigError(
            f"units are one of {', '.join(UNITS)}, found {name!r}{nearest(name, UNITS)}"
        )
    return known


def known_unit(name: str) -> str | None:
    """The unit that a name means; None if it is no unit of temperature."""
    return name if name in UNITS else _OTHER_NAMES.get(name.strip().lower())


def cell(
    name: str, dtype: np.dtype[Any], hints: Hints, told: str | None, sample: Floats
) -> tuple[Cell, str]:
    """The conversion of numbers to °C: by the hints, or the file, or as °C if plausible.

    Parameters
    ----------
    name
        Name of the stack, for errors.
    dtype
        Type of the numbers.
    hints
        Hints of the user: ``units``, or ``scale`` and ``offset``.
    told
        Unit in the file; None if the file gives none.
    sample
        Some frames, as they are stored.

    Returns
    -------
    tuple[Cell, str]
        The conversion, and a doubt about the unit or an empty text.

    Raises
    ------
    SourceError
        The scale of integers is unknown, or the numbers cannot be °C of faces.
    """
    of_file = None if told is None else known_unit(told)
    median = _median(sample)
    if hints.units is not None:
        asked = unit(hints.units)
        other = f"; the file says {of_file}" if of_file not in (None, asked) else ""
        return Cell("bytes", dtype, 0, *UNITS[asked]), _doubt(name, asked, median, other)
    if hints.scale is not None:
        conversion = Cell("bytes", dtype, 0, hints.scale, hints.offset)
    elif of_file is not None:
        conversion = Cell("bytes", dtype, 0, *UNITS[of_file])
    elif dtype.kind == "f":
        conversion = Cell("bytes", dtype)
    else:
        raise SourceError(
            f"{name!r} holds integers: say their unit ({_named(UNITS)}; units), or how many "
            "degrees one unit is (scale)"
        )
    if hints.scale is None and of_file is not None:
        if _fitting(median):  # without a better unit, the file is right: a cold scene
            _require_faces(name, median, conversion, f", which the file calls {of_file}")
        return conversion, _doubt(name, of_file, median, "")
    _require_faces(name, median, conversion, "")
    return conversion, ""


def _median(sample: Floats) -> float | None:
    values = sample[np.isfinite(sample)]
    return float(np.median(values)) if values.size else None


def _fitting(median: float | None) -> list[str]:
    """Units by which a number is a usual temperature of a face."""
    if median is None:
        return []
    return [u for u, (a, b) in UNITS.items() if USUAL_C[0] <= median * a + b <= USUAL_C[1]]


def _doubt(name: str, unit: str, median: float | None, other: str) -> str:
    """A doubt about a given unit, where another one fits better or the file says another."""
    fitting = _fitting(median)
    if median is None or unit in fitting or not fitting:
        return f"the unit of {name!r} is taken to be {unit}{other}" if other else ""
    celsius = median * UNITS[unit][0] + UNITS[unit][1]
    return (
        f"{name!r} holds numbers around {median:.6g}: {celsius:.4g} °C in {unit}, and those of "
        f"faces in {' or '.join(fitting)}{other}; is the unit right?"
    )


def _require_faces(name: str, median: float | None, conversion: Cell, told: str) -> None:
    """Refuse numbers that cannot be °C of a face."""
    if median is None:
        return
    median_c = median * conversion.scale + conversion.offset
    if FACES_C[0] <= median_c <= FACES_C[1]:
        return
    fitting = _fitting(median)
    guess = f"the unit may be {' or '.join(fitting)}" if fitting else "no known unit fits"
    raise SourceError(
        f"{name!r} holds numbers around {median_c:.6g}{told}, which are no °C of faces: "
        f"{guess}; give units ({_named(UNITS)}; --units), or scale and offset in the TOML"
    )


def _named(units: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(units)
