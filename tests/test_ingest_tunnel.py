"""The tunnel: whom it trusts, whom it lets in, where it listens. Servers on loopback only."""

import getpass
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from fhemb_xr.errors import ConfigError, SourceError
from ingest.settings import Database
from ingest.tunnel import fingerprint, tunnel

PASSPHRASE = "canary-passphrase-5c"


class Doorman(paramiko.ServerInterface):
    """Lets one key in, and forwards to wherever it is asked."""

    def __init__(self, allowed):
        self.allowed, self.wanted = allowed, {}

    def check_auth_publickey(self, username, key):
        good = key.asbytes() == self.allowed.asbytes() and username == "someone"
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "publickey"

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        self.wanted[chanid] = destination
        return paramiko.OPEN_SUCCEEDED


def pump(read, write):
    try:
        while data := read(2**14):
            write(data)
    except OSError:
        pass


def forward(channel, destination):
    with socket.create_connection(destination) as sock, channel:
        thread = threading.Thread(target=pump, args=(sock.recv, channel.sendall), daemon=True)
        thread.start()
        pump(channel.recv, sock.sendall)


def serve(transport, door):
    while transport.is_active():
        channel = transport.accept(0.2)
        if channel is not None:
            where = door.wanted[channel.get_id()]
            threading.Thread(target=forward, args=(channel, where), daemon=True).start()


@contextmanager
def ssh_server(host_keys, client_key):
    """A small SSH server of paramiko's; always there, where sshd may not be."""
    listener = socket.create_server(("127.0.0.1", 0))
    transports = []

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transports.append(transport)
            for key in host_keys:
                transport.add_server_key(key)
            door = Doorman(client_key)
            try:
                transport.start_server(server=door)
            except (paramiko.SSHException, EOFError):
                continue
            threading.Thread(target=serve, args=(transport, door), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for transport in transports:
            transport.close()


@pytest.fixture(scope="module")
def keys():
    return {name: paramiko.ECDSAKey.generate() for name in ("host", "client", "other")}


@pytest.fixture
def echo():
    """A service behind the SSH server that answers in capitals."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(sock.recv(100).upper())

    threading.Thread(target=answer, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def server(keys):
    with ssh_server([keys["host"]], keys["client"]) as port:
        yield port


@pytest.fixture
def settings(server, keys, echo, tmp_path, monkeypatch):
    path = tmp_path / "id"
    keys["client"].write_private_key_file(str(path), password=PASSPHRASE)

    def made(**changes):
        given = {
            "db_name": "tcamera",
            "db_username": "reader",
            "remote_host": "127.0.0.1",
            "remote_port": server,
            "ssh_username": "someone",
            "ssh_pkey": path,
            "ssh_passphrase": PASSPHRASE,
            "remote_bind_host": "127.0.0.1",
            "remote_bind_port": echo,
        }
        return Database(**(given | changes))

    return made


def known(path, port, key, host="127.0.0.1"):
    path.write_text(f"[{host}]:{port} {key.get_name()} {key.get_base64()}\n")
    return [path]


def ask(host, port):
    with socket.create_connection((host, port), timeout=5) as sock:
        sock.sendall(b"frames")
        return sock.recv(100)


def test_tunnel__leads_to_the_database_and_listens_on_loopback(
    settings, server, keys, tmp_path
):
    trusted = known(tmp_path / "known", server, keys["host"])
    with tunnel(settings(), trusted) as (host, port):
        assert host == "127.0.0.1"
        assert ask(host, port) == b"FRAMES"
        outside = [a for a in addresses() if not a.startswith("127.")]
        for address in outside:
            with pytest.raises(OSError):  # noqa: PT011 (refused or unreachable)
                socket.create_connection((address, port), timeout=1)
    with pytest.raises(OSError):  # noqa: PT011
        ask(host, port)


def addresses():
    infos = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    return {str(info[4][0]) for info in infos}


def test_tunnel__without_a_host_is_the_database_itself(settings):
    direct = settings(remote_host=None, db_host="db.example", db_port=6543)
    with tunnel(direct) as address:
        assert address == ("db.example", 6543)


def test_tunnel__an_unknown_host_is_refused_with_its_fingerprint(settings, keys, tmp_path):
    with (
        pytest.raises(SourceError, match="unknown") as caught,
        tunnel(settings(), [tmp_path / "no"]),
    ):
        pass
    assert fingerprint(keys["host"]) in str(caught.value)
    assert "ssh -p" in str(caught.value)


def test_tunnel__a_changed_key_is_refused_with_both(settings, server, keys, tmp_path):
    trusted = known(tmp_path / "known", server, keys["other"])
    with pytest.raises(SourceError, match="CHANGED") as caught, tunnel(settings(), trusted):
        pass
    assert fingerprint(keys["host"]) in str(caught.value)
    assert fingerprint(keys["other"]) in str(caught.value)


def test_tunnel__asks_a_server_of_several_keys_for_the_one_it_knows(settings, keys, tmp_path):
    rsa = paramiko.RSAKey.generate(2048)
    with ssh_server([keys["host"], rsa], keys["client"]) as port:
        trusted = known(tmp_path / "known", port, rsa)
        with tunnel(settings(remote_port=port), trusted) as address:
            assert ask(*address) == b"FRAMES"


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"ssh_passphrase": "wrong"}, ConfigError, "wrong SSH_PASSPHRASE"),
        ({"ssh_passphrase": None}, ConfigError, "set SSH_PASSPHRASE"),
        ({"ssh_username": None}, ConfigError, "SSH_USERNAME is not"),
        ({"ssh_pkey": "/nowhere/id"}, ConfigError, "not there"),
        ({"ssh_username": "stranger"}, SourceError, "does not let 'stranger' in"),
        ({"remote_port": 1}, SourceError, "does not answer"),
    ],
)
def test_tunnel__says_what_is_wrong(settings, server, keys, tmp_path, change, kind, text):
    trusted = known(tmp_path / "known", server, keys["host"])
    started = time.monotonic()
    with pytest.raises(kind, match=text) as caught, tunnel(settings(**change), trusted):
        pass
    assert time.monotonic() - started < 20
    assert PASSPHRASE not in "".join(traceback.format_exception(caught.value))


def test_tunnel__refuses_a_key_that_others_can_read(settings, tmp_path):
    (tmp_path / "id").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"), tunnel(settings()):
        pass


def test_tunnel__writes_no_secret_to_a_log(settings, server, keys, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    trusted = known(tmp_path / "known", server, keys["host"])
    with tunnel(settings(), trusted) as address:
        ask(*address)
    out, err = capfd.readouterr()
    assert PASSPHRASE not in caplog.text + out + err + repr(settings())


@pytest.mark.skipif(
    not shutil.which("sshd", path="/usr/sbin"), reason="no sshd: apt install openssh-server"
)
def test_tunnel__through_a_real_sshd(settings, keys, tmp_path):
    host, authorized = tmp_path / "host", tmp_path / "authorized"
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
    }
    flags = [part for k, v in options.items() for part in ("-o", f"{k}={v}")]
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(port), *flags]
    command += ["-o", "ListenAddress=127.0.0.1"]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, when it is root's
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        me = settings(remote_port=port, ssh_username=getpass.getuser())
        with tunnel(me, known(tmp_path / "known", port, keys["host"])) as address:
            assert ask(*address) == b"FRAMES"
    finally:
        process.terminate()
        process.wait()


def wait_for(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("sshd did not start")
