"""Wavelet coefficients are PyWavelets', in any chunks, and come back from a store."""

import warnings

import dask
import numpy as np
import pytest
import pywt
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, SchemaError
from fhemb_xr.kernels.time_frequency.wavelet_bands import CIRCULAR_MODES, LOCAL_MODES


def signal(n=3000, channels=2, dtype="f8"):
    x = np.random.default_rng(0).normal(size=(channels, n)).astype(dtype)
    coords = {"time": 7 + np.arange(n) / 25, "frame": ("time", 175 + np.arange(n))}
    attrs = {"sampling_rate": 25.0, "units": "degC"}
    return xr.DataArray(x, dims=("k", "time"), coords=coords, attrs=attrs, name="mean")


def by_pywt(x, wavelet, level, mode):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pywt.wavedec(x, wavelet, mode, level, axis=-1)


@given(
    n=st.integers(1, 2500),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    wavelet=st.sampled_from(["haar", "db4", "sym10", "coif5", "bior4.4"]),
    level=st.integers(1, 8),
    mode=st.sampled_from(LOCAL_MODES),
)
@settings(max_examples=20)
@pytest.mark.filterwarnings("ignore:level")
def test_coefficients__equal_pywt_and_give_the_signal_back(n, sizes, wavelet, level, mode):
    x, chunks = signal(n), []
    while sum(chunks) < n:
        chunks.append(max(sizes[len(chunks) % len(sizes)], n // 40))
    chunks[-1] -= sum(chunks) - n
    found = fx.wavelet_coefficients(x.chunk(time=tuple(chunks), k=1), wavelet, level, mode)
    try:
        expected = by_pywt(x.values, wavelet, level, mode)
    except ValueError:  # PyWavelets does not (anti)reflect one sample
        assume("reflect" not in mode)
        raise
    names = ["approximation", *(f"detail_{j}" for j in range(level, 0, -1))]
    for name, values in zip(names, expected, strict=True):
        scale = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12 * max(scale, 1))
    back = fx.from_coefficients(found)
    # the filters of some wavelets are known to 1e-12 only: what PyWavelets gives back
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = pywt.waverec(expected, wavelet, mode, axis=-1)[:, :n]
    np.testing.assert_allclose(back, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_coefficients__of_a_store_give_the_signal_in_a_later_session(tmp_path):
    x = signal(9000, dtype="f4").chunk(time=1700)
    fx.save(fx.wavelet_coefficients(x), tmp_path / "c.zarr")
    stored = fx.open_result(tmp_path / "c.zarr")
    now = fx.from_coefficients(fx.wavelet_coefficients(x.compute()))
    back = fx.from_coefficients(stored)
    assert back.dtype == back.compute().dtype == np.float32
    np.testing.assert_array_equal(back, now)  # every bit of them was kept
    np.testing.assert_allclose(back, x, atol=1e-5)
    for name in ("time", "frame"):
        np.testing.assert_array_equal(back[name], x[name])
    assert back.name == "mean"
    assert back.attrs["units"] == "degC"
    part = fx.from_coefficients(stored, period_s=(2.56, 10.24))
    wanted = fx.wavelet_filter(x, [2, 3])
    np.testing.assert_allclose(part, wanted, atol=1e-5)
    assert part.attrs["fhemb_bands"] == wanted.attrs["fhemb_bands"]
    read = {k[0] for k in dask.base.collections_to_expr([part]).__dask_graph__() if k}
    assert not any("detail_1-" in str(k) for k in read)  # what is not needed is not read


@pytest.mark.parametrize(("level", "k"), [(1, 50), (4, 21)])
def test_coefficients__stand_in_the_middle_of_what_they_see(level, k):
    coords = {"time": 7 + np.arange(600) / 25}
    impulses = xr.DataArray(np.eye(600), dims=("k", "time"), coords=coords)
    found = fx.wavelet_coefficients(impulses, "db2", level)[f"detail_{level}"][:, k]
    seen = np.flatnonzero(found)
    assert float(found[f"time_{level}"]) == pytest.approx(7 + (seen[0] + seen[-1]) / 2 / 25)


def test_coefficients__are_lazy_linear_and_two_calls_stay_apart(computes):
    x = signal(80_000, 1).chunk(time=4000)
    with computes(0):
        calls = [fx.wavelet_coefficients(x, level=5), fx.wavelet_coefficients(x + 1, level=5)]
        back = [fx.from_coefficients(c) for c in calls]
    for together, alone in zip(dask.compute(*back), back, strict=True):
        xr.testing.assert_identical(together, alone.compute())
    assert len(calls[0].__dask_graph__()) < (1 + 5 + 6) * 20
    assert len(back[0].__dask_graph__()) < (1 + 5 + 6 + 3 * 6) * 20


def test_coefficients__spread_a_missing_sample_to_what_sees_it():
    x = signal(2000)
    x[0, 1000] = np.nan
    found = fx.wavelet_coefficients(x.chunk(time=300), level=3)
    for j in (1, 2, 3):
        expected = np.isnan(by_pywt(x.values, "db4", 3, "symmetric")[-j])
        np.testing.assert_array_equal(np.isnan(found[f"detail_{j}"]), expected)


@pytest.mark.parametrize("mode", CIRCULAR_MODES)
def test_coefficients__of_modes_that_join_both_ends_are_refused(mode):
    with pytest.raises(ValueError, match=r"joins both ends .* one of symmetric"):
        fx.wavelet_coefficients(signal(), mode=mode)


def test_errors__say_what_is_missing():
    found = fx.wavelet_coefficients(signal(), level=2)
    with pytest.raises(SchemaError, match=r"need \['detail_2'\] too"):
        fx.from_coefficients(found.drop_vars("detail_2"))
    with pytest.raises(SchemaError, match="no attribute 'fhemb_coefficients'"):
        fx.from_coefficients(signal().to_dataset())
    with pytest.raises(ValueError, match=r"numbers from 0 to 2, found \[3\]"):
        fx.from_coefficients(found, [3])
    with fx.set_options(budget="50 kiB"), pytest.raises(BudgetError, match="fewer levels"):
        fx.wavelet_coefficients(signal(50_000).chunk(time=5000))
