"""Recordings of one's own arrays: every shape, one error for all faults, and saving them."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.errors import SchemaError

N, SHAPE = 30, (6, 5)


@pytest.fixture
def heat():
    return np.random.default_rng(0).normal(33, 1, (2, N, *SHAPE)).astype("f4")


def shapes(heat):
    named = xr.DataArray(heat, dims=("subject", "time", "y", "x"))
    clock = np.arange(N) / 10
    return {
        "array": (heat, {"rate_hz": 10}),
        "dask": (da.from_array(heat, chunks=(1, 7, 6, 5)), {"rate_hz": 10}),
        "dict": ({0: heat[0], 1: heat[1]}, {"rate_hz": 10}),
        "five": (heat[:, None], {"time": clock}),
        "turned": (named.transpose("x", "time", "y", "subject"), {"rate_hz": np.float32(10)}),
        "clocked": (named.assign_coords(time=clock), {}),
        "dataset": (named.assign_coords(time=clock).to_dataset(name="face"), {}),
        "kelvin": (heat.astype("f8") + 273.15, {"rate_hz": 10, "units": "K"}),
        "counts": (np.rint((heat + 273.15) * 100).astype("u2"), {"rate_hz": 10, "units": "cK"}),
        "big endian": (heat.astype(">f8"), {"rate_hz": 10}),
    }


@pytest.mark.parametrize("kind", shapes(np.zeros((2, N, *SHAPE), "f4")))
def test_recording__is_valid_lazy_and_the_same_after_saving(heat, tmp_path, computes, kind):
    data, options = shapes(heat)[kind]
    with computes(0):
        ds = fx.recording(data, **options, threshold=25, title="mine")
        schema.validate(ds)
    assert ds.heatmap.chunks is not None
    assert ds.heatmap.dtype == np.float32
    assert ds.attrs["sampling_rate"] == 10
    fx.save(ds, tmp_path / "a.zarr")
    again = fx.open_recording(tmp_path / "a.zarr")
    np.testing.assert_allclose(again.heatmap[:, 0], heat, atol=0.011)
    np.testing.assert_allclose(again.time, np.arange(N) / 10)
    assert again.subject.values.tolist() == [0, 1]


def test_recording__of_people_of_several_sizes(heat):
    ds = fx.recording({"anna": heat[0], "ben": heat[1, :20, :4, :3]}, rate_hz=10)
    ben = ds.heatmap.sel(subject="ben").isel(session=0).values
    np.testing.assert_array_equal(ben[:20, 1:5, 1:4], heat[1, :20, :4, :3])
    assert np.isfinite(ben).sum() == 20 * 12
    labelled = fx.recording(heat, rate_hz=10, subjects=["a", "b"], session="evening")
    assert labelled.subject.values.tolist() == ["a", "b"]
    assert labelled.session.values.tolist() == ["evening"]


def test_recording__keeps_an_uneven_clock(heat):
    clock = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.2, N))
    np.testing.assert_array_equal(fx.recording(heat, time=clock).time, clock)


@pytest.mark.parametrize(
    ("change", "options", "texts"),
    [
        (lambda h: h, {}, ["rate_hz= "]),
        (lambda h: h, {"rate_hz": 0, "threshold": "x"}, ["positive number", "threshold is"]),
        (lambda h: h, {"rate_hz": 10, "subjects": ["a"]}, ["2 of 'subject', 1 labels"]),
        (lambda h: h, {"rate_hz": 10, "subjects": ["a", "a"]}, ["labels of 'subject' repeat"]),
        (lambda h: h + 273.15, {"rate_hz": 10}, ["around 306", "say units"]),
        (lambda h: h, {"rate_hz": 10, "units": "Rankine"}, ["units are one of degC"]),
        (lambda h: h[0, 0], {"rate_hz": 10}, ["shape (6, 5)"]),
        (lambda h: h.astype(complex), {"rate_hz": 10}, ["real numbers, found complex"]),
        (lambda h: h, {"time": np.zeros(3)}, ["one moment for each of 30 frames"]),
        (lambda h: h, {"time": np.arange(N)[::-1]}, ["does not increase after frame 0"]),
        (lambda h: h[:, :0], {"rate_hz": 10}, ["nothing is there along ['time']"]),
        (lambda h: {"a": h, "b": "no"}, {"rate_hz": 1}, ["'a' is no array", "'b' is no array"]),
        (lambda h: "no", {}, ["found str"]),
    ],
)
def test_recording__lists_all_that_is_wrong(heat, change, options, texts):
    with pytest.raises(SchemaError) as error:
        fx.recording(change(heat), **options)
    for text in texts:
        assert text in str(error.value)


def test_save__checks_what_calls_itself_a_recording_before_it_computes(
    heat, tmp_path, computes
):
    ds = fx.recording(da.from_array(heat), rate_hz=10)
    del ds.attrs["sampling_rate"]
    with computes(0), pytest.raises(SchemaError, match="no attribute 'sampling_rate'"):
        fx.save(ds, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_save__turns_a_recording_and_open_turns_a_store(heat, tmp_path):
    ds = fx.recording(heat, rate_hz=10)
    fx.save(ds.transpose("x", "y", "time", "session", "subject"), tmp_path / "a.zarr")
    again = fx.open_recording(tmp_path / "a.zarr")
    np.testing.assert_allclose(again.heatmap[:, 0], heat, atol=0.006)


def test_units__of_every_person_of_a_dict_are_looked_at():
    celsius, kelvin = np.full((20, 6, 5), 33.0), np.full((20, 6, 5), 306.15, "f4")
    for people, units in (
        ({"anna": kelvin}, "degC"),
        ({"anna": celsius, "ben": kelvin}, "degC"),
        ({"anna": kelvin, "ben": celsius}, "K"),
    ):
        with pytest.raises(SchemaError, match="which no face has: say units"):
            fx.recording(people, rate_hz=25, units=units)
    dims = ("time", "y", "x")
    mixed = {
        "anna": xr.DataArray(celsius, dims=dims, attrs={"units": "degC"}),
        "ben": xr.DataArray(kelvin, dims=dims, attrs={"units": "K"}),
    }
    with pytest.raises(SchemaError, match="people have different units, K, degC"):
        fx.recording(mixed, rate_hz=25)
