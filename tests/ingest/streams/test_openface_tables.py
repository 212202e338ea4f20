"""Tables of OpenFace as they come: clocks, several faces, other programs' cells."""

import warnings

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, SourceError
from ingest.streams import open_folder, open_openface, open_people
from ingest.streams.openface import columns

AUS = columns("aus")
HEAD = ["frame", "face_id", "timestamp", "confidence", "success"]


def table(path, stamps, values=None, faces=None, frames=None, separator=", "):
    n = len(stamps)
    values = np.round(np.arange(n) % 50 / 10, 2) if values is None else values
    faces = np.zeros(n, int) if faces is None else faces
    frames = np.arange(1, n + 1) if frames is None else frames
    lines = [separator.join([*HEAD, *AUS])]
    for i in range(n):
        cells = [str(frames[i]), str(faces[i]), f"{stamps[i]:.3f}", "0.98", "1"]
        lines.append(separator.join([*cells, *[str(values[i])] * len(AUS)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(path, **how):
    return open_openface(path, variables=["aus"], **how)


def quiet(path, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return opened(path, **how)


@pytest.mark.parametrize("hertz", [9, 25, 29.97, 30, 59.94])
def test_clock__printed_to_a_millisecond_is_a_line(tmp_path, hertz):
    ds = quiet(table(tmp_path / "a.csv", np.arange(3000) / hertz))
    assert ds.attrs["sampling_rate"] == pytest.approx(hertz, rel=1e-5)
    np.testing.assert_allclose(np.diff(ds.time), 1 / hertz, rtol=1e-4)


def test_clock__of_a_webcam_is_its_own(tmp_path):
    steps = np.random.default_rng(0).uniform(0.02, 0.2, 200)
    stamps = np.round(np.cumsum(steps), 3)
    ds = quiet(table(tmp_path / "a.csv", stamps))
    np.testing.assert_allclose(ds.time, stamps)
    folder = tmp_path / "f"
    folder.mkdir()
    table(folder / "01_expert.csv", stamps)
    table(folder / "01_novice.csv", stamps + 0.5)
    np.save(folder / "01_expert.npy", np.ones((260, 4), "f4"))
    tree = open_folder(folder, variables=["aus"])
    assert isinstance(tree, xr.DataTree)  # two clocks are no common one
    np.testing.assert_allclose(tree["01/novice"].time, stamps + 0.5)
    expert = tree["01/expert"]
    own = np.isfinite(expert.aus.isel(au=0).values)
    np.testing.assert_allclose(expert.time.values[own], stamps)


def test_clock__that_goes_back_or_tells_nothing(tmp_path):
    stamps = np.arange(50) / 25
    with pytest.raises(SchemaError, match="does not increase after frame 20"):
        opened(table(tmp_path / "a.csv", np.r_[stamps[:20], stamps[10:40]]))
    path = table(tmp_path / "b.csv", np.zeros(50))
    with pytest.warns(UserWarning, match=r"tells nothing: 25 Hz is assumed, rate_hz="):
        opened(path)
    ds = quiet(path, rate_hz=10)
    assert (ds.attrs["sampling_rate"], float(ds.time[-1])) == (10, 4.9)


def test_faces__one_after_the_other_are_said_and_kept(tmp_path):
    faces = np.array([0] * 20 + [1] * 20 + [0] * 10)
    path = table(tmp_path / "a.csv", np.arange(50) / 25, values=faces * 4.0, faces=faces)
    with pytest.warns(UserWarning, match=r"faces \[0, 1\] one after the other"):
        ds = opened(path)
    np.testing.assert_array_equal(ds.face_id, faces)
    one = quiet(path, face_id=1)
    assert one.sizes["frame"] == 20
    assert (one.aus == 4).all()
    assert (quiet(path, face_id=0).aus.isel(frame=slice(20, 40)).isnull()).all()
    with pytest.raises(SchemaError, match=r"no face_id 7: there are \[0, 1\]"):
        opened(path, face_id=7)


def test_faces__of_an_audience_become_people(tmp_path):
    frames = np.repeat(np.arange(1, 41), 3)
    faces = np.tile([0, 1, 2], 40)
    path = table(tmp_path / "hall_expert.csv", frames / 25, faces * 1.5, faces, frames)
    with pytest.raises(SchemaError, match=r"several rows of a frame: .*open_people"):
        opened(path)
    ds = open_people(path, variables=["aus"])
    assert ds.person.values.tolist() == ["0", "1", "2"]
    for one in (0, 1, 2):
        assert (ds.aus.sel(person=str(one)) == 1.5 * one).all()
    again = open_folder(tmp_path, variables=["aus"])
    assert again.person.values.tolist() == ["expert_0", "expert_1", "expert_2"]
    left = faces != 2
    left[:60] = True
    path = table(
        tmp_path / "left.csv", frames[left] / 25, faces[left] * 1.0, faces[left], frames[left]
    )
    assert open_people(path, variables=["aus"])["left/2"].sizes["frame"] == 20


def test_cells__of_other_programs(tmp_path):
    values = [0.30000000000000004, 1e-5, "", "-nan(ind)", 0.25] * 20
    path = table(tmp_path / "a.csv", np.arange(100) / 25, values, separator=",")
    ds = opened(path)
    assert "decimals" not in ds.aus.attrs
    fx.save(ds, tmp_path / "a.zarr")
    expected = np.tile(np.float32([0.3, 1e-5, np.nan, np.nan, 0.25]), 20)
    np.testing.assert_array_equal(fx.open_streams(tmp_path / "a.zarr").aus[:, 3], expected)


def test_cells__decimal_commas_are_read(tmp_path):
    path = table(tmp_path / "a.csv", np.arange(50) / 25, separator=";")
    path.write_text(path.read_text().replace(".", ","))
    ds = opened(path)
    np.testing.assert_array_equal(ds.aus[:, 0], np.float32(np.arange(50) / 10))
    assert ds.aus.attrs["decimals"] == 1


def test_cells__that_are_no_numbers_are_named(tmp_path):
    path = table(tmp_path / "a.csv", np.arange(50) / 25, [*[0.5] * 30, "oops", *[0.5] * 19])
    with pytest.raises(SourceError, match=r"'a\.csv' has 'oops' in column 'AU01_r'"):
        opened(path).load()
    path.write_text(path.read_text().replace("12, 0, 0.440", "12, 0, late"))
    with pytest.raises(SourceError, match=r"no number in line 13, in one of .*'timestamp'"):
        opened(path)


def test_columns__that_are_missing_name_the_cure(tmp_path):
    path = table(tmp_path / "a.csv", np.arange(50) / 25)
    with pytest.raises(SchemaError, match=r"variables=\['aus'\] opens what is there"):
        open_openface(path)
    path.write_text("frame,AU01,AU02\n1,0.2,0.3\n2,0.2,0.3\n")
    with pytest.raises(SchemaError, match="other programs"):
        open_openface(path)
