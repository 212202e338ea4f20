"""Opening stores: lazy, exact, of any kind, and refused by name when damaged."""

import errno
import itertools
import json
import pickle
import threading
import time

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

from fhemb_xr.errors import SchemaError, StoreError
from fhemb_xr.io.local import read_guard
from fhemb_xr.io.recording import open_recording, open_result
from fhemb_xr.io.store import save
from fhemb_xr.options import set_options
from fhemb_xr.testing import audience


@pytest.fixture
def ds():
    return audience(n_subjects=3, seconds=12, shape=(6, 5), faceless=[41], chunk_frames=100)


@pytest.fixture
def path(ds, tmp_path):
    save(ds, tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


def chunk_files(path, name):
    return sorted(p for p in (path / name / "c").rglob("*") if p.is_file())


def test_open__computes_nothing_and_reads_no_heatmap(path, computes):
    for file in chunk_files(path, "heatmap"):
        file.write_bytes(b"")
    with computes(0):
        ds = open_recording(path)
        assert ds.frame.values[0] == 0
        assert open_recording(path, chunks=None).sizes == ds.sizes


@pytest.mark.parametrize("chunks", [{}, None, {"subject": 3}, "auto"])
def test_open__is_float32_however_it_is_chunked(path, ds, chunks):
    found = open_recording(path, chunks=chunks).heatmap
    assert found.dtype == found.compute().dtype == np.float32
    assert (found.chunks is None) == (chunks is None)
    np.testing.assert_allclose(found, ds.heatmap, atol=0.00501)
    np.testing.assert_array_equal(found, open_recording(path).heatmap)
    assert found.attrs["units"] == "degC"
    assert not {"scale_factor", "add_offset", "_FillValue"} & set(found.attrs)


def test_open__does_not_mind_what_is_being_written(path):
    (path / "zarr.abc.partial").touch()  # and warnings are errors here
    assert open_recording(path).sizes["subject"] == 3


def test_open__two_stores_computed_together_stay_apart(path, ds, tmp_path):
    save(
        ds.assign(heatmap=(ds.heatmap + 1).assign_attrs(ds.heatmap.attrs)), tmp_path / "b.zarr"
    )
    a, b = open_recording(path).heatmap, open_recording(tmp_path / "b.zarr").heatmap
    a, b = dask.compute(a, b)
    np.testing.assert_allclose((b - a).max(), 1, atol=0.011)


def test_open__gives_the_new_values_after_a_replacement(path, ds):
    before = open_recording(path).heatmap.compute()
    save(ds.assign(heatmap=(ds.heatmap + 1).assign_attrs(ds.heatmap.attrs)), path, mode="w")
    np.testing.assert_allclose(
        open_recording(path).heatmap - before, before * 0 + 1, atol=0.011
    )


def replaced(ds):
    return ds.assign(heatmap=(ds.heatmap + 1).assign_attrs(ds.heatmap.attrs))


@pytest.fixture(params=["zarr", "zarrs"])
def pipeline(request):
    with set_options(codec_pipeline=request.param):
        yield


@pytest.mark.usefixtures("pipeline")
def test_read__of_a_store_that_was_replaced_is_refused_and_never_a_mixture(path, ds):
    before = open_recording(path)
    first = before.heatmap.isel(time=slice(0, 10)).compute()
    save(replaced(ds), path, mode="w")
    with pytest.raises(
        StoreError, match=r"'a\.zarr' was replaced since it was opened: open it"
    ):
        before.heatmap.compute()
    with pytest.raises(StoreError, match=r"was replaced"):
        pickle.loads(pickle.dumps(before)).heatmap.isel(subject=0).compute()
    again = open_recording(path).heatmap.isel(time=slice(0, 10))
    np.testing.assert_allclose(again - first, first * 0 + 1, atol=0.011)


@pytest.mark.usefixtures("pipeline")
def test_read__while_a_writer_replaces_is_of_one_generation(tmp_path):
    x = xr.DataArray(np.zeros((60, 50)), dims=("subject", "k"), name="x").chunk(subject=1)
    save(x, tmp_path / "x.zarr")
    stop, seen = threading.Event(), {"whole": 0, "refused": 0}

    def write():
        for value in itertools.count(1):
            save(x + value, tmp_path / "x.zarr", mode="w")
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and min(seen.values()) < 2:
        try:
            found = open_result(tmp_path / "x.zarr").compute(scheduler="threads")
        except StoreError as error:
            assert "replaced" in str(error) or "damaged" in str(error)  # noqa: PT017
            seen["refused"] += 1
        else:
            assert found.min() == found.max(), "two generations in one array"
            seen["whole"] += 1
    stop.set()
    writer.join()
    assert min(seen.values()) >= 2, seen


@pytest.mark.usefixtures("pipeline")
def test_read__of_a_file_lost_since_it_was_opened_is_refused(tmp_path):
    x = xr.DataArray(np.ones((3, 5)), dims=("subject", "k"), name="x").chunk(subject=1)
    save(x, tmp_path / "x.zarr")
    found = open_result(tmp_path / "x.zarr")
    (tmp_path / "x.zarr/x/c/1/0").unlink()
    with pytest.raises(StoreError, match=r"'x\.zarr' has lost the file 'x/c/1/0', which would"):
        found.compute()


@pytest.mark.parametrize(("code", "times", "ends"), [
    (errno.EIO, 2, True), (errno.ESTALE, 1, True),
    (errno.EIO, 3, False), (errno.EPERM, 1, False),
])  # fmt: skip
def test_read__is_tried_again_where_a_share_stutters(path, monkeypatch, code, times, ends):
    with set_options(codec_pipeline="zarr"):
        heat = open_recording(path).heatmap.isel(subject=0, time=slice(0, 5))
    real, left = zarr.storage.LocalStore.get, [times]

    async def flaky(self, key, *args):
        if "heatmap/c" in key and left[0]:
            left[0] -= 1
            raise OSError(code, "a share stuttered")
        return await real(self, key, *args)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", flaky)
    monkeypatch.setattr(read_guard, "PAUSES_S", (0.001, 0.001))
    if ends:
        assert np.isfinite(heat.compute()).any()
    else:
        with pytest.raises(OSError, match="a share stuttered"):
            heat.compute()


def test_open__reads_consolidated_metadata_too(path):
    with pytest.warns(UserWarning, match="not part"):
        zarr.consolidate_metadata(str(path))
    assert open_recording(path).sizes["subject"] == 3


def test_open__has_two_tasks_a_chunk(path, ds):
    heat = open_recording(path).heatmap
    (graph,) = dask.optimize(heat.data)
    assert len(heat.__dask_graph__()) <= 2 * heat.data.npartitions + 2
    assert len(graph.__dask_graph__()) <= heat.data.npartitions + 2


@pytest.mark.parametrize("kind", ["url", "home", "object", "memory", "fsspec"])
def test_open__takes_what_xarray_takes(path, ds, kind, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    store = {
        "url": f"file://{path}",
        "home": "~/a.zarr",
        "object": zarr.storage.LocalStore(path),
        "memory": zarr.storage.MemoryStore(),
        "fsspec": f"memory://{path.parent.name}",
    }[kind]
    if kind in {"memory", "fsspec"}:
        save(ds, store)
        with pytest.raises(StoreError, match="the store holds something already"):
            save(ds, store)
        save(ds, store, mode="w")
    np.testing.assert_array_equal(open_recording(store).heatmap, open_recording(path).heatmap)


def test_open__keeps_labels_of_text_and_of_single_numbers(ds, tmp_path):
    one = ds.assign_coords(subject=["a", "b", "ç/.."]).isel(session=0, subject=2)
    save(one, tmp_path / "one.zarr")
    found = open_result(tmp_path / "one.zarr")
    assert (found.subject.item(), found.session.item()) == ("ç/..", "dg")
    assert found.subject.dtype.kind == "U"
    np.testing.assert_array_equal(found.heatmap, one.heatmap)  # no recording: every bit kept
    with pytest.raises(SchemaError, match=r"'heatmap' has the dimensions \('time', 'y', 'x'\)"):
        open_recording(tmp_path / "one.zarr")


def test_open__survives_every_single_lost_file_by_refusing_it(path):
    for name in ("heatmap", "height", "time", "subject"):
        for file in chunk_files(path, name):
            content = file.read_bytes()
            file.unlink()
            with pytest.raises(StoreError, match=rf"'a\.zarr' has lost data: '{name}' has"):
                open_recording(path)
            file.write_bytes(content)
    open_recording(path)


@pytest.mark.parametrize("array", ["heatmap", "time", "subject"])
@pytest.mark.parametrize("how", ["truncated", "empty", "absent", "unknown codec"])
def test_open__refuses_damaged_metadata_of_an_array(path, array, how):
    meta = path / array / "zarr.json"
    text = meta.read_text()
    if how == "absent":
        meta.unlink()
    elif how == "unknown codec":
        meta.write_text(text.replace('"crc32c"', '"crc99"'))
    else:
        meta.write_text(text[: len(text) // 2] if how == "truncated" else "")
    with pytest.raises(StoreError, match=r"'a\.zarr' (is damaged|has lost data)"):
        open_recording(path)


def test_open__refuses_a_damaged_coordinate(path):
    (file,) = chunk_files(path, "time")
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 4
    file.write_bytes(whole)
    with pytest.raises(StoreError, match=r"'a\.zarr' is damaged \(.*checksum"):
        open_recording(path)


def test_open__says_that_a_writer_died(tmp_path):
    (tmp_path / ".a.zarr.0123abcd.staging").mkdir()
    with pytest.raises(StoreError, match=r"'a\.zarr' is missing, its writer died"):
        open_recording(tmp_path / "a.zarr")


def test_result__of_other_people_stays_closed(tmp_path):
    xr.Dataset({"x": ("t", np.zeros(3))}).to_zarr(tmp_path / "b.zarr", consolidated=False)
    with pytest.raises(SchemaError, match=r"'b\.zarr': this is not a store of fhemb_xr"):
        open_result(tmp_path / "b.zarr")


def test_metadata__is_json_that_any_reader_takes(path):
    def refuse(text):
        raise AssertionError(text)

    for file in path.rglob("zarr.json"):
        json.loads(file.read_text(), parse_constant=refuse)
