"""A few frames of a chunk: the bits of the whole chunk, by decoding a part of it."""

import pickle

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import LocalStore

import fhemb_xr as fx
from fhemb_xr.io import encoding
from fhemb_xr.io.packed import blosc_blocks, packing

SHAPE = (2, 1, 90, 7, 6)
NAMES = ("subject", "session", "time", "y", "x")


def made(chunk=(1, 1, 40, 7, 6), shards=None, block=1024, codecs=None, store=None):
    """An array of packed faces that drift, in chunks of several small blocks."""
    rng = np.random.default_rng(0)
    heat = 33 + rng.normal(0, 0.05, SHAPE).cumsum(2)
    heat[rng.random(SHAPE) < 0.1] = np.nan
    blosc_of = BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=2, blocksize=block)
    array = zarr.create_array(
        {} if store is None else store, name="heatmap", shape=SHAPE, dtype="i2", chunks=chunk,
        shards=shards, fill_value=packing.MISSING, dimension_names=NAMES,
        compressors=codecs or [blosc_of, Crc32cCodec()],
    )  # fmt: skip
    array[:] = packing.pack(heat.astype("f4"))
    return array


@pytest.fixture
def decoded(monkeypatch):
    """Bytes that Blosc has decoded, call by call."""
    seen, decompress = [], blosc.decompress

    def counted(buffer, *more):
        out = decompress(buffer, *more)
        seen.append(len(out))
        return out

    monkeypatch.setattr(blosc, "decompress", counted)
    return seen


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_region__has_the_bits_of_the_whole(data):
    chunk = (1, 1, data.draw(st.integers(1, 45)), data.draw(st.sampled_from([7, 4])), 6)
    shards = data.draw(st.sampled_from([None, (1, 1, 2 * chunk[2], *chunk[3:])]))
    array = made(chunk, shards, data.draw(st.sampled_from([256, 1024, 2**20])))
    whole = packing.unpack(array[:])
    reader = blosc_blocks.Temperatures(array)
    key = []
    for n in SHAPE:
        a, b = sorted(data.draw(st.integers(0, n)) for _ in range(2))
        one = st.integers(-n, n - 1)
        key.append(data.draw(st.one_of(st.just(slice(a, b)), one, st.just(slice(None)))))
    np.testing.assert_array_equal(reader[tuple(key)], whole[tuple(key)])
    assert reader[tuple(key)].dtype == np.float32


@pytest.mark.parametrize(
    "times", [slice(50, 53), slice(None, None, -1), slice(5, 90, 9), [2, 99]]
)
def test_lists_and_steps__read_no_more_than_what_they_name(times, tmp_path, monkeypatch):
    ds = fx.testing.audience(n_subjects=4, seconds=8, shape=(9, 8))
    ds.fhemb.save(tmp_path / "don.zarr")
    direct = fx.open_recording(tmp_path / "don.zarr", chunks=None).heatmap
    truth = fx.open_recording(tmp_path / "don.zarr").heatmap.compute()
    where = {"subject": [0, -1], "session": 0, "time": times}
    xr.testing.assert_equal(direct.isel(where).load(), truth.isel(where))
    read, real = [], LocalStore.get

    async def get(self, key, *args, **kwargs):
        read.append(key)
        return await real(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", get)
    direct.isel(where).load()
    people = {key.split("/c/")[1][0] for key in read if "/c/" in key}
    assert people == {"0", "3"}


@pytest.mark.parametrize("shards", [None, (1, 1, 120, 7, 6)])
def test_a_few_frames__take_a_few_blocks(decoded, shards):
    reader = blosc_blocks.Temperatures(made(shards=shards))
    decoded.clear()
    reader[1, 0, 14:17]  # the bytes 1176 to 1428
    assert decoded == [1024]
    reader[1, 0, 39:42]  # the end of a chunk, which is shorter, and the start of the next one
    assert decoded == [1024, 40 * 84 % 1024, 1024]
    reader[1, 0, 0:30]  # most of a chunk: zarr reads it
    assert decoded[3:] == [40 * 84]


@pytest.mark.parametrize(
    "codecs",
    [
        [BloscCodec(cname="lz4", typesize=2, blocksize=1024), Crc32cCodec()],
        [BloscCodec(cname="blosclz", typesize=2, blocksize=1024), Crc32cCodec()],
        [BloscCodec(cname="zstd", clevel=0, typesize=2), Crc32cCodec()],
        [BloscCodec(cname="zstd", typesize=2)],
        [Crc32cCodec()],
    ],
)
def test_other_codecs__are_read_by_zarr_where_they_must(codecs):
    array = made(codecs=codecs)
    whole = packing.unpack(array[:])
    found = blosc_blocks.Temperatures(array)[1, 0, 50:53]
    np.testing.assert_array_equal(found, whole[1, 0, 50:53])


def test_blocks__may_lie_in_any_order():
    """Threads of Blosc write them as they come."""
    data = np.random.default_rng(0).integers(0, 50, 4000).astype("<i2")
    whole = blosc.compress(data, b"zstd", 5, blosc.BITSHUFFLE, 1024)
    n = -(-data.nbytes // 1024)
    begins = np.frombuffer(whole, "<i4", n, 16)
    blocks = np.split(np.frombuffer(whole, "u1"), begins)[1:]
    turned = np.empty(n, "<i4")
    turned[::-1] = 16 + 4 * n + np.cumsum([0, *map(len, blocks[:0:-1])])
    made = whole[:16] + turned.tobytes() + b"".join(b.tobytes() for b in reversed(blocks))
    assert blosc.decompress(made) == data.tobytes()
    for start, stop in ((0, 10), (1500, 4000), (7000, 8000)):
        assert blosc_blocks.part(made, start, stop) == data.tobytes()[start:stop]


def test_damage__is_an_error_and_absence_is_missing():
    store = {}
    array = made(store=store)
    key = "heatmap/c/1/0/1/0/0"
    data = bytearray(store[key].to_bytes())
    data[60] ^= 1
    store[key] = zarr.buffer.cpu.Buffer.from_bytes(bytes(data))
    reader = blosc_blocks.Temperatures(array)
    with pytest.raises(ValueError, match="checksum"):
        reader[1, 0, 50:53]
    assert np.isfinite(reader[1, 0, 10:13]).any()
    del store[key]
    assert np.isnan(reader[1, 0, 50:53]).all()


def test_recording__without_dask_is_read_so(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 2048)
    ds = fx.testing.audience(n_subjects=2, seconds=8, shape=(9, 8))
    ds.fhemb.save(tmp_path / "don.zarr")
    lazy = fx.open_recording(tmp_path / "don.zarr")
    direct = pickle.loads(pickle.dumps(fx.open_recording(tmp_path / "don.zarr", chunks=None)))
    truth = lazy.heatmap.isel(subject=1, session=0).values[100:103]
    few = {"subject": 1, "session": 0, "time": slice(100, 103)}
    found = direct.heatmap.isel(few)
    assert found.dtype == np.float32
    decoded.clear()
    np.testing.assert_array_equal(found.values, truth)
    assert decoded == [2048]
    assert direct.heatmap.attrs == lazy.heatmap.attrs
