"""The original's names, and its label shift made impossible."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SchemaError
from fhemb_xr.legacy import Piece, wfactory


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seven people of whom 45 and 46 have no face, as in the original's recording."""
    path = tmp_path_factory.mktemp("legacy") / "don.zarr"
    ds = fx.testing.audience(
        subjects=[44, 45, 46, 47, 65, 66, 67],
        seconds=20,
        shape=(24, 18),
        start_frame=10000,
        faceless=[45, 46],
        title="Don Giovanni",
    )
    fx.save(ds, path)
    return path


def piece(store, **changes):
    asked = {"title": "Don Giovanni", "time_interval": (10000, 10500), "subjs": (44, 67)}
    return Piece(**{**asked, "temperature_threshold": 28, "store": store, **changes})


def test_piece__gives_each_subject_its_own_series(store):
    """The original named 32 series after the first 32 of 37 subjects asked for."""
    raw = fx.open_recording(store)
    wavelet = wfactory("db4", 5)
    emb = piece(store).face_t.project(features=["max"], fbands=[2, 3, 5], wdfactory=wavelet)
    assert emb.subjects == [44, 45, 46, 47, 65, 66, 67]
    for subject in emb.subjects:
        alone = raw.fhemb.select(subjects=subject).fhemb.embed(
            ["max"], threshold=28, wavelet="db4", level=5, bands=[2, 3, 5]
        )
        mine = emb.data.sel(subject=[subject])
        xr.testing.assert_equal(mine.compute(), alone.compute())
        assert bool(mine.isnull().all()) == (subject in (45, 46))


def test_piece__subjects_without_a_face_have_blank_rows_not_those_of_others(store):
    table = piece(store).max(factory=wfactory("db4", 3), fbands=[1]).get_ts_subjs()
    assert list(table.columns) == [44, 45, 46, 47, 65, 66, 67]
    assert table[[45, 46]].isna().all().all()
    assert table[[44, 47, 65, 66, 67]].notna().all().all()


def test_piece__order_of_subjects_is_the_recordings_whatever_was_asked(store):
    asked = piece(store, subjs=[67, 44, (65, 66)]).mean()
    assert asked.subjects == [44, 65, 66, 67]


def test_piece__signal_carries_its_band_in_hz_and_seconds(store):
    found = piece(store).skew(subjs=[65, 66], factory=wfactory("db4", 5), fbands=[2, 3])
    figure = found.plot_signal()
    text = str(figure.opts.get("plot").kwargs.get("title", ""))
    # db4 level 5: band 2 is D4 (0.78-1.56 Hz), band 3 is D3 (1.56-3.12 Hz): one interval
    assert "0.78" in text
    assert "3.12" in text


def test_piece__without_a_factory_gives_the_features_as_they_are(store):
    plain = piece(store).p50 if hasattr(Piece, "p50") else piece(store).median()
    expected = fx.embed(fx.open_recording(store), ["median"], threshold=28)
    np.testing.assert_array_equal(plain.data.compute(), expected.compute())


def test_piece__percentiles_are_the_originals_twenty_one(store):
    found = piece(store).percentiles_face()
    assert found.features == [f"p{i}" for i in range(0, 101, 5)]


def test_piece__finds_its_store_in_the_environment(store, monkeypatch):
    monkeypatch.setenv("FHEMB_STORE", str(store))
    assert "Don Giovanni" in repr(piece(None))
    monkeypatch.delenv("FHEMB_STORE")
    with pytest.raises(ConfigError, match="set FHEMB_STORE"):
        piece(None)
    with pytest.raises(SchemaError, match="asked for 'Tosca', the store holds 'Don Giovanni'"):
        piece(store, title="Tosca")
