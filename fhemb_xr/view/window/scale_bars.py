"""Scale bars of the rows: how much a height of the curves is, as with MNE's key ``s``."""

from typing import Any

from fhemb_xr.plot import labels, theme
from fhemb_xr.plot.signals import round_up
from fhemb_xr.view.window import look
from fhemb_xr.view.window.rows import Rows
from fhemb_xr.view.window.state import State

KEYS = {"s": "scale bars", "0": "base lines: the middle of each curve"}
_SHARE, _AT = 0.4, 0.012
"""Height of a bar [rows], before it is rounded up to a whole row at most; its place across."""
_MOST_BARS = 25
"""With more rows only some have a bar: the numbers would lie over one another."""


class ScaleBars:
    """A bar of a round number of units beside the curves of the first feature."""

    def __init__(self, state: State, rows: Rows) -> None:
        models = theme.bokeh_models()
        self.state, self.rows = state, rows
        self.show = models.Toggle(label="Scale bars", width=90, align="end")
        self.source = models.ColumnDataSource(_bars([]), name="bars")
        fig = rows.figure
        fig.extra_x_ranges = {"across": models.Range1d(0, 1)}  # a place that no zoom moves
        common = {"source": self.source, "x_range_name": "across", "level": "overlay"}
        fig.segment("x", "low", "x", "high", line_width=3, line_color=theme.INK, **common)
        fig.text(
            "x", "middle", "text", x_offset=5, text_baseline="middle", text_color=theme.INK,
            text_font_size=theme.PX["legend"], text_font=look.FONT_OF_ALL,
            background_fill_color="white", background_fill_alpha=0.75, **common,
        )  # fmt: skip
        self.show.on_change("active", lambda a, o, n: self.draw())
        state.on("signals rows window people data", self.draw)

    def draw(self) -> None:
        """A bar for each row; one alone where all rows have one scale."""
        self.source.data = _bars(self._rows() if self.show.active else [])

    def _rows(self) -> list[tuple[float, float, str]]:
        """Where a bar stands, how high it is in the figure, and what that is in units."""
        units = labels.unit(self.rows.signals()[0].series.units).strip(" []")
        steps, one = [*self.rows.units_per_row.items()], self.state.butterfly
        alone = one or self.state.common_scale
        out = []
        for k, step in steps[:1] if alone else steps[:: -(-len(steps) // _MOST_BARS) or 1]:
            value = round_up(_SHARE * step)
            out.append((k, value if one else value / step, f"{value:g} {units}".strip()))
        return out


def _bars(rows: list[tuple[float, float, str]]) -> dict[str, list[Any]]:
    return {
        "x": [_AT] * len(rows),
        "low": [k + height / 2 for k, height, _ in rows],
        "high": [k - height / 2 for k, height, _ in rows],
        "middle": [k for k, _, _ in rows],
        "text": [text for _, _, text in rows],
    }
