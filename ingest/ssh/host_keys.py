"""Checking that an SSH server is the known one: its key must be in ``known_hosts``."""

import base64
import hashlib
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fhemb_xr.errors import SourceError

KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
TIMEOUT_S = 15.0


def trusted(address: tuple[str, int], files: Sequence[Path], *, accept_new: bool) -> Any:
    """The key of a server, if it is known for this address.

    Parameters
    ----------
    address
        Host and port.
    files
        Files of known keys; hashed names are understood.
    accept_new
        Whether to write the key of a server without known keys into the first of ``files``. A
        key that has changed is never accepted.

    Raises
    ------
    SourceError
        The server does not answer, or its key is unknown or has changed.
    """
    name = label(*address)
    known = lookup(name, files)
    key = _offered(address, list(known))
    kind = key.get_name()
    if kind in known and known[kind].asbytes() == key.asbytes():
        return key
    if known and kind in known:
        raise changed(name, fingerprint(known[kind]), fingerprint(key))
    if known or not accept_new:  # a server with keys of other kinds may be another server
        raise unknown(name, kind, fingerprint(key))
    _remember(f"{name} {kind} {key.get_base64()}\n", files[0].expanduser())
    return key


def label(host: str, port: int) -> str:
    """The name of a server in ``known_hosts``."""
    return host if port == 22 else f"[{host}]:{port}"


def fingerprint(key: Any) -> str:
    """The fingerprint that ``ssh-keygen -l`` prints: ``SHA256:...``."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def unknown(name: str, kind: str, seen: str) -> SourceError:
    """The error for a server without a known key."""
    host, _, port = name.strip("[").partition("]:")
    scan = f"ssh-keyscan {f'-p {port} ' if port else ''}{host} >> ~/.ssh/known_hosts"
    return SourceError(
        f"the host key of {name} is unknown ({kind} {seen}): compare this fingerprint with its "
        f"administrator, then run '{scan}', or the command with --accept-new-hostkey"
    )


def changed(name: str, before: str, seen: str) -> SourceError:
    """The error for a server whose key differs from the known one."""
    return SourceError(
        f"the host key of {name} has CHANGED: known is {before}, offered {seen}; somebody may "
        f"be listening in. If the server was reinstalled: ssh-keygen -R '{name}'"
    )


def refused(name: str, user: str) -> SourceError:
    """The error for a server that does not let us in."""
    return SourceError(
        f"the SSH server {name} does not let {user!r} in with this key: check SSH_USERNAME, "
        "SSH_PKEY and its authorized_keys"
    )


def lookup(name: str, files: Sequence[Path]) -> dict[str, Any]:
    """Known keys of a server, by kind."""
    import paramiko

    known: dict[str, Any] = {}
    for path in files:
        path = path.expanduser()
        if path.is_file():
            keys = paramiko.HostKeys(str(path)).lookup(name)
            for kind in keys or ():
                known.setdefault(kind, keys[kind])
    return known


def _remember(line: str, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        file.write(line)


def _offered(address: tuple[str, int], kinds: list[str]) -> Any:
    """The key that the server shows; of a known kind, if the server has one."""
    import paramiko

    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    try:
        with socket.create_connection(address, timeout=TIMEOUT_S) as sock:
            transport = paramiko.Transport(sock)
            try:
                _prefer(transport, kinds)
                transport.start_client(timeout=TIMEOUT_S)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, paramiko.SSHException) as error:
        why = str(error) or type(error).__name__
    raise SourceError(f"the SSH server {label(*address)} does not answer: {why}")


def _prefer(transport: Any, kinds: list[str]) -> None:
    """Ask for known kinds first: a server with several keys then shows one we can check."""
    options = transport.get_security_options()
    signs = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
    known = [s for kind in kinds for s in signs.get(kind, (kind,)) if s in options.key_types]
    options.key_types = [*known, *(k for k in options.key_types if k not in known)]
