"""Faces: only where they are asked for, the right frame, a film whose clock is true."""

import numpy as np
import pytest

from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import theme
from fhemb_xr.view.memory.faces import Faces, mosaic
from fhemb_xr.view.memory.material import Material
from fhemb_xr.view.window import app


@pytest.fixture
def window(recording, embedding):
    material = Material([recording, embedding], faces=True)
    material.readers.close()
    return app.Window(material)


def test_faces__are_shown_only_where_asked_for(window_of, recording, embedding):
    hidden = window_of(recording, embedding)
    assert hidden.portraits is None
    assert not any(theme.FACE in m.tags for m in hidden.layout.references())
    with pytest.raises(SchemaError, match="there is no recording"):
        Material([embedding], faces=True)


def test_frame__is_that_of_the_recording_and_its_chunk_is_kept(recording):
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
    np.testing.assert_allclose(shown[seen], level[seen], atol=2)
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
