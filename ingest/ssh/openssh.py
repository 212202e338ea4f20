"""A tunnel by the program ``ssh``, which knows the user's configuration, jumps and agents.

``ssh`` asks nothing on a terminal. A passphrase reaches it through a pipe in a private folder,
never as an argument, in the environment or in a file. Its messages show when the tunnel is
open, or why it failed; they are not logged.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fhemb_xr.errors import ConfigError, FhembError, SourceError
from ingest.settings import Database
from ingest.ssh import host_keys, user_keys

TIMEOUT_S = 20.0
ALIVE_S, ALIVE_COUNT = 5, 3
ATTEMPTS = 3
_QUESTIONS = 3
_ASKPASS = """#!/bin/sh
case $1 in *{key}*) IFS= read -r line <{pipe} && printf '%s\\n' "$line" ;; *) exit 1 ;; esac
"""
_GUARD = """exec 3<&0
"$@" 3<&- </dev/null &
ssh=$!
(read -r _ <&3; kill $ssh) 2>/dev/null &
exec 2>/dev/null 3<&-
wait $ssh
ended=$?
kill $!
exit $ended
"""
"""Shell script that ends ssh when its input closes, also if our processes are killed."""


def is_there() -> bool:
    """Whether this system has the program ``ssh``."""
    return shutil.which("ssh") is not None


class Forward:
    """A running ``ssh -N -L``: a port of this machine that leads to the database.

    Parameters
    ----------
    settings
        Settings of the server, the user, the key, and the database behind the server.
    known_hosts
        Files of host keys to trust; None takes those of the user's configuration.
    accept_new
        Whether to trust a server without known keys, and remember it.
    config
        Configuration file that replaces the user's.

    Raises
    ------
    ConfigError
        The key is missing or unsafe, or its passphrase is wrong.
    SourceError
        The server does not answer, is not the known one, or does not let us in.
    """

    def __init__(
        self,
        settings: Database,
        known_hosts: Sequence[Path] | None = None,
        *,
        accept_new: bool = False,
        config: Path | None = None,
    ) -> None:
        self._settings = settings
        self._known = host_keys.KNOWN_HOSTS if known_hosts is None else known_hosts
        key = user_keys.key_file(settings)
        phrase = settings.ssh_passphrase
        if not is_there():
            raise ConfigError("TUNNEL is openssh, and there is no program ssh: install it")
        with tempfile.TemporaryDirectory(prefix="fhemb-ssh-") as private:  # mode 0700
            folder = Path(private)
            self._command = ["ssh", "-N", "-vv", "-F", str(folder / "config")]
            _configure(folder / "config", known_hosts, accept_new, config)
            environment = dict(os.environ)
            with ExitStack() as stack:
                if key is not None:
                    self._command += ["-i", str(key)]
                if key is not None and phrase is not None:
                    ask = stack.enter_context(_askpass(folder, key, phrase.get_secret_value()))
                    environment |= {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
                    self._command += ["-o", "BatchMode=no"]
                if key is not None and not (phrase is None and user_keys.is_locked(key)):
                    self._command += ["-o", "IdentitiesOnly=yes"]
                self._start(environment)

    def _start(self, environment: dict[str, str]) -> None:
        """Start ssh, several times if another process takes the free port first."""
        for attempt in range(1, ATTEMPTS + 1):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port: int = free.getsockname()[1]
            self._process, self._said = self._run(environment)
            if self._said.is_through(TIMEOUT_S):
                return
            self.close()
            if attempt == ATTEMPTS or "Address already in use" not in self._said.text:
                raise _failure(self._settings, self._said.text, self._known)

    def _run(self, environment: dict[str, str]) -> "tuple[subprocess.Popen[bytes], _Talk]":
        settings = self._settings
        host, port = settings.remote_bind_host, settings.remote_bind_port
        far = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        process = subprocess.Popen(
            [
                *([] if sys.platform == "win32" else ["/bin/sh", "-c", _GUARD, "sh"]),
                *self._command,
                *(["-p", str(settings.remote_port)] if settings.remote_port != 22 else []),
                *("-l", str(settings.ssh_username), "-L", f"127.0.0.1:{self.port}:{far}"),
                *("--", str(settings.remote_host)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C must not reach ssh: we end it later
        )
        return process, _Talk(process, self.port)

    def close(self) -> None:
        """End ssh and its connections."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if sys.platform == "win32":
            self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._said.join()


class _Talk:
    """The messages of a running ssh; they are read at once, since a full pipe would stop it."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process, self._ready = (
            process,
            f"Local forwarding listening on 127.0.0.1 port {port}",
        )
        self._lines: deque[str] = deque(maxlen=500)
        self._decided, self._through = threading.Event(), False
        self._thread = threading.Thread(target=self._read, name="fhemb-ssh", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                text = line.decode(errors="replace").strip()
                self._lines.append(text)
                if self._ready in text:
                    self._through = True
                    self._decided.set()
        self._decided.set()

    def is_through(self, timeout_s: float) -> bool:
        """Wait until ssh listens (it was let in) or ends; return whether it listens."""
        self._decided.wait(timeout_s)
        return self._through and self._process.poll() is None

    def join(self) -> None:
        """Wait for the last message; the process of a jump may hold the pipe a bit longer."""
        self._thread.join(1)

    @property
    def text(self) -> str:
        """All messages."""
        return "\n".join(self._lines)


def _configure(
    path: Path, known_hosts: Sequence[Path] | None, accept_new: bool, config: Path | None
) -> None:
    """Write our settings before the user's: the first value counts, also for jump hosts."""
    settings = {
        "StrictHostKeyChecking": "accept-new" if accept_new else "yes",
        "BatchMode": "yes",  # ssh asks nothing
        "ExitOnForwardFailure": "yes",
        "ServerAliveInterval": ALIVE_S,  # three intervals without an answer end ssh
        "ServerAliveCountMax": ALIVE_COUNT,
        "ConnectTimeout": 15,
        "PreferredAuthentications": "publickey,gssapi-with-mic",
        "NumberOfPasswordPrompts": _QUESTIONS,
        "GatewayPorts": "no",  # loopback only
        "ControlMaster": "no",
        "ControlPath": "none",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "RemoteCommand": "none",
    }
    if known_hosts is not None:
        names = " ".join(f'"{file.expanduser()}"' for file in known_hosts)
        settings |= {"UserKnownHostsFile": names, "GlobalKnownHostsFile": os.devnull}
    theirs = [config] if config else ["~/.ssh/config", "/etc/ssh/ssh_config"]
    lines = [f"{name} {value}" for name, value in settings.items()]
    lines += [f'Include "{file}"' for file in theirs]
    path.touch(0o600)
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def _askpass(folder: Path, key: Path, phrase: str) -> Iterator[Path]:
    """Yield a program that prints the passphrase of one key, from a pipe, and nothing else."""
    program, pipe = folder / "askpass", folder / "phrase"
    program.touch(0o700)
    program.write_text(_ASKPASS.format(key=shlex.quote(str(key)), pipe=shlex.quote(str(pipe))))
    os.mkfifo(pipe, 0o600)
    end = os.open(pipe, os.O_RDWR)  # opens both ends, so that neither waits for the other
    try:
        os.write(end, (phrase + "\n").encode() * _QUESTIONS)
        yield program
    finally:
        os.close(end)


_OFFERED = re.compile(r"Server host key: (\S+) (SHA256:\S+)")
_UNKNOWN = re.compile(r"No \S+ host key is known for (\S+) and you have requested strict")
_CHANGED = re.compile(r"Host key for (\S+) has changed")


def _failure(settings: Database, messages: str, files: Sequence[Path]) -> FhembError:
    """The error that explains why ssh ended, by its messages."""
    name = host_keys.label(str(settings.remote_host), settings.remote_port)
    kind, seen = (_OFFERED.findall(messages) or [("of no kind", "none")])[-1]
    if match := _UNKNOWN.search(messages):
        return host_keys.unknown(match[1], kind, seen)
    if match := _CHANGED.search(messages):
        known = host_keys.lookup(match[1], files)
        before = host_keys.fingerprint(known[kind]) if kind in known else "another"
        return host_keys.changed(match[1], before, seen)
    if "bad passphrase given" in messages:
        key = str(settings.ssh_pkey)
        return ConfigError(f"the key {key!r} cannot be opened: wrong SSH_PASSPHRASE")
    if "Permission denied" in messages or "Too many authentication failures" in messages:
        return host_keys.refused(name, str(settings.ssh_username))
    talk = [line for line in messages.splitlines() if line and not line.startswith("debug")]
    why = talk[-1] if talk else f"no answer for {TIMEOUT_S:g} s"
    return SourceError(f"the SSH server {name} does not answer: {why.removeprefix('ssh: ')}")
