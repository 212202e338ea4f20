"""Windows and macOS, simulated: calls that are missing there are missing, others fail."""

import ctypes
import errno
import fcntl
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import windows
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files, locks, owners, systems
from ingest.run import ingest
from ingest.stacks import StackSource


@pytest.fixture
def on_windows(monkeypatch):
    monkeypatch.setattr(systems, "PAUSES_S", (0.01, 0.05, 0.2))
    return windows.simulate(monkeypatch)


@pytest.fixture
def on_macos(monkeypatch):
    """macOS; the files that were synced out of the disk's cache."""
    emptied, real = [], fcntl.fcntl

    def control(fd, command, *args):
        if command == 51:
            emptied.append(os.fstat(fd).st_ino)
            return 0
        return real(fd, command, *args)

    class System:
        """A C library that exchanges as macOS does."""

        def __init__(self, *_, **__):
            self.renamex_np = lambda a, b, flag: LINUX.renameat2(-100, a, -100, b, flag)

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(systems, "ctypes", types.SimpleNamespace(CDLL=System))
    monkeypatch.setattr(systems, "MACOS", True)
    monkeypatch.setattr(systems, "LINUX", False)
    return emptied


LINUX = ctypes.CDLL(None)


def one(value=1.0):
    return xr.DataArray(np.full((2, 4), value), dims=("k", "t"), name="one").chunk(k=1)


def write(folder, n):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    faces = {f"subj{w}": rng.normal(33, 2, (20, 4, 3)).astype("f4")[:n] for w in (40, 41)}
    np.savez(folder / "opera.npz", **faces)
    return StackSource(folder)


def life_of_a_store(place):
    """Write, resume, replace, verify, append to, and forget; return what is left."""
    fx.save(one(), place / "a.zarr")
    fx.save(fx.open_result(place / "a.zarr") + 1, place / "a.zarr", mode="w")
    fx.save(fx.open_result(place / "a.zarr") * 2, place / "a.zarr", mode="w", resume=True)
    assert float(fx.open_result(place / "a.zarr").mean()) == 4
    options = {"shard_frames": 10, "workers": 1, "grid": (4, 3)}
    ingest(write(place / "in", 15), place / "r.zarr", **options)
    ingest(write(place / "in", 20), place / "r.zarr", append=True, **options)
    assert fx.open_recording(place / "r.zarr").sizes["time"] == 20
    fx.forget("41", place / "r.zarr")
    assert fx.open_recording(place / "r.zarr").subject.values.tolist() == [40]
    assert fx.verify(place / "r.zarr") == fx.verify(place / "a.zarr") == []
    return sorted(p.name for p in place.iterdir())


def test_windows__stores_live_their_whole_life(tmp_path, on_windows):
    assert life_of_a_store(tmp_path) == ["a.zarr", "in", "r.zarr"]
    assert on_windows.synced > 50


def test_windows__waits_while_a_reader_has_a_file_open(tmp_path, on_windows, monkeypatch):
    fx.save(one(), tmp_path / "a.zarr")
    reader = (tmp_path / "a.zarr/one/zarr.json").open("rb")
    pauses = types.SimpleNamespace(sleep=lambda _: reader.close())
    monkeypatch.setattr(systems, "time", pauses)
    fx.save(one(2.0), tmp_path / "a.zarr", mode="w")
    assert float(fx.open_result(tmp_path / "a.zarr").mean()) == 2
    with (
        (tmp_path / "a.zarr/one/zarr.json").open("rb"),
        pytest.raises(PermissionError, match="a program has a file open there: close it"),
    ):
        fx.save(one(3.0), tmp_path / "a.zarr", mode="w")
    assert float(fx.open_result(tmp_path / "a.zarr").mean()) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_windows__names_the_writer_who_holds_the_lock(tmp_path, on_windows):
    with locks.locked(tmp_path / "a.zarr"):
        with pytest.raises(StoreError, match=f"is being written by process {os.getpid()}: "):
            fx.save(one(), tmp_path / "a.zarr")
        assert (tmp_path / ".a.zarr.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_windows__refuses_a_path_that_is_too_long_for_it(tmp_path, monkeypatch):
    place = tmp_path / ("f" * 80) / ("g" * 80) / "a.zarr"
    with monkeypatch.context() as patch:
        windows.simulate(patch)
        with pytest.raises(StoreError, match=r"this Windows takes 259 .* nearer to the root"):
            fx.save(one(), place)
    with monkeypatch.context() as patch:
        windows.simulate(patch, long_paths=True)
        fx.save(one(), place)


@pytest.mark.parametrize("system", ["on_windows", "on_macos"])
def test_sweep__knows_the_dead_of_every_system(tmp_path, request, system):
    request.getfixturevalue(system)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        owner = owners.me() | {"pid": other.pid, "started": systems.started(other.pid)}
        assert owner["started"] not in ("", owners.me()["started"])
        assert not owners.is_dead(owner, 0)
        assert owners.is_dead(owner | {"started": "1.0"}, 0)  # another one of an earlier boot
        other.communicate(b"\n")
    assert owners.is_dead(owner, 0)
    aside = tmp_path / ".a.zarr.0123abcd.staging"
    aside.mkdir()
    owners.file_of(aside).write_text(json.dumps(owner))
    fx.save(one(), tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_macos__stores_live_their_whole_life(tmp_path, on_macos):
    assert life_of_a_store(tmp_path) == ["a.zarr", "in", "r.zarr"]


def test_macos__empties_the_cache_of_the_disk(tmp_path, on_macos):
    fx.save(one(), tmp_path / "a.zarr")
    inside = [tmp_path / "a.zarr", *(tmp_path / "a.zarr").rglob("*"), tmp_path]
    assert {p.stat().st_ino for p in inside} <= {*on_macos}


def test_macos__syncs_what_a_foreign_disk_cannot_empty(tmp_path, on_macos, monkeypatch):
    def refuse(fd, command, *_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    synced, sync = [], os.fsync
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), sync(fd)))
    fx.save(one(), tmp_path / "a.zarr")
    assert len(synced) > 5


def test_macos__exchanges_in_one_step(tmp_path, on_macos, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    monkeypatch.setattr(os, "rename", None)
    atomic_files.publish(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b/a").exists()
    assert (tmp_path / "a/b").exists()


def test_save__succeeds_where_the_old_folder_cannot_be_moved_back(tmp_path, monkeypatch):
    path, real = tmp_path / "a.zarr", systems.rename
    fx.save(one(), path)

    def rename(source, target):
        if source.suffix == ".old":
            raise PermissionError(errno.EACCES, "a reader has a file of the folder open")
        real(source, target)

    with monkeypatch.context() as patch:  # a disk that cannot exchange
        patch.setattr(systems, "exchanged", lambda a, b: False)
        patch.setattr(systems, "rename", rename)
        fx.save(one(2.0), path, mode="w")
    assert float(fx.open_result(path).max()) == 2
    assert atomic_files.leavings(path) == []
