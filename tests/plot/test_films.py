"""Films as files: frames, clock, sound, consent."""

import stat

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, SourceError

av = pytest.importorskip("av")
pytest.importorskip("holoviews")
RATE = 8000


@pytest.fixture(scope="module")
def ds():
    return fx.testing.audience(2, 3, shape=(12, 10), start_frame=100).compute()


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    """Silence for a second, then a tone of 1 kHz."""
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    t = np.arange(3 * RATE) / RATE
    soundfile.write(path, np.where(t < 1, 0, 0.5 * np.sin(2 * np.pi * 1000 * t)), RATE)
    return path


def opened(path):
    with av.open(str(path)) as file:
        video = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
        rate = file.streams.video[0].average_rate
    with av.open(str(path)) as file:
        heard = [f.to_ndarray().mean(axis=0) for f in file.decode(audio=0)] if (
            file.streams.audio) else []  # fmt: skip
    return video, float(rate), np.concatenate(heard) if heard else None


def test_film__has_every_frame_at_its_rate_and_the_sound_at_its_moment(ds, tone, tmp_path):
    path = tmp_path / "face.mp4"
    # the clock runs from 4 to 7 s; the sound starts at 4.5 s, its tone at 5.5 s
    made = fx.make_video(ds, path, 41, seconds=(5, 6.5), sound=tone, offset_s=4.5, faces=True)
    assert made == path
    video, rate, heard = opened(path)
    assert (len(video), rate) == (38, 25)
    onset = np.flatnonzero(np.abs(heard) > 0.1)[0] / RATE
    assert onset == pytest.approx(0.5, abs=0.2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["face.mp4"]


def test_film__shows_the_face_and_a_cursor_that_moves(ds, tmp_path):
    hot = ds.heatmap.isel(session=0).sel(subject=40).copy()
    hot[:] = 30.0
    hot[40:, :6] = 40.0  # the upper half grows hot after 40 frames
    hot = hot.assign_attrs(sampling_rate=25.0)
    video, _, heard = opened(fx.make_video(hot, tmp_path / "a.mp4", faces=True))
    assert heard is None
    early, late = video[10].astype(int), video[60].astype(int)
    change = np.abs(late - early).sum(axis=2) > 100
    rows = np.flatnonzero(change[: change.shape[0] // 2].any(axis=1))
    assert np.ptp(rows) > 50
    dark = [frame[-240:-100, 100:600].mean(axis=(0, 2)).argmin() for frame in (early, late)]
    assert dark[1] - dark[0] == pytest.approx(0.84 * 640 * 50 / 74, abs=3)


def test_film__of_series_shows_no_face_and_needs_no_consent(ds, tmp_path):
    emb = fx.embed(ds, ["mean", "p5"])
    video, _, _ = opened(fx.make_video(emb, tmp_path / "curves.mp4", seconds=(4, 5)))
    assert len(video) == 25
    assert video[0].shape == (360, 640, 3)


def test_film__is_refused_in_a_sentence(ds, tmp_path):
    with pytest.raises(ValueError, match="consent, say faces=True"):
        fx.make_video(ds, tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"written as .mp4, found 'a.avi'"):
        fx.make_video(ds, tmp_path / "a.avi", faces=True)
    with pytest.raises(SourceError, match=r"cannot read the sound 'no.wav'"):
        fx.make_video(ds, tmp_path / "a.mp4", faces=True, seconds=(4, 4.2),
                      sound=tmp_path / "no.wav")  # fmt: skip
    with pytest.raises(SchemaError, match="select the same time of both"):
        fx.make_video(ds, tmp_path / "a.mp4", faces=True,
                      signal=xr.DataArray(np.ones(9), dims="time",
                                          attrs={"sampling_rate": 25.0}))  # fmt: skip
    face = ds.isel(time=slice(0, 25))
    later = fx.embed(ds.isel(time=slice(25, 50)), ["p5"])
    with pytest.raises(SchemaError, match=r"25 frames from 5.00 to 5.96 s, the face of 25"):
        fx.make_video(face, tmp_path / "a.mp4", 40, faces=True, signal=later)
    assert [*tmp_path.iterdir()] == []


def test_legacy_film__is_of_a_person_and_a_feature(ds, tmp_path, monkeypatch):
    from fhemb_xr.legacy import Piece, makeVideo

    fx.save(ds.assign_attrs(title="two"), tmp_path / "two.zarr")
    monkeypatch.chdir(tmp_path)
    piece = Piece("two", (100, 150), store=tmp_path / "two.zarr")
    emb = piece.face_t.project([40, 41], features=["p50", "p20"])
    with pytest.warns(UserWarning, match="that person's consent"):
        path = makeVideo(piece.face_t, emb, interval=(0, 1), interval_shift=4, feature="p50",
                         subj=41, title="mine")  # fmt: skip
    assert path.name == "aamine.mp4"
    assert len(opened(path)[0]) == 25
    path = makeVideo(emb, interval=(0, 200), subj="subj40", title="curves", percentile_ts=emb)
    assert len(opened(path)[0]) == 50
