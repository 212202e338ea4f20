"""An unprivileged sshd of our own on loopback, with throw-away keys."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

missing = pytest.mark.skipif(
    not shutil.which("sshd", path="/usr/sbin"), reason="no sshd: apt install openssh-server"
)


class Server:
    """Where it listens, and its process."""

    def __init__(self, port, process):
        self.port, self.process = port, process

    def sessions(self):
        """The processes of its connections."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


@contextmanager
def sshd(keys, folder):
    """Shows ``keys["host"]`` and lets ``keys["client"]`` in."""
    host, authorized = folder / "host", folder / "authorized"
    if not host.exists():
        keys["host"].write_private_key_file(str(host))
    authorized.write_text(f"{keys['client'].get_name()} {keys['client'].get_base64()}\n")
    authorized.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "HostKey": host,
        "AuthorizedKeysFile": authorized,
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "ListenAddress": "127.0.0.1",
        "Subsystem": "sftp internal-sftp",
    }
    flags = [part for k, v in options.items() for part in ("-o", f"{k}={v}")]
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(port), *flags]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, when it is root's
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    server = Server(port, process)
    try:
        wait_for(port)
        yield server
    finally:
        for session in server.sessions():
            with suppress(psutil.NoSuchProcess):  # it ended with another one
                session.kill()
        process.terminate()
        process.wait()


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("sshd did not start")
