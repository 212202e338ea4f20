"""Stores that are no folder keep the promises of a folder."""

import gc
import shutil
import threading

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.remote import objects, replacement


@pytest.fixture(scope="module")
def s3():
    """Options for a real S3 server, with a bucket."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0
    )
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "key": "key", "secret": "secret", "client_kwargs": {"region_name": "us-east-1"},
        "endpoint_url": f"http://{host}:{port}",
    }  # fmt: skip
    import boto3

    boto3.client(
        "s3", endpoint_url=options["endpoint_url"], region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="secret",
    ).create_bucket(Bucket="bucket")  # fmt: skip
    yield options
    close_connections()
    server.stop()


def close_connections():
    """Close what s3fs leaves open until the interpreter ends."""
    import fsspec.asyn
    import s3fs

    from fhemb_xr.dask_internals import sync

    for system in [*s3fs.S3FileSystem._cache.values()]:
        if system._s3 is not None and system.asynchronous:
            sync(system._s3.__aexit__(None, None, None))
        elif system._s3 is not None:
            fsspec.asyn.sync(system.loop, system._s3.__aexit__, None, None, None)
    s3fs.S3FileSystem.clear_instance_cache()
    gc.collect()


def score(value=0.0):
    data = da.arange(40, chunks=10, dtype="f8") + value
    return xr.DataArray(data, dims="k", name="score")


def values(store, **options):
    return fx.open_result(store, **options).values - np.arange(40.0)


def test_s3__saves_opens_replaces_and_verifies(s3):
    options = {"storage_options": s3}
    url = "s3://bucket/a.zarr"
    fx.save(score(), url, **options)
    with pytest.raises(StoreError, match="holds something already"):
        fx.save(score(), url, **options)
    old = fx.open_result(url, **options)
    assert (old.values == np.arange(40)).all()
    fx.save(old + 1, url, mode="w", **options)  # reads what it replaces
    assert (values(url, **options) == 1).all()
    assert fx.verify(url, **options) == []
    with pytest.raises(StoreError, match="was replaced since it was opened"):
        old.compute()
    plain = xr.open_zarr(url, consolidated=False, storage_options=s3)
    assert (plain.score == fx.open_result(url, **options).values).all()


def test_s3__a_recording_comes_back_and_a_lost_shard_is_told(s3):
    import s3fs

    options = {"storage_options": s3}
    ds = fx.testing.audience(n_subjects=2, seconds=4, shape=(8, 6)).chunk(subject=1)
    fx.save(ds, "s3://bucket/r.zarr", **options)
    again = fx.open_recording("s3://bucket/r.zarr", **options)
    assert abs(again.heatmap - ds.heatmap).max() < 0.006
    s3fs.S3FileSystem(**s3).rm("bucket/r.zarr/heatmap/c/1/0/0/0/0")
    (lost,) = fx.verify("s3://bucket/r.zarr", **options)
    assert (lost.array, lost.what, lost.index) == ("heatmap", "lost", (1, 0, 0, 0, 0))
    with pytest.raises(StoreError, match="has lost the file"):
        again.heatmap.compute()
    with pytest.raises(StoreError, match=r"'heatmap' has 1 of 2 files"):
        fx.open_recording("s3://bucket/r.zarr", **options)


def test_icechunk__on_s3_replaces_what_it_reads(s3):
    icechunk = pytest.importorskip("icechunk")
    storage = icechunk.s3_storage(
        bucket="bucket", prefix="ice", region="us-east-1", endpoint_url=s3["endpoint_url"],
        access_key_id="key", secret_access_key="secret", allow_http=True, force_path_style=True,
    )  # fmt: skip
    repository = icechunk.Repository.create(storage)
    fx.save(score(), repository.writable_session("main"), message="first")
    old = fx.open_result(repository.readonly_session("main"))
    fx.save(old + 1, repository.writable_session("main"), mode="w", message="second")
    assert (values(repository.readonly_session("main")) == 1).all()
    assert (old.values == np.arange(40)).all()  # a version stays


@pytest.mark.parametrize("kind", [dict, zarr.storage.MemoryStore])
def test_memory__lost_chunk_and_changed_metadata_are_told(kind):
    store = kind()
    fx.save(score(), store)
    lazy = fx.open_result(store)
    held = store if kind is dict else store._store_dict
    del held["score/c/0"]
    with pytest.raises(StoreError, match="lost the file 'score/c/0'"):
        lazy.compute()
    assert [d.index for d in fx.verify(store)] == [(0,)]
    objects.write(
        zarr.storage.MemoryStore(held),
        "score/zarr.json",
        objects.read(zarr.storage.MemoryStore(held), "score/zarr.json") + b" ",
    )
    assert "score/zarr.json" in [d.file for d in fx.verify(store)]  # fmt: skip


class Dead(Exception):
    """Nothing can be written or removed any more."""


def failing(block):
    raise RuntimeError("no more power")


def test_replacement__that_fails_leaves_the_old_result_and_nothing_else():
    store = {}
    fx.save(score(), store)
    before = set(store)
    with pytest.raises(RuntimeError, match="power"):
        fx.save(
            score().copy(data=score().data.map_blocks(failing, meta=np.empty(0))),
            store,
            mode="w",
        )
    assert set(store) == before
    assert (values(store) == 0).all()


def test_replacement__is_whole_after_each_step(monkeypatch):
    """Killed after any object that is written or removed: the old result, or the new one."""
    with dask.config.set(scheduler="synchronous"):
        first = {}
        fx.save(score(), first)
        found, k = set(), 0
        while True:
            store, left = dict(first), threading.Semaphore(k)

            class Dies(zarr.storage.MemoryStore):
                async def set(self, key, value, byte_range=None, left=left):
                    if not left.acquire(blocking=False):
                        raise Dead
                    await super().set(key, value, byte_range)

                async def delete(self, key, left=left):
                    if not left.acquire(blocking=False):
                        raise Dead
                    await super().delete(key)

            done = False
            try:
                fx.save(score(1), Dies(store), mode="w")
                done = True
            except Dead:
                pass
            got = set(values(store))
            assert got in ({0.0}, {1.0}), k
            found |= got
            fx.save(score(2), store, mode="w")  # the next writer sweeps
            assert set(values(store)) == {2.0}
            assert not [key for key in store if key.startswith(".fhemb")], k
            k += 5
            if done:
                break
    assert found == {0.0, 1.0}


def test_replacement__leaves_the_staging_of_a_living_writer_alone():
    store = {}
    fx.save(score(), store)
    held = zarr.storage.MemoryStore(store)
    with replacement.staged(held, replace=True) as path:
        objects.write(held, f"{path}/score/c/0", b"1")
        fx.save(score(1), store, mode="w")
        assert f"{path}/score/c/0" in store
    assert (values(store) == 1).all()


def test_zip__is_read_and_not_written(tmp_path):
    fx.save(score(), tmp_path / "a.zarr")
    shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    path = tmp_path / "a.zarr.zip"
    assert (values(path) == 0).all()
    assert fx.verify(path) == []
    for store in (path, zarr.storage.ZipStore(tmp_path / "b.zip", mode="w")):
        with pytest.raises(StoreError, match=r"save to a folder.*make_archive"):
            fx.save(score(), store, mode="w")


def test_read_only__is_refused_and_stays(tmp_path):
    fx.save(score(), tmp_path / "a.zarr")
    store = zarr.storage.LocalStore(tmp_path / "a.zarr", read_only=True)
    with pytest.raises(StoreError, match="read-only"):
        fx.save(score(1), store, mode="w")
    assert (values(tmp_path / "a.zarr") == 0).all()


def test_storage_options__without_an_address_are_refused(tmp_path):
    fx.save(score(), tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="belong to an address"):
        fx.open_result(tmp_path / "a.zarr", storage_options={"key": "k"})
    with pytest.raises(ValueError, match="belong to an address"):
        fx.save(score(), {}, storage_options={"key": "k"})
