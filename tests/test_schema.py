"""What counts as a recording, and how its absence is said."""

import numpy as np
import pytest
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.testing import audience


@pytest.fixture
def ds():
    return audience(n_subjects=2, seconds=2, shape=(4, 3))


def test_validate__takes_a_recording_and_reads_nothing(ds, computes):
    with computes(0):
        schema.validate(ds)
        schema.validate(ds[["heatmap"]])
        schema.validate(ds.isel(time=slice(0, 0)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda ds: ds.drop_vars("heatmap"), "no variable 'heatmap' among"),
        (lambda ds: ds.rename(time="t"), r"'heatmap' has the dimensions .*'t', 'y'"),
        (lambda ds: ds.transpose(..., "time"), "has the dimensions"),
        (lambda ds: ds.assign(heatmap=ds.heatmap.astype(complex)), "complex128, expected"),
        (lambda ds: ds.assign(height=ds.height.astype(str)), "'height' has dtype <U"),
        (lambda ds: ds.drop_attrs(deep=False), "no attribute 'sampling_rate'"),
        (lambda ds: ds.assign_attrs(sampling_rate=0), "'sampling_rate' is 0, not a positive"),
        (lambda ds: ds.assign_attrs(sampling_rate="25"), "is '25', not a positive"),
        (lambda ds: ds.assign_coords(subject=[65, 65]), "'subject' repeats 65"),
        (lambda ds: ds.isel(time=slice(None, None, -1)), "'time' is not increasing"),
        (lambda ds: ds.drop_vars("time"), "dimension 'time' has no coordinate"),
    ],
)  # fmt: skip
def test_validate__names_what_is_wrong(ds, change, text):
    with pytest.raises(SchemaError, match=text):
        schema.validate(change(ds))


def test_validate__names_everything_that_is_wrong(ds):
    wrong = ds.drop_vars("heatmap").drop_attrs(deep=False)
    with pytest.raises(SchemaError, match=r"no variable 'heatmap'.*; no attribute"):
        schema.validate(wrong)


@pytest.mark.parametrize("found", [None, 1.0, "", "one", "1.x"])
def test_version__refuses_what_is_none(found):
    with pytest.raises(SchemaError, match="this is not a store of fhemb_xr"):
        schema.check_version({"fhemb_schema": found})


def test_version__reads_its_major_warns_of_a_minor_refuses_a_major():
    assert schema.check_version({"fhemb_schema": "1.0"}) is None
    assert schema.check_version({"fhemb_schema": "1"}) is None
    assert "newer than 1.0" in schema.check_version({"fhemb_schema": "1.4"})
    with pytest.raises(SchemaError, match=r"schema 2\.0, this version reads up to 1\.x"):
        schema.check_version({"fhemb_schema": "2.0"})


def test_rate__is_of_the_axis_or_the_attribute_and_never_a_guess():
    x = xr.DataArray(np.zeros(3), dims="time", coords={"time": [0.0, 0.1, 0.2]})
    assert schema.sampling_rate(x) == 10
    assert schema.sampling_rate(x.drop_vars("time").assign_attrs(sampling_rate=30)) == 30
    for wrong in (x.assign_attrs(sampling_rate=30), x[:1], x.drop_vars("time")):
        with pytest.raises(SchemaError, match="sampling_rate"):
            schema.sampling_rate(wrong)


def test_dims__say_what_is_missing(ds):
    with pytest.raises(
        SchemaError, match=r"found \('subject', 'session', 'time'\): \['y'\] missing"
    ):
        schema.require_dims(ds.height, "time", "y")
