"""Embeddings as a Raw of MNE, and back; its annotations stay at their moments."""

import sys

import mne
import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.clock import spans
from fhemb_xr.errors import SchemaError

SCENES = {"aria": (402.0, 404.0), "clap": (410.0, 410.0)}


def test_channels__have_the_values_names_kinds_and_moments(emb):
    raw = fx.to_mne(emb.chunk(time=130), spans=SCENES)
    assert raw.ch_names == ["65 mean", "65 skew", "68 mean", "68 skew"]
    assert raw.get_channel_types() == ["temperature", "misc"] * 2
    assert raw.first_time + raw.times[0] == 400
    expected = emb.isel(session=0).transpose("subject", "feature", "time").values
    np.testing.assert_array_equal(raw.get_data(), expected.reshape(4, -1).astype("f8"))
    # MNE cuts at its annotations: the aria is there where it is here
    aria = raw.crop_by_annotations([a for a in raw.annotations if a["description"] == "aria"])
    inside = emb.sel(time=slice(402, 404), subject=65, feature="mean").isel(session=0)
    np.testing.assert_allclose(aria[0].get_data(["65 mean"])[0], inside.values)


def test_missing__is_marked_for_its_channels_only(emb):
    raw = fx.to_mne(emb)
    gaps = [a for a in raw.annotations if a["description"] == "BAD_missing"]
    assert [(g["onset"], g["duration"], g["ch_names"]) for g in gaps] == [
        (404.0, 2.0, ("68 mean",)),
        (404.0, 2.0, ("68 skew",)),
    ]
    assert not np.isnan(raw.get_data("65 mean", reject_by_annotation="omit")).any()


def test_spans__of_one_person_and_outside(emb):
    table = spans.table(SCENES).assign(subject=("event", [68, 68]))
    raw = fx.to_mne(emb, spans=table)
    aria = next(a for a in raw.annotations if a["description"] == "aria")
    assert aria["ch_names"] == ("68 mean", "68 skew")
    assert not len(fx.to_mne(emb.sel(subject=[65]), spans=table).annotations)
    with pytest.warns(UserWarning, match="1 of 2 spans lie outside"):
        fx.to_mne(emb, spans={"aria": (402, 404), "before": (1, 2)})


def test_back__from_a_file_with_all_labels(emb, tmp_path, computes):
    fx.to_mne(emb, spans=SCENES).save(tmp_path / "opera_raw.fif", verbose="error")
    raw = mne.io.read_raw_fif(tmp_path / "opera_raw.fif", verbose="error")
    with computes(0):
        back = fx.from_mne(raw)
    expected = emb.isel(session=0).transpose("subject", "feature", "time")
    assert back.dims == expected.dims
    assert [*back.subject.values] == [65, 68]
    assert [*back.feature.values] == ["mean", "skew"]
    np.testing.assert_allclose(back.time, expected.time)
    np.testing.assert_allclose(back.values, expected.values, rtol=1e-7)  # float32 in the file
    aria = spans.rows(raw.annotations)[0]
    assert (aria["label"], aria["onset"]) == ("aria", 402.0)


def test_back__a_raw_of_another_program_keeps_its_channels(tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 4000))
    raw = mne.io.RawArray(values, mne.create_info(["EEG 001", "EEG 002"], 100.0, "eeg"),
                          verbose="error")  # fmt: skip
    trace = fx.from_mne(raw)
    assert trace.dims == ("channel", "time")
    assert trace.chunksizes["time"] == (4000,)
    np.testing.assert_array_equal(trace.sel(channel="EEG 002", time=slice(1, 2)).values,
                                  values[1, 100:201])  # fmt: skip
    assert trace.attrs["sampling_rate"] == 100


def test_wrong__is_refused(emb, monkeypatch):
    with pytest.raises(SchemaError, match="not regular"):
        fx.to_mne(emb.isel(time=[0, 1, 2, 5, 6, 7]))
    with pytest.raises(SchemaError, match="two channels would be called"):
        fx.to_mne(emb.assign_coords(subject=[65, 65]))
    with pytest.raises(SchemaError, match="need a Raw of MNE, found Dataset"):
        fx.from_mne(emb.to_dataset())
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(ImportError, match=r"pip install 'fhemb_xr\[mne\]'"):
        fx.to_mne(emb)


def test_back__labels_that_only_look_like_numbers_stay_as_they_are(emb):
    named = emb.isel(session=0).assign_coords(subject=["065", "068"])
    assert fx.from_mne(fx.to_mne(named)).subject.values.tolist() == ["065", "068"]
