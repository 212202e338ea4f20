import numpy as np
import pytest
import scipy.spatial.distance
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.kernels import dependence, dtw, paths, shifts
from fhemb_xr.ops.relation import pairwise

LENGTHS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9999))


def pair(case):
    n, m, seed = case
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, 2, k)).cumsum(axis=2) for k in (n, m))


def exact(x, y, **options):
    return dtw.distances(x, y, *(np.array([s.shape[2]]) for s in (x, y)), **options)[0, 0]


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


@given(case=LENGTHS, radius=st.sampled_from([None, 0, 1, 5]))
def test_path__costs_what_the_distance_says_in_steps_of_one(case, radius):
    x, y = pair(case)
    p = paths.path(x[0], y[0], radius)
    steps = np.diff(p, axis=0)
    assert p[0].tolist() == [0, 0]
    assert p[-1].tolist() == [x.shape[2] - 1, y.shape[2] - 1]
    assert ((steps >= 0) & (steps <= 1)).all()
    assert steps.any(axis=1).all()
    cost = np.sqrt(((x[0][:, p[:, 0]] - y[0][:, p[:, 1]]) ** 2).sum())
    np.testing.assert_allclose(cost, exact(x, y, window=radius), rtol=1e-12)


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
    got = dependence.distance_correlations(x[None], np.array([n]), y[None], np.array([n]))[0, 0]
    np.testing.assert_allclose(got**2, square, atol=1e-11)


@pytest.mark.parametrize("gaps", [False, True])
def test_circular__shifts_as_roll_does(gaps):
    a, b = np.random.default_rng(0).normal(size=(2, 1, 25))
    a[0, :3] = np.nan if gaps else a[0, :3]
    table = shifts.circular(a, b)[0]
    for k in range(25):
        x = np.roll(a[0], k)
        both = np.isfinite(x)
        np.testing.assert_allclose(table[k], np.corrcoef(x[both], b[0, both])[0, 1], atol=1e-12)
