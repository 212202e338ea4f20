"""What leaves through plain xarray, or through save, comes back with the same values."""

import calls
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


def same(found, wanted):
    """Values and labels are equal; text may have another length."""
    assert found.dims == wanted.dims
    for name in [None, *wanted.coords]:
        a, b = (x if name is None else x[name] for x in (found, wanted))
        a, b = a.values, b.values
        if b.dtype.kind in "OUT":
            a, b = a.astype(object).astype(str), b.astype(object).astype(str)
        np.testing.assert_array_equal(a, b, err_msg=str(name))


PERMUTED = {n: {"n_permutations": 3} for n in ("classify", "classify with a relation")}
"""Without any, a variable would be empty, which is refused."""


# zarr-python says so of every text of fixed length that xarray writes
@pytest.mark.filterwarnings("ignore:The data type", "ignore::UserWarning")
@pytest.mark.parametrize("name", [n for n in calls.CALLS if n.split()[0] not in ("to_torch",)])
def test_result__of_every_function_comes_back_or_is_refused(tmp_path, name):
    """From save by us and by plain xarray, and from a plain export of what was opened."""
    call = calls.CALLS[name]()
    out = call.function(*call.arguments, **call.options | PERMUTED.get(name, {})).compute()
    kept = out.name if isinstance(out, xr.DataArray) and out.name else "result"
    fx.save(out, tmp_path / "a.zarr")
    opened = fx.open_result(tmp_path / "a.zarr")
    plain = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    ds = opened if isinstance(opened, xr.Dataset) else opened.to_dataset(name=kept)
    again = written(ds, tmp_path / "b.zarr"), written(ds, tmp_path / "c.nc")
    if isinstance(out, xr.DataArray):
        same(opened, out)
    for back in (ds, plain, *again):
        for key in out.data_vars if isinstance(out, xr.Dataset) else [kept]:
            same(back[key], out[key] if isinstance(out, xr.Dataset) else out)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_spans_and_moments__with_gaps_come_back_lazy_or_not(tmp_path, kind, unit):
    values = np.array([3, 5, 2**33, "NaT"], f"{kind}[{unit}]")
    for n, x in enumerate((xr.DataArray(values, dims="k", name="v"),) * 2):
        ds = xr.Dataset({"v": x.chunk(k=2) if n else x, "w": ("k", np.arange(4.0))})
        fx.save(ds, tmp_path / f"{n}.zarr")
        opened = fx.open_result(tmp_path / f"{n}.zarr")
        plain = xr.open_zarr(tmp_path / f"{n}.zarr", consolidated=False)
        for back in (opened, plain, written(opened, tmp_path / f"{n}b.zarr")):
            np.testing.assert_array_equal(back.v.values, values)


def test_units__of_numbers_that_are_spans_stay_numbers(tmp_path):
    """A word for a unit of time makes no time of a number."""
    for n, unit in enumerate(("s", "seconds", "days", "hours", "ms", "min")):
        x = xr.DataArray([0.5, 1.0, np.nan], dims="k", name="v", attrs={"units": unit})
        fx.save(x, tmp_path / f"{n}.zarr")
        back = xr.open_zarr(tmp_path / f"{n}.zarr", consolidated=False).v
        np.testing.assert_array_equal(back.values, x.values)
        assert back.attrs["units"] == unit


@pytest.mark.parametrize("name", ["grid_mapping", "bounds", "ancillary_variables", "calendar"])
@pytest.mark.parametrize("decode", [True, "all"])
def test_attributes__that_point_elsewhere_take_nothing_away(tmp_path, name, decode):
    x = xr.Dataset({"v": ("k", [0.0, 1.0]), "k2": ("k", [1.0, 2.0])})
    x.v.attrs[name] = "k2"
    try:
        fx.save(x, tmp_path / "a.zarr")
    except SchemaError:
        return
    back = xr.open_zarr(tmp_path / "a.zarr", consolidated=False, decode_coords=decode)
    np.testing.assert_array_equal(back.v.values, [0.0, 1.0])
    np.testing.assert_array_equal(back.k2.values, [1.0, 2.0])
