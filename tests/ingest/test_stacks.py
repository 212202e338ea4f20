"""Stacks in files: the same recording whatever the format, and what is wrong by name."""

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SourceError
from ingest import cli, stacks
from ingest.hints import Hints
from ingest.planning import plan
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.store.verification import verify

N, SHAPE, PACKING_C = 60, (6, 5), 0.005001


@pytest.fixture
def people():
    rng = np.random.default_rng(4)
    heat = {who: rng.normal(33, 2, (N, *SHAPE)).astype("f4") for who in (40, 41, 53)}
    heat[41][7:9] = np.nan
    heat[53][:, 0] = np.nan
    return heat


def npz(folder, people):
    np.savez_compressed(folder / "don.npz", **{f"subj{w}": h for w, h in people.items()})
    return folder / "don.npz", None


def plain_zip(folder, people):
    np.savez(folder / "don.npz", **{f"subj{w}": h for w, h in people.items()})
    return folder, None


def npy(folder, people):
    for who, heat in people.items():
        np.save(folder / f"subj{who}.npy", heat)
    return folder, None


def hdf5(folder, people):
    with h5py.File(folder / "don.h5", "w") as file:
        for who, heat in people.items():
            file.create_dataset(f"people/{who}/face", data=heat, chunks=(7, *SHAPE))
    return folder, Hints(columns={"matrix": "people/{}/face"})


def named(folder, people):
    with h5py.File(folder / "don.hdf5", "w") as file:
        for who, heat in people.items():
            file[f"of/{who}"] = heat
    return folder, Hints(subjects={str(who): f"of/{who}" for who in people})


@pytest.mark.parametrize("write", [npz, plain_zip, npy, hdf5, named])
def test_stacks__every_format_gives_the_same_recording(tmp_path, people, write, monkeypatch):
    monkeypatch.setattr(stacks, "BATCH_BYTES", 3000)  # a few frames
    (tmp_path / "don").mkdir()
    path, hints = write(tmp_path / "don", people)
    source = StackSource(path, hints=hints)
    done = ingest(source, tmp_path / "a.zarr", shard_frames=25, workers=2)
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.subject.values.tolist() == [40, 41, 53]
    assert ds.session.values.tolist() == ["don"]
    np.testing.assert_allclose(ds.heatmap[:, 0], np.stack([*people.values()]), atol=PACKING_C)
    assert ds.height.sel(subject=41, session="don").values[6:10].tolist() == [6, 0, 0, 6]
    assert (done.counts.rows, done.counts.null_cells) == (3 * N, 2)
    assert verify(tmp_path / "a.zarr", source).equal
    assert ingest(source, tmp_path / "a.zarr").shards_read == 0


def test_stacks__clocks_sizes_and_scales_are_taken_from_datasets(tmp_path):
    rng = np.random.default_rng(5)
    raw = rng.integers(2500, 3800, (8, 4, 4), dtype="u2")
    order = np.array([3, 0, 1, 2, 6, 7, 7, 9])  # in disorder, repeated, with gaps
    height, width = np.full(8, 4), np.array([4, 2, 4, 4, 0, 4, 4, 3])
    arrays = {"subj40": raw, "frame_number": order, "subj40_height": height}
    np.savez(tmp_path / "don.npz", **arrays, subj40_width=width)
    source = StackSource(tmp_path / "don.npz", hints=Hints(scale=0.01))
    assert any("1 frames are repeated" in d for d in plan(source).doubts)
    done = ingest(source, tmp_path / "a.zarr")
    heat = fx.open_recording(tmp_path / "a.zarr").heatmap[0, 0].values
    cube = np.full((10, 4, 4), np.nan)
    for i, frame in enumerate(order):
        if width[i] and np.isnan(cube[frame]).all():
            left = (4 - width[i]) // 2
            cube[frame, :, left : left + width[i]] = raw[i, :, : width[i]] * 0.01
    np.testing.assert_allclose(heat, cube, atol=PACKING_C)
    assert (done.counts.duplicates, done.counts.null_cells, done.missing) == (1, 1, 4)


def test_stacks__a_changed_file_is_read_again(tmp_path, people):
    path, _ = npz(tmp_path, people)
    store = tmp_path / "a.zarr"
    ingest(StackSource(path), store)
    people[40][3, 2, 2] += 1
    npz(tmp_path, people)
    done = ingest(StackSource(path), store)
    assert (done.shards_read, done.shards_written) == (3, 1)
    assert verify(store, StackSource(path)).equal


@pytest.mark.parametrize(
    ("arrays", "hints", "error", "text"),
    [
        (
            {"roi": np.zeros((3, 2, 2)), "face": np.zeros((3, 2, 2))},
            None,
            SourceError,
            "matrix",
        ),
        ({"subj1": np.zeros((3, 2, 2), "i2")}, None, SourceError, r"integers: .*\(scale\)"),
        ({"subj1": np.zeros((3, 2, 2)), "frame": np.zeros(2)}, None, SourceError, "each of 3"),
        (
            {"subj1": np.zeros((3, 2, 2)), "tick": np.arange(3)},
            Hints(columns={"clock": "tock"}),
            ConfigError,
            "no dataset 'tock' .* nearest are tick",
        ),
        ({"subj1": np.array([None] * 3)}, None, SourceError, "objects"),
    ],
)
def test_stacks__say_what_is_wrong(tmp_path, arrays, hints, error, text):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=text):
        ingest(StackSource(tmp_path / "a.npz", hints=hints), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_stacks__a_damaged_or_absent_file_is_one_sentence(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"no such format")
    with pytest.raises(SourceError, match=f"cannot read 'a{suffix}'"):
        StackSource(tmp_path).found()
    with pytest.raises(SourceError, match="no file or folder"):
        StackSource(tmp_path / "b").found()


def test_cli__takes_files_instead_of_a_schema(tmp_path, people, monkeypatch):
    monkeypatch.setenv("FHEMB_CONFIG_DIR", str(tmp_path / "config"))
    path, _ = npz(tmp_path, people)
    layout = tmp_path / "layout.toml"
    layout.write_text('rate_hz = 50.0\n[subjects]\n40 = "subj40"\n')
    more = ["--files", str(path), "--layout", str(layout)]
    store, run = str(tmp_path / "a.zarr"), CliRunner().invoke
    planned = run(cli.app, ["plan", *more])
    assert "measured over one connection" in " ".join(planned.stdout.split()), planned.stderr
    done = run(cli.app, ["run", store, *more, "--resize", "3x2", "--json"])
    assert json.loads(done.stdout)["subjects"] == 1, done.stdout
    ds = fx.open_recording(store)
    means = people[40].reshape(N, 3, 2, 5).mean(2)
    weights = np.array([[2, 2, 1, 0, 0], [0, 0, 1, 2, 2]]) / 5
    np.testing.assert_allclose(ds.heatmap[0, 0], means @ weights.T, atol=PACKING_C)
    assert ds.attrs["sampling_rate"] == 50
    assert set(ds.height.values.ravel()) == {6}  # what they were
    assert fx.resize(ds, (6, 4)).notnull().all()  # of the whole grid, which they fill
    assert run(cli.app, ["verify", store, *more]).exit_code == 0
    assert run(cli.app, ["plan"]).exit_code == 2
    assert run(cli.app, ["plan", *more, "--schema", "don"]).exit_code == 2


def test_cli__says_what_ctrl_c_leaves(tmp_path, people, monkeypatch):
    monkeypatch.setenv("FHEMB_CONFIG_DIR", str(tmp_path / "config"))
    path, _ = npz(tmp_path, people)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ingest.run.ingest", stop)
    store = str(tmp_path / "a.zarr")
    done = CliRunner().invoke(cli.app, ["run", store, "--files", str(path), "--json"])
    assert done.exit_code == 130
    assert json.loads(done.stdout)["error"] == {
        "code": "Interrupted",
        "message": "the same command continues from here",
    }
