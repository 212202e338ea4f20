"""Butterworth bands, spectrograms, scalograms: scipy's and PyWavelets', whatever the chunks."""

import numpy as np
import pytest
import pywt
import scipy.signal
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError, UnknownNameError


def signal(n=4000, channels=2, dtype="f8"):
    data = np.random.default_rng(0).normal(size=(n, channels)).cumsum(axis=0).astype(dtype)
    coords = {"time": np.arange(n) / 25, "k": range(channels)}
    attrs = {"sampling_rate": 25.0, "units": "degC"}
    return xr.DataArray(data, dims=("time", "k"), coords=coords, attrs=attrs, name="mean")


@given(size=st.integers(1, 4000), hz=st.sampled_from([(0.5, 2.0), (None, 1.0), (0.4, None)]))
def test_bandpass__equals_scipy_over_the_whole_series(size, hz):
    x = signal()
    edges = [f for f in hz if f]
    kind = "bandpass" if len(edges) == 2 else "lowpass" if hz[0] is None else "highpass"
    sos = scipy.signal.butter(
        4, edges[0] if len(edges) == 1 else edges, kind, fs=25, output="sos"
    )
    whole = fx.bandpass(x, hz)
    expected = scipy.signal.sosfiltfilt(sos, x.values, axis=0)
    np.testing.assert_array_equal(whole, expected)
    parts = fx.bandpass(x.chunk(time=max(size, 40)), hz)
    # what is cut off has faded to 1e-7 of the signal, twice
    np.testing.assert_allclose(parts, whole, atol=1e-6 * np.abs(x).max().item())


def test_band_power__is_the_mean_square_around_each_moment():
    x = signal()
    filtered = fx.bandpass(x, (0.5, 2)).to_series().unstack("k")
    out = fx.band_power(x.chunk(time=900), (0.5, 2), window_s=5.0)
    expected = (filtered**2).rolling(125, center=True, min_periods=1).mean()
    np.testing.assert_allclose(out[200:-200], expected[200:-200], rtol=1e-3, atol=1e-6)
    assert out.attrs["units"] == "(degC)^2"


@given(size=st.integers(30, 4000), window_s=st.sampled_from([8, 8.04, 40]))
@settings(max_examples=15)
def test_spectrogram__equals_scipy_window_by_window(size, window_s):
    x, n = signal(), round(window_s * 25)
    x[1000] = np.nan
    out = fx.spectrogram(x.chunk(time=size, k=1), window_s=window_s, step_s=3)
    assert out.dims == ("k", "window", "frequency")
    starts = np.arange(0, 4000 - n + 1, 75)
    windows = x.values[starts[:, None] + np.arange(n)]
    f, p = scipy.signal.periodogram(windows, 25, "hann", axis=1)
    np.testing.assert_allclose(out, p.transpose(2, 0, 1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(out.frequency, f)
    assert out["window"][1] == 3


def test_spectrogram__keeps_float32_and_every_other_coordinate():
    x = signal(dtype="f4").assign_coords(frame=("time", range(4000)), who=("k", ["a", "b"]))
    for y in (x, x.chunk(time=900)):
        out = fx.spectrogram(y)
        assert out.dtype == out.compute().dtype == np.float32
        assert set(out.coords) == {"k", "who", "window", "frequency"}
        assert out.attrs["units"] == "(degC)^2/Hz"


@pytest.mark.parametrize("size", [-1, 333])
def test_gaps__split_a_series_into_runs_of_their_own(size):
    x = signal()
    x[1500:1600, 0] = np.nan
    x[3000:3003] = np.nan
    for call in (
        lambda y: fx.bandpass(y, (0.5, 2)),
        lambda y: fx.scalogram(y, [0.5, 2.0]),
    ):
        out = call(x.chunk(time=size)).values
        for k, edges in ((0, [0, 1500, 1600, 3000, 3003, 4000]), (1, [0, 3000, 3003, 4000])):
            for a, b in zip(edges[::2], edges[1::2], strict=True):
                alone = call(x[a:b, k]).values
                scale = np.abs(alone).max()
                np.testing.assert_allclose(out[a:b, k], alone, atol=2e-6 * scale)
        assert np.isnan(out[np.isnan(x.values)]).all()


def test_gaps__are_refused_where_asked_and_no_power_spreads():
    x = signal()
    x[3000:3010] = np.nan
    with pytest.raises(ValueError, match="gaps='fill' or gaps='split' allow that"):
        fx.bandpass(x.chunk(time=1000), (0.5, 2), gaps="raise").compute()
    power = fx.band_power(x.chunk(time=1000), (0.5, 2))
    np.testing.assert_array_equal(np.isnan(power), np.isnan(x))


def test_scalogram__equals_pywavelets_over_the_whole_series_mirrored_at_its_ends():
    x, hz, wavelet = signal(3000), [0.5, 1.2, 5.0], "cmor1.5-1.0"
    scales = pywt.frequency2scale(wavelet, np.array(hz) / 25)
    mirrored = np.pad(x.values, ((2000, 2000), (0, 0)), mode="symmetric")
    found, _ = pywt.cwt(mirrored, scales, wavelet, axis=0, method="fft")
    expected = np.moveaxis(np.abs(found[:, 2000:-2000]) ** 2, 0, -1)
    for size in (-1, 700, 60):
        out = fx.scalogram(x.chunk(time=size), hz)
        assert out.dims == ("time", "k", "frequency")
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-9 * expected.max())


def test_spectra__compute_nothing_and_stay_linear(computes):
    x = signal(60_000, 1).chunk(time=3000)
    with computes(0):
        fx.bandpass(x, (0.5, 2)), fx.band_power(x, (0.5, 2))
        fx.spectrogram(x), fx.scalogram(x, [1.0])
    for call, most in (
        (lambda y: fx.bandpass(y, (0.5, 2)), 6),
        (lambda y: fx.band_power(y, (0.5, 2)), 12),
        (lambda y: fx.scalogram(y, [1.0]), 6),
        (fx.spectrogram, 6),
    ):
        assert len(call(x).__dask_graph__()) < (most + 1) * 20


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: fx.bandpass(x, (2, 1)),
            ValueError,
            r"between 0 and 12.5 Hz.*found \(2, 1\)",
        ),
        (lambda x: fx.bandpass(x, (None, None)), ValueError, "lowest, highest"),
        (lambda x: fx.bandpass(x, (1, 13)), ValueError, "found"),
        (lambda x: fx.spectrogram(x, window_s=999), ValueError, "160 s of the series"),
        (lambda x: fx.spectrogram(x, step_s=0), ValueError, "a sample or more"),
        (lambda x: fx.scalogram(x, [0.0]), ValueError, "up to 12.5 Hz"),
        (lambda x: fx.scalogram(x, wavelet="mrol"), UnknownNameError, "morl"),
        (lambda x: fx.band_power(x, (0.5, 2), window_s=0), ValueError, "no sample"),
        (lambda x: fx.bandpass(x, (0.5, 2), gaps="spread"), ValueError, "split, fill, raise"),
    ],
)
def test_errors__say_what_is_allowed(call, error, message):
    with pytest.raises(error, match=message):
        call(signal())


def test_scalogram__of_too_low_a_frequency_is_refused():
    with fx.set_options(budget="50 kiB"), pytest.raises(BudgetError, match="smaller chunks"):
        fx.scalogram(signal(9000).chunk(time=1000), [0.01])
    with fx.set_options(budget="50 kiB"), pytest.raises(BudgetError, match="larger step"):
        fx.spectrogram(signal(9000).chunk(time=1000), step_s=0.1)
