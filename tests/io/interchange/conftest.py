"""An embedding that other tools are given."""

import numpy as np
import pytest
import xarray as xr


@pytest.fixture
def emb():
    """Two people, one of whom is missing for two seconds."""
    values = np.random.default_rng(0).normal(32, 1, (2, 1, 500, 2)).astype("f4")
    values[1, 0, 100:150] = np.nan
    return xr.DataArray(
        values,
        dims=("subject", "session", "time", "feature"),
        coords={
            "subject": [65, 68],
            "session": ["dg"],
            "time": 400 + np.arange(500) / 25,
            "feature": ["mean", "skew"],
            "units": ("feature", ["degC", "1"]),
        },
        name="embedding",
    )
