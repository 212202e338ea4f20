"""The door of every public function: kinds of objects, dtypes, empty selections."""

import inspect
import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import EmptySelectionError, SchemaError
from fhemb_xr.ops import doors


@pytest.fixture(scope="module")
def ds():
    return fx.testing.audience(n_subjects=2, seconds=2, shape=(12, 10), seed=0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("f2", "f4"), (">f4", "f4"), (">f8", "f8"), ("g", "f8"), ("u1", "f8"), (">i4", "f8")],
)
def test_real__is_native_float32_or_float64(given, expected):
    x = xr.DataArray(np.array([1, 2, 3]).astype(given), dims="time", attrs={"units": "degC"})
    found = doors.real(x)
    assert (found.dtype, found.attrs) == (np.dtype(expected), x.attrs)
    assert found.values.tolist() == [1, 2, 3]
    assert doors.real(found) is found


def test_real__leaves_flags_text_and_counts_alone():
    for values in ([True, False], ["a", "b"], [1j, 2]):
        x = xr.DataArray(values, dims="time")
        assert doors.real(x) is x
    assert doors.real(xr.DataArray([1, 2], dims="time"), whole=True).dtype == "i8"


def test_real__masked_samples_are_missing(computes):
    masked = da.ma.masked_greater(da.arange(6, chunks=2, dtype="i2"), 3)
    with computes(0):
        found = doors.real(xr.DataArray(masked, dims="time"))
    np.testing.assert_array_equal(found.values, [0, 1, 2, 3, np.nan, np.nan])


@pytest.mark.parametrize("name", ["clusters", "pca", "embed_relation", "isc", "wavelet_bands"])
def test_door__refuses_numpy_and_datasets_in_a_sentence(name, ds):
    with pytest.raises(SchemaError, match=r"xarray\.DataArray as '\w+', found numpy.ndarray"):
        getattr(fx, name)(np.eye(3), 2)
    with pytest.raises(SchemaError, match=r"found a Dataset of .*give ds\['heatmap'\]"):
        getattr(fx, name)(ds, 2)


def test_door__figures_refuse_the_wrong_kind(ds):
    emb = fx.embed(ds, ["mean"])
    with pytest.raises(SchemaError, match=r"needs an xarray.Dataset as 'basis'.*fx\.pca"):
        emb.fhemb.plot.eigenfaces()
    with pytest.raises(SchemaError, match="player"):
        ds.heatmap.fhemb.plot.signal()


def test_door__names_the_option_that_was_meant(ds):
    with pytest.raises(TypeError, match=r"embed\(\) .*'treshold'; the nearest are threshold"):
        ds.fhemb.embed("mean", treshold=25)
    with pytest.raises(AttributeError, match=r"ds\['heatmap'\]\.fhemb\.isc"):
        ds.fhemb.isc()
    with pytest.raises(AttributeError, match="acts on a Dataset"):
        ds.heatmap.fhemb.normalise()
    with pytest.raises(AttributeError, match=r"nearest are .*embed"):
        ds.fhemb.embeds()


def test_door__says_what_is_missing_without_types(ds):
    emb = ds.fhemb.embed("mean")
    with pytest.raises(TypeError, match=r"'max_lag_s': it takes \(x, \*, max_lag_s, beta=1"):
        fx.soft_lag(emb)


def test_door__keeps_signature_and_docstring():
    assert fx.features.__doc__ == inspect.unwrap(fx.features).__doc__
    assert next(iter(inspect.signature(fx.features).parameters)) == "heat"


def test_door__an_empty_selection_is_refused():
    heat = xr.DataArray(np.zeros((0, 5, 4, 4)), dims=("subject", "time", "y", "x"))
    for call in (fx.moments, lambda h: fx.features(h, "mean"), fx.pca):
        with pytest.raises(EmptySelectionError, match=r"nothing is left along \['subject'\]"):
            call(heat)


def test_background__is_the_same_whoever_asks(ds):
    mean = ds.fhemb.embed("mean").isel(feature=0, drop=True)
    same = {
        "features": ds.fhemb.features("mean").isel(feature=0, drop=True),
        "moments": ds.fhemb.moments(("y", "x"))["mean"],
        "mask": ds.fhemb.mask("recording").mean(("y", "x")),
    }
    for name, found in same.items():
        np.testing.assert_allclose(found, mean, rtol=1e-5, err_msg=name)
    basis = ds.fhemb.pca(2)
    xr.testing.assert_allclose(basis, ds.fhemb.mask(25).fhemb.pca(2))
    scores = ds.fhemb.project(basis).transpose(..., "component").values
    np.testing.assert_allclose(ds.fhemb.embed(["pc0", "pc1"]).values, scores, atol=1e-3)


def test_background__what_was_masked_is_not_masked_again(ds):
    low = ds.fhemb.mask(20).fhemb.features("min")
    np.testing.assert_array_equal(low, ds.fhemb.features("min", threshold=20))
    everything = ds.fhemb.features("min", threshold=None)
    np.testing.assert_array_equal(everything, fx.features(ds.heatmap, "min"))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u1"])
@pytest.mark.parametrize("threshold", [25, 25.3, 25.5, -5, 300])
def test_threshold__is_compared_as_float64(dtype, threshold):
    values = np.array([[24, 25, 25.3, 25.5, 26]]).astype(dtype)
    heat = xr.DataArray(values[None], dims=("time", "y", "x"))
    kept = values.astype("f8") >= threshold
    assert np.isfinite(fx.mask(heat, threshold).values).sum() == kept.sum()
    lowest = fx.features(heat, "min", threshold=threshold).item()
    expected = values.astype("f8")[kept].min() if kept.any() else np.nan
    np.testing.assert_array_equal(lowest, np.float32(expected) if dtype == "f2" else expected)


def test_units__kelvin_and_fahrenheit_are_converted(ds):
    heat = ds.heatmap.astype("f8").assign_attrs(units="degC")
    right = fx.features(heat, ["mean", "bh0"], threshold=25, bins=[20, 30, 40.0])
    for units, other in (("K", heat + 273.15), ("degF", heat * 1.8 + 32)):
        with pytest.warns(UserWarning, match="converted to °C"):
            found = fx.features(
                other.assign_attrs(units=units),
                ["mean", "bh0"],
                threshold=25,
                bins=[20, 30, 40],
            )
        np.testing.assert_allclose(found, right, atol=1e-9)
    with pytest.raises(SchemaError, match=r"298 of these are 24\.85 °C"):
        fx.mask((heat + 273.15).assign_attrs(units="kelvin"), 298)


def test_units__what_is_no_temperature_of_a_face_warns(ds, computes):
    with pytest.warns(UserWarning, match=r"298 K are 24\.85 °C"):
        ds.fhemb.mask(298)
    hot = (ds.heatmap.load() + 273.15).assign_attrs(units="degC")
    with pytest.warns(UserWarning, match="no face's temperature"):
        fx.features(hot, "mean")
    with computes(0), warnings.catch_warnings():
        warnings.simplefilter("error")
        fx.features(hot.chunk(), "mean")  # lazy pixels are not looked at


def test_warnings__point_at_the_line_of_the_user(ds):
    with pytest.warns(UserWarning, match="298") as caught:
        ds.fhemb.mask(298)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="298") as caught:
        fx.mask(ds.heatmap, 298)
    assert caught[0].filename == __file__
