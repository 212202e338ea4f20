"""Traces in real files: BDF, EDF, and tables with any clock."""

import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import SourceError, UnknownNameError
from ingest import open_trace

pyedflib = pytest.importorskip("pyedflib")


def written(path, signals, bits):
    """A record of ``{label: (rate, unit, samples)}`` on the name of a person."""
    kind = pyedflib.FILETYPE_BDF if bits == 24 else pyedflib.FILETYPE_EDF
    top = 2 ** (bits - 1)
    headers = [
        {
            "label": label, "dimension": unit, "sample_frequency": rate, "prefilter": "",
            "transducer": "", "physical_max": 500, "physical_min": -500,
            "digital_max": top - 1, "digital_min": -top,
        }
        for label, (rate, unit, _) in signals.items()
    ]  # fmt: skip
    with pyedflib.EdfWriter(str(path), len(signals), file_type=kind) as writer:
        writer.setSignalHeaders(headers)
        writer.setPatientName("Secret")
        writer.writeSamples([np.asarray(x, dtype=float) for _, _, x in signals.values()])
    return path


@pytest.fixture(params=[24, 16], ids=["bdf", "edf"])
def record(request, tmp_path):
    rng = np.random.default_rng(0)
    signals = {
        "EXG1": (256, "uV", rng.uniform(-400, 400, 256 * 13)),
        "EXG2": (256, "uV", rng.uniform(-400, 400, 256 * 13)),
        "GSR": (32, "uS", rng.uniform(0, 40, 32 * 13)),
    }
    path = tmp_path / ("a.bdf" if request.param == 24 else "a.edf")
    return written(path, signals, request.param), signals, 1000 / 2**request.param


def test_record__is_lazy_and_exact_to_its_last_bit(record, computes):
    path, signals, step = record
    with computes(0):
        trace = open_trace(path, ["EXG1", "EXG2"], chunk_s=3.1)
    assert trace.dims == ("channel", "time")
    assert trace.chunks == ((1, 1), (794, 794, 794, 794, 152))
    for name in ("EXG1", "EXG2"):
        np.testing.assert_allclose(trace.sel(channel=name), signals[name][2], atol=step)
    assert trace.attrs["sampling_rate"] == 256
    assert trace.units.values.tolist() == ["uV", "uV"]
    np.testing.assert_allclose(trace.time[:3], [0, 1 / 256, 2 / 256])


def test_record__in_worker_threads_and_twice_at_once(record):
    import dask

    path, signals, step = record
    a, b = open_trace(path, "EXG1", chunk_s=1), open_trace(path, "GSR", chunk_s=1)
    one, two = dask.compute(a, b, scheduler="threads", num_workers=4)
    np.testing.assert_allclose(one, signals["EXG1"][2], atol=step)
    np.testing.assert_allclose(two, signals["GSR"][2], atol=step)


def test_record__tells_nothing_of_the_person(record, tmp_path):
    path, *_ = record
    trace = open_trace(path, "GSR").compute()
    assert "Secret" not in str(trace.attrs) + str(trace.coords)
    fx.save(trace, tmp_path / "t.zarr")
    assert not any(
        b"Secret" in p.read_bytes() for p in (tmp_path / "t.zarr").rglob("zarr.json")
    )
    np.testing.assert_array_equal(fx.open_result(tmp_path / "t.zarr"), trace)


def test_record__says_what_is_wrong(record, tmp_path):
    path, *_ = record
    with pytest.raises(UnknownNameError, match=r"no channel 'EXG3'; the nearest are EXG"):
        open_trace(path, "EXG3")
    with pytest.raises(ValueError, match=r"one rate, found EXG1 256, EXG2 256, GSR 32 Hz"):
        open_trace(path)
    broken = tmp_path / "broken.bdf"
    broken.write_bytes(path.read_bytes()[:700])
    with pytest.raises(SourceError, match=r"'broken.bdf' cannot be read") as error:
        open_trace(broken)
    assert str(tmp_path) not in str(error.value)
    with pytest.raises(SourceError, match=r"there is no file 'none.bdf'"):
        open_trace(tmp_path / "none.bdf")


def test_table__with_an_uneven_clock(tmp_path, computes):
    file = tmp_path / "ppg.csv"
    file.write_text("ppg,ms,note\n1,1000,a\n2,1009,b\n,1021,c\n4,1030,d\n")
    with computes(0):
        trace = open_trace(file, ["ppg"], time="ms", time_unit="ms")
    np.testing.assert_allclose(trace.time, [0, 0.009, 0.021, 0.030])
    np.testing.assert_array_equal(trace.values, [[1, 2, np.nan, 4]])
    assert "sampling_rate" not in trace.attrs


def test_table__with_a_rate(tmp_path):
    file = tmp_path / "ecg.tsv"
    file.write_text("ecg\tgsr\n1\t5\n2\t6\n3\t7\n")
    trace = open_trace(file, rate_hz=250, separator="\t")
    assert trace.attrs["sampling_rate"] == 250
    assert trace.channel.values.tolist() == ["ecg", "gsr"]
    np.testing.assert_array_equal(trace, [[1, 2, 3], [5, 6, 7]])


@pytest.mark.parametrize(
    ("text", "options", "error", "sentence"),
    [
        (
            "t,x\n1,2\n1,3\n",
            {"time": "t"},
            SourceError,
            r"not increase in line 3: 1, then 1",
        ),
        ("t,x\n1,2\nb,3\n", {"time": "t"}, SourceError, r"has no number in line 3"),
        ("t,x\n1,2\n", {"time": "s"}, UnknownNameError, r"no column 's'"),
        ("t,x\n1,2\n", {}, ValueError, r"a clock .* or a rate .*, not both"),
        ("t,x\n1,2\n", {"time": "t", "time_unit": "h"}, ValueError, r"one of s, ms, us"),
        ("t,x\n1,2\n", {"rate_hz": -1}, ValueError, r"positive number, found -1"),
        ("", {"rate_hz": 1}, SourceError, r"is not a table"),
    ],
)
def test_table__says_what_is_wrong(tmp_path, text, options, error, sentence):
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(error, match=sentence):
        open_trace(file, **options)


def test_trace__goes_from_file_to_heart_rate_on_the_frames(tmp_path):
    t = np.arange(0, 30, 1 / 256)
    beat = np.exp(-(((t % 0.75 - 0.3) / 0.012) ** 2))
    noise = 0.02 * np.random.default_rng(0).normal(size=t.size)
    path = written(tmp_path / "e.bdf", {"EXG1": (256, "mV", 100 * (beat + noise))}, 24)
    ds = fx.testing.audience(n_subjects=1, seconds=28)
    rate = fx.instantaneous_rate(fx.beats(open_trace(path, "EXG1")), ds)
    assert rate.sizes["time"] == ds.sizes["time"]
    np.testing.assert_allclose(rate.sel(time=slice(2, 26)), 80, atol=1)
