"""The configuration: found, complete, private."""

import pytest

from fhemb_xr.errors import ConfigError
from ingest import settings

CANARY = "canary-7fd1"
DB = f"""\
SSH_PASSPHRASE=
REMOTE_HOST=""
REMOTE_PORT=22
SSH_USERNAME='someone'
SSH_PKEY=~/.ssh/id_rsa
REMOTE_BIND_HOST=localhost
REMOTE_BIND_PORT=5432
DB_NAME=tcamera
DB_USERNAME=reader
DB_PASSWORD="{CANARY}"
DB_HOST=localhost
DB_PORT=6543
MOUNT_NAS2=/elsewhere
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for key in [*settings.Database.model_fields, *settings.Paths.model_fields]:
        monkeypatch.delenv(key.upper(), raising=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FHEMB_CONFIG_DIR", str(tmp_path))
    return tmp_path


def write(folder, name, text, mode=0o600):
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_database__reads_the_keys_of_the_original(folder):
    write(folder, ".env.db", DB)
    found = settings.database()
    assert found.remote_host is None  # empty: no tunnel
    assert found.ssh_passphrase is None
    assert found.ssh_username == "someone"
    assert found.connection() == {
        "host": "localhost",
        "port": 6543,
        "dbname": "tcamera",
        "user": "reader",
        "password": CANARY,
    }
    assert CANARY not in f"{found!r} {found} {found.model_dump()}"


def test_database__the_environment_wins(folder, monkeypatch):
    write(folder, ".env.db", DB)
    monkeypatch.setenv("DB_HOST", "elsewhere")
    assert settings.database().db_host == "elsewhere"


def test_database__missing_says_where_and_which_keys(folder):
    with pytest.raises(ConfigError, match=r"no \.env\.db in .*DB_NAME.*REMOTE_HOST") as caught:
        settings.database()
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_database__readable_by_others_is_refused_with_the_cure(folder, mode):
    path = write(folder, ".env.db", DB, mode)
    with pytest.raises(ConfigError, match="chmod 600 " + str(path)):
        settings.database()


def test_database__an_incomplete_file_shows_no_secret(folder):
    write(folder, ".env.db", DB.replace("DB_NAME", "DB_NAM").replace("=22", f"={CANARY}"))
    with pytest.raises(ConfigError, match=r"DB_NAME: Field required") as caught:
        settings.database()
    error = caught.value
    assert "REMOTE_PORT" in str(error)
    assert error.__context__ is None
    assert error.__cause__ is None
    assert CANARY not in str(error)


def test_paths__are_expanded_and_must_be_mounted(folder, tmp_path):
    write(
        folder,
        ".env.paths",
        f'NODENAME="My Machine"\nMOUNT={tmp_path}\nAUDIOFILES=~/nowhere-x\n',
    )
    found = settings.paths()
    assert found.nodename == "My Machine"
    assert found.mounted("mount") == tmp_path
    with pytest.raises(ConfigError, match=r"AUDIOFILES is .*nowhere-x.*mount"):
        found.mounted("audiofiles")
    with pytest.raises(ConfigError, match="LOCALROOT is not set"):
        found.mounted("localroot")


def test_config_dir__is_where_the_original_had_it(monkeypatch, tmp_path):
    monkeypatch.delenv("FHEMB_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.config_dir() == tmp_path / ".config" / "fhemb"
