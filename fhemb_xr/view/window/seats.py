"""The seat map: people where the camera sees them, in the colours of a feature at the guide."""

from typing import Any

import numpy as np

from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64
from fhemb_xr.view.memory.material import seats
from fhemb_xr.view.memory.reading import Signal
from fhemb_xr.view.window import look
from fhemb_xr.view.window.rows import Rows
from fhemb_xr.view.window.state import State

HEIGHT = 210
_SPREADS = 1.0


class Seats:
    """A dot a person; grey where nobody is seen at the guide, ringed in grey where bad."""

    def __init__(self, state: State, rows: Rows) -> None:
        from bokeh.palettes import RdBu11, Viridis256

        models = theme.bokeh_models()
        self.state, self.rows = state, rows
        people = state.material.people
        self._palettes = {False: [*RdBu11], True: [*Viridis256]}
        x, y, self.seated = _places(people, seats(state.material.recording))
        self.source = models.ColumnDataSource(
            {"x": x, "y": y, "name": [str(p) for p in people], "value": np.full(len(x), np.nan),
             "ring": [theme.QUIET] * len(x)},
            name="seats",
        )  # fmt: skip
        self.paint = models.LinearColorMapper(self._palettes[False], low=-1, high=1,
                                              nan_color=theme.MISSING)  # fmt: skip
        self.figure = fig = look.figure(
            height=HEIGHT, x_range=models.DataRange1d(range_padding=0.12),
            y_range=models.DataRange1d(range_padding=0.4, flipped=True),
        )  # fmt: skip
        dots = fig.scatter(
            "x", "y", source=self.source, size=_size(len(people)), line_color="ring",
            fill_color={"field": "value", "transform": self.paint}, line_width=1.2,
        )  # fmt: skip
        if len(people) <= 100:
            fig.text("x", "y", "name", source=self.source, text_align="center",
                     text_baseline="bottom", text_font_size="9px", text_font=look.FONT_OF_ALL,
                     text_color=theme.INK, y_offset=-_size(len(people)) / 2)  # fmt: skip
        fig.add_tools(
            models.HoverTool(
                renderers=[dots], tooltips=[("person", "@name"), ("value", "@value")]
            )
        )
        fig.axis.visible = fig.grid.visible = False
        state.on("signals cursor rows data people", self.draw)

    def draw(self) -> None:
        """Colour all people by the first feature at the guide."""
        state, signal = self.state, self.rows.signals()[0]
        source = signal.series
        k = source.at(state.cursor)
        now = signal.pyramid.values[:, k].astype(np.float64)
        middle, spread = signal.scale()
        if state.common_scale:
            self._scaled(figure_data.limits(_between(signal)))
        else:
            now = (now - middle) / spread
            self._scaled((-_SPREADS, _SPREADS))
        place = {p: i for i, p in enumerate(source.people)}
        people, bad = state.material.people, state.bad_people()
        values = np.array([now[place[p]] if p in place else np.nan for p in people])
        rings = [look.BAD if p in bad else theme.INK for p in people]
        self.source.patch({"value": [(slice(None), values)], "ring": [(slice(None), rings)]})
        where = "Seats" if self.seated else "People in order"
        unit = labels.unit(source.units) if state.common_scale else ", about the own middle"
        self.figure.title.text = f"{where}: {source.name}{unit}"

    def _scaled(self, limits: tuple[float, float]) -> None:
        palette = self._palettes[self.state.common_scale]
        if (self.paint.low, self.paint.high, self.paint.palette) != (*limits, palette):
            self.paint.update(low=limits[0], high=limits[1], palette=palette)


def _between(signal: Signal) -> F64:
    """Where people's values usually are."""
    middle, spread = signal.scale()
    return np.concatenate([middle - spread / 2, middle + spread / 2])


def _places(people: list[Any], known: dict[Any, tuple[float, float]]) -> tuple[F64, F64, bool]:
    """Places of all people: those of the camera, or in order on a grid."""
    if known and all(p in known for p in people):
        xy = np.array([known[p] for p in people], dtype=np.float64)
        return xy[:, 0], xy[:, 1], True
    columns = int(np.ceil(np.sqrt(2.2 * len(people))))
    k = np.arange(len(people))
    return (k % columns).astype(np.float64), (k // columns).astype(np.float64), False


def _size(n: int) -> float:
    """Diameter of a dot [px]."""
    return float(np.clip(150 / np.sqrt(n), 9, 24))
