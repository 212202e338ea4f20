"""Accuracies as a store and a workbook: both or neither, one sheet for each classifier."""

import os
import stat

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.interchange.score_tables import read_scores, write_scores, write_workbook


def scores(*names):
    values = np.random.default_rng(0).random((2, len(names), 3))
    coords = {"metric": ["dtw", "correlation"], "classifier": list(names)}
    dims = ("metric", "classifier", "split")
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"seed": 1})


def test_scores__come_back_and_stand_in_sheets(tmp_path):
    given = scores("knn", "A forest of random trees, with 500 of them", "svm [rbf]")
    file = write_scores(given.chunk(), tmp_path / "new" / "accuracy")
    assert file.name == "accuracy.xlsx"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    xr.testing.assert_equal(read_scores(tmp_path / "new" / "accuracy"), given)
    sheets = pd.read_excel(file, sheet_name=None, index_col=0)
    expected = ["summary", "metadata", "knn", "A forest of random trees, with ", "svm _rbf_"]
    assert [*sheets] == expected
    np.testing.assert_allclose(sheets["svm _rbf_"], given.isel(classifier=2))
    row = pd.read_excel(file, "summary").set_index(["metric", "classifier"]).loc["dtw", "knn"]
    np.testing.assert_allclose(row["mean"], given[0, 0].mean())


@pytest.mark.parametrize(
    "names",
    [("knn", "KNN"), ("Summary",), ("metadata",), ("history",), ("a:b", "a/b"),
     ("x" * 31 + "1", "x" * 31 + "2"), ("knn", "knn"), ("'a", "_a")],
)  # fmt: skip
def test_scores__whose_sheets_collide_are_refused_before_anything_is_written(tmp_path, names):
    with pytest.raises(StoreError, match="too: choose names that differ"):
        write_scores(scores(*names), tmp_path / "accuracy")
    assert not os.listdir(tmp_path)


def test_workbook__that_cannot_replace_the_old_one_leaves_it(tmp_path, monkeypatch):
    old = write_scores(scores("knn"), tmp_path / "accuracy").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_workbook(scores("svm"), tmp_path / "accuracy")
    assert (tmp_path / "accuracy.xlsx").read_bytes() == old


def test_scores__that_are_none_are_refused(tmp_path):
    with pytest.raises(StoreError, match="no accuracies in 'accuracy"):
        read_scores(tmp_path / "accuracy")
    fx.save(scores("knn").to_dataset(name="a").assign(b=1), tmp_path / "accuracy.zarr")
    with pytest.raises(StoreError, match="holds no accuracies"):
        read_scores(tmp_path / "accuracy")
