"""Tidy tables: a row an observation, a column a feature."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError


@pytest.fixture
def emb():
    values = np.arange(24.0).reshape(2, 1, 4, 3)
    values[1, 0, 2] = np.nan
    return xr.DataArray(
        values,
        dims=("subject", "session", "time", "feature"),
        coords={
            "subject": [65, 68],
            "session": ["dg"],
            "time": np.arange(4) / 25,
            "feature": ["mean", "p5", "p95"],
            "units": ("feature", ["degC"] * 3),
            "frame": ("time", np.arange(4)),
        },
        name="embedding",
    )


def test_rows__equal_those_made_by_hand(emb):
    by_hand = pd.DataFrame(
        [
            (s, d, t, *emb.sel(subject=s, session=d, time=t).values)
            for s in (65, 68)
            for d in ("dg",)
            for t in emb.time.values
        ],
        columns=["subject", "session", "time", "mean", "p5", "p95"],
    )
    for x in (emb, emb.chunk(time=3), emb.transpose("feature", ...)):
        pd.testing.assert_frame_equal(fx.to_dataframe(x), by_hand)
    assert len(emb.fhemb.to_dataframe(dropna=True)) == 7


def test_columns__of_another_dimension_and_of_none(emb):
    wide = fx.to_dataframe(emb.sel(feature="mean"), columns="subject")
    assert [*wide.columns] == ["session", "time", "65", "68"]
    assert wide["68"].isna().sum() == 1
    relation = xr.DataArray(np.eye(2), dims=("subject_0", "subject_1"), name="dtw")
    assert fx.to_dataframe(relation)["dtw"].tolist() == [1, 0, 0, 1]


def test_values__are_read_once(emb, computes):
    with computes(1):
        fx.to_dataframe(emb.chunk(time=1))


def test_wrong__is_refused(emb):
    with pytest.raises(SchemaError, match="no dimension 'band'"):
        fx.to_dataframe(emb, columns="band")
    with pytest.raises(SchemaError, match="two columns would be called time"):
        fx.to_dataframe(emb.assign_coords(feature=["time", "p5", "p95"]))
    with fx.set_options(budget=100), pytest.raises(BudgetError, match="8 rows and 6 columns"):
        fx.to_dataframe(emb)
