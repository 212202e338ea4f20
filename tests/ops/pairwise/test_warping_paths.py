import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.spatial.distance
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, UnknownNameError
from fhemb_xr.kernels.dtw import distances, paths
from fhemb_xr.kernels.pairwise import distance_correlation
from fhemb_xr.ops.pairwise.matrix import pairwise

LENGTHS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9999))


def pair(case):
    n, m, seed = case
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, 2, k)).cumsum(axis=2) for k in (n, m))


def exact(x, y, **options):
    return distances.distances(x, y, *(np.array([s.shape[2]]) for s in (x, y)), **options)[0, 0]


@given(case=LENGTHS, radius=st.integers(0, 4))
def test_fastdtw__is_never_below_and_with_a_wide_radius_equal(case, radius):
    x, y = pair(case)
    n = [np.array([s.shape[2]]) for s in (x, y)]
    assert paths.distances(x, y, *n, radius=radius)[0, 0] >= exact(x, y) - 1e-9
    np.testing.assert_allclose(paths.distances(x, y, *n, radius=40), exact(x, y), rtol=1e-12)


def test_fastdtw__comes_near_on_long_series_and_nearer_with_radius():
    x = np.sin(np.arange(600) / 20) + np.random.default_rng(0).normal(size=(6, 600)) / 10
    x = xr.DataArray(x, dims=("subject", "time"))
    near = pairwise(x, "dtw")
    far = [
        float((pairwise(x, "fastdtw", radius=r) - near).sum() / near.sum()) for r in (0, 2, 20)
    ]
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.05


@pytest.mark.parametrize("radius", [-1, 1.5, True])
def test_fastdtw__names_a_wrong_radius(radius):
    x = xr.DataArray(np.zeros((2, 9)), dims=("subject", "time"))
    with pytest.raises(ValueError, match="from 0 on"):
        pairwise(x, "fastdtw", radius=radius)


@given(
    case=LENGTHS,
    limits=st.sampled_from(
        [{}, {"window": 0}, {"window": 5}, {"window": 0.2}, {"itakura": 2.0}]
    ),
    cells=st.sampled_from([1, 30, 2**22]),
)
def test_path__costs_what_the_distance_says_in_steps_of_one(case, limits, cells):
    x, y = pair(case)
    p = paths.path(x[0], y[0], cells=cells, **limits)
    expected = exact(x, y, **limits)
    if np.isnan(expected):
        assert not len(p)
        return
    steps = np.diff(p, axis=0)
    assert p[0].tolist() == [0, 0]
    assert p[-1].tolist() == [x.shape[2] - 1, y.shape[2] - 1]
    assert ((steps >= 0) & (steps <= 1)).all()
    assert steps.any(axis=1).all()
    cost = np.sqrt(((x[0][:, p[:, 0]] - y[0][:, p[:, 1]]) ** 2).sum())
    np.testing.assert_allclose(cost, expected, rtol=1e-12)


def people(n_time=50, seed=0):
    x = np.random.default_rng(seed).normal(size=(3, n_time, 2)).cumsum(axis=1)
    x[1, 20:25, 0] = np.nan
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={"subject": [40, 41, 42], "time": np.arange(n_time) / 25},
    )


def test_warping_path__is_a_range_of_samples_that_costs_the_distance(computes):
    a, b = people(), people(70, seed=1).isel(subject=0, drop=True)
    with computes(0):
        out = fx.warping_path(a.chunk(subject=1, time=9), b.chunk(time=20), window=30)
    out = out.compute()
    assert out["first"].dims == ("subject", "time")
    assert out["last"].dtype == np.int64
    d = pairwise(a, "dtw", other=b.expand_dims(subject=[7]), window=30)
    for s in range(3):
        first, last = out["first"][s].values, out["last"][s].values
        there = np.isfinite(a[s]).all("feature").values
        assert (first[~there] == -1).all()
        assert (last[~there] == -1).all()
        ranges = [(i, first[i], last[i]) for i in np.flatnonzero(there)]
        assert ranges[0][1] == 0
        assert ranges[-1][2] == 69
        assert all(p[2] <= q[1] <= p[2] + 1 for p, q in itertools.pairwise(ranges))
        cost = sum(
            float(((a[s, i].values - b[j].values) ** 2).sum())
            for i, lo, hi in ranges
            for j in range(lo, hi + 1)
        )
        np.testing.assert_allclose(np.sqrt(cost), d[s, 0], rtol=1e-12)


def test_warping_path__holds_no_table_and_names_what_is_wrong():
    x = np.random.default_rng(0).normal(size=(2, 1, 6000)).cumsum(axis=2)
    paths.path(x[0], x[1], cells=2**16)
    tracemalloc.start()
    paths.path(x[0], x[1], cells=2**16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6  # the table would be 288 MB
    a = people()
    with pytest.raises(UnknownNameError, match="zscore"):
        fx.warping_path(a, a, normalize="zscor")
    with pytest.raises(ValueError, match="give one of the two"):
        fx.warping_path(a, a, window=3, itakura=2)
    with fx.set_options(budget=1000), pytest.raises(BudgetError, match="less time"):
        fx.warping_path(a, a)


@given(n=st.integers(2, 50), seed=st.integers(0, 9999), digits=st.integers(0, 3))
def test_dcor__by_sorting_is_the_definition(n, seed, digits):
    """Few digits make ties."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, n)).round(digits) + 30
    y = (x * rng.normal() + rng.normal(size=(1, n))).round(digits)
    a, b = (scipy.spatial.distance.cdist(s.T, s.T) for s in (x, y))
    a, b = (m - m.mean(0) - m.mean(1)[:, None] + m.mean() for m in (a, b))
    varied = np.ptp(x) > 0 and np.ptp(y) > 0
    square = (a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()) if varied else np.nan
    got = distance_correlation.distance_correlations(
        x[None], np.array([n]), y[None], np.array([n])
    )[0, 0]
    np.testing.assert_allclose(got**2, square, atol=1e-11)
