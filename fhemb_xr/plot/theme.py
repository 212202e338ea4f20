"""How every figure looks: colours, sizes, labels; and what is loaded to draw it."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import xarray as xr

from fhemb_xr.errors import extra

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


DISPLAYS: list[Callable[[Any], Any]] = []
"""What shows HoloViews objects in a notebook; see :mod:`fhemb_xr.plot.notebook.display`."""


@functools.cache
def backends() -> Any:
    """HoloViews with both backends registered; a backend that the user chose stays current."""
    with extra("plot"):
        import holoviews as hv

        chosen = hv.Store.current_backend if hv.Store.loaded_backends() else "bokeh"
        import holoviews.plotting.bokeh
        import holoviews.plotting.mpl
        from bokeh.core.validation import silence
        from bokeh.core.validation.warnings import FIXED_SIZING_MODE

    hv.Store.set_current_backend(chosen)
    silence(FIXED_SIZING_MODE)  # HoloViews says "fixed"; without it a notebook cuts figures
    from holoviews.core.dimension import LabelledData

    for display in DISPLAYS:
        hv.Store.set_display_hook("fhemb_xr", LabelledData, display)
    return hv


@contextmanager
def unrecorded() -> Iterator[None]:
    """Keep HoloViews from noting how each element was made, which nobody asks of a page."""
    backends()
    from holoviews.core.data import disable_pipeline

    with disable_pipeline():
        yield


def bokeh_models() -> Any:
    """``bokeh.models``; untyped, since its annotations lag behind what it takes."""
    with extra("plot"):
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


def figure(
    drawn: Any,
    heading: str,
    axes: tuple[str, str] | None,
    *,
    px: tuple[int, int],
    inches: tuple[float, float],
    aspect: float | str,
    bokeh: Mapping[str, Any] | None = None,
    mpl: Mapping[str, Any] | None = None,
    **shared: Any,
) -> Any:
    """A whole figure with the house's look.

    Parameters
    ----------
    drawn
        Element, or a list of elements that lie one over the other.
    heading
        Title.
    axes
        Labels of the axes across and up; None: no axes.
    px
        Width and height of the frame on a screen.
    inches
        Width and height of the figure in print.
    aspect
        Width over height of the axes in print, or ``"equal"``.
    bokeh, mpl
        More options of one backend.
    **shared
        More options of both.
    """
    if isinstance(drawn, list):
        drawn = backends().Overlay(drawn)
    shown = {"xaxis": None, "yaxis": None} if axes is None else {}
    labelled = shown if axes is None else {"xlabel": axes[0], "ylabel": axes[1]}
    return panel(
        drawn,
        bokeh={"frame_width": px[0], "frame_height": px[1], **(bokeh or {})},
        mpl={"fig_inches": inches, "aspect": aspect, **(mpl or {})},
        title=heading,
        **labelled,
        **shared,
    )


def stroke(element: Any, widths: tuple[float, float], colour: str, **bokeh: Any) -> Any:
    """A line, or lines; ``widths`` in pixels on a screen and in points of print."""
    lines = {"line_width": widths[0], **bokeh}
    return styled(element, bokeh=lines, mpl={"linewidth": widths[1]}, color=colour)


def dashed(element: Any, widths: tuple[float, float] = (0.8, 0.6)) -> Any:
    """A dashed line in ink."""
    return styled(
        element,
        bokeh={"line_width": widths[0], "line_dash": "dashed"},
        mpl={"linewidth": widths[1], "linestyle": "--"},
        color=INK,
    )


def dots(element: Any, sizes: tuple[float, float], colour: str) -> Any:
    """Dots that say their values under the pointer; sizes in pixels and in square points."""
    return styled(
        element, bokeh={"size": sizes[0], "tools": ["hover"]}, mpl={"s": sizes[1]}, color=colour
    )


def filled(element: Any, colour: str) -> Any:
    """Boxes without an edge."""
    return styled(
        element,
        bokeh={"line_color": None, "fill_color": colour},
        mpl={"linewidth": 0, "facecolor": colour},
    )


def band(x: Any, low: Any, high: Any, dims: list[str]) -> Any:
    """A grey band of the null from ``low`` to ``high``."""
    area = backends().Area((x, low, high), dims[0], [f"{dims[1]}_low", f"{dims[1]}_high"])
    return styled(
        area,
        bokeh={"fill_color": MISSING, "line_color": None},
        mpl={  # HoloViews reads one or the other, with the other of its own
            "color": MISSING,
            "facecolor": MISSING,
            "edgecolor": "none",
            "linewidth": 0,
        },
    )


def coloured(cmap: str, limits: tuple[float, float], bar: str) -> dict[str, Any]:
    """Options of an image: its colours, their limits, and the label of the colour bar."""
    return {
        "cmap": cmap,
        "clim": limits,
        "colorbar": True,
        "clabel": bar,
        "clipping_colors": {"NaN": MISSING},
    }


def plain_bokeh(plot: Any, element: Any) -> None:
    """A hook: upright labels, no frame, no grid, no minor ticks, no logo."""
    models = bokeh_models()
    figure = plot.state
    figure.outline_line_color = None
    figure.toolbar.logo = None
    beside = (*figure.left, *figure.below, *figure.right, *figure.above, *figure.center)
    for part in beside:  # figure.select would walk the whole figure for each kind
        if isinstance(part, models.Axis):
            part.axis_label_text_font_style = "normal"
            part.minor_tick_line_color = None
            part.axis_line_color = part.major_tick_line_color = INK
        elif isinstance(part, models.ColorBar):
            part.bar_line_color = None
            name_bar(figure, part)
        elif isinstance(part, models.Legend):
            part.border_line_color = None
            part.spacing = 0
            if part in figure.right:
                part.location = "top_left"


def name_bar(figure: Any, bar: Any) -> None:
    """Write the title of a colour bar along it, as print does; Bokeh's stands in a corner."""
    if not bar.title:
        return
    models = bokeh_models()
    label = models.LinearAxis(  # a Title is placed before the frame has its size
        axis_label=bar.title,
        axis_label_text_font_style="normal",
        axis_label_text_font_size=PX["clabel"],
        axis_label_standoff=2,
        axis_line_alpha=0,
        ticker=models.FixedTicker(ticks=[]),
    )
    figure.add_layout(label, "right")
    bar.title = None


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


def cluster_colour(label: int) -> str:
    """Colour of a group, the same in every figure; grey for ``-1``, which is in none."""
    return QUIET if label < 0 else CYCLE[label % len(CYCLE)]


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
