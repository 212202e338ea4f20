"""Files of FLIR: temperatures are those of flyr; what is not understood is one sentence."""

import io
import sys

import flir
import flyr
import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SourceError
from ingest.planning import plan
from ingest.run import ingest
from ingest.stacks import StackSource

N, SHAPE = 12, (24, 40)
START_S = 1_700_000_000.5


@pytest.fixture
def counts():
    return np.random.default_rng(0).integers(18000, 20500, (N, *SHAPE)).astype("u2")


def temperatures(frames, **camera):
    """What flyr says, frame by frame."""
    files = (io.BytesIO(flir.jpeg(f, **camera)) for f in frames)
    return np.stack([flyr.unpack(io.BufferedReader(f)).celsius for f in files])


def sequence(path, counts, **how):
    at = (START_S + i / 9 for i in range(len(counts)))
    frames = (flir.fff(c, moment_s=t, **how) for c, t in zip(counts, at, strict=True))
    path.write_bytes(b"".join(frames))
    return path


@pytest.mark.parametrize(
    ("name", "how"),
    [("subj40.seq", {}), ("subj40.SEQ", {"order": ">"}), ("subj40.csq", {"form": "jpegls"})],
    ids=str,
)
def test_sequence__has_the_temperatures_of_flyr_and_the_clock_of_the_camera(
    tmp_path, counts, name, how
):
    (tmp_path / "don").mkdir()
    sequence(tmp_path / "don" / name, counts, **how)
    done = ingest(StackSource(tmp_path / "don"), tmp_path / "a.zarr", float32=True)
    ds = fx.open_recording(tmp_path / "a.zarr")
    np.testing.assert_allclose(ds.heatmap[0, 0], temperatures(counts), atol=5e-6)
    assert (ds.subject.item(), ds.session.item(), ds.attrs["sampling_rate"]) == (40, "don", 9)
    assert "at 2023-11-14T22:13:20.500" in " ".join(done.doubts)
    assert ds.attrs["camera_emissivity"] == 0.97
    assert (ds.attrs["camera_distance_m"], ds.attrs["camera_reflected_degC"]) == (1.5, 22.0)
    everything = b"".join(f.read_bytes() for f in (tmp_path / "a.zarr").rglob("*.json*"))
    assert b"SERIAL" not in everything


def test_jpeg__a_folder_of_them_is_a_stack_with_gaps(tmp_path, counts):
    folder = tmp_path / "don" / "anna"
    folder.mkdir(parents=True)
    for i, frame in enumerate(counts):
        if i != 5:
            form = "png" if i % 2 else "plain"
            (folder / f"FLIR{i}.jpg").write_bytes(flir.jpeg(frame, form=form))
    planned = plan(StackSource(tmp_path / "don"), exact=True)
    assert "1 numbers are absent from the names" in " ".join(planned.doubts)
    assert planned.layout == "files FLIR JPEG a frame"
    assert planned.camera["emissivity"] == 0.97
    ingest(StackSource(tmp_path / "don"), tmp_path / "a.zarr", float32=True)
    ds = fx.open_recording(tmp_path / "a.zarr")
    np.testing.assert_allclose(
        ds.heatmap[0, 0].drop_isel(time=5), temperatures(np.delete(counts, 5, 0)), atol=5e-6
    )
    assert ds.height[0, 0].values.tolist() == [24] * 5 + [0] + [24] * 6


def test_clock__that_stands_still_is_replaced_by_the_rate_of_the_camera(tmp_path, counts):
    (tmp_path / "a.seq").write_bytes(b"".join(flir.fff(c, rate_hz=50) for c in counts))
    found = StackSource(tmp_path / "a.seq").found()
    assert found.rate_hz == 50
    assert "its rate of 50 Hz is taken" in " ".join(found.doubts)


def test_settings__that_change_are_a_doubt(tmp_path, counts):
    frames = [flir.fff(c, changes={0x20: 0.9 if i else 0.95}) for i, c in enumerate(counts)]
    (tmp_path / "a.seq").write_bytes(b"".join(frames) + frames[0][:900])
    doubts = " | ".join(StackSource(tmp_path / "a.seq").found().doubts)
    assert "settings change within 'a.seq'" in doubts
    assert "the last frame of 'a.seq' is cut off" in doubts
    other = temperatures(counts[1:2], changes={0x20: 0.9})
    from ingest.files import formats

    with formats.opened(tmp_path / "a.seq") as contents:
        np.testing.assert_allclose(contents["a"][1:2], other, atol=5e-6)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.seq", lambda c: b"no such file" * 20, "no whole frame of FLIR: export it as TIFF"),
        ("a.seq", lambda c: b"", "cannot read 'a.seq'"),
        ("a.fff", lambda c: flir.fff(c)[:800], "no whole frame of FLIR"),
        ("a.seq", lambda c: flir.fff(c, changes={0x58: 0}), "no calibration"),
        ("a.jpg", lambda c: flir.jpeg(c)[:3000], "cannot read 'a.jpg'|no whole frame"),
        ("a.jpg", lambda c: b"\xff\xd8\xff" + bytes(99), "picture without temperatures"),
        ("a.ats", lambda c: b"ats", "export it as TIFF or CSV"),
    ],
)
def test_what_is_not_understood__is_one_sentence(tmp_path, counts, name, data, text):
    (tmp_path / name).write_bytes(data(counts[0]))
    with pytest.raises(SourceError, match=text):
        StackSource(tmp_path / name).found()


def test_flyr__that_is_missing_names_the_line(tmp_path, counts, monkeypatch):
    sequence(tmp_path / "a.seq", counts)
    monkeypatch.setitem(sys.modules, "flyr", None)
    with pytest.raises(ConfigError, match=r"pip install 'fhemb_xr\[camera\]'"):
        StackSource(tmp_path / "a.seq").found()
