"""Scenes and other spans of time, drawn behind curves and beside maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import spans as tables
from fhemb_xr.plot import theme

_MOMENT = 0.002
"""Share of the axis that a span without duration is wide."""
_PALE, _STRIP = 0.16, 0.025
MARGIN = 0.2
"""Share of a map's width that :func:`beside` needs left of it."""


@dataclass(frozen=True)
class Shade:
    """A span as it is drawn."""

    start: float
    stop: float
    label: str
    colour: str
    personal: bool
    """Whether it belongs to one person."""


def within(given: Any, extent: tuple[float, float], who: object = None) -> list[Shade]:
    """Spans that meet ``extent`` [s], cut to it; those of other people than ``who`` left out.

    A label has one colour in the whole table.
    """
    rows = [] if given is None else tables.rows(given)
    labels = [*dict.fromkeys(span[tables.LABEL] for span in rows)]
    first, last = extent
    out = []
    for span in rows:
        start = span[tables.ONSET]
        stop = start + max(span[tables.DURATION], _MOMENT * (last - first))
        if span.get(tables.SUBJECT, who) != who or start >= last or stop <= first:
            continue
        colour = theme.CYCLE[labels.index(span[tables.LABEL]) % len(theme.CYCLE)]
        cut = max(start, first), min(stop, last)
        out.append(Shade(*cut, span[tables.LABEL], colour, tables.SUBJECT in span))
    return out


def shaded(
    shades: Sequence[Shade], heights: tuple[float, float], dims: tuple[str, str], *, named: bool
) -> list[Any]:
    """Pale boxes between two heights, with the names of the spans if they are wanted."""
    hv = theme.backends()
    low, high = heights
    across, up = dims
    # named like the curves' axes, otherwise rows of different units would share limits
    edges = [across, up, "span_stop", f"span_{up}"]
    drawn = []
    for colour in dict.fromkeys(s.colour for s in shades):
        boxes = [(s.start, low, s.stop, high) for s in shades if s.colour == colour]
        drawn.append(_pale(hv.Rectangles(boxes, kdims=edges), colour))
    words = [(s.start, high, f" {s.label}") for s in shades if named or s.personal]
    if words:
        drawn.append(_words(hv.Labels(words, [across, up], "span")))
    return drawn


def beside(shades: Sequence[Shade], widths: tuple[float, float]) -> list[Any]:
    """Strips left of a map of windows and lags, with the names of the spans."""
    hv = theme.backends()
    left, right = widths
    edge = left - _STRIP * (right - left)
    # named like the map's axes
    edges = [schema.LAG, schema.WINDOW, "strip_stop", "span_stop"]
    drawn = []
    for colour in dict.fromkeys(s.colour for s in shades):
        boxes = [(edge, s.start, left, s.stop) for s in shades if s.colour == colour]
        drawn.append(theme.filled(hv.Rectangles(boxes, kdims=edges), colour))
    if shades:
        words = [(edge, s.stop, f"{s.label} ") for s in shades]
        drawn.append(_words(hv.Labels(words, [schema.LAG, schema.WINDOW], "span"), "right"))
    return drawn


def annotated(figure: Any, shades: Sequence[Shade]) -> None:
    """The same on a figure of bokeh."""
    models = theme.bokeh_models()
    for shade in shades:
        figure.add_layout(
            models.BoxAnnotation(
                left=shade.start,
                right=shade.stop,
                fill_color=shade.colour,
                fill_alpha=_PALE,
                line_color=None,
                level="underlay",
            )
        )
        figure.add_layout(
            models.Label(
                x=shade.start,
                y=2,
                y_units="screen",
                text=f" {shade.label}",
                text_font_size=theme.PX["legend"],
                text_color=theme.INK,
            )
        )


def person(x: xr.DataArray) -> object:
    """Whose array this is, if it is one person's."""
    held = x.coords.get(schema.SUBJECT)
    return held.values.reshape(-1)[0].item() if held is not None and held.size == 1 else None


def _pale(boxes: Any, colour: str) -> Any:
    return theme.styled(
        boxes,
        bokeh={"line_color": None, "fill_color": colour, "fill_alpha": _PALE},
        mpl={"linewidth": 0, "facecolor": colour, "alpha": _PALE},
    )


def _words(names: Any, side: str = "left") -> Any:
    return theme.styled(
        names,
        bokeh={
            "text_align": side,
            "text_baseline": "top",
            "text_font_size": theme.PX["legend"],
            "text_color": theme.INK,
        },
        mpl={
            "horizontalalignment": side,
            "verticalalignment": "top",
            "size": theme.PT["legend"],
            "color": theme.INK,
        },
    )
