"""Workers that cannot do the work are found before it begins."""

import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import fhemb_xr as fx
from fhemb_xr.errors import ClusterError, StoreError
from fhemb_xr.io import chunk_writer
from fhemb_xr.io.local import preflight, sources

pytestmark = pytest.mark.cluster
HERE = {"processes": False, "dashboard_address": "127.0.0.1:0"}
NONE = {"version": fx.__version__, "sees": True, "writes": True, "absent": []}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **HERE) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def lazy():
    return xr.DataArray(da.arange(40, chunks=10, dtype="f8"), dims="k", name="score")


def test_preflight__passes_a_worker_that_sees_everything(client, tmp_path):
    preflight.require(client, tmp_path, [tmp_path])
    assert list(tmp_path.iterdir()) == []  # the token is gone


def test_preflight__names_the_worker_that_lacks_a_source(client, tmp_path):
    with pytest.raises(ClusterError, match=r"worker .* does not see the store .*gone.zarr"):
        preflight.require(client, tmp_path, [tmp_path / "gone.zarr"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "ModuleNotFoundError: fhemb_xr"}, "cannot import fhemb_xr"),
        (NONE | {"version": "0.0.1"}, "has fhemb_xr 0.0.1"),
        (NONE | {"sees": False}, "share"),
        (NONE | {"writes": False}, "may not"),
        (OSError("closed"), "does not answer"),
    ],
)
def test_preflight__says_what_a_worker_lacks(answer, words, tmp_path):
    assert words in str(preflight._fault(answer, tmp_path / "staging"))


def test_preflight__asks_with_a_function_that_needs_no_library(tmp_path):
    from distributed.protocol.pickle import dumps

    (tmp_path / "question").write_bytes(dumps(preflight._question()))
    # the worker finds no fhemb_xr: what it is asked must be readable all the same
    code = (
        "import sys, pickle; sys.modules['fhemb_xr'] = None\n"
        f"look = pickle.load(open({str(tmp_path / 'question')!r}, 'rb'))\n"
        "print(look(None, [], 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "error" in done.stdout, done.stderr


def test_compute__without_workers_says_so(tmp_path):
    with (
        LocalCluster(n_workers=0, **HERE) as cluster,
        Client(cluster),
        dask.config.set({"distributed.scheduler.no-workers-timeout": "1s"}),
        pytest.raises(ClusterError, match=r"no workers for 1 s.*resume=True"),
    ):
        fx.save(lazy(), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_sources__are_the_stores_that_the_tasks_read(tmp_path):
    fx.save(lazy(), tmp_path / "a.zarr")
    found = fx.open_result(tmp_path / "a.zarr")
    assert sources.folders(found + 1) == [(tmp_path / "a.zarr").resolve()]
    assert sources.uuids((found * 2).mean()) == [found.attrs["fhemb_uuid"]]
    assert sources.stores(lazy()) == []


def test_save__of_chunks_that_went_elsewhere_is_an_error_and_keeps_the_old(
    tmp_path, monkeypatch
):
    ds = fx.testing.audience(n_subjects=1, seconds=4, shape=(8, 6)).chunk(time=50)
    fx.save(ds, tmp_path / "r.zarr")
    uuid = fx.open_recording(tmp_path / "r.zarr").attrs["fhemb_uuid"]
    # a worker with another disk: it says "written", and the chunk is not here
    monkeypatch.setattr(
        chunk_writer.Target, "write", lambda self, block, index: self.name == "heatmap"
    )
    with pytest.raises(StoreError, match="'heatmap' has 0 of 1 chunks after writing"):
        fx.save(ds, tmp_path / "r.zarr", mode="w")
    assert fx.open_recording(tmp_path / "r.zarr").attrs["fhemb_uuid"] == uuid


def test_save__of_frames_that_are_all_missing_writes_no_file_and_is_sound(tmp_path):
    ds = fx.testing.audience(n_subjects=2, seconds=4, shape=(8, 6)).chunk(subject=1)
    empty = ds.assign(heatmap=ds.heatmap.where(ds.subject == ds.subject[0]))
    fx.save(empty, tmp_path / "r.zarr")
    again = fx.open_recording(tmp_path / "r.zarr")
    assert not (tmp_path / "r.zarr/heatmap/c/1").exists()
    assert np.isnan(again.heatmap[1]).all()
    assert fx.verify(tmp_path / "r.zarr") == []
