"""Components as courses, and as patterns on the face."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError

hv = pytest.importorskip("holoviews")


@pytest.fixture(scope="module")
def result():
    values = np.random.default_rng(0).laplace(size=(3, 200, 3)) * [3, 2, 1]
    names = ["pc0", "pc1", "pc2"]
    x = xr.DataArray(values, dims=("subject", "time", "feature"), coords={"feature": names})
    basis = xr.Dataset({"components": (("component", "y", "x"), np.eye(3).reshape(3, 1, 3))})
    return fx.components(x.assign_attrs(sampling_rate=25.0), 2, basis=basis).compute()


def test_courses__say_the_share_of_variance(result):
    figure = result.fhemb.plot.components()
    curves = [e for e in figure.traverse(lambda e: e, [hv.Curve]) if type(e) is hv.Curve]
    assert len(curves) == 2
    mean = result.scores.mean("subject").isel(component=0).values
    np.testing.assert_allclose(curves[0].dimension_values(1), mean)
    label = hv.Store.lookup_options("bokeh", figure.values()[0], "plot").kwargs["ylabel"]
    assert label == f"Component 0\n{100 * float(result.explained_variance_ratio[0]):.2g} %"


def test_maps__are_drawn_as_shares_of_their_largest_pixel(result):
    image = result.fhemb.plot.components(maps=True).traverse(lambda e: e, [hv.Image])[0]
    pattern = result.patterns[0].values
    drawn = image.dimension_values(2, flat=False)[0, : pattern.size]
    np.testing.assert_allclose(drawn, pattern / abs(pattern).max())


def test_figure__needs_what_it_draws(result):
    with pytest.raises(SchemaError, match=r"make it with fx\.components"):
        result.drop_vars("scores").fhemb.plot.components()
    with pytest.raises(SchemaError, match="basis=basis"):
        result.drop_vars("maps").fhemb.plot.components(maps=True)
    own = result.assign(
        {n: result[n].expand_dims(subject=3) for n in ("explained_variance_ratio", "converged")}
    )
    with pytest.raises(SchemaError, match="components of 3 people, each with their own"):
        own.fhemb.plot.components()
    one = own.isel(subject=[1]).fhemb.plot.components()
    curve = next(e for e in one.traverse(lambda e: e, [hv.Curve]) if type(e) is hv.Curve)
    np.testing.assert_allclose(curve.dimension_values(1), result.scores[1, :, 0])
