"""Shared courses: a row per component, and what it explains."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

hv = pytest.importorskip("holoviews")


def test_shared_response__rows_are_the_mean_courses():
    rng = np.random.default_rng(0)
    course = 3 * rng.normal(size=(100, 1))
    x = rng.normal(size=(4, 100, 3)) + course * [0, 1, 0]
    series = xr.DataArray(x, dims=("subject", "time", "feature"), attrs={"sampling_rate": 25.0})
    result = fx.shared_response(series, 2, normalize="none", null="circular", n=9).compute()
    figure = result.fhemb.plot.shared_response()
    curves = [e for e in figure.traverse(lambda e: e, [hv.Curve]) if type(e) is hv.Curve]
    np.testing.assert_allclose(curves[0].dimension_values(1), result.shared[:, 0], atol=1e-12)
    label = hv.Store.lookup_options("bokeh", figure.values()[0], "plot").kwargs["ylabel"]
    assert label == f"Component 0\n{100 * float(result.explained[0]):.2g} %, p = 0.1"
    with pytest.raises(SchemaError, match=r"make it with fx\.shared_response"):
        series.to_dataset(name="x").fhemb.plot.shared_response()
