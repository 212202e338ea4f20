"""Units of temperature, and whether numbers in memory can be of a face."""

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


def scale_of(heat: xr.DataArray, units: str, wrong: list[str]) -> tuple[float, float]:
    """Scale and offset of the unit; frames in memory that no face can have are refused."""
    attribute = heat.attrs.get("units")
    stated = _NAMES.get(str(attribute), str(attribute)) if attribute is not None else None
    asked = _NAMES.get(units, units)
    if asked not in UNITS:
        wrong.append(f"units are one of {', '.join(UNITS)}, found {units!r}")
        return 1.0, 0.0
    if stated in UNITS and stated != asked:
        if asked != "degC":
            wrong.append(f"units={units!r} contradicts the array's attribute {attribute!r}")
        asked = stated
    scale = UNITS[asked]
    if heat.dtype.kind in "fiu" and isinstance(heat.variable._data, np.ndarray):
        first = np.asarray(heat.isel({schema.TIME: slice(0, 8)}).values, np.float64)
        sample = first[np.isfinite(first)] if schema.TIME in heat.dims else first[:0]
        median_c = float(np.median(sample)) * scale[0] + scale[1] if sample.size else 0.0
        if not FACES_C[0] <= median_c <= FACES_C[1]:
            wrong.append(
                f"the numbers are around {median_c:g} °C, which no face has: say units "
                f"({', '.join(UNITS)})"
            )
    return scale
