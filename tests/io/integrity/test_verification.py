"""Every damage of a store is found, and named by array, person, session and seconds."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.integrity import checksums
from fhemb_xr.io.integrity.verification import verify
from fhemb_xr.io.store import save
from fhemb_xr.testing import audience

GOLDEN = Path(__file__).parents[2] / "golden" / "1.0"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A recording of three people, one of them faceless, with four chunks in each shard."""
    monkeypatch.setattr(encoding, "CHUNK_FRAMES", 100)
    ds = audience(n_subjects=3, seconds=12, shape=(6, 5), faceless=[41], chunk_frames=300)
    save(ds, tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


@pytest.fixture
def series(tmp_path):
    """A result in four chunks of 550 000 samples, as large as files are gathered to."""
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(2, 1_100_000)),
        dims=("subject", "time"),
        coords={"subject": [65, 66], "time": np.arange(1_100_000) / 25},
        name="x",
    ).chunk(subject=1, time=550_000)
    save(x, tmp_path / "x.zarr")
    return tmp_path / "x.zarr"


def flip(file, at=None, bit=0):
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2 if at is None else at] ^= 1 << bit
    file.write_bytes(whole)


def all_files(store):
    return sorted(p for p in store.rglob("*") if p.is_file())


def test_verify__finds_nothing_in_sound_stores(path, series):
    for store in (path, series, *GOLDEN.glob("*.zarr"), zarr.storage.LocalStore(path)):
        assert verify(store) == []
    memory = zarr.storage.MemoryStore()
    save(fx.open_recording(path), memory)
    assert verify(memory) == []


@pytest.mark.parametrize("n", [60, pytest.param(300, marks=pytest.mark.soak)])
def test_verify__finds_every_flipped_bit_in_any_file(path, n):
    rng = np.random.default_rng(0)
    candidates = all_files(path)
    hit = Counter()
    for _ in range(n):
        file = candidates[rng.integers(len(candidates))]
        intact = file.read_bytes()
        flip(file, rng.integers(len(intact)), rng.integers(8))
        found = verify(path, threads=1)
        named = file.relative_to(path).as_posix()
        assert found, named
        assert {d.array for d in found} & {named.partition("/")[0], ""}, (named, found)
        hit[file.suffix or "chunk"] += 1
        file.write_bytes(intact)
    assert verify(path) == []
    assert min(hit[".json"], hit["chunk"]) > n / 5  # metadata and data


def test_verify__finds_every_flipped_bit_of_a_chunk_file(path):
    file = path / "heatmap/c/0/0/0/0/0"
    whole = file.read_bytes()
    how = checksums.layout(json.loads((path / "heatmap/zarr.json").read_text()))
    assert how.inside == (1, 1, 3, 1, 1)
    assert not checksums.faults(whole, how)
    rng = np.random.default_rng(0)
    for at in rng.integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        assert checksums.faults(bytes(damaged), how)
    for length in rng.integers(len(whole), size=100):
        assert checksums.faults(whole[:length], how)


@pytest.mark.parametrize("how", ["removed", "truncated", "emptied"])
def test_verify__names_every_chunk_that_is_gone_or_cut(path, how):
    chunks = [p for p in all_files(path) if "c" in p.relative_to(path).parts]
    chosen = np.random.default_rng(1).permutation(len(chunks))[:8]
    for file in (chunks[i] for i in chosen):
        intact = file.read_bytes()
        if how == "removed":
            file.unlink()
        else:
            file.write_bytes(intact[: len(intact) // 2] if how == "truncated" else b"")
        named = [d for d in verify(path) if d.file == file.relative_to(path).as_posix()]
        assert named, file
        assert named[0].what == ("lost" if how == "removed" else "damaged")
        file.write_bytes(intact)


@pytest.mark.parametrize("how", ["removed", "truncated", "emptied", "another codec"])
@pytest.mark.parametrize("array", ["heatmap", "time"])
def test_verify__names_every_metadata_file_that_is_damaged(path, array, how):
    meta = path / array / "zarr.json"
    text = meta.read_text()
    if how == "removed":
        meta.unlink()
    elif how == "another codec":
        meta.write_text(text.replace('"crc32c"', '"crc99"'))
    else:
        meta.write_text(text[: len(text) // 2] if how == "truncated" else "")
    (found,) = verify(path)
    assert (found.array, found.file) == (array, f"{array}/zarr.json")
    assert found.what == ("lost" if how == "removed" else "damaged")
    assert "zarr.json" in str(found)


def test_verify__sees_a_changed_scale_that_would_move_every_temperature(path):
    meta = path / "heatmap" / "zarr.json"
    meta.write_text(meta.read_text().replace("0.01", "0.05"))
    assert [str(d) for d in verify(path)] == [
        "'heatmap' is damaged: zarr.json was changed after it was written"
    ]


def test_verify__names_a_damaged_group(path):
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace("sampling_rate", "sampling_rats"))
    assert (
        str(verify(path)[0])
        == "the store is damaged: zarr.json was changed after it was written"
    )
    (path / "zarr.json").write_text(text[:40])
    (found,) = verify(path)
    assert str(found).startswith("the store is damaged: its zarr.json: ")


def test_verify__names_the_person_the_session_and_the_seconds(path, series):
    flip(series / "x/c/1/1", 1000)
    (found,) = verify(series)
    assert found.spans == {"subject": (66, 66), "time": (22000.0, 43999.96)}
    assert str(found).startswith("'x' is damaged for subject 66, time 22000.0 to 43999.96 s: ")
    flip(path / "heatmap/c/2/0/0/0/0")
    (found,) = verify(path)
    assert str(found).startswith(
        "'heatmap' is damaged for subject 42, session dg, time 4.0 to 7.96 s: its checksum is"
    )
    assert json.loads(json.dumps(found.as_dict()))["spans"]["time"] == [4.0, 7.96]


def test_verify__tells_what_is_lost_from_what_never_was(path, series):
    (series / "x/c/0/1").unlink()
    (found,) = map(str, verify(series))
    assert found == "'x' is lost for subject 65, time 22000.0 to 43999.96 s"
    assert not (path / "heatmap/c/1").exists()  # 41 has no face
    (path / "heatmap/c/2/0/0/0/0").unlink()
    (found,) = map(str, verify(path))
    assert found == "'heatmap' is lost for subject 42, session dg, time 0.0 to 11.96 s"


def test_verify__of_a_store_of_before_the_map_of_files_counts_them(tmp_path):
    shutil.copytree(GOLDEN / "recording.zarr", tmp_path / "a.zarr")
    next(p for p in (tmp_path / "a.zarr/height/c").rglob("*") if p.is_file()).unlink()
    assert [str(d) for d in verify(tmp_path / "a.zarr")] == [
        "'height' is lost: it has 3 of 4 files"
    ]


def test_verify__reads_what_has_no_checksum_at_its_end(path, tmp_path):
    group = zarr.open_group(tmp_path / "b.zarr", mode="w")
    group.create_array("x", data=np.arange(100.0), chunks=(50,), dimension_names=["time"])
    group.create_array("time", data=np.arange(100) / 25, dimension_names=["time"])
    (tmp_path / "b.zarr/x/c/1").write_bytes(b"no zstd")
    (found,) = verify(tmp_path / "b.zarr")
    assert found.spans == {"time": (2.0, 3.96)}


def test_verify__refuses_what_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="not a Zarr 3 store"):
        verify(tmp_path)


def test_map_of_files__comes_back():
    rng = np.random.default_rng(0)
    for shape in [(1,), (3, 2, 5), (2, 0), (9, 1, 1)]:
        there = rng.random(shape) > 0.5
        text = np.packbits(there).tobytes().hex()
        np.testing.assert_array_equal(manifest.expected(text, shape), there)
        assert manifest.expected(None, shape).all()
