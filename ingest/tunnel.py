"""An SSH tunnel that knows whom it talks to and listens on loopback only.

sshtunnel checks no host key unless given one, and listens on every interface unless told: here
the server's key is looked up in ``known_hosts`` first, pinned for the tunnel, and the local
end is always ``127.0.0.1``. The tunnel object, whose repr shows secrets, stays in this module.
"""

import base64
import hashlib
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fhemb_xr.errors import ConfigError, SourceError
from ingest.settings import Database, require_private

KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
TIMEOUT_S = 15.0
KEEPALIVE_S = 15.0


@contextmanager
def tunnel(
    settings: Database, known_hosts: Sequence[Path] = KNOWN_HOSTS
) -> Iterator[tuple[str, int]]:
    """A way to the database: ``(host, port)`` to connect to while the block runs.

    Without ``REMOTE_HOST`` it is the database's own address and nothing is opened.

    Parameters
    ----------
    settings
        The SSH server, the user and the key, the database behind it.
    known_hosts
        Files of host keys to trust; hashed names are understood.

    Yields
    ------
    Host and port; through a tunnel always ``127.0.0.1`` and a free port.

    Raises
    ------
    ConfigError
        If the user or the key is missing, unreadable, unsafe, or its passphrase is wrong.
    SourceError
        If the server does not answer, its key is unknown or has changed (with the fingerprint),
        or it does not let us in.

    Notes
    -----
    Threads: two, and one for each connection; they end with the block.
    """
    if settings.remote_host is None:
        yield settings.db_host, settings.db_port
        return
    address = (settings.remote_host, settings.remote_port)
    key = _client_key(settings)
    forwarder = _open(settings, key, _trusted_key(address, known_hosts))
    try:
        yield "127.0.0.1", forwarder.local_bind_port
    finally:
        forwarder.stop(force=True)


def _open(settings: Database, key: Any, host_key: Any) -> Any:
    import sshtunnel

    forwarder = sshtunnel.SSHTunnelForwarder(
        (settings.remote_host, settings.remote_port),
        ssh_config_file=None,  # the host whose key was checked, and no alias of it
        ssh_host_key=host_key,
        ssh_username=settings.ssh_username,
        ssh_pkey=key,
        allow_agent=key is None,
        host_pkey_directories=[],
        local_bind_address=("127.0.0.1", 0),  # the default listens on every interface
        remote_bind_address=(settings.remote_bind_host, settings.remote_bind_port),
        set_keepalive=KEEPALIVE_S,
        logger=_silent(),
    )
    try:
        forwarder.start()
        return forwarder
    except sshtunnel.BaseSSHTunnelForwarderError:
        _discard(forwarder)
    raise SourceError(
        f"the SSH server {settings.remote_host}:{settings.remote_port} does not let "
        f"{settings.ssh_username!r} in with this key: check SSH_USERNAME, SSH_PKEY and its "
        "authorized_keys"
    )


def _discard(forwarder: Any) -> None:
    """Close what a failed start left; its ``stop`` waits for ever for a server not begun."""
    for server in forwarder._server_list:
        server.server_close()
    transport = getattr(forwarder, "_transport", None)
    if transport is not None:
        transport.close()


def _silent() -> logging.Logger:
    """A logger that keeps sshtunnel from adding handlers of its own to the console."""
    logger = logging.getLogger("ingest.tunnel.ssh")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return logger


def _client_key(settings: Database) -> Any:
    """The private key, or None for the agent's."""
    import paramiko

    if not settings.ssh_username:
        raise ConfigError("REMOTE_HOST is set but SSH_USERNAME is not: the tunnel needs a user")
    if settings.ssh_pkey is None:
        if not paramiko.Agent().get_keys():
            raise ConfigError(
                "SSH_PKEY is not set and no SSH agent holds a key: set one of them"
            )
        return None
    path = settings.ssh_pkey.expanduser()
    if not path.is_file():
        raise ConfigError(f"SSH_PKEY is {str(path)!r}, which is not there")
    require_private(path, "the key")
    secret = settings.ssh_passphrase
    return _load(path, secret.get_secret_value() if secret else None)


def _load(path: Path, phrase: str | None) -> Any:
    """A private key of any kind; raised outside the ``except``, whose chain has the phrase."""
    import paramiko

    why = "is no private key"
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(path), password=phrase)
        except paramiko.PasswordRequiredException:
            why = "has a passphrase: set SSH_PASSPHRASE"
        except (ValueError, IndexError, paramiko.SSHException):  # another kind, or not opened
            if phrase is not None and b"PRIVATE KEY" in path.read_bytes():
                why = "cannot be opened: wrong SSH_PASSPHRASE"
    raise ConfigError(f"the key {str(path)!r} {why}")


def fingerprint(key: Any) -> str:
    """As ``ssh-keygen -l`` prints it: ``SHA256:...``."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _trusted_key(address: tuple[str, int], known_hosts: Sequence[Path]) -> Any:
    """The server's key, if ``known_hosts`` has it for this address."""
    name = address[0] if address[1] == 22 else f"[{address[0]}]:{address[1]}"
    known = _known(name, known_hosts)
    offered = _offered_key(address, list(known))
    kind, seen = offered.get_name(), fingerprint(offered)
    if kind not in known:
        raise SourceError(
            f"the host key of {name} is unknown ({kind} {seen}): compare this fingerprint with "
            f"its administrator, then connect once with ssh -p {address[1]} {address[0]}"
        )
    if known[kind].asbytes() != offered.asbytes():
        raise SourceError(
            f"the host key of {name} has CHANGED: known is {fingerprint(known[kind])}, offered "
            f"{seen}; somebody may be listening in. If the server was reinstalled: "
            f"ssh-keygen -R '{name}'"
        )
    return offered


def _known(name: str, files: Sequence[Path]) -> dict[str, Any]:
    import paramiko

    found: dict[str, Any] = {}
    for path in files:
        path = path.expanduser()
        if path.is_file():
            keys = paramiko.HostKeys(str(path)).lookup(name)
            for kind in keys or ():
                found.setdefault(kind, keys[kind])
    return found


def _offered_key(address: tuple[str, int], kinds: list[str]) -> Any:
    """The key that the server shows, of a kind that is known where it has one."""
    import paramiko

    _silent()
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
    raise SourceError(f"the SSH server {address[0]}:{address[1]} does not answer: {why}")


def _prefer(transport: Any, kinds: list[str]) -> None:
    """Known kinds first: a server with several keys then shows one that can be checked."""
    options = transport.get_security_options()
    signs = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
    known = [s for kind in kinds for s in signs.get(kind, (kind,)) if s in options.key_types]
    options.key_types = [*known, *(k for k in options.key_types if k not in known)]
