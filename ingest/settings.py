r"""The configuration of the database and its mounts: ``.env.db`` and ``.env.paths``.

The files lie in ``FHEMB_CONFIG_DIR``, otherwise in ``~/.config/fhemb`` (``%APPDATA%\fhemb`` on
Windows). Their keys are those of the original library. The environment overrides them. Only
their owner may read the files. Secrets are ``SecretStr``: no repr, log or error shows them.

Further keys are ``DB_PORT``, ``DB_SSLMODE`` (libpq's ``sslmode``) and ``DB_SERVICE`` (a section
of ``pg_service.conf``, which may then hold all other values). Without ``DB_PASSWORD`` libpq
reads ``.pgpass``, under the name of the database's host, also through a tunnel. Without
``REMOTE_HOST`` there is no tunnel.
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
    hide_input_in_errors=True,  # otherwise a missing host prints the password too
    env_ignore_empty=True,
    frozen=True,
)


class Database(BaseSettings):
    """``.env.db``: the database, and the SSH server before it."""

    model_config = _CONFIG

    db_service: str | None = None
    db_name: str | None = Field(None, validate_default=True)  # required without a service
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
    tunnel: Literal["auto", "openssh", "sshtunnel"] = "auto"  # auto: the program ssh, if any
    remote_bind_host: str = "localhost"  # host of the database, as the SSH server sees it
    remote_bind_port: int = 5432

    @field_validator("db_name", "db_username")
    @classmethod
    def _said(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Without a service, the name of the database and the user are required."""
        if value is None and info.data.get("db_service") is None:
            raise ValueError("Field required")
        return value

    def connection(self) -> dict[str, str | int]:
        """Parameters of libpq with the password, for ``psycopg.connect`` only.

        With a service, only keys that are set are given; libpq takes the others from it.
        """
        names = {"db_host": "host", "db_port": "port", "db_name": "dbname"}
        names |= {"db_username": "user", "db_sslmode": "sslmode", "db_service": "service"}
        used = set(names) if self.db_service is None else self.model_fields_set
        given = {p: getattr(self, n) for n, p in names.items() if n in used}
        parameters: dict[str, str | int] = {p: v for p, v in given.items() if v is not None}
        if self.db_password is not None:
            parameters["password"] = self.db_password.get_secret_value()
        return parameters


class Paths(BaseSettings):
    """``.env.paths``: this machine and its mounts."""

    model_config = _CONFIG

    nodename: str = ""
    localroot: Path | None = None
    mount: Path | None = None
    audiofiles: Path | None = None
    mount_nas2: Path | None = None
    remote_path_nas2: Path | None = None  # the path on the other machine; not used here

    def reach(self, path: Path) -> Path:
        """Expand a path, and check that it exists.

        Raises
        ------
        ConfigError
            The path does not exist; the error names its mount if that is missing.
        """
        expanded = path.expanduser()
        if expanded.exists():
            return expanded
        for name in _MOUNTS:
            root = getattr(self, name)
            if root is not None and expanded.is_relative_to(root.expanduser()):
                self.mounted(name)
        raise ConfigError(f"{str(expanded)!r} does not exist")

    def mounted(self, name: str) -> Path:
        """The folder of a key, expanded and mounted.

        Raises
        ------
        ConfigError
            The key is not set, or nothing is mounted at its folder.
        """
        path = getattr(self, name.lower())
        if path is None:
            file = config_dir() / ".env.paths"
            raise ConfigError(f"{name.upper()} is not set: add it to {str(file)!r}")
        folder: Path = path.expanduser()
        mounts = [m for m in (self.mount, self.mount_nas2) if m and folder.is_relative_to(m)]
        if not folder.is_dir():
            target = mounts[0] if mounts else folder
            raise ConfigError(
                f"{name.upper()} is {str(folder)!r}, which does not exist: mount "
                f"{str(target)!r}"
            )
        if name.lower() in ("mount", "mount_nas2") and not any(folder.iterdir()):
            raise ConfigError(f"{name.upper()} is {str(folder)!r}, which is empty: mount it")
        return folder


Settings = TypeVar("Settings", Database, Paths)


def config_dir() -> Path:
    """The folder of the configuration; it may not exist yet.

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
    """Make both files, which only their owner can read, with all keys to be filled in.

    A file that exists is not changed. A key that stays empty counts as missing.

    Returns
    -------
    list[Path]
        Paths of the new files.

    Raises
    ------
    ConfigError
        Both files exist.
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
    """Refuse a file that users other than its owner may read.

    Raises
    ------
    ConfigError
        Others may read the file; the error gives the command that changes this.
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
