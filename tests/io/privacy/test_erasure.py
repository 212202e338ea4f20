"""Forgetting a person leaves no byte of them, and everybody else to the bit."""

import json
import os

import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app
from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files
from fhemb_xr.testing import audience
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.store.verification import verify as compare

WHO, LABEL = 40, "canary-7f3a"


@pytest.fixture
def source(tmp_path):
    """Three people's noise, so that no two files have a stretch of bytes in common."""
    rng = np.random.default_rng(0)
    faces = {f"subj{w}": rng.normal(33, 2, (25, 6, 5)).astype("f4") for w in (40, 41, 42)}
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "opera.npz", **faces)
    return StackSource(tmp_path / "in")


@pytest.fixture
def stores(tmp_path, source):
    """A recording, and what is derived from it."""
    made = {n: tmp_path / "out" / f"{n}.zarr" for n in ("don", "emb", "rel", "basis")}
    ingest(source, made["don"], shard_frames=10, workers=1)
    ds = fx.open_recording(made["don"])
    emb = ds.heatmap.mean(("y", "x")).expand_dims(feature=["mean"], axis=-1)
    fx.save(emb.rename("embedding").assign_attrs(sampling_rate=25.0), made["emb"])
    series = emb.squeeze(("session", "feature"), drop=True).compute()
    pairs = abs(series.rename(subject="subject_0") - series.rename(subject="subject_1"))
    groups = xr.DataArray([0, 1, 1], dims="subject", coords={"subject": series.subject})
    fx.save(pairs.sum("time").to_dataset(name="relation").assign(group=groups), made["rel"])
    fx.save(ds.heatmap.std("time"), made["basis"])
    return made


def pieces(store, places):
    """Stretches of the person's files, 16 bytes each, and of the arrays shared with others."""
    for name, array in zarr.open_group(store, mode="r").arrays():
        dims = array.metadata.dimension_names
        for file in (p for p in (store / name / "c").rglob("*") if p.is_file()):
            index = [int(p) for p in file.relative_to(store / name / "c").parts]
            axes = [i for i, d in enumerate(dims) if d in places]
            unit = array.shards or array.chunks
            if any(unit[i] == 1 and index[i] == places[dims[i]] for i in axes):
                data = file.read_bytes()
                starts = range(0, len(data) - 16, max(1, len(data) // 40))
                yield from (data[a : a + 16] for a in starts)


def everywhere(folder):
    return b"\0".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_forget__leaves_no_byte_of_the_person(stores, tmp_path):
    out = tmp_path / "out"
    patterns = {
        p for s in stores.values() for p in pieces(s, {"subject": 0}) if len(set(p)) > 8
    }
    assert len(patterns) > 100
    before = everywhere(out)
    assert all(p in before for p in patterns)
    done = fx.forget(WHO, *stores.values())
    assert all(d.found and not d.linked for d in done)
    after = everywhere(out)
    assert not [p for p in patterns if p in after]
    assert sorted(p.name for p in out.iterdir()) == sorted(s.name for s in stores.values())
    ledger = (stores["don"] / "heatmap/ledger.jsonl").read_text().splitlines()
    assert WHO not in json.loads(ledger[0])["subjects"]
    assert WHO not in {json.loads(line)["subject"] for line in ledger[1:]}
    for store in stores.values():
        assert fx.verify(store) == []
        attrs = zarr.open_group(store, mode="r").attrs
        assert attrs["history"].splitlines()[-1].split(" of ")[0].endswith("forget")


def test_forget__keeps_everybody_else_to_the_bit(stores):
    before = {n: fx.open_result(s).load() for n, s in stores.items()}
    heat = {p.read_bytes() for p in (stores["don"] / "heatmap/c").rglob("*") if p.is_file()}
    fx.forget(WHO, *stores.values())
    for name, old in before.items():
        dims = [d for d in ("subject", "subject_0", "subject_1") if d in old.dims]
        expected = old.drop_sel(dict.fromkeys(dims, WHO))
        xr.testing.assert_equal(fx.open_result(stores[name]).load(), expected)
    kept = {p.read_bytes() for p in (stores["don"] / "heatmap/c").rglob("*") if p.is_file()}
    assert kept < heat
    assert len(heat - kept) == 3


def test_forget__an_ingest_goes_on_without_the_person(stores, source):
    fx.forget(WHO, stores["don"])
    again = ingest(source, stores["don"], workers=1)
    assert (again.subjects, again.shards_read) == (2, 0)
    assert compare(stores["don"], source).equal
    assert fx.open_recording(stores["don"]).subject.values.tolist() == [41, 42]


def test_forget__of_an_unfinished_store_and_all_leavings(stores, tmp_path):
    store = stores["don"]
    zarr.open_group(store).attrs["fhemb_status"] = "writing"
    canary = os.urandom(32)
    left = [atomic_files.successor(store), store.with_name(".don.zarr.0123abcd.staging")]
    left.append(store.with_name(".don.zarr.0123abce.old"))
    for folder in left:
        folder.mkdir()
        (folder / "chunk").write_bytes(canary)
    (store / "heatmap" / "c" / "0.abc.partial").write_bytes(canary)
    (done,) = fx.forget(WHO, store)
    assert (done.found, done.swept) == (True, 3)
    assert canary not in everywhere(tmp_path)
    with pytest.raises(StoreError, match="unfinished"):
        fx.open_recording(store)


def test_forget__the_last_one_takes_the_store(tmp_path):
    one = audience(n_subjects=1, seconds=1, shape=(4, 3))
    fx.save(one, tmp_path / "a.zarr")
    fx.save(one.heatmap.isel(subject=0).mean(("y", "x")), tmp_path / "b.zarr")
    fx.forget(one.subject.item(), tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert not list(tmp_path.iterdir())


def test_forget__takes_labels_of_text_and_leaves_no_letter(tmp_path):
    ds = audience(n_subjects=3, seconds=1, shape=(4, 3))
    fx.save(ds.assign_coords(subject=["a", LABEL, "b"]), tmp_path / "a.zarr")
    assert LABEL.encode() in everywhere(tmp_path)
    fx.forget(LABEL, tmp_path / "a.zarr")
    assert LABEL.encode() not in everywhere(tmp_path)
    assert fx.open_recording(tmp_path / "a.zarr").subject.values.tolist() == ["a", "b"]


def test_forget__tells_of_copies_by_link_and_of_what_pools_people(tmp_path):
    fx.save(audience(n_subjects=2, seconds=1, shape=(4, 3)), tmp_path / "a.zarr")
    file = next(p for p in (tmp_path / "a.zarr/heatmap/c/0").rglob("*") if p.is_file())
    os.link(file, tmp_path / "copy")
    (done,) = fx.forget(40, tmp_path / "a.zarr")
    assert done.linked == 1
    fx.save(xr.DataArray(np.ones((2, 2)), dims=("y", "x"), name="mean"), tmp_path / "p.zarr")
    (done,) = fx.forget(40, tmp_path / "p.zarr")
    assert (done.found, done.pooled) == (False, True)


def test_forget__refuses_what_is_no_store_of_ours(tmp_path):
    with pytest.raises(StoreError, match=r"there is no store 'a\.zarr'"):
        fx.forget(40, tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="in folders of this machine"):
        fx.forget(40, zarr.storage.MemoryStore())
    xr.Dataset({"x": ("t", np.zeros(3))}).to_zarr(tmp_path / "b.zarr", consolidated=False)
    with pytest.raises(StoreError, match=r"'b\.zarr' cannot be read \(this is not a store"):
        fx.forget(40, tmp_path / "b.zarr")


def test_command__asks_first_and_says_what_it_did(tmp_path):
    fx.save(audience(n_subjects=2, seconds=1, shape=(4, 3)), tmp_path / "a.zarr")
    command = ["forget", "40", str(tmp_path / "a.zarr")]
    assert CliRunner().invoke(app, command, input="n\n").exit_code == 1
    assert fx.open_recording(tmp_path / "a.zarr").sizes["subject"] == 2
    done = CliRunner().invoke(app, [*command, "--yes", "--json"])
    assert json.loads(done.stdout)["erased"][0]["found"] is True
    assert fx.open_recording(tmp_path / "a.zarr").subject.values.tolist() == [41]
