"""Attributes of results: every variable says its name and its unit."""

from collections.abc import Mapping

import xarray as xr


def describe(out: xr.Dataset, texts: Mapping[str, tuple[str, str]]) -> None:
    """Set name and unit of those variables of a result that it has, and no other attribute."""
    for name, (long_name, unit) in texts.items():
        if name in out:
            out[name].attrs = {"long_name": long_name, "units": unit}
