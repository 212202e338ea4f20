"""What ``ds.fhemb`` shows as the last line of a cell."""

import re
import shutil

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.plot.notebook import availability, facts


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    ds = fx.testing.audience(
        n_subjects=4, seconds=8, shape=(8, 6), faceless=[43], title="<b>night</b>"
    )
    path = tmp_path_factory.mktemp("summary") / "rec.zarr"
    fx.save(ds.assign(height=ds.height.where(ds.time >= 2, 0).astype("int16")), path)
    return path


def test_recording__says_who_how_long_and_who_has_a_face(store, computes):
    ds = fx.open_recording(store)
    with computes(1):
        html = ds.fhemb._repr_html_()
    for said in ("4: 40–43", "200 frames at 25 Hz: 8 s", "8 × 6 pixels", "25 °C; below",
                 "43.8 % of the frames", "&lt;b&gt;night", "sensitivity: face"):  # fmt: skip
        assert said in html, said
    assert "<b>night" not in html
    assert re.search(r'<svg role="img" aria-label="Frames with a face: people 40 to 43', html)
    seen = availability.availability(ds)
    np.testing.assert_array_equal(seen.shares[0], seen.people[0] == "40" and (
        np.arange(160) * 200 / 160 >= 50))  # fmt: skip
    np.testing.assert_array_equal(seen.shares[3], 0)


def test_recording__never_reads_the_heatmap(store, tmp_path):
    shutil.copytree(store, tmp_path / "rec.zarr")
    ds = fx.open_recording(tmp_path / "rec.zarr")
    shutil.rmtree(tmp_path / "rec.zarr" / "heatmap" / "c")
    assert "43.8 % of the frames" in ds.fhemb._repr_html_()
    for chunk in (tmp_path / "rec.zarr" / "height" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    assert "not readable" in ds.fhemb._repr_html_()


def test_recording__of_many_chunks_is_read_in_stretches(store, monkeypatch):
    ds = fx.open_recording(store).chunk(time=20)
    monkeypatch.setattr(availability, "MOST_CHUNKS", 16)
    seen = availability.availability(ds)
    assert not seen.whole
    assert np.isfinite(seen.shares).mean() == pytest.approx(0.4)  # 4 people × 4 of 10 chunks
    assert "the rest is blank" in ds.fhemb._repr_html_()


def test_recording__that_is_not_stored_is_not_computed(computes):
    ds = fx.testing.audience(n_subjects=2, seconds=2, shape=(4, 3))
    with computes(0):
        html, text = ds.fhemb._repr_html_(), repr(ds.fhemb)
    assert "not stored yet" in html
    assert "<svg" not in html
    assert text.startswith("<fhemb recording: subject 2 × session 1 × time 50")


def test_padding__is_no_missing_face(store):
    ds = fx.open_recording(store).compute()
    ds["n_time"] = ds.n_time * 0 + 50
    ds["height"] = ds.height * 0
    ds.height[0, 0, :25] = 8
    assert "87.5 % of the frames" in ds.fhemb._repr_html_()  # 25 of 4 × 50 have one


def test_result__says_what_made_it(computes):
    ds = fx.testing.audience(n_subjects=3, seconds=4, shape=(8, 6))
    emb = ds.fhemb.embed(["mean", ("p5", "p15")], threshold=25)
    with computes(0):
        said = emb.fhemb._repr_html_()
        relation = repr(fx.pairwise(emb.sel(feature=["mean"]), "dtw", window=5).fhemb)
    assert "4: mean, p5…p15" in said
    assert "threshold=25" in said
    assert "metric=dtw" in relation
    assert relation.startswith("<fhemb relation: ")


@pytest.mark.parametrize(
    "x", [xr.DataArray(1.0), xr.DataArray(np.zeros(0), dims="time"), xr.Dataset()]
)
def test_summary__of_little_is_no_error(x):
    assert repr(x.fhemb).startswith("<fhemb ")
    assert "fhemb-summary" in x.fhemb._repr_html_()


def test_ids__are_listed_in_runs():
    assert facts.listed_ids([1, 2, 3, 7, "anna"]) == "1–3, 7, anna"
    assert facts.listed_ids(range(0, 60, 2)).endswith("(18 more)")
