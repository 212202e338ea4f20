"""Stacks as other programs write them: their axes, clocks, units, endings."""

import warnings

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SourceError
from ingest import cli
from ingest.files.clocks import rate_of
from ingest.hints import Hints
from ingest.planning import plan
from ingest.run import ingest
from ingest.stacks import StackSource

N, SHAPE = 40, (6, 5)


@pytest.fixture
def heat():
    return np.random.default_rng(3).normal(33, 1, (N, *SHAPE))


def ingested(path, tmp_path, **hints):
    source = StackSource(path, hints=Hints(**hints))
    done = ingest(source, tmp_path / "a.zarr")
    return fx.open_recording(tmp_path / "a.zarr"), " | ".join(done.doubts)


def matlab_7_3(path, heat):
    """As MATLAB writes it: all axes reversed, the class as an attribute, a block in front."""
    with h5py.File(path, "w", userblock_size=512) as file:
        made = file.create_dataset("subj40", data=heat.transpose(2, 1, 0), chunks=(5, 6, 7))
        made.attrs["MATLAB_class"] = np.bytes_("double")
    raw = bytearray(path.read_bytes())
    raw[:19] = b"MATLAB 7.3 MAT-file"
    path.write_bytes(raw)


def matlab_5(path, heat):
    scipy.io.savemat(path, {"subj40": heat, "note": "of a lab"}, do_compression=True)


def packed(heat):
    var = xr.DataArray(heat, dims=("time", "y", "x"), attrs={"units": "degC"})
    var.encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 30.0}
    var.encoding["_FillValue"] = np.int16(-9999)
    return xr.Dataset({"subj40": var.assign_coords(time=np.arange(N) / 9)})


def netcdf_3(path, heat):
    packed(heat).to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")


def netcdf_4(path, heat):
    packed(heat).to_netcdf(path, engine="h5netcdf")


def netcdf_turned(path, heat):
    packed(heat).transpose("y", "x", "time").to_netcdf(path, engine="h5netcdf")


def fortran_npz(path, heat):
    with path.open("wb") as file:
        np.savez_compressed(file, subj40=np.asfortranarray(heat))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.mat", matlab_7_3),
        ("a.MAT", matlab_5),
        ("a.nc", netcdf_3),
        ("a.NC", netcdf_4),
        ("b.nc", netcdf_turned),
        ("a.NPZ", fortran_npz),
    ],
)
def test_stacks__frames_are_those_that_were_written(tmp_path, heat, name, write):
    write(tmp_path / name, heat)
    ds, doubts = ingested(tmp_path / name, tmp_path)
    assert ds.sizes["time"] == N
    np.testing.assert_allclose(ds.heatmap[0, 0], heat, atol=0.0101)  # packed twice
    assert ("MATLAB" in doubts) == name.lower().endswith("mat")
    if name.lower().endswith("nc"):
        assert ds.attrs["sampling_rate"] == 9
        np.testing.assert_allclose(ds.time, np.arange(N) / 9)


def test_stacks__missing_values_of_netcdf_are_missing(tmp_path, heat):
    heat[5] = np.nan
    packed(heat).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    found, _ = ingested(tmp_path / "a.nc", tmp_path)
    assert found.height[0, 0].values.tolist() == [6 * (i != 5) for i in range(N)]


@pytest.mark.parametrize(
    ("clock", "rate_hz"),
    [
        ({"time": np.arange(N) / 9}, 9),
        ({"t": np.round(np.arange(N) / 30, 3)}, 30),
        ({"timestamp": np.round(np.arange(N) * 1000 / 30).astype("i8")}, 30),  # ms
        ({"ts": (np.arange(N) * 1e6 / 50).astype("i8")}, 50),
        ({"subj40_time": np.arange(N) / 12.5, "time": np.arange(N) / 9}, 12.5),
    ],
)
def test_clock__the_file_tells_the_rate(tmp_path, heat, clock, rate_hz):
    np.savez(tmp_path / "a.npz", subj40=heat, **clock)
    ds, doubts = ingested(tmp_path / "a.npz", tmp_path)
    assert ds.attrs["sampling_rate"] == rate_hz
    np.testing.assert_allclose(ds.time, np.arange(N) / rate_hz, atol=1e-3)
    assert "assumed" not in doubts


def test_clock__of_hdf5_lies_beside_its_stack_and_has_a_unit(tmp_path, heat):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for who, hertz in ((40, 20), (41, 20)):
            file[f"{who}/subj{who}"] = heat
            file[f"{who}/time"] = np.arange(N) * 1000 / hertz + 500 * (who == 41)
            file[f"{who}/time"].attrs["units"] = "ms"
    ds, _ = ingested(tmp_path / "a.h5", tmp_path)
    assert ds.attrs["sampling_rate"] == 20
    seen = ds.height[:, 0].values > 0
    assert [s.argmax() for s in seen] == [0, 10]  # the second began half a second later


def test_clock__gaps_stay_gaps_and_dates_count_from_the_first_frame(tmp_path, heat):
    moments = np.datetime64("2025-03-01T20:00") + (np.arange(N) * 100).astype("m8[ms]")
    moments[20:] += np.timedelta64(1, "s")
    np.savez(tmp_path / "a.npz", subj40=heat, time=moments)
    ds, doubts = ingested(tmp_path / "a.npz", tmp_path)
    assert ds.sizes["time"] == N + 10
    assert (ds.height[0, 0] == 0).sum() == 10
    assert "2025-03-01T20:00" in doubts


def test_clock__rates_that_differ_are_refused_until_one_is_said(tmp_path, heat):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for who, hertz in ((40, 20), (41, 25)):
            file[f"subj{who}"] = heat
            file[f"subj{who}_time"] = np.arange(N) / hertz
    with pytest.raises(SourceError, match=r"20 Hz and .* 25 Hz.*--rate"):
        StackSource(tmp_path / "a.h5").found()
    ds, _ = ingested(tmp_path / "a.h5", tmp_path, rate_hz=100.0)
    assert (ds.height[:, 0] > 0).sum("time").values.tolist() == [N, N]
    assert ds.sizes["time"] == 5 * (N - 1) + 1


def test_clock__numbers_named_time_are_frames_and_said_to_be(tmp_path, heat):
    np.savez(tmp_path / "a.npz", subj40=heat, time=np.arange(100, 100 + N))
    ds, doubts = ingested(tmp_path / "a.npz", tmp_path)
    assert ds.time[0] == 100 / 25
    assert "'time' of 'a.npz' is taken for numbers of frames" in doubts
    assert "25 Hz is assumed" in doubts


def test_clock__another_rate_than_the_source_counted_by_is_refused(tmp_path, heat):
    np.savez(tmp_path / "a.npz", subj40=heat, time=np.arange(N) / 9)
    with pytest.raises(SourceError, match=r"asked for 25 Hz.*at 9 Hz"):
        plan(StackSource(tmp_path / "a.npz"), rate_hz=25.0)
    with pytest.raises(ConfigError, match="positive number"):
        plan(StackSource(tmp_path / "a.npz"), rate_hz=np.nan)


@pytest.mark.parametrize("hertz", [7.5, 9, 25, 29.97, 30, 50, 59.94, 60])
def test_rate__of_rounded_stamps_with_a_gap_is_that_of_the_camera(hertz):
    stamps = np.round(np.arange(20_000) / hertz, 3)
    stamps[9000:] += 333.3
    assert rate_of(stamps) == pytest.approx(hertz, rel=1e-6)


UNITS = {
    "K": lambda c: c + 273.15,
    "degF": lambda c: c * 9 / 5 + 32,
    "cK": lambda c: (c + 273.15) * 100,
    "dK": lambda c: (c + 273.15) * 10,
}


@pytest.mark.parametrize("unit", UNITS)
def test_units__are_asked_for_and_then_taken(tmp_path, heat, unit):
    np.save(tmp_path / "subj40.npy", UNITS[unit](heat).astype("f4"))
    with pytest.raises(SourceError, match=f"no °C of faces: .*{unit}.*--units"):
        ingest(StackSource(tmp_path / "subj40.npy"), tmp_path / "a.zarr")
    ds, _ = ingested(tmp_path / "subj40.npy", tmp_path, units=unit)
    np.testing.assert_allclose(ds.heatmap[0, 0], heat, atol=0.006)


def test_units__of_one_person_of_several_are_looked_at(tmp_path, heat):
    heat[:30] = np.nan  # and where the first frames have no face
    np.savez(tmp_path / "a.npz", subj40=heat, subj41=heat * 900)
    with pytest.raises(SourceError, match="'subj41' holds numbers around"):
        StackSource(tmp_path / "a.npz").found()


def test_units__of_whole_numbers_and_of_the_file(tmp_path, heat):
    counts = np.round((heat + 273.15) * 100).astype("u2")
    np.save(tmp_path / "subj40.npy", counts)
    ds, _ = ingested(tmp_path / "subj40.npy", tmp_path, units="centikelvin")
    np.testing.assert_allclose(ds.heatmap[0, 0], heat, atol=0.011)
    with pytest.raises(SourceError, match="around 306"):  # a scale without its offset
        StackSource(tmp_path / "subj40.npy", hints=Hints(scale=0.01)).found()
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["subj40"] = heat + 273.15
        file["subj40"].attrs["units"] = "kelvin"
    (tmp_path / "b").mkdir()
    ds, _ = ingested(tmp_path / "b.h5", tmp_path / "b")
    np.testing.assert_allclose(ds.heatmap[0, 0], heat, atol=0.006)
    with pytest.raises(ConfigError, match="units are one of degC"):
        StackSource(tmp_path / "subj40.npy", hints=Hints(units="Rankine")).found()


def test_units__that_fit_no_face_are_doubted_or_refused(tmp_path, heat):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["subj40"] = heat + 273.15
        file["subj40"].attrs["units"] = "degC"
    with pytest.raises(SourceError, match=r"which the file calls degC.*the unit may be K"):
        StackSource(tmp_path / "a.h5").found()
    said = StackSource(tmp_path / "a.h5", hints=Hints(units="K")).found().doubts
    assert "'subj40' is taken to be K; the file says degC" in " | ".join(said)
    np.save(tmp_path / "subj40.npy", heat)
    for wrong in ("K", "degF", "cK"):
        said = StackSource(tmp_path / "subj40.npy", hints=Hints(units=wrong)).found().doubts
        assert "and those of faces in degC; is the unit right?" in " | ".join(said)
    right = StackSource(tmp_path / "subj40.npy", hints=Hints(units="degC")).found().doubts
    assert "unit" not in " | ".join(right)


def test_values__that_are_no_temperature_are_missing_and_said_to_be(tmp_path, heat):
    odd = heat.astype("f4")  # read-only where it is read, since it is °C already
    odd[:, 0], odd[3, 1, 1] = -9999, np.inf
    np.save(tmp_path / "subj40.npy", odd)
    ds, doubts = ingested(tmp_path / "subj40.npy", tmp_path)
    lost = np.isnan(ds.heatmap[0, 0].values)
    assert (lost == ((odd < -9000) | np.isinf(odd))).all()
    assert f"{lost.sum()} pixels are out of the range" in doubts
    np.save(tmp_path / "subj41.npy", odd * np.nan)
    (tmp_path / "b").mkdir()
    _, doubts = ingested(tmp_path / "subj41.npy", tmp_path / "b")
    assert "no frame holds a number" in doubts


@pytest.mark.parametrize(
    ("row", "value", "said"),
    [
        (3, np.datetime64("NaT", "ns"), "'time' in 'a.npz' has no number for frame 3"),
        (0, np.datetime64("1970-01-01"), "40 rows in .* is far from all others"),
        (39, np.datetime64("2262-01-01"), "40 rows in .* is far from all others"),
    ],
)
def test_clock__with_a_wild_time_is_refused(tmp_path, heat, row, value, said):
    moments = np.datetime64("2025-03-01T20:00") + (np.arange(N) * 100).astype("m8[ms]")
    moments[row] = value
    np.savez(tmp_path / "a.npz", subj40=heat, time=moments)
    with pytest.raises(SourceError, match=said):
        ingest(StackSource(tmp_path / "a.npz"), tmp_path / "a.zarr")


def test_names__of_one_person_twice_are_refused(tmp_path, heat):
    np.savez(tmp_path / "a.npz", subj40=heat, subj_40=heat + 1)
    with pytest.raises(SourceError, match="of one person, found subj40, subj_40"):
        StackSource(tmp_path / "a.npz").found()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["don/subj40"], file["giovanni/subj40"] = heat, heat
    with pytest.raises(SourceError, match=r"don/subj40, giovanni/subj40: name"):
        StackSource(tmp_path / "a.h5").found()


def test_folder__names_what_it_passes_over(tmp_path, heat):
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("subj40.npy", "subj41.NPY"):
        with (folder / name).open("wb") as file:
            np.save(file, heat)
    (folder / "subj42.ats").write_bytes(b"of a camera")
    (folder / "old").mkdir()
    np.save(folder / "notes.npy", np.arange(3))
    found = StackSource(folder).found()
    assert found.subjects == (40, 41)
    said = " | ".join(found.doubts)
    assert "'old', 'subj42.ats'" in said
    assert "they hold no stack of frames: 'notes.npy'" in said
    with pytest.raises(SourceError, match=r"'subj42\.ats' is a format that only its maker"):
        StackSource(folder / "subj42.ats").found()


def test_npz__objects_nobody_asked_for_are_left_alone(tmp_path, heat):
    np.savez(tmp_path / "a.npz", subj40=heat, meta=np.array({"camera": 1}, object))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert StackSource(tmp_path / "a.npz").found().subjects == (40,)


def test_cli__rate_and_units_are_options(tmp_path, heat, monkeypatch):
    monkeypatch.setenv("FHEMB_CONFIG_DIR", str(tmp_path / "config"))
    np.save(tmp_path / "subj40.npy", heat + 273.15)
    run, store = CliRunner().invoke, str(tmp_path / "a.zarr")
    more = ["--files", str(tmp_path / "subj40.npy"), "--rate", "9", "--units", "K"]
    done = run(cli.app, ["run", store, *more])
    assert done.exit_code == 0, done.output
    assert fx.open_recording(store).attrs["sampling_rate"] == 9
    assert "assumed" not in done.output
    assert run(cli.app, ["verify", store, *more]).exit_code == 0
    assert run(cli.app, ["plan", *more[:2], "--rate", "-1"]).exit_code == 2
    assert run(cli.app, ["plan", "--schema", "a", "--units", "K"]).exit_code == 2
