import itertools
import pickle
import tracemalloc

import dask
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fhemb_xr as fx
from fhemb_xr.kernels.frames import moments as kernel

values = st.floats(-50, 50) | st.just(np.nan)
samples = npst.arrays("float64", st.integers(1, 40), elements=values)


@given(samples, samples)
def test_kernel__merged_parts_equal_the_whole(a, b):
    parts = np.concatenate([kernel.state(a), kernel.state(b)])
    whole = kernel.state(np.concatenate([a, b]))
    np.testing.assert_allclose(kernel.merge(parts), whole, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_kernel__is_the_same_compiled_or_not_however_the_samples_lie(axes, monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(33, 2, (7, 300, 11)).astype("f4").transpose(axes)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[0, :2], x[1, 0, 0] = np.nan, np.inf
    monkeypatch.setattr(kernel, "COMPILED", 1)
    for part in (x, x[::2, ::-1], x[:, :, :0], x[:, :, :1]):
        with monkeypatch.context() as patch:
            patch.setattr(kernel, "COMPILED", 2**40)
            by_numpy = kernel.state(part)
        np.testing.assert_allclose(kernel.state(part), by_numpy, rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("first", [33.0, 1e4, np.nan, -np.inf])
def test_kernel__compiled_sums_lose_no_more_than_the_shift_says(first):
    """The first finite sample is the shift: n + 1 times as large, at worst, are the sums."""
    x = np.random.default_rng(3).normal(33, 0.01, (1000, 300)).astype("f4")
    x[0] = first
    seen = x[np.isfinite(x[:, 0])].astype("f8")
    expected = [
        seen.mean(0),
        seen.var(0),
        *(f(seen, 0) for f in (scipy.stats.skew, scipy.stats.kurtosis)),
    ]
    bound = 100 * 1001 * np.finfo("f8").eps
    for part in (x.T, np.ascontiguousarray(x.T)):
        found = kernel.finish(kernel.state(part)).T
        np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)


def test_kernel__peak_memory_is_what_it_says():
    x = np.ones((200, 100, 100), "float32").transpose(1, 2, 0)
    tracemalloc.start()
    kernel.state(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 17.5 * x.size


@given(cuts=st.sets(st.integers(1, 29)))
def test_moments__do_not_depend_on_chunks(cuts):
    x = xr.DataArray(np.random.default_rng(1).normal(35, 2, (30, 3)), dims=("time", "x"))
    chunks = tuple(np.diff([0, *sorted(cuts), 30]).tolist())
    xr.testing.assert_allclose(fx.moments(x.chunk(time=chunks)).compute(), fx.moments(x))


@pytest.mark.parametrize("dim", ["time", "x"])
def test_moments__match_scipy(heat, dim):
    out = fx.moments(heat.chunk(time=7, y=2), dim).isel(y=slice(1, None))
    x, axis = heat.isel(y=slice(1, None)).astype("f8").values, heat.get_axis_num(dim)
    np.testing.assert_allclose(out["mean"], x.mean(axis))
    np.testing.assert_allclose(out["variance"], x.var(axis))
    np.testing.assert_allclose(out["skewness"], scipy.stats.skew(x, axis))
    np.testing.assert_allclose(out["kurtosis"], scipy.stats.kurtosis(x, axis))


def test_moments__are_lazy_and_keep_the_promised_dtype(heat, computes):
    with computes(0):
        out = heat.chunk(time=7).to_dataset(name="heatmap").fhemb.moments()
    for name, var in out.items():
        assert var.dtype == var.compute().dtype == np.float64, name
    assert out["variance"].attrs == {"units": "(degC)^2", "long_name": "variance along time"}
    assert out["skewness"].attrs["units"] == "1"


def test_moments__of_two_calls_stay_apart(heat):  # no shared dask keys
    a, b = heat.chunk(time=7), (heat + 1).chunk(time=7)
    calls = [fx.moments(a), fx.moments(b), fx.moments(a, "x")]
    for together, alone in zip(dask.compute(*calls), calls, strict=True):
        xr.testing.assert_identical(together, alone.compute())


@pytest.mark.parametrize("chunks", [8, 64])
def test_moments__graph_is_linear_in_the_chunks(heat, chunks):
    long = heat.isel(time=np.arange(chunks * 5) % 40).chunk(time=5)
    graph = fx.moments(long).__dask_graph__()
    assert len(graph) - len(long.__dask_graph__()) < 4 * chunks * 2 + 20  # two subjects


def test_moments__along_two_dimensions_match_scipy(heat):
    out = fx.moments(heat.chunk(time=7, y=2, x=3), ("y", "x"))
    flat = heat.isel(y=slice(1, None)).astype("f8").values.reshape(2, 1, 40, -1)
    assert out["mean"].dims == ("subject", "session", "time")
    assert out.attrs["sampling_rate"] == 25
    np.testing.assert_allclose(out["variance"], flat.var(-1))
    np.testing.assert_allclose(out["kurtosis"], scipy.stats.kurtosis(flat, -1))


def test_moments__of_a_constant_and_of_nothing():
    x = xr.DataArray([[31.0, 31.0], [np.nan, np.nan]], dims=("pixel", "time"))
    constant, nothing = fx.moments(x).to_array().T.values
    np.testing.assert_array_equal(constant, [31, 0, np.nan, np.nan])
    assert np.isnan(nothing).all()


def test_moments__names_the_dimensions_it_could_have_used(heat):
    with pytest.raises(ValueError, match=r"along 'frame': the dimensions are .*'time'"):
        fx.moments(heat, "frame")


def test_accessor__survives_a_pickle(heat):  # xarray pickles the cached accessor too
    ds = heat.to_dataset(name="heatmap")
    for obj in (ds, heat):
        assert obj.fhemb
        xr.testing.assert_identical(pickle.loads(pickle.dumps(obj)), obj)
