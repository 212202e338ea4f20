"""p-values where series have gaps: a shift without a value says nothing."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import fhemb_xr as fx
from fhemb_xr.kernels.coherence import locking, nulls
from fhemb_xr.kernels.coherence.wavelets import Scales
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts

SEEDS = 40
SCALES = Scales((4.0,), 12)


def independent(seed, length=1200, known=((300, 600), (300, 600))):
    x = np.random.default_rng(seed).normal(size=(2, length))
    for row, (begin, end) in zip(x, known, strict=True):
        row[:begin] = row[end:] = np.nan
    return x


def of_phases(seed, known):
    x, y = independent(seed, known=known)
    return locking.p_values(x, y, SCALES, RandomShifts(19, 1, None, seed))[:, 0]


def of_coherence(seed, known):
    x, y = independent(seed, known=known)
    out = nulls.p_values(x, y, SCALES, RandomShifts(19, 1, None, seed), 0.7)[:, 0]
    return np.array([out[0], np.fmin.reduce(out[1:])])  # of the mean, of the best cluster


def test_p_value__leaves_out_values_that_are_missing():
    null = np.array([1.0, 3.0, np.nan, np.nan])
    assert p_value(np.array(2.0), null) == 2 / 3
    assert p_value(np.array(2.0), null, exact=True) == 1 / 2
    assert np.isnan(p_value(np.array(2.0), null * np.nan))
    assert np.isnan(p_value(np.array(np.nan), null))
    assert p_value(np.array(0.0), null, weight=np.full(4, 0.5)) == 1  # never above
    assert p_value(np.array(9.0), null, weight=np.full(4, 0.5)) == 1 / 2


@pytest.mark.parametrize("tested", [of_phases, of_coherence])
@pytest.mark.parametrize("known", [((300, 600), (300, 600)), ((300, 600), (480, 780))])
def test_coherence__with_long_gaps_is_not_found_by_chance(tested, known):
    p = np.array([tested(seed, known) for seed in range(SEEDS)])
    assert (np.nanmax(p, axis=0) > 0.85).all()
    most = stats.binom.ppf(0.999, SEEDS, 0.05)
    assert ((p <= 0.05).sum(axis=0) <= most).all()


def encoded(x, seed):
    music = x[1:].rename(subject="feature")
    return fx.encode(x[:1], music, lags_s=(0.0, 0.4), null="circular", n=19, seed=seed).p


def recurring(x, seed):
    options = {"rate": 0.1, "max_lag_s": 0.4, "null": "circular", "n": 19, "seed": seed}
    return fx.recurrence(x[0], x[1], **options).p_profile.sel(lag=0)


@pytest.mark.parametrize("tested", [encoded, recurring])
def test_shifts__without_a_common_moment_are_left_out(tested):
    found = []
    for seed in range(8):
        x = independent(seed, 200, [(50, 100)] * 2)
        x = xr.DataArray(x, dims=("subject", "time"), coords={"time": np.arange(200) / 5})
        found.append(tested(x, seed).item())
    assert max(found) > 0.85
