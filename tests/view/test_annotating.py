"""Marks made in the window: dragged, edited in the table, pulled at their ends, deleted."""

import pytest
from bokeh.events import AxisClick, SelectionGeometry

import fhemb_xr as fx
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window import app


@pytest.fixture
def window(embedding, tmp_path):
    material = Material([embedding], spans=tmp_path / "marks.tsv")
    material.readers.close()
    return app.Window(material)


def drag(window, x, y=(0.0, 1.0)):
    geometry = {"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    event = SelectionGeometry(window.rows.figure, geometry=geometry, final=True)
    window.rows.figure._trigger_event(event)


def test_drag__makes_a_span_with_the_name_that_was_typed(window):
    window.annotating.name.value = "aria"
    drag(window, (9.0, 4.0))
    spans = fx.read_spans(window.state.material.marks.path)
    assert (spans.onset.item(), spans.duration.item(), spans.label.item()) == (4.0, 5.0, "aria")
    assert window.annotating.boxes.data["left"] == [4.0]
    assert window.annotating.source.selected.indices == [0]
    assert (window.annotating.edges.left, window.annotating.edges.right) == (4.0, 9.0)


def test_drag__over_the_rows_of_single_people_is_theirs(window):
    window.annotating.own.active = True
    drag(window, (1, 2), (0.6, 2.2))
    assert [r["subject"] for r in window.state.material.marks.rows] == [41, 42]
    assert window.annotating.boxes.data["top"] == [0.5, 1.5]
    window.controls.rows.value, window.controls.first.value = 2, 2
    assert window.annotating.boxes.data["top"] == [-0.5]


def test_table__is_edited_by_hand(window):
    drag(window, (4, 9))
    source, marks = window.annotating.source, window.state.material.marks
    for field, value in (("end", 12.0), ("onset", 5.0), ("trial_type", "duet"),
                         ("subject", "43"), ("duration", 1.5)):  # fmt: skip
        source.patch({field: [(0, value)]})
    assert marks.rows == [{"onset": 5.0, "duration": 1.5, "trial_type": "duet", "subject": 43}]
    assert source.data["end"] == [6.5]
    source.patch({"subject": [(0, "nobody")]})
    source.patch({"onset": [(0, -7)]})
    assert marks.rows[0]["subject"] == 43
    assert (source.data["subject"], source.data["onset"]) == (["43"], [5.0])


def test_ends__of_the_chosen_span_can_be_pulled(window):
    drag(window, (4, 9))
    window.annotating.edges.right = 11.0
    assert window.state.material.marks.rows[0]["duration"] == 7.0
    window.annotating.move.active = False
    assert not window.annotating.edges.visible


def test_keys__delete_and_undo(window):
    drag(window, (4, 9))
    window.annotating.presses.value += 1
    assert window.state.material.marks.rows == []
    window.annotating.backs.value += 1
    assert len(fx.read_spans(window.state.material.marks.path).event) == 1


def test_name__clicked_is_a_bad_person_in_grey(window):
    for signal in window.rows.signals():
        signal.read_all()
    axis = window.rows.figure.yaxis[0]
    axis._trigger_event(AxisClick(axis, 3.2))
    assert window.state.bad_people() == {43}
    assert axis.major_label_overrides[3] == "✗ 43"
    assert len(window.rows.lines[-1].data["x"]) == 252
    assert "1 bad" in window.status.text
    axis._trigger_event(AxisClick(axis, -0.6 - 3.4))  # as bokeh 3.9 says it
    assert window.state.bad_people() == set()


def test_windows__show_what_another_one_marked(window):
    other = app.Window(window.state.material)
    drag(window, (4, 9))
    other.tick()
    assert other.annotating.source.data["onset"] == [4.0]


class Waiting:
    """A document whose timers run when they are told to."""

    def __init__(self):
        self.calls = []

    def add_timeout_callback(self, call, wait_ms):
        self.calls.append(call)
        return call

    def remove_timeout_callback(self, call):
        self.calls.remove(call)

    def run(self):
        while self.calls:
            self.calls.pop(0)()


def written(tmp_path, embedding, text):
    """A window onto a file of marks, its timers waiting."""
    path = tmp_path / "marks.tsv"
    path.write_text("onset\tduration\ttrial_type\n" + text)
    material = Material([embedding], spans=path)
    material.readers.close()
    window = app.Window(material)
    window.state.document = Waiting()
    return window, material.marks


def test_choice__of_a_span_changes_nothing(embedding, tmp_path):
    window, marks = written(tmp_path, embedding, "1.123456\t1\ta\n2\t9999\tb\n")
    before = marks.path.read_bytes()
    for place in (0, 1):
        window.annotating.source.selected.indices = [place]
        window.state.document.run()
    assert marks.path.read_bytes() == before
    assert marks.version == 0


def test_edit__of_one_row_keeps_what_another_has(embedding, tmp_path):
    window, marks = written(tmp_path, embedding, "0.123456\t1.111111\ta\n2\t1\tb\n")
    window.annotating.source.patch({"trial_type": [(1, "new")]})
    assert [(r["onset"], r["trial_type"]) for r in marks.rows] == [(0.123456, "a"), (2, "new")]


def test_choice__is_let_go_when_places_move(embedding, tmp_path):
    window, marks = written(tmp_path, embedding, "1\t1\tx\n2\t1\ty\n")
    window.annotating.source.selected.indices = [1]
    marks.add(0, 0.5, "first")
    window.annotating.refresh()
    window.annotating.presses.value += 1
    assert marks.labels() == ["first", "x", "y"]


def test_edit__of_a_window_that_is_behind_takes_nothing_back(embedding, tmp_path):
    window, marks = written(tmp_path, embedding, "1\t1\tx\n2\t1\ty\n")
    marks.change(0, trial_type="other")  # by another window
    window.annotating.source.patch({"trial_type": [(1, "mine")]})
    assert marks.labels() == ["other", "y"]
    assert window.annotating.source.data["trial_type"] == ["other", "y"]
