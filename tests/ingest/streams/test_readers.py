"""Streams from other tools: by name, whatever the version; and HDF5 both ways."""

import h5py
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SchemaError, SourceError, StoreError
from ingest.streams import open_folder, open_npy, open_openface, open_skeleton, write_hdf5
from ingest.streams.openface import columns

UNITS = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45]


def names_of(version):
    """Columns in the order of OpenFace 1 (431 of them) and of OpenFace 2.2 (714)."""
    gaze = [f"gaze_{e}_{a}" for e in (0, 1) for a in "xyz"]
    pose = [f"pose_{k}{a}" for k in "TR" for a in "xyz"]
    flat = [f"{a}_{i}" for a in "xy" for i in range(68)]
    deep = [f"{a}_{i}" for a in "XYZ" for i in range(68)]
    shape = ["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty", *(f"p_{i}" for i in range(34))]
    rated = [f"AU{u:02}_r" for u in UNITS]
    there = [f"AU{u:02}_c" for u in sorted([*UNITS, 28])]
    if version == 1:
        return ["frame", "timestamp", "confidence", "success", *gaze, *pose, *flat, *deep,
                *shape, *rated[::-1], *there]  # fmt: skip
    eyes = [f"eye_lmk_{a}_{i}" for a in "xy" for i in range(56)]
    eyes += [f"eye_lmk_{a}_{i}" for a in "XYZ" for i in range(56)]
    return ["frame", "face_id", "timestamp", "confidence", "success", *gaze, "gaze_angle_x",
            "gaze_angle_y", *eyes, *pose, *flat, *deep, *shape, *rated, *there]  # fmt: skip


PRINTED = {"x": 1, "y": 1, "AU": 2, "pose": 3, "timestamp": 3, "confidence": 2}


def table(path, version=2, frames=range(1, 41), rate_hz=25.0, without=(), failed=()):
    """A table as OpenFace prints it, and its numbers by column."""
    rng = np.random.default_rng(3)
    names = [n for n in names_of(version) if n not in without]
    rows = {n: rng.normal(100, 30, len(frames)) for n in names}
    rows |= {"frame": np.array(frames), "face_id": np.zeros(len(frames), int)}
    rows |= {"timestamp": (np.array(frames) - 1) / rate_hz}
    rows |= {"success": np.array([f not in failed for f in frames], int)}
    rows |= {"confidence": np.array([0.1 if f in failed else 0.98 for f in frames])}
    text = [(", " if version == 1 else ",").join(names)]
    for i in range(len(frames)):
        cells = []
        for n in names:
            v = rows[n][i]
            places = PRINTED.get(n.split("_")[0].rstrip("0123456789"), 3)
            cells.append(f"{v}" if isinstance(v, np.integer) else f"{v:.{places}f}")
        text.append((", " if version == 1 else ",").join(cells))
    path.write_text("\n".join(text) + "\n")
    return {
        n: np.array([float(r.split(",")[j]) for r in text[1:]]) for j, n in enumerate(names)
    }


@pytest.mark.parametrize(("version", "count"), [(1, 431), (2, 714)])
def test_openface__is_read_by_name_in_both_versions(tmp_path, computes, version, count):
    found = table(tmp_path / "a.csv", version)
    assert len(found) == count
    with computes(0):
        ds = open_openface(tmp_path / "a.csv")
    assert dict(ds.sizes) == {"frame": 40, "landmark": 68, "xy": 2, "au": 17, "pose": 6}
    for i in (0, 30, 67):
        for axis in "xy":
            got = ds.face.isel(landmark=i).sel(xy=axis)
            np.testing.assert_array_equal(got, found[f"{axis}_{i}"].astype("f4"))
    for unit in ("AU01", "AU45"):
        np.testing.assert_array_equal(ds.aus.sel(au=unit), found[f"{unit}_r"].astype("f4"))
    for pose in ("Tz", "Rx"):
        np.testing.assert_array_equal(
            ds["head"].sel(pose=pose), found[f"pose_{pose}"].astype("f4")
        )
    assert [ds[n].attrs["decimals"] for n in ("face", "aus", "head")] == [1, 2, 3]
    assert (ds.attrs["sampling_rate"], ds.frame.values[0], ds.time.values[1]) == (25, 0, 0.04)
    # by position, as the scripts do it, the columns of version 1 are other quantities
    by_position = list(found)[299:435]
    assert (set(by_position) == set(columns("face"))) is (version == 2)
    assert ("Z_60" in by_position) is (version == 1)
    assert len(list(found)[679:696]) == (17 if version == 2 else 0)


def test_openface__names_the_column_that_is_missing(tmp_path):
    table(tmp_path / "a.csv", without=["y_12"])
    with pytest.raises(SchemaError, match=r"'a.csv' has no column 'y_12': found 713 columns"):
        open_openface(tmp_path / "a.csv")
    assert list(open_openface(tmp_path / "a.csv", variables=["aus"]).data_vars) == [
        "success", "confidence", "aus",
    ]  # fmt: skip
    with pytest.raises(
        SchemaError, match=r"no stream 'gaze': there are \['face', 'aus', 'head'"
    ):
        open_openface(tmp_path / "a.csv", variables=["gaze"])


def test_openface__masks_what_was_not_tracked_and_places_frames_by_number(tmp_path):
    frames = [3, 4, 5, 8, 9]
    found = table(tmp_path / "a.csv", frames=frames, failed=[4])
    ds = open_openface(tmp_path / "a.csv").compute()
    assert ds.frame.values.tolist() == [2, 3, 4, 5, 6, 7, 8]
    missing = np.isnan(ds.aus).all("au").values.tolist()
    assert missing == [False, True, False, True, True, False, False]
    assert ds.success.values[:2].tolist() == [1, 0]
    np.testing.assert_array_equal(
        ds.aus.sel(au="AU04", frame=7), found["AU04_r"][3].astype("f4")
    )
    raw = open_openface(tmp_path / "a.csv", masked=False)
    assert not np.isnan(raw.aus.isel(frame=1)).any()
    strict = open_openface(tmp_path / "a.csv", masked=True, min_confidence=0.99)
    assert np.isnan(strict.aus).all()


def test_openface__of_several_faces_or_of_no_rows_is_refused(tmp_path):
    table(tmp_path / "a.csv", frames=[1, 2, 2, 3])
    with pytest.raises(SchemaError, match=r"has several rows of a frame: .* by 'face_id'"):
        open_openface(tmp_path / "a.csv").compute()
    (tmp_path / "b.csv").write_text("frame,success\n")
    for name in ("b.csv", "c.csv"):
        with pytest.raises(
            SourceError, match=f"'{name}' (has no rows|cannot be read: No such)"
        ):
            open_openface(tmp_path / name)


def test_openface__keeps_every_printed_digit_in_the_store(tmp_path):
    table(tmp_path / "a.csv", frames=range(1, 90), failed=[7])
    ds = open_openface(tmp_path / "a.csv")
    fx.save(ds, tmp_path / "a.zar")
    again = fx.open_streams(tmp_path / "a.zar")
    xr.testing.assert_equal(again.load(), ds.compute())


def test_npy__is_lazy_and_read_in_pieces(tmp_path, computes, monkeypatch):
    x = np.random.default_rng(0).normal(size=(100, 12)).astype("f4")
    np.save(tmp_path / "a.npy", x)
    monkeypatch.setattr("fhemb_xr.io.encoding.CHUNK_BYTES", 12 * 4 * 30)
    with computes(0):
        ds = open_npy(tmp_path / "a.npy", rate_hz=25)
    assert ds.vit.chunks == ((30, 30, 30, 10), (12,))
    np.testing.assert_array_equal(ds.vit, x)
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match=r"'b.npy' cannot be read: it is no array of NumPy"):
        open_npy(tmp_path / "b.npy")
    with pytest.raises(
        SchemaError, match=r"holds float32 of shape \(100, 12\), expected numbers"
    ):
        open_npy(tmp_path / "a.npy", "face", rate_hz=25)


def test_skeleton__has_joints_and_says_when_it_is_cut_off(tmp_path, computes):
    x = np.arange(40 * 350, dtype="<f4").reshape(40, 350)
    x.tofile(tmp_path / "expert.skel.stream~")
    with computes(0):
        ds = open_skeleton(tmp_path / "expert.skel.stream~", rate_hz=25)
    np.testing.assert_array_equal(ds.skeleton, x.reshape(40, 25, 14))
    head = '<?xml version="1.0"?><stream ssi-v="2"><info ftype="BINARY" sr="30.0" dim="350" '
    head += (
        'byte="4" type="FLOAT" delim="" /><chunk from="0" to="1" byte="0" num="{}"/></stream>'
    )
    header = tmp_path / "expert.skel.stream"
    header.write_text(head.format(40))
    assert open_skeleton(header).attrs["sampling_rate"] == 30
    with pytest.raises(SchemaError, match=r"asked for rate_hz=25, .* says 30 Hz"):
        open_skeleton(header, rate_hz=25)
    header.write_text(head.format(41))
    with pytest.raises(SchemaError, match="56000 bytes, expected 41 frames of 350 float32"):
        open_skeleton(header)


def test_folder__joins_tables_and_arrays_by_frame(tmp_path, computes):
    rng = np.random.default_rng(0)
    for session, n in (("s.1", 12), ("s.2", 9)):
        for person in ("expert", "novice"):
            table(tmp_path / f"{session}_{person}.csv", frames=range(1, n + 1))
            np.save(tmp_path / f"{session}_{person}.npy", rng.normal(size=(n - 1, 8)))
    (tmp_path / "notes.csv").write_text("no stream")
    with computes(0):
        tree = open_folder(tmp_path)
    assert tree.groups[1:] == ("/s.1", "/s.2", "/s.1/expert", "/s.1/novice", "/s.2/expert",
                               "/s.2/novice")  # fmt: skip
    one = tree["s.2/expert"]
    assert one.sizes["frame"] == 9
    assert np.isnan(one["vit"].isel(frame=-1)).all()
    assert not np.isnan(one["vit"].isel(frame=-2)).any()
    with pytest.raises(SourceError, match=r"ends in _a.csv, _a.npy"):
        open_folder(tmp_path, persons=["a"])


# HDF5 of NoXi-Re's scripts ---------------------------------------------------------------


def scripts_write(path, lengths=(40, 35), normalised=True):
    """A file as the scripts write it: these names, these attributes, this compression."""
    rng = np.random.default_rng(0)
    made = {}
    with h5py.File(path, "w") as f:
        f.attrs.update(num_samples=len(lengths), feature_type="mixed", vit_normalization="none")
        text = h5py.string_dtype(encoding="utf-8")
        f.create_dataset("sample_names", data=[f"n.{i}".encode() for i in range(len(lengths))],
                         dtype=text)  # fmt: skip
        for i, n in enumerate(lengths):
            g = f.create_group(f"sample_{i:03d}")
            g.attrs["sample_name"] = f"n.{i}"
            for person in ("expert", "novice"):
                p = g.create_group(person)
                p.attrs["num_frames"] = n
                g.attrs[f"num_frames_{person}"] = n
                for name, shape in (("face", (68, 2)), ("aus", (17,)), ("head", (6,)),
                                    ("vit", (8,))):  # fmt: skip
                    x = rng.random((n, *shape)).round(4 if normalised else 9)
                    x = x if name != "vit" else x - 0.5
                    p.create_dataset(name, data=x, dtype="float32", compression="gzip",
                                     compression_opts=4)  # fmt: skip
                    made[f"n.{i}", person, name] = x.astype("f4")
                p["vit"].attrs.update(normalization="none", embedding_dim=8)
    return made


def scripts_load(path, index, person, feature, start=None, stop=None):
    """What every loader of the scripts does."""
    with h5py.File(path, "r") as f:
        names = [n.decode("utf-8") for n in f["sample_names"][:]]
        sample = f[f"sample_{index:03d}"]
        assert names[index] == sample.attrs["sample_name"]
        assert sample.attrs[f"num_frames_{person}"] == sample[person][feature].shape[0]
        assert f.attrs["num_samples"] == len(names)
        return sample[person][feature][start:stop]


@pytest.mark.parametrize(
    ("lengths", "normalised"), [((40, 35), True), ((40, 40), False), ((17, 68), False)]
)
def test_hdf5__of_the_scripts_opens_as_it_is(tmp_path, computes, lengths, normalised):
    made = scripts_write(tmp_path / "a.h5", lengths, normalised)
    with computes(0):
        found = fx.open_streams(tmp_path / "a.h5", sampling_rate=25)
    equal = len(set(lengths)) == 1
    assert isinstance(found, xr.Dataset if equal else xr.DataTree)
    fx.save(found, tmp_path / "a.zar")
    for opened in (found, fx.open_streams(tmp_path / "a.zar")):
        for (session, person, name), x in made.items():
            one = (
                opened.sel(session=session, person=person)
                if equal
                else opened[f"{session}/{person}"]
            )
            np.testing.assert_array_equal(one[name], x)
            assert one[name].dims == fx.schema.STREAMS[name].dims
    one = found if equal else found["n.0/expert"]
    assert one["vit"].attrs["normalization"] == "none"
    assert one["face"].attrs["normalization_dims"] == ["landmark"]
    np.testing.assert_allclose(one["time"], np.arange(lengths[0]) / 25)


@pytest.mark.parametrize("lengths", [30, (30, 20)])
def test_hdf5__that_is_written_is_read_by_the_scripts(tmp_path, lengths):
    made = fx.testing.streams(2, lengths)
    write_hdf5(made, tmp_path / "a.h5")
    whole = made.compute()
    one = whole.isel(session=1, person=0) if lengths == 30 else whole["002/expert"]
    got = scripts_load(tmp_path / "a.h5", 1, "expert", "face", 5, 15)
    np.testing.assert_array_equal(got, one["face"].isel(frame=slice(5, 15)))
    again = fx.open_streams(tmp_path / "a.h5")
    xr.testing.assert_equal(again.load(), whole)
    name = "face" if lengths == 30 else "002/novice/face"
    assert again[name].attrs["units"] == "pixel"
    with pytest.raises(StoreError, match=r"'a.h5' is there already"):
        write_hdf5(made, tmp_path / "a.h5")
    write_hdf5(made, tmp_path / "a.h5", mode="w")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_hdf5__of_another_layout_or_damaged_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["x"] = [1]
    with pytest.raises(SchemaError, match=r"'a.h5' has no 'sample_names', found \['x'\]"):
        fx.open_streams(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:100])
    with pytest.raises(StoreError, match=r"'b.h5' cannot be read as HDF5"):
        fx.open_streams(tmp_path / "b.h5")
    with pytest.raises(SchemaError, match="have labelled dimensions"):
        write_hdf5(fx.testing.streams(1, 20).isel(session=0), tmp_path / "c.h5")


def test_rate__that_no_file_states_is_assumed_aloud(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((9, 4), "f4"))
    with pytest.warns(UserWarning, match=r"'a.npy' states no rate: 25 Hz is assumed, rate_hz="):
        open_npy(tmp_path / "a.npy")
    np.ones(350, "<f4").tofile(tmp_path / "b.stream~")
    with pytest.warns(UserWarning, match=r"'b.stream~' states no rate: 25 Hz is assumed"):
        open_skeleton(tmp_path / "b.stream~")
    scripts_write(tmp_path / "c.h5", (20, 20), False)
    with pytest.warns(UserWarning, match=r"25 Hz is assumed, sampling_rate= sets another"):
        fx.open_streams(tmp_path / "c.h5")
    for wrong in (0, -25, np.nan, "25"):
        with pytest.raises(ValueError, match="positive number of hertz"):
            open_npy(tmp_path / "a.npy", rate_hz=wrong)


def test_rate__that_a_store_states_is_refused_another(tmp_path):
    made = fx.testing.streams(1, 20, rate_hz=30)
    write_hdf5(made, tmp_path / "a.h5")
    fx.save(made, tmp_path / "a.zarr")
    for store in ("a.h5", "a.zarr"):
        again = fx.open_streams(tmp_path / store)
        assert again.attrs["sampling_rate"] == 30
        np.testing.assert_allclose(again.time, np.arange(20) / 30)
        with pytest.raises(SchemaError, match=r"asked for sampling_rate=25, .*states 30"):
            fx.open_streams(tmp_path / store, sampling_rate=25)
