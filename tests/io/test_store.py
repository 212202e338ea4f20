"""Saving and opening: exact, whole or not at all, and refused when damaged."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io import encoding
from fhemb_xr.io import store as store_module
from fhemb_xr.io.local import atomic_files, systems
from fhemb_xr.io.recording import open_embedding, open_recording, open_result
from fhemb_xr.io.store import save
from fhemb_xr.ops.frames.frame_features import features
from fhemb_xr.testing import audience


@pytest.fixture
def ds():
    return audience(n_subjects=3, seconds=20, shape=(12, 10), faceless=[41], chunk_frames=200)


@pytest.fixture
def emb(ds):
    return features(ds.heatmap, ["mean", "p50", "bh0", "bh3"], threshold=25)


@given(st.lists(st.floats(-250, 400, width=32) | st.just(np.nan), min_size=1, max_size=30))
def test_packing__errs_by_five_millikelvin_at_most(values):
    x = np.array(values, "f4")
    found = encoding.unpack(encoding.pack(x))
    assert found.dtype == np.float32
    # half a step, and an ulp of 400 degC in float32 on the way there and back
    np.testing.assert_allclose(found, x, atol=0.005 + 1e-4)


@pytest.mark.parametrize("value", [-250.1, 400.2, np.inf])
def test_packing__refuses_what_would_overflow(value):
    with pytest.raises(ValueError, match=r"cannot be packed: .*\(-250\.0, 400\.0\) °C; store"):
        encoding.pack(np.array([33.0, value], "f4"))


def test_recording__comes_back_lazy_whole_and_within_the_packing(ds, tmp_path, computes):
    save(ds, tmp_path / "a.zarr")
    with computes(0):
        found = open_recording(tmp_path / "a.zarr")
    assert found.heatmap.dtype == found.heatmap.compute().dtype == np.float32
    np.testing.assert_allclose(found.heatmap, ds.heatmap, atol=0.00501)
    for name in ("height", "width", "position", "n_time"):
        xr.testing.assert_equal(found[name].compute(), ds[name].compute())
    for name in ("subject", "session", "time", "frame"):
        np.testing.assert_array_equal(found[name], ds[name])
    assert found.attrs["sampling_rate"] == 25


def test_recording__opens_with_plain_xarray(ds, tmp_path):
    save(ds, tmp_path / "a.zarr")
    found = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    np.testing.assert_allclose(found.heatmap, ds.heatmap, atol=0.00501)


def test_recording__without_a_face_costs_no_files(ds, tmp_path):
    save(ds, tmp_path / "a.zarr")
    chunks = {p.relative_to(tmp_path / "a.zarr/heatmap/c").parts[0]
              for p in (tmp_path / "a.zarr/heatmap/c").rglob("*") if p.is_file()}  # fmt: skip
    assert chunks == {"0", "2"}


def test_embedding__comes_back_identical_with_its_lazy_coordinates(emb, tmp_path):
    save(emb, tmp_path / "e.zarr")
    found = open_embedding(tmp_path / "e.zarr")
    assert found.dims == emb.dims
    assert found.chunks is not None
    np.testing.assert_array_equal(found, emb)
    np.testing.assert_array_equal(found.bin_edges, emb.bin_edges)
    assert found.feature.values.tolist() == ["mean", "p50", "bh0", "bh3"]
    assert found.feature.dtype.kind == "U"


def test_result__is_what_it_was(ds, emb, tmp_path):
    matrix = xr.DataArray(np.eye(2), dims=("subject_0", "subject_1"), name="relation")
    save(matrix, tmp_path / "m.zarr")
    xr.testing.assert_equal(open_result(tmp_path / "m.zarr"), matrix)
    save(matrix.to_dataset(), tmp_path / "d.zarr")
    assert isinstance(open_result(tmp_path / "d.zarr"), xr.Dataset)
    with pytest.raises(SchemaError, match="expected an embedding, the store holds a relation"):
        open_embedding(tmp_path / "m.zarr")
    with pytest.raises(SchemaError, match="no variable 'heatmap' among"):
        open_recording(tmp_path / "d.zarr")


def test_subjects__may_be_text_and_never_become_a_path(tmp_path):
    x = xr.DataArray(
        np.zeros(2), dims="subject", coords={"subject": ["../evil", "b"]}, name="x"
    )
    save(x, tmp_path / "in" / "x.zarr")
    assert open_result(tmp_path / "in" / "x.zarr").subject.values.tolist() == ["../evil", "b"]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_provenance__tells_the_chain_and_nothing_of_the_machine(ds, tmp_path):
    folder = tmp_path / "canary-7d1f"
    save(ds, folder / "a.zarr")
    first = open_recording(folder / "a.zarr")
    save(first.heatmap.mean("x").assign_attrs(first.attrs), folder / "b.zarr")
    history = open_result(folder / "b.zarr").attrs["history"].splitlines()
    assert len(history) == 2
    assert first.attrs["fhemb_uuid"] in history[1]
    secrets = [
        b"canary-7d1f",
        os.fsencode(os.uname().nodename),
        b"/home/",
        os.fsencode(Path.home()),
    ]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [s for s in secrets if len(s) > 3 and s in content], path


def test_attributes__that_json_cannot_hold_are_made_plain(tmp_path):
    x = xr.DataArray(
        np.zeros(2), dims="k", name="x",
        attrs={"a": np.float32(1.5), "b": (1, 2), "c": np.datetime64("2026-01-02"), "d": None},
    )  # fmt: skip
    save(x, tmp_path / "x.zarr")
    found = open_result(tmp_path / "x.zarr").attrs
    assert (found["a"], found["b"]) == (1.5, [1, 2])
    assert "2026-01-02" in found["c"]
    assert "d" not in found


def test_mode__refuses_or_replaces(emb, tmp_path):
    path = tmp_path / "e.zarr"
    save(emb, path)
    with pytest.raises(StoreError, match=r"'e\.zarr' is there already: mode='w' replaces it"):
        save(emb, path)
    save(emb + 1, path, mode="w")
    np.testing.assert_array_equal(open_embedding(path), emb + 1)
    with pytest.raises(ValueError, match="found 'a'"):
        save(emb, path, mode="a")
    assert [p.name for p in tmp_path.iterdir()] == ["e.zarr"]


def test_save__may_replace_the_store_it_reads(emb, tmp_path):
    path = tmp_path / "e.zarr"
    save(emb, path)
    save(open_embedding(path) + 1, path, mode="w")
    np.testing.assert_array_equal(open_embedding(path), emb + 1)


def test_files__are_for_their_owner_only(ds, tmp_path):
    save(ds, tmp_path / "a.zarr")
    for path in [tmp_path / "a.zarr", *(tmp_path / "a.zarr").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_save__that_fails_while_computing_leaves_nothing(emb, tmp_path):
    def fail(_):
        raise RuntimeError("worker died")

    broken = emb.copy(data=emb.data.map_blocks(fail, dtype=emb.dtype, meta=np.empty((0,) * 4)))
    save(emb, tmp_path / "e.zarr")
    for path in (tmp_path / "e.zarr", tmp_path / "f.zarr"):
        with pytest.raises(RuntimeError, match="worker died"):
            save(broken, path, mode="w")
    assert [p.name for p in tmp_path.iterdir()] == ["e.zarr"]
    np.testing.assert_array_equal(open_embedding(tmp_path / "e.zarr"), emb)


HOLD = """
import sys, time
from pathlib import Path
from fhemb_xr.io.local.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_save__is_refused_while_another_process_writes_and_not_after_it_died(emb, tmp_path):
    path = tmp_path / "e.zarr"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=f"being written by process {holder.pid}"):
            save(emb, path)
        holder.kill()
    save(emb, path)


def test_save__refuses_what_would_fill_the_disk(emb, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match=r"'e\.zarr' needs up to .* KiB and 100 B are free"):
        save(emb, tmp_path / "e.zarr")


def damage(path, how):
    meta = path / "zarr.json"
    content = json.loads(meta.read_text())
    if how == "truncated":
        meta.write_text(meta.read_text()[:40])
        return
    if how == "foreign":
        content["attributes"] = {}
    elif how == "newer":
        content["attributes"]["fhemb_schema"] = "9.0"
    elif how == "unfinished":
        content["attributes"]["fhemb_status"] = "writing"
    elif how == "version 2":
        content["zarr_format"] = 2
    meta.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("truncated", StoreError, "'e.zarr' is not a Zarr 3 store, or it is damaged"),
        ("version 2", StoreError, "'e.zarr' is not a Zarr 3 store"),
        ("foreign", SchemaError, "not a store of fhemb_xr: attribute 'fhemb_schema' is None"),
        ("newer", SchemaError, r"schema 9\.0, this version reads up to 1\.x: update"),
        ("unfinished", StoreError, "'e.zarr' is unfinished"),
    ],
)
def test_open__refuses_a_damaged_store_in_one_sentence(emb, tmp_path, how, error, text):
    save(emb, tmp_path / "e.zarr")
    damage(tmp_path / "e.zarr", how)
    with pytest.raises(error, match=text):
        open_result(tmp_path / "e.zarr")


def test_open__warns_of_a_newer_minor_version(emb, tmp_path):
    save(emb, tmp_path / "e.zarr")
    group = zarr.open_group(str(tmp_path / "e.zarr"))
    group.attrs["fhemb_schema"] = "1.7"
    with pytest.warns(UserWarning, match=r"schema 1\.7, newer than 1\.0"):
        open_result(tmp_path / "e.zarr")


def test_open__refuses_what_is_not_there(tmp_path):
    with pytest.raises(StoreError, match=r"no store 'absent\.zarr': is the path right"):
        open_recording(tmp_path / "absent.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(StoreError, match=r"'empty\.zarr' is not a Zarr 3 store"):
        open_recording(tmp_path / "empty.zarr")


def test_open__names_the_array_that_lost_a_chunk(emb, tmp_path):
    save(emb, tmp_path / "e.zarr")
    lost = next(p for p in (tmp_path / "e.zarr/embedding/c").rglob("*") if p.is_file())
    lost.unlink()
    with pytest.raises(StoreError, match=r"lost data: 'embedding' has \d+ of \d+ files"):
        open_embedding(tmp_path / "e.zarr")


def test_read__notices_flipped_bits(emb, tmp_path):
    save(emb, tmp_path / "e.zarr")
    rng = np.random.default_rng(0)
    chunks = [p for p in (tmp_path / "e.zarr/embedding/c").rglob("*") if p.is_file()]
    for _ in range(60):
        path = chunks[rng.integers(len(chunks))]
        whole = bytearray(path.read_bytes())
        at = rng.integers(len(whole))
        whole[at] ^= 1 << rng.integers(8)
        intact = path.read_bytes()
        path.write_bytes(whole)
        with pytest.raises(Exception, match=r"."):  # zarr's, blosc's or ours
            open_embedding(tmp_path / "e.zarr").compute()
        path.write_bytes(intact)


def test_save__gathers_small_chunks_and_its_graph_is_linear(tmp_path):
    x = xr.DataArray(
        da.zeros((2, 5000, 3), chunks=(1, 100, 3)),
        dims=("subject", "time", "feature"),
        name="x",
    )
    save(x, tmp_path / "x.zarr")
    array = zarr.open_group(str(tmp_path / "x.zarr"))["x"]
    assert array.chunks == (1, 5000, 3)
    assert len(list((tmp_path / "x.zarr/x/c").rglob("*"))) < 10


def test_exchange__falls_back_to_two_renames(tmp_path, monkeypatch):
    monkeypatch.setattr(systems.ctypes, "CDLL", lambda *_, **__: object())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    atomic_files.publish(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "a").exists()
    assert (tmp_path / "a" / "b").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_save__of_parts_has_bounded_graphs_and_the_same_result(tmp_path, monkeypatch, resume):
    evenings = [audience(2, 8, shape=(6, 5), sessions=[f"evening {i}"]) for i in range(3)]
    ds = xr.concat(evenings, "session", join="outer")
    emb = features(ds.heatmap.chunk(session=1, time=50), ["mean", "p50"])
    whole, n_tasks, compute = [], [], store_module.compute.compute

    def counting(work, folder=None):
        n_tasks.append(len(dask.optimize(*work)[0].__dask_graph__()))
        return compute(work, folder)

    monkeypatch.setattr(store_module.compute, "compute", counting)
    for by in (None, "session"):
        save(emb, tmp_path / f"{by}.zarr", by=by, resume=resume)
        whole.append(open_embedding(tmp_path / f"{by}.zarr").load())
    assert len(n_tasks) == 1 + 3
    assert max(n_tasks[1:]) < 0.5 * n_tasks[0]
    xr.testing.assert_identical(*(w.drop_attrs() for w in whole))
    with pytest.raises(ValueError, match=r"cannot save by 'seat': the dimensions are \("):
        save(emb, tmp_path / "x.zarr", by="seat")


def test_save__computes_a_lazy_coordinate_once(tmp_path):
    """Arrays that share one must not be compared by it."""
    seen = []

    def note(block):
        seen.append(block.size)
        return block

    moment = da.arange(6, chunks=3).map_blocks(note, meta=np.empty(0, int))
    large = da.zeros((6, 300_000), chunks=(2, -1))  # its chunks are not gathered
    arrays = {"a": ("time", da.zeros(6, chunks=2)), "b": (("time", "k"), large)}
    save(xr.Dataset(arrays, {"moment": ("time", moment)}), tmp_path / "a.zarr")
    assert sum(seen) == 6
    assert open_result(tmp_path / "a.zarr").moment.values.tolist() == [*range(6)]
