"""The whole recording in one strip: drag the box to choose what the rows show."""

import numpy as np

from fhemb_xr.plot import theme
from fhemb_xr.view.window import look
from fhemb_xr.view.window.rows import Rows, mean_of_there
from fhemb_xr.view.window.state import State

_STEPS = 500
HEIGHT = 84


class Overview:
    """Lowest and highest of all people's mean over the whole time, and the range tool."""

    def __init__(self, state: State, rows: Rows, clock: object) -> None:
        models = theme.bokeh_models()
        self.state, self.rows = state, rows
        start, stop = state.material.extent
        self.figure = fig = look.figure(
            height=HEIGHT, x_range=models.Range1d(start, stop), name="overview"
        )
        look.time_axis(fig, clock)
        fig.yaxis.visible = False
        fig.grid.grid_line_color = None
        self.source = models.ColumnDataSource({"x": np.zeros(0), "y": np.zeros(0)})
        fig.line("x", "y", source=self.source, color=theme.LINE, line_width=0.8)
        tool = models.RangeTool(x_range=rows.x_range, start_gesture="pan")
        tool.overlay.fill_color, tool.overlay.fill_alpha = theme.CYCLE[4], 0.25
        tool.overlay.line_color = theme.CYCLE[4]
        fig.add_tools(tool)
        self.cursor = look.cursor(fig, state.cursor)
        state.on("signals", self.draw)
        state.on("cursor", self._guide)

    def draw(self) -> None:
        """The mean of all people, each about the own middle and by the own spread."""
        signal = self.rows.signals()[0]
        n = len(signal.series.people)
        length = signal.series.seconds.size
        places, values = signal.pyramid.envelope(np.arange(n), 0, length, _STEPS)
        middle, spread = signal.scale()
        curve = mean_of_there((values - middle[:, None]) / spread[:, None], 0)
        x = np.interp(places, np.arange(length), signal.series.seconds)
        self.source.data = {"x": x, "y": curve.astype(np.float32)}

    def _guide(self) -> None:
        self.cursor.location = self.state.cursor
