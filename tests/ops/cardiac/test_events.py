"""Codes of trigger channels, beats whose times are known, and gaps in traces."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError


def channel(codes, hertz=100.0, **how):
    t = np.arange(len(codes)) / hertz
    return xr.DataArray(codes, dims="time", coords={"time": t}, **how)


def test_events__are_those_that_were_put_there():
    rng = np.random.default_rng(0)
    onsets = np.cumsum(rng.integers(20, 60, 40))
    codes = rng.integers(1, 255, 40)
    x = np.zeros(onsets[-1] + 50)
    for onset, code in zip(onsets, codes, strict=True):
        x[onset : onset + 5] = code
    found = fx.events(channel(x).chunk(time=100))
    np.testing.assert_allclose(found.onset, onsets / 100)
    np.testing.assert_array_equal(found.code, codes)
    np.testing.assert_allclose(found.duration, 0.05)


def test_events__of_another_baseline_and_of_neighbours():
    found = fx.events(channel([255, 255, 255, 0, 0, 4, 255, np.nan, 255, 9]))
    assert found.code.values.tolist() == [0, 4, 9]
    assert found.onset.values.tolist() == [0.03, 0.05, 0.09]
    found = fx.events(channel([255, 255, 255, 0, 0]), baseline=0)
    assert found.code.values.tolist() == [255]
    assert fx.events(channel([3.0, 3.0])).sizes["event"] == 0


def test_events__of_volts_need_a_threshold():
    volts = channel([0.01, 0.02, 4.9, 5.01, 0.0, np.nan])
    with pytest.raises(SchemaError, match=r"whole numbers, found 0\.01.*threshold="):
        fx.events(volts)
    found = volts.fhemb.events(threshold=2.5)
    assert found.onset.values.tolist() == [0.02]
    with pytest.raises(SchemaError, match="no baseline"):
        fx.events(volts, threshold=1, baseline=0)
    with pytest.raises(SchemaError, match="one channel"):
        fx.events(volts.expand_dims("channel"))


def test_beats_at__gives_the_intervals_of_the_list():
    times = np.cumsum(np.random.default_rng(1).normal(0.85, 0.05, 60))
    for given in (times.tolist(), times, xr.DataArray(times, dims="beat")):
        np.testing.assert_allclose(fx.rr(given).values[1:], np.diff(times))
        assert np.isnan(fx.rr(given).values[0])
    frames = channel(np.zeros(400), hertz=10)
    rate = fx.instantaneous_rate(times, frames)
    middles = times[:-1] + np.diff(times) / 2
    expected = np.interp(frames.time, middles, 60 / np.diff(times))
    inside = np.isfinite(rate.values)
    assert inside[20:].all()
    np.testing.assert_allclose(rate[inside], expected[inside])
    assert float(fx.cardiac_wave(times, frames).max()) <= 1


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ([0.8, 0.82, 0.79, 0.85], r"increase.*np\.cumsum"),
        ([800.0, 1600.0, 2450.0], "divide milliseconds"),
        ([0.1, np.nan, 2], "missing values"),
        ([[0.1, 0.2]], "one person"),
        (["a", "b"], "numbers of seconds"),
    ],
)
def test_beats_at__says_what_is_wrong(times, text):
    with pytest.raises(SchemaError, match=text):
        fx.beats_at(times)


def test_rr__of_zeros_and_ones_asks_what_they_are():
    with pytest.raises(SchemaError, match=r"found int64.*astype\(bool\).*beats_at"):
        fx.rr(channel(np.array([0, 1, 0, 1])))


def ecg(seconds, hertz, step=0.8):
    t = np.arange(int(seconds * hertz)) / hertz
    beats = np.arange(0.5, seconds - 0.5, step)
    x = sum(np.exp(-(((t - b) / 0.02) ** 2)) for b in beats)
    return xr.DataArray(x, dims="time", coords={"time": t}), beats


@pytest.mark.parametrize("hertz", [50.0, 51.2, 55.0, 59.9, 60.0, 64.0, 74.9, 75.0, 100.0])
def test_beats__at_every_rate_that_is_promised(hertz):
    x, beats = ecg(60, hertz)
    # equal beats without noise have ties, which each kind of processor breaks in its own way
    x = x + np.random.default_rng(0).normal(0, 0.002, x.size)
    at = x.time.values[fx.beats(x).values]
    late = beats[beats > 2]
    assert np.abs(at[:, None] - late).min(axis=0).max() < 1.01 / hertz


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(30.0, 60.0), (40.1, 41.3)])
def test_gaps__no_interval_and_no_rate_spans_one(start, stop, lazy):
    x, _ = ecg(90, 250)
    x = x.where((x.time < start) | (x.time >= stop))
    x = x.chunk(time=3000) if lazy else x
    beats = fx.beats(x)
    assert isinstance(beats.data, da.Array) == lazy
    gaps = fx.rr(beats).dropna("time")
    np.testing.assert_allclose(gaps[gaps.time > 3], 0.8, atol=0.03)
    frames = channel(np.zeros(900), hertz=10)
    inside = (frames.time > start + 0.1) & (frames.time < stop - 0.1)
    rate, wave = fx.instantaneous_rate(beats, frames), fx.cardiac_wave(beats, frames)
    assert rate.where(inside, drop=True).isnull().all()
    assert wave.where(inside, drop=True).isnull().all()
    assert rate.sel(time=slice(10, 25)).notnull().all()


def test_gaps__of_one_missing_sample_are_none():
    x, _ = ecg(60, 250)
    x[5000] = np.nan
    gaps = fx.rr(fx.beats(x)).dropna("time")
    np.testing.assert_allclose(gaps[gaps.time > 3], 0.8, atol=0.03)
    assert "gap" not in fx.beats(x).coords


def test_gaps__of_the_clock_count_too():
    x, _ = ecg(60, 250)
    pieces = fx.beats(x).isel(time=np.r_[:5000, 9000:15000])
    gaps = fx.rr(pieces).dropna("time")
    assert float(gaps.max()) < 1


def test_gaps__of_one_person_are_not_those_of_another():
    x, _ = ecg(60, 250)
    both = xr.concat([x, x.where((x.time < 20) | (x.time > 30))], "subject").chunk(subject=1)
    intervals = fx.rr(fx.beats(both)).compute()
    counts = intervals.notnull().sum("time").values
    assert counts[0] - counts[1] in (12, 13, 14)
