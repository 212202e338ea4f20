"""The part with faces: of the chosen people at the guide, and as a film at true speed."""

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fhemb_xr.plot import theme
from fhemb_xr.view.memory.faces import F16, LEVELS, Faces, cell, limits_of, mosaic
from fhemb_xr.view.window import look
from fhemb_xr.view.window.state import THREADS, State

MOST_FACES = 12
FRAME_MS = 80
"""12.5 frames a second: a face of 25 Hz at every second frame."""
_GUIDE_EVERY = 4
"""Pictures from one place of the guide to the next: it makes the page draw all rows again."""
_PATIENCE_S = 0.2
"""From then on faces are shown as they come: each picture costs the page a drawing."""
_WIDTH, _HEIGHT = 380, 330
KEYS = {"space": "play, or stop the film"}


class Portraits:
    """Faces in one image, their film, and the choice of the people."""

    def __init__(
        self,
        state: State,
        faces: Faces,
        x_range: Any,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        models = theme.bokeh_models()
        self.x_range = x_range
        self.state, self._whole, self._now = state, faces, now
        self._small = state.material.small_faces
        people = [p for p in state.material.people if p in faces.people]
        self._by_name = {str(p): p for p in people}
        state.chosen = [p for p in state.chosen if p in people]
        most = MOST_FACES if self._small is None else len(people)
        self.choice = models.MultiChoice(
            title=f"Faces of (up to {most})", value=[str(p) for p in state.chosen],
            options=[*self._by_name], max_items=most, sizing_mode="stretch_width",
        )  # fmt: skip
        self.play = models.Toggle(label="Play", width=70, align="end")
        self.play.js_on_change(
            "active",
            models.CustomJS(code="cb_obj.label = cb_obj.active ? 'Stop' : 'Play'"),
        )
        self.source = models.ColumnDataSource(
            {"image": [], "w": [], "h": [], "seen": []}, name="faces"
        )
        self.names = models.ColumnDataSource({"x": [], "y": [], "text": []})
        self.figure = self._figure()
        self._limits: tuple[float, float] | None = None
        self._fetching: dict[tuple[Any, ...], int] = {}
        """Parts that are being read, by what was asked for."""
        self._wanted: tuple[tuple[Any, ...], Any, int] | None = None
        self._painted: Any = None
        """Session of the faces that are seen."""
        self._timer: Any = None
        self._begun = (0.0, 0.0)
        self._pictures = 0
        self.choice.on_change("value", self._chosen)
        self.play.on_change("active", self._toggled)
        state.on("cursor", self.show)
        state.on("signals", self.show)

    @property
    def faces(self) -> Faces:
        """What the faces are taken from: of many people the small ones, one a second."""
        many = len(self.state.chosen) > MOST_FACES
        return self._small if many and self._small is not None else self._whole

    @property
    def layout(self) -> Any:
        """Choice, button and faces."""
        from bokeh.layouts import column, row

        head = row(self.choice, self.play, sizing_mode="stretch_width")
        return column(head, self.figure, sizing_mode="stretch_width")

    def show(self) -> None:
        """Show the faces at the guide; those that must be decoded come when they are there."""
        people = tuple(self.state.chosen)
        k, session = self.faces.at(self.state.cursor), self._session()
        if self._wanted == (people, session, k) and self.source.data["image"]:
            return
        self._wanted = (people, session, k)
        if any(self.faces.kept(p, session, k) is None for p in people):
            self._fetch(k)
        else:
            self._paint(people, session, k)

    def step(self) -> None:
        """One picture of the film: the frame of this moment, so that late ones are left out."""
        began, first = self._begun
        second = first + self._now() - began
        if second >= self.state.material.extent[1] or second > self.faces.seconds[-1]:
            self.play.active = False
            return
        self._fetch(self.faces.next_piece(self.faces.at(second)))
        self._follow(second)
        self._pictures += 1
        if self._pictures % _GUIDE_EVERY == 1:
            self.state.move_cursor(second)
        else:
            self.state.cursor = second
            self.show()

    def _follow(self, second: float) -> None:
        """Turn the page of the rows when the film has left it."""
        start, stop = self.state.window
        if not start <= second < stop:
            last = self.state.material.extent[1]
            begin = min(second, max(last - (stop - start), self.state.material.extent[0]))
            self.x_range.update(start=begin, end=min(begin + stop - start, last))

    def _fetch(self, k: int) -> None:
        """Read the faces of a frame off the event loop, some of them by each thread."""
        session, faces = self._session(), self.faces
        key = (k, session, tuple(self.state.chosen))
        if key in self._fetching or k >= faces.seconds.size:
            return
        missing = [p for p in self.state.chosen if faces.kept(p, session, k) is None]
        parts = [missing[i::THREADS] for i in range(min(THREADS, len(missing)))]
        if parts:
            self._fetching[key] = len(parts)
        begun = self._now()
        for some in parts:
            self.state.aside(
                functools.partial(_read, faces, some, session, k),
                lambda _: self._arrived(key, begun),
            )

    def _arrived(self, key: tuple[Any, ...], begun: float) -> None:
        """Some faces have been read: show all at once, or what is there if it takes long."""
        self._fetching[key] -= 1
        if not self._fetching[key]:
            del self._fetching[key]
        elif self._now() - begun < _PATIENCE_S:
            return
        if self._wanted is not None:
            self._paint(*self._wanted)

    def _paint(self, people: tuple[Any, ...], session: Any, k: int) -> None:
        frames: list[F16 | None] = [self.faces.kept(p, session, k) for p in people]
        there = [f for f in frames if f is not None]
        if people and not there and self.source.data["image"] and session == self._painted:
            return  # the last picture stays until another one is there
        self._painted = session
        self._limits = self._limits or limits_of(there)
        columns = self._columns(len(people))
        image = mosaic(frames, self.faces.shape, columns, self._limits or (20.0, 40.0))
        height, width = image.shape
        self.source.data = {
            "image": [image], "w": [width], "h": [height], "seen": [len(there)],
        }  # fmt: skip
        if self.names.data["text"] != [str(p) for p in people]:
            self._name(people, columns)
        if self._limits:
            low, high = self._limits
            self.figure.title.text = f"{low:.1f} °C (dark) to {high:.1f} °C (bright)"

    def _name(self, people: tuple[Any, ...], columns: int) -> None:
        height, width = cell(self.faces.shape)
        head = height - self.faces.shape[0]
        self.names.data = {
            "x": [(i % columns) * width for i in range(len(people))],
            "y": [(i // columns) * height + head for i in range(len(people))],
            "text": [str(p) for p in people],
        }

    def _columns(self, n: int) -> int:
        """As many faces beside one another as fill the frame best."""
        height, width = cell(self.faces.shape)
        best = np.sqrt(n * (_WIDTH / _HEIGHT) * (height / width))
        return int(np.clip(np.ceil(best), 1, max(1, n)))

    def _figure(self) -> Any:
        from bokeh.palettes import inferno

        models = theme.bokeh_models()
        fig = look.figure(
            height=_HEIGHT, match_aspect=True, tags=[theme.FACE],
            x_range=models.DataRange1d(range_padding=0),
            y_range=models.DataRange1d(range_padding=0, flipped=True),
        )  # fmt: skip
        paint = models.LinearColorMapper(
            inferno(LEVELS + 1), low=0.5, high=LEVELS + 1.5, low_color=theme.MISSING
        )
        fig.image("image", x=0, y=0, dw="w", dh="h", source=self.source, color_mapper=paint)
        fig.text(
            "x", "y", "text", source=self.names, text_color=theme.INK, text_baseline="bottom",
            text_font_size="11px", text_font=look.FONT_OF_ALL,
        )  # fmt: skip
        fig.axis.visible = False
        fig.grid.visible = False
        return fig

    def _session(self) -> Any:
        return self.state.material.series[self.state.names[0]].session

    def _chosen(self, attr: str, old: list[str], new: list[str]) -> None:
        self.state.chosen = [self._by_name[name] for name in new]
        self._wanted = None
        self.show()

    def _toggled(self, attr: str, old: bool, new: bool) -> None:
        document = self.state.document
        self._pictures = 0
        if new:
            self._begun = (self._now(), self.state.cursor)
        if document is None:
            return
        if self._timer is not None:
            document.remove_periodic_callback(self._timer)
            self._timer = None
        if new:
            self._timer = document.add_periodic_callback(self.step, FRAME_MS)


def _read(faces: Faces, people: list[Any], session: Any, k: int) -> None:
    with contextlib.suppress(Exception):  # who cannot be read stays empty
        faces.read(people, session, k)
