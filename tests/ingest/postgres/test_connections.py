"""The way to the database under fire: holes, dead tunnels and backends, Ctrl-C, odd names."""

import contextlib
import getpass
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sshd import missing, sshd

from fhemb_xr.errors import SourceError
from ingest.postgres import connections
from ingest.postgres.connections import Door
from ingest.postgres.source import PostgresSource
from ingest.run import ingest
from ingest.settings import Database
from ingest.shards import Counts
from ingest.source import SnapshotLost, in_threads
from ingest.ssh.tunnel import tunnel
from ingest.store import filling
from tests.ingest.postgres.test_source import N, audience, check, wide

pytestmark = pytest.mark.db
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"


@pytest.fixture
def database(postgres):
    """A connection to a database that has the wide table; all of it gone at the end."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        conn.execute("CREATE SCHEMA don")
        wide(conn, audience())
        yield conn
        conn.execute("DROP SCHEMA don CASCADE")


@pytest.fixture
def source(postgres, database):
    return PostgresSource(postgres.conninfo(), "don")


def backends(conn):
    return [pid for (pid,) in conn.execute(OURS, (connections.NAME,))]


def gone(conn, within_s):
    until = time.monotonic() + within_s
    while backends(conn) and time.monotonic() < until:
        time.sleep(0.05)
    return not backends(conn)


def test_door__sets_every_limit_on_the_server(postgres):
    with Door(postgres.conninfo(), None, statement_s=7).open(idle_s=9) as conn:
        found = {
            name: conn.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]
            for name in (
                "statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout",
                "application_name", "client_connection_check_interval",
                "transaction_read_only", "transaction_isolation",
            )
        }  # fmt: skip
    assert list(found.values()) == [
        "7s", "9s", "30s", connections.NAME, "5s", "on", "repeatable read",
    ]  # fmt: skip


def test_door__ends_a_long_statement(source, postgres):
    source.door.statement_s = 0.3
    with source.readers(1) as (reader,), pytest.raises(SourceError, match="statement timeout"):
        reader._all(sql.SQL("SELECT pg_sleep(20)").format())


def test_copy__left_early_leaves_no_connection_that_is_used_again(source):
    layout = None
    with source.readers(1) as (reader,):
        layout = source.layout("don")
        first = next(reader._rows(layout, (40, 0, N), Counts()))
        assert first
        reader.reconnect()
        assert reader.faces("don", [40], 0, N)[40] == 57


def test_snapshot__lost_stops_all_and_the_next_one_is_not_mixed_in(source, database):
    with source.readers(2) as readers:
        database.execute("SELECT pg_terminate_backend(%s)", (pid(readers[0]._snapshot),))
        with pytest.raises(SnapshotLost):
            readers[0].reconnect()
        database.execute("UPDATE don.face_t SET subj54 = NULL")
        assert readers[1].faces("don", [54], 0, N)[54] == 57  # still in the old one


def pid(line):
    return line.conn.info.backend_pid


def test_snapshot__lost_in_a_run_is_followed_by_one_that_reads_what_changed(
    source, database, tmp_path, monkeypatch
):
    monkeypatch.setattr(filling, "BACKOFF_S", 0.01)
    people, killed = audience(), []

    def kill(done, total):
        if not killed and done > total / 2:
            killed.append(True)
            database.execute("UPDATE don.face_t SET subj40 = subj54")  # was read before
            for one in backends(database):
                database.execute("SELECT pg_terminate_backend(%s)", (one,))

    ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2, progress=kill)
    assert killed
    check(tmp_path / "a.zarr", people | {40: people[54]})


def test_ctrl_c__ends_in_two_seconds_and_leaves_no_backend(source, database):
    stop, main = threading.Event(), threading.main_thread().ident
    with source.readers(3) as readers:
        threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            in_threads(lambda r: r._all(sql.SQL("SELECT pg_sleep(60)").format()), readers, stop)
    assert time.monotonic() - started < 2.5
    assert stop.is_set()
    assert gone(database, 1)


SLEEPER = """
import sys
from ingest.source import PostgresSource
from psycopg import sql
source = PostgresSource(sys.stdin.readline().strip(), "don")
with source.readers(2) as readers:
    print("there", flush=True)
    readers[1]._all(sql.SQL("SELECT pg_sleep(60)").format())
"""


def test_sigkill__leaves_no_backend_that_goes_on(postgres, database, monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write(postgres.conninfo() + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"
        time.sleep(0.3)
        process.kill()
    assert backends(database)  # the server does not know yet
    assert gone(database, connections.CHECK_S + 4)


@pytest.fixture(params=["openssh", "sshtunnel"])
def through(request, postgres, database, tmp_path, monkeypatch):
    """A real sshd before the database, and ``through(way)``: a source behind a tunnel."""
    monkeypatch.setattr(filling, "BACKOFF_S", 0.01)
    monkeypatch.setattr(connections, "CONNECT_S", 2)
    keys = {name: paramiko.ECDSAKey.generate() for name in ("host", "client")}
    keys["client"].write_private_key_file(str(tmp_path / "id"))
    with sshd(keys, tmp_path) as server:
        known = tmp_path / "known"
        host = keys["host"]
        known.write_text(f"[127.0.0.1]:{server.port} {host.get_name()} {host.get_base64()}\n")
        asked = Database(
            db_name="x", db_username="x", tunnel=request.param,
            remote_host="127.0.0.1", remote_port=server.port, ssh_username=getpass.getuser(),
            ssh_pkey=tmp_path / "id", remote_bind_host="127.0.0.1",
            remote_bind_port=postgres.port,
        )  # fmt: skip
        with tunnel(asked, [known]) as way:
            yield server, PostgresSource(postgres.conninfo(), "don", way=way, stall_s=1)


def freeze(server):
    """What is open through the tunnel is in a black hole from now on: nothing is refused."""
    for session in server.sessions():
        with contextlib.suppress(ProcessLookupError):
            os.kill(session.pid, signal.SIGSTOP)


def cut(server):
    for session in server.sessions():
        session.kill()


@missing
@pytest.mark.parametrize("fault", [freeze, cut])
def test_tunnel__that_dies_is_dug_again_and_nothing_is_lost(through, tmp_path, fault):
    server, source = through
    done_at = []

    def strike(done, total):
        if not done_at and done > total / 3:
            done_at.append(done)
            fault(server)

    started = time.monotonic()
    source.door.statement_s = 2  # a hole in a count is seen after that
    done = ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2, progress=strike)
    assert done_at
    assert time.monotonic() - started < 30
    assert done.shards == 24
    check(tmp_path / "a.zarr", audience())


@missing
def test_tunnel__that_cannot_be_dug_again_ends_with_an_error(through, tmp_path):
    server, source = through

    def strike(done, total):
        sessions = server.sessions()
        server.process.terminate()
        server.process.wait()
        for session in sessions:
            session.kill()

    started = time.monotonic()
    with pytest.raises(SourceError, match="does not answer"):
        ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2, progress=strike)
    assert time.monotonic() - started < 30


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
hostile = st.sampled_from(
    ['face_t"; DROP TABLE don.face_t; --', "face_t' OR 1=1", '"', "''", "%s", "{}", "$1", "a.b"]
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=names | hostile, table=names | hostile)
def test_names__are_only_names(postgres, database, schema, table):
    with pytest.raises(SourceError, match=r"no table|cannot"):
        PostgresSource(postgres.conninfo(), schema, table).found()
    assert database.execute("SELECT count(*) FROM don.face_t").fetchone() == (57,)


@pytest.mark.parametrize("name", ['f"; DROP SCHEMA don CASCADE; --', "Größe %s {} '", "select"])
def test_names__however_odd_are_read(postgres, database, name, tmp_path):
    database.execute(
        sql.SQL("ALTER TABLE don.face_t RENAME TO {}").format(sql.Identifier(name))
    )
    made = PostgresSource(postgres.conninfo(), "don", name)
    assert made.found().subjects == (40, 41, 53, 54)
    ingest(made, tmp_path / "a.zarr", workers=1)
    check(tmp_path / "a.zarr", audience())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_tunnel__struck_again_and_again_loses_nothing(through, tmp_path):
    server, source = through
    on = threading.Event()

    def strike():
        while not on.wait(0.7):
            cut(server)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(strike)
        try:
            for _ in range(20):
                with contextlib.suppress(SourceError):
                    ingest(source, tmp_path / "a.zarr", shard_frames=10, workers=2)
        finally:
            on.set()
    ingest(source, tmp_path / "a.zarr", shard_frames=10)
    check(tmp_path / "a.zarr", audience())
