"""One clock for every function: rate, start, gaps, and what is refused."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr import clock as clocks
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError


def series(time, **attrs):
    time = np.asarray(time)
    return xr.DataArray(np.zeros(time.size), dims="time", coords={"time": time}, attrs=attrs)


MOMENTS = np.round(np.arange(3000) / 30, 3)  # 33, 33, 34 ms


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", "M8[ms]", "M8[us]", "M8[ns]", "m8[us]"])
def test_rate__is_of_the_first_and_the_last_moment_in_any_unit(dtype):
    unit = np.datetime_data(dtype)[0] if dtype[0] in "mM" else ""
    time = MOMENTS.astype(dtype) if not unit else np.round(MOMENTS * 1000).astype("m8[ms]")
    if dtype[0] == "M":
        time = (np.datetime64("2031-05-04T20:00", unit) + time).astype(dtype)
    found = Clock.of(series(time.astype(dtype))).require_regular()
    # half a millisecond at either end of 100 s
    assert found.rate_hz == pytest.approx(30, rel=1e-5)
    assert found.since_first[-1] == pytest.approx(MOMENTS[-1], abs=1e-5)


def test_rate__of_dates_has_every_digit():
    time = np.datetime64("2026-01-01", "ns") + np.arange(2000) * np.timedelta64(10, "ms")
    assert Clock.of(series(time)).rate_hz == 100.0


def test_rate__of_single_precision_seconds_late_in_the_evening():
    time = (9000 + np.arange(400) / 25).astype(np.float32)
    found = Clock.of(series(time, sampling_rate=25.0)).require_regular()
    assert found.rate_hz == 25.0
    assert Clock.of(series(time)).rate_hz == pytest.approx(25, rel=1e-3)


@pytest.mark.parametrize("rate", [24.0, 5.0, 25.3])
def test_rate__of_an_attribute_that_contradicts_is_refused_with_both(rate):
    x = series(np.arange(500) / rate, sampling_rate=25)
    with pytest.raises(SchemaError, match=rf"says 25 Hz, 'time' has {rate:g}"):
        Clock.of(x).require_regular()
    assert Clock.of(x).attrs == {"sampling_rate": pytest.approx(rate)}


def test_rate__nominal_and_measured_agree_and_the_clock_counts():
    x = series(np.arange(30_000) / 29.97, sampling_rate=30.0)
    assert Clock.of(x).rate_hz == pytest.approx(29.97, rel=1e-9)


@pytest.mark.parametrize("rate", [0, -25.0, np.nan, np.inf, "25", [25, 25], True, 1j])
def test_attribute__that_is_no_rate_is_refused(rate):
    with pytest.raises(SchemaError, match="positive number"):
        Clock.of(xr.DataArray(np.zeros(4), dims="time", attrs={"sampling_rate": rate}))


@pytest.mark.parametrize("rate", [25, np.int16(25), np.float32(25), np.array([25.0]), [25]])
def test_attribute__of_any_kind_of_number(rate):
    x = xr.DataArray(np.zeros(4), dims="time", attrs={"sampling_rate": rate})
    assert Clock.of(x).rate_hz == 25.0


def test_rate__that_nobody_says_is_none_to_hand_on_and_refused_to_use():
    x = xr.DataArray(np.zeros(4), dims="time")
    assert Clock.of(x).attrs == {}
    assert Clock.of(x).require_regular().known_hz is None
    with pytest.raises(SchemaError, match=r"sampling rate is needed.*attrs.*assign_coords"):
        _ = Clock.of(x).rate_hz


EVEN = np.arange(100) / 25
UNEVEN = {
    "gap": np.delete(EVEN, slice(40, 50)),
    "one frame lost": np.delete(EVEN, 40),
    "repeated": np.sort(np.append(EVEN, EVEN[7])),
    "backwards": EVEN[::-1],
    "not a number": np.where(np.arange(100) == 9, np.nan, EVEN),
    "no date": (np.datetime64("2031", "us") + (EVEN * 1e6).astype("m8[us]")).astype("M8[us]"),
    "constant": np.zeros(5),
    "two parts": np.concatenate([EVEN, EVEN]),
}
UNEVEN["no date"][3] = np.datetime64("NaT", "ns")


@pytest.mark.parametrize("name", UNEVEN)
def test_uneven__clock_is_refused_by_its_first_odd_step(name):
    found = Clock.of(series(UNEVEN[name], sampling_rate=25))
    assert not found.regular
    with pytest.raises(SchemaError, match=r"not regular: after .* comes"):
        found.require_regular()


def test_uneven__clock_hands_on_the_rate_of_its_even_steps():
    assert Clock.of(series(UNEVEN["gap"])).attrs == {"sampling_rate": 25.0}
    events = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 40))
    assert Clock.of(series(events, sampling_rate=25)).attrs == {}


@pytest.mark.parametrize("rate", [60, 120, 256, 500])
def test_stamps__in_whole_milliseconds_are_even_but_a_lost_sample_is_not(rate):
    stamps = np.round(np.arange(4 * rate) / rate, 3)
    assert Clock.of(series(stamps)).require_regular().rate_hz == pytest.approx(rate, rel=1e-3)
    assert not Clock.of(series(np.delete(stamps, 200))).regular


@pytest.mark.parametrize("moments", [[date(2031, 5, d) for d in range(1, 6)], [*"abcde"]])
def test_calendar__that_is_neither_seconds_nor_dates_is_refused_in_a_sentence(moments):
    x = series(np.arange(5.0)).assign_coords(time=moments)
    with pytest.raises(
        SchemaError, match=r"seconds or datetime64, found (datetime\.date|builtins\.str)"
    ):
        Clock.of(x)


@pytest.mark.parametrize("units", ["ms", "frames", "min"])
def test_units__other_than_seconds_are_refused(units):
    x = series(np.arange(5.0))
    x.time.attrs["units"] = units
    with pytest.raises(SchemaError, match=f"in '{units}', need seconds"):
        Clock.of(x)


def test_zone__of_dates_counts_as_utc():
    index = pd.date_range("2031-05-04", periods=50, freq="40ms", tz="Europe/Vienna")
    x = series(np.arange(50.0)).assign_coords(time=("time", index))
    assert Clock.of(x).rate_hz == 25.0


def test_same__clocks_of_any_units_and_not_of_other_moments():
    a = np.datetime64("2031-05-04", "us") + np.arange(300) * np.timedelta64(40, "ms")
    for b in (a.astype("M8[ns]"), a.astype("M8[ms]"), a + np.timedelta64(1, "ms")):
        assert clocks.require_same(Clock.of(series(a)), Clock.of(series(b))) == 25.0
    with pytest.raises(ValueError, match="different times"):
        clocks.require_same(Clock.of(series(a)), Clock.of(series(a + np.timedelta64(40, "ms"))))
    with pytest.raises(ValueError, match="one clock holds dates, the other seconds"):
        clocks.require_same(Clock.of(series(a)), Clock.of(series(np.arange(300) / 25)))
    with pytest.raises(ValueError, match="25 and 30 samples a second"):
        clocks.require_same(
            Clock.of(series(np.arange(300) / 25)), Clock.of(series(np.arange(300) / 30))
        )


def test_origin__of_two_calendars_is_the_first_ones():
    a = np.datetime64("2031-05-04T20:00:00", "s") + np.arange(5)
    b = np.datetime64("2031-05-04T20:00:02.5", "ns") + np.arange(3) * np.timedelta64(500, "ms")
    mine, yours = clocks.on_one_origin(Clock.of(series(a)), Clock.of(series(b)))
    assert mine.tolist() == [0, 1, 2, 3, 4]
    assert yours.tolist() == [2.5, 3, 3.5]


def test_samples__are_rounded_and_least_ones_are_asked_for():
    found = Clock.of(series(np.arange(50) / 25))
    assert found.samples("window_s", np.float32(1.01)) == 25
    for wrong in (-1, np.nan, "1", None, True, [1, 2]):
        with pytest.raises(ValueError, match=r"window_s.*second"):
            found.samples("window_s", wrong)
    with pytest.raises(ValueError, match="1 of the 2 samples"):
        found.samples("window_s", 0.04, least=2)


def test_frames__are_those_of_the_coordinate_also_where_it_is_lazy():
    x = series(np.arange(4) / 25, sampling_rate=25)
    assert Clock.of(x).frames.tolist() == [0, 1, 2, 3]
    x = x.assign_coords(frame=("time", 10_000 + np.arange(4)))
    assert Clock.of(x).frames.tolist() == [10_000, 10_001, 10_002, 10_003]
    lazy = x.assign_coords(frame=x.frame.chunk())
    assert Clock.of(lazy).frames.tolist() == [10_000, 10_001, 10_002, 10_003]


def test_clock__of_no_labelled_array_is_refused():
    with pytest.raises(SchemaError, match="found ndarray"):
        Clock.of(np.zeros(3))


def test_uneven__stamp_that_is_missing_is_named_by_its_neighbours():
    found = Clock.of(series(UNEVEN["not a number"], sampling_rate=25))
    assert found.usual_step_s == pytest.approx(0.04)
    with pytest.raises(SchemaError, match=r"after 0\.32 s comes nan s, .*\(2 such places\)"):
        found.require_regular()


BACK = ("repeated", "gap", "one frame lost")


@pytest.mark.parametrize("name", [n for n in UNEVEN if n not in BACK])
@pytest.mark.parametrize(
    "work",
    [
        lambda x: fx.rr(x.copy(data=np.arange(x.size) % 8 == 0)),
        lambda x: fx.events(x),
        lambda x: fx.align(series(EVEN), x),
        lambda x: fx.align(x, series(EVEN)),
        lambda x: fx.cardiac_wave(x.copy(data=np.arange(x.size) % 8 == 0), series(EVEN)),
    ],
)
def test_forward__a_clock_that_runs_back_or_stands_still_is_refused(name, work):
    with pytest.raises(SchemaError, match="'time' runs forward, found"):
        work(series(UNEVEN[name]))


@pytest.mark.parametrize("name", BACK)
def test_forward__a_clock_with_gaps_or_stamps_twice_may_be_uneven(name):
    assert Clock.of(series(UNEVEN[name])).require_forward().n == len(UNEVEN[name])


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_windows__keep_dates_and_durations_that_can_be_saved(kind, unit, tmp_path):
    steps = np.round(EVEN * 1e3).astype("m8[ms]")
    moments = np.datetime64("2031-05-04") + steps if kind == "M8" else steps
    x = xr.DataArray(np.random.default_rng(0).normal(size=(3, 100)), dims=("subject", "time"))
    x = x.assign_coords(time=moments.astype(f"{kind}[{unit}]"))
    found = fx.lagged_correlation(x, window_s=1, step_s=1, max_lag_s=0.2)
    assert found.time.values.tolist() == x.time.values[[0, 25, 50, 75]].tolist()
    assert fx.isc(x, window_s=1).time.values.tolist() == found.time.values.tolist()
    fx.save(found, tmp_path / "a.zarr")
    again = fx.open_result(tmp_path / "a.zarr")
    np.testing.assert_array_equal(again.time.values, found.time.values)


def test_windows__of_a_zone_are_in_utc():
    index = pd.date_range("2031-05-04 02:00", periods=100, freq="40ms", tz="Europe/Vienna")
    x = xr.DataArray(np.random.default_rng(0).normal(size=(3, 100)), dims=("subject", "time"))
    found = fx.isc(x.assign_coords(time=("time", index)), window_s=1)
    assert found.time.values[0] == np.datetime64("2031-05-04T00:00")


def test_assumed__rate_is_said_and_one_asked_for_is_checked():
    with pytest.warns(UserWarning, match="'a' states no rate: 25 Hz is assumed, rate_hz= sets"):
        assert clocks.assumed_hz(None, "'a' states no rate") == 25
    assert clocks.assumed_hz(np.float32(30), "'a' states no rate") == 30
    for wrong in (0, -1.0, np.nan, "25", [25, 25], True):
        with pytest.raises(ValueError, match="rate_hz is a positive number of hertz"):
            clocks.assumed_hz(wrong, "'a' states no rate")
