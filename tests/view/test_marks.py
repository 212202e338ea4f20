"""Marks: kept in a table that fx.read_spans reads, never half written, never over another's."""

import json
import os
import stat

import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import SourceError
from fhemb_xr.view.memory import marks as table
from fhemb_xr.view.memory.marks import Marks


@pytest.fixture
def kept(tmp_path):
    return Marks(tmp_path / "don_events.tsv", "uuid-1")


def test_marks__are_read_back_as_they_were_made(kept):
    kept.add(12.5, 10.0, "aria")
    kept.add(3.0, 4.25, "clap\tof\nhands", 41)
    spans = fx.read_spans(kept.path)
    assert spans.label.values.tolist() == ["clap of hands", "aria"]
    np.testing.assert_array_equal(spans.subject.values, [41, np.nan])
    assert spans.onset.values.tolist() == [3.0, 10.0]
    assert spans.duration.values.tolist() == [1.25, 2.5]
    again = Marks(kept.path)
    assert again.rows == kept.rows
    assert fx.read_spans(kept.path).identical(kept.table())


def test_file__is_private_and_says_whose_recording(kept):
    kept.add(1, 2, "aria")
    assert stat.S_IMODE(os.stat(kept.path).st_mode) == 0o600
    about = json.loads(kept.path.with_suffix(".json").read_text())
    assert about["fhemb_uuid"] == "uuid-1"
    assert kept.path.read_text() == "onset\tduration\ttrial_type\n1\t1\taria\n"
    assert sorted(p.name for p in kept.path.parent.iterdir()) == [
        "don_events.json", "don_events.tsv"
    ]  # fmt: skip


def test_changes__are_written_and_taken_back(kept):
    place = kept.add(1, 2, "aria")
    kept.add(5, 6, "duet")
    assert kept.change(place, onset=9.0) == 1
    assert [r["trial_type"] for r in Marks(kept.path).rows] == ["duet", "aria"]
    kept.remove([0])
    assert fx.read_spans(kept.path).label.values.tolist() == ["aria"]
    kept.undo()
    kept.undo()
    assert [r["onset"] for r in Marks(kept.path).rows] == [1, 5]


def test_columns__of_others_are_kept(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("duration\tonset\ttrial_type\tHED\n2\t7\taria\tsound\n1\t3\tn/a\tn/a\n")
    marks = Marks(path)
    marks.add(0, 1, "calm")
    text = path.read_text().splitlines()
    assert text[0] == "onset\tduration\ttrial_type\tHED"
    assert text[1:] == ["0\t1\tcalm\tn/a", "3\t1\tn/a\tn/a", "7\t2\taria\tsound"]


def test_columns__that_name_a_span_otherwise_are_kept_or_refused(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("onset\tduration\ttrial_type\tcode\n7\t2\taria\t11\n")
    Marks(path).add(0, 1, "calm")
    assert path.read_text().splitlines()[2] == "7\t2\taria\t11"
    path.write_text("onset\tduration\ttrial_type\tlabel\n7\t2\taria\tsung\n")
    with pytest.raises(SourceError, match="has both 'label' and 'trial_type'"):
        Marks(path)


def test_marks__of_another_recording_are_told_of(kept):
    kept.add(1, 2, "aria")
    with pytest.warns(UserWarning, match="made in another recording"):
        Marks(kept.path, "uuid-2")
    Marks(kept.path, "uuid-1")


def test_file__that_another_program_changed_is_not_overwritten(kept):
    kept.add(1, 2, "aria")
    kept.path.write_text("onset\tduration\ttrial_type\n5\t5\tmine\n")
    kept.add(3, 4, "duet")
    assert "was changed by another program" in kept.problem
    assert fx.read_spans(kept.path).label.values.tolist() == ["mine"]
    with pytest.raises(SourceError, match=r"marks are kept in a table \.tsv"):
        Marks(kept.path.with_suffix(".csv"))


def test_failed_write__leaves_the_old_file(kept, monkeypatch):
    kept.add(1, 2, "aria")
    before = kept.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table.durable_files.systems, "sync", full)
    kept.add(3, 4, "duet")
    assert "No space left" in kept.problem
    assert kept.path.read_bytes() == before


def test_bad_person__is_a_span_of_the_whole_time(kept):
    kept.turn_bad(41, (0.0, 40.0))
    kept.add(0, 12, "BAD_motion", 42)
    assert kept.bad_people((0.0, 40.0)) == {41}
    kept.turn_bad(41, (0.0, 40.0))
    assert kept.bad_people((0.0, 40.0)) == set()


def test_drop_bad__leaves_out_what_was_marked(kept, embedding):
    kept.turn_bad(44, (0.0, 40.0))
    kept.add(10, 12, "BAD_applause")
    kept.add(20, 30, "bad_motion", 41)
    kept.add(4, 6, "badminton")
    spans = fx.read_spans(kept.path)
    lazy = embedding.chunk(subject=2, time=300)
    out = fx.drop_bad(lazy, spans)
    assert out.chunks is not None
    assert len(out.__dask_graph__()) < 12 * lazy.data.npartitions
    assert out.subject.values.tolist() == [40, 41, 42, 43]
    expected = embedding.values[:4].copy()
    expected[:, 250:300] = np.nan
    expected[1, 500:750] = np.nan
    np.testing.assert_array_equal(out.values, expected)
    np.testing.assert_array_equal(embedding.fhemb.drop_bad(spans).values, expected)
    one = fx.drop_bad(embedding.sel(subject=41), spans)
    np.testing.assert_array_equal(one.values, expected[1])


def test_drop_bad__of_a_recording_loses_faces_and_their_sizes(kept, recording):
    kept.add(0, 1, "BAD")
    out = fx.drop_bad(recording, kept.table())
    assert np.isnan(out.heatmap.values[:, :, :25]).all()
    assert out.heatmap.dtype == np.float32
    assert not out.height.values[:, :, :25].any()
    assert out.height.dtype == np.int16
    assert out.heatmap.isel(time=slice(25, None)).equals(
        recording.heatmap.isel(time=slice(25, None))
    )
    for person in recording.subject.values.tolist():
        kept.turn_bad(person, (0.0, 40.0))
    with pytest.raises(ValueError, match="all 5 people are marked as bad"):
        fx.drop_bad(recording, kept.table())


def test_drop_bad__says_so_where_nobody_of_the_marked_is_there(kept, embedding):
    kept.add(0, 1, "BAD", "anna")
    with pytest.warns(UserWarning, match=r"spans of \['anna'\] are bad and none of them"):
        assert fx.drop_bad(embedding, kept.table()).equals(embedding)


def test_prepare__takes_the_marks_without_the_bad_ones(kept, embedding):
    kept.add(0, 5, "calm")
    kept.add(5, 10, "storm")
    kept.add(7, 8, "BAD_clap", 41)
    samples = fx.prepare(embedding, fx.read_spans(kept.path))
    assert {*samples.label.values.tolist()} == {"calm", "storm"}
