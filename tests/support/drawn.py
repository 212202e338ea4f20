"""Results that the tests of figures draw."""

import json

import numpy as np
import xarray as xr

BANDS = json.dumps(
    {
        "bands": [2, 3, 5],
        "hz": [[0.1, 0.39], [0.78, 1.56]],
        "period_s": [[2.56, 10.24], [0.64, 1.28]],
    }
)


def relation_of(n=6, metric="dtw", seed=0):
    points = np.random.default_rng(seed).normal(size=(n, 2))
    d = np.linalg.norm(points[:, None] - points[None], axis=-1)
    ids = np.arange(40, 40 + n)
    return xr.DataArray(
        d,
        dims=("subject_0", "subject_1"),
        coords={"subject_0": ids, "subject_1": ids},
        attrs={"metric": metric, "units": "degC"},
    )


def lagged_map(low=-0.2, high=0.7):
    r = np.full((8, 11), low)
    r[2, 3], r[0, 0] = high, np.nan
    return xr.DataArray(
        r,
        dims=("window", "lag"),
        coords={
            "window": 568 + np.arange(8) / 2,
            "lag": np.arange(-5, 6) / 25,
            "subject_0": 65,
            "subject_1": 66,
        },
        attrs={"window_s": 3.0, "fhemb_bands": BANDS},
    )
