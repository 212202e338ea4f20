"""A damaged store is mended from its ledger and its source, or says what is to be done."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app
from fhemb_xr.errors import StoreError
from fhemb_xr.io.integrity.repair import repair
from fhemb_xr.io.local import atomic_files
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.store.verification import verify as compare


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    faces = {f"subj{w}": rng.normal(33, 2, (25, 6, 5)).astype("f4") for w in (40, 41)}
    faces["subj41"][10:20] = np.nan  # a shard without a face
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "opera.npz", **faces)
    return StackSource(tmp_path / "in")


@pytest.fixture
def store(tmp_path, source):
    ingest(source, tmp_path / "don.zarr", shard_frames=10, workers=1, title="Don")
    return tmp_path / "don.zarr"


def flip(file):
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)


def values(store):
    return fx.open_recording(store).load()


def test_repair__of_a_sound_store_does_nothing(store):
    before = {p: p.stat().st_mtime_ns for p in store.rglob("*")}
    done = repair(store)
    assert (done.damage, done.todo) == ((), "")
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*")} == before


def test_repair__damaged_shards_are_read_again_and_no_others(store, source):
    before = values(store)
    flip(store / "heatmap/c/0/0/1/0/0")
    flip(store / "heatmap/c/0/0/2/0/0")
    (store / "height/c/1/0/0").unlink()
    done = repair(store)
    assert (done.struck, len(done.damage)) == (3, 3)
    assert "ingest run" in done.todo
    again = repair(store)  # nothing more to strike
    assert again.todo == done.todo
    summary = ingest(source, store, workers=1)
    assert (summary.shards_read, summary.shards_written) == (3, 3)
    xr.testing.assert_equal(values(store), before)
    assert fx.verify(store) == []
    assert repair(store).todo == ""
    assert compare(store, source).equal
    assert ingest(source, store, workers=1).shards_read == 0


@pytest.mark.parametrize(
    ("array", "how"),
    [
        ("heatmap", "all"), ("height", "metadata"), ("height", "chunk"), ("subject", "all"),
        ("time", "chunk"), ("frame", "metadata"), ("n_time", "all"), ("session", "all"),
    ],
)  # fmt: skip
def test_repair__metadata_and_axes_are_made_again(store, source, array, how):
    before = values(store)
    chunk = sorted(p for p in (store / array / "c").rglob("*") if p.is_file())[0]
    if how != "chunk":
        (store / array / "zarr.json").write_text("{")
    if how != "metadata":
        chunk.write_bytes(b"")
    done = repair(store)
    if done.struck:
        ingest(source, store, workers=1)
    elif done.todo:  # with its metadata, a damaged chunk comes to light
        assert how == "all"
        assert repair(store).struck == 1
        ingest(source, store, workers=1)
    assert repair(store).todo == ""
    xr.testing.assert_equal(values(store), before)
    assert values(store).attrs["title"] == "Don"


def test_repair__what_cannot_be_mended_is_said(store, tmp_path):
    text = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(text.replace('"Don"', '"Dan"'))
    assert "ingest it again" in repair(store).todo
    (store / "zarr.json").write_text(text)
    zarr.open_group(store).attrs["fhemb_status"] = "writing"
    assert "`fhemb ingest run` with the same options continues" in repair(store).todo
    with pytest.raises(StoreError, match="not a Zarr 3 store"):
        repair(tmp_path / "absent.zarr")


def test_repair__a_result_names_its_history_and_an_embedding_is_replayed(store, tmp_path):
    matrix = xr.DataArray(np.eye(3), dims=("subject_0", "subject_1"), name="relation")
    fx.save(matrix, tmp_path / "r.zarr")
    flip(tmp_path / "r.zarr/relation/c/0/0")
    todo = repair(tmp_path / "r.zarr").todo
    assert todo.startswith(
        "compute it again from its sources and save it with mode='w'; its his"
    )
    emb = fx.embed(fx.open_recording(store), ["mean"])
    fx.save(emb, tmp_path / "e.zarr")
    flip(next(p for p in (tmp_path / "e.zarr/embedding/c").rglob("*") if p.is_file()))
    command = ["repair", str(tmp_path / "e.zarr"), "--json"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 1
    assert "--source RECORDING" in json.loads(first.stdout)["todo"]
    assert CliRunner().invoke(app, [*command, "--source", str(store)]).exit_code == 0
    np.testing.assert_array_equal(fx.open_embedding(tmp_path / "e.zarr"), emb)


def test_repair__sweeps_what_killed_writers_left(store):
    (store.with_name(".don.zarr.0123abcd.staging")).mkdir()
    (store / "heatmap" / "0.abc.partial").touch()
    repair(store)
    assert not atomic_files.leavings(store)
    assert not list(store.rglob("*.partial"))
