"""The configuration: found, complete, private."""

import os
import textwrap

import pytest

from fhemb_xr.errors import ConfigError
from ingest import hints, settings

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


def test_database__of_another_user_is_refused(folder, monkeypatch):
    path = write(folder, ".env.db", DB)
    if os.getuid() == 0:
        os.chown(path, 65534, -1)
    else:  # who cannot give a file away is somebody else for a moment
        other = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(ConfigError, match="another user's: make your own copy"):
        settings.database()


def test_create__makes_private_files_with_every_key_and_overwrites_none(folder):
    made = settings.create()
    assert {p.name: p.stat().st_mode & 0o777 for p in made} == {
        ".env.db": 0o600,
        ".env.paths": 0o600,
    }
    assert (folder / ".gitignore").read_text() == ".env.*\n"
    with pytest.raises(ConfigError, match="DB_NAME: Field required"):
        settings.database()  # nothing is filled in
    filled = made[0].read_text().replace("DB_NAME=\n", "DB_NAME=opera\n")
    made[0].write_text(filled.replace("DB_USERNAME=\n", "DB_USERNAME=reader\n"))
    expected = {"host": "localhost", "port": 5432, "dbname": "opera", "user": "reader"}
    assert settings.database().connection() == expected
    assert settings.paths().mount is None
    with pytest.raises(ConfigError, match=r"are in .* already"):
        settings.create()
    made[1].unlink()
    assert settings.create() == [made[1]]
    assert "DB_NAME=opera" in made[0].read_text()


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


def test_database__a_service_may_say_everything(folder):
    write(folder, ".env.db", "DB_SERVICE=opera\nDB_SSLMODE=verify-full\n")
    assert settings.database().connection() == {"service": "opera", "sslmode": "verify-full"}
    write(folder, ".env.db", DB + "DB_SSLMODE=encrypted\n")
    with pytest.raises(ConfigError, match=r"DB_SSLMODE: .*'disable'.*'verify-full'"):
        settings.database()


def test_paths__what_is_not_there_names_its_mount(folder, tmp_path):
    mount, empty = tmp_path / "nas", tmp_path / "empty"
    empty.mkdir()
    write(
        folder, ".env.paths", f"MOUNT={mount}\nAUDIOFILES={mount}/audio\nMOUNT_NAS2={empty}\n"
    )
    found = settings.paths()
    with pytest.raises(ConfigError, match=f"AUDIOFILES is .* mount '{mount}'"):
        found.reach(mount / "audio" / "don.wav")
    with pytest.raises(ConfigError, match=r"MOUNT_NAS2 is .* which is empty: mount it"):
        found.reach(empty / "don.h5")
    with pytest.raises(ConfigError, match=r"'.*/elsewhere' does not exist"):
        found.reach(tmp_path / "elsewhere")
    (mount / "audio").mkdir(parents=True)
    assert found.reach(mount / "audio") == mount / "audio"


def test_layout__the_toml_in_the_documentation_is_one(tmp_path):
    text = textwrap.dedent(hints.__doc__.split("::\n", 1)[1].rsplit("In a file", 1)[0])
    (tmp_path / "layout.toml").write_text(text)
    found = hints.read_hints(tmp_path / "layout.toml")
    assert (found.scale, found.subjects) == (0.01, {"40": "anna_face"})
    assert set(found.columns) == set(hints._ROLES)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("scales = 1", "has 'scales'; the nearest are scale"),
        ("scale = '1'", "scale is a number, found '1'"),
        ("columns = 3", "columns is a table of names, found 3"),
        ("[columns]\nclok = 't'", "has 'clok'; the nearest are clock"),
        ("rate_hz = 0", "rate_hz is above 0"),
        ("rate_hz = ", "cannot read the layout"),
    ],
)
def test_layout__says_what_is_wrong_with_the_toml(tmp_path, text, what):
    (tmp_path / "layout.toml").write_text(text)
    with pytest.raises(ConfigError, match=what):
        hints.read_hints(tmp_path / "layout.toml")
