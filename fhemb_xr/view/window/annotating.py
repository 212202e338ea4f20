"""The part with marks: drag a span, name it, change it, delete it; bad people."""

from html import escape
from typing import Any

import numpy as np

from fhemb_xr.clock import spans
from fhemb_xr.plot import theme
from fhemb_xr.view.memory.marks import BAD, TYPE, Marks
from fhemb_xr.view.window import look
from fhemb_xr.view.window.overview import Overview
from fhemb_xr.view.window.rows import Rows
from fhemb_xr.view.window.state import State

KEYS = {
    "a": "mark: drag in the rows makes a span (again: drag moves the view)",
    "o": "the span is of the people in the dragged box alone",
    "p": "the chosen span can be moved, its ends dragged",
    "Delete": "delete the chosen spans",
    "u, Ctrl+Z": "undo the last change of marks",
    "click on a name": "bad person, or good again",
}
_COLUMNS = (spans.ONSET, spans.DURATION, "end", TYPE, spans.SUBJECT)
_BAD_COLOUR = "#888888"
_DRAG = "pan.active = !cb_obj.active; box.active = cb_obj.active;"
_COLOUR = "cb_obj.button_type = cb_obj.active ? 'primary' : 'default';"
_HEIGHT = 190
_CELL_S = 5e-5
"""Cells of the table are rounded to 0.0001 s; the marks themselves are not."""


class Annotating:
    """The table of marks, the boxes in the figures, and what changes them."""

    def __init__(self, state: State, rows: Rows, overview: Overview, marks: Marks) -> None:
        models = theme.bokeh_models()
        self.state, self.rows, self.overview, self.marks = state, rows, overview, marks
        self._drawn, self._filling = -1, False
        self.mark = models.Toggle(label="Mark", width=60, align="end")
        self.own = models.Toggle(label="Single people", width=105, align="end")
        self.move = models.Toggle(label="Move", width=60, align="end", active=True)
        self.name = models.AutocompleteInput(
            title="Name of the next span", value="scene", restrict=False, min_characters=0,
            case_sensitive=False, sizing_mode="stretch_width", min_width=110, name="name",
        )  # fmt: skip
        self.delete = models.Button(label="Delete", width=65, align="end")
        self.back = models.Button(label="Undo", width=55, align="end")
        self.presses = models.Spinner(value=0, visible=False, name="delete")
        self.backs = models.Spinner(value=0, visible=False, name="undo")
        self.source = models.ColumnDataSource({n: [] for n in _COLUMNS}, name="marks")
        self.table = self._table()
        self.status = models.Div(text="", sizing_mode="stretch_width")
        self.boxes = models.ColumnDataSource(_no_boxes(), name="boxes")
        self.edges = models.BoxAnnotation(
            left=0, right=0, editable=True, resizable="x", movable="x", visible=False,
            fill_alpha=0, fill_color=theme.CYCLE[1], line_color=theme.CYCLE[1],
            use_handles=False, level="overlay", name="edges",
            hover_fill_color=theme.CYCLE[1], hover_fill_alpha=0.05, line_width=2,
        )  # fmt: skip
        self._draw_into_figures()
        self._listen()
        state.bad_people = self._bad  # type: ignore[method-assign]
        self.refresh()

    @property
    def layout(self) -> Any:
        """Buttons, table, and where the marks are kept."""
        from bokeh.layouts import column, row

        buttons = (self.mark, self.own, self.move, self.delete, self.back)
        return column(
            row(self.name, *buttons, self.presses, self.backs, sizing_mode="stretch_width",
                styles={"flex-wrap": "wrap"}),
            self.table, self.status, sizing_mode="stretch_width", name="annotating",
        )  # fmt: skip

    def refresh(self) -> None:
        """Show the marks as they are, also those that another window has made."""
        if self._drawn == self.marks.version:
            return
        self._drawn = self.marks.version
        self.source.selected.indices = []  # places have moved; the caller chooses again
        self._fill()
        self.name.completions = [*dict.fromkeys([*self.marks.labels(), BAD])]
        path = self.marks.path
        kept = f"kept in {path.name}" if path else "not kept: give a file with --spans"
        n = len(self.marks.rows)
        text = self.marks.problem or f"{n} span{'s' * (n != 1)}, {kept}"
        self.status.text = escape(text)
        self._boxes()
        self.state.changed("people")

    def dragged(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """A span was dragged in the rows."""
        low, high = self.state.material.extent
        start, stop = (min(max(v, low), high) for v in sorted(x))
        if stop <= start:
            return
        people: list[Any] = [None]
        if self.own.active:
            visible, (top, bottom) = self.state.visible(), sorted(y)
            people = [p for k, p in enumerate(visible) if top <= k <= bottom]
            middle = self.rows.person_at((top + bottom) / 2)
            people = people or [p for p in (middle,) if p is not None]
        place = None
        for person in people:
            place = self.marks.add(start, stop, self.name.value or "scene", person)
        self.refresh()
        self.source.selected.indices = [] if place is None else [place]

    def _listen(self) -> None:
        models, state, fig = theme.bokeh_models(), self.state, self.rows.figure
        box = models.BoxSelectTool(persistent=False, name="mark")
        fig.add_tools(box)
        pan = next(t for t in fig.tools if isinstance(t, models.PanTool))
        fig.toolbar.active_drag = pan
        tools = {"pan": pan, "box": box}
        self.mark.js_on_change("active", models.CustomJS(args=tools, code=_DRAG))
        for toggle in (self.mark, self.own):  # a drag that marks must not be taken for a move
            toggle.js_on_change("active", models.CustomJS(code=_COLOUR))
        fig.on_event("selectiongeometry", self._selected_box)
        fig.yaxis[0].on_event("axis_click", self._named)
        self.source.on_change("data", self._edited)
        self.source.selected.on_change("indices", lambda a, o, n: self._edge())
        self.move.on_change("active", lambda a, o, n: self._edge())
        for end in ("left", "right"):
            self.edges.on_change(end, lambda a, o, n: state.later("edge", self._pulled, 150))
        self.delete.on_click(self._delete)
        self.presses.on_change("value", lambda a, o, n: self._delete())
        self.back.on_click(self._undo)
        self.backs.on_change("value", lambda a, o, n: self._undo())
        state.on("rows signals", self._boxes)

    def _selected_box(self, event: Any) -> None:
        found = event.geometry
        if event.final and found.get("type") == "rect":
            self.dragged((found["x0"], found["x1"]), (found["y0"], found["y1"]))

    def _named(self, event: Any) -> None:
        if event.value is None:
            return
        top, value = self.rows.y_range.end, float(event.value)
        # bokeh 3.9 counts upwards from the top of an axis that runs downwards
        person = self.rows.person_at(2 * top - value if value < top else value)
        if person is not None:
            self.marks.turn_bad(person, self.state.material.extent)
            self.refresh()

    def _delete(self) -> None:
        if self.source.selected.indices and not self._is_behind():
            self.marks.remove([*self.source.selected.indices])
            self.refresh()

    def _undo(self) -> None:
        self.marks.undo()
        self.refresh()

    def _is_behind(self) -> bool:
        """Whether another window has changed the marks since; they are shown then."""
        behind = self._drawn != self.marks.version
        if behind:
            self.refresh()
        return behind

    def _bad(self) -> set[Any]:
        return self.marks.bad_people(self.state.material.extent)

    def _fill(self) -> None:
        rows = self.marks.rows
        columns: dict[str, list[Any]] = {n: [r.get(n) for r in rows] for n in _COLUMNS}
        columns["end"] = [round(r[spans.ONSET] + r[spans.DURATION], 4) for r in rows]
        columns[spans.SUBJECT] = ["" if r[spans.SUBJECT] is None else str(r[spans.SUBJECT])
                                  for r in rows]  # fmt: skip
        self._filling = True
        if rows and len(self.source.data[TYPE]) == len(rows):
            # a cell may be changing now, and bokeh allows no new columns meanwhile
            self.source.patch({n: [(slice(None), values)] for n, values in columns.items()})
        else:
            self.source.data = columns
        self._filling = False
        self._edge()

    def _edited(self, attr: str, old: Any, new: Any) -> None:
        """A cell of the table was changed by hand."""
        if self._filling or self._is_behind():
            return
        for k, row in enumerate(self.marks.rows):
            change = self._change_of(row, {n: new[n][k] for n in _COLUMNS})
            if change:
                place = self.marks.change(k, **change)
                self.refresh()
                self.source.selected.indices = [place]
                return
        self._fill()  # what was typed is no time and no person: the table shows what holds

    def _change_of(self, row: dict[str, Any], typed: dict[str, Any]) -> dict[str, Any]:
        onset, duration = row[spans.ONSET], row[spans.DURATION]
        low, high = self.state.material.extent
        if str(typed[TYPE]) != row[TYPE]:
            return {TYPE: str(typed[TYPE])}
        who = str(typed[spans.SUBJECT] or "")
        if who != ("" if row[spans.SUBJECT] is None else str(row[spans.SUBJECT])):
            people = {str(p): p for p in self.state.material.people}
            return {spans.SUBJECT: people.get(who)} if who in people or not who else {}
        start, length, end = (_number(typed[n]) for n in (spans.ONSET, spans.DURATION, "end"))
        if start is not None and abs(start - onset) > _CELL_S and low <= start <= high:
            return {spans.ONSET: start}
        if length is not None and abs(length - duration) > _CELL_S and length >= 0:
            return {spans.DURATION: length}
        if end is not None and abs(end - onset - duration) > _CELL_S and end >= onset:
            return {spans.DURATION: round(end - onset, 4)}
        return {}

    def _edge(self) -> None:
        """The box whose ends can be dragged is that of the chosen span."""
        chosen = self.source.selected.indices
        if not self.move.active or len(chosen) != 1 or chosen[0] >= len(self.marks.rows):
            self.edges.visible = False
            return
        row = self.marks.rows[chosen[0]]
        stop = row[spans.ONSET] + row[spans.DURATION]
        self.edges.update(left=row[spans.ONSET], right=stop, visible=True)

    def _pulled(self) -> None:
        chosen = self.source.selected.indices
        if not self.edges.visible or len(chosen) != 1:
            return
        if self._is_behind():
            return
        row, (low, high) = self.marks.rows[chosen[0]], self.state.material.extent
        stop = row[spans.ONSET] + row[spans.DURATION]
        if (self.edges.left, self.edges.right) == (row[spans.ONSET], stop):
            return  # as _edge has put it: nobody pulled
        ends = sorted(round(min(max(float(e), low), high), 4)
                      for e in (self.edges.left, self.edges.right))  # fmt: skip
        length = round(ends[1] - ends[0], 4)
        if (ends[0], length) == (row[spans.ONSET], row[spans.DURATION]) or not length:
            return
        place = self.marks.change(chosen[0], **{spans.ONSET: ends[0], spans.DURATION: length})
        self.refresh()
        self.source.selected.indices = [place]

    def _boxes(self) -> None:
        """Pale boxes of all spans: over all rows, or over the row of one person."""
        visible = [] if self.state.butterfly else self.state.visible()
        labels = self.marks.labels()
        low, high = self.state.material.extent
        out = _no_boxes()
        for row in self.marks.rows:
            who, start = row[spans.SUBJECT], row[spans.ONSET]
            if who is not None and who not in visible:
                continue
            k = visible.index(who) if who is not None else 0
            top, bottom = (k - 0.5, k + 0.5) if who is not None else (-1e6, 1e6)
            colour = theme.CYCLE[labels.index(row[TYPE]) % len(theme.CYCLE)]
            colour = _BAD_COLOUR if spans.is_bad(row[TYPE]) else colour
            stop = start + max(row[spans.DURATION], 1e-4 * (high - low))
            height = max(top, -0.6) + 0.05
            values = (start, stop, top, bottom, colour, row[TYPE], height)
            for name, value in zip(out, values, strict=True):
                out[name].append(value)
        self.boxes.data = out

    def _draw_into_figures(self) -> None:
        for fig in (self.rows.figure, self.overview.figure):
            fig.quad(
                "left", "right", "top", "bottom", source=self.boxes, fill_color="colour",
                fill_alpha=0.16, line_color="colour", line_alpha=0.4, level="underlay",
            )  # fmt: skip
        self.rows.figure.text(
            "left", "y", "label", source=self.boxes, text_font_size=theme.PX["legend"],
            text_color=theme.INK, text_baseline="top", x_offset=3, level="underlay",
            text_font=look.FONT_OF_ALL,
        )  # fmt: skip
        self.rows.figure.add_layout(self.edges)
        self.overview.figure.y_range.renderers = [self.overview.figure.renderers[0]]

    def _table(self) -> Any:
        models = theme.bokeh_models()
        seconds = models.NumberFormatter(format="0.00")
        edit, text = models.NumberEditor(step=0.1), models.StringEditor()
        titles = {spans.ONSET: "Start [s]", "end": "End [s]", spans.DURATION: "Length [s]"}
        shown = {"formatter": seconds, "editor": edit, "width": 70}
        columns = [
            models.TableColumn(field=name, title=title, **shown)
            for name, title in titles.items()
        ]
        columns += [
            models.TableColumn(field=TYPE, title="Name", editor=text, width=110),
            models.TableColumn(field=spans.SUBJECT, title="Person", editor=text, width=60),
        ]
        return models.DataTable(
            source=self.source, columns=columns, editable=True, reorderable=False,
            sortable=False, index_position=None, height=_HEIGHT, sizing_mode="stretch_width",
            min_width=240,
        )  # fmt: skip


def _no_boxes() -> dict[str, list[Any]]:
    names = ("left", "right", "top", "bottom", "colour", "label", "y")
    return {name: [] for name in names}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return round(number, 4) if np.isfinite(number) else None
