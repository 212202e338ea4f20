"""Records of WFDB, Biopac and BrainVision: values of the writer, events, faults by name."""

import sys
import warnings

import acq
import numpy as np
import pybv
import pytest
import wfdb

from fhemb_xr.errors import ConfigError, SourceError, UnknownNameError
from ingest import open_events, open_trace

N, RATE_HZ = 1000, 250


@pytest.fixture
def signals():
    return np.random.default_rng(0).normal(0, 1, (2, N))


def of_wfdb(folder, signals):
    wfdb.wrsamp(
        "s1", RATE_HZ, ["mV", "NU"], ["II", "PLETH"], signals.T, fmt=["24", "24"],
        write_dir=str(folder), comments=["Name: Anna"],
    )  # fmt: skip
    wfdb.wrann(
        "s1", "atr", np.array([100, 300]), ["N", "+"], aux_note=["", "(AFIB"], fs=RATE_HZ,
        write_dir=str(folder),
    )  # fmt: skip
    return folder / "s1.hea", ["II", "PLETH"], ["mV", "NU"], ["N", "(AFIB"], 1e-6


def of_biopac(folder, signals):
    counts = np.rint(signals * 1000)
    file = acq.written(
        folder / "s1.acq", counts, RATE_HZ, ["EKG", "EDA"], ["mV", "µS"], 1e-3, 0.0,
        [(100, "music"), (300, "end")],
    )  # fmt: skip
    return file, ["EKG", "EDA"], ["mV", "µS"], ["music", "end"], 6e-4


def of_brainvision(folder, signals):
    marks = [
        {"onset": 100, "duration": 50, "description": "music", "type": "Comment"},
        {"onset": 300, "description": 5, "type": "Stimulus"},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pybv prefers microvolts
        pybv.write_brainvision(
            data=signals * np.array([[1e-6], [1e-3]]), sfreq=RATE_HZ, ch_names=["ECG", "EMG"],
            fname_base="s1", folder_out=str(folder), events=marks, unit=["µV", "mV"],
            meas_date="20240504200000000000",
        )  # fmt: skip
    texts = ["Comment/music", "Stimulus/S  5"]
    return folder / "s1.vhdr", ["ECG", "EMG"], ["µV", "mV"], texts, 1e-6


KINDS = [of_wfdb, of_biopac, of_brainvision]


# bioread 3.1 sets a dtype as numpy 2.5 does not like it
@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")
@pytest.mark.parametrize("write", KINDS)
def test_record__has_the_values_of_its_writer(tmp_path, signals, write, computes):
    path, labels, units, texts, atol = write(tmp_path, signals)
    with computes(0):
        trace = open_trace(path, chunk_s=1.0)
    assert trace.channel.values.tolist() == labels
    assert trace.units.values.tolist() == units
    assert (trace.attrs["sampling_rate"], trace.shape) == (RATE_HZ, (2, N))
    np.testing.assert_allclose(trace, signals, atol=atol)
    part = open_trace(path, labels[1]).isel(time=slice(300, 900))
    np.testing.assert_allclose(part, signals[1, 300:900], atol=atol)
    np.testing.assert_allclose(part.time[0], 300 / RATE_HZ)
    assert "Anna" not in str(trace.attrs)
    events = open_events(path)
    assert events.onset.values.tolist() == [0.4, 1.2]
    assert events.text.values.tolist() == texts
    with pytest.raises(UnknownNameError, match="no channel 'ECGG'"):
        open_trace(path, "ECGG")
    whole = path.read_bytes()
    path.write_bytes(b"s1 nonsense\n" if write is of_wfdb else whole[: len(whole) // 3])
    with pytest.raises(SourceError, match=f"'{path.name}'"):
        open_trace(path).compute()


def test_wfdb__signals_of_two_rates_gaps_and_names_of_annotations(tmp_path, signals):
    signals[0, 20:30] = np.nan
    path, *_ = of_wfdb(tmp_path, signals)
    assert open_trace(path, "II")[20:30].isnull().all()
    assert open_events(tmp_path / "s1.atr").sizes == {"event": 2}
    (tmp_path / "s1.atr").rename(tmp_path / "s1.qrs")
    assert open_events(path).text.values[0] == "N"
    (tmp_path / "s1.qrs").unlink()
    with pytest.raises(SourceError, match="annotations in none"):
        open_events(path)
    slow, fast = signals[1, :200], signals[1]
    wfdb.wrsamp(
        "s2", 50, ["mV", "mV"], ["slow", "fast"], e_p_signal=[slow, fast],
        samps_per_frame=[1, 5], fmt=["16", "16"], write_dir=str(tmp_path),
    )  # fmt: skip
    with pytest.raises(ValueError, match="one rate, found slow 50, fast 250 Hz"):
        open_trace(tmp_path / "s2.hea")
    trace = open_trace(tmp_path / "s2.hea", "fast", chunk_s=0.3)
    assert trace.attrs["sampling_rate"] == 250
    np.testing.assert_allclose(trace, fast, atol=2e-4)
    segments = "s3/2 2 250 2000\ns1 1000\ns1 1000\n"
    (tmp_path / "s3.hea").write_text(segments)
    with pytest.raises(SourceError, match="several segments"):
        open_trace(tmp_path / "s3.hea")
    (tmp_path / "s4.dat").touch()
    with pytest.raises(SourceError, match=r"no header 's4\.hea' beside it"):
        open_trace(tmp_path / "s4.dat")


def test_biopac__segments_are_a_warning(tmp_path, signals):
    marks = [(0, "Segment 1"), (500, "Segment 2")]
    file = acq.written(
        tmp_path / "a.acq", signals, RATE_HZ, ["a", "b"], ["V", "V"], 1, 0, marks
    )
    with pytest.warns(UserWarning, match="in 2 segments: the file does not hold the time"):
        open_trace(file)
    assert open_events(file).onset.values.tolist() == [0, 2]
    (tmp_path / "b.acq").write_bytes(b"no such file" * 500)
    with pytest.raises(SourceError, match=r"'b\.acq'"):
        open_trace(tmp_path / "b.acq")


def test_brainvision__pauses_are_a_warning(tmp_path, signals):
    path, *_ = of_brainvision(tmp_path, signals)
    with path.with_suffix(".vmrk").open("a") as file:
        file.write("Mk4=New Segment,,501,1,0,20240504210000000000\n")
    with pytest.warns(UserWarning, match="was paused 1 times"):
        open_trace(path)


@pytest.mark.parametrize("write", KINDS)
def test_record__without_its_library_names_the_line(tmp_path, signals, write, monkeypatch):
    path, *_ = write(tmp_path, signals)
    for name in ("wfdb", "bioread", "mne"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'fhemb_xr\[physio\]'"):
        open_trace(path)
