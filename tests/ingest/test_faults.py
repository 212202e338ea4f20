"""Runs that are killed, from a real PostgreSQL onto a real disk: nothing lost or repeated."""

import contextlib
import getpass
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import paramiko
import psutil
import psycopg
import pytest
from sshd import missing, sshd

import fhemb_xr as fx
from fhemb_xr.errors import FhembError, StoreError
from ingest.postgres.source import PostgresReader, PostgresSource
from ingest.run import ingest
from ingest.settings import Database
from ingest.ssh.tunnel import tunnel
from ingest.store.ledger import Ledger

pytestmark = pytest.mark.db
PEOPLE, N, SHARD, SHAPE = (40, 41, 53), 600, 20, (8, 6)
SHARDS = len(PEOPLE) * N // SHARD


@pytest.fixture(scope="module")
def server():
    """A server of its own: it is killed here."""
    from ingest.postgres.embedded_server import serve

    with serve() as made:
        columns = ", ".join(f"subj{who} real[]" for who in PEOPLE)
        rng = np.random.default_rng(6)
        with psycopg.connect(made.conninfo()) as conn:
            conn.execute("CREATE SCHEMA don")
            conn.execute(f"CREATE TABLE don.face_t (frame_number int PRIMARY KEY, {columns})")
            with conn.cursor().copy("COPY don.face_t FROM STDIN") as copy:
                for t in range(N):
                    faces = rng.normal(33, 2, (len(PEOPLE), *SHAPE)).round(2).tolist()
                    cells = [str(f).replace("[", "{").replace("]", "}") for f in faces]
                    copy.write_row((t, *cells))
        yield made


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """The store of a run that nobody disturbed."""
    store = tmp_path_factory.mktemp("whole") / "a.zarr"
    ingest(PostgresSource(server.connection(), "don"), store, shard_frames=SHARD)
    return data_files(store)


def data_files(store):
    """Content of every file but the attributes, which hold the time of making."""
    every = (p for p in Path(store).rglob("*") if p.is_file() and p != store / "zarr.json")
    return {str(p.relative_to(store)): p.read_bytes() for p in every}


@pytest.fixture(scope="module")
def ssh(server, tmp_path_factory):
    """A real sshd before the server, and how to get in."""
    folder = tmp_path_factory.mktemp("ssh")
    keys = {name: paramiko.ECDSAKey.generate() for name in ("host", "client")}
    keys["client"].write_private_key_file(str(folder / "id"))
    with sshd(keys, folder) as made:
        name = f"[127.0.0.1]:{made.port}"
        host = keys["host"]
        (folder / "known").write_text(f"{name} {host.get_name()} {host.get_base64()}\n")
        made.settings = {
            "db_name": server.dbname,
            "db_username": server.user,
            "remote_host": "127.0.0.1",
            "remote_port": made.port,
            "ssh_username": getpass.getuser(),
            "ssh_pkey": folder / "id",
            "remote_bind_host": server.host,
            "remote_bind_port": server.port,
        }
        made.known = [folder / "known"]
        yield made


def run(store, connection, log, settings, known):
    """One run in a process of its own, which notes what it reads. Exit: 0, 1 refused."""
    read = PostgresReader.read

    def noted(self, block, place):
        line = f"{block.session},{block.subject},{block.start}\n"
        os.write(log_file, line.encode())
        time.sleep(0.02)  # else it is over before it is killed
        read(self, block, place)

    log_file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    PostgresReader.read = noted
    try:
        with tunnel(Database(**settings), known) as way:
            source = PostgresSource(connection, "don", way=way)
            ingest(source, store, shard_frames=SHARD, workers=2)
    except FhembError:
        os._exit(1)


def published(store):
    if not (store / "heatmap" / "ledger.jsonl").exists():
        return set()
    return {",".join(map(str, key)) for key in Ledger.read(store).entries}


def kill_backend(connection):
    """SIGKILL one backend of the run: the server ends all others and starts anew."""
    where = {**connection, "application_name": "killer", "connect_timeout": 5}
    try:
        with psycopg.connect(**where) as conn:
            found = conn.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'fhemb_xr ingest'"
            ).fetchall()
        for (pid,) in found[:1]:
            os.kill(pid, signal.SIGKILL)
        return bool(found)
    except (psycopg.OperationalError, ProcessLookupError):
        return False  # it was just starting anew, or the run had ended


def answers(connection):
    for _ in range(200):
        try:
            psycopg.connect(**connection, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("the server did not come back")


def kill_tunnel(ssh):
    """SIGKILL what sshd has for one connection."""
    found = ssh.sessions()
    with contextlib.suppress(psutil.NoSuchProcess):
        for session in found[-1:]:
            session.kill()
    return bool(found)


def struck(done):
    """Kills that met something alive."""
    return sum(done[what] for what in ("run", "database", "tunnel"))


def disturbed(store, connection, ssh, done, kills):
    """Run until the store is whole, killing run, database or tunnel, and count into ``done``.

    Of the runs those that found something published before them are ``resumed``; ``twice``
    counts what any of them read although it was published. A kill that met nothing alive is
    tried again.
    """
    rng = random.Random(store.name)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ingest.run", "ingest.ssh.tunnel", "paramiko"])
    log = store.with_suffix(".log")
    while True:
        before = published(store)
        done["runs"] += 1
        done["resumed"] += bool(before)
        log.unlink(missing_ok=True)
        process = context.Process(
            target=run, args=(store, connection, log, ssh.settings, ssh.known)
        )
        process.start()
        if struck(done) < kills:
            # one in ten before it has begun, half with something published, others at its start
            luck = rng.random()
            while process.is_alive() and not (
                luck < 0.1 or (published(store) - before if luck < 0.6 else log.exists())
            ):
                process.join(0.01)
            process.join(rng.uniform(0.0, 0.3 if luck < 0.6 else 1.0))
            what = ("run", "database", "run", "tunnel")[struck(done) % 4]
            alive = process.is_alive()
            if what == "run":
                process.kill()
            elif what == "database":
                alive = alive and kill_backend(connection)
            else:
                alive = alive and kill_tunnel(ssh)
            done[what] += alive
        process.join(120)
        assert process.exitcode in (0, 1, -signal.SIGKILL), "no typed error"
        answers(connection)
        begun = log.read_text().split() if log.exists() else []
        done["read"] += len(begun)
        done["twice"] += len(set(begun) & before)
        if process.exitcode == 0:
            return
        if store.exists():
            with pytest.raises(StoreError):
                fx.open_recording(store)


@missing
def test_kills__of_run_database_and_tunnel_leave_the_same_store(server, ssh, whole, tmp_path):
    done = Counter()
    disturbed(tmp_path / "a.zarr", server.connection(), ssh, done, kills=3)
    assert struck(done)
    assert not done["twice"], "read again what was published"
    assert data_files(tmp_path / "a.zarr") == whole


@missing
@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(8))
def test_kills__two_hundred_leave_the_same_store(server, ssh, whole, tmp_path, part):
    done = Counter()
    while struck(done) < 25:
        done["stores"] += 1
        path = tmp_path / f"{part}-{done['stores']}.zarr"
        disturbed(path, server.connection(), ssh, done, kills=25)
        assert data_files(path) == whole
    print(dict(done))  # shown by -s or -rP
    assert not done["twice"], done
    assert done["resumed"] >= 3, done
    assert min(done["database"], done["tunnel"]) >= 6, done


TINY = """
import sys, os
from pathlib import Path
folder = Path(sys.argv[1])
from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files as files
from ingest.run import ingest
from ingest.source import PostgresSource
from ingest.store.verification import verify
source = PostgresSource(os.environ["SOURCE"], "don")
ballast = folder / "ballast"
ballast.write_bytes(bytes(700_000))
files.require_room = lambda *_: None  # the forecast would refuse at once
try:
    ingest(source, folder / "a.zarr", shard_frames=60, float32=True)
except StoreError as error:
    print(error)
ballast.unlink()
done = ingest(source, folder / "a.zarr")
assert 0 < done.shards_written < done.shards, done
assert verify(folder / "a.zarr", source).equal
print("whole")
"""


def mounting(folder):
    """A command that runs the rest with a small disk at a folder, seen by nobody else."""
    script = f'mkdir -p {folder} && mount -t tmpfs -o size=1m tmpfs {folder} && exec "$@"'
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh"]


def test_disk__that_is_full_is_one_sentence_and_goes_on_with_room(server, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    probe = subprocess.run([*mounting(folder), "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no small disk: mounting a tmpfs is not permitted here")
    command = [*mounting(folder), sys.executable, "-c", TINY, str(folder)]
    environment = {**os.environ, "SOURCE": server.conninfo()}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    sentence, end = ran.stdout.splitlines()
    assert "cannot write to" in sentence
    assert "No space left on device" in sentence
    assert "the same command continues from there" in sentence
    assert end == "whole"
