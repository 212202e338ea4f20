"""How a recording lies on disk: packing, chunks, shards, checksums."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr import schema
from fhemb_xr.io import encoding
from fhemb_xr.io.formats import manifest
from fhemb_xr.io.recording import open_recording


def recording(path, **changes):
    options = {
        "subjects": [65, 66],
        "sessions": ["dg"],
        "n_frames": 50,
        "shape": (4, 3),
        "sampling_rate": 25,
        "title": "piece",
        "threshold": 25,
    }
    return encoding.create_recording(path, **(options | changes))


def finished(group, path):
    n = group["time"].shape[0]
    group["time"][:] = np.arange(n) / 25
    group["frame"][:] = np.arange(n)
    group.attrs.update({"fhemb_status": "complete"})
    return open_recording(path)


def peak_bytes(work):
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("n", [10, 2**20])
def test_unpack__is_the_same_compiled_or_not(n):
    packed = np.random.default_rng(0).integers(-32768, 32768, n).astype("i2")
    packed[:3] = encoding.MISSING, 32767, -32767
    found = encoding.unpack(packed)
    expected = packed.astype("f4") * np.float32(0.01) + np.float32(75)
    expected[packed == encoding.MISSING] = np.nan
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(encoding.unpack(packed[::-1]), expected[::-1])


def test_unpack__holds_its_result_only():
    packed = np.zeros(2**20, "i2")
    encoding.unpack(packed)  # compiles
    assert peak_bytes(lambda: encoding.unpack(packed)) < 4.1 * packed.size


def test_pack__holds_eleven_bytes_a_sample():
    x = np.full(2**20, 33, "f4")
    assert peak_bytes(lambda: encoding.pack(x)) < 11.1 * x.size


def test_pack__is_the_nearest_step_and_leaves_its_input():
    x = np.array([75, 75.004, 75.006, 33.333, np.nan], "f4")
    before = x.copy()
    assert encoding.pack(x).tolist() == [0, 0, 1, -4167, -32768]
    np.testing.assert_array_equal(x, before)


def test_limits__are_within_the_steps():
    low, high = encoding.pack(np.array(encoding.LIMITS))
    assert (low, high) == (-32500, 32500)


@given(st.integers(1, 400_000), st.integers(1, 6000))
def test_split__covers_with_equal_pieces(length, at_most):
    piece, n = encoding.split(length, at_most)
    assert piece <= at_most
    assert 0 <= piece * n - length < n
    assert n == -(-length // at_most)


_DIMS = st.sampled_from(
    [("subject", "time", "feature"), ("subject_0", "subject_1"), ("time", "y", "x"), ("k",), ()]
)


@given(
    _DIMS, st.lists(st.integers(0, 9000), min_size=3, max_size=3), st.sampled_from([1, 4, 8])
)
def test_layout__is_whole_chunks_small_enough_and_settled(dims, sizes, itemsize):
    block = sizes[: len(dims)]
    chunks, shards = encoding.layout(dims, block, itemsize)
    assert len(chunks) == len(dims)
    if shards is None:
        assert chunks == tuple(max(n, 1) for n in block)
        shards = chunks
    assert all(s % c == 0 for s, c in zip(shards, chunks, strict=True))
    assert all(s >= n for s, n in zip(shards, block, strict=True))
    cut = [n for n, c in zip(shards, chunks, strict=True) if n != c]
    rows = max(chunks, default=1)
    assert (
        np.prod(chunks) * itemsize <= encoding.CHUNK_BYTES
        or rows == 1
        or not cut
        or 1 in chunks
    )
    if "y" in dims:
        assert chunks[0] <= encoding.CHUNK_FRAMES
    # a writer aligns to the shards, and asks again
    assert encoding.layout(dims, shards, itemsize)[0] == chunks


@pytest.mark.parametrize("float32", [False, True])
def test_recording__every_array_ends_in_a_checksum(tmp_path, float32):
    group = recording(tmp_path / "a.zarr", float32=float32)
    names = {*schema.VARIABLES, "subject", "session", "axis", "time", "frame"}
    assert set(dict(group.arrays())) == names
    for name, array in group.arrays():
        codecs = array.metadata.codecs
        if name == "heatmap":
            (sharding,) = codecs
            assert sharding.index_codecs[-1].to_dict()["name"] == "crc32c"
            codecs = sharding.codecs
        assert codecs[-1].to_dict()["name"] == "crc32c", name


def test_recording__is_declared_whole_and_marked(tmp_path):
    group = recording(tmp_path / "a.zarr")
    for name, v in schema.VARIABLES.items():
        assert group[name].metadata.dimension_names == v.dims
        assert group[name].attrs["units"] == v.units
        assert group[name].dtype == ("int16" if name == "heatmap" else v.dtype)
    assert group.attrs["fhemb_status"] == "writing"
    assert group.attrs["fhemb_schema"] == schema.VERSION
    assert not list((tmp_path / "a.zarr" / "heatmap").glob("c/**/*"))


@pytest.mark.parametrize("float32", [False, True])
def test_recording__opens_as_missing_where_nothing_was_written(tmp_path, float32):
    group = recording(tmp_path / "a.zarr", float32=float32)
    heat = np.full((50, 4, 3), 33.33, "f4")
    heat[7] = np.nan
    group["heatmap"][1, 0] = heat if float32 else encoding.pack(heat)
    group["heatmap"][0, 0] = np.nan if float32 else encoding.MISSING
    ds = finished(group, tmp_path / "a.zarr")
    assert ds.heatmap.dtype == np.float32
    assert ds.heatmap.sel(subject=65).isnull().all()
    np.testing.assert_allclose(ds.heatmap.sel(subject=66)[0], heat, atol=0.005)
    assert len([p for p in (tmp_path / "a.zarr/heatmap/c").rglob("*") if p.is_file()]) == 1


@pytest.mark.parametrize(
    ("n_frames", "chunk", "shard", "expected"),
    [
        (2251, None, None, (751, 2253)),  # a prime number of frames
        (20_000, None, None, (1000, 5000)),
        (20_000, 300, 1000, (250, 1000)),
        (20_000, 300, 997, (250, 1000)),
        (1, None, None, (1, 1)),
        (0, None, None, (1, 1)),
    ],
)
def test_recording__has_shards_of_whole_chunks(tmp_path, n_frames, chunk, shard, expected):
    group = recording(
        tmp_path / "a.zarr", n_frames=n_frames, chunk_frames=chunk, shard_frames=shard
    )
    heat = group["heatmap"]
    assert (heat.chunks[2], heat.shards[2]) == expected
    assert group["height"].chunks == (1, 1, expected[1])


def test_recording__opens_with_plain_xarray_as_cf(tmp_path):
    group = recording(tmp_path / "a.zarr")
    group["heatmap"][:] = encoding.pack(np.full((2, 1, 50, 4, 3), 30.5, "f4"))
    finished(group, tmp_path / "a.zarr")
    found = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    np.testing.assert_allclose(found.heatmap, 30.5, atol=1e-6)


def test_recording__refuses_a_folder_that_is_there(tmp_path):
    with pytest.raises(FileExistsError):
        recording(tmp_path)


def test_count__knows_single_numbers_and_leavings(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("scalar", data=np.array(3.0), fill_value=0)
    group.create_array("grid", data=np.ones((4, 4)), chunks=(2, 2))
    (tmp_path / "a.zarr/grid/c/0/1.abc.partial").touch()
    assert manifest.count_files(tmp_path / "a.zarr") == {"scalar": 1, "grid": 4}
