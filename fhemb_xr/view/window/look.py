"""The house's look on figures of the viewer, and the words on their axes."""

from collections.abc import Sequence
from typing import Any

from fhemb_xr.plot import theme

BAD = "#b0b0b0"
CURSOR = theme.CYCLE[1]
GRID = "#eeeeee"
FONT = "Helvetica, Arial, sans-serif"
"""Bokeh's own default is Helvetica alone, for which Firefox may take one with serifs."""
FONT_OF_ALL = {"value": FONT}
"""For texts of a source, where a name with spaces would be a column's."""
_TIME = """
const t = tick < 0 ? 0 : tick;
if (!clock.active) return (Math.round(tick * 1000) / 1000).toString();
const h = Math.floor(t / 3600), m = Math.floor(t / 60) % 60, s = t % 60;
const two = x => String(x).padStart(2, "0");
const part = (Math.round(s * 1000) / 1000).toString();
return (h ? h + ":" + two(m) : m) + ":" + (s < 10 ? "0" + part : part);
"""


def figure(**options: Any) -> Any:
    """A figure without a toolbar, a frame or minor ticks."""
    from bokeh.plotting import figure as of_bokeh

    defaults: dict[str, Any] = {
        "toolbar_location": None,
        "sizing_mode": "stretch_width",
        "min_width": 240,
        "tools": "",
        "output_backend": "canvas",
    }
    fig: Any = of_bokeh(**{**defaults, **options})
    fig.outline_line_color = None
    fig.grid.grid_line_color = GRID
    fig.title.text_font_size = theme.PX["title"]
    fig.title.text_font_style = "normal"
    fig.title.text_color, fig.title.text_font = theme.INK, FONT
    for axis in fig.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = theme.PX["labels"]
        axis.major_label_text_font_size = theme.PX["xticks"]
        axis.minor_tick_line_color = None
        axis.axis_line_color = axis.major_tick_line_color = theme.QUIET
    return fig


def time_axis(fig: Any, clock: Any) -> None:
    """Seconds, or hours, minutes and seconds while the toggle ``clock`` is on."""
    models = theme.bokeh_models()
    fig.xaxis.formatter = models.CustomJSTickFormatter(args={"clock": clock}, code=_TIME)


def cursor(fig: Any, at: float, name: str | None = None) -> Any:
    """A guide at the moment that all parts share."""
    span = theme.bokeh_models().Span(
        location=at,
        dimension="height",
        line_color=CURSOR,
        line_width=1.2,
        level="overlay",
        name=name,
    )
    fig.add_layout(span)
    return span


def names_of(people: Sequence[Any], bad: Sequence[Any]) -> dict[int, str]:
    """Labels of rows; a bad person has a cross."""
    return {k: f"✗ {who}" if who in bad else str(who) for k, who in enumerate(people)}
