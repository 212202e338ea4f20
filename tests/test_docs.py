"""The pages of docs/: their code runs, their commands are real, and no function is left out."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

import fhemb_xr as fx

DOCS = Path(__file__).parents[1] / "docs"
HOW_TO = sorted(p for p in (DOCS / "howto").glob("*.md") if "```python" in p.read_text())


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The stores that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    ds = fx.testing.audience(5, 60, shape=(16, 12), chunk_frames=500)
    fx.save(ds, folder / "don.zarr")
    lazy = fx.open_recording(folder / "don.zarr").fhemb.embed(["mean", "skew"], threshold=25)
    fx.save(lazy, folder / "emb.zarr")
    (folder / "don.key").write_text(os.urandom(32).hex())
    (folder / "don.key").chmod(0o600)
    return folder


@pytest.mark.parametrize("page", HOW_TO, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")
def test_how_to__runs(page, stores, monkeypatch):
    monkeypatch.chdir(stores)
    monkeypatch.setattr("fhemb_xr.options._for_good", [])
    known = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), known)


def test_image__is_of_extras_that_there_are():
    text = (DOCS.parent / "Dockerfile").read_text()
    known = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    asked = re.findall(r"EXTRAS=([\w,]+)", text)
    assert len(asked) == 3
    assert {name for some in asked for name in some.split(",")} <= {
        *known["optional-dependencies"]
    }


def test_reference__has_every_public_function():
    told = " ".join(p.read_text() for p in (DOCS / "reference").glob("*.md")).split()
    missing = [n for n in (*fx.__all__, *fx.plot.__all__) if n not in told and n != "files"]
    assert not missing


LINK = re.compile(r"<(a|link|script|img|iframe)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built of a copy of its sources; a warning fails it."""
    place = tmp_path_factory.mktemp("site")
    made = shutil.ignore_patterns("_build", "_made", "api")
    for name in ("docs", "examples"):
        shutil.copytree(DOCS.parent / name, place / name, ignore=made)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(DOCS.parent / name, place)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "html"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "html"


@pytest.mark.soak
@pytest.mark.timeout(900)  # builds the site
def test_site__asks_no_host_and_every_local_link_leads_somewhere(site):
    pages = {p.resolve(): p.read_text() for p in site.rglob("*.html")}
    ids = {p: {*re.findall(r"\bid=\"([^\"]+)\"", text)} for p, text in pages.items()}
    wrong = []
    for page, text in pages.items():
        for kind, link in LINK.findall(text):
            if link.startswith(("data:", "mailto:", "javascript:")):
                continue
            if "//" in link:  # a reader may follow a link; a page asks for nothing
                wrong += [(page.name, link)] if kind != "a" else []
                continue
            path, _, anchor = unescape(link).partition("#")
            target = (page.parent / unquote(path.split("?")[0])).resolve() if path else page
            if not target.exists() or (anchor and anchor not in ids.get(target, {anchor})):
                wrong.append((page.name, link))
    assert not wrong


@pytest.mark.soak
@pytest.mark.timeout(900)  # builds the site
def test_site__has_a_page_of_every_function_and_a_picture_of_every_figure(site):
    for name in fx.__all__:
        assert (site / "reference" / "api" / f"fhemb_xr.{name}.html").exists(), name
    shown = (site / "_made" / "gallery.html").read_text()
    without = {"files", "player"}  # a module; a film, which the notebooks show
    assert not [
        n for n in {*fx.plot.__all__} - without if f'id="{n.replace("_", "-")}"' not in shown
    ]
    assert "searchindex.js" in {p.name for p in site.iterdir()}


PUBLIC = {f"fx.{n}": getattr(fx, n) for n in fx.__all__}
PUBLIC |= {f"fx.plot.{n}": getattr(fx.plot, n) for n in fx.plot.__all__ if n != "files"}


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings__are_what_a_site_can_show(name):
    from numpydoc.docscrape import NumpyDocString

    said = NumpyDocString(inspect.getdoc(PUBLIC[name]))
    for returned in (*said["Returns"], *said["Yields"]):
        assert returned.desc, f"a line of Returns is a type: {returned.type!r}"
    text = "\n".join(said["References"])
    assert not text or text.startswith(("- ", ".. ["))
    assert "- doi:" not in text  # it belongs to the line above
