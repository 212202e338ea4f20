import os
import re
import stat

import numpy as np
import pytest
import xarray as xr
from browser import needs_chromium, opened

from fhemb_xr.plot import files, theme

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")

LOADS = re.compile(r"""(?:\ssrc|\shref|@import|url\()\s*=?\s*["']?(?:https?:)?//""")
PRESS = """<script>
const wait = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  await wait(1000);
  const all = [...Bokeh.documents[0]._all_models.values()];
  const slider = all.find(m => m.type == "Slider"), film = all.find(m => m.name == "packed");
  const shown = all.find(m => m.type == "ColumnDataSource" && m.data.image);
  slider.value = 7;
  await wait(200);
  const n = shown.data.image[0].length;
  const same = shown.data.image[0].every((v, i) => v === film.data.level[7 * n + i]);
  const word = await fetch("http://127.0.0.1:9/").then(() => "let out", () => "held back");
  const play = all.find(m => m.type == "Toggle");
  play.active = true;
  const begin = performance.now();
  await wait(600);
  const due = 7 + (performance.now() - begin) / 40;
  document.title = `${same} ${word} ${Math.abs(slider.value - due) < 5} ${slider.value > 7}`;
})();
</script>"""


def test_save_figure__writes_each_kind(tmp_path, relation):
    figure = plot.relation(relation)
    heads = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!DOCTYPE html>"}
    for kind, head in heads.items():
        path = files.save_figure(figure, tmp_path / f"relation{kind}")
        assert path.read_bytes().startswith(head)
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"relation{k}" for k in heads)


def test_save_figure__keeps_text_as_text(tmp_path, relation):
    svg = files.save_figure(plot.relation(relation), tmp_path / "a.svg").read_text()
    assert "DTW distance [°C]" in svg
    assert re.search(r"<text[^>]*>\s*44\s*</text>", svg)


@pytest.mark.parametrize("kind", [".png", ".svg", ".pdf", ".html"])
def test_save_figure__same_figure_same_bytes(tmp_path, relation, kind):
    first = files.save_figure(plot.dendrogram(relation), tmp_path / f"a{kind}").read_bytes()
    again = files.save_figure(plot.dendrogram(relation), tmp_path / f"b{kind}").read_bytes()
    assert first == again


def test_save_figure__prints_at_300_dots_an_inch(tmp_path, relation):
    from matplotlib import image

    path = files.save_figure(plot.relation(relation), tmp_path / "a.png")
    assert 3 * 300 < image.imread(path).shape[1] < 4.5 * 300


def test_save_figure__refuses_other_endings_and_a_still_player(tmp_path, heat, relation):
    with pytest.raises(ValueError, match=r"the endings are \.png, \.svg, \.pdf and \.html"):
        files.save_figure(plot.relation(relation), tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"save it as \.html"):
        files.save_figure(plot.player(heat), tmp_path / "a.png", faces=True)
    assert not list(tmp_path.iterdir())


def test_save_figure__shows_a_face_only_if_told(tmp_path, heat, relation):
    basis = xr.Dataset({"components": (("component", "y", "x"), np.ones((2, 4, 3)))})
    shown = [plot.frames(heat), plot.eigenfaces(basis), plot.player(heat)]
    both = theme.backends().Layout([plot.relation(relation), plot.frames(heat)])
    for i, figure in enumerate([*shown, both]):
        with pytest.raises(ValueError, match=rf"'{i}\.html' would show a face: with that"):
            files.save_figure(figure, tmp_path / f"{i}.html")
    assert not list(tmp_path.iterdir())
    files.save_figure(plot.frames(heat), tmp_path / "a.png", faces=True)


def test_publish__a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    files.publish(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        files.publish(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_html__forbids_and_holds_no_request(tmp_path, heat):
    page = files.save_figure(plot.player(heat), tmp_path / "film.html", faces=True).read_text()
    assert page.index("Content-Security-Policy") < page.index("<script>")
    assert "default-src 'none'" in page
    assert not LOADS.search(page)
    assert len(page) < 2e6  # bokeh once, without what no figure uses
    assert LOADS.search('<script src="https://cdn.bokeh.org/a.js">')


@needs_chromium
def test_player__paints_the_frame_asked_for_plays_and_asks_for_nothing(tmp_path, heat):
    page = files.save_figure(plot.player(heat), tmp_path / "film.html", faces=True)
    head, _, tail = page.read_text().rpartition("</body>")
    page.write_text(head + PRESS + "</body>" + tail)
    dom, asked = opened(page, tmp_path)
    assert re.search("<title>(.*?)</title>", dom)[1] == "true held back true true"
    assert asked == set()


@needs_chromium
def test_net_log__sees_a_page_that_asks(tmp_path):
    page = tmp_path / "asks.html"
    page.write_text('<img src="http://127.0.0.1:9/a.png">')
    assert opened(page, tmp_path)[1] == {"http://127.0.0.1:9/a.png"}
