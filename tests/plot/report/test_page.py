"""The report: what it says, and how it is read, drawn, printed and heard."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import dask
import dask.callbacks
import numpy as np
import pytest
import xarray as xr
from browser import needs_chromium, opened, print_pdf

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.plot.report import people, results, sections
from fhemb_xr.plot.report.page import report

hv = pytest.importorskip("holoviews")

LOADS = re.compile(r"""(?:\ssrc|\shref|@import|url\()\s*=?\s*["']?(?:https?:)?//""")


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
    return ds, emb, {"lagged": lagged, "results": [basis], "clusters": groups}


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
    assert '<th scope="row">43</th><td>100</td><td>4.0</td><td>100.0 %</td>' in page
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
    (drawn,) = sections.following(*dask.compute(*sections.closest(emb, relation)))
    assert "outside 95\u00a0% of 99 circular shifts" in drawn.caption
    assert drawn.drawn.traverse(lambda x: x, [hv.Segments])
    given = next(sections.following(rest["lagged"]))
    assert "circular" not in given.caption
    absent = rest["clusters"].copy(data=[0, 0, 1, -1, 1])
    assert "the 2 groups" in list(sections.alike(relation, absent))[1].caption


def test_report__without_faces_shows_none_and_no_feature_that_gives_one(
    tmp_path, parts, relation
):
    ds, emb, rest = parts
    more = emb.assign_coords(feature=["pc0"])
    emb = xr.concat([more, emb], "feature").assign_attrs(emb.attrs)
    page = report(ds, emb, relation, tmp_path / "report.html", figures="svg", **rest)
    page = page.read_text()
    assert [int(n) for n in re.findall(r"<b>Figure (\d+)\.</b>", page)] == [1, 2, 3, 4, 5]
    assert "A face" not in page
    assert "<i>mean</i>" in page
    assert "<i>pc0</i>" not in page
    files = [*(tmp_path / "figures").iterdir()]
    assert {p.suffix for p in files} == {".svg"}
    assert not [p for p in files if "face" in p.name]


def test_report__refuses_another_kind_of_figure_before_anything_is_read(tmp_path):
    with pytest.raises(UnknownNameError, match="tiff"):
        report(None, None, None, tmp_path / "report.html", figures=["png", "tiff"])


@pytest.fixture(scope="module")
def further():
    """A small result of each function that the report has a section for."""
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(3, 400, 3)),
        {"subject": [40, 41, 42], "time": np.arange(400) / 25, "feature": [*"abc"]},
        ("subject", "time", "feature"), attrs={"sampling_rate": 25.0},
    )  # fmt: skip
    one = x.isel(feature=0)
    faces = fx.testing.audience(n_subjects=3, seconds=10, shape=(16, 12))
    return {
        "corrca": fx.corrca(x, 1),
        "shared_response": fx.shared_response(x, 1),
        "states": fx.states(x, 2),
        "wavelet_coherence": fx.wavelet_coherence(one, periods_s=(0.5, 2)),
        "phase_locking": fx.phase_locking(one, periods_s=(0.5, 2)),
        "recurrence": fx.recurrence(one, rate=0.05, window_s=8),
        "respiration": fx.pulse(faces, window_s=8),
        "regions": fx.regions(faces),
        "isc": fx.isc(one),
    }


def test_results__are_known_by_what_they_hold_and_each_has_a_figure(further):
    assert {name: results.kind_of(r).function for name, r in further.items()} == {
        name: name for name in further
    }
    drawn = list(results.further(further.values(), 41))
    assert len({figure.section for figure in drawn}) == len(further)
    of_one = {f.name for f in drawn if "41" in hv_titles(f.drawn)}
    assert {"respiration_7", "regions_8"} <= of_one


def hv_titles(figure):
    return " ".join(
        str(hv.Store.lookup_options("bokeh", part, "plot").kwargs.get("title"))
        for part in [figure, *figure.traverse(lambda x: x)]
    )


def test_report__has_a_section_of_each_result_that_it_is_given(
    tmp_path, parts, relation, further
):
    ds, emb, rest = parts
    more = [further["isc"], further["shared_response"]]
    rest = {**rest, "results": more}
    page = report(ds, emb, relation, tmp_path / "r.html", figures=(), **rest)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    titles = re.findall(r"<h2 [^>]*>(.*?)</h2>", page.read_text())
    assert titles[-3:] == [
        "Who moves with the others",
        "Courses that people share",
        "Provenance",
    ]


def test_report__refuses_a_result_that_it_cannot_show_before_it_reads_any(tmp_path):
    odd = xr.Dataset({"something": 1.0})
    with pytest.raises(SchemaError, match=r"corrca, .* found a result with something"):
        report(None, None, None, tmp_path / "r.html", results=[odd])


def captions_of(page):
    """Captions as text."""
    found = re.findall("<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    return [unescape(re.sub("<[^>]+>", "", c)) for c in found]


def test_report__has_landmarks_contents_and_alts_that_are_the_captions(written):
    page = written.read_text()
    for mark in ("<header>", '<nav aria-label="Contents">', "<main>", "<footer>"):
        assert page.count(mark) == 1, mark
    links = re.findall(r'<li><a href="#([\w-]+)">(.*?)</a>', page)
    titles = re.findall(r'<h2 id="([\w-]+)">(.*?)</h2>', page)
    assert links == titles
    assert [t for _, t in titles][:2] == ["Data", "A face"]
    assert [
        unescape(a) for a in re.findall(r'<img class="still" alt="(.*?)"', page)
    ] == captions_of(page)


MEASURE = """<script>
const wait = ms => new Promise(done => setTimeout(done, ms));
addEventListener("load", async () => {
  const source = document.getElementById("page").textContent, found = {};
  for (const width of [390, 800, 1400]) {
    const frame = document.createElement("iframe");
    frame.style.width = width + "px"; frame.style.height = "900px"; frame.style.border = 0;
    frame.srcdoc = decodeURIComponent(source);
    document.body.append(frame);
    await wait(4000);
    const inside = frame.contentDocument, wide = [];
    for (const part of inside.querySelectorAll("body *"))
      if (part.scrollWidth > part.clientWidth + 1 && part.clientWidth
          && getComputedStyle(part).overflowX !== "visible") wide.push(part.className);
    const walk = function* (node) {
      for (const c of node.children) { yield c; if (c.shadowRoot) yield* walk(c.shadowRoot);
        yield* walk(c); }
    };
    const shown = [...walk(inside.body)].filter(e => e.checkVisibility());
    const named = shown.filter(e => e.tagName === "CANVAS" && e.getAttribute("aria-label"));
    found[width] = {
      page: inside.documentElement.scrollWidth, wide,
      said: [...new Set(named.map(e => e.getAttribute("aria-label")))],
      stills: shown.filter(e => e.tagName === "IMG").length,
      unnamed: shown.filter(e => e.tabIndex >= 0 && !(e.getAttribute("aria-label")
        || e.textContent.trim())).map(e => e.tagName + "." + e.className),
      time: shown.filter(e => e.getAttribute("role") === "slider").map(
        e => e.getAttribute("aria-label") + " " + e.getAttribute("aria-valuetext")),
    };
    frame.remove();
  }
  document.title = JSON.stringify(found);
});
</script>"""


@needs_chromium
def test_report__fits_every_width_and_says_its_captions(written, tmp_path):
    from urllib.parse import quote

    page, host = written.read_text(), tmp_path / "host.html"
    host.write_text(
        f'<meta charset="utf-8"><body><script type="text/plain" id="page">{quote(page)}'
        f"</script>{MEASURE}</body>"
    )
    dom, asked = opened(host, tmp_path, ms=20000)
    assert asked == set()
    found = json.loads(unescape(re.search("<title>(.*?)</title>", dom)[1]))
    said = captions_of(page)
    for width, at in found.items():
        assert at["page"] <= int(width), width
        assert at["wide"] == [], width
        assert at["unnamed"] == [], width
        assert at["time"] == ["Time 0.00 s"], width
    assert found["1400"]["said"] == [c for c in said if "eigenfaces PC" not in c]
    assert found["1400"]["stills"] == 1
    assert found["390"]["said"] == said[:1]  # the film; the rest are pictures
    assert found["390"]["stills"] == len(said) - 1


@needs_chromium
def test_report__prints_pictures_each_with_its_caption(written, tmp_path):
    pdf = print_pdf(written, tmp_path)
    assert len(re.findall(rb"/Alt ", pdf)) == len(captions_of(written.read_text())) == 8
    assert b"/S /Form" not in pdf  # no button, no slider
    assert b"/S /H2" in pdf


def _axe():
    """The script of axe-core, if npm has it."""
    places = [os.environ.get("AXE_CORE", ""), "node_modules/axe-core/axe.min.js"]
    if npm := shutil.which("npm"):
        found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
        places.append(f"{found.stdout.strip()}/axe-core/axe.min.js")
    return next((Path(p) for p in places if p and Path(p).is_file()), None)


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report__breaks_no_rule_of_axe(written, tmp_path, scheme):
    axe = _axe()
    if axe is None:
        pytest.skip("no axe-core: npm install -g axe-core, or AXE_CORE=path of axe.min.js")
    look = """setTimeout(() => axe.run().then(found => {
      document.title = JSON.stringify([found.passes.length > 20,
        found.violations.map(v => v.id)]); }), 3000)"""
    head, _, tail = written.read_text().rpartition("</body>")
    page = tmp_path / "report.html"
    page.write_text(
        f"{head}<script>{axe.read_text()}</script><script>{look}</script></body>{tail}"
    )
    dark = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    dom, _ = opened(page, tmp_path, dark, ms=20000)
    assert unescape(re.search("<title>(.*?)</title>", dom)[1]) == "[true,[]]"


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


@pytest.mark.parametrize("lacks", [[], ["height"]])
def test_table__of_everybody_is_one_compute(parts, lacks):
    ds, emb, _ = parts
    ds = ds.drop_vars(lacks)
    computes = 0

    class Counted(dask.callbacks.Callback):
        def _start(self, _):
            nonlocal computes
            computes += 1

    with Counted():
        rows = re.findall('<th scope="row">(.*?)</th>(.*?)</tr>', people.table(ds, emb.chunk()))
    assert computes == 1
    assert [name for name, _ in rows] == [str(s) for s in ds.subject.values]
    assert dict(rows)["43"] == "<td>100</td><td>4.0</td><td>100.0 %</td>"
