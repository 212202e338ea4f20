"""What the rows of curves are: units outside, people inside, those of one unit on one row."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.ops.units import unit_of
from fhemb_xr.plot import figure_data, labels
from fhemb_xr.typing import F64

_CURVES = (schema.FEATURE, schema.COMPONENT, schema.BAND)


@dataclass(frozen=True)
class Row:
    """Curves that share axes, with what stands beside them."""

    label: str
    quantity: str
    curves: dict[str, F64]
    subject: object = field(default=None, repr=False)


def rows_of(x: xr.DataArray) -> Iterator[Row]:
    """Rows of curves: units outside, people inside, so that people stand together."""
    dim = next((d for d in _CURVES if d in x.dims), None)
    outer = [str(d) for d in x.dims if d not in (schema.TIME, dim)]
    whole = x.transpose(*outer, *([dim] if dim else []), schema.TIME)
    values = whole.values if dim else whole.values[..., None, :]
    for quantity, names in _by_unit(x, dim).items():
        for position in itertools.product(*(range(x.sizes[d]) for d in outer)):
            curves = {name: values[*position, i] for i, name in names}
            yield Row(_place(x, outer, position), quantity, curves, _who(x, outer, position))


def _place(x: xr.DataArray, dims: Sequence[str], position: Sequence[int]) -> str:
    """``"Subject 65"``, with the session where there are several."""
    shown = [d for d in dims if x.sizes[d] > 1 or d == schema.SUBJECT]
    return " · ".join(
        f"{d.capitalize()} {figure_data.ids(x, d)[position[dims.index(d)]]}" for d in shown
    )


def _who(x: xr.DataArray, dims: Sequence[str], position: Sequence[int]) -> object:
    """Label of the person of a row."""
    if schema.SUBJECT not in x.coords:
        return None
    held = x[schema.SUBJECT]
    at = position[dims.index(schema.SUBJECT)] if schema.SUBJECT in dims else 0
    return held.values.reshape(-1)[at].item()


def _by_unit(x: xr.DataArray, dim: str | None) -> dict[str, list[tuple[int, str]]]:
    """Which curves share a row: ``{"Temperature [°C]": [(0, "p5"), …]}``."""
    if dim is None:
        feature = x.coords[schema.FEATURE].item() if schema.FEATURE in x.coords else None
        return {_quantity([feature] if feature else [], unit_of(x, feature)): [(0, "")]}
    names = figure_data.ids(x, dim)
    if dim != schema.FEATURE:
        shown = [f"PC {n}" if dim == schema.COMPONENT else f"band {n}" for n in names]
        return {_quantity([], unit_of(x)): list(enumerate(shown))}
    groups: dict[str, list[tuple[int, str]]] = {}
    for i, name in enumerate(names):
        units = unit_of(x, name)
        # without a unit two features are two scales: skewness and entropy share no axis
        groups.setdefault(units if labels.unit(units) else f"!{name}", []).append((i, name))
    return {_quantity([n for _, n in g], k.partition("!")[0]): g for k, g in groups.items()}


def _quantity(names: Sequence[Any], units: str) -> str:
    if len(names) == 1:
        return f"{labels.capital(names[0])}{labels.unit(units)}"
    return ("Temperature" if units == "degC" else "Value") + labels.unit(units)
