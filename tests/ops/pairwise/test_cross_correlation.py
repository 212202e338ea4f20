import json
import tracemalloc

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.pairwise import cross_correlation as kernel
from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
from fhemb_xr.options import set_options

FAST = {"window_s": 0.8, "step_s": 0.2, "max_lag_s": 0.4}


def looped(a, b, window, step, max_lag):
    """The definition, cell by cell."""
    n, lags = a.size, np.arange(-max_lag, max_lag + 1)
    out = np.full(((n - window) // step + 1, lags.size), np.nan)
    for i, k in np.ndindex(out.shape):
        s, t = i * step, i * step + lags[k]
        if t < 0 or t + window > n:
            continue
        x, y = a[s : s + window], b[t : t + window]
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() > 1 and np.ptp(x[both]) > 0 and np.ptp(y[both]) > 0:
            out[i, k] = np.corrcoef(x[both], y[both])[0, 1]
    return out


def series(n=100, gaps=0.0, seed=0, drift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + drift * np.linspace(0, 1, n)
    x[rng.random(n) < gaps] = np.nan
    return x


def labelled(x, **attrs):
    dims = ("subject", "time")[-np.ndim(x) :]
    coords = {"time": 400 + np.arange(np.shape(x)[-1]) / 25}
    return xr.DataArray(x, dims=dims, coords=coords, attrs={"sampling_rate": 25.0, **attrs})


@given(
    n=st.integers(2, 90),
    window=st.integers(1, 40),
    step=st.integers(1, 30),
    max_lag=st.integers(0, 100),
    gaps=st.sampled_from([0.0, 0.2]),
    drift=st.sampled_from([0.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_kernel__is_the_definition(n, window, step, max_lag, gaps, drift, seed):
    a, b = series(n, gaps, seed, drift), series(n, gaps / 2, seed + 1)
    b[n // 2 : n // 2 + 8] = 3.0  # a stretch that does not move
    window = min(window, n)
    expected = looped(a, b, window, step, max_lag)
    got = kernel.pearson(a, b, window, step, max_lag)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_kernel__matches_pandas_over_many_lag_tiles(monkeypatch):
    monkeypatch.setattr(kernel, "_TILE_BYTES", 1)
    a, b = series(400), series(400, seed=1)
    got = kernel.pearson(a, b, 50, 10, 90)
    for lag in (-90, -17, 0, 5, 90):
        shifted = pd.Series(b).shift(-lag)
        expected = pd.Series(a).rolling(50).corr(shifted)[49::10]
        np.testing.assert_allclose(got[:, lag + 90], expected, atol=1e-12)


def test_kernel__survives_a_jump_a_million_times_the_noise():
    a = series(300) + 1e6 * (np.arange(300) > 150)
    got, expected = kernel.pearson(a, a, 40, 5, 30), looped(a, a, 40, 5, 30)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_kernel__peak_memory_is_what_it_says():
    a = series(200_000)
    kernel.pearson(a[:500], a[:500], 100, 100, 2)
    tracemalloc.start()
    out = kernel.pearson(a, a, 100, 100, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < out.nbytes + 40 * a.size + 2**20


def test_lagged_correlation__has_the_shape_and_the_nan_of_the_original():
    a = labelled(series(1000))
    r = lagged_correlation(a, window_s=10, step_s=1, max_lag_s=10)
    assert r.dims == ("window", "lag")
    assert r.shape == (31, 501)
    assert np.isnan(r).sum() == 2750
    assert r.sel(lag=0).values == pytest.approx(1)
    np.testing.assert_allclose(r.window[:3], [0, 1, 2])
    np.testing.assert_allclose(r.time[:3], [400, 401, 402])
    np.testing.assert_allclose(r.lag[[0, -1]], [-10, 10])
    assert r.attrs["units"] == "1"
    assert r.attrs["sampling_rate"] == 25
    assert r.attrs["window_s"] == 10


def test_lagged_correlation__peaks_at_a_positive_lag_where_b_follows():
    wave = series(300)
    a, b = labelled(wave[8:]), labelled(wave[:-8])  # b[t + 8] == a[t]
    r = lagged_correlation(a, b, window_s=2, step_s=1, max_lag_s=1)
    np.testing.assert_allclose(r.isel(window=slice(1, -2)).idxmax("lag"), 8 / 25)


@given(cuts=st.sets(st.integers(1, 99)), gaps=st.sampled_from([0.0, 0.3]))
def test_lagged_correlation__does_not_depend_on_chunks(cuts, gaps):
    a = labelled(np.stack([series(100, gaps, i) for i in range(3)]))
    chunks = tuple(np.diff([0, *sorted(cuts), 100]).tolist())
    cut = a.chunk(time=chunks, subject=1)
    whole = lagged_correlation(a, a.isel(subject=0), **FAST)
    lazy = lagged_correlation(cut, a.isel(subject=0).chunk(time=13), **FAST)
    xr.testing.assert_identical(lazy.compute(), whole)
    xr.testing.assert_identical(lagged_correlation(cut, a.chunk(subject=2), **FAST).compute(),
                                lagged_correlation(a, a, **FAST))  # fmt: skip


def test_lagged_correlation__is_lazy_and_keeps_the_promised_dtype(computes):
    a = labelled(np.stack([series(100, seed=i) for i in range(3)]).astype("float32"))
    with computes(0):
        r = lagged_correlation(a.chunk(time=7), **FAST)
    assert r.dims == ("subject", "window", "lag")
    assert r.dtype == r.compute().dtype == np.float64
    assert r.compute().shape == r.shape


def test_lagged_correlation__broadcasts_by_name():
    a = labelled(np.stack([series(100, seed=i) for i in range(3)]))
    b = a.rename(subject="subject_1").chunk(subject_1=1)
    r = lagged_correlation(a.chunk(subject=1), b, **FAST)
    assert r.dims == ("subject", "subject_1", "window", "lag")
    expected = lagged_correlation(a.isel(subject=2), a.isel(subject=0), **FAST)
    np.testing.assert_array_equal(r.isel(subject=2, subject_1=0), expected)


def test_lagged_correlation__of_two_calls_stay_apart():
    a = labelled(np.stack([series(100, seed=i) for i in range(3)])).chunk(time=30)
    calls = [
        lagged_correlation(a, **FAST),
        lagged_correlation(a + a**2, **FAST),
        lagged_correlation(a, a.isel(subject=1), **FAST),
        lagged_correlation(a, **FAST | {"window_s": 0.6}).isel(window=slice(16)),
    ]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize("chunks", [8, 64])
def test_lagged_correlation__graph_is_linear_in_the_chunks(chunks):
    a = labelled(np.zeros((2, chunks * 5))).chunk(time=5, subject=1)
    graph = lagged_correlation(a, **FAST).__dask_graph__()
    assert len(graph) - len(a.__dask_graph__()) < 2 * chunks * 2 + 20


def test_lagged_correlation__cuts_blocks_so_that_a_task_stays_small(monkeypatch):
    from fhemb_xr.ops.pairwise import cross_correlation

    a = labelled(np.stack([series(100, seed=i) for i in range(8)])).chunk(time=30)
    monkeypatch.setattr(cross_correlation, "_TARGET", 8 * 17 * 21 * 2)
    r = lagged_correlation(a, **FAST)
    assert r.chunks[0] == (2, 2, 2, 2)
    xr.testing.assert_identical(r.compute(), lagged_correlation(a.compute(), **FAST))


def test_lagged_correlation__refuses_a_map_above_the_budget():
    a = labelled(series(1000)).chunk(time=100)
    with set_options(budget=10_000), pytest.raises(BudgetError, match="larger step"):
        lagged_correlation(a, **FAST)


@pytest.mark.parametrize("transform", ["dwt", "modwt"])
def test_lagged_correlation__warns_of_decimated_bands_only(transform, recwarn):
    a = labelled(series(100), fhemb_bands=json.dumps({"transform": transform}))
    lagged_correlation(a, **FAST)
    assert ["decimated DWT" in str(w.message) for w in recwarn] == [True] * (transform == "dwt")


def test_lagged_correlation__of_a_constant_and_of_nothing():
    a = labelled(np.stack([np.full(100, 31.3), np.full(100, np.nan)]))
    assert np.isnan(lagged_correlation(a, labelled(series(100)), **FAST)).all()
    assert lagged_correlation(a.isel(subject=slice(0)), **FAST).shape == (0, 17, 21)


@pytest.mark.parametrize(
    ("other", "asked", "text"),
    [
        ({}, {"window_s": 5}, r"5 s \(125 samples\) .* the largest is 4 s \(100 samples\)"),
        ({}, {"step_s": 0}, "step_s is a positive number"),
        ({}, {"max_lag_s": -1}, "max_lag_s is a number of seconds from 0 on"),
        ({"time": slice(50)}, {}, "100 and 50 samples"),
    ],
)
def test_lagged_correlation__names_what_is_wrong(other, asked, text):
    a = labelled(series(100))
    with pytest.raises(ValueError, match=text):
        lagged_correlation(a, a.isel(other), **FAST | asked)


def test_lagged_correlation__refuses_other_clocks_rates_and_people():
    a = labelled(np.stack([series(100), series(100, seed=1)])).assign_coords(subject=[1, 2])
    with pytest.raises(ValueError, match="different times"):
        lagged_correlation(a, a.assign_coords(time=a.time + 1), **FAST)
    with pytest.raises(ValueError, match="says 50 Hz, 'time' has 25 Hz"):
        lagged_correlation(a, a.assign_attrs(sampling_rate=50.0), **FAST)
    with pytest.raises(ValueError, match=r"rename\(subject='subject_1'\)"):
        lagged_correlation(a, a.assign_coords(subject=[1, 3]), **FAST)
    with pytest.raises(SchemaError, match="'time'"):
        lagged_correlation(a.rename(time="t"), **FAST)


def test_lagged_correlation__minds_no_lazy_coordinate():
    a = labelled(np.stack([series(100, seed=i) for i in range(3)])).chunk(subject=1)
    lazy = xr.DataArray(np.arange(3), dims="subject").chunk(subject=3).data
    a = a.assign_coords(group=("subject", lazy))
    r = lagged_correlation(a, a.isel(subject=0, drop=True), **FAST)
    assert r.compute().group.values.tolist() == [0, 1, 2]
