"""The window in the real browser, served by the real command: mouse, keys, table, film."""

import json
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import xarray as xr
from browser import needs_chromium
from chromium import Page

import fhemb_xr as fx

pytestmark = needs_chromium
IDLE = "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
FIND = "[...Bokeh.documents[0]._all_models.values()].find(m => m.name === '{}')"
BOX = "Bokeh.index.find_one(%s).el.getBoundingClientRect()"
SEEN = f"(r => r.width > 100 && r.height > 100)({BOX})"
PLACE = """(() => {
  const fig = [...Bokeh.documents[0]._all_models.values()].find(m => m.name === 'rows');
  const view = Bokeh.index.find_one(fig), box = view.canvas.el.getBoundingClientRect();
  const { x_scale, y_scale } = view.frame;
  return [box.x + x_scale.compute(%g), box.y + y_scale.compute(%g)];
})()"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The command with a recording and an embedding; what it said."""
    place = tmp_path_factory.mktemp("view")
    ds = fx.testing.audience(n_subjects=5, seconds=60, shape=(12, 9))
    ds.fhemb.save(place / "don.zarr")
    time_s, labels = ds.time.values, ds.subject.values
    values = np.random.default_rng(2).normal(30, 1, (5, time_s.size, 2)).cumsum(axis=1)
    coords = {"subject": labels, "time": time_s, "feature": ["mean", "p5"]}
    emb = xr.DataArray(values, coords, ("subject", "time", "feature"), name="embedding")
    fx.save(emb.astype("f4"), place / "emb.zarr")
    command = [sys.executable, "-m", "fhemb_cli", "view", "don.zarr", "emb.zarr",
               "--faces", "--no-browser", "--json"]  # fmt: skip
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    url = json.loads(process.stdout.readline())["url"]
    yield place, url, process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    process.stdout.close()


@pytest.fixture(scope="module")
def page(served, tmp_path_factory):
    page = Page(served[1], tmp_path_factory.mktemp("browser"))
    page.until(IDLE, 60)
    page.until(model("line0") + ".data.x.length > 1000")
    yield page
    page.close()


def model(name):
    return FIND.format(name)


def place(page, second, row):
    """Where a moment of a row is in the window."""
    return page.js(PLACE % (second, row))


def view_of(page):
    return page.js(f"(r => [r.start, r.end])({model('rows')}.x_range)")


def test_page__asks_nobody_but_its_server(page, served):
    hosts = {urlsplit(u).netloc for u in page.asked() if not u.startswith("data:")}
    assert hosts == {urlsplit(served[1]).netloc}
    assert page.complaints() == []


def test_keys__move_and_stretch_the_view(page):
    assert view_of(page) == [0, 10]
    page.key("ArrowRight")
    page.key("ArrowRight", shift=True)
    assert view_of(page) == [12.5, 22.5]
    page.until(f"Math.abs({model('line0')}.data.x[0] - 12.46) < 0.05")
    page.key("End")
    assert view_of(page) == [12.5, 25]
    page.key("ArrowLeft", shift=True)
    page.key("Home")
    assert view_of(page) == [0, 10]
    page.key("b")
    page.until(f"{model('rows')}.title.text.includes('people about their own middle')")
    assert page.js(f"{model('rows')}.left[0].major_label_overrides.get(0)") == "0"
    page.key("b")
    page.until(f"!{model('rows')}.title.text.includes('middle')")


def test_keys__of_mne_show_bars_lines_help_and_the_rows_alone(page):
    page.key("s")
    page.until(f"{model('bars')}.data.text.length === 5")
    page.key("s")
    page.until(f"{model('bars')}.data.text.length === 0")
    page.key("0")
    assert page.js(f"{model('rows')}.center.filter(g => g.dimension === 1)[0].visible")
    page.key("0")
    page.key("?")
    assert page.js(SEEN % model("help"))
    page.key("Escape")
    page.until(f"!({SEEN % model('help')})")
    page.key("z")
    page.until(f"{model('rows')}.height > 700")
    assert not page.js(f"{model('overview')}.visible")
    page.key("z")
    page.until(f"{model('rows')}.height === 440 && {model('overview')}.visible")


def test_name__is_typed_and_the_next_key_is_a_command(page):
    x, y = page.js(f"(r => [r.x + r.width / 2, r.bottom - 14])({BOX % model('name')})")
    page.click(x, y)
    page.write("d")
    page.key("Enter")
    page.until(f"{model('name')}.value.includes('d')")
    page.until("document.activeElement === document.body")
    name = page.js(f"{model('name')}.value_input")
    page.key("d")
    assert page.js(f"{model('centre')}.active")
    assert page.js(f"{model('name')}.value_input") == name
    page.key("d")
    page.js(f"(m => {{ m.value = 'scene'; return true; }})({model('name')})")


def test_drag__in_the_overview_chooses_what_the_rows_show(page):
    over = PLACE.replace("'rows'", "'overview'")
    start, stop = (page.js(over % (s, 0.0))[0] for s in (5, 20))
    y = page.js("(v => v.canvas.el.getBoundingClientRect().y)(Bokeh.index.find_one("
                f"{model('overview')}))") + 30  # fmt: skip
    page.drag((start, y), (stop, y))
    page.until(f"Math.abs({model('rows')}.x_range.start - 15) < 0.5")
    page.key("ArrowLeft", shift=True)
    page.key("ArrowLeft", shift=True)


def test_span__is_dragged_and_read_back(page, served):
    page.key("a")
    page.drag(place(page, 3.0, 1.0), place(page, 6.0, 3.0))
    page.until(f"{model('marks')}.data.onset.length === 1")
    spans = fx.read_spans(served[0] / "don_events.tsv")
    assert spans.onset.item() == pytest.approx(3.0, abs=0.05)
    assert spans.duration.item() == pytest.approx(3.0, abs=0.1)
    assert spans.label.item() == "scene"
    page.key("a")
    page.drag(place(page, 6.0, 2.0), place(page, 8.0, 2.0))  # now the end of the span is pulled
    page.until(f"{model('marks')}.data.duration[0] > 4.5")
    assert fx.read_spans(served[0] / "don_events.tsv").duration.item() > 4.5
    page.key("Delete")
    page.until(f"{model('marks')}.data.onset.length === 0")
    page.key("u")
    page.until(f"{model('marks')}.data.onset.length === 1")
    calm = {"calm": (20, 25)}
    ds = fx.open_embedding(served[0] / "emb.zarr")
    named = {fx.read_spans(served[0] / "don_events.tsv").label.item(): (3, 8), **calm}
    assert fx.prepare(ds, named).sizes["sample"] == 10


def test_name__clicked_marks_a_bad_person(page, served):
    x, y = place(page, 0.0, 2.0)
    page.click(x - 12, y)
    page.until(f"{model('marks')}.data.onset.length === 2")
    spans = fx.read_spans(served[0] / "don_events.tsv")
    emb = fx.open_embedding(served[0] / "emb.zarr")
    assert fx.drop_bad(emb, spans).subject.values.tolist() == [40, 41, 43, 44]
    page.click(x - 12, y)
    page.until(f"{model('marks')}.data.onset.length === 1")


def test_film__keeps_the_time(page):
    page.click(*place(page, 2.0, 2.5))
    cursor = model("cursor")
    page.until(f"Math.abs({cursor}.location - 2) < 0.1")
    page.key(" ")
    page.until(f"{cursor}.location > 2.3")
    began, first = time.monotonic(), page.js(f"{cursor}.location")
    page.until(f"{cursor}.location > {first + 2}")
    assert page.js(f"{cursor}.location") - first < time.monotonic() - began + 0.5
    page.key(" ")
    image = page.js(f"(d => [...d.image[0]].filter(v => v > 0).length)({model('faces')}.data)")
    assert image > 100
    assert page.complaints() == []


def test_ctrl_c__ends_the_command(served, page):
    process = served[2]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
