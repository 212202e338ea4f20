"""Tables of py-feat, LibreFace, MediaPipe and DeepLabCut open by their names of columns."""

import numpy as np
import pandas as pd
import pytest

from fhemb_xr.errors import SchemaError
from ingest.streams import open_table
from ingest.streams.other_tables import PY_FEAT

N = 30


def table(folder, columns, **more):
    """A table of random numbers; more columns come first."""
    values = np.round(np.random.default_rng(0).uniform(0, 1, (N, len(columns))), 4)
    frame = pd.DataFrame({**more, **dict(zip(columns, values.T, strict=True))})
    frame.to_csv(folder / "a.csv", index=False)
    return folder / "a.csv", pd.DataFrame(values, columns=columns).astype("f4")


def test_table__of_py_feat_opens_by_its_names(tmp_path):
    names = [c for names in PY_FEAT.values() for c in names]
    path, values = table(tmp_path, names, frame=range(N), input="film.mp4")
    ds = open_table(path, rate_hz=30)
    assert ds.face.dims == ("frame", "landmark", "xy")
    faces = values[PY_FEAT["face"]].to_numpy()
    np.testing.assert_array_equal(ds.face.values.reshape(N, -1), faces)
    np.testing.assert_array_equal(ds.units.sel(units_column="AU43"), values["AU43"])
    with pytest.raises(SchemaError, match=r"a clock .* or a rate"):
        open_table(path)
    with pytest.raises(KeyError, match="no column 'AU01_r'; the nearest are"):
        open_table(path, {"aus": ["AU01_r"]}, rate_hz=30)
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:5], text[4], *text[5:]]) + "\n")  # two faces in a frame
    with pytest.raises(SchemaError, match="several rows of a frame"):
        open_table(path, rate_hz=30)


def test_table__of_libreface_has_seconds_in_a_column_of_milliseconds(tmp_path):
    names = ["pitch", "yaw", "roll", "au_1", "au_12", "au_1_intensity", "au_12_intensity"]
    path, values = table(
        tmp_path, names, frame_idx=range(N), frame_time_in_ms=np.arange(N) / 25
    )
    ds = open_table(path, time="frame_time_in_ms")
    np.testing.assert_allclose(ds.time, np.arange(N) / 25)
    np.testing.assert_array_equal(ds.intensities, values[names[-2:]])
    np.testing.assert_array_equal(ds.detected.sel(detected_column="au_12"), values["au_12"])
    np.testing.assert_array_equal(ds.angles, values[["pitch", "yaw", "roll"]])
    with pytest.raises(SchemaError, match="has 25000 Hz in ms: give another time_unit"):
        open_table(path, time="frame_time_in_ms", time_unit="ms")


def test_table__of_mediapipe_has_blendshapes(tmp_path):
    names = ["_neutral", "browDownLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft"]
    path, values = table(tmp_path, names, timestamp=np.arange(N) * 40)
    ds = open_table(path, time="timestamp", time_unit="ms")
    assert ds.blendshapes_column.values.tolist() == names
    np.testing.assert_array_equal(ds.blendshapes, values)
    assert ds.attrs["sampling_rate"] == 25
    path, _ = table(tmp_path, ["smile", "blink"], timestamp=np.arange(N) * 40)
    with pytest.raises(SchemaError, match=r"no known program .*: name them, variables="):
        open_table(path, time="timestamp", time_unit="ms")


@pytest.mark.parametrize("people", [1, 2])
def test_table__of_deeplabcut_has_points(tmp_path, people):
    who = ["anna", "ben"][:people]
    names = [(w, p, a) for w in who for p in ("nose", "ear") for a in ("x", "y", "likelihood")]
    values = np.round(np.random.default_rng(0).uniform(0, 90, (N, len(names))), 3)
    frame = pd.DataFrame(values)
    levels = ["individuals", "bodyparts", "coords"][people == 1 :]
    columns = [("net", *name[people == 1 :]) for name in names]
    frame.columns = pd.MultiIndex.from_tuples(columns, names=["scorer", *levels])
    frame.to_csv(tmp_path / "a.csv")  # as DeepLabCut does
    ds = open_table(tmp_path / "a.csv", rate_hz=30)
    if people == 1:
        assert ds.points_column.values.tolist()[:4] == [
            "nose_x",
            "nose_y",
            "nose_likelihood",
            "ear_x",
        ]
        np.testing.assert_array_equal(ds.points, values.astype("f4"))
        nose = open_table(tmp_path / "a.csv", {"nose": ["nose_x", "nose_y"]}, rate_hz=30)
        np.testing.assert_array_equal(nose.nose, values[:, :2].astype("f4"))
    else:
        np.testing.assert_array_equal(ds.ben, values[:, 6:].astype("f4"))
        assert ds.ben_column.values[0] == "ben_nose_x"
    assert ds.frame.values.tolist() == list(range(N))
