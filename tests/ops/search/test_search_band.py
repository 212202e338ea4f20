import sys

import numpy as np
import pytest
import xarray as xr
from scipy.signal import detrend

import fhemb_xr as fx
from fhemb_xr.kernels.search import band_power

RATE = 20.0
SEGMENTS = {
    "calm": [(0, 4), (8, 12), (16, 20), (24, 28)],
    "storm": [(4, 8), (12, 16), (20, 24), (28, 32)],
}
HOW = {"n_trials": 12, "n_splits": 2, "n_inner": 2, "seed": 0}


def series(gain=1.0):
    """Noise; in storms the second feature swings at 2 Hz."""
    rng = np.random.default_rng(0)
    t = np.arange(640) / RATE
    x = rng.normal(size=(5, 640, 2))
    storm = (t // 4) % 2 == 1
    x[:, :, 1] += gain * np.sin(2 * np.pi * 2 * t + rng.uniform(0, 6, (5, 1))) * storm
    return xr.DataArray(
        x, dims=("subject", "time", "feature"),
        coords={"time": t, "feature": ["mean", "std"]}, attrs={"sampling_rate": RATE},
    )  # fmt: skip


def test_between__is_the_variance_between_two_frequencies():
    x = np.random.default_rng(1).normal(size=(3, 81)).cumsum(axis=1)
    below = band_power.cumulative(x)
    np.testing.assert_allclose(below[:, -1], detrend(x, axis=-1).var(axis=-1))
    step = RATE / 81
    power = np.diff(below, axis=-1)
    whole = band_power.between(below, step, 2.5 * step, 4.5 * step)
    np.testing.assert_allclose(np.exp(whole), power[:, 2:4].sum(axis=-1))
    half = band_power.between(below, step, 3 * step, 4.5 * step)
    np.testing.assert_allclose(np.exp(half), power[:, 2] / 2 + power[:, 3])


def test_search_band__finds_the_planted_feature_and_frequency(computes):
    pytest.importorskip("optuna")
    with computes(0):
        lazy = fx.search_band(
            series().chunk(time=100), SEGMENTS, (0.5, 8), n_permutations=1, **HOW
        )
    out = lazy.compute(scheduler="sync")
    assert out.feature[out.best] == "std"
    assert out.best_low_hz < 2 < out.best_high_hz
    assert out.nested > 0.9
    assert (out.chosen == 1).all()
    assert ((out.low_hz < 2.2) & (out.high_hz > 1.8)).all()
    assert ((out.low_hz >= 0.5) & (out.high_hz <= 8.0001)).all()
    assert out.null.sizes == {"permutation": 1}
    for name, var in lazy.data_vars.items():
        assert var.dtype == out[name].dtype, name
    again = fx.search_band(series(), SEGMENTS, (0.5, 8), n_permutations=1, **HOW)
    xr.testing.assert_equal(again.compute(scheduler="sync"), out)


def test_search_band__names_what_is_wrong_and_what_is_missing(monkeypatch):
    with pytest.raises(ValueError, match=r"an octave or more between 0\.25 Hz"):
        fx.search_band(series(), SEGMENTS, (0.1, 8), seed=0)
    with pytest.raises(ValueError, match="need 9 people"):
        fx.search_band(series(), SEGMENTS, (0.5, 8), n_splits=9, seed=0)
    nobody = fx.search_band(series() * np.nan, SEGMENTS, (0.5, 8), n_permutations=0, **HOW)
    nobody = nobody.compute(scheduler="sync")
    assert (nobody.best, nobody.n_used) == (-1, 0)
    assert np.isnan(nobody.nested)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'fhemb_xr\[search\]'"):
        fx.search_band(series(), SEGMENTS, (0.5, 8), seed=0)
