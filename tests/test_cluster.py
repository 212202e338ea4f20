"""Worker processes: who reaches them, what they may hold, what happens when they die."""

import contextlib
import gc
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import wait
from hypothesis import given
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr import budget, cluster
from fhemb_xr.errors import BudgetError, ClusterError
from fhemb_xr.io.local import preflight
from fhemb_xr.options import options

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch:
        for name in cluster.ALLOCATOR:  # nannies that start at once leave dask's own behind
            patch.delenv(name, raising=False)
        with fx.local_cluster(2, memory_limit="1GiB") as client:
            yield client


def pids(client):
    return [w["pid"] for w in client.run(lambda dask_worker: {"pid": os.getpid()}).values()]


def slow_mean(block, seconds):
    time.sleep(seconds)
    return block.mean(axis=(-2, -1), keepdims=True)


def slow(seconds=0.1, chunks=40):
    """An embedding of ``chunks`` pieces, each of which takes a while."""
    data = da.random.default_rng(5).normal(33, 2, (chunks, 50, 6, 6), chunks=(1, 50, 6, 6))
    mean = data.map_blocks(slow_mean, seconds, chunks=(1, 50, 1, 1), dtype="f8")
    return xr.DataArray(mean[..., 0, 0], dims=("subject", "time"), name="mean")


def test_local_cluster__listens_on_loopback_only(client):
    me = psutil.Process()
    heard = [
        c.laddr.ip
        for process in [me, *me.children(recursive=True)]
        for c in process.net_connections(kind="inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert len(heard) >= 4  # scheduler, dashboard, two workers
    assert set(heard) <= {"127.0.0.1", "::1"}
    assert client.dashboard_link.startswith("http://127.0.0.1:")


def test_local_cluster__keeps_what_it_spills_to_itself(client):
    place = Path(tempfile.gettempdir())
    mine = [p for p in place.glob("fhemb-scratch-*") if p not in cluster.leftovers()]
    folders = client.run(lambda dask_worker: dask_worker.local_directory)
    for folder in map(Path, folders.values()):
        top = next(p for p in mine if p in folder.parents)
        assert top.stat().st_mode & 0o777 == 0o700


def test_local_cluster__leaves_the_configuration_alone(client):
    assert dask.config.get("distributed.scheduler.no-workers-timeout") is None
    assert client.cluster.scheduler.no_workers_timeout == cluster.NO_WORKERS_S
    assert options.budget == 2**29  # half of 1 GiB


def test_local_cluster__removes_its_folder_and_those_of_the_dead(tmp_path):
    dead = tmp_path / "fhemb-scratch-dead"
    dead.mkdir()
    (dead / "lock").touch()  # and nobody holds it
    (dead / "face").write_text("a piece")
    other = tmp_path / "fhemb-scratch-of-something-else"
    other.mkdir()
    assert cluster.leftovers(tmp_path) == [dead]
    with cluster._private_folder(tmp_path) as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, other])
        assert cluster.leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("asked", [{"n_workers": 0}, {"threads_per_worker": 0}])
def test_local_cluster__has_a_worker(asked):
    with pytest.raises(ValueError, match="at least one process"), fx.local_cluster(**asked):
        pass


def test_save__of_chunks_larger_than_the_workers_is_refused_with_the_numbers(client, tmp_path):
    long = da.zeros((1, 100_000, 64, 48), chunks=-1, dtype="f4")
    lazy = xr.DataArray(long, dims=("subject", "time", "y", "x"), name="heatmap")
    with pytest.raises(BudgetError, match=r"needs about .*GiB.*a worker has 512 MiB") as caught:
        fx.save(lazy, tmp_path / "b.zarr")
    assert "chunks={'time': 10922}" in str(caught.value)
    assert not (tmp_path / "b.zarr").exists()


def test_save__tries_a_task_again_whose_share_stutters(client, tmp_path):
    flag = tmp_path / "seen"

    def stutter(block):
        if not flag.exists():
            flag.touch()
            raise OSError(5, "Input/output error")
        return block

    data = da.ones((2, 4), chunks=(2, 4)).map_blocks(stutter, meta=np.empty((0, 0)))
    x = xr.DataArray(data, name="x")
    fx.save(x, tmp_path / "a.zarr")
    assert (fx.open_result(tmp_path / "a.zarr") == 1).all()


def test_save__by_worker_processes_gives_the_same_values(client, tmp_path):
    ds = fx.testing.audience(3, 20, shape=(12, 10), faceless=[41], chunk_frames=200)
    fx.save(ds, tmp_path / "a.zarr")
    with dask.config.set(scheduler="threads"):
        found, expected = fx.open_recording(tmp_path / "a.zarr").load(), ds.load()
    np.testing.assert_allclose(found.heatmap, expected.heatmap, atol=0.00501)


def test_save__by_worker_processes_over_itself(client, tmp_path):
    path = tmp_path / "a.zarr"
    x = xr.DataArray(da.ones((8, 3000), chunks=(1, 500)), dims=("subject", "time"), name="x")
    fx.save(x, path)
    fx.save(fx.open_result(path) + 1, path, mode="w")
    assert (fx.open_result(path) == 2).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


@pytest.fixture
def no_collection():
    """Distributed listens to the collector, and CPython drops an interrupt that falls there."""
    gc.disable()
    yield
    gc.enable()


def test_save__stopped_by_ctrl_c_leaves_nothing_running(client, tmp_path, no_collection):
    main = threading.main_thread().ident
    threading.Timer(0.7, signal.pthread_kill, (main, signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fx.save(slow(0.2, 200), tmp_path / "a.zarr")  # 20 s of work
    assert time.monotonic() - started < 8
    scheduler = client.cluster.scheduler
    until = time.monotonic() + 5
    while scheduler.tasks and time.monotonic() < until:
        time.sleep(0.05)
    assert not scheduler.tasks
    assert list(tmp_path.iterdir()) == []


def test_save__with_every_worker_killed_is_the_same_bit_for_bit(client, tmp_path):
    work = slow()
    with dask.config.set(scheduler="threads"):
        expected = slow(0).compute()
    victims = pids(client)
    timers = [
        threading.Timer(0.4 + 0.4 * i, os.kill, (pid, signal.SIGKILL))
        for i, pid in enumerate(victims)
    ]
    for timer in timers:
        timer.start()
    fx.save(work, tmp_path / "a.zarr")
    assert not set(victims) & {p.pid for p in psutil.process_iter()}
    xr.testing.assert_equal(fx.open_result(tmp_path / "a.zarr").compute(), expected)
    assert not list(tmp_path.rglob("*.partial"))


def die(block):
    os._exit(3)


def test_save__of_a_task_that_kills_its_workers_names_it_and_the_next_one_works(
    client, tmp_path, monkeypatch
):
    scheduler = client.cluster.scheduler
    assert scheduler.allowed_failures == cluster.DEATHS
    monkeypatch.setattr(scheduler, "allowed_failures", 1)  # each death costs a new worker
    data = da.ones((2, 4), chunks=(1, 4)).map_blocks(die, meta=np.empty((0, 0)))
    bad = xr.DataArray(data, name="x")
    with pytest.raises(ClusterError, match=r"2 workers died of the task '[\w-]+'") as caught:
        fx.save(bad, tmp_path / "bad.zarr")
    assert caught.value.__context__ is None
    assert list(tmp_path.iterdir()) == []
    fx.save(slow(0, 4), tmp_path / "good.zarr")
    client.wait_for_workers(2, timeout=60)


def pause_at(fraction, dask_worker):
    dask_worker.memory_manager.memory_pause_fraction = fraction


def test_save__by_workers_that_pause_for_ever_says_why(client, tmp_path, monkeypatch):
    monkeypatch.setattr(client.cluster.scheduler, "no_workers_timeout", 1)
    client.run(pause_at, 0.001)
    while any(w["status"] != "paused" for w in client.scheduler_info()["workers"].values()):
        time.sleep(0.05)
    x = xr.DataArray(da.arange(4, chunks=1), dims="time", name="x")
    try:
        with pytest.raises(ClusterError, match=r"all workers \(2\) paused .* fx.warm\(\)"):
            fx.save(x, tmp_path / "x.zarr")
    finally:
        client.run(pause_at, 0.8)
    fx.save(x, tmp_path / "x.zarr")


def waits_until_paused(block):
    from distributed import get_worker

    while get_worker().status.name != "paused":
        time.sleep(0.02)
    time.sleep(2.0)  # it ends in time, though its worker takes no other task
    return block


def test_save__by_workers_that_pause_with_tasks_of_theirs_says_why(
    client, tmp_path, monkeypatch
):
    monkeypatch.setattr(preflight, "NO_WORKERS_S", 1)
    x = da.arange(40, chunks=1).map_blocks(waits_until_paused, dtype="i8")
    threading.Timer(2.0, client.run, (pause_at, 0.001)).start()
    try:
        with pytest.raises(ClusterError, match=r"all workers \(2\) paused for 1 s, .* fx.warm"):
            fx.save(xr.DataArray(x, dims="time", name="x"), tmp_path / "x.zarr")
    finally:
        client.run(pause_at, 0.8)
    fx.save(xr.DataArray(da.arange(4), dims="time", name="x"), tmp_path / "x.zarr")


def test_preflight__asks_the_successor_of_a_worker_that_ends_meanwhile(client, tmp_path):
    def end():
        threading.Timer(0.02, os._exit, (3,)).start()

    for _ in range(3):
        client.wait_for_workers(2, timeout=60)
        ending = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
        client.run(end, workers=[ending], on_error="ignore")
        preflight.require(client, tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def nothing(block):
    raise AssertionError("computed")


@given(
    chunk=st.tuples(st.integers(1, 5000), st.integers(1, 90)),
    allowed=st.integers(1_000, 10_000_000),
)
def test_plan__proposes_a_chunk_that_fits(chunk, allowed):
    whole = da.zeros((chunk[0] * 2, chunk[1]), chunks=chunk, dtype="f4")
    pieces = whole.map_blocks(nothing, meta=np.empty((0, 0), "f4"))
    lazy = xr.Dataset({"x": (("time", "p"), pieces)})
    needed = budget.COPIES * 4 * chunk[0] * chunk[1]
    if needed <= allowed:
        budget.require_fit(lazy, allowed)
        return
    with pytest.raises(BudgetError) as caught:
        budget.require_fit(lazy, allowed)
    fits = int(str(caught.value).split("'time': ")[1].split("}")[0])
    if fits > 1:
        longest = "time" if chunk[0] >= chunk[1] else "p"
        budget.require_fit(lazy.chunk({longest: fits}), allowed)


def test_plan__sees_the_chunks_that_are_read(tmp_path):
    with dask.config.set(scheduler="threads"):
        fx.save(fx.testing.audience(n_subjects=1, seconds=8), tmp_path / "a.zarr")
    ds = fx.open_recording(tmp_path / "a.zarr", chunks={"time": -1})
    emb = fx.embed(ds, ["mean"], threshold=25).to_dataset(name="x")
    frames = ds.heatmap.nbytes
    budget.require_fit(emb, budget.COPIES * frames)
    with pytest.raises(BudgetError, match="a chunk of 1 x 1 x 200 x"):
        budget.require_fit(emb, budget.COPIES * frames - 1)


def test_plan__without_workers_allows_everything(monkeypatch):
    with contextlib.suppress(KeyError):
        monkeypatch.delitem(sys.modules, "distributed")
    assert budget.worker_share() is None


SOME_WORK = {
    "features": lambda h: fx.features(h, ["mean", "p5", "skew"], threshold=25),
    "moments": fx.moments,
    "pca": lambda h: fx.pca(h, 2),
    "bands": lambda h: fx.wavelet_filter(fx.features(h, ["mean"]), [1], level=3),
    "pairwise": lambda h: fx.pairwise(fx.features(h, ["mean"]), "dtw"),
}


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SOME_WORK)
def test_results__are_the_same_whoever_is_killed(client, tmp_path, name):
    heat = fx.testing.audience(n_subjects=6, seconds=120, shape=(40, 30)).heatmap
    with dask.config.set(scheduler="threads"):
        expected = SOME_WORK[name](heat).compute()
    rng = np.random.default_rng(1)
    for trial in range(3):
        client.wait_for_workers(2, timeout=60)
        victim = int(rng.choice(pids(client)))
        threading.Timer(rng.uniform(0.05, 2), os.kill, (victim, signal.SIGKILL)).start()
        store = tmp_path / f"{trial}.zarr"
        fx.save(SOME_WORK[name](heat), store)
        xr.testing.assert_identical(fx.open_result(store).drop_attrs(), expected.drop_attrs())
        time.sleep(2)


def greedy(block):
    return np.ones(2**28)[:4] + block  # 2 GiB, touched


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_save__of_a_task_over_the_memory_limit_ends_with_an_error(client, tmp_path):
    data = da.ones(4, chunks=4).map_blocks(greedy, meta=np.empty(0))
    bad = xr.DataArray(data, name="x")
    with pytest.raises(ClusterError, match="want of memory"):
        fx.save(bad, tmp_path / "a.zarr")
    client.wait_for_workers(2, timeout=60)
    fx.save(slow(0, 4), tmp_path / "good.zarr")


def test_local_cluster__keeps_the_memory_that_arrays_let_go(client):
    def setting():
        return [os.environ.get(name) for name in cluster.ALLOCATOR]

    assert set(map(tuple, client.run(setting).values())) == {(str(2**26),) * 2}
    assert dask.config.get("distributed.nanny.pre-spawn-environ") != cluster.ALLOCATOR


def test_local_cluster__has_no_worker_that_is_paused_for_ever_by_memory_that_is_free(client):
    worker = next(iter(client.scheduler_info()["workers"]))

    def in_pieces():  # what is free lies between what is not
        large, small = [], []
        while resident() < 0.86 * 2**30:
            large.append(np.ones(2**20))
            small.append(np.ones(100))
        return small

    def resident():
        return psutil.Process().memory_info().rss

    kept = client.submit(in_pieces, workers=[worker], pure=False)
    wait(kept, timeout=60)
    after = client.submit(os.getpid, workers=[worker], pure=False)
    assert after.result(timeout=30)
    assert client.run(resident, workers=[worker])[worker] < 0.8 * 2**30
