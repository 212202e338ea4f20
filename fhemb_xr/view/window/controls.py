"""Buttons, lists and numbers above the rows."""

from typing import Any

from fhemb_xr.plot import theme
from fhemb_xr.view.memory import series
from fhemb_xr.view.window import keys
from fhemb_xr.view.window.state import MOST_SIGNALS, State

_ALL = "all frequencies"


class Controls:
    """Widgets that change the state; keys of the page press them too."""

    def __init__(self, state: State) -> None:
        models = theme.bokeh_models()
        self.state = state
        names, people = [*state.material.series], len(state.material.people)
        self.features = models.MultiChoice(
            title="Features", value=state.names, options=names, max_items=MOST_SIGNALS,
            delete_button=True, search_option_limit=200, min_width=180,
            sizing_mode="stretch_width", styles={"flex": "2 1 200px"},
        )  # fmt: skip
        self.band = models.Select(
            title="Band", value=_ALL, options=self._bands(), width=150,
            visible=len(self._bands()) > 1,
        )  # fmt: skip
        self.first = models.Spinner(
            title="First row", value=0, low=0, high=max(0, people - 1), step=1, width=80
        )
        self.rows = models.Spinner(
            title="Rows", value=state.rows, low=1, high=max(1, people), step=1, width=70
        )
        self.gain = models.Spinner(value=1.0, visible=False)
        self.common = models.Toggle(label="Common scale", width=110, align="end")
        self.butterfly = models.Toggle(label="Butterfly", width=80, align="end")
        self.centre = models.Toggle(
            label="Middle of view", width=110, align="end", name="centre"
        )
        self.clock = models.Toggle(label="h:m:s", width=60, align="end")
        self.buttons = [self.common, self.butterfly, self.centre, self.clock]
        self.ask = models.Toggle(label="? Keys", width=70, align="end")
        self.help = models.Div(
            text="", visible=False, width=440, styles=keys.OVERLAY, name="help"
        )
        self.ask.js_link("active", self.help, "visible")
        self.features.on_change("value", self._features)
        self.band.on_change("value", lambda a, o, n: self._set("signals", band=self._band(n)))
        self.first.on_change("value", self._rows)
        self.rows.on_change("value", self._rows)
        self.gain.on_change("value", lambda a, o, n: self._set("rows", gain=float(n)))
        self.common.on_change("active", lambda a, o, n: self._set("rows", common_scale=n))
        self.butterfly.on_change("active", lambda a, o, n: self._set("rows", butterfly=n))
        self.centre.on_change("active", lambda a, o, n: self._set("rows", centre_on_view=n))

    @property
    def layout(self) -> Any:
        """One line, or several where the window is narrow."""
        from bokeh.layouts import row

        return row(
            self.features, self.band, self.first, self.rows, *self.buttons, self.ask,
            self.gain, sizing_mode="stretch_width",
            styles={"flex-wrap": "wrap"},
        )  # fmt: skip

    def models(self) -> dict[str, Any]:
        """The models that keys act on."""
        return {
            "first": self.first, "rows": self.rows, "gain": self.gain, "common": self.common,
            "butterfly": self.butterfly, "centre": self.centre, "clock": self.clock,
            "help": self.ask,
        }  # fmt: skip

    def tell_keys(self, more: dict[str, str]) -> None:
        """Fill the help."""
        self.help.text = keys.help_html({**keys.HELP, **more})

    def _bands(self) -> list[str]:
        source = self.state.material.series[self.state.names[0]]
        return [_ALL, *series.bands_of(source)]

    def _band(self, chosen: str) -> str:
        return "" if chosen == _ALL else chosen

    def _features(self, attr: str, old: list[str], new: list[str]) -> None:
        if not new:  # something has to be shown
            self.features.value = old or [next(iter(self.state.material.series))]
            return
        self.state.names = [*new]
        options = self._bands()
        if options != self.band.options:
            self.band.update(options=options, value=_ALL)
            self.state.band = ""
        self.state.changed("signals")

    def _rows(self, attr: str, old: int, new: int | None) -> None:
        people = len(self.state.material.people)
        rows = min(max(1, int(self.rows.value or 1)), people)
        first = min(max(0, int(self.first.value or 0)), max(0, people - rows))
        if first != self.first.value:
            self.first.value = first
        self._set("rows", first=first, rows=rows)

    def _set(self, topic: str, **values: Any) -> None:
        changed = {k: v for k, v in values.items() if getattr(self.state, k) != v}
        for name, value in changed.items():
            setattr(self.state, name, value)
        if changed:
            self.state.changed(topic)
