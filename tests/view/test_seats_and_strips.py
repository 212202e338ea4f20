"""Seats in the colours of a feature at the guide; results on the time of the rows."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.view.memory.results import strip


def test_seats__are_where_the_camera_sees_people(window_of, recording, embedding):
    window = window_of(recording, embedding)
    places = recording.position.isel(session=0).median("time").values
    np.testing.assert_allclose(window.seats.source.data["x"], places[:, 0], atol=3)
    np.testing.assert_allclose(window.seats.source.data["y"], places[:, 1], atol=3)
    window.state.move_cursor(8.0)
    own = embedding.values[3, :, 0].astype("f8")
    low, middle, high = np.nanquantile(own, [0.05, 0.5, 0.95])
    values = window.seats.source.data["value"]
    assert values[3] == pytest.approx((own[200] - middle) / (high - low), rel=1e-4)
    assert np.isnan(values[2])
    window.controls.common.active = True
    assert window.seats.source.data["value"][3] == pytest.approx(own[200])
    assert window.seats.figure.title.text == "Seats: mean [°C]"


def test_seats__without_places_are_a_grid_that_says_so(window_of, embedding):
    window = window_of(embedding)
    assert window.seats.figure.title.text.startswith("People in order")
    assert len({*zip(window.seats.source.data["x"], window.seats.source.data["y"])}) == 5  # noqa: B905


def test_strip__of_isc_is_its_quartiles_at_the_middle_of_each_window(window_of, embedding):
    isc = fx.isc(embedding, window_s=5).compute()
    window = window_of(embedding, isc)
    data = window.strips.curves.data
    window.rows.x_range.update(start=0, end=40)
    data = window.strips.curves.data
    np.testing.assert_allclose(data["x"], np.arange(8) * 5 + 2.5)
    expected = isc.isc.sel(feature="mean").quantile([0.25, 0.5, 0.75], "subject")
    np.testing.assert_allclose(data["low"], expected.values[0], atol=1e-6)
    np.testing.assert_allclose(data["middle"], expected.values[1], atol=1e-6)
    assert (
        window.strips.figure.title.text == "inter-subject correlation of mean: quartiles of 5"
    )
    window.controls.features.value = ["skew"]
    assert "of skew" in window.strips.figure.title.text


def test_strip__of_lags_is_a_map(window_of, embedding):
    x = embedding.isel(feature=0)
    lags = fx.lagged_correlation(
        x.sel(subject=40), x.sel(subject=43), window_s=4, step_s=2, max_lag_s=0.4
    )
    window = window_of(embedding, lags)
    data = window.strips.map.data
    np.testing.assert_allclose(data["image"][0], lags.values.T, rtol=1e-6)
    assert (data["x"][0], data["y"][0]) == (1.0, pytest.approx(-0.42))
    assert window.strips.figure.yaxis[0].axis_label == "Lag [s]"


def test_strip__of_a_long_series_keeps_its_spike():
    values = np.zeros(60_000)
    values[31_415] = 7
    x = xr.DataArray(values, dims="time", coords={"time": np.arange(60_000) / 25}, name="sound")
    found = strip(x)
    assert (found.what, found.values.max(), found.lags) == ("sound", 7, None)


def test_window__without_results_has_no_strip(window_of, embedding):
    assert window_of(embedding).strips is None
