"""Faces: only where they are asked for, the right frame, a film whose clock is true."""

import threading

import numpy as np
import pytest
from bokeh.core.validation.check import check_integrity

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import theme
from fhemb_xr.view.memory import proxy
from fhemb_xr.view.memory.faces import Faces, mosaic
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window import app


@pytest.fixture
def window(recording, embedding):
    material = Material([recording, embedding], faces=True)
    material.readers.close()
    return app.Window(material)


def test_parts__are_models_that_bokeh_finds_whole(window):
    assert not check_integrity(window.layout.references()).error


def test_faces__are_shown_only_where_asked_for(window_of, recording, embedding):
    hidden = window_of(recording, embedding)
    assert hidden.portraits is None
    assert not any(theme.FACE in m.tags for m in hidden.layout.references())
    with pytest.raises(SchemaError, match="there is no recording"):
        Material([embedding], faces=True)


def test_frame__is_that_of_the_recording_and_its_chunk_is_kept(recording):
    assert Faces(recording)._piece == 50
    faces = Faces(recording.chunk(time=300))
    assert faces.kept(41, "dg", 450) is None
    frame = faces.frame(41, "dg", 450)
    truth = recording.heatmap.sel(subject=41).isel(session=0, time=450).values
    truth = np.where(truth < recording.temperature_threshold, np.nan, truth)
    np.testing.assert_allclose(frame, truth, atol=0.02)
    assert faces.kept(41, "dg", 599) is not None
    assert faces.kept(41, "dg", 600) is None
    assert faces.frame(99, "dg", 0) is None
    assert [faces.at(s) for s in (-1, 0.0, 0.019, 0.021, 99)] == [0, 0, 0, 1, 999]


def test_faces__that_two_windows_want_are_read_once(recording):
    faces = Faces(recording)
    begun, go, reads, read = threading.Event(), threading.Event(), [], faces._read

    def slow(keys):
        reads.append([who for who, _, _ in keys])
        begun.set()
        assert go.wait(20)
        return read(keys)

    faces._read = slow
    first = threading.Thread(target=faces.read, args=([41, 43, 99], "dg", 10))
    second = threading.Thread(target=faces.read, args=([43, 41], "dg", 20))
    first.start()
    assert begun.wait(20)
    second.start()
    second.join(0.1)
    assert second.is_alive()  # else its window would show nobody
    go.set()
    first.join(20)
    second.join(20)
    assert reads == [[41], [43]]
    assert faces.kept(43, "dg", 20) is not None
    np.testing.assert_array_equal(
        faces.kept(41, "dg", 10), Faces(recording).frame(41, "dg", 10)
    )


def test_mosaic__has_one_byte_a_pixel_and_0_where_nobody_is():
    frame = np.array([[20, np.nan], [30, 99]], dtype="f2")
    image = mosaic([frame, None, frame], (2, 2), 2, (20.0, 30.0))
    assert (image.shape, image.dtype) == ((6, 6), np.uint8)
    np.testing.assert_array_equal(image[1:3, :2], [[1, 0], [255, 255]])
    assert not image[:3, 3:].any()
    np.testing.assert_array_equal(image[4:6, :2], image[1:3, :2])


def test_guide__brings_the_faces_of_its_moment(window, recording):
    window.portraits.choice.value = ["40", "43"]
    window.state.move_cursor(12.02)
    image = window.portraits.source.data["image"][0]
    frame = recording.heatmap.sel(subject=43).isel(session=0, time=300).values
    low, high = window.portraits._limits
    level = np.clip((frame - low) * 254 / (high - low) + 1, 1, 255)
    shown = image[1:7, 6:11]
    seen = frame >= recording.temperature_threshold
    np.testing.assert_allclose(shown[seen], level[seen], atol=3)  # float16
    assert not shown[~seen].any()
    assert window.portraits.names.data["text"] == ["40", "43"]


def test_film__shows_the_frame_of_the_moment_whatever_was_late(window):
    now = [100.0]
    film = window.portraits
    film._now = lambda: now[0]
    window.state.move_cursor(5.0)
    film.play.active = True
    seen = []
    for tick in (0.08, 0.16, 1.9, 2.0):  # the third picture comes late: frames are left out
        now[0] = 100 + tick
        film.step()
        seen.append(round(window.state.cursor, 6))
    assert seen == [5.08, 5.16, 6.9, 7.0]
    now[0] = 200.0
    film.step()
    assert not film.play.active


def test_film__turns_the_page_of_the_rows(window):
    now = [0.0]
    film = window.portraits
    film._now = lambda: now[0]
    film.play.active = True
    now[0] = 10.5
    film.step()
    assert window.state.window == (10.5, 20.5)
    now[0] = 38.0
    film.step()
    assert window.state.window == (30.0, 40.0)


def test_small_faces__are_beside_the_recording_and_shown_of_many_people(tmp_path):
    ds = fx.testing.audience(n_subjects=14, seconds=6, shape=(96, 60)).isel(time=slice(0, 150))
    ds.fhemb.save(tmp_path / "don.zarr")
    proxy.make(tmp_path / "don.zarr")
    stored = fx.open_recording(tmp_path / "don_faces.zarr")
    assert dict(stored.sizes) == {"subject": 14, "session": 1, "time": 6, "y": 32, "x": 20}
    assert stored.attrs["fhemb_sensitivity"] == "face"
    truth = fx.open_recording(tmp_path / "don.zarr").heatmap.isel(time=50)
    mean = truth.coarsen(y=3, x=3).mean().values
    np.testing.assert_allclose(stored.heatmap.isel(time=2).values, mean, atol=0.02)
    before = (tmp_path / "don_faces.zarr").stat().st_ino
    proxy.make(tmp_path / "don.zarr")  # it is there: nothing is written
    assert (tmp_path / "don_faces.zarr").stat().st_ino == before
    material = Material([tmp_path / "don.zarr"], faces=True)
    material.readers.close()
    window = app.Window(material)
    assert window.portraits.faces.shape == (96, 60)
    window.portraits.choice.value = [str(p) for p in material.people]
    assert window.portraits.faces.shape == (32, 20)
    assert len(window.portraits.names.data["text"]) == 14
    fx.open_recording(tmp_path / "don.zarr").fhemb.save(tmp_path / "don.zarr", mode="w")
    with pytest.warns(UserWarning, match="made of another version of the recording"):
        assert proxy.found(tmp_path / "don.zarr") is None
