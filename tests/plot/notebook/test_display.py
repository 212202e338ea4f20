"""Figures and films as an executed notebook holds them."""

import base64
import re
import time
from html import escape, unescape

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from browser import needs_chromium
from chromium import Page
from drawn import lagged_map, relation_of

import fhemb_xr as fx
from fhemb_xr.accessor import FIGURES
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot.notebook import embedding, film
from fhemb_xr.plot.theme import MISSING

ADDRESS = re.compile(r"https?://[\w.-]*(?:cdn|unpkg|jsdelivr)")


@pytest.fixture
def bundle(monkeypatch):
    monkeypatch.delenv(embedding.SWITCH, raising=False)
    return relation_of().fhemb.plot.dendrogram()._repr_mimebundle_()[0]


def test_figure__is_whole_and_asks_for_nothing(bundle):
    page = unescape(bundle["text/html"])
    assert page.count('"name":"Figure"') == len(re.findall(r'"sizing_mode":"fixed"', page)) == 1
    assert not ADDRESS.search(page)
    assert "default-src 'none'" in page
    assert "Tree by average linkage" in page  # said to those who do not see it
    assert len(page) < 1e6


def test_figure__has_its_picture_beside_it(bundle):
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert base64.b64encode(bundle["image/png"]).decode() in bundle["text/html"]


def test_switch__gives_small_files_or_pictures_only(monkeypatch):
    figure = relation_of().fhemb.plot.relation()
    monkeypatch.setenv(embedding.SWITCH, "cdn")
    small = figure._repr_mimebundle_()[0]["text/html"]
    assert ADDRESS.search(small)
    assert len(small) < 2e5
    monkeypatch.setenv(embedding.SWITCH, "PNG")
    assert "text/html" not in figure._repr_mimebundle_()[0]
    monkeypatch.setenv(embedding.SWITCH, "svg")
    with pytest.raises(ValueError, match=r"FHEMB_PLOTS='svg'.*inline, cdn, png"):
        figure._repr_mimebundle_()


def test_film__is_shown_saved_and_named(heat, tmp_path):
    shown = heat.fhemb.plot.player(68)
    assert repr(shown).startswith("<Film of a face: 40 frames, 1.6 s at 25 Hz")
    data = shown._repr_mimebundle_()
    assert {"text/html", "image/png", "text/plain"} == set(data)
    assert "<iframe" in data["text/html"]
    with pytest.raises(ValueError, match="faces=True"):
        shown.save(tmp_path / "film.html")
    assert shown.save(tmp_path / "film.html", faces=True).stat().st_size > 1e5


def test_film__of_many_pixels_shows_its_stills_and_what_to_do(heat, monkeypatch):
    monkeypatch.setattr(film, "MOST_SHOWN", 100)
    html = heat.fhemb.plot.player()._repr_mimebundle_()["text/html"]
    assert "<iframe" not in html
    assert "<img" in html
    assert ".fhemb.select(seconds=" in html


def test_null__is_grey_in_print():
    from matplotlib.colors import to_rgba

    r = lagged_map()
    null = xr.Dataset({"null_low": r * 0 - 0.1, "null_high": r * 0 + 0.1})
    whole = null.assign(observed=r)
    from fhemb_xr.plot.theme import backends

    drawn = backends().render(whole.fhemb.plot.lagged_at(0), backend="matplotlib")
    colours = [tuple(c.get_facecolor()[0]) for c in drawn.axes[0].collections]
    assert to_rgba(MISSING) in colours


def test_dataset__is_drawn_or_says_what_it_holds(heat):
    emb = xr.DataArray(np.zeros((2, 5)), dims=("subject", "time"), name="a")
    both = xr.Dataset({"a": emb, "b": emb})
    with pytest.raises(SchemaError, match=r"has 2 of them.*'a': \('subject', 'time'\).*'b'"):
        both.fhemb.plot.signal()
    with pytest.raises(SchemaError, match="has 0 of them"):
        both.fhemb.plot.relation()
    one = xr.Dataset({"relation": relation_of()})
    assert one.fhemb.plot.relation() is not None
    recording = heat.to_dataset(name="heatmap").assign_attrs(sampling_rate=25.0)
    assert recording.fhemb.plot.signal() is not None
    assert recording.fhemb.plot.frames(n=2) is not None


def test_figures__show_their_own_signature_and_docstring():
    import inspect

    shown = fx.testing.audience(n_subjects=1, seconds=1).fhemb.plot
    for name in FIGURES:
        function, method = getattr(fx.plot, name), getattr(shown, name)
        assert method.__doc__ == function.__doc__
        theirs = list(inspect.signature(function).parameters)[1:]
        assert list(inspect.signature(method).parameters) == theirs


@needs_chromium
def test_figure__is_drawn_in_a_sandbox_that_knows_nothing_of_jupyter(bundle, tmp_path):
    picture = base64.b64encode(bundle["image/png"]).decode()
    html = bundle["text/html"].replace(picture, "")  # what is seen is drawn by the scripts
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<!DOCTYPE html><iframe sandbox="allow-scripts" style="width:900px;height:600px" '
        f'srcdoc="{escape(html)}"></iframe>'
    )
    page = Page(frame.as_uri(), tmp_path)
    try:
        page.until("document.readyState === 'complete' && location.protocol === 'file:'")
        for _ in range(200):
            page.picture(tmp_path / "frame.png")
            seen = plt.imread(tmp_path / "frame.png")[:600, :900, :3]
            blue = (seen[..., 2] > seen[..., 0] + 0.3).sum()
            if blue > 200:
                break
            time.sleep(0.1)
        assert blue > 200
        assert not {url for url in page.asked() if url.startswith(("http", "ws"))}
    finally:
        page.close()
