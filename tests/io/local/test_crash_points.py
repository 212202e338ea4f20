"""Ingest, resume, append, forget and repair, crashed at their file operations."""

import gc
import shutil
import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from crash_points import crash_at, killed_at

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from ingest.run import ingest
from ingest.stacks import StackSource

# what a power failure leaves open is closed by the collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
WHO = "canary-7f3a"
LONG = [pytest.mark.soak, pytest.mark.timeout(3600)]
FEW = [pytest.param(4, id="few"), pytest.param(None, id="all", marks=LONG)]


def write(folder, n):
    """Two people's frames, the same ones however many there are."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    faces = {f"subj{w}": rng.normal(33, 2, (40, 4, 3)).astype("f4")[:n] for w in (40, 41)}
    np.savez(folder / "opera.npz", **faces)
    return StackSource(folder)


def fill(source, store, **more):
    return ingest(source, store, shard_frames=10, workers=1, grid=(4, 3), **more)


class Stopped(BaseException):
    """A death that no ``except Exception`` sees."""


def stop_after(n):
    """A progress that dies after some shards."""
    left = [n]

    def progress(done, total):
        left[0] -= 1
        if not left[0]:
            raise Stopped

    return progress


@pytest.fixture(autouse=True)
def one_by_one():
    """Operations always in the same number and order."""
    with (
        dask.config.set(scheduler="synchronous"),
        zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1}),
    ):
        yield
    gc.collect()  # what the crashes left open, while its warnings are ignored


@pytest.fixture
def long(tmp_path):
    return write(tmp_path / "long", 35)


@pytest.fixture
def expected(tmp_path, long):
    fill(long, tmp_path / "expected.zarr")
    return fx.open_recording(tmp_path / "expected.zarr").load()


def state(store, expected):
    """``absent``, ``unfinished``, or how many frames, whole, an ingested store has."""
    if not store.exists():
        return "absent"
    try:
        found = fx.open_recording(store).load()
    except StoreError as error:
        assert "unfinished" in str(error)  # noqa: PT017
        return "unfinished"
    n = found.sizes["time"]
    xr.testing.assert_equal(found.heatmap, expected.heatmap.isel(time=slice(0, n)))
    assert fx.verify(store) == []
    return n


def nothing_else(place):
    assert [p.name for p in place.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("points", FEW)
@pytest.mark.parametrize("begun", [0, 3])
def test_ingest__crashed_anywhere_goes_on(tmp_path, monkeypatch, long, expected, points, begun):
    def prepare(place):
        place.mkdir()
        if begun:
            with pytest.raises(Stopped):
                fill(long, place / "a.zarr", progress=stop_after(begun))

    def check(place, crashed):
        now = state(place / "a.zarr", expected)
        if not crashed:
            assert now == 35
            nothing_else(place)
        return now

    n, found = crash_at(
        points, monkeypatch, tmp_path, prepare, lambda p: fill(long, p / "a.zarr"), check
    )
    assert n > 50
    assert set(found) <= ({"absent"} if not begun else set()) | {"unfinished", 35}
    assert "unfinished" in found


@pytest.mark.parametrize("points", FEW)
def test_append__crashed_anywhere_leaves_old_or_new(
    tmp_path, monkeypatch, long, expected, points
):
    fill(write(tmp_path / "short", 25), tmp_path / "short.zarr")

    def prepare(place):
        place.mkdir()
        shutil.copytree(tmp_path / "short.zarr", place / "a.zarr")

    def check(place, crashed):
        now = state(place / "a.zarr", expected)
        if not crashed:
            assert now == 35
            nothing_else(place)
        return now

    def operate(place):
        fill(long, place / "a.zarr", append=True)

    n, found = crash_at(points, monkeypatch, tmp_path, prepare, operate, check)
    assert n > 50
    assert set(found) == {25, 35} if points is None else set(found) <= {25, 35}


def people(tmp_path):
    ds = fx.testing.audience(n_subjects=3, seconds=1, shape=(4, 3))
    fx.save(ds.assign_coords(subject=["a", WHO, "b"]), tmp_path / "before.zarr")
    return fx.open_recording(tmp_path / "before.zarr").load()


def whole(store, before):
    """``old`` or ``new``: all the people, or all but one."""
    found = fx.open_recording(store).load()
    assert fx.verify(store) == []
    if WHO in found.subject.values.tolist():
        xr.testing.assert_equal(found, before)
        return "old"
    xr.testing.assert_equal(found, before.drop_sel(subject=WHO))
    return "new"


@pytest.mark.parametrize("points", FEW)
def test_forget__crashed_anywhere_leaves_old_or_new_and_ends_without(
    tmp_path, monkeypatch, points
):
    before = people(tmp_path)

    def prepare(place):
        place.mkdir()
        shutil.copytree(tmp_path / "before.zarr", place / "a.zarr")

    def check(place, crashed):
        now = whole(place / "a.zarr", before)
        if not crashed:
            assert now == "new"
            nothing_else(place)
            files = [p for p in place.rglob("*") if p.is_file()]
            assert not [p for p in files if WHO.encode() in p.read_bytes()]
        return now

    n, found = crash_at(
        points, monkeypatch, tmp_path, prepare, lambda p: fx.forget(WHO, p / "a.zarr"), check
    )
    assert n > 50
    assert set(found) == {"old", "new"}


@pytest.mark.parametrize("points", FEW)
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_resumed_save__crashed_anywhere_leaves_old_or_new(
    tmp_path, monkeypatch, points, before
):
    new = fx.pairwise(
        fx.testing.audience(n_subjects=4, seconds=1).heatmap.mean(["y", "x"]), "euclidean"
    )

    def prepare(place):
        place.mkdir()
        if before == "old":
            fx.save(new + 1, place / "a.zarr")

    def check(place, crashed):
        if not crashed:
            nothing_else(place)
        if not (place / "a.zarr").exists():
            return "nothing"
        found = fx.open_result(place / "a.zarr").load()
        assert fx.verify(place / "a.zarr") == []
        is_new = bool((found == new).all())
        assert is_new or crashed
        np.testing.assert_array_equal(found, new if is_new else new + 1)
        return "new" if is_new else "old"

    def operate(place):
        fx.save(new, place / "a.zarr", mode="w", resume=True)

    n, found = crash_at(points, monkeypatch, tmp_path, prepare, operate, check)
    assert n > 50
    assert set(found) == {before, "new"}


@pytest.mark.parametrize("points", FEW)
def test_repair__crashed_anywhere_is_done_by_the_next(
    tmp_path, monkeypatch, long, expected, points
):
    def prepare(place):
        place.mkdir()
        shutil.copytree(tmp_path / "expected.zarr", place / "a.zarr")
        for name in ("heatmap/c/0/0/1/0/0", "time/zarr.json"):
            file = place / "a.zarr" / name
            file.write_bytes(file.read_bytes()[:-9])
        shutil.rmtree(place / "a.zarr/subject/c")

    def check(place, crashed):
        """How many files are damaged; after the next repair an ingest makes it whole."""
        left = len(fx.verify(place / "a.zarr"))
        if not crashed:
            fill(long, place / "a.zarr")
            assert state(place / "a.zarr", expected) == 35
            nothing_else(place)
        return left

    n, found = crash_at(
        points, monkeypatch, tmp_path, prepare, lambda p: fx.repair(p / "a.zarr"), check
    )
    assert n > 50
    assert found[0] >= 3


FORGET = """
import fhemb_xr as fx
import fhemb_xr.io.privacy.erasure, zarr
arm()
fx.forget(sys.argv[2], sys.argv[1])
"""


@pytest.mark.parametrize(
    "k", [60, *(pytest.param(k, marks=pytest.mark.soak) for k in range(0, 150, 10))]
)
def test_forget__killed_for_real_agrees(tmp_path, k):
    before = people(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    shutil.copytree(tmp_path / "before.zarr", place / "a.zarr")
    assert killed_at(k, FORGET, place / "a.zarr", WHO) or k > 100
    assert whole(place / "a.zarr", before) in ("old", "new")
    fx.forget(WHO, place / "a.zarr")
    assert whole(place / "a.zarr", before) == "new"
    nothing_else(place)


TURNS = """
import sys, time
from fhemb_xr.errors import StoreError
from ingest.run import ingest
from ingest.stacks import StackSource

class Stop(BaseException):
    pass

turns = 0
print("ready", flush=True)
sys.stdin.readline()
while True:
    n = [0]
    def progress(done, total):
        n[0] += 1
        if n[0] == 25:
            raise Stop
    try:
        ingest(StackSource(sys.argv[1]), sys.argv[2], shard_frames=1, workers=2,
               grid=(4, 3), progress=progress)
        break
    except Stop:
        turns += 1
        time.sleep(0.05)
    except StoreError as error:
        assert "is being written by process" in str(error), error
        time.sleep(0.01)
print(turns)
"""


@pytest.mark.soak
def test_ingest__of_200_regions_by_two_processes_in_turns_loses_none(tmp_path):
    faces = {w: np.random.default_rng(w).normal(33, 2, (100, 4, 3)) for w in (40, 41)}
    (tmp_path / "in").mkdir()
    np.savez(
        tmp_path / "in/opera.npz", **{f"subj{w}": f.astype("f4") for w, f in faces.items()}
    )
    command = [sys.executable, "-c", TURNS, tmp_path / "in", tmp_path / "a.zarr"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    turns = [int(p.communicate(timeout=200)[0]) for p in both]
    assert sum(turns) >= 7
    assert min(turns) > 0, turns
    found = fx.open_recording(tmp_path / "a.zarr").heatmap.squeeze("session")
    # packed to steps of 0.01 K
    np.testing.assert_allclose(found, np.stack([faces[40], faces[41]]), atol=0.00501)
    assert fx.verify(tmp_path / "a.zarr") == []
