"""Runs over a source in memory: exactly once, resumed, locked, whole or refused."""

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import SourceError, StoreError, UnknownNameError
from fhemb_xr.io.local import atomic_files, locks
from ingest.planning import plan
from ingest.postgres.copy_decoder import ARRAYS
from ingest.run import ingest
from ingest.shards import Run
from ingest.source import ConnectionLost, Found, Session
from ingest.store import filling
from ingest.store.ledger import Ledger
from ingest.store.verification import verify
from ingest.store.writer import Target

CELL = ARRAYS[700]
PACKING_C = 0.005001


class Memory:
    """A source whose frames are an array; ``act`` is called before each reading."""

    def __init__(self, heat, start=0, act=lambda block: None):
        self.heat, self.start, self.act = heat, start, act  # {subject: (n, h, w)}, NaN: no face
        self.n = len(next(iter(heat.values())))
        self.reads = []

    def found(self):
        session = Session("dg", self.start, self.start + self.n, self.n)
        return Found("dg.face_t", "wide", "real[][]", (session,), tuple(self.heat))

    @contextmanager
    def readers(self, n):
        yield [self] * n

    def there(self, subject, start, stop):
        span = slice(start - self.start, stop - self.start)
        frames = self.heat[subject][span]
        return np.flatnonzero(~np.isnan(frames).all((1, 2))), frames

    def faces(self, session, subjects, start, stop):
        return {s: len(self.there(s, start, stop)[0]) for s in subjects}

    def shapes(self, session, subject, start, stop):
        index, frames = self.there(subject, start, stop)
        return Counter({frames.shape[1:]: len(index)}) if len(index) else Counter()

    def read(self, block, place):
        self.act(block)
        self.reads.append((block.subject, block.start))
        index, frames = self.there(block.subject, block.start, block.until)
        block.counts.rows += block.until - block.start
        block.counts.null_cells += block.until - block.start - len(index)
        if len(index):
            place(Run(index + block.start, frames[index]), CELL)
        block.position[: len(frames)] = block.start

    def cancel(self):
        pass

    def reconnect(self):
        pass


def people():
    rng = np.random.default_rng(0)
    heat = {s: rng.normal(33, 2, (50, 6, 5)).astype("f4") for s in (40, 41, 45, 46)}
    heat[41][:, :2] = np.nan  # background
    heat[41][7:9] = np.nan  # no face
    heat[45][:] = np.nan  # nobody, in the middle of the row
    return heat


@pytest.fixture
def source():
    return Memory(people())


def data_files(store):
    """Content of every file but the attributes, which hold the time of making."""
    every = (p for p in Path(store).rglob("*") if p.is_file())
    return {
        str(p.relative_to(store)): p.read_bytes() for p in every if p != store / "zarr.json"
    }


def stamps(store):
    return {str(p): p.stat().st_mtime_ns for p in [store, *Path(store).rglob("*")]}


def test_ingest__stores_every_value_under_its_own_label(source, tmp_path):
    done = ingest(source, tmp_path / "a.zarr", shard_frames=20, title="Don Giovanni")
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.subject.values.tolist() == [40, 41, 45, 46]
    assert ds.session.values.tolist() == ["dg"]
    for who, heat in source.heat.items():
        stored = ds.heatmap.sel(subject=who, session="dg").values
        np.testing.assert_allclose(stored, heat, atol=PACKING_C, err_msg=str(who))
        assert stored.dtype == np.float32
    height = ds.height.sel(session="dg")
    assert not height.sel(subject=45).any()
    assert height.sel(subject=41).values[6:10].tolist() == [6, 0, 0, 6]
    np.testing.assert_allclose(ds.time, np.arange(50) / 25)
    np.testing.assert_array_equal(ds.frame, np.arange(50))
    assert (ds.n_time == 50).all()
    assert ds.position.sel(subject=46, session="dg").values[45].tolist() == [40, 40]
    assert {ds.attrs[k] for k in ("sampling_rate", "temperature_threshold")} == {25.0}
    assert ds.attrs["title"] == "Don Giovanni"
    assert (done.shards, done.shards_written, done.counts.faces) == (12, 12, 148)
    assert done.missing == 52
    json.dumps(done.as_dict())


def test_ingest__a_part_keeps_the_clock_of_the_whole(source, tmp_path):
    ingest(source, tmp_path / "a.zarr", subjects=[(40, 41)], frames=(10, 30), shard_frames=8)
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.subject.values.tolist() == [40, 41]
    np.testing.assert_array_equal(ds.frame, np.arange(10, 30))
    np.testing.assert_allclose(ds.time, np.arange(10, 30) / 25)
    np.testing.assert_allclose(ds.heatmap[0, 0], source.heat[40][10:30], atol=PACKING_C)


def test_ingest__float32_is_exact(source, tmp_path):
    ingest(source, tmp_path / "a.zarr", float32=True)
    ds = fx.open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(ds.heatmap[3, 0], source.heat[46])


def test_ingest__twice_changes_nothing(source, tmp_path):
    store = tmp_path / "a.zarr"
    ingest(source, store, shard_frames=20)
    before, reads = stamps(store), len(source.reads)
    done = ingest(source, store, shard_frames=20)
    assert stamps(store) == before
    assert len(source.reads) == reads
    assert (done.shards, done.shards_written) == (12, 0)
    assert not [p for p in tmp_path.iterdir() if p != store]  # no lock, no staging


class Crash(BaseException):
    """A death that no ``except Exception`` sees."""


@pytest.mark.parametrize("at", range(0, 12, 3))
def test_ingest__resumes_where_it_died_and_reads_nothing_twice(at, tmp_path):
    whole = tmp_path / "whole.zarr"
    ingest(Memory(people()), whole, shard_frames=20, workers=1)
    store = tmp_path / "a.zarr"

    def die(block):
        if len(dying.reads) == at:
            raise Crash

    dying = Memory(people(), act=die)
    with pytest.raises(Crash):
        ingest(dying, store, shard_frames=20, workers=1)
    with pytest.raises(StoreError, match=r"unfinished|writing"):
        fx.open_recording(store)
    again = Memory(people())
    done = ingest(again, store)
    assert done.shards_written == len(again.reads) == 12 - at
    assert not set(again.reads) & set(dying.reads)
    assert data_files(store) == data_files(whole)


def test_ingest__marks_a_shard_when_all_of_it_is_on_the_disk(source, tmp_path, monkeypatch):
    """Written, in its place, synced with its folders; then the line, synced; in this order."""
    store, synced, real = tmp_path / "a.zarr", [], os.fsync

    def noted(fd):
        real(fd)
        inode, marked = os.fstat(fd).st_ino, set()
        if (store / "heatmap").exists():  # not to the side any more
            marked = set(Ledger.read(store).entries)
        there = [p for p in store.rglob("*") if p.stat().st_ino == inode]
        content = there[0].read_bytes() if there and there[0].is_file() else b""
        synced.append((next(iter(there), None), content, marked))

    monkeypatch.setattr(os, "fsync", noted)
    ingest(source, store, shard_frames=20, workers=1)
    for key in Ledger.read(store).entries:
        first = next(i for i, (_, _, marked) in enumerate(synced) if key in marked)
        assert synced[first][0] == store / "heatmap" / "ledger.jsonl", key
        before = {path: content for path, content, _ in synced[:first]}
        place = ("c", str([40, 41, 45, 46].index(key[1])), "0", str(key[2] // 20))
        files_of_it = [
            p
            for p in store.rglob("*")
            if p.is_file() and p.relative_to(store).parts[1:5] == place
        ]
        assert len(files_of_it) == (1 if key[1] == 45 else 4)  # nobody is missing everywhere
        for path in files_of_it:
            assert before.get(path) == path.read_bytes(), (key, path)
            array = store / path.relative_to(store).parts[0]
            folders = [p for p in path.parents if p.is_relative_to(array)]
            assert folders[-1] == array
            assert {*folders} <= {*before}, (key, path)


@pytest.mark.parametrize("name", ["fsync", "replace", "rename"])
def test_ingest__dies_at_any_file_operation_and_goes_on(name, tmp_path, monkeypatch):
    whole = tmp_path / "whole.zarr"
    heat = {s: h[:20] for s, h in people().items() if s in (40, 45)}
    ingest(Memory(heat), whole, shard_frames=10, workers=1)
    real, seen = getattr(os, name), 0
    store, limit = tmp_path / "a.zarr", None

    def counted(*args, **kwargs):
        nonlocal seen
        seen += 1
        if seen == limit:
            raise Crash
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, counted)
    ingest(Memory(heat), tmp_path / "count.zarr", shard_frames=10, workers=1)
    total = seen
    for limit in range(1, total + 1, max(1, total // 12)):
        seen, store = 0, tmp_path / f"{limit}.zarr"
        with pytest.raises(Crash):
            ingest(Memory(heat), store, shard_frames=10, workers=1)
        limit = None
        ingest(Memory(heat), store, shard_frames=10, workers=1)
        assert data_files(store) == data_files(whole)


def slow_run(store, heat):
    def wait(block):
        time.sleep(0.05)

    ingest(Memory(heat, act=wait), store, shard_frames=10)


@pytest.mark.parametrize("shards", [1, 4, 9])
def test_ingest__survives_sigkill(shards, tmp_path):
    whole, store = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    ingest(Memory(people()), whole, shard_frames=10)
    process = multiprocessing.get_context("spawn").Process(
        target=slow_run, args=(store, people())
    )
    process.start()
    ledger = store / "heatmap" / "ledger.jsonl"
    while not (ledger.exists() and ledger.read_bytes().count(b"\n") > shards):
        assert process.is_alive(), "finished before it was killed"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(StoreError):
        fx.open_recording(store)
    again = Memory(people())
    ingest(again, store)
    assert len(again.reads) <= 20 - shards
    assert data_files(store) == data_files(whole)


@pytest.mark.parametrize("torn", [1, 7])
def test_ingest__a_torn_line_of_the_ledger_does_not_count(source, tmp_path, torn):
    store = tmp_path / "a.zarr"
    with pytest.raises(Crash):
        ingest(
            Memory(people(), act=lambda b: crash_at(b, 46, 20)),
            store,
            shard_frames=20,
            workers=1,
        )
    path = store / "heatmap" / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-torn])
    n = len(Ledger.read(store).entries)
    done = ingest(source, store)
    assert done.shards_written == 12 - n
    assert len(Ledger.read(store).entries) == 12
    assert verify(store, source).equal


def crash_at(block, subject, start):
    if (block.subject, block.start) == (subject, start):
        raise Crash


def test_ingest__a_second_run_is_refused_by_name(source, tmp_path):
    store = tmp_path / "a.zarr"
    with (
        locks.locked(store),
        pytest.raises(StoreError, match=rf"written by process {os.getpid()}"),
    ):
        ingest(source, store)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"subjects": [40]}, "subjects"),
        ({"frames": (0, 10)}, "frames"),
        ({"grid": (9, 9)}, "grid"),
        ({"float32": True}, "float32"),
    ],
)
def test_ingest__another_request_needs_another_store(source, tmp_path, asked, what):
    ingest(source, tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=f"holds the {what} .* choose another name"):
        ingest(source, tmp_path / "a.zarr", **asked)


def test_ingest__keeps_away_from_what_is_not_its_own(source, tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(StoreError, match="not made by ingest"):
        ingest(source, tmp_path / "a.zarr")


def test_ingest__tries_again_after_a_lost_connection(tmp_path, monkeypatch):
    monkeypatch.setattr(filling, "BACKOFF_S", 0.001)
    lost = iter([True, True, False])

    def lose(block):
        if next(lost, False):
            raise ConnectionLost("gone")

    source = Memory(people(), act=lose)
    ingest(source, tmp_path / "a.zarr")
    assert verify(tmp_path / "a.zarr", source).equal


def test_ingest__gives_up_with_one_error_and_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr(filling, "BACKOFF_S", 0.001)

    def lose(block):
        raise ConnectionLost("gone")

    with pytest.raises(ConnectionLost, match="gone"):
        ingest(Memory(people(), act=lose), tmp_path / "a.zarr")
    assert ingest(Memory(people()), tmp_path / "a.zarr").shards_written == 4


def test_ingest__a_full_disk_is_one_sentence_and_goes_on_later(source, tmp_path, monkeypatch):
    def full(self, block):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Target, "write", full)
        with pytest.raises(StoreError, match=r"No space left .* the same command continues"):
            ingest(source, tmp_path / "a.zarr")
    ingest(source, tmp_path / "a.zarr")
    assert verify(tmp_path / "a.zarr", source).equal


def test_ingest__refuses_a_disk_that_is_too_small(source, tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.shutil, "disk_usage", lambda p: Usage)
    with pytest.raises(StoreError, match="free"):
        ingest(source, tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


class Usage:
    free = 100


def test_ingest__strict_refuses_what_it_would_only_count(tmp_path):
    heat = people()
    heat[40][3, 0, 0] = 1000
    done = ingest(Memory(heat), tmp_path / "a.zarr")
    assert done.counts.out_of_range == 1
    with pytest.raises(SourceError, match=r"--strict: subject 40, frames .*1 out of range"):
        ingest(Memory(heat), tmp_path / "b.zarr", strict=True)


def test_ingest__reports_progress_to_the_end(source, tmp_path):
    seen = []
    ingest(source, tmp_path / "a.zarr", shard_frames=20, progress=lambda *at: seen.append(at))
    assert seen[-1] == (200, 200)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_ingest__the_ledger_tells_an_absent_chunk_from_a_lost_one(source, tmp_path):
    store = tmp_path / "a.zarr"
    ingest(source, store, shard_frames=20)
    empty = {e.subject for e in Ledger.read(store).entries.values() if e.empty}
    assert empty == {45}
    assert not (store / "heatmap" / "c" / "2").exists()
    assert (store / "heatmap" / "c" / "3").exists()


def test_verify__names_the_first_difference(source, tmp_path):
    store = tmp_path / "a.zarr"
    ingest(source, store, shard_frames=20)
    assert verify(store).equal
    assert verify(store, source).equal
    source.heat[46][33, 2, 3] += 1
    verdict = verify(store, source)
    assert not verdict.equal
    assert (
        "subject 46, frames [20, 40): heat differs first at frame 33, [2, 3]"
        in verdict.difference
    )
    file = store / "heatmap" / "c" / "0" / "0" / "1" / "0" / "0"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert "subject 40, frames [20, 40)" in verify(store).difference
    file.unlink()
    assert "checksum" in verify(store).difference


def test_plan__says_what_is_there_and_doubts(source):
    made = plan(source, subjects=[40, 45], frames=(0, 20))
    found = made.as_dict()
    assert json.loads(json.dumps(found))["faces"] == {"dg": {"40": 20, "45": 0}}
    assert (found["grid"], found["n_frames"]) == ((6, 5), 20)
    with pytest.raises(UnknownNameError, match=r"no subject 47 .* nearest are 41, 45, 46"):
        plan(source, subjects=[47])
    with pytest.raises(SourceError, match="no face"):
        plan(source, subjects=[45])
    with pytest.raises(SourceError, match=r"no frames in \[60, 70\).*dg \[0, 50\)"):
        plan(source, frames=(60, 70))


def test_store__is_readable_by_its_owner_only(source, tmp_path):
    store = tmp_path / "a.zarr"
    ingest(source, store)
    modes = {oct(p.stat().st_mode & 0o777) for p in store.rglob("*")}
    assert modes <= {"0o600", "0o700"}
