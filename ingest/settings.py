r"""Where the database is and how to get in: ``.env.db`` and ``.env.paths``.

The files lie in ``FHEMB_CONFIG_DIR``, otherwise in ``~/.config/fhemb`` (``%APPDATA%\fhemb`` on
Windows), with the keys that the original library used; the environment overrides them. Only
their owner may read them. Secrets are ``SecretStr``: no repr, log or error shows them.

Beyond the original's keys there are ``DB_PORT``, ``DB_SSLMODE`` (as libpq's ``sslmode``) and
``DB_SERVICE`` (a section of ``pg_service.conf``, which then may say everything else). Without
``DB_PASSWORD`` libpq looks into ``.pgpass``, for the name of the database's host also through a
tunnel. Without ``REMOTE_HOST`` there is no tunnel.
"""

import os
import stat
import sys
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhemb_xr.errors import ConfigError
from fhemb_xr.io.local import durable_files

_MOUNTS = ("audiofiles", "mount", "mount_nas2", "localroot")
_CONFIG = SettingsConfigDict(
    extra="ignore",  # the original's files have keys for other stores too
    hide_input_in_errors=True,  # else a missing host prints the password beside it
    env_ignore_empty=True,
    frozen=True,
)


class Database(BaseSettings):
    """``.env.db``: the database, and the SSH server before it."""

    model_config = _CONFIG

    db_service: str | None = None
    db_name: str | None = Field(None, validate_default=True)  # needed without a service
    db_username: str | None = Field(None, validate_default=True)
    db_password: SecretStr | None = None  # None: .pgpass, or what libpq finds
    db_host: str = "localhost"
    db_port: int = 5432
    db_sslmode: (
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None
    ) = None  # None: libpq's own, which PGSSLMODE sets
    remote_host: str | None = None  # None: no tunnel
    remote_port: int = 22
    ssh_username: str | None = None
    ssh_pkey: Path | None = None  # None: the agent's keys
    ssh_passphrase: SecretStr | None = None
    tunnel: Literal["auto", "openssh", "sshtunnel"] = "auto"  # the program ssh where it is
    remote_bind_host: str = "localhost"  # of the database, as the SSH server sees it
    remote_bind_port: int = 5432

    @field_validator("db_name", "db_username")
    @classmethod
    def _said(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Without a service, the database and the user must be said here."""
        if value is None and info.data.get("db_service") is None:
            raise ValueError("Field required")
        return value

    def connection(self) -> dict[str, str | int]:
        """Parameters of libpq, the password among them: for ``psycopg.connect`` only.

        With a service only what is set: libpq takes from it what is not said here.
        """
        names = {"db_host": "host", "db_port": "port", "db_name": "dbname"}
        names |= {"db_username": "user", "db_sslmode": "sslmode", "db_service": "service"}
        said = set(names) if self.db_service is None else self.model_fields_set
        given = {p: getattr(self, n) for n, p in names.items() if n in said}
        found: dict[str, str | int] = {p: v for p, v in given.items() if v is not None}
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
    mount_nas2: Path | None = None
    remote_path_nas2: Path | None = None  # as the other machine calls it: never looked at here

    def reach(self, path: Path) -> Path:
        """A path, expanded; if it is not there, whether that is for want of a mount.

        Raises
        ------
        ConfigError
            If it is not there, naming the mount that it lies under.
        """
        there = path.expanduser()
        if there.exists():
            return there
        for name in _MOUNTS:
            root = getattr(self, name)
            if root is not None and there.is_relative_to(root.expanduser()):
                self.mounted(name)
        raise ConfigError(f"{str(there)!r} is not there")

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
        within = [m for m in (self.mount, self.mount_nas2) if m and there.is_relative_to(m)]
        if not there.is_dir():
            what = within[0] if within else there
            raise ConfigError(
                f"{name.upper()} is {str(there)!r}, which is not there: mount {str(what)!r}"
            )
        if name.lower() in ("mount", "mount_nas2") and not any(there.iterdir()):
            raise ConfigError(f"{name.upper()} is {str(there)!r}, which is empty: mount it")
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


def create(folder: Path | None = None) -> list[Path]:
    """Make both files, readable by their owner only, with every key to be filled in.

    Returns
    -------
    Those that were made; one that is there is left as it is. Keys left empty are as if they
    were not there.

    Raises
    ------
    ConfigError
        If both are there already.
    """
    where = folder or config_dir()
    kinds: dict[str, type[BaseSettings]] = {".env.db": Database, ".env.paths": Paths}
    missing = [where / name for name in kinds if not (where / name).exists()]
    if not missing:
        raise ConfigError(f"{', '.join(kinds)} are in {str(where)!r} already: edit them")
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        kind = kinds[path.name]
        head = (kind.__doc__ or "").replace("`", "")
        with durable_files.open_new(path) as file:
            file.write(f"# {head}\n" + "".join(map(_line, kind.model_fields.items())))
    if not (where / ".gitignore").exists():
        (where / ".gitignore").write_text(".env.*\n")
    return missing


def _line(field: tuple[str, FieldInfo]) -> str:
    name, about = field
    return f"{name.upper()}={'' if about.default is None else about.default}\n"


def require_private(path: Path, what: str) -> None:
    """Refuse a file that others than its owner may read.

    Raises
    ------
    ConfigError
        With the command that mends it.
    """
    if sys.platform == "win32":  # modes mean nothing there
        return
    about = path.stat()
    if about.st_uid not in (os.getuid(), 0):
        raise ConfigError(f"{what} {str(path)!r} is another user's: make your own copy of it")
    mode = stat.S_IMODE(about.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{what} {str(path)!r} may be read by others (mode {mode:04o}): chmod 600 {path}"
        )


def _read(kind: type[Settings], path: Path) -> Settings:
    keys = [name.upper() for name in kind.model_fields]
    if not path.is_file():
        raise ConfigError(
            f"no {path.name} in {str(path.parent)!r}: `fhemb ingest init` makes one to be "
            f"filled in, with the keys {', '.join(keys)}; FHEMB_CONFIG_DIR names another folder"
        )
    require_private(path, "the configuration")
    try:
        return kind(_env_file=path, _env_file_encoding="utf-8")  # type: ignore[call-arg]
    except ValidationError as error:
        wrong = [_wrong(e["loc"], e["msg"]) for e in error.errors()]
    raise ConfigError(f"{str(path)!r} is not usable: {'; '.join(wrong)}")  # outside: no chain


def _wrong(where: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, where)).upper()}: {message.removeprefix('Value error, ')}"
