"""The window without a page: ranges and widgets are moved, the models show what they should."""

import time

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.server.callbacks import NextTickCallback

from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window.pages import Pages


def curves(window, k=0):
    """Heights of each curve over its row, split where the line is broken."""
    data = window.rows.lines[k].data
    ends = np.flatnonzero(np.isnan(data["x"]))
    return [
        (data["x"][a:b], data["y"][a:b])
        for a, b in zip([0, *(ends[:-1] + 1)], ends, strict=True)
    ]


def test_rows__are_the_people_in_view_about_their_middle(window_of, embedding):
    window = window_of(embedding)
    found = curves(window)
    assert len(found) == 5
    x, y = found[3]
    np.testing.assert_allclose(x, np.arange(251) / 25)
    own = embedding.values[3, :, 0].astype("f8")
    low, middle, high = np.nanquantile(own, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(y, 3 - 0.8 * (own[:251] - middle) / (high - low), atol=1e-5)
    assert np.isnan(found[2][1]).all()
    assert window.rows.figure.yaxis[0].major_label_overrides[2] == "42"


def test_rows__of_a_long_view_keep_the_spike(window_of, embedding):
    window = window_of(embedding)
    window.rows.x_range.update(start=0, end=40)
    x, y = curves(window)[1]
    assert x[np.nanargmin(y)] == pytest.approx(500 / 25, abs=0.1)
    assert np.isnan(y[(x > 4.1) & (x < 5.8)]).all()


def test_common_scale__is_one_step_for_all(window_of, embedding):
    window = window_of(embedding)
    window.controls.common.active = True
    assert window.rows.figure.title.text == "mean (from row to row 5 °C)"
    _, y = curves(window)[4]
    own = embedding.values[4, :251, 0].astype("f8")
    np.testing.assert_allclose(np.ptp(y), np.ptp(own) / 5, rtol=1e-5)


def test_scale_bars__have_the_height_of_their_units(window_of, embedding):
    window = window_of(embedding)
    assert window.bars.source.data["x"] == []
    window.bars.show.active = True
    data = window.bars.source.data
    assert data["middle"] == [0, 1, 3, 4]  # 42 is absent
    own = embedding.values[3, :, 0].astype("f8")
    low, high = np.nanquantile(own, [0.05, 0.95])
    k = data["middle"].index(3)
    value, unit = data["text"][k].split()
    rows = data["low"][k] - data["high"][k]
    assert rows == pytest.approx(0.8 * float(value) / (high - low), rel=1e-5)
    assert 0.4 <= rows <= 1
    assert unit == "°C"
    window.controls.common.active = True  # 5 °C from row to row
    data = window.bars.source.data
    assert data["text"] == ["2 °C"]
    assert data["low"][0] - data["high"][0] == pytest.approx(2 / 5)
    window.controls.butterfly.active = True
    data = window.bars.source.data
    assert data["text"] == [f"{data['low'][0] - data['high'][0]:g} °C"]


def test_scores_of_eigenfaces__are_told_from_the_record_and_not_the_text(window_of, embedding):
    scores = embedding.isel(feature=[0]).rename(feature="component")
    scores = scores.assign_coords(component=["pc0"])
    assert "faces can be drawn" in window_of(scores, embedding).status.text
    assert "faces can be drawn" not in window_of(embedding, scores).status.text
    alone = scores.sel(component="pc0").rename("pc0 · a: b")
    assert "faces can be drawn" in window_of(alone).status.text


def test_butterfly__lays_all_people_over_one_another_in_units(window_of, embedding):
    window = window_of(embedding)
    window.controls.butterfly.active = True
    found = curves(window)
    assert len(found) == 5
    own = embedding.values[0, :251, 0].astype("f8")
    middle = np.nanmedian(embedding.values[0, :, 0])
    np.testing.assert_allclose(found[0][1], own - middle, atol=1e-4)


def test_scrolling__moves_through_people_and_stays_inside(window_of, embedding):
    window = window_of(embedding)
    window.controls.rows.value = 2
    window.controls.first.value = 9
    assert window.state.visible() == [43, 44]
    assert window.controls.first.value == 3
    assert len(curves(window)) == 2


def test_features__have_their_own_colours_and_bands(window_of, embedding):
    window = window_of(embedding)
    window.controls.features.value = ["skew", "mean"]
    for signal in window.rows.signals():
        signal.read_all()
    window.tick()
    assert [len(curves(window, k)) for k in (0, 1)] == [5, 5]
    window.controls.features.value = []
    assert window.controls.features.value == ["skew", "mean"]
    window.controls.band.value = window.controls.band.options[2]
    assert window.state.band == "0.195 to 0.391 Hz"


def test_data__are_drawn_as_they_come(window_of, embedding):
    window = window_of(embedding)
    window.controls.band.value = window.controls.band.options[1]
    assert "0 % read" in window.status.text
    window.rows.signals()[0].read_all()
    window.tick()
    assert "read" not in window.status.text
    assert not window.rows.refresh()


def test_guide__is_one_for_all_parts(window_of, embedding):
    window = window_of(embedding)
    window.state.move_cursor(77.0)
    assert window.rows.cursor.location == window.overview.cursor.location == 40.0


def test_warm__begins_to_read_and_shows_nothing(embedding):
    material = Material([embedding])
    Pages(material).warm().join(30)
    signal = material.signal("mean")
    for _ in range(200):
        if signal.share == 1:
            break
        time.sleep(0.05)
    assert signal.share == 1
    assert (material.marks.version, material.marks.rows) == (0, [])
    material.close()


def test_first_page__has_the_window_that_was_built_before_it_was_asked_for(
    recording, embedding
):
    material = Material([recording, embedding], faces=True)
    pages = Pages(material)
    pages.warm().join(30)
    assert pages.warm() is pages.warm()
    built = pages._built
    session = built.portraits._session()
    while material.faces.kept(43, session, 0) is None:  # faces are read meanwhile
        time.sleep(0.01)
    first, second = Document(), Document()
    window = pages.fill(first)
    assert window is built
    assert window.layout in first.roots
    assert pages.fill(second) is not built
    for _ in range(200):
        waiting = [c for c in first.session_callbacks if isinstance(c, NextTickCallback)]
        if len(waiting) == 4:
            break
        time.sleep(0.05)
    assert not window.portraits.source.data["image"]  # no loop has run yet
    for callback in waiting:
        callback.callback()
    assert window.portraits.source.data["seen"] == [4]
    for page in (window, pages.fill(Document())):
        page.state.close()
    material.close()
