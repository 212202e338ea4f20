"""Bad input: one row of the table each, refused before any compute or given its stated value.

The rows are those of ``docs/reliability.md``, in its order.
"""

import contextlib
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import (
    EmptySelectionError,
    FhembError,
    SchemaError,
    StoreError,
    UnknownNameError,
)

N, RATE = 250, 25.0


def series(n=N, people=3, seed=0, **changes):
    """Lazy series of some people."""
    data = np.random.default_rng(seed).normal(33, 1, (people, n))
    coords = {"subject": np.arange(40, 40 + people), "time": np.arange(n) / RATE}
    made = xr.DataArray(data, dims=("subject", "time"), coords=coords, name="mean")
    return made.assign_attrs(sampling_rate=RATE).chunk(subject=1, **changes)


def faces(dtype="f4", **sizes):
    shape = {"subject": 2, "time": 40, "y": 6, "x": 5, **sizes}
    data = np.random.default_rng(1).normal(33, 1, tuple(shape.values())).astype(dtype)
    coords = {"subject": [40, 41][: shape["subject"]], "time": np.arange(shape["time"]) / RATE}
    made = xr.DataArray(data, dims=tuple(shape), coords=coords, name="heatmap")
    return made.assign_attrs(sampling_rate=RATE).chunk(subject=1)


def spoiled(array, value, **where):
    array = array.copy(deep=True).compute()
    array[where] = value
    return array.chunk(subject=1)


def shuffled(x):
    return x.isel(time=np.r_[1, 0, 2 : x.sizes["time"]])


def repeated(x):
    return x.isel(time=np.r_[0, 0 : x.sizes["time"] - 1])


def dropped(x):
    return x.isel(time=np.r_[0:100, 105 : x.sizes["time"]])


def jittered(x):
    move = np.random.default_rng(2).uniform(-0.2, 0.2, x.sizes["time"]) / RATE
    return x.assign_coords(time=x.time + move)


def recording():
    return fx.testing.audience(n_subjects=3, seconds=4, shape=(12, 10))


OPERATIONS = {
    "features": (faces, lambda x: fx.features(x, ["mean", "p5"])),
    "moments": (faces, fx.moments),
    "pca": (faces, lambda x: fx.pca(x, 2)),
    "mask": (faces, lambda x: fx.mask(x, 25)),
    "embed": (faces, lambda x: fx.embed(x, ["mean"], threshold=None)),
    "wavelet_filter": (series, lambda x: fx.wavelet_filter(x, [1], level=3)),
    "wavelet_bands": (series, lambda x: fx.wavelet_bands(x, level=3)),
    "bandpass": (series, lambda x: fx.bandpass(x, (0.5, 2))),
    "scalogram": (series, lambda x: fx.scalogram(x, [1, 2])),
    "lagged_correlation": (
        series,
        lambda x: fx.lagged_correlation(x, window_s=2, step_s=1, max_lag_s=1),
    ),
    "isc": (series, fx.isc),
    "surrogates": (series, lambda x: fx.surrogates(x, 3, seed=0)),
    "pairwise": (series, lambda x: fx.pairwise(x, "dtw")),
}
TIMED = (
    "wavelet_filter",
    "wavelet_bands",
    "bandpass",
    "scalogram",
    "lagged_correlation",
    "isc",
)
LATE_DIMS = {"moments", "mask"}  # act on any array


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in LATE_DIMS])
def test_missing_dimensions__are_named_with_those_there(name, computes):
    make, work = OPERATIONS[name]
    x = make().rename(time="t", **({"y": "row", "x": "col"} if make is faces else {}))
    with computes(0), pytest.raises(SchemaError, match=r"need the dim.*found .*'t'.*rename"):
        work(x)


@pytest.mark.parametrize("dtype", ["c8", "O", "U5", "M8[us]"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_other_than_numbers__are_refused_by_dtype(name, dtype, computes):
    make, work = OPERATIONS[name]
    x = make().astype("f4")
    bad = x.copy(data=da.zeros(x.shape, chunks=x.chunks, dtype="f4").astype(dtype))
    with computes(0), pytest.raises(SchemaError, match=r"need real numbers"):
        work(bad)


@pytest.mark.parametrize("name", OPERATIONS)
def test_bare_numpy__is_refused_with_how_to_name_dimensions(name):
    make, work = OPERATIONS[name]
    with pytest.raises(SchemaError, match="DataArray"):
        work(make().values)


def test_integers__are_widened_and_never_changed_in_place():
    whole = faces("i2")
    before = whole.compute()
    out = fx.features(whole, ["mean"])
    assert out.dtype.kind == "f"
    np.testing.assert_allclose(out.compute()[..., 0], before.mean(("y", "x")), rtol=1e-6)
    assert fx.moments(whole)["mean"].dtype == np.float64
    xr.testing.assert_identical(whole.compute(), before)


def test_temperatures_that_cannot_be_packed__are_refused(tmp_path):
    ds = recording()
    with pytest.raises(ValueError, match=r"cannot be packed: .*400.* store them as float32"):
        fx.save(ds.assign(heatmap=(ds.heatmap * 100).assign_attrs(ds.heatmap.attrs)),
                tmp_path / "a.zarr")  # fmt: skip
    assert not (tmp_path / "a.zarr").exists()


def test_frame_of_nothing__is_nan_without_a_warning():
    x = spoiled(faces(), np.nan, time=3)
    names = ["mean", "max", "skew", "kurtosis", "entropy", "p5", "median"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = fx.features(x, names).compute()
        pixels = fx.moments(x, ("y", "x")).compute()
    assert np.isnan(out.isel(time=3)).all()
    assert np.isfinite(out.isel(time=4)).all()
    assert np.isnan(pixels["mean"].isel(time=3)).all()


def test_person_of_nothing__keeps_the_label():
    people = [45, 46, 55, 72, 76]
    x = faces(subject=2).isel(subject=[0, 1, 0, 1, 0]).assign_coords(subject=people)
    x = x.where(~x.subject.isin([46, 72]))
    out = fx.features(x, ["mean"]).compute()
    assert out.subject.values.tolist() == people
    empty = np.isnan(out).all(("time", "feature"))
    assert empty.subject.values[empty].tolist() == [46, 72]


def test_constant__similarity_is_nan_and_explained_variance_is_zero():
    flat = xr.zeros_like(series()) + 33
    out = fx.lagged_correlation(flat, window_s=2, step_s=1, max_lag_s=1)
    assert np.isnan(out).all()
    relation = fx.pairwise(flat, "correlation").compute()
    assert np.isnan(relation.values[~np.eye(3, dtype=bool)]).all()
    ratio = fx.pca(xr.zeros_like(faces()) + 33, 2)["explained_variance_ratio"]
    assert (ratio.compute() == 0).all()


def test_one_missing_sample__stays_one_in_bands():
    x = spoiled(series(), np.nan, subject=0, time=30)
    out = fx.wavelet_filter(x, [1, 2], level=3).compute()
    assert np.isnan(out).sum() == 1
    assert np.isnan(out[0, 30])


def test_missing_sample_in_dtw__is_left_out_and_says_so():
    x = spoiled(series(), np.nan, subject=0, time=30)
    out = fx.pairwise(x, "dtw").compute()
    assert np.isfinite(out).all()
    assert out.attrs["nan"] == "drop"


def test_missing_pixel_in_pca__leaves_the_mask_for_all_frames():
    x = spoiled(faces(), np.nan, subject=0, time=3, y=4, x=4)
    basis = fx.pca(x, 2).compute()
    assert basis["mask"].isel(subject=0).sum() == 29
    assert np.isnan(basis["components"].isel(subject=0, y=4, x=4)).all()
    nowhere = fx.pca(xr.full_like(x, np.nan), 2).compute()
    assert not nowhere["mask"].any()
    assert np.isnan(nowhere["components"]).all()


@pytest.mark.parametrize("spoil", [repeated, shuffled, dropped, jittered])
@pytest.mark.parametrize("name", TIMED)
def test_clock__that_does_not_tick_evenly_is_refused_with_its_first_fault(
    name, spoil, computes
):
    _, work = OPERATIONS[name]
    with computes(0), pytest.raises(SchemaError, match=r"not regular: after .* comes .* step"):
        work(spoil(series()))


def test_clock__other_than_its_attribute_is_refused(computes):
    every_other = series().isel(time=slice(None, None, 2))
    with computes(0), pytest.raises(SchemaError, match=r"says 25 Hz, 'time' has 12\.5 Hz"):
        fx.wavelet_filter(every_other, [1], level=3)
    right = every_other.assign_attrs(sampling_rate=12.5)
    assert fx.wavelet_filter(right, [1], level=3).sizes["time"] == 125


@pytest.mark.parametrize("spoil", [repeated, shuffled])
def test_recording__whose_time_repeats_or_runs_back_is_refused(tmp_path, spoil):
    wrong, said = spoil(recording()), r"'time' (repeats 0\.0|is not increasing)"
    with pytest.raises(SchemaError, match=said):
        fx.save(wrong, tmp_path / "a.zarr")
    with pytest.raises(SchemaError, match=said):
        schema.validate(wrong)  # as opening does


def test_selection__by_a_clock_that_runs_back_is_refused():
    with pytest.raises(SchemaError, match=r"increasing seconds.*sortby"):
        fx.select(shuffled(recording()), seconds=(0, 1))


def test_dates_and_times__are_kept_to_the_microsecond_and_not_taken_for_seconds(tmp_path):
    stamps = pd.date_range("2024-03-01T20:00:00.000007", periods=N, freq="40ms", unit="us")
    x = series().assign_coords(time=stamps)
    with pytest.raises(SchemaError, match="'time' has to be increasing seconds"):
        fx.select(x, seconds=(0, 1))
    assert fx.wavelet_filter(x, [1], level=3).attrs["sampling_rate"] == RATE
    fx.save(x, tmp_path / "a.zarr")
    again = fx.open_result(tmp_path / "a.zarr")
    np.testing.assert_array_equal(again.time.values, stamps.values)


def test_sessions_of_different_lengths__are_paired_only_by_the_same_time():
    long, short = series(), series(200)
    with pytest.raises(ValueError, match="250 and 200 samples: select the same time"):
        fx.lagged_correlation(long, short, window_s=2, step_s=1, max_lag_s=1)
    late = short.assign_coords(time=short.time + 1)
    with pytest.raises(ValueError, match="different times"):
        fx.lagged_correlation(
            long.isel(time=slice(200)), late, window_s=2, step_s=1, max_lag_s=1
        )


@pytest.mark.parametrize("name", ["dbb4", "morl", "", "haar5"])
def test_wavelet__unknown_is_refused_with_the_nearest(name, computes):
    with computes(0), pytest.raises(UnknownNameError, match="nearest are"):
        fx.wavelet_filter(series(), [1], name)


def test_wavelet__of_the_other_kind_is_refused(computes):
    with computes(0), pytest.raises(UnknownNameError, match="no continuous wavelet 'db4'"):
        fx.scalogram(series(), [1], wavelet="db4")


def test_level__too_deep_is_computed_with_a_warning_that_names_the_deepest():
    with pytest.warns(UserWarning, match="deepest sound level .* is 5|deepest soun"):
        out = fx.wavelet_filter(series(), [1], level=8)
    assert out.sizes["time"] == N


@settings(max_examples=15)
@given(n=st.integers(2, 600))
def test_length__is_the_same_whatever_it_is(n):
    x = xr.DataArray(np.random.default_rng(n).normal(size=n), dims="time")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # too deep for the short ones
        out = fx.wavelet_bands(x, level=3)
    assert out.sizes["time"] == n
    np.testing.assert_allclose(out.sum("band"), x, atol=1e-9)


@pytest.mark.parametrize(
    "work",
    [
        lambda x: fx.lagged_correlation(x, window_s=99, step_s=1, max_lag_s=1),
        lambda x: fx.isc(x, window_s=99),
    ],
)
def test_window__longer_than_the_series_names_both(work, computes):
    with computes(0), pytest.raises(ValueError, match=r"99 s .*longer.*largest is 10 s"):
        work(series())


@pytest.mark.parametrize("k", [0, 31, 5000])
def test_components__more_than_there_are_is_refused_with_the_number(k, computes):
    with computes(0), pytest.raises(ValueError, match=rf"from 1 to 30 .*found {k}"):
        fx.pca(faces(), k)


def test_frame_cut_into_pieces__is_refused_with_the_chunking_that_works(computes):
    cut = faces().chunk(y=3, x=2)
    for work in (lambda: fx.pca(cut, 2), lambda: fx.features(cut, ["mean"])):
        with (
            computes(0),
            pytest.raises((ValueError, SchemaError), match=r"chunk\(y=-1, x=-1\)"),
        ):
            work()


@pytest.mark.parametrize(
    "asked",
    [
        {"seconds": (100, 200)},
        {"frames": (10_000, 20_000)},
        {"subjects": []},
        {"sessions": []},
    ],
)
def test_selection_of_nothing__says_what_is_there(asked, computes):
    with computes(0), pytest.raises(EmptySelectionError, match=r"there (is|are) "):
        fx.select(recording(), **asked)


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in LATE_DIMS])
def test_nothing_left__is_refused(name, computes):
    make, work = OPERATIONS[name]
    with computes(0), pytest.raises(EmptySelectionError, match=r"nothing is left along .*time"):
        work(make().isel(time=slice(0)))


def test_nothing_left__is_not_saved(tmp_path):
    with pytest.raises(EmptySelectionError, match="nothing is left of 'mean'"):
        fx.save(series().isel(time=slice(0)), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_one_frame__has_the_values_that_one_frame_has():
    one = series().isel(time=[0])
    assert float(fx.pairwise(one, "dtw").compute()[0, 0]) == 0
    assert np.isnan(fx.isc(one)["isc"]).all()
    assert fx.features(faces(time=1), ["mean"]).sizes["time"] == 1
    with pytest.raises(ValueError, match="longer than the series"):
        fx.lagged_correlation(one, window_s=1, step_s=1, max_lag_s=0)


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"subjects": [999]}, UnknownNameError, "no subject 999 among 3; the nearest are"),
        ({"subjects": "Anna"}, UnknownNameError, "no subject 'Anna'"),
        ({"subjects": [(70, 80)]}, UnknownNameError, r"no subject in \(70, 80\)"),
        ({"subjects": [(41, 40)]}, ValueError, r"pair \(first, last\)"),
        ({"subjects": None}, ValueError, "subjects are 'all', an id, or a list"),
        ({"subjects": 1.5}, ValueError, "subjects are 'all', an id, or a list"),
        ({"sessions": "tosca"}, UnknownNameError, "no session 'tosca'"),
        ({"seconds": (3, 1)}, ValueError, "start < stop"),
        ({"seconds": (float("nan"), 1)}, ValueError, "start < stop"),
        ({"seconds": ("a", "b")}, ValueError, "two numbers"),
        ({"seconds": 3}, ValueError, "two numbers"),
        ({"frames": (1, 2, 3)}, ValueError, "two numbers"),
        ({"frames": (1, 2), "seconds": (1, 2)}, ValueError, "one of the two"),
    ],
)
def test_selection__that_cannot_be_says_why(asked, error, text, computes):
    with computes(0), pytest.raises(error, match=text):
        fx.select(recording(), **asked)


@pytest.mark.parametrize("threshold", [float("nan"), "25", None])
def test_threshold__is_a_number(threshold):
    with pytest.raises(ValueError, match="threshold is"):
        fx.mask(faces(), threshold)
    if threshold is not None:
        with pytest.raises(ValueError, match="threshold is"):
            fx.embed(faces(), ["mean"], threshold=threshold)


@pytest.mark.parametrize("names", ["skwe", ["p101"], [("p5", "bh3")], [("p9", "p5")], [], [3]])
def test_features__unknown_are_refused(names, computes):
    with (
        computes(0),
        pytest.raises((UnknownNameError, ValueError), match=r"feature|interval|p101"),
    ):
        fx.features(faces(), names)


@pytest.mark.parametrize("what", [np.zeros(3), 3, "x", None, {"a": 1}])
def test_save__of_anything_else_is_refused(what, tmp_path):
    with pytest.raises(SchemaError, match="can save a DataArray"):
        fx.save(what, tmp_path / "a.zarr")


def test_save__of_objects_is_refused_before_anything_is_written(tmp_path):
    bad = xr.DataArray(np.array([{1: 2}, None], dtype=object), dims="k", name="o")
    lazy = series().astype(object)
    for x in (bad, lazy, series().assign_coords(who=("subject", bad.values[[0, 1, 1]]))):
        with pytest.raises(SchemaError, match="holds objects, which are not stored"):
            fx.save(x, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_attributes__become_what_json_can_hold(tmp_path):
    given = {"when": pd.Timestamp("2024-03-01"), "n": np.float32(1), "a": np.arange(2),
             "pair": (1, 2), "set": {3}}  # fmt: skip
    fx.save(series().assign_attrs(given), tmp_path / "a.zarr")
    found = fx.open_result(tmp_path / "a.zarr").attrs
    kept = {k: found[k] for k in given}
    assert kept == {
        "when": "2024-03-01T00:00:00", "n": 1.0, "a": [0, 1], "pair": [1, 2], "set": [3],
    }  # fmt: skip


def test_store__of_others_is_refused(tmp_path):
    xr.Dataset({"a": ("x", [1])}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(SchemaError, match="not a store of fhemb_xr"):
        fx.open_recording(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=r"no store 'b\.zarr'"):
        fx.open_recording(tmp_path / "b.zarr")


times = npst.arrays("f8", st.integers(3, 30), elements=st.floats(-1e3, 1e3))


@given(times)
def test_any_clock__is_regular_or_refused_and_never_anything_else(clock):
    x = xr.DataArray(np.zeros(clock.size), dims="time", coords={"time": clock})
    steps = np.diff(clock)
    usual = np.median(steps)
    slack = max(0.1 * usual, min(0.001, usual / 2)) * (1 + 1e-9)
    if (steps > 0).all() and (abs(steps - usual) <= slack).all():
        Clock.of(x).require_regular()
    else:
        with pytest.raises(SchemaError, match="not regular"):
            Clock.of(x).require_regular()


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name__is_found_or_refused_by_name(subject, feature):
    ds = recording()
    with pytest.raises(FhembError):
        fx.select(ds, subjects=subject if subject != "all" else "nobody")
    assume(feature not in ("max", "min", "std", "mean", "median", "skew"))
    with pytest.raises((FhembError, ValueError)):
        fx.features(ds.heatmap, feature)


@given(npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
def test_any_shape__gives_a_result_or_one_of_our_errors(shape):
    dims = ("subject", "session", "time", "y", "x")[5 - len(shape) :]
    x = xr.DataArray(da.ones(shape, dtype="f4"), dims=dims)
    for work in (lambda: fx.features(x, ["mean"]), lambda: fx.pca(x, 1), lambda: fx.isc(x)):
        with contextlib.suppress(FhembError, ValueError):
            work()


def test_messages__hold_no_path(tmp_path):
    for work in (fx.open_recording, fx.open_result, fx.open_embedding):
        with pytest.raises(StoreError) as caught:
            work(Path(tmp_path) / "secret-place" / "a.zarr")
        assert "secret-place" not in str(caught.value)
