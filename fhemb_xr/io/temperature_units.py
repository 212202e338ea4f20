"""Units of temperature, and whether numbers in memory can be of a face."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fhemb_xr import schema

UNITS: dict[str, tuple[float, float]] = {
    "degC": (1.0, 0.0), "K": (1.0, -273.15), "degF": (5 / 9, -160 / 9), "cK": (0.01, -273.15),
}  # fmt: skip
"""Scale and offset that convert a unit to °C."""
_NAMES = {"celsius": "degC", "°C": "degC", "C": "degC", "kelvin": "K", "Kelvin": "K",
          "°F": "degF", "F": "degF", "fahrenheit": "degF", "centikelvin": "cK"}  # fmt: skip
FACES_C = (-30.0, 55.0)
"""Range of medians that a face can have [°C]."""


def scale_of(
    arrays: Sequence[xr.DataArray], units: str, wrong: list[str]
) -> tuple[float, float]:
    """Scale and offset of the unit that all arrays have; values that no face has are refused.

    Only arrays in memory are looked at.
    """
    attributes = {a.attrs.get("units") for a in arrays}
    if len(attributes) > 1:
        wrong.append(f"people have different units, {', '.join(sorted(map(str, attributes)))}")
    attribute = next(iter(attributes), None)
    stated = _NAMES.get(str(attribute), str(attribute)) if attribute is not None else None
    asked = _NAMES.get(units, units)
    if asked not in UNITS:
        wrong.append(f"units are one of {', '.join(UNITS)}, found {units!r}")
        return 1.0, 0.0
    if stated in UNITS and stated != asked:
        if asked != "degC":
            wrong.append(f"units={units!r} contradicts the array's attribute {attribute!r}")
        asked = stated
    scale, offset = UNITS[asked]
    medians = [m * scale + offset for m in map(_median, arrays) if m is not None]
    if odd := [m for m in medians if not FACES_C[0] <= m <= FACES_C[1]]:
        wrong.append(
            f"the numbers are around {odd[0]:g} °C, which no face has: say units "
            f"({', '.join(UNITS)})"
        )
    return scale, offset


def _median(heat: xr.DataArray) -> float | None:
    """Of the first frames, if they are in memory and not all missing."""
    if heat.dtype.kind not in "fiu" or not isinstance(heat.variable._data, np.ndarray):
        return None
    if schema.TIME not in heat.dims:
        return None
    first = np.asarray(heat.isel({schema.TIME: slice(0, 8)}).values, np.float64)
    seen = first[np.isfinite(first)]
    return float(np.median(seen)) if seen.size else None
