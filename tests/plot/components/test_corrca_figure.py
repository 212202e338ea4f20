"""Correlated components as courses, and as patterns on the face."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

hv = pytest.importorskip("holoviews")


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 200, 3)) + rng.normal(size=(200, 1)) * [0, 1, 0]
    x[:, 50:60] = np.nan
    series = xr.DataArray(
        x, dims=("subject", "time", "feature"), coords={"feature": ["pc0", "pc1", "pc2"]}
    )
    return fx.corrca(series.assign_attrs(sampling_rate=25.0), 2, gamma=0).compute()


def basis():
    """Three eigenfaces, each of one pixel."""
    faces = np.eye(3).reshape(3, 1, 3)
    return xr.Dataset({"components": (("component", "y", "x"), faces)})


def test_courses__are_the_mean_of_the_people(result):
    figure = result.fhemb.plot.corrca()
    curves = [e for e in figure.traverse(lambda e: e, [hv.Curve]) if type(e) is hv.Curve]
    assert len(curves) == 2
    mean = result.scores.mean("subject").isel(component=0).values
    np.testing.assert_allclose(curves[0].dimension_values(1), mean)
    assert np.isnan(curves[0].dimension_values(1)[50:60]).all()
    label = hv.Store.lookup_options("bokeh", figure.values()[0], "plot").kwargs["ylabel"]
    assert label == f"Component 0\nr = {float(result.strength[0]):.2f}"


def test_patterns__are_sums_of_the_eigenfaces(result):
    figure = result.fhemb.plot.corrca(basis=basis())
    image = figure.traverse(lambda e: e, [hv.Image])[0]
    pattern = result.patterns[0].values
    drawn = image.dimension_values(2, flat=False)[0, : pattern.size]
    np.testing.assert_allclose(drawn, pattern / abs(pattern).max())


def test_patterns__of_other_features_or_of_many_bases_are_refused(result):
    other = result.assign_coords(feature=["mean", "std", "pc0"])
    with pytest.raises(SchemaError, match="'mean' is no score of a basis with 3 components"):
        other.fhemb.plot.corrca(basis=basis())
    with pytest.raises(SchemaError, match="per='pooled'"):
        result.fhemb.plot.corrca(basis=basis().expand_dims(subject=[1, 2]))
    with pytest.raises(SchemaError, match=r"make it with fx\.corrca"):
        basis().fhemb.plot.corrca()
