r"""Where the database is and how to get in: ``.env.db`` and ``.env.paths``.

The files lie in ``FHEMB_CONFIG_DIR``, else ``~/.config/fhemb`` (``%APPDATA%\fhemb`` on
Windows), with the keys that the original library used; the environment overrides them. Only
their owner may read them. Secrets are ``SecretStr``: no repr, log or error shows them.
"""

import os
import stat
import sys
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhemb_xr.errors import ConfigError

_CONFIG = SettingsConfigDict(
    extra="ignore",  # the original's files have keys for other stores too
    hide_input_in_errors=True,  # else a missing host prints the password beside it
    env_ignore_empty=True,
    frozen=True,
)


class Database(BaseSettings):
    """``.env.db``: the database, and the SSH server before it."""

    model_config = _CONFIG

    db_name: str
    db_username: str
    db_password: SecretStr | None = None  # None: .pgpass, or what libpq finds
    db_host: str = "localhost"
    db_port: int = 5432
    remote_host: str | None = None  # None: no tunnel
    remote_port: int = 22
    ssh_username: str | None = None
    ssh_pkey: Path | None = None  # None: the agent's keys
    ssh_passphrase: SecretStr | None = None
    remote_bind_host: str = "localhost"  # of the database, as the SSH server sees it
    remote_bind_port: int = 5432

    def connection(self) -> dict[str, str | int]:
        """Parameters of libpq, the password among them: for ``psycopg.connect`` only."""
        found: dict[str, str | int] = {
            "host": self.db_host,
            "port": self.db_port,
            "dbname": self.db_name,
            "user": self.db_username,
        }
        if self.db_password is not None:
            found["password"] = self.db_password.get_secret_value()
        return found


class Paths(BaseSettings):
    """``.env.paths``: this machine and its mounts."""

    model_config = _CONFIG

    nodename: str = ""
    localroot: Path | None = None
    mount: Path | None = None
    audiofiles: Path | None = None

    def mounted(self, name: str) -> Path:
        """The folder of one key, expanded, and there.

        Raises
        ------
        ConfigError
            If the key is not set, or nothing is mounted there.
        """
        path = getattr(self, name.lower())
        if path is None:
            file = config_dir() / ".env.paths"
            raise ConfigError(f"{name.upper()} is not set: add it to {str(file)!r}")
        there: Path = path.expanduser()
        if not there.is_dir():
            raise ConfigError(
                f"{name.upper()} is {str(there)!r}, which is not there: mount {self.mount}"
            )
        return there


Settings = TypeVar("Settings", Database, Paths)


def config_dir() -> Path:
    """The folder of the configuration, there or not.

    Examples
    --------
    >>> import os
    >>> os.environ["FHEMB_CONFIG_DIR"] = "settings"
    >>> config_dir().as_posix()
    'settings'
    >>> del os.environ["FHEMB_CONFIG_DIR"]
    """
    chosen = os.environ.get("FHEMB_CONFIG_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", "~")).expanduser() / "fhemb"
    return Path("~/.config/fhemb").expanduser()


def database(folder: Path | None = None) -> Database:
    """Read ``.env.db``.

    Raises
    ------
    ConfigError
        If it is missing, incomplete, or readable by others.
    """
    return _read(Database, (folder or config_dir()) / ".env.db")


def paths(folder: Path | None = None) -> Paths:
    """Read ``.env.paths``.

    Raises
    ------
    ConfigError
        If it is missing, incomplete, or readable by others.
    """
    return _read(Paths, (folder or config_dir()) / ".env.paths")


def require_private(path: Path, what: str) -> None:
    """Refuse a file that others than its owner may read.

    Raises
    ------
    ConfigError
        With the command that mends it.
    """
    if sys.platform == "win32":  # modes mean nothing there
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{what} {str(path)!r} may be read by others (mode {mode:04o}): chmod 600 {path}"
        )


def _read(kind: type[Settings], path: Path) -> Settings:
    keys = [name.upper() for name in kind.model_fields]
    if not path.is_file():
        raise ConfigError(
            f"no {path.name} in {str(path.parent)!r}: create it, mode 600, with the keys "
            f"{', '.join(keys)}; FHEMB_CONFIG_DIR names another folder"
        )
    require_private(path, "the configuration")
    try:
        return kind(_env_file=path, _env_file_encoding="utf-8")  # type: ignore[call-arg]
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
    raise ConfigError(f"{str(path)!r} is not usable: {'; '.join(wrong)}")  # outside: no chain
