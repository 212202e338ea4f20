import json
import os
import re
import shutil
import stat
import subprocess

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.plot import files, theme
from fhemb_xr.plot.pairwise import linkage
from fhemb_xr.plot.report import sections
from fhemb_xr.plot.report.page import report

plot = pytest.importorskip("fhemb_xr.plot")
hv = pytest.importorskip("holoviews")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)
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


@pytest.fixture(scope="module")
def relation():
    d = np.abs(np.subtract.outer(*[np.arange(5.0) ** 2] * 2))
    ids = range(40, 45)
    attrs = {"metric": "dtw", "units": "degC", "source": "/secret/folder"}
    return xr.DataArray(
        d,
        dims=linkage.PAIR,
        coords=dict.fromkeys(linkage.PAIR, ids)
        | dict(zip(linkage.PAIR, (ids, ids), strict=True)),
        attrs=attrs,
    )


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


def opened(page, folder, *flags, ms=6000):
    """The page's title in the end, and every address of the network it asked for."""
    log = folder / "net.json"
    more = (
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        f"--virtual-time-budget={ms}",
    )
    command = [CHROMIUM, *FLAGS, *more, *flags, "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    events = (e.get("params", {}) for e in json.loads(log.read_text())["events"])
    # what the browser asks for itself (its clock, its updates) has no origin
    own = "not an origin"
    asked = {e["url"] for e in events if "url" in e and e.get("initiator", own) != own}
    return dom, {url for url in asked if url.startswith(("http", "ws"))}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_player__paints_the_frame_asked_for_plays_and_asks_for_nothing(tmp_path, heat):
    page = files.save_figure(plot.player(heat), tmp_path / "film.html", faces=True)
    head, _, tail = page.read_text().rpartition("</body>")
    page.write_text(head + PRESS + "</body>" + tail)
    dom, asked = opened(page, tmp_path)
    assert re.search("<title>(.*?)</title>", dom)[1] == "true held back true true"
    assert asked == set()


@pytest.fixture(scope="module")
def parts():
    """A small audience, and stand-ins for its embedding, relation, map and basis."""
    ds = fx.testing.audience(
        n_subjects=5, seconds=4, shape=(16, 12), faceless=[43], title="A <b>night</b>"
    )
    ds.attrs["history"] = "2026-11-24T12:00:00Z 0.1.0 ingest"
    seen = ds.heatmap.where(ds.heatmap >= 25).fillna(0).compute()
    mean = seen.mean(("y", "x")).where(seen.max(("y", "x")) > 0)
    emb = mean.expand_dims(feature=["mean"], axis=-1)
    emb.attrs = {
        "sampling_rate": 25.0,
        "fhemb_spec": json.dumps({"version": 1, "names": ["mean"]}),
    }
    lagged = xr.DataArray(
        np.eye(4, 5), dims=("window", "lag"), coords={"window": range(4), "lag": range(-2, 3)}
    )
    rng = np.random.default_rng(0)
    basis = xr.Dataset(
        {
            "components": (("component", "y", "x"), rng.normal(size=(3, 16, 12))),
            "explained_variance_ratio": ("component", [0.5, 0.2, 0.1]),
        }
    )
    groups = xr.DataArray(
        [0, 0, 1, 1, 2], dims="subject", coords={"subject": ds.subject.values}
    )
    return ds, emb, {"lagged": lagged, "basis": basis, "clusters": groups}


@pytest.fixture(scope="module")
def written(tmp_path_factory, parts, relation):
    ds, emb, rest = parts
    return report(
        ds,
        emb,
        relation,
        tmp_path_factory.mktemp("out") / "new" / "report.html",
        faces=True,
        **rest,
    )


def test_report__holds_every_part_and_no_request(written):
    page = written.read_text()
    assert "<h1>A &lt;b&gt;night&lt;/b&gt;</h1>" in page
    assert "5 subjects, 1 session, 100 frames (4.0 s at 25 frames a second)" in page
    assert "<td>43</td><td>100</td><td>4.0</td><td>100.0 %</td>" in page
    assert [int(n) for n in re.findall(r"<b>Figure (\d+)\.</b>", page)] == list(range(1, 9))
    assert "2026-11-24T12:00:00Z 0.1.0 ingest" in page
    assert "fhemb_xr " in page
    assert "/secret" not in page
    assert not LOADS.search(page)
    assert len(page) < 5e6
    names = sorted(p.name for p in (written.parent / "figures").iterdir())
    assert len(names) == 16
    assert names[:2] == ["1_face.png", "1_face.svg"]


def test_report__says_what_of_the_lagged_map_is_more_than_chance(parts, relation):
    _, emb, rest = parts
    (drawn,) = sections.following(emb, relation, None)
    assert "outside 95\u00a0% of 99 circular shifts" in drawn.caption
    assert drawn.drawn.traverse(lambda x: x, [hv.Segments])
    given = next(sections.following(emb, relation, rest["lagged"]))
    assert "circular" not in given.caption
    absent = rest["clusters"].copy(data=[0, 0, 1, -1, 1])
    assert "the 2 groups" in list(sections.alike(relation, absent))[1].caption


def test_report__without_faces_shows_none_and_no_feature_that_gives_one(
    tmp_path, parts, relation
):
    ds, emb, rest = parts
    more = emb.assign_coords(feature=["pc0"])
    emb = xr.concat([more, emb], "feature").assign_attrs(emb.attrs)
    page = report(ds, emb, relation, tmp_path / "report.html", **rest).read_text()
    assert [int(n) for n in re.findall(r"<b>Figure (\d+)\.</b>", page)] == [1, 2, 3, 4, 5]
    assert "A face" not in page
    assert "<i>mean</i>" in page
    assert "<i>pc0</i>" not in page
    names = {p.name for p in (tmp_path / "figures").iterdir()}
    assert not [n for n in names if "face" in n]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_report__is_drawn_offline(written, tmp_path):
    head, _, tail = written.read_text().rpartition("</body>")
    count = "setTimeout(() => { document.title = Bokeh.documents[0].roots().length; }, 2000)"
    page = tmp_path / "report.html"
    page.write_text(f"{head}<script>{count}</script></body>{tail}")
    dom, asked = opened(page, tmp_path)
    assert re.search("<title>(.*?)</title>", dom)[1] == "8"
    assert asked == set()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_net_log__sees_a_page_that_asks(tmp_path):
    page = tmp_path / "asks.html"
    page.write_text('<img src="http://127.0.0.1:9/a.png">')
    assert opened(page, tmp_path)[1] == {"http://127.0.0.1:9/a.png"}


@pytest.mark.slow
def test_report__computes_what_it_is_not_given(tmp_path):
    ds = fx.testing.audience(n_subjects=6, seconds=12, shape=(16, 12), faceless=[43])
    heat = ds.heatmap.assign_attrs(ds.attrs)
    emb = fx.features(heat, ["mean", "skew"], threshold=25)
    relation = fx.pairwise(emb.isel(session=0).sel(feature=["mean"]), "correlation")
    page = report(ds, emb, relation, tmp_path / "report.html", faces=True).read_text()
    assert [int(n) for n in re.findall(r"<b>Figure (\d+)\.</b>", page)] == list(range(1, 9))
    assert re.search(r"Pearson correlation r of subject 4\d and subject 4\d in windows", page)
    assert "1 of 6 without a value" in page
