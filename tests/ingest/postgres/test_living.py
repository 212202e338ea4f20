"""A database that changes: origins that move, partitions that come and go while a run reads."""

# ruff: noqa: S608 (all names are of this file)
import contextlib
import datetime
import random
import threading

import numpy as np
import psycopg
import pytest
import zarr

import fhemb_xr as fx
from fhemb_xr.errors import SourceError, StoreError
from ingest.hints import Hints
from ingest.planning import plan
from ingest.postgres.source import PostgresSource
from ingest.run import ingest
from ingest.store.ledger import Ledger
from ingest.store.verification import verify
from ingest.store.work import SourceChangedError

pytestmark = pytest.mark.db
SHARD, PART, PARTS = 10, 20, 4
START = "2026-03-01 12:00+00"
CELL = "ARRAY[[30, 31], [32, %s]]::real[]"


@pytest.fixture
def owner(postgres):
    """A connection that may do everything, and a role ``reader`` that may only read."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        conn.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        conn.execute("CREATE SCHEMA lab")
        conn.execute("GRANT USAGE ON SCHEMA lab TO reader")
        conn.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA lab GRANT SELECT ON TABLES TO reader")
        conn.execute("SET lock_timeout = '300ms'")
        yield conn
        conn.execute("DROP OWNED BY reader; DROP ROLE reader; DROP SCHEMA lab CASCADE")


@pytest.fixture
def source(postgres, owner):
    where = {"host": postgres.host, "port": postgres.port, "dbname": postgres.dbname}
    where |= {"user": "reader", "password": "reader"}
    return lambda kind=PostgresSource, **more: kind(where, "lab", positions=None, **more)


def timed(owner, n=60, step="40 ms", jitter="0"):
    """A tall table of one person by time; pixel (1, 1) tells the frame."""
    owner.execute("CREATE TABLE lab.face_t (ts timestamptz NOT NULL, subject int, face real[])")
    rows(owner, 0, n, step, jitter)


def rows(owner, start, stop, step="40 ms", jitter="0"):
    cell = CELL % "20 + g / 10.0"
    owner.execute(
        f"INSERT INTO lab.face_t SELECT '{START}'::timestamptz + g * interval '{step}'"
        f" + {jitter} * interval '1 ms', 1, {cell}"
        f" FROM generate_series({start}, {stop - 1}) AS s(g)"
    )


def pixels(store):
    return zarr.open_group(store)["heatmap"][0, 0, :, 1, 1] / 100 + 75


def drop_first(owner, n=25):
    at = datetime.datetime.fromisoformat(START) + datetime.timedelta(seconds=n / 25 - 0.02)
    owner.execute("DELETE FROM lab.face_t WHERE ts < %s", (at,))


def test_origin__is_the_stores_when_the_first_rows_go(source, owner, tmp_path):
    timed(owner)
    store = tmp_path / "a.zarr"
    ingest(source(), store, shard_frames=SHARD)
    before = pixels(store)
    drop_first(owner)
    done = ingest(source(), store)
    np.testing.assert_array_equal(pixels(store), before)
    assert any("which it keeps" in d for d in done.doubts)
    rows(owner, 60, 70)
    assert ingest(source(), store, append=True).frames == 70
    np.testing.assert_allclose(pixels(store), 20 + np.arange(70) / 10, atol=0.011)
    ingest(source(), store, reread=True)  # takes over that the first rows are gone
    np.testing.assert_allclose(pixels(store)[25:], 20 + np.arange(25, 70) / 10, atol=0.011)
    assert verify(store, source()).equal


def test_origin__is_the_stores_in_a_run_that_goes_on(source, owner, tmp_path):
    timed(owner)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(source(), tmp_path / "a.zarr", shard_frames=SHARD, workers=1, progress=stop)
    drop_first(owner, 15)
    ingest(source(), tmp_path / "a.zarr")
    np.testing.assert_allclose(
        pixels(tmp_path / "a.zarr")[15:], 20 + np.arange(15, 60) / 10, atol=0.011
    )


def test_origin__stays_when_earlier_rows_come(source, owner, tmp_path):
    timed(owner)
    store, made = tmp_path / "a.zarr", source()
    ingest(made, store, shard_frames=SHARD)
    before = pixels(store)
    rows(owner, -30, 0)
    assert ingest(made, store).shards_written == 0
    np.testing.assert_array_equal(pixels(store), before)
    assert verify(store, source()).equal
    with pytest.raises(StoreError, match="starts at frame 0, the source now at -30"):
        ingest(source(), store, append=True)
    assert ingest(made, tmp_path / "b.zarr").frames == 90  # a new store has its own origin


def test_origin__of_another_kind_of_clock_is_another_source(source, owner, tmp_path):
    timed(owner)
    ingest(source(), tmp_path / "a.zarr")
    owner.execute(
        "ALTER TABLE lab.face_t ALTER ts TYPE bigint USING extract(epoch FROM ts) * 25"
    )
    for act in (ingest, lambda s, store: verify(store, s)):
        with pytest.raises(SourceError, match="another source"):
            act(source(), tmp_path / "a.zarr")


def test_origin__at_the_median_phase_loses_no_row_to_jitter(source, owner, tmp_path):
    timed(owner, 500, jitter="((g * 37 % 31) - 15)")
    done = ingest(source(), tmp_path / "a.zarr")
    assert (done.counts.duplicates, done.missing) == (0, 0)
    np.testing.assert_allclose(
        pixels(tmp_path / "a.zarr"), 20 + np.arange(500) / 10, atol=0.011
    )


def test_rate__that_is_not_the_clocks_is_a_doubt(source, owner, tmp_path):
    timed(owner, 300, step="33.333 ms")
    said = plan(source()).doubts
    assert any("counted at 25 Hz, an assumed rate" in d for d in said)
    assert any("come at 30 Hz" in d for d in said)
    doubts = ingest(source(), tmp_path / "a.zarr").doubts
    assert any("share a frame" in d and "25 Hz" in d for d in doubts)
    for made in (ingest(source(), tmp_path / "b.zarr", rate_hz=30), plan(source(), rate_hz=30)):
        assert not [d for d in made.doubts if "Hz" in d]
    told = source(hints=Hints(rate_hz=30.0))
    assert ingest(told, tmp_path / "b.zarr").shards_read == 0
    with pytest.raises(StoreError, match=r"holds the rate_hz 30.0, asked for 25.0"):
        ingest(source(), tmp_path / "b.zarr", rate_hz=25)
    with pytest.raises(SourceError, match="say one rate"):
        ingest(told, tmp_path / "a.zarr")


def test_row_security__is_a_doubt(source, owner):
    timed(owner)
    assert not any("row-level" in d for d in plan(source()).doubts)
    owner.execute("ALTER TABLE lab.face_t ENABLE ROW LEVEL SECURITY")
    owner.execute(
        "CREATE POLICY p ON lab.face_t FOR SELECT TO reader USING (ts > '2020-01-01')"
    )
    assert any("row-level security" in d for d in plan(source()).doubts)


@pytest.mark.parametrize("closed", ["schema", "view"])
def test_hypertable__whose_view_is_closed_has_no_borders(source, owner, closed):
    timed(owner)
    owner.execute("CREATE SCHEMA timescaledb_information")
    owner.execute(
        "CREATE VIEW timescaledb_information.chunks AS SELECT 'lab'::name AS hypertable_schema,"
        " 'face_t'::name AS hypertable_name, NULL::timestamptz AS range_end,"
        " 500::bigint AS range_end_integer"
    )
    if closed == "view":
        owner.execute("GRANT USAGE ON SCHEMA timescaledb_information TO reader")
    try:
        assert plan(source()).n_faces == 60
    finally:
        owner.execute("DROP SCHEMA timescaledb_information CASCADE")


def test_compressed_chunks__are_a_doubt_in_plan(source, owner):
    timed(owner)
    owner.execute("CREATE SCHEMA timescaledb_information")
    owner.execute(
        "CREATE VIEW timescaledb_information.chunks AS SELECT 'lab'::name AS hypertable_schema,"
        " 'face_t'::name AS hypertable_name, NULL::timestamptz AS range_end,"
        " 500::bigint AS range_end_integer, true AS is_compressed"
    )
    owner.execute("GRANT USAGE ON SCHEMA timescaledb_information TO reader")
    owner.execute("GRANT SELECT ON timescaledb_information.chunks TO reader")
    try:
        said = plan(source()).doubts
    finally:
        owner.execute("DROP SCHEMA timescaledb_information CASCADE")
    assert any("1 compressed chunks" in d and "--reread" in d for d in said)


@pytest.mark.parametrize("how", ["columns", "view"])
def test_corrections__that_cannot_be_seen_are_a_doubt_at_each_run(source, owner, tmp_path, how):
    partitioned(owner)
    table = "face_t"
    if how == "columns":
        owner.execute("REVOKE SELECT ON lab.face_t FROM reader")
        owner.execute("GRANT SELECT (frame_number, subj1, subj2) ON lab.face_t TO reader")
    else:
        table = "shown"
        owner.execute("CREATE VIEW lab.shown AS SELECT * FROM lab.face_t")
    made = source(table=table)
    store = tmp_path / "a.zarr"
    assert any("--reread" in d for d in plan(made).doubts)
    ingest(made, store, shard_frames=SHARD)
    owner.execute(f"UPDATE lab.face_t SET subj1 = {CELL % 25} WHERE frame_number = 7")
    done = ingest(made, store)
    assert done.shards_read == 0
    assert any("does not see corrections" in d for d in done.doubts)
    assert ingest(made, store, reread=True).shards_written == 1
    assert verify(store, made).equal


def test_gaps__are_not_hidden_by_repeated_rows(source, owner):
    owner.execute("CREATE TABLE lab.face_t (frame_number bigint, subj1 real[])")
    owner.execute(
        f"INSERT INTO lab.face_t SELECT g, {CELL % 33} FROM generate_series(0, 99) g"
        " WHERE g % 10 <> 5"
    )
    owner.execute(
        f"INSERT INTO lab.face_t SELECT g, {CELL % 34} FROM generate_series(0, 9) g"
        " WHERE g <> 5"
    )
    said = plan(source()).doubts
    assert any("10 frame numbers have no row" in d for d in said)
    assert any("9 of 99 rows (9.1%) share a frame" in d for d in said)


def test_locked_table__ends_in_a_sentence(source, owner, monkeypatch, postgres):
    from ingest.postgres import connections

    timed(owner)
    monkeypatch.setattr(connections, "LOCK_S", 0.5)
    with psycopg.connect(postgres.conninfo()) as holder:
        holder.execute("LOCK TABLE lab.face_t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceError, match=r"locked for more than .* try again later"):
            plan(source())


def partitioned(owner):
    owner.execute(
        "CREATE TABLE lab.face_t (frame_number bigint NOT NULL, subj1 real[], subj2 real[])"
        " PARTITION BY RANGE (frame_number)"
    )
    for i in range(PARTS):
        attach(owner, i)


def attach(owner, i):
    owner.execute(f"DROP TABLE IF EXISTS lab.p{i}")
    owner.execute(
        f"CREATE TABLE lab.p{i} PARTITION OF lab.face_t"
        f" FOR VALUES FROM ({PART * i}) TO ({PART * i + PART})"
    )
    insert(owner, i)


def insert(owner, i, table=None):
    cell = CELL % "20 + g / 10.0"
    owner.execute(
        f"INSERT INTO lab.{table or f'p{i}'} SELECT g, {cell},"
        f" CASE WHEN g % 7 > 0 THEN {cell} END"
        f" FROM generate_series({PART * i}, {PART * i + PART - 1}) g ON CONFLICT DO NOTHING"
    )


def truncate(owner, i):
    owner.execute(f"TRUNCATE lab.p{i}")


def rewrite(owner, i):
    """As a job of the database does it: for everybody else no row was ever missing."""
    with owner.transaction():
        owner.execute(f"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM lab.p{i}")
        owner.execute(f"TRUNCATE lab.p{i}")
        owner.execute(f"INSERT INTO lab.p{i} SELECT * FROM kept")


def correct(owner, i):
    owner.execute(f"UPDATE lab.p{i} SET subj1 = {CELL % 25} WHERE frame_number % 3 = 0")


def unlog(owner, i):
    owner.execute(f"ALTER TABLE lab.p{i} SET UNLOGGED")


def detach(owner, i):
    owner.execute(f"ALTER TABLE lab.face_t DETACH PARTITION lab.p{i}")


def vacuum(owner, i):
    owner.execute(f"VACUUM FULL lab.p{i}")


def delete(owner, i):
    first, last = PART * i, PART * i + 4
    owner.execute(f"DELETE FROM lab.face_t WHERE frame_number BETWEEN {first} AND {last}")


@pytest.mark.parametrize("event", [rewrite, unlog, vacuum, correct, truncate, delete])
def test_partition__that_changes_while_a_run_reads(source, owner, tmp_path, event):
    partitioned(owner)
    store, seen = tmp_path / "a.zarr", []

    def progress(done, total):
        if not seen:
            seen.append(event(owner, PARTS - 1))

    def run():
        return ingest(source(), store, shard_frames=SHARD, workers=1, progress=progress)

    if event in (truncate, delete):
        with pytest.raises(SourceChangedError, match=r"frames \[[67]0, [78]0\).*same command"):
            run()
        with pytest.raises(StoreError):
            fx.open_recording(store)
    else:
        assert run().missing == 12  # of the second person, every seventh frame
    assert ingest(source(), store).shards == 16
    assert verify(store, source()).equal


def test_partition__that_changes_at_each_reading_ends_in_an_error(source, owner, tmp_path):
    partitioned(owner)
    count = iter(range(1000))

    def progress(done, total):
        owner.execute(
            f"UPDATE lab.p0 SET subj1 = {CELL % '%s'} WHERE frame_number = 3",
            (20 + next(count) / 100,),
        )

    with pytest.raises(SourceChangedError, match="changed each of 4 times"):
        ingest(source(), tmp_path / "a.zarr", shard_frames=SHARD, progress=progress)
    ingest(source(), tmp_path / "a.zarr")
    assert verify(tmp_path / "a.zarr", source()).equal


def test_partition__touched_at_each_reading_but_not_changed_is_settled(source, owner, tmp_path):
    partitioned(owner)

    def progress(done, total):
        owner.execute("UPDATE lab.p0 SET subj1 = subj1 WHERE frame_number = 3")

    ingest(source(), tmp_path / "a.zarr", shard_frames=SHARD, progress=progress)
    assert verify(tmp_path / "a.zarr", source()).equal


def test_partition__changed_after_a_reading_without_a_change_is_read_again(
    source, owner, tmp_path
):
    partitioned(owner)
    count = iter(range(1, 1000))

    def progress(done, total):
        n = next(count)
        if n == 4 * PARTS:  # at the end of the first pass: rows with new versions, equal
            owner.execute("UPDATE lab.p0 SET subj1 = subj1")
        if n == 4 * PARTS + 4:  # at the end of the second, after that was seen
            insert(owner, 0)

    store = tmp_path / "a.zarr"
    done = ingest(source(), store, shard_frames=SHARD, workers=1, progress=progress)
    assert done.counts.duplicates == 2 * PART
    verdict = verify(store, source())
    assert verdict.equal, verdict.difference


def test_partition__truncated_while_a_later_run_reads_takes_no_frame_from_the_store(
    source, owner, tmp_path
):
    partitioned(owner)
    store = tmp_path / "a.zarr"
    ingest(source(), store, shard_frames=SHARD)
    before = fx.open_recording(store).heatmap.load()
    owner.execute("UPDATE lab.face_t SET subj1 = subj1")
    seen = []

    def progress(done, total):
        if not seen:
            seen.append(truncate(owner, PARTS - 1))

    done = ingest(source(), store, workers=1, progress=progress)
    assert any("which it keeps" in d for d in done.doubts)
    np.testing.assert_array_equal(fx.open_recording(store).heatmap, before)


class Restless(PostgresSource):
    """Something happens before each snapshot."""

    event = staticmethod(lambda: None)

    def readers(self, n):
        self.event()
        return super().readers(n)


def test_partition__detached_between_plan_and_reading_is_named(source, owner, tmp_path):
    partitioned(owner)
    made, snapshots = source(Restless), []

    def event():
        snapshots.append(0)
        if len(snapshots) == 2:  # the first is the plan's
            detach(owner, 1)

    made.event = event
    with pytest.raises(SourceChangedError, match=r"subject 1, frames \[20, 30\) .* the plan"):
        ingest(made, tmp_path / "a.zarr", shard_frames=SHARD)
    assert ingest(source(), tmp_path / "a.zarr").counts.faces == 60 + 60 - 9
    assert verify(tmp_path / "a.zarr", source()).equal


EVENTS = [rewrite, unlog, vacuum, correct, truncate, delete, detach, attach, insert]


def disturbed(make, owner, store, rng):
    """One run while partitions change at random; then the same command in peace."""

    def event(*_):
        if rng.random() < 0.4:
            with contextlib.suppress(psycopg.Error):  # a lock is ours, a partition is gone
                rng.choice(EVENTS)(owner, rng.randrange(1, PARTS))

    source = make(Restless)
    source.event = event
    outcome = "equal"
    try:
        ingest(source, store, shard_frames=SHARD, workers=rng.choice([1, 2]), progress=event)
    except SourceError as error:  # any other one fails the test
        outcome = type(error).__name__
    if outcome == "equal":  # nothing happens after the last snapshot
        verdict = verify(store, make())
        assert verdict.equal, verdict.difference
    for i in range(PARTS):
        attach(owner, i)
    ingest(make(), store, shard_frames=SHARD, reread=True)
    verdict = verify(store, make())
    assert verdict.equal, verdict.difference
    return outcome


def soaked(make, owner, folder, n, seed):
    partitioned(owner)
    rng, outcomes = random.Random(seed), []
    for i in range(n):
        outcomes.append(disturbed(make, owner, folder / f"{i}.zarr", rng))
        assert Ledger.read(folder / f"{i}.zarr").entries
    return outcomes


def test_partitions__that_come_and_go_end_equal_or_in_a_typed_error(source, owner, tmp_path):
    assert len(soaked(source, owner, tmp_path, 3, seed=4)) == 3


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_partitions__that_come_and_go_for_long(source, owner, tmp_path):
    outcomes = soaked(source, owner, tmp_path, 60, seed=5)
    assert "equal" in outcomes
    assert len(set(outcomes)) > 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_partitions__changed_by_others_at_any_time_for_long(postgres, source, owner, tmp_path):
    partitioned(owner)
    rng, stop = random.Random(6), threading.Event()

    def change():
        with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
            conn.execute("SET lock_timeout = '100ms'")
            while not stop.wait(rng.uniform(0, 0.05)):
                with contextlib.suppress(psycopg.Error):
                    rng.choice(EVENTS)(conn, rng.randrange(1, PARTS))

    for i in range(20):
        store = tmp_path / f"{i}.zarr"
        stop.clear()
        thread = threading.Thread(target=change)
        thread.start()
        with contextlib.suppress(SourceError):
            ingest(source(), store, shard_frames=SHARD)
        stop.set()
        thread.join()
        for part in range(PARTS):
            attach(owner, part)
        ingest(source(), store, shard_frames=SHARD, reread=True)
        verdict = verify(store, source())
        assert verdict.equal, verdict.difference
