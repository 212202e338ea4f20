"""The window as one tree of bokeh models: built for a page, or for a test without one."""

from html import escape
from typing import Any

from fhemb_xr.io import sensitivity
from fhemb_xr.plot import theme
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window import annotating, keys, portraits, scale_bars
from fhemb_xr.view.window.annotating import Annotating
from fhemb_xr.view.window.controls import Controls
from fhemb_xr.view.window.overview import Overview
from fhemb_xr.view.window.portraits import Portraits
from fhemb_xr.view.window.rows import Rows
from fhemb_xr.view.window.scale_bars import ScaleBars
from fhemb_xr.view.window.seats import Seats
from fhemb_xr.view.window.state import State
from fhemb_xr.view.window.strips import Strips

_MARKS = """
  a: e => { mark.active = !mark.active; }, o: e => { own.active = !own.active; },
  p: e => { move.active = !move.active; }, Delete: e => { presses.value += 1; },
  u: e => { backs.value += 1; },
  Escape: e => { help.active = false; mark.active = false; }
"""
_PLAY = '" ": e => { play.active = !play.active; }'
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
        self.bars = ScaleBars(state, self.rows)
        self.controls.buttons.append(self.bars.show)
        self.overview = Overview(state, self.rows, self.controls.clock)
        self.status = models.Div(text="", sizing_mode="stretch_width", name="status")
        self.annotating = Annotating(state, self.rows, self.overview, material.marks)
        self.portraits = (
            Portraits(state, material.faces, self.rows.x_range) if material.faces else None
        )
        self.seats = Seats(state, self.rows) if len(material.people) > 1 else None
        self.strips = (
            Strips(state, self.rows.x_range, self.controls.clock) if material.results else None
        )
        self._let_tap()
        state.on("signals rows window cursor data people", self._say)
        state.changed("signals")
        self.layout = self._arranged()

    def tick(self) -> None:
        """Show what has been read since the last time."""
        if self.rows.refresh():
            self.overview.draw()
            self.state.changed("data")
        self.annotating.refresh()

    def _arranged(self) -> Any:
        from bokeh.layouts import column, row

        play: dict[str, str] = portraits.KEYS if self.portraits else {}
        self.controls.tell_keys({**scale_bars.KEYS, **annotating.KEYS, **play})
        buttons, marks = self.controls.layout, self.annotating.layout
        below = [self.strips.choice, self.strips.figure] if self.strips else []
        beside = [self.portraits.layout] if self.portraits else []
        beside += [self.seats.figure] if self.seats else []
        # marks are seen without scrolling: below the rows where faces fill the other side
        (below if self.portraits and not self.strips else beside).append(marks)
        left = column(
            self.overview.figure, self.rows.figure, *below, sizing_mode="stretch_width",
            min_width=300, styles={"flex": "3 1 620px"},
        )  # fmt: skip
        right = column(
            *beside, sizing_mode="stretch_width", min_width=300, styles={"flex": "1 1 320px"},
        )  # fmt: skip
        self._others = [buttons, self.overview.figure, *below, right]
        return column(
            buttons, self.controls.help, self.status,
            row(left, right, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}),
            sizing_mode="stretch_width", name="viewer",
        )  # fmt: skip

    def _let_tap(self) -> None:
        """A click puts the guide there: in the page at once, and here."""
        models = theme.bokeh_models()
        parts: list[Any] = [self.rows, self.overview, *([self.strips] if self.strips else [])]
        cursors = [part.cursor for part in parts]
        for fig in (part.figure for part in parts):
            fig.js_on_event("tap", models.CustomJS(args={"cursors": cursors}, code=_TAP))
            fig.on_event("tap", lambda event: self.state.move_cursor(event.x))

    def _say(self) -> None:
        state, signals = self.state, self.rows.signals()
        people = state.material.people
        shown = f"{len(state.visible())} of {len(people)} people"
        share = min(s.share for s in signals)
        words = [f"Guide at {state.cursor:.2f} s", shown]
        bad = len(state.bad_people())
        words += [f"{bad} bad"] if bad else []
        words += [f"{100 * share:.0f} % read"] if share < 1 else []
        words += [s.error for s in signals if s.error][:1]
        words += _warning(state)
        self.status.text = " · ".join(escape(w) for w in words)

    def listener(self) -> Any:
        """The callback that makes a page listen to keys."""
        marks = self.annotating
        models = {
            "x_range": self.rows.x_range, **self.controls.models(), "mark": marks.mark,
            "own": marks.own, "move": marks.move, "presses": marks.presses,
            "backs": marks.backs, "bars": self.bars.show,
            "base_lines": [*self.rows.figure.ygrid], "others": self._others,
            "figure": self.rows.figure,
        }  # fmt: skip
        if self.portraits is None:
            return keys.listener(models, f"{{{_MARKS}}}")
        models["play"] = self.portraits.play
        return keys.listener(models, f"{{{_MARKS}, {_PLAY}}}")


def _warning(state: State) -> list[str]:
    """What these curves give away of the people."""
    shown = [state.material.series[name].feature for name in state.names]
    if sensitivity.invertible(shown):
        return ["Scores of eigenfaces: with the basis, faces can be drawn from these curves"]
    return []
