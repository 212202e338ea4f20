"""The mark of a store says how much of a person it shows, and follows what is derived."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.io import encoding
from fhemb_xr.io.sensitivity import AGGREGATE, FACE, INVERTIBLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recording and what is commonly derived from it, all saved and opened again."""
    folder = tmp_path_factory.mktemp("marks")
    fx.save(fx.testing.audience(n_subjects=3, seconds=4, shape=(8, 6)), folder / "recording")
    ds = fx.open_recording(folder / "recording")
    heat = ds.heatmap.chunk(time=-1)
    basis = fx.pca(heat, 2)
    emb = fx.embed(ds, ["mean", "p50", "pc0"], pca=basis)
    plain = emb.sel(feature=["mean", "p50"])
    made = {
        "basis": basis,
        "scores": fx.project(heat, basis),
        "eigen": emb,
        "embedding": plain,
        "means": fx.moments(heat, "time"),
        "series": fx.moments(heat, ("y", "x")),
        "coarse": ds.heatmap.coarsen(y=2, x=2).mean(),
        "band": heat.expand_dims(band=[1]),
        "relation": xr.DataArray(np.eye(3), dims=("subject_0", "subject_1"), name="relation"),
        "lagged": plain.isel(feature=0).rename(time="window").expand_dims(lag=[0.0]),
        "groups": xr.DataArray([0, 0, 1], dims="subject", name="group"),
    }
    for name, obj in made.items():
        fx.save(obj, folder / name)
    return folder


MARKS = {
    "recording": FACE,
    "basis": FACE,
    "means": FACE,
    "band": FACE,
    "coarse": FACE,
    "scores": INVERTIBLE,
    "eigen": INVERTIBLE,
    "embedding": AGGREGATE,
    "relation": AGGREGATE,
    "groups": AGGREGATE,
    "series": AGGREGATE,
    "lagged": AGGREGATE,
}


@pytest.mark.parametrize("name", MARKS)
def test_mark__follows_what_is_derived_from_what(folder, name):
    assert fx.open_result(folder / name).attrs[schema.SENSITIVITY] == MARKS[name]


def test_mark__that_came_along_is_never_lowered(folder, tmp_path):
    scores = fx.open_embedding(folder / "eigen").sel(feature=["mean"])
    fx.save(scores * 2, tmp_path / "a")
    assert fx.open_result(tmp_path / "a").attrs[schema.SENSITIVITY] == INVERTIBLE


def test_mark__of_what_cannot_be_told_is_not_the_lowest(tmp_path):
    fx.save(xr.DataArray(np.zeros((4, 3)), dims=("row", "column"), name="x"), tmp_path / "x")
    assert fx.open_result(tmp_path / "x").attrs[schema.SENSITIVITY] == INVERTIBLE


def test_mark__of_a_recording_that_ingest_begins_is_there_from_the_start(tmp_path):
    group = encoding.create_recording(
        tmp_path / "a", subjects=[1], sessions=["s"], n_frames=4, shape=(2, 2),
        sampling_rate=25, title="t", threshold=25,
    )  # fmt: skip
    assert group.attrs[schema.SENSITIVITY] == FACE
