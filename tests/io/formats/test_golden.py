"""Stores of every released version of the schema open, with the values they were made of."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.errors import SchemaError

GOLDEN = Path(__file__).parents[2] / "golden"
VERSIONS = sorted(p.name for p in GOLDEN.iterdir() if (p / "recording.zarr").is_dir())
PEOPLE, FRAMES = (40, 42), 12


def face(who, t):
    """As ``golden/make.py`` has it."""
    return np.round(20 + who / 10 + t / 100 + np.arange(12).reshape(4, 3) ** 2 / 50, 2)


@pytest.fixture(scope="module")
def faces():
    cube = np.array([[face(who, t) for t in range(FRAMES)] for who in PEOPLE])
    cube[1, 7] = np.nan
    return cube


def test_golden__there_is_one_of_the_present_version():
    assert schema.VERSION in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_golden__every_kind_of_store_opens_with_its_values(version, faces):
    folder = GOLDEN / version
    ds = fx.open_recording(folder / "recording.zarr")
    assert ds.attrs["fhemb_schema"] == version
    # float32 holds 30 to 2e-6; the packing is exact for whole hundredths of a degree
    np.testing.assert_allclose(ds.heatmap.squeeze("session"), faces, atol=1e-5)
    assert ds.subject.values.tolist() == [*PEOPLE]
    assert (ds.height.squeeze("session") > 0).sum("time").values.tolist() == [
        FRAMES,
        FRAMES - 1,
    ]
    emb = fx.open_embedding(folder / "embedding.zarr").squeeze("session")
    np.testing.assert_allclose(emb.sel(feature="mean"), faces.mean((2, 3)), atol=1e-5)
    relation = fx.open_result(folder / "relation.zarr")["relation"]
    expected = np.sqrt(7) * 0.2  # seven frames, in each of which the two differ by 0.2 K
    np.testing.assert_allclose(relation.squeeze()[0, 1], expected, atol=1e-4)
    scores = fx.project(ds.heatmap.chunk(time=-1), fx.open_result(folder / "basis.zarr"))
    assert scores.sizes["component"] == 2


@pytest.mark.parametrize(
    ("version", "reads"), [("1.0", "silently"), ("1.9", "with a warning"), ("2.0", "never")]
)
def test_golden__the_same_major_reads_a_newer_minor_warns_a_newer_major_is_refused(
    tmp_path, version, reads
):
    store = tmp_path / "a.zarr"
    shutil.copytree(GOLDEN / "1.0" / "recording.zarr", store)
    content = json.loads((store / "zarr.json").read_text())
    content["attributes"]["fhemb_schema"] = version
    (store / "zarr.json").write_text(json.dumps(content))
    if reads == "never":
        with pytest.raises(SchemaError, match=r"'a\.zarr'.* schema 2\.0.* up to 1\.x: update"):
            fx.open_recording(store)
    elif reads == "with a warning":
        with pytest.warns(UserWarning, match=r"schema 1\.9, newer than 1\.0"):
            fx.open_recording(store)
    else:
        fx.open_recording(store)
