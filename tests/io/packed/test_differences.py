"""Recordings stored as differences: the same bits as others, at every door, in less room."""

import pickle

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.integrity.repair import repair
from fhemb_xr.io.packed import differences, packing, regions
from fhemb_xr.io.remote import objects
from fhemb_xr.kernels.frames import differences as kernel
from ingest import cli
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.store.verification import verify as compare


def faces(n_subjects=2, n=120, shape=(6, 5), seed=0):
    """Faces that move, in front of missing background; some frames and a person are lost."""
    rng = np.random.default_rng(seed)
    heat = 33 + rng.normal(0, 0.03, (n_subjects, 1, n, *shape)).cumsum(2)
    heat[rng.random(heat.shape) < 0.1] = np.nan
    heat[:, :, :, :2, :1] = np.nan
    heat[:, :, n // 3 : n // 2] = np.nan
    return heat.astype("f4")


def recording(heat):
    return fx.recording(
        xr.DataArray(heat, dims=("subject", "session", "time", "y", "x")), rate_hz=25
    )


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_dense__any_chunks_give_the_bits_of_fast(data):
    draw, one_to = data.draw, st.integers
    sizes = [draw(one_to(1, 3)), 1, draw(one_to(1, 40)), draw(one_to(1, 5)), draw(one_to(1, 5))]
    heat = faces(sizes[0], sizes[2], tuple(sizes[3:]), draw(one_to(0, 9)))
    cut = [draw(one_to(1, n)) for n in sizes]
    heat[(..., slice(cut[2]), slice(None), slice(None))] = draw(st.sampled_from([np.nan, -40]))
    group = zarr.create_group({})
    shards = [c * draw(one_to(1, 2)) for c in cut]
    how = {"shape": sizes, "dtype": "i2", "fill_value": packing.MISSING, "chunks": cut}
    how["shards"] = draw(st.sampled_from([None, shards]))
    chain = differences.filters(5, 2) if differences.fit(cut, 2) else []
    dense = group.create_array("dense", filters=chain, **how)
    fast = group.create_array("fast", **how)
    unit = shards if how["shards"] else cut
    for region in regions.pieces([slice(0, n) for n in sizes], unit):
        for array in (dense, fast):
            differences.write(array, region, packing.pack(heat[region]))
    expected = packing.unpack(fast[:])
    np.testing.assert_array_equal(dense[:], fast[:])  # by zarr alone
    assert dense.nchunks_initialized == fast.nchunks_initialized
    read = differences.reader(dense)
    assert (read is None) == (not chain)
    if read is not None:
        key = tuple(draw(st.one_of(one_to(-n, n - 1), st.slices(n))) for n in sizes)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(read))[key], expected[key])
        np.testing.assert_array_equal(read[...], expected)


def test_sweep__is_the_same_compiled_or_not():
    rng = np.random.default_rng(1)
    packed = rng.integers(-32768, 32767, (2, 300, 500)).astype("i2")
    packed[rng.random(packed.shape) < 0.2] = packing.MISSING
    coded = kernel.differences(packed)
    np.testing.assert_array_equal(kernel.values(coded), packed)
    assert coded.size > kernel._COMPILED
    rows, pixels = slice(7, 280), slice(20, 490)
    out = np.empty((2, 273, 470), "f4")
    kernel.temperatures(coded, rows, pixels, (0.01, 75.0, packing.MISSING), out)
    np.testing.assert_array_equal(out, packing.unpack(packed[:, rows, pixels]))


@pytest.fixture(scope="module")
def ds():
    return recording(faces())


@pytest.mark.parametrize("kind", ["folder", dict, zarr.storage.MemoryStore, "memory://dense"])
def test_dense__is_read_everywhere_by_us_and_by_plain_zarr(ds, tmp_path, kind):
    place = kind if isinstance(kind, str) else kind()
    place = tmp_path / "a.zarr" if kind == "folder" else place
    fx.save(ds.chunk(time=50), place, encoding="dense")
    fast = tmp_path / "fast.zarr"
    fx.save(ds, fast)
    expected = fx.open_recording(fast).heatmap.load()
    found = fx.open_recording(place).heatmap
    assert isinstance(next(iter(_sources(found))), differences.Temperatures)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert found.attrs == expected.attrs
    lazily = fx.open_recording(place, chunks=None).heatmap
    parts = ({"time": slice(30, 70, 3)}, {"y": 1, "x": -1}, {"subject": [1], "time": [5, 3]})
    for part in parts:
        np.testing.assert_array_equal(lazily.isel(part), expected.isel(part))
    if kind != "memory://dense":
        plain = xr.open_zarr(place, consolidated=False).heatmap
        np.testing.assert_array_equal(plain, xr.open_zarr(fast, consolidated=False).heatmap)
    assert fx.verify(place) == []


def _sources(x):
    return (v for layer in x.data.dask.layers.values() for v in layer.values())


def test_dense__may_be_replaced_by_itself_and_kept_as_fast(ds, tmp_path):
    place = tmp_path / "a.zarr"
    fx.save(ds, place, encoding="dense")
    before = fx.open_recording(place).heatmap.load()
    fx.save(fx.open_recording(place), place, mode="w", encoding="dense", resume=True)
    assert _is_dense(place)
    fx.save(fx.open_recording(place), place, mode="w")
    assert not _is_dense(place)
    np.testing.assert_array_equal(fx.open_recording(place).heatmap, before)


def _is_dense(place):
    return differences.axis(zarr.open_group(place, mode="r")["heatmap"]) is not None


def test_dense__of_frames_of_one_row_is_fast(tmp_path):
    fx.save(recording(faces(shape=(1, 5))), tmp_path / "a.zarr", encoding="dense")
    assert not _is_dense(tmp_path / "a.zarr")


def test_encoding__is_known_and_of_a_recording(ds, tmp_path):
    with pytest.raises(ValueError, match="is one of 'fast', 'dense', found 'small'"):
        fx.save(ds, tmp_path / "a.zarr", encoding="small")
    with pytest.raises(ValueError, match=r"is for recordings in degC, .* found 'result'"):
        fx.save(ds.heatmap, tmp_path / "a.zarr", encoding="fast")
    assert not list(tmp_path.iterdir())


def test_dense__resumed_is_not_mixed_with_fast(ds, tmp_path, monkeypatch):
    place = tmp_path / "a.zarr"
    cut = ds.chunk(time=40)
    monkeypatch.setattr("fhemb_xr.io.store._finish", _die)
    for how in ("fast", "dense"):
        with pytest.raises(KeyboardInterrupt):
            fx.save(cut, place, resume=True, encoding=how)
    monkeypatch.undo()
    fx.save(cut, place, resume=True, encoding="dense")
    assert _is_dense(place)
    np.testing.assert_allclose(fx.open_recording(place).heatmap, ds.heatmap, atol=0.00501)


def _die(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize("shared", [False, True])
def test_forget__of_a_dense_recording_keeps_the_others_to_the_bit(tmp_path, shared):
    ds = recording(faces(3))
    place = tmp_path / "a.zarr"
    fx.save(ds.chunk(time=50, subject=3 if shared else 1), place, encoding="dense")
    before = fx.open_recording(place).heatmap.load()
    (done,) = fx.forget(1, place)
    assert done.found
    assert ("heatmap" in done.rewritten) == shared
    assert _is_dense(place)
    assert fx.verify(place) == []
    np.testing.assert_array_equal(fx.open_recording(place).heatmap, before.isel(subject=[0, 2]))


def test_verify__tells_what_is_damaged_and_lost_in_a_dense_store(ds, tmp_path):
    place, held = tmp_path / "a.zarr", {}
    fx.save(ds.chunk(time=50), place, encoding="dense")
    first = place / "heatmap" / "c" / "0" / "0" / "0" / "0" / "0"
    whole = bytearray(first.read_bytes())
    whole[20] ^= 1
    first.write_bytes(whole)
    (found,) = fx.verify(place)
    assert (found.array, found.what) == ("heatmap", "damaged")
    with pytest.raises(StoreError, match=r"crc32c|checksum"):
        _read(place)
    first.unlink()
    with pytest.raises(StoreError, match="has lost data"):
        fx.open_recording(place)
    fx.save(ds.chunk(time=50), zarr.storage.MemoryStore(held), encoding="dense")
    lazy = fx.open_recording(zarr.storage.MemoryStore(held))
    objects.delete(zarr.storage.MemoryStore(held), ["heatmap/c/0/0/0/0/0"])
    assert [d.what for d in fx.verify(held)] == ["lost"]
    with pytest.raises(StoreError, match="has lost the file"):
        lazy.heatmap.compute()


def _read(place):
    try:
        fx.open_recording(place).heatmap.compute()
    except (ValueError, RuntimeError) as error:
        raise StoreError(str(error)) from None


@pytest.fixture
def source(tmp_path):
    heat = faces(n=25)
    heat[1, 0, 10:20] = np.nan  # a shard without a face
    return _stack(tmp_path, heat)


def _stack(tmp_path, heat):
    (tmp_path / "in").mkdir(exist_ok=True)
    np.savez(tmp_path / "in" / "opera.npz", subj40=heat[0, 0], subj41=heat[1, 0])
    return StackSource(tmp_path / "in")


def test_ingest__dense_appends_repairs_and_extends_as_fast(source, tmp_path):
    stores = {how: tmp_path / f"{how}.zarr" for how in ("fast", "dense")}
    for how, place in stores.items():
        ingest(source, place, shard_frames=10, workers=1, encoding=how)
        fx.save(fx.embed(fx.open_recording(place), ["mean"]), tmp_path / f"{how}.emb.zarr")
    longer = _stack(tmp_path, np.concatenate([faces(n=25), faces(n=12, seed=3)], axis=2))
    for place in stores.values():
        ingest(longer, place, append=True, workers=1)
        file = place / "heatmap" / "c" / "0" / "0" / "1" / "0" / "0"
        file.write_bytes(file.read_bytes()[:-1])
        assert len(fx.verify(place)) == 1
        assert repair(place).struck == 1
        (place / "heatmap" / "zarr.json").unlink()
        assert repair(place).mended == ("heatmap",)
        ingest(longer, place, workers=1)
        assert (fx.verify(place), compare(place, longer).difference) == ([], None)
    fast, dense = (fx.open_recording(place) for place in stores.values())
    xr.testing.assert_equal(fast, dense)
    assert [_is_dense(place) for place in stores.values()] == [False, True]
    done = [fx.extend(tmp_path / f"{how}.emb.zarr", place) for how, place in stores.items()]
    assert done[0] == done[1]
    again = fx.embed(dense, ["mean"])
    np.testing.assert_array_equal(fx.open_embedding(tmp_path / "dense.emb.zarr"), again)


def test_ingest__keeps_its_encoding_and_refuses_another(source, tmp_path):
    place = tmp_path / "a.zarr"
    run = ["run", str(place), "--files", str(tmp_path / "in"), "--encoding"]
    assert CliRunner().invoke(cli.app, [*run, "dense"]).exit_code == 0
    assert _is_dense(place)
    assert ingest(source, place).shards_read == 0
    with pytest.raises(StoreError, match="holds the encoding 'dense', asked for 'fast'"):
        ingest(source, place, encoding="fast")
    with pytest.raises(ValueError, match="choose one of the two"):
        ingest(source, tmp_path / "b.zarr", encoding="dense", float32=True)
    refused = CliRunner().invoke(cli.app, [*run, "tiny"])
    assert refused.exit_code == 1
    assert "encoding is one of" in refused.output


@pytest.mark.parametrize("span", [(5, 20), (0, 15), (10, 24)])
def test_write__of_a_part_of_a_chunk_is_refused(span):
    chain = differences.filters(5, 2)
    how = {"shape": (1, 1, 25, 4, 3), "dtype": "i2", "fill_value": packing.MISSING}
    array = zarr.create_group({}).create_array(
        "dense", filters=chain, chunks=(1, 1, 10, 4, 3), **how
    )
    before = packing.pack(faces(1, 25, (4, 3)))
    differences.write(array, ..., before)
    region = (slice(None), slice(None), slice(*span))
    with pytest.raises(ValueError, match=r"whole chunks .* the rest of a chunk would be lost"):
        differences.write(array, region, before[region])
    differences.write(array, (slice(None), slice(None), slice(20, 25)), before[:, :, 20:])
    np.testing.assert_array_equal(array[:], before)
