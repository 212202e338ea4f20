"""Saving under fire: crashes at every step, full disks, two writers, odd places and names."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from crash_points import Power, SimulatedCrash

import fhemb_xr
from fhemb_xr.errors import StoreError
from fhemb_xr.io import encoding, preparation
from fhemb_xr.io.local import atomic_files, locks, systems
from fhemb_xr.io.recording import open_recording, open_result
from fhemb_xr.io.store import save
from fhemb_xr.testing import audience


@pytest.fixture
def one_by_one():
    """Operations always in the same number and order."""
    with (
        dask.config.set(scheduler="synchronous"),
        zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1}),
    ):
        yield


def whole(path):
    """The one value of a store that was written whole."""
    found = open_result(path).compute()
    assert found.min() == found.max(), "torn"
    return found.min().item()


def array(value):
    data = np.full((2, 6), float(value))
    return xr.DataArray(data, dims=("subject", "time"), name="x").chunk(subject=1)


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("exchange", [True, False])
def test_save__crashed_at_any_operation_leaves_old_or_new(tmp_path, monkeypatch, exchange):
    path = tmp_path / "x.zarr"
    if not exchange:
        monkeypatch.setattr(systems, "exchanged", lambda *_: False)
    save(array(0), path)
    with monkeypatch.context() as patch:
        power = Power(patch)
        save(array(0), path, mode="w")
    outcomes = {"old": 0, "new": 0, "away": 0}
    value = 0
    # without an exchange only the end differs
    for k in range(0 if exchange else power.n - 40, power.n + 1):
        with monkeypatch.context() as patch:
            Power(patch, k)
            with contextlib.suppress(SimulatedCrash):
                save(array(k + 1), path, mode="w")
        if not path.exists():
            with pytest.raises(StoreError, match="its writer died"):
                open_result(path)
            outcomes["away"] += 1
        atomic_files.sweep(path)  # as the next writer does first
        old, value = value, whole(path)
        assert value in (old, k + 1)
        outcomes["old" if value == old else "new"] += 1
    save(array(0), path, mode="w")
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]
    assert power.n > 40
    assert outcomes["old"] > 10
    assert outcomes["new"] > 3
    # between the two renames of systems that cannot exchange
    assert outcomes["away"] == (0 if exchange else 1)


def test_save__crashed_at_any_operation_leaves_nothing_or_all_of_a_new_store(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        power = Power(patch)
        save(array(1), tmp_path / "x.zarr")
    for k in range(0, power.n, 4):
        path = tmp_path / f"{k}" / "x.zarr"
        with monkeypatch.context() as patch:
            Power(patch, k)
            with pytest.raises(SimulatedCrash):
                save(array(1), path)
        if path.exists():
            assert whole(path) == 1
        else:
            save(array(2), path)
            assert whole(path) == 2
            assert [p.name for p in path.parent.iterdir()] == ["x.zarr"]


KILLED = """
import os, sys
import numpy as np, xarray as xr
from fhemb_xr.io.store import save
x = xr.DataArray(np.full((40, 600), 1.0), dims=("subject", "time"), name="x").chunk(subject=1)
for _ in sys.stdin:  # the imports once: each victim is a fork of this process
    child = os.fork()
    while not child:
        save(x, sys.argv[1], mode="w")
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


@pytest.mark.slow
def test_save__killed_for_real_leaves_old_or_new(tmp_path):
    path = tmp_path / "x.zarr"
    save(array(0), path)
    rng = np.random.default_rng(0)
    command = [sys.executable, "-c", KILLED, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, bufsize=1, **pipes) as parent:
        for _ in range(5):
            parent.stdin.write("go\n")
            victim = int(parent.stdout.readline())
            time.sleep(rng.uniform(0.1, 1.5))
            os.kill(victim, signal.SIGKILL)
            assert parent.stdout.readline() == "dead\n"
            assert whole(path) in (0, 1)
            save(array(0), path, mode="w")
            assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]
        parent.stdin.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["compute", "fsync", "publish"])
def test_save__stopped_removes_its_staging_and_keeps_the_old(
    tmp_path, monkeypatch, error, step
):
    def stop(*_):
        raise error

    x = array(1)
    save(array(0), tmp_path / "x.zarr")
    if step == "compute":
        x = x.copy(data=x.data.map_blocks(stop, dtype=x.dtype, meta=np.empty((0, 0))))
    else:
        module, name = {"fsync": (os, "fsync"), "publish": (atomic_files, "publish")}[step]
        monkeypatch.setattr(module, name, stop)
    with pytest.raises(type(error)):
        save(x, tmp_path / "x.zarr", mode="w")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]
    assert whole(tmp_path / "x.zarr") == 0


def test_save__that_was_stopped_gets_no_chunk_from_a_task_that_ends_later(tmp_path):
    ended = threading.Event()

    def late(block, block_info=None):
        (place,) = block_info[None]["chunk-location"]
        while place == 1 and not [*tmp_path.glob(".x.zarr*/x/c/0")]:
            time.sleep(0.001)
        if place == 1:
            raise RuntimeError("stop")
        if place == 2:
            ended.wait(30)
        return block

    x = xr.DataArray(da.ones(3, chunks=1).map_blocks(late, dtype=float), dims="k", name="x")
    with ThreadPoolExecutor(3) as pool:
        with dask.config.set(pool=pool), pytest.raises(RuntimeError, match="stop"):
            save(x, tmp_path / "x.zarr")
        ended.set()
    assert [*tmp_path.iterdir()] == []


def test_save__syncs_every_file_and_folder_before_it_appears(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.fstat(fd).st_ino), sync(fd))[1])
    monkeypatch.setattr(os, "rename", lambda *a: (done.append("rename"), rename(*a))[1])
    save(array(0), tmp_path / "x.zarr")
    before = set(done[: done.index("rename")])
    inside = [tmp_path / "x.zarr", *(tmp_path / "x.zarr").rglob("*")]
    assert {p.stat().st_ino for p in inside} <= before
    assert done[-1] == tmp_path.stat().st_ino


def test_sweep__leaves_the_staging_of_other_stores(tmp_path):
    mine = [".a.01234567.staging", ".a.89abcdef.old", ".a.01234567.resume"]
    mine += ["..a.01234567.resume.89abcdef.staging"]
    others = [".a.zarr.01234567.staging", ".b.01234567.staging", ".a.x.staging", ".a[1].zarr"]
    for name in (*mine, *others, "a"):
        (tmp_path / name).mkdir()
    atomic_files.sweep(tmp_path / "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, "a"])


def test_sweep__puts_back_a_store_that_was_half_exchanged(tmp_path):
    old = tmp_path / ".a.01234567.old"
    old.mkdir()
    (old / "zarr.json").touch()
    atomic_files.sweep(tmp_path / "a")
    assert (tmp_path / "a" / "zarr.json").exists()
    assert not old.exists()


WRITERS = """
import os, sys, time
import dask.array as da, numpy as np, xarray as xr
from fhemb_xr.errors import StoreError
from fhemb_xr.io.store import save
def slow(x):
    time.sleep(1)
    return x
for value in (1.0, 2.0):
    if os.fork():
        continue
    data = da.full((2, 6), value).map_blocks(slow, dtype=float, meta=np.empty((0, 0)))
    try:
        save(xr.DataArray(data, dims=("subject", "time"), name="x"), sys.argv[1])
        said = "saved"
    except StoreError as error:
        said = error
    print(os.getpid(), value, said, flush=True)
    os._exit(0)
os.wait(), os.wait()
"""


def test_save__by_two_processes_at_once_refuses_one(tmp_path):
    path = tmp_path / "x.zarr"
    told = subprocess.check_output([sys.executable, "-c", WRITERS, path], text=True)
    both = {said: rest for *rest, said in (line.split(" ", 2) for line in told.splitlines())}
    process, value = both.pop("saved")
    assert [*both] == [
        f"'x.zarr' is being written by process {process}: wait for it, or stop it"
    ]
    assert whole(path) == float(value)


def test_lock__lets_many_writers_in_one_after_the_other(tmp_path):
    inside, worst = [], []

    def work():
        for _ in range(20):
            try:
                with locks.locked(tmp_path / "x"):
                    inside.append(1)
                    worst.append(len(inside))
                    time.sleep(0.001)
                    inside.pop()
            except StoreError:
                time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert max(worst) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["w", "w-"])
def test_save__never_replaces_what_is_no_store(tmp_path, mode):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a")
    for name in ("thesis", "file"):
        with pytest.raises(StoreError, match=rf"'{name}' is there and is not a Zarr store"):
            save(array(1), tmp_path / name, mode=mode)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    save(array(1), tmp_path / "empty", mode=mode)
    assert whole(tmp_path / "empty") == 1


def test_save__follows_a_link_and_a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(array(1), "~/real.zarr")
    (tmp_path / "link.zarr").symlink_to(tmp_path / "real.zarr")
    save(array(2), tmp_path / "link.zarr", mode="w")
    assert whole(tmp_path / "real.zarr") == whole(tmp_path / "link.zarr") == 2
    assert (tmp_path / "link.zarr").is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"real.zarr", "link.zarr"}


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (xr.DataArray([0.0], dims="k", name="../x"), r"cannot be stored as '\.\./x'"),
        (xr.Dataset({"a/b": ("k", [0.0])}), "cannot be stored as 'a/b'"),
        (
            xr.DataArray([0.0], dims="k", coords={"__k": ("k", [1])}),
            "cannot be stored as '__k'",
        ),
        (
            xr.DataArray([0.0], dims="k", coords={"k": [1]}, name="k"),
            "name of its coordinate 'k'",
        ),
        (
            xr.DataArray(np.eye(2), dims=("a", "b"), coords={"a": [1, 2], "b": [3, 4]}).stack(
                z=("a", "b")
            ),
            r"'z' has several levels, .* save \.reset_index\('z'\)",
        ),
    ],
)
def test_save__refuses_names_before_any_work(tmp_path, obj, text, computes):
    with pytest.raises(ValueError, match=text), computes(0):
        save(obj.chunk(), tmp_path / "x.zarr")
    assert list(tmp_path.iterdir()) == []


VALUES = {
    "number": xr.DataArray(3.0),
    "lazy number": xr.DataArray(da.ones(())),
    "truth": xr.DataArray(da.array([True, False]), dims="a"),
    "complex": xr.DataArray(np.array([1j, 2]), dims="a"),
    "integers": xr.DataArray(da.array([1, 2], dtype="u1"), dims="a"),
    "missing": xr.DataArray(np.array([np.nan, np.inf, 0], "f4"), dims="a"),
    "time": xr.DataArray(np.array(["2026-01-01T20:00:00.000001", "NaT"], "M8[us]"), dims="a"),
    "lazy time": xr.DataArray(da.array(np.array(["2026-01-01T20:00:01"], "M8[us]")), dims="a"),
    "uneven": xr.DataArray(da.arange(20.0, chunks=((3, 5, 2, 10),)), dims="time"),
    "label": xr.DataArray([1.0], dims="a", coords={"a": ["ç"], "session": "dg"}),
    "lazy label": xr.DataArray([1.0], dims="a", coords={"b": ("a", da.ones(1))}),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_save__keeps_every_value_and_dtype(tmp_path, name):
    x = VALUES[name].rename("x")
    save(x, tmp_path / "x.zarr")
    found = open_result(tmp_path / "x.zarr")
    xr.testing.assert_equal(found.compute(), x.compute())
    assert found.dtype.kind == x.dtype.kind
    assert found.dtype.itemsize == x.dtype.itemsize
    for _, stored in zarr.open_group(tmp_path / "x.zarr").arrays():
        assert stored.metadata.codecs[-1].to_dict()["name"] == "crc32c"


def test_save__keeps_every_bit_of_a_heatmap_that_is_no_recording(tmp_path):
    ds = audience(n_subjects=2, seconds=4, shape=(6, 5))
    cases = {
        "array": ds.heatmap,
        "difference": ds.assign(heatmap=(ds.heatmap - 34).assign_attrs(units="K")),
        "bands": ds.assign(heatmap=ds.heatmap.assign_attrs(fhemb_bands="{}")),
    }
    for name, obj in cases.items():
        save(obj, tmp_path / name)
        found = open_result(tmp_path / name)
        found = found if name == "array" else found.heatmap
        np.testing.assert_array_equal(found, obj if name == "array" else obj.heatmap)


def test_save__refuses_temperatures_that_cannot_be_packed(tmp_path):
    ds = audience(n_subjects=1, seconds=1, shape=(4, 3))
    hot = ds.assign(heatmap=(ds.heatmap + 1000).assign_attrs(ds.heatmap.attrs))
    with pytest.raises(ValueError, match="cannot be packed"):
        save(hot, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_save__of_another_chunking_is_the_same_store(tmp_path):
    ds = audience(n_subjects=2, seconds=9, shape=(6, 5), chunk_frames=37)
    save(ds, tmp_path / "a.zarr")
    save(ds.load(), tmp_path / "b.zarr")
    again = open_recording(tmp_path / "a.zarr").chunk(time=11, subject=2)
    save(again.isel(time=slice(3, None)), tmp_path / "c.zarr")
    a, b, c = (open_recording(tmp_path / f"{n}.zarr") for n in "abc")
    xr.testing.assert_equal(a.compute(), b.compute())
    xr.testing.assert_equal(a.isel(time=slice(3, None)).compute(), c.compute())


def test_save__cuts_what_is_too_long_for_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK_BYTES", 2**12)
    monkeypatch.setattr(preparation, "SHARD_BYTES", 2**14)
    values = np.random.default_rng(0).normal(size=(3, 1, 2251, 4))
    x = xr.DataArray(values, dims=("subject", "session", "time", "feature"), name="x")
    for name, obj in {"a": x, "b": x.chunk(time=700), "c": x.chunk(subject=1, time=-1)}.items():
        save(obj, tmp_path / name)
        np.testing.assert_array_equal(open_result(tmp_path / name), values)
        chunks = zarr.open_group(tmp_path / name)["x"].chunks
        assert np.prod(chunks) * 8 <= 2**12
    assert max(chunks) > 100


def test_save__is_a_public_function():
    assert fhemb_xr.save is save
