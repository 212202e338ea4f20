"""The pages of docs/: their code runs, their commands are real, and no function is left out."""

import os
import re
from pathlib import Path

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


def test_reference__has_every_public_function():
    told = " ".join(p.read_text() for p in (DOCS / "reference").glob("*.md")).split()
    missing = [n for n in (*fx.__all__, *fx.plot.__all__) if n not in told and n != "files"]
    assert not missing
