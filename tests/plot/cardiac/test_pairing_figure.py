"""Whose face a heart belongs to, as a figure."""

import numpy as np
import pytest
import xarray as xr

from fhemb_xr.errors import UnknownNameError

hv = pytest.importorskip("holoviews")


def paired():
    chances = np.array([[[0.2, 0.8], [0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]]])
    return xr.Dataset(
        {"probability": (("heart", "window", "candidate"), chances)},
        coords={"heart": [7], "window": [0.0, 5, 10, 15], "candidate": ["a", "b"]},
        attrs={"window_s": 5.0, "pairing_method": "blind"},
    )


def test_pair__marks_the_likeliest_of_each_window_and_leaves_out_what_is_missing():
    figure = paired().fhemb.plot.pair(7)
    (dots,) = figure.traverse(lambda e: e, [hv.Points])
    assert dots.array().tolist() == [[0, 1], [5, 0], [15, 1]]
    (image,) = figure.traverse(lambda e: e, [hv.Image])
    assert image.bounds.lbrt() == (-2.5, -0.5, 17.5, 1.5)
    np.testing.assert_array_equal(
        image.dimension_values(2, flat=False)[1], [0.8, 0.1, np.nan, 0.7]
    )
    title = hv.Store.lookup_options("bokeh", figure, "plot").kwargs["title"]
    assert title.endswith(
        "heart of subject 7, method: blind\ndots: the likeliest; b in 2 of 3 windows"
    )


def test_pair__of_an_unknown_heart_or_of_nothing():
    with pytest.raises(UnknownNameError, match="no heart 8"):
        paired().fhemb.plot.pair(8)
    nothing = paired().where(False)
    assert nothing.fhemb.plot.pair().traverse(lambda e: e, [hv.Labels])
