"""The way to the database: direct, or by an SSH tunnel that checks the key of its host.

The program ``ssh`` opens it where it is installed, otherwise sshtunnel; ``TUNNEL`` chooses.
Either way the server's key must be in ``known_hosts``, the local end is ``127.0.0.1`` only, and
the objects that know secrets stay in these modules.
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
        """End it; its connections end with it."""


class Tunnel:
    """A way to the database that can be replaced while others use it.

    A tunnel that is dead often does not say so: who cannot connect through it calls
    :meth:`renew`.
    """

    def __init__(self, dig: Callable[[], Forward]) -> None:
        self._dig, self._lock = dig, threading.Lock()
        self._forward: Forward | None = dig()
        self.address: Address = ("127.0.0.1", self._forward.port)

    def renew(self, failed: Address) -> Address:
        """A new way, unless somebody else has made one since ``failed`` was asked for.

        Raises
        ------
        SourceError
            If the server does not answer, is another one, or does not let us in.
        """
        with self._lock:
            if failed == self.address or self._forward is None:
                self.close()
                self._forward = self._dig()
                self.address = ("127.0.0.1", self._forward.port)
            return self.address

    def close(self) -> None:
        """End it."""
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
    """A way to the database, while the block runs.

    Without ``REMOTE_HOST`` there is none and nothing is opened.

    Parameters
    ----------
    settings
        The SSH server, the user and the key, the database behind it.
    known_hosts
        Files of host keys to trust; hashed names are understood. None: the user's and the
        system's.
    accept_new
        Trust a server without any known key, and remember it; one whose key has changed is
        refused.
    config
        Another configuration of ssh than the user's; sshtunnel reads none.

    Yields
    ------
    A tunnel, whose ``address`` is always ``127.0.0.1`` and a free port; or None.

    Raises
    ------
    ConfigError
        If the user or the key is missing, unreadable, unsafe, or its passphrase is wrong.
    SourceError
        If the server does not answer, its key is unknown or has changed (with the fingerprint),
        or it does not let us in.

    Notes
    -----
    Threads: one, with sshtunnel two and one for each connection; they end with the block.
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
    """``"openssh"`` or ``"sshtunnel"``."""
    if settings.tunnel != "auto":
        return settings.tunnel
    return "openssh" if openssh.is_there() and sys.platform != "win32" else "sshtunnel"


class _Sshtunnel:
    """sshtunnel: left to itself it checks no host key and listens on every interface."""

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
    name = host_keys.label(str(settings.remote_host), settings.remote_port)
    raise host_keys.refused(name, str(settings.ssh_username))


def _discard(forwarder: Any) -> None:
    """Close what a failed start left; its ``stop`` waits for ever for a server not begun."""
    for server in forwarder._server_list:
        server.server_close()
    transport = getattr(forwarder, "_transport", None)
    if transport is not None:
        transport.close()


def _silent() -> logging.Logger:
    """A logger that keeps sshtunnel from adding handlers of its own to the console."""
    logger = logging.getLogger("ingest.ssh.tunnel.ssh")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return logger
