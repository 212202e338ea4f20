"""The way to the database: direct, or through an SSH tunnel that checks the host's key.

The program ``ssh`` opens the tunnel if it is installed, otherwise sshtunnel; ``TUNNEL`` chooses
one. In both cases the server's key must be in ``known_hosts``, the local end is ``127.0.0.1``
only, and objects with secrets stay in these modules.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ingest.settings import Database
from ingest.ssh import host_keys, openssh, user_keys

KEEPALIVE_S = 15.0
Address = tuple[str, int]


class Forward(Protocol):
    """A port of this machine that leads to the database."""

    port: int

    def close(self) -> None:
        """End the forwarding and its connections."""


class Tunnel:
    """A way to the database that can be replaced while others use it.

    A dead tunnel often looks alive. Whoever cannot connect through it calls :meth:`renew`.
    """

    def __init__(self, dig: Callable[[], Forward]) -> None:
        self._dig, self._lock = dig, threading.Lock()
        self._forward: Forward | None = dig()
        self.address: Address = ("127.0.0.1", self._forward.port)

    def renew(self, failed: Address) -> Address:
        """Open a new tunnel, unless another thread has done so since ``failed`` was used.

        Raises
        ------
        SourceError
            The server does not answer, is another one, or does not let us in.
        """
        with self._lock:
            if failed == self.address or self._forward is None:
                self.close()
                self._forward = self._dig()
                self.address = ("127.0.0.1", self._forward.port)
            return self.address

    def close(self) -> None:
        """End the tunnel."""
        if self._forward is not None:
            self._forward.close()
            self._forward = None


@contextmanager
def tunnel(
    settings: Database,
    known_hosts: Sequence[Path] | None = None,
    *,
    accept_new: bool = False,
    config: Path | None = None,
) -> Iterator[Tunnel | None]:
    """Open a way to the database while the block runs; None without ``REMOTE_HOST``.

    Parameters
    ----------
    settings
        Settings of the SSH server, the user, the key, and the database behind the server.
    known_hosts
        Files of host keys to trust; hashed names are understood. None takes the files of the
        user and the system.
    accept_new
        Whether to trust a server without known keys, and remember it. A server whose key has
        changed is always refused.
    config
        Configuration file of ssh that replaces the user's; sshtunnel reads none.

    Yields
    ------
    Tunnel | None
        A tunnel, whose ``address`` is ``127.0.0.1`` and a free port; or None.

    Raises
    ------
    ConfigError
        The user or the key is missing, the key is unreadable or unsafe, or its passphrase is
        wrong.
    SourceError
        The server does not answer, its key is unknown or has changed (the error gives the
        fingerprint), or it does not let us in.

    Notes
    -----
    Threads: one with ssh; two, and one per connection, with sshtunnel. They end with the block.
    """
    if settings.remote_host is None:
        yield None
        return
    if chosen(settings) == "openssh":
        way = Tunnel(
            lambda: openssh.Forward(settings, known_hosts, accept_new=accept_new, config=config)
        )
    else:
        files = host_keys.KNOWN_HOSTS if known_hosts is None else known_hosts
        way = Tunnel(lambda: _Sshtunnel(settings, files, accept_new))
    try:
        yield way
    finally:
        way.close()


def chosen(settings: Database) -> str:
    """The program for the tunnel: ``"openssh"`` or ``"sshtunnel"``."""
    if settings.tunnel != "auto":
        return settings.tunnel
    return "openssh" if openssh.is_there() and sys.platform != "win32" else "sshtunnel"


class _Sshtunnel:
    """A tunnel by sshtunnel, with a checked host key, which listens on loopback only."""

    def __init__(
        self, settings: Database, known_hosts: Sequence[Path], accept_new: bool
    ) -> None:
        address = (str(settings.remote_host), settings.remote_port)
        path, phrase = user_keys.key_file(settings), settings.ssh_passphrase
        key = path and user_keys.opened(path, phrase.get_secret_value() if phrase else None)
        host_key = host_keys.trusted(address, known_hosts, accept_new=accept_new)
        self._forwarder = _started(settings, key, host_key)
        self.port: int = self._forwarder.local_bind_port

    def close(self) -> None:
        """See :class:`Forward`."""
        self._forwarder.stop(force=True)


def _started(settings: Database, key: Any, host_key: Any) -> Any:
    import sshtunnel

    forwarder = sshtunnel.SSHTunnelForwarder(
        (settings.remote_host, settings.remote_port),
        ssh_config_file=None,  # no aliases: connect to the host whose key was checked
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
    name = host_keys.label(str(settings.remote_host), settings.remote_port)
    raise host_keys.refused(name, str(settings.ssh_username))


def _discard(forwarder: Any) -> None:
    """Close the parts of a failed start; ``stop`` would wait for ever for its server."""
    for server in forwarder._server_list:
        server.server_close()
    transport = getattr(forwarder, "_transport", None)
    if transport is not None:
        transport.close()


def _silent() -> logging.Logger:
    """A logger that keeps sshtunnel from adding its handlers to the console."""
    logger = logging.getLogger("ingest.ssh.tunnel.ssh")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return logger
