"""Words of a figure: titles, units, numbers, names of bands."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema

_UNITS = {"degC": "°C", "(degC)^2": "°C²", "degC^2": "°C²", "1": "", "": "", "pixel": "pixel"}

RELATION = (
    "metric",
    "scale",
    "units",
    "normalize",
    "window",
    "dim",
    "gamma",
    "radius",
    "local",
    "n_features",
)
"""What is said of a relation; anything else might name a path or a host."""


def unit(units: object) -> str:
    """``"degC"`` → ``" [°C]"``; nothing where there is no unit."""
    text = _UNITS.get(str(units or ""), str(units or ""))
    return f" [{text}]" if text else ""


def capital(name: object) -> str:
    """First letter large, where the name is a word: ``mean`` but not ``p5`` or ``pc0``."""
    text = str(name)
    return capital_first(text) if text.isalpha() else text


def capital_first(text: str) -> str:
    """``"subject 65"`` → ``"Subject 65"``."""
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """A frequency or period as a label: two decimals, more where they are needed."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def bands(attrs: Mapping[Any, Any]) -> str:
    """``"0.10–0.39, 0.78–1.56 Hz (2.56–10.24, 0.64–1.28 s)"`` of ``attrs["fhemb_bands"]``."""
    try:
        found = json.loads(attrs["fhemb_bands"])
        hz, period = found["hz"], found["period_s"]
    except (KeyError, TypeError, ValueError):
        return ""
    return f"{', '.join(map(_span, hz))} Hz ({', '.join(map(_span, period))} s)"


def percent(share: float) -> str:
    """``0.4321`` → ``"43 %"``; below ten percent with one decimal."""
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def title(*parts: object, below: str = "", columns: int = 96) -> str:
    """Parts that say something, joined; lines are broken before they overflow the figure."""
    lines = [", ".join(str(p) for p in parts if p not in (None, "")), below]
    return "\n".join(
        t for line in lines for t in textwrap.wrap(line, columns, break_long_words=False)
    )


def name_of(x: xr.DataArray | xr.Dataset, dim: str = schema.SUBJECT) -> str:
    """``"subject 65"`` where ``x`` is of one subject, otherwise nothing."""
    found = x.coords.get(dim)
    return f"{dim} {found.item()}" if found is not None and found.ndim == 0 else ""


def _span(pair: tuple[float, float | None]) -> str:
    low, high = pair
    if high is None or not np.isfinite(high):
        return f"> {number(low)}"
    return f"{number(low)}–{number(high)}"
