"""The window as one tree of bokeh models: built for a page, or for a test without one."""

from html import escape
from typing import Any

from fhemb_xr import schema
from fhemb_xr.io import sensitivity
from fhemb_xr.plot import theme
from fhemb_xr.view import keys
from fhemb_xr.view.controls import Controls
from fhemb_xr.view.material import Material
from fhemb_xr.view.overview import Overview
from fhemb_xr.view.rows import Rows
from fhemb_xr.view.state import State

_TICK_MS = 200
"""How often a page asks whether more has been read."""
_TAP = "for (const c of cursors) c.location = cb_obj.x;"


class Window:
    """One window of the viewer: its state, its parts, its layout."""

    def __init__(
        self, material: Material, document: Any = None, feature: str | None = None
    ) -> None:
        models = theme.bokeh_models()
        self.state = state = State(material, document)
        state.names = [feature] if feature else state.names
        self.controls = Controls(state)
        self.rows = Rows(state, self.controls.clock)
        self.overview = Overview(state, self.rows, self.controls.clock)
        self.status = models.Div(text="", sizing_mode="stretch_width", name="status")
        self.more_keys: dict[str, str] = {}
        self._let_tap()
        state.on("signals rows window cursor data", self._say)
        state.changed("signals")
        self.layout = self._arranged()

    def tick(self) -> None:
        """Show what has been read since the last time."""
        if self.rows.refresh():
            self.overview.draw()
            self.state.changed("data")

    def _arranged(self) -> Any:
        from bokeh.layouts import column, row

        self.controls.tell_keys(self.more_keys)
        left = column(
            self.overview.figure, self.rows.figure, sizing_mode="stretch_width", min_width=300,
            styles={"flex": "3 1 620px"},
        )  # fmt: skip
        return column(
            self.controls.layout, self.controls.help, self.status,
            row(left, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}),
            sizing_mode="stretch_width", name="viewer",
        )  # fmt: skip

    def _let_tap(self) -> None:
        """A click puts the guide there: in the page at once, and here."""
        models = theme.bokeh_models()
        cursors = [self.rows.cursor, self.overview.cursor]
        for fig in (self.rows.figure, self.overview.figure):
            fig.js_on_event("tap", models.CustomJS(args={"cursors": cursors}, code=_TAP))
            fig.on_event("tap", lambda event: self.state.move_cursor(event.x))

    def _say(self) -> None:
        state, signals = self.state, self.rows.signals()
        people = state.material.people
        shown = f"{len(state.visible())} of {len(people)} people"
        share = min(s.share for s in signals)
        words = [f"Guide at {state.cursor:.2f} s", shown]
        words += [f"{100 * share:.0f} % read"] if share < 1 else []
        words += [s.error for s in signals if s.error][:1]
        words += _warning(state)
        self.status.text = " · ".join(escape(w) for w in words)

    def listener(self) -> Any:
        """The callback that makes a page listen to keys."""
        return keys.listener({"x_range": self.rows.x_range, **self.controls.models()})


def _warning(state: State) -> list[str]:
    """What these curves give away of the people."""
    shown = [n.partition(" · ")[0].rpartition(": ")[2] for n in state.names]
    if sensitivity.invertible(shown):
        return ["Scores of eigenfaces: with the basis, faces can be drawn from these curves"]
    return []


def fill(document: Any, material: Material, feature: str | None = None) -> Window:
    """Build a window into a document of the server."""
    window = Window(material, document, feature)
    recording = material.recording
    title = "" if recording is None else str(recording.attrs.get("title", ""))
    document.title = f"{title or schema.EMBEDDING.capitalize()} · fhemb view"
    document.add_root(window.layout)
    document.js_on_event("document_ready", window.listener())
    document.add_periodic_callback(window.tick, _TICK_MS)
    document.on_session_destroyed(lambda context: window.state.close())
    return window
