"""The strip below the rows: ISC, lags, or any other result with an axis of time."""

from typing import Any

import numpy as np

from fhemb_xr.plot import figure_data, theme
from fhemb_xr.view.memory.pyramid import Pyramid
from fhemb_xr.view.memory.results import Strip, strip
from fhemb_xr.view.window import look
from fhemb_xr.view.window.state import State

HEIGHT = 130
_STEPS = 1000
_MOST_COLUMNS = 4000
_DIMS = ("low", "middle", "high")


class Strips:
    """One result at a time, on the time of the rows."""

    def __init__(self, state: State, x_range: Any, clock: Any) -> None:
        models = theme.bokeh_models()
        self.state = state
        names = [*state.material.results]
        self.choice = models.Select(
            title="Result", value=names[0], options=names, width=180, visible=len(names) > 1
        )
        self.figure = fig = look.figure(height=HEIGHT, x_range=x_range, name="strip")
        look.time_axis(fig, clock)
        self.curves = models.ColumnDataSource({n: [] for n in ("x", *_DIMS)}, name="curves")
        self.map = models.ColumnDataSource({n: [] for n in ("image", "x", "y", "dw", "dh")})
        self.paint = models.LinearColorMapper(_diverging(), low=-1, high=1,
                                              nan_color=theme.MISSING)  # fmt: skip
        fig.varea("x", "low", "high", source=self.curves, fill_color=theme.MISSING)
        fig.line("x", "middle", source=self.curves, color=theme.LINE, line_width=1.2)
        fig.image("image", "x", "y", "dw", "dh", source=self.map, color_mapper=self.paint)
        self.cursor = look.cursor(fig, state.cursor)
        self._shown: Strip | None = None
        self._pyramid = Pyramid(3, 0)
        self._loaded: tuple[str, str] | None = None
        self.choice.on_change("value", lambda a, o, n: self.draw())
        state.on("signals", self.draw)
        state.on("window", self._zoomed)
        state.on("cursor", self._guide)

    def draw(self) -> None:
        """Read the chosen result, of the first feature that is shown, and draw it."""
        feature = self.state.material.series[self.state.names[0]].feature
        wanted = (self.choice.value, feature)
        if wanted == self._loaded:
            return
        self._loaded = wanted
        result = self.state.material.results[self.choice.value]
        self.figure.title.text = "…"

        def ready(found: Strip | str) -> None:
            if wanted == self._loaded:  # else another one was chosen meanwhile
                self._ready(found)

        self.state.aside(lambda: _read(result, feature), ready)

    def _ready(self, found: Strip | str) -> None:
        if isinstance(found, str):
            self.figure.title.text = found
            return
        self._shown = found
        self.figure.title.text = found.what
        if found.lags is not None:
            self._draw_map(found, found.lags)
            return
        self.figure.yaxis.axis_label = None
        self.map.data = {name: [] for name in self.map.data}
        rows = found.values if len(found.values) == 3 else np.repeat(found.values, 3, axis=0)
        self._pyramid = Pyramid(3, found.seconds.size)
        self._pyramid.fill(slice(0, 3), 0, rows)
        self._zoomed()

    def _draw_map(self, found: Strip, lags: Any) -> None:
        self.curves.data = {name: [] for name in self.curves.data}
        step = -(-found.seconds.size // _MOST_COLUMNS)
        values = found.values[:, ::step].astype(np.float32)
        across, up = figure_data.span(found.seconds[::step]), figure_data.span(lags)
        self.paint.low, self.paint.high = figure_data.symmetric(values)
        self.map.data = {
            "image": [values], "x": [across[0]], "y": [up[0]],
            "dw": [across[1] - across[0]], "dh": [up[1] - up[0]],
        }  # fmt: skip
        self.figure.yaxis.axis_label = "Lag [s]"

    def _zoomed(self) -> None:
        found = self._shown
        if found is None or found.lags is not None:
            return
        a, b = np.searchsorted(found.seconds, self.state.window)
        start, stop = max(0, int(a) - 1), min(found.seconds.size, int(b) + 1)
        places, rows = self._pyramid.envelope(np.arange(3), start, stop, _STEPS)
        x = np.interp(places, np.arange(found.seconds.size), found.seconds)
        self.curves.data = {"x": x, **dict(zip(_DIMS, rows.astype(np.float64), strict=True))}

    def _guide(self) -> None:
        self.cursor.location = self.state.cursor


def _read(result: Any, feature: str) -> Strip | str:
    """The strip, or in one sentence why there is none."""
    try:
        return strip(result, feature)
    except (OSError, ValueError, MemoryError) as error:
        return str(error)


def _diverging() -> list[str]:
    from bokeh.palettes import Blues256, Reds256, diverging_palette

    return [*diverging_palette(Blues256, Reds256, 255)]
