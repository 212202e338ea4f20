"""How every figure looks: colours, sizes, labels; and what is loaded to draw it."""

import functools
import json
import textwrap
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import SchemaError, UnknownNameError, nearest

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)

FACE = "Face"
"""Group of the images, and tag of the players, by which a person is known."""
MISSING = "#d9d9d9"
"""Where there is no value: a grey that is in none of the colour maps."""
INK, QUIET = "#333333", "#8c8c8c"
LINE = "#0072b2"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6000", "#000000")
"""Okabe and Ito's colours, blue first, yellow darkened so that thin lines show on white."""
TEMPERATURE, DIVERGING, DISTANCE = "inferno", "RdBu_r", "viridis"
FULL_IN, COLUMN_IN = 7.0, 3.5
"""Widths of a page and of a column of print [inch]."""
PT = {
    "title": 8.5,
    "labels": 8,
    "xticks": 7,
    "yticks": 7,
    "legend": 7,
    "legend_title": 7,
    "cticks": 7,
    "clabel": 8,
}
PX = {
    **{k: f"{round(v * 1.55)}px" for k, v in PT.items() if k[0] != "c"},
    "clabel": "12px",
    "cticks": "11px",
}

_UNITS = {"degC": "°C", "(degC)^2": "°C²", "degC^2": "°C²", "1": "", "": "", "pixel": "pixel"}
_DEGREES = {"max", "min", "mean", "std", "median"}
_STATISTICS = {"skew": "1", "kurtosis": "1", "entropy": "1", "variance": "(degC)^2"}


@functools.cache
def backends() -> Any:
    """HoloViews with both backends registered; a backend that the user chose stays current."""
    import holoviews as hv

    if not hv.Store.loaded_backends():
        hv.extension("bokeh", "matplotlib", logo=False)  # in a notebook: what displays figures
    import holoviews.plotting.bokeh
    import holoviews.plotting.mpl

    return hv


def bokeh_models() -> Any:
    """``bokeh.models``; untyped, since its annotations lag behind what it takes."""
    import bokeh.models

    return bokeh.models


def styled(
    element: Any, *, bokeh: Mapping[str, Any], mpl: Mapping[str, Any], **shared: Any
) -> Any:
    """``element`` with options for both backends."""
    element.opts(backend="bokeh", **shared, **bokeh)
    return element.opts(backend="matplotlib", **shared, **mpl)


def panel(
    element: Any, *, bokeh: Mapping[str, Any], mpl: Mapping[str, Any], **shared: Any
) -> Any:
    """As :func:`styled`, for an element with axes: with the house's look."""
    return styled(element, bokeh={**BOKEH, **bokeh}, mpl={**MPL, **mpl}, **shared)


def plain_bokeh(plot: Any, element: Any) -> None:
    """A hook: upright labels, no frame, no grid, no minor ticks, no logo."""
    models = bokeh_models()
    figure = plot.state
    figure.sizing_mode = None  # HoloViews sets "fixed", which bokeh then warns about
    figure.outline_line_color = None
    figure.toolbar.logo = None
    for axis in figure.select(models.Axis):
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        axis.axis_line_color = axis.major_tick_line_color = INK
    for bar in figure.select(models.ColorBar):
        bar.title_text_font_style = "normal"
        bar.bar_line_color = None
    for legend in figure.right:
        if isinstance(legend, models.Legend):
            legend.location = "top_left"
    for legend in figure.select(models.Legend):
        legend.border_line_color = None
        legend.spacing = 0


def plain_mpl(plot: Any, element: Any) -> None:
    """A hook: hairline axes, legends without a box."""
    axis = plot.handles["axis"]
    for side in axis.spines.values():
        side.set_linewidth(0.6)
    axis.tick_params(width=0.6, length=2.5)
    axis.title.set_fontsize(PT["title"])
    bar = plot.handles.get("cbar")
    if bar is not None:
        bar.outline.set_visible(False)
        bar.ax.tick_params(width=0.6, length=2, labelsize=PT["cticks"])
        bar.ax.yaxis.label.set_size(PT["clabel"])
    legend = axis.get_legend()
    if legend is not None:
        legend.set_frame_on(False)


BOKEH = {
    "fontsize": PX,
    "hooks": [plain_bokeh],
    "autohide_toolbar": True,
    "default_tools": ["pan", "box_zoom", "save", "reset"],
}
MPL = {"fontsize": PT, "hooks": [plain_mpl]}


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


def units_of(x: xr.DataArray, feature: object = None) -> str:
    """Units of an embedding's feature: those of the array, else those its name implies."""
    if "units" in x.attrs:
        return str(x.attrs["units"])
    if "units" in x.coords and feature is not None and x["units"].dims == (schema.FEATURE,):
        return str(x["units"].sel(feature=feature).item())
    name = str(feature or "")
    if name in _DEGREES or (name[:1] in {"p", "g"} and name[1:2].isdigit()):
        return "degC"
    return _STATISTICS.get(name, "")


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


def _span(pair: tuple[float, float | None]) -> str:
    low, high = pair
    if high is None or not np.isfinite(high):
        return f"> {number(low)}"
    return f"{number(low)}–{number(high)}"


def title(*parts: object, below: str = "", columns: int = 96) -> str:
    """Parts that say something, joined; lines are broken before they overflow the figure."""
    lines = [", ".join(str(p) for p in parts if p not in (None, "")), below]
    return "\n".join(
        t for line in lines for t in textwrap.wrap(line, columns, break_long_words=False)
    )


def loaded(x: Labelled, what: str) -> Labelled:
    """``x`` in memory, where the budget allows.

    Raises
    ------
    BudgetError
        With the sizes, the bytes and the cure.
    """
    sizes = " × ".join(f"{dim} {n}" for dim, n in x.sizes.items())
    budget.check(
        x.nbytes, f"drawing {what} of {sizes}", "draw less, chosen with .fhemb.select(...)"
    )
    return x.compute()


def one(x: Labelled, dim: str, asked: object = None) -> Labelled:
    """One entry of a dimension: the one asked for, else the first; its label stays.

    Raises
    ------
    UnknownNameError
        If it is not there, with the nearest ones.
    """
    if dim not in x.dims:
        return x
    labels = list(x[dim].values.tolist()) if dim in x.coords else list(range(x.sizes[dim]))
    if asked is not None and asked not in labels:
        raise UnknownNameError(
            f"no {dim} {asked!r} among {len(labels)}{nearest(asked, labels)}"
        )
    return x.isel({dim: 0 if asked is None else labels.index(asked)})


def cluster_colour(label: int) -> str:
    """Colour of a group, the same in every figure; grey for ``-1``, which is in none."""
    return QUIET if label < 0 else CYCLE[label % len(CYCLE)]


def name_of(x: xr.DataArray | xr.Dataset, dim: str = schema.SUBJECT) -> str:
    """``"subject 65"`` where ``x`` is of one subject, else nothing."""
    found = x.coords.get(dim)
    return f"{dim} {found.item()}" if found is not None and found.ndim == 0 else ""


def require(x: xr.DataArray, what: str, *dims: str) -> xr.DataArray:
    """``x`` with exactly ``dims``, in that order; other dimensions of length one are dropped.

    Raises
    ------
    SchemaError
        Naming what is there and what to select.
    """
    schema.require_dims(x, *dims)
    rest = {d: n for d, n in x.sizes.items() if d not in dims}
    many = {d: n for d, n in rest.items() if n != 1}
    if many:
        raise SchemaError(
            f"{what} is drawn over {dims}, found also {many}: choose one of each with .sel(...)"
        )
    return x.isel(dict.fromkeys(rest, 0)).transpose(*dims)


def span(values: Any, step: float | None = None) -> tuple[float, float]:
    """Outer edges of evenly spaced cells with these centres."""
    v = np.asarray(values, dtype=np.float64)
    width = (
        step
        if step is not None
        else (float(v[-1] - v[0]) / (v.size - 1) if v.size > 1 else 1.0)
    )
    return float(v[0]) - width / 2, float(v[-1]) + width / 2


def symmetric(values: Any) -> tuple[float, float]:
    """Colour limits round zero that hold every value, so that the middle colour is zero."""
    finite = np.abs(values[np.isfinite(values)])
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return -top, top


def limits(values: Any) -> tuple[float, float]:
    """Colour limits from the smallest to the largest value, never of width zero."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ids(x: xr.DataArray | xr.Dataset, dim: str = schema.SUBJECT) -> list[str]:
    """Labels along a dimension, as text."""
    found = x[dim].values if dim in x.coords else np.arange(x.sizes[dim])
    return [str(v) for v in found.tolist()]


def empty(text: str, heading: str, xlabel: str, ylabel: str) -> Any:
    """A frame that says why it is empty."""
    note = backends().Labels([(0.5, 0.5, text)], ["nothing_x", "nothing_y"], "why")
    return panel(
        note,
        bokeh={
            "text_color": INK,
            "text_font_size": "13px",
            "frame_width": 380,
            "frame_height": 160,
        },
        mpl={"color": INK, "size": 8, "fig_inches": (COLUMN_IN, 2.0), "aspect": 2},
        title=heading,
        xlabel=xlabel,
        ylabel=ylabel,
        xlim=(0, 1),
        ylim=(0, 1),
        xticks=0,  # no numbers: there is no scale
        yticks=0,
    )
