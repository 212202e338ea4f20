"""The whole way from a real PostgreSQL: layouts, values, faults, secrets."""

import datetime
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_xr.errors import SourceError
from ingest import cli
from ingest.hints import Hints, read_hints
from ingest.planning import plan
from ingest.postgres.connections import guarded
from ingest.postgres.source import PostgresSource
from ingest.run import ingest
from ingest.source import ConnectionLost
from ingest.store import filling
from ingest.store.ledger import Ledger
from ingest.store.verification import verify

pytestmark = pytest.mark.db
CANARY = "canary-3b9e"
PACKING_C = 0.005001
N, GAP = 60, range(20, 23)


def audience():
    """Frames of four people: changing shapes, missing faces, nobody in the second seat."""
    rng = np.random.default_rng(3)
    shapes = [(6, 5), (5, 6), (4, 4)]
    people = {}
    for who in (40, 41, 53, 54):
        cut = [shapes[(i // 7) % 3] if who == 40 else (5, 5) for i in range(N)]
        people[who] = [rng.normal(33, 2, s).astype("f4") for s in cut]
    people[41] = [None] * N
    people[53][4] = people[53][N - 1] = None
    people[54][9][0, 0] = np.nan
    return people


def expected(people, grid=(6, 6)):
    """The cube that they must become, as numpy makes it."""
    cube = np.full((len(people), N, *grid), np.nan, "f4")
    for k, frames in enumerate(people.values()):
        for i, frame in enumerate(frames):
            if frame is not None and i not in GAP:
                (h, w), (high, wide) = frame.shape, grid
                top, left = (high - h) // 2, (wide - w) // 2
                cube[k, i, top : top + h, left : left + w] = frame
    return cube


@pytest.fixture
def database(postgres):
    """``database("don")`` is a connection with that schema, empty; gone at the end."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        for name in ("don", "tosca"):
            conn.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
            )
            conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        yield conn
        conn.execute("DROP SCHEMA don, tosca CASCADE")


def nested(frame, kind=float):
    return None if frame is None else [[kind(v) for v in line] for line in frame.tolist()]


def insert(conn, table, rows):
    marks = sql.SQL(", ").join([sql.Placeholder()] * len(rows[0]))
    query = sql.SQL("INSERT INTO {} VALUES ({})").format(
        sql.Identifier(*table.split(".")), marks
    )
    with conn.cursor() as cursor:
        cursor.executemany(query, rows)


def wide(conn, people, type_="real", schema="don", kind=float, primary="PRIMARY KEY"):
    columns = ", ".join(f"subj{who} {type_}[]" for who in people)
    places = ", ".join(f"subj{who} real[]" for who in people)
    conn.execute(f"CREATE TABLE {schema}.face_t (frame_number integer {primary}, {columns})")
    conn.execute(f"CREATE TABLE {schema}.faceposition_t (frame_number integer, {places})")
    frames, positions = [], []
    for i in reversed([i for i in range(N) if i not in GAP]):  # the order must not matter
        cells = [person[i] for person in people.values()]
        frames.append((i, *(nested(c, kind) for c in cells)))
        at = [
            c if c is None else [float(who), float(i)]
            for who, c in zip(people, cells, strict=True)
        ]
        positions.append((i, *at))
    insert(conn, f"{schema}.face_t", frames)
    insert(conn, f"{schema}.faceposition_t", positions)


@pytest.fixture
def people():
    return audience()


@pytest.fixture
def source(postgres, database, people):
    wide(database, people)
    return PostgresSource(postgres.conninfo(), "don")


def check(store, people, atol=PACKING_C):
    ds = fx.open_recording(store)
    assert ds.subject.values.tolist() == list(people)
    np.testing.assert_allclose(ds.heatmap[:, 0].values, expected(people), atol=atol)
    return ds


def test_wide__every_value_is_what_was_loaded(source, people, tmp_path):
    done = ingest(source, tmp_path / "a.zarr", shard_frames=25)
    ds = check(tmp_path / "a.zarr", people)
    assert ds.height[0, 0].values[[0, 7, 14, 20]].tolist() == [6, 5, 4, 0]
    assert ds.width[0, 0].values[[0, 7, 14, 20]].tolist() == [5, 6, 4, 0]
    assert not ds.height.sel(subject=41).any()
    assert ds.position.sel(subject=53, session="don").values[8].tolist() == [53, 8]
    assert np.isnan(ds.position.sel(subject=53, session="don").values[4]).all()
    faces = sum(
        f is not None for who in people.values() for i, f in enumerate(who) if i not in GAP
    )
    assert done.counts.faces == faces
    assert done.counts.rows == 4 * 57
    assert done.missing == 4 * N - faces
    assert verify(tmp_path / "a.zarr", source).equal


def test_wide__people_and_frames_can_be_chosen(source, people, tmp_path):
    ingest(source, tmp_path / "a.zarr", subjects=[(40, 41), 54], frames=(5, 30), grid=(6, 6))
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.subject.values.tolist() == [40, 41, 54]
    cube = expected(people)[[0, 1, 3], 5:30]
    np.testing.assert_allclose(ds.heatmap[:, 0].values, cube, atol=PACKING_C)
    assert ds.frame.values[[0, -1]].tolist() == [5, 29]


@pytest.mark.parametrize(
    ("type_", "kind", "scale"), [("double precision", float, None), ("smallint", int, 0.01)]
)
def test_wide__other_numbers(postgres, database, people, tmp_path, type_, kind, scale):
    if scale:
        people = {
            who: [f if f is None else np.nan_to_num(np.round(f, 2), nan=0) for f in frames]
            for who, frames in people.items()
        }
        stored = {
            who: [f if f is None else np.rint(f / scale).astype(int) for f in frames]
            for who, frames in people.items()
        }
        wide(database, stored, type_, kind=kind)
    else:
        wide(database, people, type_)
    made = PostgresSource(postgres.conninfo(), "don", hints=Hints(scale=scale))
    ingest(made, tmp_path / "a.zarr")
    check(tmp_path / "a.zarr", people)


@pytest.mark.parametrize("clock", ["integer", "timestamptz"])
@pytest.mark.parametrize("layout", ["tall", "bytea", "long"])
def test_layouts__all_give_the_same_recording(
    postgres, database, people, tmp_path, layout, clock
):
    start = datetime.datetime(2024, 3, 1, 20, tzinfo=datetime.UTC)
    cells = {
        "tall": "frame real[]",
        "bytea": "h integer, w integer, data bytea",
        "long": "y smallint, x smallint, value real",
    }
    database.execute(f"CREATE TABLE don.face_t (t {clock}, subject integer, {cells[layout]})")
    rows = []
    for who, frames in people.items():
        for i, frame in enumerate(frames):
            at = start + datetime.timedelta(seconds=i / 25) if clock != "integer" else i
            if i in GAP or (frame is None and layout == "long"):
                continue
            if layout == "long":
                rows += [(at, who, y, x, float(v)) for (y, x), v in np.ndenumerate(frame)]
            elif layout == "tall":
                rows.append((at, who, nested(frame)))
            elif frame is None:
                rows.append((at, who, None, None, None))
            else:
                rows.append((at, who, *frame.shape, frame.tobytes()))
    insert(database, "don.face_t", rows)
    made = PostgresSource(postgres.conninfo(), "don")
    ingest(made, tmp_path / "a.zarr", shard_frames=25, subjects="all")
    if layout == "long":  # somebody without a row is nobody to a long table
        people.pop(41)
        ds = fx.open_recording(tmp_path / "a.zarr")
        np.testing.assert_allclose(
            ds.heatmap[:, 0].values[:, : N - 1], expected(people)[:, : N - 1], atol=PACKING_C
        )
    else:
        check(tmp_path / "a.zarr", people)


def test_long__a_null_is_a_pixel_and_a_pixel_that_comes_late_is_found(
    postgres, database, tmp_path
):
    database.execute("CREATE TABLE don.face_t (t int, subject int, y int, x int, value real)")
    pixels = [
        (t, who, y, x, None if (t, y, x) == (2, 1, 1) else 30 + t + y + x / 10)
        for who in (40, 41)
        for t in range(6)
        for y in range(2)
        for x in range(3)
        if (t, who, y, x) != (4, 41, 1, 2)
    ]
    insert(database, "don.face_t", np.random.default_rng(1).permutation(pixels).tolist())
    source, store = PostgresSource(postgres.conninfo(), "don"), tmp_path / "a.zarr"
    done = ingest(source, store, shard_frames=3)
    assert (done.counts.faces, done.counts.misshapen) == (11, 1)
    heat = fx.open_recording(store).heatmap
    assert np.isnan(heat[:, 0, 2, 1, 1]).all()
    np.testing.assert_allclose(heat[0, 0, 5, 1], [36, 36.1, 36.2], atol=PACKING_C)
    with source.readers(1) as (reader,):  # as counted while reading, so as the server counts
        for entry in Ledger.read(store).entries.values():
            assert entry.version == reader.version(*entry.key, entry.stop), entry.key
    assert ingest(source, store).shards_read == 0
    database.execute("INSERT INTO don.face_t VALUES (4, 41, 1, 2, 33)")
    done = ingest(source, store)
    assert (done.shards_read, done.counts.faces, done.counts.misshapen) == (1, 12, 0)


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
@pytest.mark.parametrize("shared", [True, False])
def test_wide__bytes_have_their_shape_beside_them(
    postgres, database, people, tmp_path, shared, dtype
):
    people = {who: people[53 if shared else who] for who in people}
    scale = 0.01 if dtype == "uint16" else None
    if scale:
        people = {
            w: [f if f is None else np.nan_to_num(np.round(f, 2)) for f in fs]
            for w, fs in people.items()
        }
    sides = ["height integer, width integer"] * shared
    cells = [
        f"subj{w} bytea" + f", subj{w}_h integer, subj{w}_w smallint" * (not shared)
        for w in people
    ]
    columns = ", ".join([*sides, *cells])
    database.execute(f"CREATE TABLE don.face_t (frame_number integer PRIMARY KEY, {columns})")
    rows = []
    for i in (i for i in range(N) if i not in GAP):
        row = [i, 5, 5] if shared else [i]
        for frames in people.values():
            f = frames[i]
            raw = None if f is None else (np.rint(f / scale) if scale else f).astype(dtype)
            cell = [None if f is None else raw.tobytes()]
            row += cell if shared else [*cell, *((None, None) if f is None else f.shape)]
        rows.append(row)
    insert(database, "don.face_t", rows)
    hints = Hints(bytes_dtype=dtype, scale=scale)
    made = PostgresSource(postgres.conninfo(), "don", hints=hints)
    assert made.found().layout == "wide"
    ingest(made, tmp_path / "a.zarr", shard_frames=25, grid=(6, 6))
    check(tmp_path / "a.zarr", people)


def test_wide__columns_may_be_named_in_the_toml(postgres, database, people, tmp_path):
    wide(database, people)
    for who in people:
        database.execute(f"ALTER TABLE don.face_t RENAME subj{who} TO seat_{who}")
    layout = tmp_path / "layout.toml"
    layout.write_text("[subjects]\n" + "".join(f'{w} = "seat_{w}"\n' for w in people))
    made = PostgresSource(postgres.conninfo(), "don", hints=read_hints(layout))
    ingest(made, tmp_path / "a.zarr")
    assert check(tmp_path / "a.zarr", people).position.notnull().any()
    layout.write_text('[subjects]\n40 = "seat_4"\n')
    with pytest.raises(SourceError, match=r"no column 'seat_4' .* nearest are seat_"):
        PostgresSource(postgres.conninfo(), "don", hints=read_hints(layout)).found()


@pytest.mark.parametrize("clock", ["integer", "timestamptz"])
def test_hypertable__ranges_are_cut_at_its_chunks_and_nothing_changes(
    postgres, database, tmp_path, clock
):
    start = datetime.datetime(2024, 3, 1, 20, tzinfo=datetime.UTC)
    at = [
        i if clock == "integer" else start + datetime.timedelta(seconds=i / 25)
        for i in range(N)
    ]
    frame = np.full((2, 3), 30.0)
    database.execute(f"CREATE TABLE don.face_t (t {clock} PRIMARY KEY, subj40 real[])")
    insert(database, "don.face_t", [(t, (frame + i / 10).tolist()) for i, t in enumerate(at)])
    made = PostgresSource(postgres.conninfo(), "don")
    ingest(made, tmp_path / "plain.zarr", shard_frames=25)
    database.execute("CREATE SCHEMA timescaledb_information")
    try:  # the extension's view, as a table
        database.execute(
            "CREATE TABLE timescaledb_information.chunks (hypertable_schema name,"
            " hypertable_name name, range_end timestamptz, range_end_integer bigint)"
        )
        ends = [(None, at[i]) if clock == "integer" else (at[i], None) for i in (10, 30, 50)]
        insert(
            database,
            "timescaledb_information.chunks",
            [("don", "face_t", *e) for e in ends],
        )
        cut = PostgresSource(postgres.conninfo(), "don")
        cut.found()
        borders = [10, 30, 50] if clock == "integer" else [11, 31, 51]  # never within a frame
        assert list(cut.layout("don").borders) == borders
        ingest(cut, tmp_path / "cut.zarr", shard_frames=25)
    finally:
        database.execute("DROP SCHEMA timescaledb_information CASCADE")
    whole, parts = (fx.open_recording(tmp_path / f"{n}.zarr") for n in ("plain", "cut"))
    assert whole.drop_attrs().identical(parts.drop_attrs())


def test_plan__says_how_long_it_takes(source):
    made = plan(source, timed=True)
    assert made.frames_per_s > 0
    assert made.seconds == pytest.approx(made.n_faces / made.frames_per_s)
    assert plan(source).seconds is None


def test_sessions__one_for_each_schema(postgres, database, people, tmp_path):
    wide(database, people)
    wide(database, {who: people[who] for who in (53, 54)}, schema="tosca")
    ingest(PostgresSource(postgres.conninfo(), ["don", "tosca"]), tmp_path / "a.zarr")
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.session.values.tolist() == ["don", "tosca"]
    cube = expected(people)
    np.testing.assert_allclose(ds.heatmap[:, 0].values, cube, atol=PACKING_C)
    np.testing.assert_allclose(ds.heatmap[2:, 1].values, cube[2:], atol=PACKING_C)
    assert np.isnan(ds.heatmap[:2, 1].values).all()


def test_wide__repeated_frames_are_counted(postgres, database, people, tmp_path):
    wide(database, people, primary="")
    database.execute("INSERT INTO don.face_t SELECT * FROM don.face_t WHERE frame_number = 30")
    made = PostgresSource(postgres.conninfo(), "don")
    assert any("nothing forbids two rows" in d for d in plan(made).doubts)
    assert ingest(made, tmp_path / "a.zarr").counts.duplicates == 4
    check(tmp_path / "a.zarr", people)
    with pytest.raises(SourceError, match="1 duplicates"):
        ingest(made, tmp_path / "b.zarr", strict=True)
    assert not (tmp_path / "b.zarr").exists()  # nothing was written


@pytest.mark.parametrize(
    ("schema", "table", "text"),
    [
        ("don", "face", r"no table 'don\.face' .* nearest are don\.face_t"),
        ("donx", "face_t", r"no table 'donx\.face_t'.*don\.face_t"),
        ("don", 'face_t"; DROP TABLE don.face_t; --', "no table"),
        ("pg_catalog", "pg_class", "holds no matrices"),
    ],
)
def test_find__says_what_is_there(source, postgres, schema, table, text):
    with pytest.raises(SourceError, match=text):
        PostgresSource(postgres.conninfo(), schema, table).found()
    assert source.found().subjects == (40, 41, 53, 54)


def test_snapshot__a_change_meanwhile_is_read_again(source, database, people, tmp_path):
    changes = []

    def change(done, total):
        if not changes:
            changes.append(database.execute("UPDATE don.face_t SET subj53 = subj54"))

    ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2, progress=change)
    people[53] = people[54]
    check(tmp_path / "a.zarr", people)
    assert verify(tmp_path / "a.zarr", source).equal


def test_snapshot__faces_that_go_meanwhile_are_named(source, database, tmp_path):
    def change(done, total):
        database.execute("UPDATE don.face_t SET subj54 = NULL")

    with pytest.raises(SourceError, match=r"subject 54, .* 0 faces, the plan counted 57"):
        ingest(source, tmp_path / "a.zarr", shard_frames=10, progress=change)
    assert ingest(source, tmp_path / "a.zarr").missing == 4 * N - 57 - 55


def test_snapshot__is_one_for_all_readers(source, database):
    with source.readers(2) as readers:
        database.execute("UPDATE don.face_t SET subj54 = NULL")
        counts = [r.faces("don", [54], 0, N)[54] for r in readers]
    assert counts == [57, 57]


def test_readers__cannot_write(source):
    with source.readers(2) as readers, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        readers[1]._open().execute("DELETE FROM don.face_t")


def test_backend__killed_while_reading_is_read_again(
    source, database, people, tmp_path, monkeypatch
):
    monkeypatch.setattr(filling, "BACKOFF_S", 0.01)
    killed = []

    def kill(done, total):
        if not killed:
            killed.append(True)
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'fhemb_xr ingest'"
            )

    ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2, progress=kill)
    assert killed
    check(tmp_path / "a.zarr", people)


def test_watchdog__breaks_a_connection_that_sends_nothing(postgres, database, people):
    wide(database, people)
    made = PostgresSource(postgres.conninfo(), "don", stall_s=0.5)
    with made.readers(1) as readers:
        reader = readers[0]
        started = time.monotonic()
        with pytest.raises(ConnectionLost), reader.line.within(0.5):
            guarded(str, lambda: reader._open().execute("SELECT pg_sleep(20)"))
    assert time.monotonic() - started < 8


def test_cancel__stops_a_statement_soon(source):
    with source.readers(1) as readers:
        threading.Timer(0.3, readers[0].cancel).start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="cancel"):
            readers[0]._all(sql.SQL("SELECT pg_sleep(20)").format())
    assert time.monotonic() - started < 5


@pytest.fixture
def configured(postgres, source, tmp_path, monkeypatch):
    """A configuration folder that leads to the database, with a password to look for."""
    folder = tmp_path / "config"
    folder.mkdir()
    path = folder / ".env.db"
    path.write_text(
        f"DB_HOST={postgres.host}\nDB_PORT={postgres.port}\nDB_NAME={postgres.dbname}\n"
        f"DB_USERNAME={postgres.user}\nDB_PASSWORD={postgres.password}\nREMOTE_HOST=\n"
    )
    path.chmod(0o600)
    return {**os.environ, "FHEMB_CONFIG_DIR": str(folder)}


def fhemb(environment, *args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], env=environment)


def test_cli__plan_run_verify(configured, people, tmp_path):
    store = tmp_path / "a.zarr"
    planned = fhemb(configured, "plan", "--schema", "don", "--json")
    assert json.loads(planned.stdout)["subjects"] == [40, 41, 53, 54], planned.stderr
    ran = fhemb(
        configured, "run", store, "--schema", "don", "--title", "Don Giovanni", "--json"
    )
    assert json.loads(ran.stdout)["shards_written"] == 4, ran.stderr
    assert check(store, people).attrs["title"] == "Don Giovanni"
    assert fhemb(configured, "verify", store, "--schema", "don").exit_code == 0
    again = fhemb(configured, "run", store, "--schema", "don")
    assert "0 of them written now" in again.stdout
    wrong = fhemb(configured, "run", tmp_path / "b.zarr", "--schema", "don", "--table", "face")
    assert wrong.exit_code == 1
    assert re.search(r"no table 'don.face'.*don.face_t", wrong.stderr)
    assert "Traceback" not in wrong.stderr
    assert fhemb(configured, "run", store, "--schema", "don", "--frames", "a:b").exit_code == 2
    assert fhemb(configured, "--help").exit_code == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_cli__stopped_anywhere_it_goes_on(configured, people, tmp_path, sign):
    store = tmp_path / "a.zarr"
    command = [sys.executable, "-c", SLOW, str(store)]
    process = subprocess.Popen(command, env=configured, stderr=subprocess.PIPE, text=True)
    ledger = store / "heatmap" / "ledger.jsonl"
    while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 3):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(sign)
    _, talk = process.communicate(timeout=20)
    assert process.returncode in (130, -signal.SIGKILL), talk
    assert "Traceback" not in talk
    with pytest.raises(fx.errors.StoreError):
        fx.open_recording(store)
    done = fhemb(configured, "run", store, "--schema", "don", "--json")
    assert 0 < json.loads(done.stdout)["shards_written"] < 24
    check(store, people)


SLOW = """
import sys, time
from ingest import cli, run
from ingest.store import filling
from ingest.hints import Request
read = filling._read
def slowly(*args):
    time.sleep(0.05)
    return read(*args)
filling._read = slowly
def ten(**asked):
    return Request(**(asked | {"shard_frames": 10}))
run.Request = ten
sys.argv = ["ingest", "run", sys.argv[1], "--schema", "don"]
cli.app()
"""


def test_secrets__reach_nothing_that_is_shown(postgres, source, tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    given = {"host": postgres.host, "port": postgres.port, "dbname": "no-such-db"}
    given |= {"user": postgres.user, "password": CANARY}
    made = PostgresSource(given, "don")
    shown = [repr(made), str(made)]
    for broken in (
        made,
        PostgresSource({**given, "port": 1}, "don"),
        PostgresSource("host=127.0.0.1 port=1 password=" + CANARY, "don"),
    ):
        with pytest.raises(SourceError) as caught:
            broken.found()
        assert caught.value.__context__ is None
        shown.append("".join(traceback.format_exception(caught.value)))
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [f for f in frames.stack if "/psycopg/" in f.filename]
        assert not ours  # whose local variables hold the password
    with pytest.raises(TypeError, match="password"):
        pickle.dumps(made)
    good = PostgresSource(
        given | {"dbname": postgres.dbname, "password": postgres.password}, "don"
    )
    ingest(good, tmp_path / "a.zarr")
    out, err = capfd.readouterr()
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    for secret in (CANARY, postgres.password):
        if secret:
            assert secret not in "".join(shown) + caplog.text + out + err
            assert secret.encode() not in stored


def test_connection__unreachable_is_one_sentence(postgres):
    with pytest.raises(SourceError, match="cannot connect to the database"):
        PostgresSource("host=127.0.0.1 port=1 dbname=x", "don").found()
    assert PostgresSource("", "don").schemas == ("don",)
