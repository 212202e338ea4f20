"""A store after its source went on: frames added, rows changed or dropped, runs killed."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files
from ingest.postgres.source import PostgresSource
from ingest.run import ingest
from ingest.store.ledger import Ledger
from ingest.store.verification import verify

pytestmark = pytest.mark.db
PEOPLE, SHARD = (40, 42), 10


def face(who, t):
    """A frame that tells whose and which it is."""
    return np.full((3, 2), 20 + who / 10 + t / 100, "f4")


class Table:
    """A wide table that grows; ``tall`` is the same as a view of rows by person."""

    def __init__(self, conn):
        self.conn, self.n = conn, 0
        conn.execute("DROP SCHEMA IF EXISTS opera CASCADE")
        conn.execute("CREATE SCHEMA opera")
        columns = ", ".join(f"subj{w} real[]" for w in PEOPLE)
        conn.execute(f"CREATE TABLE opera.face_t (frame_number integer PRIMARY KEY, {columns})")

    def add(self, n):
        rows = [
            (t, *(None if w == 42 and t % 7 == 0 else face(w, t).tolist() for w in PEOPLE))
            for t in range(self.n, self.n + n)
        ]
        with self.conn.cursor() as cursor:
            cursor.executemany("INSERT INTO opera.face_t VALUES (%s, %s, %s)", rows)
        self.n += n

    def set(self, who, t, value):
        cell = None if value is None else np.full((3, 2), value).tolist()
        self.conn.execute(
            f"UPDATE opera.face_t SET subj{who} = %s WHERE frame_number = %s",  # noqa: S608
            (cell, t),
        )


@pytest.fixture
def table(postgres):
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        made = Table(conn)
        made.add(25)
        yield made
        conn.execute("DROP SCHEMA opera CASCADE")


class Counting(PostgresSource):
    """Counts the shards that are read; dies before one of them if told."""

    def __init__(self, *args, die_at=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.reads, self.die_at = [], die_at

    def readers(self, n):
        @contextmanager
        def counted():
            with super(Counting, self).readers(n) as readers:
                for reader in readers:
                    reader.read = self.wrapped(reader.read)
                yield readers

        return counted()

    def wrapped(self, read):
        def counting(block, place):
            if len(self.reads) == self.die_at:
                raise Crash
            self.reads.append((block.subject, block.start))
            read(block, place)

        return counting


class Crash(BaseException):
    """A death that no ``except Exception`` sees."""


@pytest.fixture
def source(postgres, table):
    return lambda **more: Counting(postgres.conninfo(), "opera", **more)


def data_files(store):
    """Content of every chunk."""
    return {
        str(p.relative_to(store)): p.read_bytes()
        for p in Path(store).rglob("*")
        if p.is_file() and "c" in p.relative_to(store).parts
    }


def fill(source, store, **more):
    return ingest(source, store, grid=(3, 2), shard_frames=SHARD, workers=1, **more)


def test_append__is_as_if_all_had_been_there(source, table, tmp_path):
    store, whole = tmp_path / "a.zarr", tmp_path / "whole.zarr"
    fill(source(), store)
    before = {p: os.stat(store / p).st_ino for p in data_files(store)}
    table.add(10)
    again = source()
    done = fill(again, store, append=True)
    assert set(again.reads) == {(w, a) for w in PEOPLE for a in (20, 30)}
    assert (done.frames, done.shards, done.shards_written) == (35, 8, 4)
    fill(source(), whole)
    heats = {k: v for k, v in data_files(store).items() if k.split("/")[0] not in AXES}
    assert heats == {k: v for k, v in data_files(whole).items() if k.split("/")[0] not in AXES}
    ds, expected = fx.open_recording(store).load(), fx.open_recording(whole).load()
    for name in ("heatmap", "height", "width", "position", "n_time", "time", "frame"):
        np.testing.assert_array_equal(ds[name], expected[name], err_msg=name)
    kept = {p for p, inode in before.items() if (store / p).stat().st_ino == inode}
    assert len([p for p in kept if p.startswith("heatmap")]) == 4  # linked, not copied
    assert verify(store, source()).equal
    assert len(ds.attrs["history"].splitlines()) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "whole.zarr"]


AXES = ("time", "frame")  # whose chunks are as long as the recording was when it was made


def test_append__a_session_may_grow_within_a_longer_one(postgres, table, tmp_path):
    table.conn.execute("DROP SCHEMA IF EXISTS short CASCADE")
    table.conn.execute("CREATE SCHEMA short")
    table.conn.execute("CREATE VIEW short.face_t AS SELECT * FROM opera.face_t LIMIT 12")
    made = PostgresSource(postgres.conninfo(), ["opera", "short"])
    store = tmp_path / "a.zarr"
    fill(made, store)
    view = "CREATE OR REPLACE VIEW short.face_t AS SELECT * FROM opera.face_t LIMIT 17"
    table.conn.execute(view)
    done = fill(made, store, append=True)
    assert (done.frames, done.shards_read) == (25, 2)
    ds = fx.open_recording(store)
    assert ds.n_time.sel(session="short").values.tolist() == [17, 17]
    assert (
        ds.height.sel(session="short", subject=40).values[10:20].tolist() == [3] * 7 + [0] * 3
    )
    assert verify(store, made).equal
    table.conn.execute("DROP SCHEMA short CASCADE")


def test_append__of_nothing_changes_nothing(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    before = {str(p): p.stat().st_mtime_ns for p in store.rglob("*")}
    again = source()
    assert fill(again, store, append=True).shards_read == 0
    assert not again.reads
    assert {str(p): p.stat().st_mtime_ns for p in store.rglob("*")} == before


def test_append__makes_a_store_and_takes_an_interval(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store, frames=(5, 20), append=True)
    assert fill(source(), store, append=True).shards_read == 0  # asked for no more
    done = fill(source(), store, frames=(5, 22), append=True)
    assert done.frames == 17
    np.testing.assert_array_equal(fx.open_recording(store).frame, np.arange(5, 22))
    assert verify(store, source()).equal
    assert fill(source(), store, frames=(5, 22)).shards_read == 0
    with pytest.raises(StoreError, match="starts at frame 5, the source now at 0"):
        fill(source(), store, frames=(0, 22), append=True)


def test_append__without_it_new_frames_are_left_alone(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    table.add(20)
    assert fill(source(), store).frames == 25


def test_changed_rows__are_read_again_and_no_others(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    table.set(42, 13, 99)
    again = source()
    done = fill(again, store)
    assert set(again.reads) == {(w, 10) for w in PEOPLE}  # a row of a wide table is everybody's
    assert done.shards_written == 1
    heat = fx.open_recording(store).heatmap.sel(subject=42, session="opera")
    np.testing.assert_allclose(heat[13], 99, atol=0.006)
    assert verify(store, source()).equal
    assert fill(source(), store).shards_read == 0


def test_changed_rows__a_late_row_is_found(source, table, tmp_path):
    table.conn.execute("DELETE FROM opera.face_t WHERE frame_number = 12")
    store = tmp_path / "a.zarr"
    fill(source(), store)
    row = (12, *(face(w, 12).tolist() for w in PEOPLE))
    table.conn.execute("INSERT INTO opera.face_t VALUES (%s, %s, %s)", row)
    assert fill(source(), store).shards_written == 2
    assert verify(store, source()).equal


def test_changed_rows__written_as_they_were_are_read_and_left(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    before = data_files(store)
    table.conn.execute("UPDATE opera.face_t SET subj40 = subj40")
    done = fill(source(), store)
    assert (done.shards_read, done.shards_written) == (6, 0)
    assert data_files(store) == before
    assert fill(source(), store).shards_read == 0


def test_changed_rows__that_were_dropped_stay_in_the_store(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    before = data_files(store)
    table.conn.execute("DELETE FROM opera.face_t WHERE frame_number BETWEEN 8 AND 19")
    done = fill(source(), store)
    assert (done.shards_read, done.shards_written) == (4, 0)
    assert "the source has 8 faces, the store 10, which it keeps" in done.doubts[0]
    assert data_files(store) == before
    assert fill(source(), store, reread=True).shards_written == 4
    assert verify(store, source()).equal


def test_reread__finds_what_a_view_cannot_tell(source, table, postgres, tmp_path):
    table.conn.execute("CREATE VIEW opera.shown AS SELECT * FROM opera.face_t")
    made = PostgresSource(postgres.conninfo(), "opera", "shown")
    store = tmp_path / "a.zarr"
    fill(made, store)
    table.set(40, 3, 50)
    assert fill(made, store).shards_read == 0
    assert fill(made, store, reread=True).shards_written == 1
    assert verify(store, made).equal
    table.conn.execute("DELETE FROM opera.face_t WHERE frame_number = 24")
    assert fill(made, store).shards_read == 2  # the number of rows differs


@pytest.mark.parametrize("at", [0, 3])
def test_append__killed_anywhere_goes_on_and_readers_see_a_whole_store(
    source, table, tmp_path, at
):
    store, whole = tmp_path / "a.zarr", tmp_path / "whole.zarr"
    fill(source(), store)
    table.add(10)
    table.set(40, 3, 50)
    fill(source(), whole)
    dying = source(die_at=at)
    with pytest.raises(Crash):
        fill(dying, store, append=True)
    (atomic_files.successor(store) / "zarr.abc.partial").touch()  # died while zarr wrote it
    assert fx.open_recording(store).sizes["time"] == 25  # the old one, whole
    again = source()
    done = fill(again, store, append=at % 2 == 0)  # what was begun is finished in any case
    assert not set(again.reads) & set(dying.reads)
    assert done.frames == 35
    assert not atomic_files.successor(store).exists()
    assert not list(store.rglob("*.partial"))
    np.testing.assert_array_equal(
        fx.open_recording(store).heatmap, fx.open_recording(whole).heatmap
    )
    assert verify(store, source()).equal


@pytest.mark.parametrize(
    ("name", "points"),
    [("replace", 3), ("rename", 2), ("fsync", 3), ("link", 3)]
    + [pytest.param(n, 12, marks=pytest.mark.soak) for n in ("fsync", "replace", "link")],
)
def test_append__dies_at_any_file_operation_and_goes_on(
    source, table, tmp_path, monkeypatch, name, points
):
    first, whole = tmp_path / "first.zarr", tmp_path / "whole.zarr"
    fill(source(), first)
    table.add(10)
    table.set(40, 3, 50)
    fill(source(), whole)
    expected = fx.open_recording(whole).heatmap.load()
    real, seen, limit = getattr(os, name), 0, None

    def counted(*args, **kwargs):
        nonlocal seen
        seen += 1
        if seen == limit:
            raise Crash
        return real(*args, **kwargs)

    shutil.copytree(first, tmp_path / "count.zarr")
    monkeypatch.setattr(os, name, counted)
    fill(source(), tmp_path / "count.zarr", append=True)
    total = seen
    assert total
    for nth in np.unique(np.linspace(1, total, points).astype(int)):
        store = tmp_path / f"{nth}.zarr"
        limit = None
        shutil.copytree(first, store)
        seen, limit = 0, nth
        with pytest.raises(Crash):
            fill(source(), store, append=True)
        limit = None
        n = fx.open_recording(store).sizes["time"]
        assert n in (25, 35)
        fill(source(), store, append=True)
        np.testing.assert_array_equal(fx.open_recording(store).heatmap, expected)
        assert Ledger.read(store).header.get("reread") is None
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_successor__of_another_store_is_removed(source, table, tmp_path):
    store = tmp_path / "a.zarr"
    fill(source(), store)
    table.add(10)
    with pytest.raises(Crash):
        fill(source(die_at=1), store, append=True)
    shutil.rmtree(store)
    fill(source(), store)
    assert not atomic_files.successor(store).exists()
    assert fx.open_recording(store).sizes["time"] == 35
