"""Disks and shares with habits of their own: mounted for real, or one habit simulated."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
import warnings

import mounts
import numpy as np
import pytest
import xarray as xr
from sshd import sshd

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io import storable
from fhemb_xr.io.local import owners, systems

REAL_SYNC = getattr(sys.modules.get("posix"), "fsync", os.fsync)
MODES = "is on a disk that ignores modes"


def one(value=1.0):
    return xr.DataArray(np.full((2, 4), value), dims=("k", "t"), name="one").chunk(k=1)


@pytest.fixture(autouse=True)
def _synced_for_real(monkeypatch):
    """See conftest.py: here the disks are asked, and some lack the call."""
    monkeypatch.setattr(os, "fsync", REAL_SYNC)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real sshd that lets us in: its port, and our key."""
    paramiko = pytest.importorskip("paramiko")
    mounts.tool("sshfs")
    folder = tmp_path_factory.mktemp("sshd")
    keys = {who: paramiko.RSAKey.generate(2048) for who in ("host", "client")}
    keys["client"].write_private_key_file(str(folder / "key"))
    with sshd(keys, folder) as running:
        yield running.port, folder / "key"


@pytest.fixture(scope="module", params=["exfat", "ntfs", "sshfs"])
def disk(request, tmp_path_factory):
    """A folder of a mounted disk; its kind is ``disk.name``."""
    place = tmp_path_factory.mktemp("mounted")
    if request.param == "sshfs":
        port, key = request.getfixturevalue("server")
        (place / "far").mkdir()
        mount = mounts.sshfs(place / "disk", port, key, place / "far")
    else:
        mount = getattr(mounts, request.param)(place)
    with mount as folder:
        (folder / request.param).mkdir()
        yield folder / request.param


@pytest.fixture
def place(disk):
    """An empty folder of the disk, and what it warns of."""
    folder = disk / os.urandom(4).hex()
    folder.mkdir()
    with warnings.catch_warnings():
        if disk.name != "sshfs":
            warnings.filterwarnings("ignore", f".*{MODES}")
        yield folder


def test_disk__keeps_and_replaces_stores(place):
    ds = fx.testing.audience(2, 2, shape=(6, 5))
    fx.save(ds, place / "r.zarr")
    fx.save(one(), place / "a.zarr")
    fx.save(fx.open_result(place / "a.zarr") + 1, place / "a.zarr", mode="w")
    fx.save(fx.open_result(place / "a.zarr") + 1, place / "a.zarr", mode="w", resume=True)
    assert float(fx.open_result(place / "a.zarr").mean()) == 3
    assert fx.verify(place / "a.zarr") == fx.verify(place / "r.zarr") == []
    found = fx.open_recording(place / "r.zarr").heatmap
    np.testing.assert_allclose(found, ds.heatmap, atol=0.00501)
    assert sorted(p.name for p in place.iterdir()) == ["a.zarr", "r.zarr"]


def test_disk__that_ignores_modes_is_told_of_once_a_save(disk):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fx.save(one(), disk / "modes.zarr")
    assert len([w for w in told if MODES in str(w.message)]) == (disk.name != "sshfs")


def test_disk__that_ignores_case_refuses_names_that_differ_by_it(disk, place):
    ds = xr.Dataset({"mean": ("k", np.ones(3)), "Mean": ("k", np.zeros(3))})
    ignores = disk.name != "sshfs"
    told = pytest.raises(StoreError, match="this disk takes them for one name")
    told = told if ignores else contextlib.nullcontext()
    with pytest.warns(UserWarning, match="differ by case"), told:
        fx.save(ds, place / "a.zarr")
    assert [p.name for p in place.iterdir()] == ([] if ignores else ["a.zarr"])


def test_disk__that_lacks_a_name_says_so(disk, place):
    if disk.name == "sshfs":
        fx.save(one(), place / "a:b.zarr")
        return
    with pytest.raises(StoreError, match="this disk has no such names"):
        fx.save(one(), place / "a:b.zarr")
    assert list(place.iterdir()) == []


def test_disk__that_lost_its_writer_is_tidied_by_the_next(place):
    fx.save(one(), place / "a.zarr")
    aside = place / ".a.zarr.0123abcd.staging"
    shutil.copytree(place / "a.zarr", aside)
    owners.file_of(aside).write_text(json.dumps(owners.me() | {"boot": "an earlier one"}))
    os.rename(place / "a.zarr", place / ".a.zarr.89abcdef.old")  # it died between two renames
    fx.save(one(2.0), place / "a.zarr", mode="w")
    assert float(fx.open_result(place / "a.zarr").mean()) == 2
    assert [p.name for p in place.iterdir()] == ["a.zarr"]


WRITER = """
import sys, dask.array as da, numpy as np, xarray as xr, warnings
from fhemb_xr.io.store import save
warnings.simplefilter("ignore")
def wait(x):
    print("writing", flush=True)
    sys.stdin.readline()
    return x
data = da.full(4, 7.0).map_blocks(wait, dtype=float, meta=np.empty(0))
save(xr.DataArray(data, dims="k", name="one"), sys.argv[1], mode="w")
"""


@contextlib.contextmanager
def writer(path, *before):
    """A process that is in the middle of a save."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [*before, sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"writing\n"
        yield process


def test_share__that_two_machines_mount_has_one_writer(server, tmp_path):
    (tmp_path / "far").mkdir()
    port, key = server
    other = ["unshare", "--uts", "sh", "-c", 'hostname nas-7 && exec "$@"', "sh"]
    with (
        mounts.sshfs(tmp_path / "here", port, key, tmp_path / "far") as here,
        mounts.sshfs(tmp_path / "there", port, key, tmp_path / "far") as there,
        writer(there / "a.zarr", *other) as process,
    ):
        with pytest.raises(StoreError, match=r"written by process \d+ of the machine 'nas-7'"):
            fx.save(one(), here / "a.zarr", mode="w")
        process.kill()
        process.wait()
        with pytest.raises(StoreError, match="last sign of life"):  # nobody here saw it die
            fx.save(one(), here / "a.zarr", mode="w")
        silent = time.time() - owners.SILENCE_S - 60
        for file in here.glob(f"*{owners.ENDING}"):
            os.utime(file, (silent, silent))
        fx.save(one(), here / "a.zarr", mode="w")
        assert float(fx.open_result(here / "a.zarr").mean()) == 1
        assert [p.name for p in (tmp_path / "far").iterdir()] == ["a.zarr"]


def test_disk__that_can_only_be_read_is_read_and_not_written(tmp_path):
    fx.save(one(), tmp_path / "a.zarr")
    with mounts.read_only(tmp_path):
        assert float(fx.open_result(tmp_path / "a.zarr").mean()) == 1
        assert fx.verify(tmp_path / "a.zarr") == []
        for store in ("a.zarr", "b.zarr", "new/c.zarr"):
            with pytest.raises(StoreError, match="mounted read-only; save elsewhere"):
                fx.save(one(), tmp_path / store, mode="w")


# The same habits without a mount, where none is permitted.

REFUSALS = {
    errno.EROFS: "mounted read-only; save elsewhere",
    errno.EACCES: "its folder may not be written; change its mode or owner",
    errno.EPERM: "its folder may not be written; change its mode or owner",
    errno.EINVAL: "this disk has no such names; leave out",
    errno.ENOENT: "this disk has no such names; leave out",  # so says exFAT through FUSE
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_place__that_takes_no_file_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=f"'a.zarr' cannot be written: .*{REFUSALS[number]}"):
        fx.save(one(), tmp_path / "a.zarr")


def test_place__that_is_removed_meanwhile_is_one_sentence(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        (tmp_path / "new").rmdir()
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="its folder was removed meanwhile; save again"):
        fx.save(one(), tmp_path / "new" / "a.zarr")


def test_modes__that_a_disk_ignores_are_told(tmp_path, monkeypatch):
    def opened(path, flags, mode=0o777, **more):
        fd = real(path, flags, mode, **more)
        os.fchmod(fd, 0o666)
        return fd

    real = os.open
    monkeypatch.setattr(os, "open", opened)
    with pytest.warns(UserWarning, match=f"'a.zarr' {MODES}.*umask=077"):
        fx.save(one(), tmp_path / "a.zarr")
    monkeypatch.setattr(systems, "WINDOWS", True)  # it has no modes: nothing to tell
    with open(tmp_path / "file", "w") as file:
        os.fchmod(file.fileno(), 0o666)
        assert not systems.ignores_modes(file.fileno())


def test_names__that_a_disk_takes_for_one_are_refused(tmp_path):
    for name in (".a.zarr.staging", ".A.ZARR.STAGING"):  # as a disk without case shows it
        (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match=r"\['mean', 'Mean'\] differ by case only"):
        storable.require_apart(["mean", "k", "Mean"], tmp_path / ".a.zarr.staging")
    storable.require_apart(["mean", "k"], tmp_path / ".a.zarr.staging")
    storable.require_apart(["mean", "Mean"], tmp_path)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES, errno.EDEADLK])
def test_lock__that_another_holds_is_another_writer(tmp_path, monkeypatch, number):
    import fcntl

    def held(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", held)
    with pytest.raises(StoreError, match="is being written by another process: wait for it"):
        fx.save(one(), tmp_path / "a.zarr")


def test_writer__of_another_machine_is_respected_where_locks_say_nothing(tmp_path):
    aside = tmp_path / ".a.zarr.0123abcd.staging"
    aside.mkdir()
    owners.file_of(aside).write_text('{"host": "nas-7", "pid": 12}')
    with pytest.raises(StoreError, match="of the machine 'nas-7'"):
        fx.save(one(), tmp_path / "a.zarr")
    assert aside.exists()
