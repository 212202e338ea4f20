import dask
import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp

import fhemb_xr as fx
from fhemb_xr.kernels.pairwise.soft_lag import soft_maximum

LAG = 4


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    wave = rng.normal(size=(2, 90)).cumsum(axis=-1)
    rows = [wave, np.roll(wave, 3, axis=-1), rng.normal(size=(2, 90)), wave[:, ::-1]]
    values = np.array(rows) + 0.3 * rng.normal(size=(4, 2, 90))
    values[1, :, 40:45] = np.nan
    return xr.DataArray(
        values, dims=("subject", "feature", "time"),
        coords={"subject": [40, 41, 66, 67]}, attrs={"sampling_rate": 10.0},
    )  # fmt: skip


def correlations(a, b):
    """``np.corrcoef`` of what both have, at each lag; the mean over the features."""
    out = []
    for lag in range(-LAG, LAG + 1):
        p = a[:, max(0, -lag) : a.shape[1] - max(0, lag)]
        q = b[:, max(0, lag) : b.shape[1] - max(0, -lag)]
        both = np.isfinite(p).all(axis=0) & np.isfinite(q).all(axis=0)
        out.append(
            np.mean([np.corrcoef(u[both], v[both])[0, 1] for u, v in zip(p, q, strict=True)])
        )
    return np.array(out)


@pytest.mark.parametrize(("mean", "beta"), [(True, 10.0), (False, 3.0)])
def test_soft_lag__is_scipys_logsumexp_of_corrcoef(x, mean, beta):
    found = fx.soft_lag(x, max_lag_s=0.4, beta=beta, mean=mean)
    lags = np.arange(-LAG, LAG + 1) / 10
    for i, a in enumerate(x.values):
        for j, b in enumerate(x.values):
            r = beta * correlations(a, b)
            expected = (logsumexp(r) - mean * np.log(2 * LAG + 1)) / beta
            weights = np.exp(r - logsumexp(r))
            assert found.values[i, j] == pytest.approx(expected, abs=1e-10)
            assert found.mean_lag.values[i, j] == pytest.approx(weights @ lags, abs=1e-10)


def test_soft_lag__of_a_large_beta_is_the_largest_correlation(x):
    found = fx.soft_lag(x, max_lag_s=0.4, beta=1e6)
    best = fx.pairwise(x, "max_lagged_correlation", max_lag_s=0.4)
    others = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(found.values[others], best.values[others], atol=1e-5)
    np.testing.assert_allclose(found.mean_lag, best.lag_at_max, atol=1e-12)
    assert found.mean_lag[0, 1] == pytest.approx(0.3)  # the second follows


def test_soft_lag__derivative_by_a_correlation_is_its_weight():
    r = np.random.default_rng(1).uniform(-1, 1, 9)
    up, down = (soft_maximum(r + e * (np.arange(9) == 2), 2, True)[0] for e in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx(np.exp(2 * r[2]) / np.exp(2 * r).sum(), rel=1e-6)


def test_soft_lag__mean_does_not_grow_with_the_lags_the_sum_does():
    noise = np.random.default_rng(2).normal(size=(2, 5000))
    x = xr.DataArray(noise, dims=("subject", "time"), attrs={"sampling_rate": 10.0})
    for lag_s in (2, 10):
        one, other = (fx.soft_lag(x, max_lag_s=lag_s, mean=m)[0, 1] for m in (True, False))
        assert abs(float(one)) < 0.02
        assert float(other - one) == pytest.approx(np.log(20 * lag_s + 1) / 10)


def test_soft_lag__is_lazy_in_any_chunks_and_of_sessions_apart(x, computes):
    two = xr.concat([x, x[::-1].assign_coords(subject=x.subject)], "session")
    whole = fx.soft_lag(two, max_lag_s=0.4)
    for chunks in ({"time": 7}, {"subject": 3, "session": 1, "time": 50}):
        with computes(0):
            lazy = two.chunk(chunks).fhemb.soft_lag(max_lag_s=0.4)
        assert lazy.dtype == np.float64
        xr.testing.assert_allclose(lazy.compute(), whole)
    np.testing.assert_allclose(whole[1].values, whole[0].values[::-1, ::-1])
    np.testing.assert_allclose(whole.mean_lag[0], -whole.mean_lag[0].T, atol=1e-15)


def test_soft_lag__of_two_calls_stay_apart(x):
    lazy = x.chunk(time=30)
    calls = [fx.soft_lag(lazy, max_lag_s=0.4, beta=b) for b in (1.0, 2.0)]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())
    assert not np.allclose(calls[0], calls[1])


def test_soft_lag__with_others_and_what_it_says_of_itself(x):
    found = fx.soft_lag(x, other=x.isel(subject=[3, 1]), max_lag_s=0.4)
    np.testing.assert_array_equal(found, fx.soft_lag(x, max_lag_s=0.4)[:, [3, 1]])
    assert found.subject_1.values.tolist() == [67, 41]
    assert found.attrs["kind"] == "similarity"
    assert found.attrs["units"] == "1"
    assert found.mean_lag.attrs["units"] == "s"


def test_soft_lag__groups_people_as_a_similarity():
    rng = np.random.default_rng(3)
    waves = rng.normal(size=(2, 400))
    rows = np.repeat(waves, 3, axis=0) + 0.5 * rng.normal(size=(6, 400))
    x = xr.DataArray(rows, dims=("subject", "time"), attrs={"sampling_rate": 10.0})
    groups = fx.clusters(fx.soft_lag(x, max_lag_s=0.5), 2).values
    assert groups[:3].std() == groups[3:].std() == 0
    assert groups[0] != groups[3]


def test_soft_lag__null_of_synchrony_finds_the_coupled_pair_and_no_other():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(4, 700))
    noise[1, 5:] += noise[0, :-5]
    slow = np.apply_along_axis(np.convolve, 1, noise, np.hanning(9), "valid")
    x = xr.DataArray(slow, dims=("subject", "time"), attrs={"sampling_rate": 10.0})
    out = fx.synchrony(x, "soft_lag", 119, max_lag_s=1, seed=0)
    expected = np.zeros((4, 4), bool)
    expected[0, 1] = expected[1, 0] = True
    np.testing.assert_array_equal(out.p_fwer < 0.05, expected)
    still = x.isel(time=slice(86, -86))
    whole = fx.soft_lag(still, max_lag_s=1)
    others = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(out.observed.values[others], whole.values[others])


def test_soft_lag__of_a_constant_and_of_nobody_is_missing(x):
    some = x.copy(data=np.where(np.arange(4)[:, None, None] == 2, 30.0, x.values))
    some[3] = np.nan
    found = fx.soft_lag(some, max_lag_s=0.4)
    assert np.isnan(found[2:]).all()
    assert np.isnan(found.mean_lag[:, 2:]).all()
    assert np.isfinite(found[:2, :2]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_lag_s": 9.0}, "max_lag_s is a number of seconds from 0 to less than"),
        ({"max_lag_s": -1}, "max_lag_s is a number of seconds"),
        ({"max_lag_s": 0.4, "beta": 0}, "beta is a positive number, found 0"),
        ({"max_lag_s": 0.4, "mean": "sum"}, "mean is True or False, found 'sum'"),
    ],
)
def test_soft_lag__refuses_what_it_cannot_understand(x, options, words):
    with pytest.raises(ValueError, match=words):
        fx.soft_lag(x, **options)


def test_soft_lag__refuses_other_moments(x):
    for other in (x.isel(time=slice(50)), x.assign_attrs(sampling_rate=25.0)):
        for call in (
            lambda o: fx.soft_lag(x, other=o, max_lag_s=0.4),
            lambda o: fx.pairwise(x, "max_lagged_correlation", other=o, max_lag_s=0.4),
        ):
            with pytest.raises(ValueError, match=r"90 and 50 samples|10 and 25 samples"):
                call(other)
    with pytest.raises(ValueError, match="'soft_lag' needs the largest lag"):
        fx.synchrony(x, "soft_lag", 9, seed=0)
