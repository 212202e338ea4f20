"""The rows: one for each person in view, or all over one another (butterfly)."""

from typing import Any

import numpy as np

from fhemb_xr.plot import labels, theme
from fhemb_xr.plot.signals import round_up
from fhemb_xr.typing import F64
from fhemb_xr.view.memory.reading import Signal, Window
from fhemb_xr.view.window import look
from fhemb_xr.view.window.state import MOST_SIGNALS, State

STEPS_ACROSS, MOST_POINTS = 1000, 90_000
"""Minima and maxima across a view, and points of all rows together."""
HEIGHT = 440
_EMPTY = np.zeros(0)


class Rows:
    """The figure of the rows, and what is drawn in it."""

    def __init__(self, state: State, clock: Any) -> None:
        models = theme.bokeh_models()
        self.state = state
        start, stop = state.material.extent
        self.x_range = models.Range1d(*state.window, bounds=(start, stop), min_interval=0.05)
        self.y_range = models.Range1d(state.rows - 0.4, -0.6)
        self.figure = fig = look.figure(
            height=HEIGHT, x_range=self.x_range, y_range=self.y_range, name="rows"
        )
        look.time_axis(fig, clock)
        fig.xaxis.axis_label = "Time [s]"
        code = "axis.axis_label = cb_obj.active ? 'Time [h:m:s]' : 'Time [s]'"
        clock.js_on_change("active", models.CustomJS(args={"axis": fig.xaxis[0]}, code=code))
        self._ticker = models.FixedTicker(ticks=[])
        fig.yaxis.ticker = self._ticker
        fig.ygrid.grid_line_color, fig.ygrid.visible = theme.MISSING, False  # key 0 shows them
        fig.add_tools(
            pan := models.PanTool(dimensions="width"),
            wheel := models.WheelZoomTool(dimensions="width"),
        )
        fig.toolbar.active_drag, fig.toolbar.active_scroll = pan, wheel
        self.lines = []
        for k in range(MOST_SIGNALS + 1):  # the last one is that of bad people
            colour = look.BAD if k == MOST_SIGNALS else theme.CYCLE[k]
            source = models.ColumnDataSource({"x": _EMPTY, "y": _EMPTY}, name=f"line{k}")
            fig.line("x", "y", source=source, color=colour, line_width=0.9)
            self.lines.append(source)
        self.cursor = look.cursor(fig, state.cursor, "cursor")
        self._drawn: tuple[Any, ...] = ()
        self.units_per_row: dict[float, float] = {}
        """What one row's height is, in units of the first feature, by the place of the row."""
        for end in ("start", "end"):
            self.x_range.on_change(end, self._moved)
        state.on("signals rows window people", self.draw)
        state.on("cursor", self._guide)

    def signals(self) -> list[Signal]:
        """What is drawn, in the order of the colours."""
        state = self.state
        return [state.material.signal(name, state.band) for name in state.names]

    def draw(self) -> None:
        """Bring the figure up to date, and ask for what is not in memory."""
        state, parts = self.state, self.signals()
        visible = state.visible()
        for signal in parts[::-1]:  # the first is wished last, so it is read first
            state.material.readers.want(signal, self._looked_at(signal, visible))
        self._drawn = tuple((id(s), s.version) for s in parts)
        bad = [p for p in visible if p in state.bad_people()]
        if state.butterfly:
            self._overlaid(parts[0], [p for p in visible if p not in bad])
        else:
            self._stacked(parts, visible, bad)

    def refresh(self) -> bool:
        """Draw again if more has been read; whether it was."""
        if self._drawn == tuple((id(s), s.version) for s in self.signals()):
            return False
        self.draw()
        return True

    def person_at(self, y: float) -> Any:
        """Whose row is at a height of the figure; None between rows and in a butterfly."""
        k = round(y) if np.isfinite(y) else -1
        visible = self.state.visible()
        inside = not self.state.butterfly and 0 <= k < len(visible)
        return visible[k] if inside else None

    def _looked_at(self, signal: Signal, visible: list[Any]) -> Window:
        places = [k for k, p in enumerate(signal.series.people) if p in visible]
        people = (places[0], places[-1] + 1) if places else (0, 0)
        return Window(people, self.state.window)

    def _stacked(self, parts: list[Signal], visible: list[Any], bad: list[Any]) -> None:
        most = max(100, min(STEPS_ACROSS, MOST_POINTS // (2 * len(visible) * len(parts))))
        grey: list[tuple[F64, F64]] = []
        step_text = []
        for k, line in enumerate(self.lines[:-1]):
            if k >= len(parts):
                line.data = {"x": _EMPTY, "y": _EMPTY}
                continue
            signal = parts[k]
            x, curves, per_row = self._curves(signal, visible, most)
            self.units_per_row = per_row if k == 0 else self.units_per_row
            step = next(iter(per_row.values()), None) if self.state.common_scale else None
            step_text.append(f"{signal.series.name}{_step(step, signal.series.units)}")
            good = [i for i, p in curves if p not in bad]
            line.data = _joined(x, [(i, curves[i, p]) for i, p in curves if i in good])
            more = _joined(x, [(i, curves[i, p]) for i, p in curves if i not in good])
            grey.append((more["x"], more["y"]))
        self.lines[-1].data = {
            "x": np.concatenate([x for x, _ in grey]),
            "y": np.concatenate([y for _, y in grey]),
        }
        self._axis(visible, bad)
        self.figure.title.text = "   ".join(step_text)
        self.y_range.update(start=len(visible) - 0.4, end=-0.6)

    def _curves(
        self, signal: Signal, visible: list[Any], most: int
    ) -> tuple[F64, dict[tuple[int, Any], F64], dict[float, float]]:
        """Heights over the rows' base lines [rows]; and what a row's height is, in units."""
        state, people = self.state, signal.series.people
        place = {p: i for i, p in enumerate(people)}
        shown = [(k, p) for k, p in enumerate(visible) if p in place]
        at = [place[p] for _, p in shown]
        x, values = _envelope(signal, at, state.window, most)
        middle, spread = (s[at] for s in signal.scale())
        if state.centre_on_view:
            middle = mean_of_there(values, 1)
        per_row = spread / (0.8 * state.gain)
        if state.common_scale and at:
            per_row = np.full(len(at), round_up(float(np.median(spread))) / state.gain)
        heights = (values - middle[:, None]) / per_row[:, None]
        there = zip(shown, per_row.tolist(), np.isfinite(middle), strict=True)
        rows = {float(k): step for (k, _), step, is_there in there if is_there}
        return x, dict(zip(shown, heights, strict=True)), rows

    def _overlaid(self, signal: Signal, people: list[Any]) -> None:
        """All people on one axis, each about the own middle, in units."""
        x, curves = self._curves_in_units(signal, people)
        flat = [(0, -c) for c in curves]
        self.lines[0].data = _joined(x, flat)
        for line in self.lines[1:]:
            line.data = {"x": _EMPTY, "y": _EMPTY}
        seen = np.abs(np.concatenate([c[np.isfinite(c)] for c in curves])) if curves else _EMPTY
        top = (float(np.quantile(seen, 0.995)) if seen.size else 1.0) * 1.3 / self.state.gain
        self.y_range.update(start=-(top or 1.0), end=top or 1.0)
        self.units_per_row = {0.0: top or 1.0}
        models = theme.bokeh_models()
        self.figure.yaxis.ticker = models.BasicTicker()
        # an empty dict would leave the name of the first person at 0: the page passes it over
        self.figure.yaxis.major_label_overrides = {0: "0"}
        unit = labels.unit(signal.series.units)
        self.figure.title.text = (
            f"{signal.series.name}{unit}: {len(curves)} people about their own middle"
        )

    def _curves_in_units(self, signal: Signal, people: list[Any]) -> tuple[F64, list[F64]]:
        place = {p: i for i, p in enumerate(signal.series.people)}
        at = [place[p] for p in people if p in place]
        most = max(100, min(STEPS_ACROSS, MOST_POINTS // (2 * max(1, len(at)))))
        x, values = _envelope(signal, at, self.state.window, most)
        middle = (
            mean_of_there(values, 1) if self.state.centre_on_view else signal.scale()[0][at]
        )
        return x, [*(values - middle[:, None])]

    def _axis(self, visible: list[Any], bad: list[Any]) -> None:
        self.figure.yaxis.ticker = self._ticker
        self._ticker.ticks = [*range(len(visible))]
        self.figure.yaxis.major_label_overrides = look.names_of(visible, bad)

    def _moved(self, attr: str, old: float, new: float) -> None:
        self.state.later("window", self._arrived)

    def _arrived(self) -> None:
        window = (float(self.x_range.start), float(self.x_range.end))
        if window != self.state.window and window[1] > window[0]:
            self.state.window = window
            self.state.changed("window")

    def _guide(self) -> None:
        self.cursor.location = self.state.cursor


def _envelope(
    signal: Signal, at: list[int], window: tuple[float, float], most: int
) -> tuple[F64, F64]:
    seconds = signal.series.seconds
    start, stop = signal.series.samples(*window)
    places, values = signal.pyramid.envelope(at, start, stop, most)
    x = np.interp(places, np.arange(seconds.size), seconds)
    return x, values.astype(np.float64)


def mean_of_there(values: F64, axis: int) -> F64:
    """Mean along an axis of what is there; NaN where nothing is."""
    seen = np.isfinite(values)
    total = np.where(seen, values, 0.0).sum(axis=axis)
    return np.where(seen.any(axis=axis), total / np.maximum(seen.sum(axis=axis), 1), np.nan)


def _joined(x: F64, curves: list[tuple[int, F64]]) -> dict[str, Any]:
    """One line through all curves, broken between them: far quicker to draw than many."""
    if not curves:
        return {"x": _EMPTY, "y": np.zeros(0, dtype=np.float32)}
    gap = [np.nan]
    across = np.tile(np.concatenate([x, gap]), len(curves))
    down = np.concatenate([np.concatenate([k - c, gap]) for k, c in curves])
    return {"x": across, "y": down.astype(np.float32)}


def _step(step: float | None, units: str) -> str:
    if step is None:
        return ""
    unit = labels.unit(units).strip(" []")
    return f" (from row to row {step:g}{f' {unit}' if unit else ''})"
