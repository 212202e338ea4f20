"""Breathing and pulse against rates that are known, against scipy, and against noise."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.kernels.respiration import rates as kernel

HZ, T = 5.0, 600
TIME = np.arange(T) / HZ
BREATHS = np.array([0.2, 0.31, 0.45])


def series(amplitude=1.0, seed=0, late_s=0.0):
    rng = np.random.default_rng(seed)
    wave = amplitude * np.sin(2 * np.pi * BREATHS[:, None] * (TIME - late_s) + [[0], [1], [2]])
    slow = 3 * np.sin(2 * np.pi * TIME / 90) + 0.02 * TIME
    return xr.DataArray(
        30 + wave + slow + rng.normal(size=(3, T)), dims=("subject", "time"),
        coords={"subject": [40, 41, 42], "time": TIME}, attrs={"units": "degC"},
    )  # fmt: skip


def test_respiration__finds_the_rate_in_every_window():
    out = fx.respiration(series(), step_s=20)
    np.testing.assert_allclose(out.window, [0, 20, 40, 60])
    np.testing.assert_allclose(out.rate, 60 * BREATHS[:, None].repeat(4, 1), atol=0.25)
    assert (out.p <= 0.01).all()
    assert (out.quality > 0.4).all()
    assert out.rate.dims == ("subject", "window")
    assert out.rate.attrs["units"] == "1/min"
    assert out.wave.attrs["units"] == "degC"
    assert {v.dtype for v in out.values()} == {np.dtype("f8")}
    louder = fx.respiration(series(3), step_s=20)
    assert (louder.quality > out.quality).all()
    np.testing.assert_allclose(louder.rate, 60 * BREATHS[:, None].repeat(4, 1), atol=0.08)


def test_respiration__spectrum_is_that_of_scipy():
    x, band = series().values, kernel.Band(0.1, 0.7, HZ, 300)
    found = kernel.rates(x, np.array([50]), band)[:, 0]
    t = np.linspace(-1, 1, 300)
    for row, (hz, quality, _, _) in zip(x[:, 50:350], found, strict=True):
        rest = row - np.polyval(np.polyfit(t, row, 2), t)
        f, power = signal.periodogram(rest, HZ, "hann", nfft=1200, detrend=False)
        inside = (f >= 0.1 - 1e-9) & (f <= 1.4 + 1e-9)
        peak = f[inside][power[inside].argmax()]
        assert abs(hz - peak) < HZ / 1200
        near = np.minimum(abs(f - peak), abs(f - 2 * peak)) <= 2 * HZ / 300 + 1e-9
        np.testing.assert_allclose(
            quality, power[inside & near].sum() / power[inside].sum(), atol=0.02
        )


def test_respiration__wave_is_that_of_a_filter_forth_and_back():
    x = series()
    sos = signal.butter(2, (0.1, 0.7), "bandpass", fs=HZ, output="sos")
    np.testing.assert_allclose(fx.respiration(x).wave, signal.sosfiltfilt(sos, x), atol=1e-6)


KINDS = {
    "white": lambda e: e,
    "autoregressive": lambda e: signal.lfilter([1], [1, -0.9], e, axis=1),
    "walk": lambda e: e.cumsum(axis=1),
    "drift": lambda e: e + 20 * np.linspace(0, 1, e.shape[1]) ** 2,
    "walk and white": lambda e: e[::-1] + 0.2 * e.cumsum(axis=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_p__of_noise_is_even_whatever_its_colour(kind):
    x = KINDS[kind](np.random.default_rng(3).normal(size=(300, 500)))[:, -300:]
    p = kernel.rates(x, np.array([0]), kernel.Band(0.1, 0.7, HZ, 300))[:, 0, 2]
    assert (p <= 0.05).sum() <= 27  # 99.9 % of binomial draws at .05
    assert (p <= 0.5).sum() >= 100  # and it is no rule that says no
    assert p.min() >= 1 / 2000


def test_rate__is_missing_where_nothing_breathes_and_alpha_says_how_sure():
    x = series(0)
    out = fx.respiration(x)
    assert np.isnan(out.rate).mean() > 0.9
    assert not np.isnan(out.p).any()
    every = fx.respiration(x, alpha=0.999)
    assert not np.isnan(every.rate).any()
    xr.testing.assert_equal(every.p, out.p)
    still = fx.respiration(xr.full_like(x, 30.1))
    assert all(np.isnan(still[n]).all() for n in ("rate", "p", "quality"))


def test_respiration__leaves_gaps_out():
    x = series(3)
    x[0, 100:140] = np.nan  # 8 s of a window of 60 s: bridged
    x[1, 100:220] = np.nan  # 24 s: too much
    out = fx.respiration(x, step_s=30)
    np.testing.assert_allclose(out.rate[0], 12, atol=0.3)
    np.testing.assert_array_equal(np.isnan(out.p[1]), [True, True, False])
    np.testing.assert_array_equal(np.isnan(out.wave), np.isnan(x))


@settings(max_examples=6)
@given(cuts=st.sets(st.integers(1, T - 1), max_size=6), people=st.integers(1, 3))
def test_respiration__does_not_depend_on_chunks(cuts, people):
    x = series()
    x[0, 30:40] = np.nan
    chunks = tuple(np.diff([0, *sorted(cuts), T]).tolist())
    lazy = fx.respiration(x.chunk(time=chunks, subject=people), reference=x)
    assert lazy.rate.chunks
    whole = fx.respiration(x, reference=x)
    xr.testing.assert_allclose(lazy.compute(scheduler="synchronous"), whole, atol=1e-6)


def test_respiration__computes_nothing_and_has_few_tasks(computes):
    x = series().chunk(time=100, subject=1)
    with computes(0):
        out = fx.respiration(x)
    assert len(out.__dask_graph__()) < 10 * (3 * 6)


@pytest.mark.parametrize("late_s", [0.5, -0.7])
def test_lag__says_how_late_the_face_is(late_s):
    out = fx.respiration(series(3, 1, late_s), reference=series(3))
    np.testing.assert_allclose(out.lag, late_s, atol=0.12)
    belt = series(3)[0].drop_vars("subject")
    alone = fx.respiration(series(3, 1, late_s)[0], reference=belt)
    np.testing.assert_allclose(alone.lag, late_s, atol=0.12)
    nobody = fx.respiration(series(0), reference=series(3))
    assert np.isnan(nobody.lag).mean() > 0.9


@pytest.fixture(scope="module")
def breathing():
    ds = fx.testing.audience(
        2, 72, shape=(20, 16), rate_hz=HZ, turn_deg=4, shift_px=0.4, chunk_frames=180
    )
    regions = fx.regions(ds, ["nose_tip", "forehead", "cheeks"]).compute(
        scheduler="synchronous"
    )
    return ds, regions


def test_respiration__of_turning_faces_is_that_of_the_simulation(breathing):
    ds, regions = breathing
    with_face = fx.respiration(regions, step_s=12)
    true = 60 * ds.breath_hz.values[:, None, None]
    assert (abs(with_face.rate - true) < 0.2).all()
    assert with_face.rate.dims == ("subject", "session", "window")
    whole = fx.respiration(ds, step_s=12).compute(scheduler="synchronous")
    xr.testing.assert_allclose(whole, with_face, atol=1e-9)
    pictures = regions.assign(reference=(("y", "x"), np.zeros((20, 16))))
    xr.testing.assert_identical(fx.respiration(pictures, step_s=12), with_face)
    both = fx.respiration(regions, ["nose", "cheeks"], minus="forehead", step_s=12)
    assert both.rate.sizes["feature"] == 2
    nose = both.rate.sel(feature="nose_tip")
    assert (abs(nose - true) < 0.2).all()
    assert float(both.quality.sel(feature="nose_tip").min()) > 0.8
    assert float(both.quality.sel(feature="cheeks").mean()) < 0.6


def test_respiration__of_noses_that_do_not_breathe_is_none():
    ds = fx.testing.audience(
        2, 72, shape=(20, 16), rate_hz=HZ, turn_deg=4, shift_px=0.4, breath_k=0
    )
    out = fx.respiration(ds.compute(), step_s=12)
    assert np.isnan(out.rate).all()
    assert (out.p > 0.01).all()


def test_pulse__is_that_of_the_series():
    t = np.arange(1000) / 25
    rng = np.random.default_rng(0)
    beats = np.sin(2 * np.pi * np.array([[1.1], [1.9]]) * t) + rng.normal(size=(2, 1000))
    x = xr.DataArray(beats, dims=("subject", "time"), coords={"time": t})
    out = fx.pulse(x)
    np.testing.assert_allclose(out.rate, [[66.0] * 5, [114.0] * 5], atol=0.7)
    assert out.attrs["of"] == "pulse"
    assert out.attrs["sampling_rate"] == 25


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"window_s": 30}, ValueError, "six|6 periods of the lowest frequency, 60 s"),
        ({"hz": (0.1, 3)}, ValueError, "between 0 and 2.5 Hz"),
        ({"hz": (0.7, 0.1)}, ValueError, "hz is a pair"),
        ({"hz": (0.1, 0.11)}, ValueError, "hz spans 0.0333 Hz or more"),
        ({"alpha": 1e-4}, ValueError, "alpha is 0.0005 or more"),
        ({"alpha": 2}, ValueError, "alpha is a share"),
        ({"template": xr.Dataset()}, ValueError, "template= belongs to frames"),
        ({"reference": series().isel(time=slice(100))}, ValueError, "samples|length"),
    ],
)
def test_respiration__refuses_what_it_cannot_do(options, error, words):
    with pytest.raises(error, match=words):
        fx.respiration(series(), **options)


def test_respiration__names_the_regions_that_are_there():
    x = series().rename(subject="feature").assign_coords(feature=["nose_tip", "a", "b"])
    with pytest.raises(UnknownNameError, match=r"no region 'forehead'.*minus=None"):
        fx.respiration(x)
    assert fx.respiration(x, minus=None).rate.dims == ("window",)
    with pytest.raises(SchemaError, match=r"a Dataset of \['a'\]"):
        fx.respiration(xr.Dataset({"a": x}))
