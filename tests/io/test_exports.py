"""What leaves through plain xarray, or through save, comes back with the same values."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "a.zarr"
    fx.save(fx.testing.audience(1, 4, shape=(8, 6)), path)
    return path


def written(x, path):
    if path.suffix == ".nc":
        x.to_netcdf(path, engine="h5netcdf")
        return xr.open_dataset(path, engine="h5netcdf")
    x.to_zarr(path, consolidated=False)
    return xr.open_zarr(path, consolidated=False)


# zarr-python says so of every text of fixed length that xarray writes
@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("ending", ["zarr", "nc"])
@pytest.mark.parametrize("chunks", [{}, None])
@pytest.mark.parametrize("change", ["as opened", "sliced", "loaded", "the array alone"])
def test_recording__that_was_packed_comes_back_from_plain_xarray(
    store, tmp_path, ending, chunks, change
):
    ds = fx.open_recording(store, chunks=chunks)
    ds = {
        "as opened": lambda: ds,
        "sliced": lambda: ds.isel(time=slice(7, 60)),
        "loaded": lambda: ds.load(),
        "the array alone": lambda: ds[["heatmap"]],
    }[change]()
    back = written(ds, tmp_path / f"b.{ending}")
    np.testing.assert_array_equal(back.heatmap.values, ds.heatmap.values)
    np.testing.assert_array_equal(back.time.values, ds.time.values)


@pytest.mark.parametrize("ending", ["zarr", "nc"])
def test_decimals__come_back_from_plain_xarray(tmp_path, ending):
    values = np.round(np.random.default_rng(0).random((60, 3)), 2).astype(np.float32)
    values[3] = np.nan
    x = xr.DataArray(values, dims=("time", "k"), name="v", attrs={"decimals": 2})
    fx.save(x, tmp_path / "a.zarr")
    opened = fx.open_result(tmp_path / "a.zarr")
    back = written(opened.to_dataset(), tmp_path / f"b.{ending}")
    np.testing.assert_array_equal(back.v.values, values)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("chunked", [False, True])
def test_moments__of_any_unit_are_saved_as_values_and_as_labels(tmp_path, unit, chunked):
    moments = np.array(
        ["2031-05-04T20:00:01", "1960-01-01", "2100-01-01", "NaT"], f"M8[{unit}]"
    )
    clock = np.datetime64("2031-05-04", unit) + np.arange(4).astype("m8[h]").astype(
        f"m8[{unit}]"
    )
    x = xr.DataArray(moments, dims="time", name="onset", coords={"time": clock})
    x = x.assign_coords(end=("time", clock + np.timedelta64(1, "s").astype(f"m8[{unit}]")))
    fx.save(x.chunk(time=2) if chunked else x, tmp_path / "a.zarr")
    for back in (
        fx.open_result(tmp_path / "a.zarr"),
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False).onset,
    ):
        np.testing.assert_array_equal(back.values, moments)
        np.testing.assert_array_equal(back.time.values, clock)
        np.testing.assert_array_equal(back.end.values, x.end.values)


MEANING = [
    ("scale_factor", 0.1), ("add_offset", 3.0), ("_FillValue", 1.0), ("missing_value", 0.0),
    ("dtype", "bool"), ("coordinates", "k2"), ("_Unsigned", "true"),
    ("units", "days since 2000-01-01"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), MEANING)
def test_attributes__that_every_reader_acts_on_are_refused(tmp_path, name, value):
    x = xr.DataArray(np.arange(3.0), dims="k", name="v", attrs={name: value})
    with pytest.raises(SchemaError, match=rf"'v' cannot be stored with .*{name}"):
        fx.save(x, tmp_path / "a.zarr")
    lying = xr.DataArray(np.arange(3.0), dims="k", name="v", coords={"k": [1, 2, 3]})
    lying.k.attrs[name] = value
    with pytest.raises(SchemaError, match=rf"'k' cannot be stored with .*{name}"):
        fx.save(lying, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_attributes__of_dates_with_units_are_refused_before_any_work(tmp_path):
    clock = np.datetime64("2031-05-04", "us") + np.arange(3)
    x = xr.DataArray(np.arange(3.0), dims="time", name="v", coords={"time": clock})
    x.time.attrs["units"] = "s"
    with pytest.raises(SchemaError, match="'time' cannot be stored"):
        fx.save(x, tmp_path / "a.zarr")
