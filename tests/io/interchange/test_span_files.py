"""Spans of time: one table from every form, and from the files of other tools."""

import mne
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.clock import spans
from fhemb_xr.errors import SchemaError, SourceError

ROWS = [(400.0, 12.5, "aria"), (412.5, 0.0, "clap"), (420.0, 5.0, "aria")]


def rows(given):
    return [tuple(r.values()) for r in spans.rows(given)]


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        ROWS[::-1],
        {"aria": [(400, 412.5), (420, 425)], "clap": (412.5, 412.5)},
        pd.DataFrame(ROWS, columns=["onset", "duration", "trial_type"]),
        pd.DataFrame(ROWS, columns=["Onset", " duration", "Label"]),
        mne.Annotations(*zip(*ROWS, strict=True)),
        xr.Dataset(
            {n: ("event", list(v)) for n, v in zip(("onset", "duration", "text"),
                                                   zip(*ROWS, strict=True), strict=True)}
        ),
    ],
    ids=["rows", "backwards", "dict", "BIDS", "other case", "MNE", "open_events"],
)  # fmt: skip
def test_table__is_the_same_from_every_form(given):
    assert rows(given) == ROWS


def test_table__of_trigger_codes_and_of_nothing():
    trace = xr.DataArray([0, 0, 7, 7, 0.0], dims="time", attrs={"sampling_rate": 2.0})
    assert rows(fx.events(trace)) == [(1.0, 1.0, "7")]
    assert rows([]) == rows({}) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("aria", "spans are a table"),
        ([(400, 12)], "spans are a table"),
        ({"aria": "later"}, r"spans of a label are \(start, stop\)"),
        ({"aria": (5, 3)}, "a duration is 0 s or more, found -2 s"),
        ([(np.nan, 1.0, "a")], "every span has an onset"),
        ([("20:00:05", 1.0, "a")], "'onset' is a number of seconds, found '20:00:05'"),
        (pd.DataFrame({"start": [1.0]}), "has the column 'onset' and one of label"),
    ],
)
def test_table__what_is_no_span_is_refused(wrong, sentence):
    with pytest.raises(SchemaError, match=sentence):
        spans.table(wrong)


def test_read__events_of_bids(tmp_path):
    file = tmp_path / "sub-01_task-opera_events.tsv"
    file.write_text("onset\tduration\ttrial_type\tvalue\n420\t5\taria\t1\n400\tn/a\tclap\t2\n")
    assert rows(fx.read_spans(file)) == [(400.0, 0.0, "clap"), (420.0, 5.0, "aria")]


def test_read__whose_a_span_is(tmp_path):
    file = tmp_path / "spans.csv"
    file.write_text("onset,duration,label,participant_id\n1,2,laughs,sub-65\n3,1,laughs,anna\n")
    found = fx.read_spans(file)
    assert found.subject.values.tolist() == [65, "anna"]
    with pytest.raises(SchemaError, match="belong to single people"):
        spans.segments(found)


@pytest.mark.parametrize("ending", [".csv", ".txt"])
def test_read__what_mne_wrote(tmp_path, ending):
    file = tmp_path / f"scenes-annot{ending}"
    mne.Annotations(*zip(*ROWS, strict=True)).save(file)
    if ending == ".csv":  # MNE writes moments of the day into this one
        with pytest.raises(SchemaError, match="subtract the start of the recording"):
            fx.read_spans(file)
    else:
        assert rows(fx.read_spans(file)) == ROWS


def test_read__what_is_no_table_is_refused(tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    for name, sentence in (
        ("none.tsv", "there is no file"),
        ("empty.tsv", "is no table"),
        ("a.edf", "ingest.open_events reads"),
    ):
        with pytest.raises(SourceError, match=sentence):
            fx.read_spans(tmp_path / name)


def test_prepare__takes_spans_for_segments():
    x = xr.DataArray(
        np.arange(80.0).reshape(2, 40),
        dims=("subject", "time"),
        coords={"subject": [40, 41], "time": np.arange(40) / 4},
    )
    table = spans.table([(0, 1, "calm"), (5, 1, "storm"), (3, 1, "calm")])
    expected = fx.prepare(x, {"calm": [(0, 1), (3, 4)], "storm": (5, 6)})
    found = fx.prepare(x, table)
    assert sorted(found.label.values) == sorted(expected.label.values)
    xr.testing.assert_identical(found.sortby("start"), expected.sortby("start"))


@pytest.mark.parametrize("label", ["BAD", "Bad", "bad", "Bad_motion", "bad blink", "BAD blink"])
def test_spans__that_are_bad_are_so_in_any_case(label):
    assert spans.is_bad(label)
    assert not spans.is_bad(f"not {label}")
    assert not spans.is_bad("badinage")


@pytest.mark.parametrize("nobody", ["", "n/a", "<NA>", "NaN", "NaT", None, np.nan])
def test_spans__of_nobody_are_everybodys_whatever_the_table_calls_it(nobody):
    one = pd.DataFrame({"onset": [0.0, 1.0], "duration": [1.0, 1.0], "label": ["a", "b"]})
    first, second = spans.rows(one.assign(subject=pd.Series([nobody, "40"], dtype=object)))
    assert "subject" not in first
    assert second["subject"] == "40"
