"""Tables as loggers, laboratories and standards write them."""

import gzip
import json
import warnings

import numpy as np
import pyedflib
import pytest

from fhemb_xr.errors import FhembError, SourceError
from ingest import open_events, open_trace

ECG, PPG = np.arange(40) / 2, 100 + np.arange(40)


def rows(row, n=40):
    return "".join(row.format(i=i, ecg=i / 2, ppg=100 + i) + "\n" for i in range(n))


TABLES = {
    "plain": ("t,ecg,ppg\n", "{i},{ecg},{ppg}", {}),
    "trailing separators": ("t,ecg,ppg\n", "{i},{ecg},{ppg},", {}),
    "trailing everywhere": ("t;ecg;ppg;\n", "{i};{ecg};{ppg};", {}),
    "spaces": ("t, ecg, ppg\n", "{i}, {ecg}, {ppg}", {}),
    "quoted": ('"t","ecg","ppg"\n', "{i},{ecg},{ppg}", {}),
    "tabs": ("t\tecg\tppg\n", "{i}\t{ecg}\t{ppg}", {}),
    "blanks": ("t ecg ppg\n", "{i} {ecg} {ppg}", {}),
    "comments": ("# a logger\n# of a lab\nt,ecg,ppg\n", "{i},{ecg},{ppg}", {}),
    "preamble": ("Device,7\nSubject\n\nt,ecg,ppg\n", "{i},{ecg},{ppg}", {}),
    "units": ("t,ecg,ppg\n(ms),(mV),(a.u.)\n", "{i},{ecg},{ppg}", {}),
    "byte order mark": ("\ufefft,ecg,ppg\n", "{i},{ecg},{ppg}", {}),
    "names in a comment": ("# t ecg ppg\n", "{i} {ecg} {ppg}", {}),
    "windows lines": ("t,ecg,ppg\r\n", "{i},{ecg},{ppg}\r", {}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_table__columns_are_those_of_their_names(tmp_path, kind):
    head, row, options = TABLES[kind]
    path = tmp_path / "a.txt"
    path.write_text(head + rows(row), encoding="utf-8", newline="")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = open_trace(path, ["ppg", "ecg"], time="t", time_unit="ms", **options).load()
    np.testing.assert_array_equal(found, [PPG, ECG])
    np.testing.assert_allclose(found.time, np.arange(40) / 1000)
    if kind == "units":
        assert found.units.values.tolist() == ["a.u.", "mV"]


@pytest.mark.parametrize(("head", "row"), [("t;v\n", "{i};{i},5"), ("t\tv\n", "{i},0\t{i},5")])
def test_table__decimal_commas(tmp_path, head, row):
    path = tmp_path / "a.csv"
    path.write_text(head + rows(row))
    for options in ({}, {"decimal": ","}):
        found = open_trace(path, "v", time="t", **options).load()
        np.testing.assert_array_equal(found, np.arange(40) + 0.5)
        assert found.time[3] == 3
    with pytest.raises(SourceError, match=r"'a\.csv' .*decimal=','"):
        open_trace(path, "v", rate_hz=1, decimal=".").load()


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("2025-01-01T10:00:{:06.3f}", True),
        ("2025-01-01 10:00:{:06.3f}+01:00", True),
        ("10:00:{:06.3f}", False),
    ],
)
def test_table__clocks_of_dates_and_of_the_day(tmp_path, first, other):
    path = tmp_path / "a.csv"
    path.write_text("time,x\n" + "".join(f"{first.format(i / 8)},{i}\n" for i in range(40)))
    found = open_trace(path, "x", time="time").load()
    np.testing.assert_allclose(found.time, np.arange(40) / 8)
    np.testing.assert_array_equal(found, np.arange(40))


def test_bids__the_json_names_columns_and_rate(tmp_path):
    stem = "sub-01_task-rest_physio"
    with gzip.open(tmp_path / f"{stem}.tsv.gz", "wt") as file:
        file.writelines(f"{v:g}\t{-v:g}\t0\n" for v in np.arange(1000.0))
    about = {
        "SamplingFrequency": 50,
        "StartTime": -2,
        "Columns": ["cardiac", "respiratory", "trigger"],
        "cardiac": {"Units": "mV"},
    }
    (tmp_path / f"{stem}.json").write_text(json.dumps(about))
    found = open_trace(tmp_path / f"{stem}.tsv.gz").load()
    assert found.channel.values.tolist() == about["Columns"]
    assert found.attrs["sampling_rate"] == 50
    assert found.units.values.tolist() == ["mV", "", ""]
    np.testing.assert_array_equal(found.sel(channel="cardiac"), np.arange(1000))
    with pytest.raises(SourceError, match="tells 50 Hz, asked for 40 Hz"):
        open_trace(tmp_path / f"{stem}.tsv.gz", rate_hz=40)
    (tmp_path / f"{stem}.json").write_text("{")
    with pytest.raises(SourceError, match=r"_physio\.json' cannot be read"):
        open_trace(tmp_path / f"{stem}.tsv.gz")


def test_empatica__two_lines_tell_moment_and_rate(tmp_path):
    (tmp_path / "BVP.csv").write_text("1544027337.000000\n64.000000\n" + rows("{ecg}"))
    found = open_trace(tmp_path / "BVP.csv", "bvp").load()
    np.testing.assert_array_equal(found, ECG)
    assert found.attrs["sampling_rate"] == 64
    row = "1544027337.000000, 1544027337.000000, 1544027337.000000\n32.0, 32.0, 32.0\n"
    (tmp_path / "ACC.csv").write_text(row + rows("{i},{ecg},{ppg}"))
    found = open_trace(tmp_path / "ACC.csv").load()
    assert found.channel.values.tolist() == ["x", "y", "z"]
    np.testing.assert_array_equal(found[2], PPG)


def test_qualisys__preamble_tells_rate_and_markers(tmp_path):
    head = "NO_OF_FRAMES\t40\nNO_OF_MARKERS\t1\nFREQUENCY\t100\nMARKER_NAMES\tnose\n"
    (tmp_path / "a.tsv").write_text(head + rows("{i}\t{ecg}\t{ppg}"))
    found = open_trace(tmp_path / "a.tsv").load()
    assert found.channel.values.tolist() == ["nose X", "nose Y", "nose Z"]
    assert found.attrs["sampling_rate"] == 100
    np.testing.assert_array_equal(found[1], ECG)


def test_headerless__names_can_be_given(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(rows("{ecg},{ppg}"))
    assert open_trace(path, rate_hz=9).channel.values.tolist() == ["column_0", "column_1"]
    found = open_trace(path, "ppg", rate_hz=9, names=["ecg", "ppg"]).load()
    np.testing.assert_array_equal(found, PPG)
    with pytest.raises(SourceError, match="2 columns, 1 names are given"):
        open_trace(path, rate_hz=9, names=["ecg"])
    path.write_text("ecg,ppg\n" + rows("{ecg},{ppg}"))
    with pytest.raises(SourceError, match=r"has a header \(ecg, ppg\)"):
        open_trace(path, rate_hz=9, names=["ecg", "ppg"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("t,v\n" + rows("{i},{i}").replace("7,7", "7,lead off"), r"'lead off' in column 'v'"),
        ("t,v\n" + rows("{i},{i},{i}"), "3 cells in line 2, expected 2"),
        ("t,v,w\n" + rows("{i},{i},{i}") + "41,4", r"line 42, expected 3"),
        ("t,v,w\n" + rows("{i},{i},{i}", 900) + "900", "cut off: its last line has 1 of 3"),
        ("a,b\nc,d\n", "no row has a number"),
        ("\x00\x01\x02", "it is no text"),
    ],
)
def test_table__that_is_broken_is_an_error_with_its_name(tmp_path, text, sentence):
    path = tmp_path / "patient.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=sentence) as error:
        open_trace(path, "v", time="t").load()
    assert "patient.csv" in str(error.value)


def test_table__a_text_cell_far_down_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,v\n" + rows("{i},{i}", 2000).replace("1500,1500", "1500,off"))
    with pytest.raises(SourceError, match=r"'off' in column 'v' at about line 1502"):
        open_trace(path, "v", time="t").load()
    path.write_text("t,v\n" + rows("{i},{i}", 2000).replace("1500,1500", "1500,1,9"))
    with pytest.raises(SourceError, match=r"'a\.csv' is not a table"):
        open_trace(path, "v", time="t").load()


def test_table__cut_gzip_is_an_error(tmp_path):
    path = tmp_path / "a.tsv.gz"
    whole = gzip.compress(
        "".join(f"{v}\n" for v in np.random.default_rng(0).random(9000)).encode()
    )
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"a\.tsv\.gz"):
        open_trace(path, rate_hz=1).load()


def test_labels__that_repeat_are_numbered_and_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,v,v\n" + rows("{i},{ecg},{ppg}"))
    with pytest.warns(UserWarning, match="several channels called 'v'.*'v_2'"):
        found = open_trace(path, time="t").load()
    assert found.channel.values.tolist() == ["v", "v_2"]
    np.testing.assert_array_equal(found, [ECG, PPG])


HEADER = {"dimension": "mV", "sample_frequency": 100, "physical_max": 5, "physical_min": -5}


def edf(path, labels, values, kind=pyedflib.FILETYPE_EDFPLUS, notes=(), bits=16):
    top = 2 ** (bits - 1)
    each = [{**HEADER, "label": n, "digital_max": top - 1, "digital_min": -top} for n in labels]
    with pyedflib.EdfWriter(str(path), len(labels), file_type=kind) as writer:
        writer.setSignalHeaders(each)
        for onset, duration, text in notes:
            writer.writeAnnotation(onset, duration, text)
        if labels:
            writer.writeSamples(values)
    return path


@pytest.mark.parametrize("bits", [16, 24])
def test_edf__equal_labels_are_numbered(tmp_path, bits):
    kind = pyedflib.FILETYPE_BDFPLUS if bits == 24 else pyedflib.FILETYPE_EDFPLUS
    path = tmp_path / ("a.edf" if bits == 16 else "a.bdf")
    edf(path, ["ECG", "ECG", "ECG"], [np.full(500, v) for v in (0.0, 1, 2)], kind, bits=bits)
    with pytest.warns(UserWarning, match="several channels called 'ECG'"):
        found = open_trace(path).load()
    assert found.channel.values.tolist() == ["ECG", "ECG_2", "ECG_3"]
    np.testing.assert_allclose(found[:, 0], [0, 1, 2], atol=1e-3)


def test_edf__annotations_are_events_with_signals_or_alone(tmp_path):
    notes = [(0, 30, "stage 2"), (30, -1, "lights off"), (31.5, 2, "käse")]
    alone = edf(tmp_path / "alone.edf", [], [], notes=notes)
    beside = edf(tmp_path / "beside.edf", ["ECG"], [np.zeros(4000)], notes=notes)
    for path in (alone, beside):
        found = open_events(path)
        assert found.onset.values.tolist() == [0, 30, 31.5]
        np.testing.assert_array_equal(found.duration, [30, np.nan, 2])
        assert found.text.values.tolist() == ["stage 2", "lights off", "käse"]
    with pytest.raises(SourceError, match=r"no signal, only annotations.*open_events"):
        open_trace(alone)
    with pytest.raises(FhembError, match=r"of \.bdf, \.edf, "):
        open_events(tmp_path / "a.csv")


def test_edf__with_gaps_is_refused_in_a_sentence(tmp_path):
    path = edf(tmp_path / "a.edf", ["ECG"], [np.zeros(500)])
    raw = bytearray(path.read_bytes())
    raw[192:197] = b"EDF+D"
    path.write_bytes(raw)
    for read in (open_trace, open_events):
        with pytest.raises(SourceError, match=r"gaps in time \(EDF\+D\).*EDFbrowser"):
            read(path)
