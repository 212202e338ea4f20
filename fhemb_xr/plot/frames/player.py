"""A player of one face: one packed array in the page, painted by the reader's browser."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.budget import human
from fhemb_xr.clock import Clock
from fhemb_xr.errors import BudgetError, extra
from fhemb_xr.ops.pipeline import heatmap
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot import spans as shades
from fhemb_xr.plot.frames import faces
from fhemb_xr.plot.notebook.film import Film
from fhemb_xr.typing import F64, Floats

MOST_BYTES = 2**25
"""Pixels that one page carries, a byte each; browsers grow slow beyond."""
LEVELS = 254
BAR_PX = 96
"""Width of the colour bar beside a face, with its numbers."""

_SHOW = """
const k = slider.value, out = source.data.image[0], all = packed.data.level;
const n = out.length;
for (let i = 0; i < n; i++) out[i] = all[k * n + i];
source.change.emit();
const second = clock.data.second[k];
cursor.location = second;
face.title.text = heading + second.toFixed(2) + " s";
"""
_SECOND = "return (clock.data.second[Math.round(tick)] ?? 0).toFixed(2) + ' s'"
_PLAY = """
clearInterval(toggle.timer);
toggle.label = toggle.active ? "Pause" : "Play";
if (toggle.active) {
  let first = slider.value >= slider.end ? 0 : slider.value, begin = performance.now();
  toggle.timer = setInterval(() => {
    let k = first + Math.floor((performance.now() - begin) * rate / 1000);
    if (k > slider.end) { first = 0; begin = performance.now(); k = 0; }
    if (k !== slider.value) slider.value = k;  // late frames are left out: the clock stays true
  }, 500 / rate);
}
"""


def player(
    heat: xr.DataArray | xr.Dataset,
    subject: object = None,
    *,
    spans: Any = None,
    title: str | None = None,
) -> Film:
    """A film of one face with its mean temperature, at the recording's own speed.

    Every frame of one subject is packed into one array of bytes in the page; a slider and a
    button choose what the browser paints. 254 levels of colour between the coldest and the
    hottest pixel: at 12 K the error is below 24 mK.

    Parameters
    ----------
    heat
        Heatmap ``(…, time, y, x)`` [°C], or a recording.
    subject
        Person whose face is shown; the first by default.
    spans
        Scenes and other spans of time, drawn behind the curve: a table of
        :func:`fhemb_xr.read_spans`, or a dict of label and ``(start, stop)`` [s].
    title
        Text before the second; by default the subject.

    Returns
    -------
    Film
        A film: the last value of a cell shows it, ``.save(path, faces=True)`` writes it as one
        page that needs no network, ``.layout`` is its bokeh layout. A notebook carries films of
        up to 8 MiB of pixels; of a longer one it shows six frames, and says what to do.

    Raises
    ------
    BudgetError
        More frames than a page can carry, with the bytes and the cure.
    UnknownNameError
        A subject that is not there.

    Notes
    -----
    Memory: the frames, twice. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> heat = xr.DataArray(np.ones((50, 4, 3)), dims=("time", "y", "x"))
    >>> plot.player(heat.assign_attrs(sampling_rate=25.0))
    <Film of a face: 50 frames, 2 s at 25 Hz, 600 B; .save('film.html', faces=True)>
    """
    array = heatmap(heat)
    if isinstance(heat, xr.Dataset):
        array = array.assign_attrs(heat.attrs)
    face = figure_data.one(figure_data.one(array, schema.SUBJECT, subject), schema.SESSION)
    face = figure_data.require(face, "a film", schema.TIME, schema.Y, schema.X)
    if face.size > MOST_BYTES:
        raise BudgetError(
            f"a film of {face.sizes[schema.TIME]} frames puts {human(face.size)} of pixels "
            "into the page, "
            f"at most {human(MOST_BYTES)} play well: choose less with "
            ".fhemb.select(seconds=(start, stop))"
        )
    clock = Clock.of(array)
    rate, seconds = clock.rate_hz, clock.axis_s
    face = figure_data.loaded(face, "a film")
    heading = title if title is not None else labels.capital_first(labels.name_of(face))
    with extra("plot"):
        layout = _layout(
            face.values,
            seconds,
            rate,
            f"{heading}, " if heading else "",
            shades.within(spans, (seconds[0], seconds[-1]), shades.person(face)),
        )
    return Film(
        layout,
        functools.partial(faces.frames, face.assign_attrs(sampling_rate=rate)),
        heading,
        n_frames=len(face),
        seconds=round(len(face) / rate, 3),
        rate_hz=rate,
        nbytes=face.size,
    )


def pack(values: Floats) -> tuple[NDArray[np.uint8], float, float]:
    """Levels 1…255 of the values between the lowest and the highest, 0 where there is none."""
    low, high = figure_data.limits(values)
    scaled = (values - low) * (LEVELS / (high - low)) + 1
    return np.nan_to_num(np.rint(scaled), nan=0.0).astype(np.uint8), low, high


def unpack(levels: NDArray[np.uint8], low: float, high: float) -> F64:
    """Values of :func:`pack`, to half a level."""
    values = low + (levels.astype(np.float64) - 1) * ((high - low) / LEVELS)
    return np.where(levels == 0, np.nan, values)


def _mean(values: Floats) -> F64:
    """Mean of each frame; NaN where it has no pixel."""
    seen = np.isfinite(values)
    n = seen.sum(axis=(1, 2))
    total = np.where(seen, values, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _layout(
    values: NDArray[Any],
    seconds: F64,
    rate: float,
    heading: str,
    marks: Sequence[shades.Shade],
) -> Any:
    from bokeh.layouts import column, row

    models = theme.bokeh_models()
    levels, low, high = pack(values)
    source = models.ColumnDataSource({"image": [levels[0].copy()]})
    packed = models.ColumnDataSource({"level": levels.reshape(-1)}, name="packed")
    clock = models.ColumnDataSource({"second": seconds, "mean": _mean(values)})
    face = _face_figure(source, values.shape[1:], low, high, f"{heading}{seconds[0]:.2f} s")
    curve, cursor = _curve_figure(clock, float(seconds[0]))
    shades.annotated(curve, marks)
    last = max(len(values) - 1, 1)
    slider = models.Slider(
        start=0,
        end=last,
        value=0,
        step=1,
        title="Time",
        format=models.CustomJSTickFormatter(args={"clock": clock}, code=_SECOND),
        sizing_mode="stretch_width",
        min_width=120,
        disabled=len(values) < 2,
    )
    toggle = models.Toggle(label="Play", width=80, disabled=len(values) < 2)
    show = {
        "slider": slider,
        "source": source,
        "packed": packed,
        "clock": clock,
        "cursor": cursor,
    }
    slider.js_on_change(
        "value", models.CustomJS(args={**show, "face": face, "heading": heading}, code=_SHOW)
    )
    toggle.js_on_change(
        "active",
        models.CustomJS(args={"toggle": toggle, "slider": slider, "rate": rate}, code=_PLAY),
    )
    beside = column(
        curve,
        row(toggle, slider, sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
        min_width=260,
        max_width=520,
        styles={"flex": "1 1 260px"},
    )
    # where there is no room beside the face, the curve goes below it
    return row(
        face,
        beside,
        sizing_mode="stretch_width",
        max_width=840,
        styles={"flex-wrap": "wrap"},
        tags=[theme.FACE],
    )


def _face_figure(
    source: Any, shape: tuple[int, ...], low: float, high: float, title: str
) -> Any:
    from bokeh.palettes import inferno

    models = theme.bokeh_models()
    rows, columns = shape
    scale = min(300 / rows, 240 / columns)
    fig = _figure(
        x_range=(0, columns),
        y_range=(rows, 0),
        title=title,
        sizing_mode="fixed",  # in a row that stretches, a frame alone is laid out wrongly
        width=round(columns * scale) + BAR_PX,
        height=round(rows * scale) + 31,
    )
    palette = inferno(LEVELS + 1)
    paint = models.LinearColorMapper(
        palette, low=0.5, high=LEVELS + 1.5, low_color=theme.MISSING
    )
    fig.image("image", x=0, y=0, dw=columns, dh=rows, source=source, color_mapper=paint)
    scale_of = models.LinearColorMapper(palette, low=low, high=high)
    fig.add_layout(
        models.ColorBar(color_mapper=scale_of, title="Temperature [°C]", width=10), "right"
    )
    fig.axis.visible = False
    _plain(fig)
    return fig


def _curve_figure(clock: Any, second: float) -> tuple[Any, Any]:
    fig = _figure(frame_height=200, sizing_mode="stretch_width", min_width=260)
    fig.line("second", "mean", source=clock, color=theme.LINE, line_width=1.1)
    cursor = theme.bokeh_models().Span(
        location=second, dimension="height", line_color=theme.CYCLE[1], line_width=1.2
    )
    fig.add_layout(cursor)
    fig.xaxis.axis_label, fig.yaxis.axis_label = "Time [s]", "Mean temperature [°C]"
    fig.x_range.range_padding = 0
    _plain(fig)
    return fig, cursor


def _figure(**options: Any) -> Any:
    from bokeh.plotting import figure

    return figure(toolbar_location=None, **options)


def _plain(fig: Any) -> None:
    """The house's look, as :func:`fhemb_xr.plot.theme.plain_bokeh` gives it to HoloViews."""
    models = theme.bokeh_models()
    fig.outline_line_color = None
    fig.grid.grid_line_color = None
    fig.title.text_font_size = theme.PX["title"]
    for bar in fig.select(models.ColorBar):
        theme.name_bar(fig, bar)
    for axis in fig.select(models.Axis):
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = theme.PX["labels"]
        axis.major_label_text_font_size = theme.PX["xticks"]
        axis.minor_tick_line_color = None
