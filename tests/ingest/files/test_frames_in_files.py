"""Frames in files of their own, CPTV films and matrices in text."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import flir
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import SourceError
from ingest.files.contents import guarded
from ingest.files.picture_folders import numbered
from ingest.hints import Hints
from ingest.planning import plan
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.streams.deeplabcut import is_deeplabcut

tifffile = pytest.importorskip("tifffile")
N, SHAPE = 12, (9, 10)


@pytest.fixture
def celsius():
    return np.random.default_rng(0).normal(33, 1, (N, *SHAPE)).astype("f4")


def written(folder, frames, numbers=None):
    folder.mkdir(parents=True)
    for i, frame in zip(
        range(len(frames)) if numbers is None else numbers, frames, strict=True
    ):
        tifffile.imwrite(folder / f"f{i}.tif", frame)
    return folder


def test_tiff__a_folder_of_frames_is_a_stack_in_the_natural_order_of_names(tmp_path, celsius):
    written(tmp_path / "don" / "subj40", celsius)
    written(tmp_path / "don" / "subj41", celsius[::-1])
    (tmp_path / "don" / "notes.txt").write_text("no frames")
    source = StackSource(tmp_path / "don")
    done = ingest(source, tmp_path / "a.zarr", float32=True, rate_hz=9)
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert (ds.subject.values.tolist(), ds.session.item()) == ([40, 41], "don")
    np.testing.assert_array_equal(ds.heatmap[:, 0], [celsius, celsius[::-1]])
    assert "skipped, because their kinds are not read: 'notes.txt'" in " ".join(done.doubts)
    one = plan(StackSource(tmp_path / "don" / "subj41"))
    assert (one.subjects, one.sessions[0].name) == ((41,), "don")
    tifffile.imwrite(tmp_path / "don" / "subj40" / "f3.tif", celsius[0])
    again = ingest(source, tmp_path / "a.zarr")
    assert (again.shards_read, again.shards_written) == (1, 1)  # of one person
    assert (fx.open_recording(tmp_path / "a.zarr").heatmap[0, 0, 3] == celsius[0]).all()


def test_tiff__a_folder_of_frames_refuses_what_is_unlike(tmp_path, celsius):
    folder = written(tmp_path / "a", celsius)
    tifffile.imwrite(folder / "f3.tif", celsius[0].astype("f8"))
    with pytest.raises(SourceError, match=r"'f3\.tif' is float64 .*'f0\.tif' is float32"):
        ingest(StackSource(folder), tmp_path / "a.zarr")
    (folder / "f3.tif").write_bytes(b"II*\0 damaged")
    with pytest.raises(SourceError, match=r"cannot read 'f3\.tif'"):
        ingest(StackSource(folder), tmp_path / "b.zarr")
    tifffile.imwrite(folder / "f99.tif", celsius, photometric="minisblack")
    with pytest.raises(SourceError, match="files of one frame and of several"):
        StackSource(folder).found()
    other = written(tmp_path / "b", celsius)
    for i in range(N):
        np.savetxt(other / f"f{i}.csv", celsius[i], delimiter=",")
    with pytest.raises(SourceError, match="frames as TIFF and as CSV: keep one"):
        StackSource(other).found()


def test_numbers__of_names_are_frames_only_if_they_count():
    def names(numbers, before="a"):
        return [tmp.with_name(f"{before}{n}.tif") for n in numbers]

    from pathlib import Path

    tmp = Path("x")
    counting, doubt = numbered(names([7, 8, 10, 11]))
    assert counting.tolist() == [7, 8, 10, 11]
    assert doubt.startswith("1 numbers are absent")
    by_ten, doubt = numbered(names([0, 10, 20]))
    assert (by_ten, "grow by 10" in doubt) == (None, True)
    stamped, doubt = numbered(names([10**20, 10**20 + 1, 10**20 + 2]))
    assert (stamped, "do not count" in doubt) == (None, True)
    dated, doubt = numbered([Path("12_30.tif"), Path("12_31.tif"), Path("13_01.tif")])
    assert (dated, "do not count" in doubt) == (None, True)


KILL = """
import os, signal, sys
import cptv, flyr, tifffile
from ingest.hints import Hints
from ingest.run import ingest
from ingest.stacks import StackSource
def kill(done, total):
    if done > total // 3:
        os.kill(os.getpid(), signal.SIGKILL)
for path, store, units, boxes in zip(*[iter(sys.argv[1:])] * 4, strict=True):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, path
        continue
    source = StackSource(path, hints=Hints(units=units or None), boxes=boxes or None)
    ingest(source, store, shard_frames=3, workers=1, progress=kill)
"""


def contents(store):
    return {
        str(f.relative_to(store)): f.read_bytes()
        for f in store.rglob("*")
        if f.is_file() and "/c/" in str(f)
    }


def dated(folder, frames, start_s, name="subj40", rate_hz=10.0):
    folder.mkdir(exist_ok=True)
    times = start_s + np.arange(len(frames)) / rate_hz
    np.savez(folder / f"{name}.npz", face=frames, time=times)


DAY_S = 1_700_000_000.0


def test_dates__of_two_files_have_one_origin_which_is_the_stores(tmp_path, celsius):
    folder, store = tmp_path / "don", tmp_path / "a.zarr"
    dated(folder, celsius, DAY_S)
    dated(folder, celsius, DAY_S + 0.5, "subj41")
    source = StackSource(folder)
    ingest(source, store, float32=True)
    ds = fx.open_recording(store).load()
    np.testing.assert_array_equal(ds.heatmap[0, 0, :N], celsius)
    np.testing.assert_array_equal(ds.heatmap[1, 0, 5:], celsius)
    assert source.found().sessions[0].origin == "2023-11-14T22:13:20.000000"
    dated(folder, celsius, DAY_S - 0.3, "subj39")  # starts earlier: frame 0 stays the store's
    assert ingest(StackSource(folder), store).shards_written == 0
    xr.testing.assert_identical(fx.open_recording(store).load(), ds)
    assert StackSource(folder).found().sessions[0].origin == "2023-11-14T22:13:19.700000"


@pytest.mark.parametrize(
    ("start_s", "said"),
    [
        (
            0.0,
            r"'subj40\.npz' holds dates and that of 'subj41\.npz' does not: .*frame 0",
        ),
        (DAY_S + 86400, r"'subj40\.npz' ends at 2023-.* more than 1 h apart"),
        (None, r"'subj41\.npy' have no clock beside files with dates"),
    ],
)
def test_dates__without_a_common_clock_are_refused(tmp_path, celsius, start_s, said):
    dated(tmp_path / "don", celsius, DAY_S)
    if start_s is None:
        np.save(tmp_path / "don" / "subj41.npy", celsius)
    else:
        dated(tmp_path / "don", celsius, start_s, "subj41")
    with pytest.raises(SourceError, match=said):
        StackSource(tmp_path / "don").found()


@pytest.fixture
def film(tmp_path):
    """A film by the writer of the format, with a picture of the background and a gap."""
    cptv = pytest.importorskip("cptv")
    counts = np.random.default_rng(1).integers(30400, 30900, (6, 120, 160)).astype("u2")
    writer = cptv.CPTVWriter((tmp_path / "subj7.cptv").open("wb"))
    writer.timestamp = datetime(2024, 5, 4, 20, 0, 0, tzinfo=UTC)
    writer.brand, writer.model, writer.fps = b"flir", b"lepton3.5", 9
    writer.device_name, writer.latitude, writer.longitude = b"GARDEN", -43.5, 172.5
    ffc = timedelta(seconds=1)
    writer.background_frame = cptv.Frame(counts[0] - 99, ffc, ffc, 30, 30, True)
    for i, n in enumerate((0, 1, 2, 5, 6, 7)):
        moment = timedelta(milliseconds=60_000 + round(n * 1000 / 9))
        writer.write_frame(cptv.Frame(counts[i], moment, ffc, 30, 30))
    writer.close()
    return tmp_path / "subj7.cptv", counts


def test_cptv__is_a_stack_with_the_clock_of_the_camera(tmp_path, film):
    path, counts = film
    with pytest.raises(SourceError, match="integers: say their unit"):
        StackSource(path).found()
    source = StackSource(path, hints=Hints(units="cK"))
    done = ingest(source, tmp_path / "a.zarr", shard_frames=4, workers=1)
    ds = fx.open_recording(tmp_path / "a.zarr")
    heat = ds.heatmap[0, 0]
    wanted = np.full((8, 120, 160), np.nan)
    wanted[[0, 1, 2, 5, 6, 7]] = counts / 100 - 273.15
    np.testing.assert_allclose(heat, wanted, atol=0.0051)
    assert (ds.attrs["sampling_rate"], ds.attrs["camera_model"]) == (9, "lepton3.5")
    assert "at 2024-05-04T20:00:00" in " ".join(done.doubts)
    everything = b"".join(f.read_bytes() for f in (tmp_path / "a.zarr").rglob("*.json*"))
    assert b"GARDEN" not in everything
    assert b"172.5" not in everything
    damaged = tmp_path / "b.cptv"
    damaged.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SourceError, match=r"cannot read 'b\.cptv'"):
        StackSource(damaged).found()


@pytest.mark.parametrize("end", ["", ";"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_csv__frames_below_one_another_are_a_stack(tmp_path, celsius, end, decimal):
    rows = [[";".join(f"{v:.3f}" for v in r) + end for r in f] for f in celsius]
    text = "\n\n".join(f"Frame {i}\n" + "\n".join(f) for i, f in enumerate(rows))
    (tmp_path / "anna.csv").write_text(text.replace(".", decimal) + "\n", newline="\r\n")
    ds = ingested(tmp_path / "anna.csv", tmp_path)
    np.testing.assert_allclose(ds.heatmap[0, 0], celsius, atol=6e-4)


def ingested(path, tmp_path):
    ingest(StackSource(path), tmp_path / "a.zarr", float32=True)
    return fx.open_recording(tmp_path / "a.zarr")


def test_csv__a_file_a_frame_is_a_stack_and_tables_beside_it_are_none(tmp_path, celsius):
    folder = tmp_path / "anna"
    folder.mkdir()
    for i, frame in enumerate(celsius):
        np.savetxt(folder / f"f{i:03}.csv", frame, delimiter=",", fmt="%.4f", header="Kamera")
    np.testing.assert_allclose(ingested(folder, tmp_path).heatmap[0, 0], celsius, atol=1e-4)
    (tmp_path / "don").mkdir()
    np.save(tmp_path / "don" / "subj40.npy", celsius)
    (tmp_path / "don" / "boxes.csv").write_text("a,b\n1,2\n")
    assert "'boxes.csv'" in " ".join(StackSource(tmp_path / "don").found().doubts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3\n4,5,6\n", "one matrix of 2 x 3 numbers: put the frames into files"),
        ("x,y,z\n1,2,3\n\n4,5,6\n", "table with names of columns"),
        ("1,2\n3,4\n\n5,6\n", "frames of 1 to 2 rows"),
        ("30,31,32\n30,31,32\n\n30,31,32\n30,?,32\n", "below line 3 is no number"),
        ("nothing\n", "no row of numbers"),
    ],
)
def test_csv__that_is_no_stack_is_one_sentence(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=said):
        ingest(StackSource(tmp_path / "a.csv"), tmp_path / "a.zarr")


def test_sources__a_killed_run_continues_to_the_same_bytes(tmp_path, celsius, film):
    boxes = pd.DataFrame({"frame": range(N), "x": 1, "y": 2, "width": 5, "height": 6})
    boxes.assign(subject="a").to_csv(tmp_path / "boxes.csv")
    counts = np.random.default_rng(0).integers(18000, 20500, (N, 8, 9)).astype("u2")
    jobs = {
        "tiff": (written(tmp_path / "a", celsius), "", tmp_path / "boxes.csv"),
        "cptv": (film[0], "cK", ""),
        "seq": (tmp_path / "anna.seq", "", ""),
        "jpeg": (tmp_path / "jpegs", "", ""),
        "csv": (tmp_path / "texts", "", ""),
    }
    frames = (flir.fff(c, moment_s=DAY_S + i / 9) for i, c in enumerate(counts))
    jobs["seq"][0].write_bytes(b"".join(frames))
    for name in ("jpeg", "csv"):
        jobs[name][0].mkdir()
    for i in range(N):
        (jobs["jpeg"][0] / f"f{i}.jpg").write_bytes(flir.jpeg(counts[i]))
        np.savetxt(jobs["csv"][0] / f"f{i}.csv", celsius[i], delimiter=",")
    arguments = [
        str(a) for name, (path, *how) in jobs.items() for a in (path, tmp_path / name, *how)
    ]
    command = [sys.executable, "-c", KILL, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    for name, (path, units, boxes) in jobs.items():
        source = StackSource(path, hints=Hints(units=units or None), boxes=boxes or None)
        resumed = ingest(source, tmp_path / name)
        assert 0 < resumed.shards_written < resumed.shards, name
        ingest(source, tmp_path / f"{name}.whole", shard_frames=3)
        assert contents(tmp_path / name) == contents(tmp_path / f"{name}.whole"), name


def test_errors__of_a_file_name_it_without_its_folder(tmp_path):
    file = tmp_path / "gone.npy"
    with pytest.raises(SourceError, match=r"'gone\.npy'.*No such file") as caught:
        guarded(file, file.open)
    assert tmp_path.name not in str(caught.value)


def test_tables__whose_first_column_is_a_score_are_not_deeplabcuts(tmp_path):
    (tmp_path / "boxes.csv").write_text("score,frame,x,y,width,height\n.9,0,1,2,3,4\n")
    assert not is_deeplabcut(tmp_path / "boxes.csv")
    (tmp_path / "points.csv").write_text("\ufeffscorer,net,net\nbodyparts,nose,nose\n")
    assert is_deeplabcut(tmp_path / "points.csv")
