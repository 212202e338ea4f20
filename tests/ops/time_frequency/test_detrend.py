import dask
import numpy as np
import pytest
import scipy.signal
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx


def drifts(dtype="float64", gaps=False, n=90):
    rng = np.random.default_rng(0)
    at = np.linspace(-1, 1, n)
    x = rng.normal(size=(3, n, 2)) + 33 + at[:, None] * rng.normal(size=(3, 1, 2)) * 4
    if gaps:
        x[rng.random(x.shape) < 0.2] = np.nan
    x = xr.DataArray(x.astype(dtype), dims=("subject", "time", "x"))
    x = x.assign_coords(time=np.arange(n) / 10, subject=[40, 41, 42])
    return x.assign_attrs(units="degC", sampling_rate=10.0, noise=1)


def test_detrend__is_that_of_scipy():
    x = drifts()
    for order, kind in ((0, "constant"), (1, "linear")):
        expected = scipy.signal.detrend(x.values, axis=1, type=kind)
        np.testing.assert_allclose(fx.detrend(x, order=order), expected, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_detrend__with_gaps_is_a_polynomial_of_what_is_there(order):
    x = drifts(gaps=True)
    out = fx.detrend(x.chunk(time=7, subject=2), order=order).values
    for i, j in np.ndindex(3, 2):
        y = x.values[i, :, j]
        there = np.isfinite(y)
        at = np.linspace(-1, 1, y.size)
        fit = np.polyval(np.polyfit(at[there], y[there], order), at)
        np.testing.assert_allclose(out[i, :, j], y - fit, atol=1e-10)


@settings(max_examples=10)
@given(chunks=st.tuples(st.integers(1, 3), st.integers(1, 90), st.integers(1, 2)))
def test_detrend__is_the_same_in_any_chunks_of_time(chunks):
    x = drifts(gaps=True)
    lazy = x.chunk(dict(zip(x.dims, chunks, strict=True)))
    out = fx.detrend(lazy, order=2)
    assert out.chunks == lazy.chunks
    xr.testing.assert_allclose(out.compute(), fx.detrend(x, order=2), rtol=0, atol=1e-11)


def test_detrend__computes_nothing_and_keeps_dtype_units_and_labels(computes):
    x = drifts("float32")
    with computes(0):
        out = fx.detrend(x.chunk(time=30, subject=1), order=1)
    assert out.dims == x.dims
    assert out.dtype == out.compute().dtype == np.float32
    assert out.attrs == {"units": "degC", "sampling_rate": 10.0, "detrend_order": 1}
    xr.testing.assert_equal(out.time, x.time)
    assert fx.detrend(x.astype("int16")).dtype == np.float64
    both = dask.compute(fx.detrend(x.chunk(time=9)), fx.detrend(x.chunk(time=9), order=0))
    assert not np.allclose(*both)


def test_detrend__reads_chunk_by_chunk_twice_and_its_graph_is_linear():
    sizes = [len(fx.detrend(drifts().chunk(time=90 // n)).__dask_graph__()) for n in (3, 9, 18)]
    assert (sizes[2] - sizes[1]) <= 1.6 * (sizes[1] - sizes[0]) * 9 / 6


def test_detrend__takes_slow_waves_out():
    t = np.arange(4000) / 10
    fast = np.sin(2 * np.pi * t)
    x = xr.DataArray(
        30 + t / 40 + np.sin(2 * np.pi * t / 200) + fast,
        dims="time",
        attrs={"sampling_rate": 10},
    )
    out = fx.detrend(x.chunk(time=500), highpass_s=20.0)
    assert float(abs(out - fast)[500:-500].max()) < 0.02
    assert out.attrs["highpass_s"] == 20.0


def test_detrend__of_a_line_a_gap_and_too_few_samples_is_zero_or_missing():
    x = drifts().isel(x=0)
    x = x.copy(data=np.tile(np.arange(90.0), (3, 1)))
    x[1] = np.nan
    x[2, 1:] = np.nan
    out = fx.detrend(x.chunk(time=20), order=2).values
    np.testing.assert_allclose(out[0], 0, atol=1e-10)
    assert np.isnan(out[1]).all()
    np.testing.assert_allclose(out[2, 0], 0, atol=1e-10)


@pytest.mark.parametrize("options", [{"order": -1}, {"order": 1.5}, {"highpass_s": 0.1}])
def test_detrend__says_what_is_wrong(options):
    with pytest.raises(ValueError, match="found"):
        fx.detrend(drifts(), **options)
