"""The tunnel: whom it trusts, whom it lets in, where it listens. Servers on loopback only."""

import getpass
import json
import logging
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import paramiko
import psutil
import pytest
from sshd import missing, sshd

from fhemb_xr.errors import ConfigError, SourceError
from ingest.settings import Database
from ingest.ssh.host_keys import fingerprint
from ingest.ssh.tunnel import chosen, tunnel

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
    except (OSError, EOFError):
        pass


def forward(channel, destination):
    # a client that is gone takes the transport along: then closing is one write too many
    with suppress(EOFError), socket.create_connection(destination) as sock, channel:
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
            except (paramiko.SSHException, EOFError, OSError):
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


@pytest.fixture(params=["openssh", "sshtunnel"])
def kind(request):
    if request.param == "openssh" and not shutil.which("ssh"):
        pytest.skip("no ssh: apt install openssh-client")
    return request.param


@pytest.fixture
def settings(kind, server, keys, echo, tmp_path):
    path = tmp_path / "id"
    keys["client"].write_private_key_file(str(path), password=PASSPHRASE)

    def made(**changes):
        given = {
            "db_name": "tcamera",
            "db_username": "reader",
            "tunnel": kind,
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
    with tunnel(settings(), trusted) as way:
        host, port = way.address
        assert host == "127.0.0.1"
        assert ask(host, port) == b"FRAMES"
        assert port in listening()
        assert set(listening().values()) == {"127.0.0.1"}
    with pytest.raises(OSError):  # noqa: PT011
        ask(host, port)


def programs():
    """Running programs ssh of ours."""
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "ssh"]


def listening():
    """Ports on which this process and its children listen, and where."""
    me = psutil.Process()
    return {
        c.laddr.port: c.laddr.ip
        for process in [me, *me.children(recursive=True)]
        for c in process.net_connections(kind="inet")
        if c.status == psutil.CONN_LISTEN
    }


def test_tunnel__without_a_host_is_none(settings):
    with tunnel(settings(remote_host=None)) as way:
        assert way is None


def test_tunnel__an_unknown_host_is_refused_with_its_fingerprint(settings, keys, tmp_path):
    with (
        pytest.raises(SourceError, match="unknown") as caught,
        tunnel(settings(), [tmp_path / "no"]),
    ):
        pass
    assert fingerprint(keys["host"]) in str(caught.value)
    assert "ssh-keyscan -p" in str(caught.value)
    assert "--accept-new-hostkey" in str(caught.value)


def test_tunnel__a_new_host_is_remembered_where_that_is_asked_for(
    settings, server, keys, tmp_path
):
    files = [tmp_path / "known"]
    with tunnel(settings(), files, accept_new=True) as way:
        assert ask(*way.address) == b"FRAMES"
    assert keys["host"].get_base64() in files[0].read_text()
    assert files[0].stat().st_mode & 0o022 == 0
    with tunnel(settings(), files) as way:
        assert ask(*way.address) == b"FRAMES"
    known(files[0], server, keys["other"])
    with (
        pytest.raises(SourceError, match="CHANGED"),
        tunnel(settings(), files, accept_new=True),
    ):
        pass


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
        with tunnel(settings(remote_port=port), trusted) as way:
            assert ask(*way.address) == b"FRAMES"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"ssh_passphrase": "wrong"}, ConfigError, "wrong SSH_PASSPHRASE"),
        ({"ssh_passphrase": None}, ConfigError, "set SSH_PASSPHRASE"),
        ({"ssh_username": None}, ConfigError, "SSH_USERNAME is not"),
        ({"ssh_pkey": "/nowhere/id"}, ConfigError, "does not exist"),
        ({"ssh_username": "stranger"}, SourceError, "does not let 'stranger' in"),
        ({"remote_port": 1}, SourceError, "does not answer"),
        ({"remote_host": "nowhere.invalid"}, SourceError, "nowhere.invalid"),
        ({"ssh_pkey": __file__}, ConfigError, "chmod 600|is no private key"),
    ],
)
def test_tunnel__says_what_is_wrong(settings, server, keys, tmp_path, change, error, text):
    trusted = known(tmp_path / "known", server, keys["host"])
    started = time.monotonic()
    with pytest.raises(error, match=text) as caught, tunnel(settings(**change), trusted):
        pass
    assert time.monotonic() - started < 20
    assert PASSPHRASE not in "".join(traceback.format_exception(caught.value))


def test_tunnel__refuses_a_key_that_others_can_read(settings, tmp_path):
    (tmp_path / "id").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"), tunnel(settings()):
        pass


def test_tunnel__shows_no_secret(settings, kind, server, keys, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    trusted = known(tmp_path / "known", server, keys["host"])
    with tunnel(settings(), trusted) as way:
        ask(*way.address)
        if kind == "openssh":
            (ssh,) = programs()
            assert PASSPHRASE not in " ".join([*ssh.cmdline(), *ssh.environ().values()])
    out, err = capfd.readouterr()
    assert PASSPHRASE not in caplog.text + out + err + repr(settings())


@pytest.mark.parametrize("kind", ["openssh"], indirect=True)
def test_tunnel__an_agent_s_key_needs_no_file(settings, server, keys, tmp_path, monkeypatch):
    trusted = known(tmp_path / "known", server, keys["host"])
    bare = tmp_path / "bare"
    keys["client"].write_private_key_file(str(bare))
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    for name, value in re.findall(r"(SSH_\w+)=([^;]+);", agent.stdout):
        monkeypatch.setenv(name, value)
    try:
        subprocess.run(["ssh-add", "-q", str(bare)], check=True, stderr=subprocess.DEVNULL)
        locked = settings(ssh_passphrase=None)  # the agent has opened it already
        for asked in (settings(ssh_pkey=None, ssh_passphrase=None), locked):
            with tunnel(asked, trusted) as way:
                assert ask(*way.address) == b"FRAMES"
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("kind", ["openssh"], indirect=True)
def test_tunnel__jumps_as_the_user_s_configuration_says(settings, server, keys, tmp_path):
    (trusted,) = known(tmp_path / "known", server, keys["host"])
    bare = tmp_path / "bare"
    keys["client"].write_private_key_file(str(bare))
    with ssh_server([keys["other"]], keys["client"]) as jump:
        with trusted.open("a") as file:
            key = keys["other"]
            file.write(f"[127.0.0.1]:{jump} {key.get_name()} {key.get_base64()}\n")
        config = tmp_path / "config"
        config.write_text(
            f"UserKnownHostsFile {trusted}\nGlobalKnownHostsFile /dev/null\n"
            f"Host door\n HostName 127.0.0.1\n Port {jump}\n User someone\n"
            f" IdentityFile {bare}\n"
            f"Host lab\n HostName 127.0.0.1\n Port {server}\n ProxyJump door\n"
        )
        asked = settings(remote_host="lab", remote_port=22)
        with tunnel(asked, config=config) as way:
            assert ask(*way.address) == b"FRAMES"
            assert set(listening().values()) == {"127.0.0.1"}
        trusted.write_text("")
        with pytest.raises(SourceError, match=rf"\[127.0.0.1\]:{jump} is unknown") as caught:
            tunnel(asked, config=config).__enter__()
        assert fingerprint(keys["other"]) in str(caught.value)


def test_tunnel__is_made_anew_once_for_all_who_ask(settings, kind, server, keys, tmp_path):
    trusted = known(tmp_path / "known", server, keys["host"])
    with tunnel(settings(), trusted) as way:
        first = way.address
        with ThreadPoolExecutor(4) as pool:
            addresses = set(pool.map(way.renew, [first] * 4))
        assert len(addresses) == 1
        assert ask(*way.address) == b"FRAMES"
        assert len(programs()) == (kind == "openssh")
    assert programs() == []


def test_chosen__is_the_program_ssh_where_it_is(settings, monkeypatch):
    auto = settings(tunnel="auto")
    assert chosen(auto) == "openssh" if shutil.which("ssh") else "sshtunnel"
    monkeypatch.setenv("PATH", "")
    assert chosen(auto) == "sshtunnel"
    with pytest.raises(ConfigError, match="no program ssh"), tunnel(settings(tunnel="openssh")):
        pass


@missing
def test_tunnel__through_a_real_sshd(settings, keys, tmp_path):
    with sshd(keys, tmp_path) as running:
        port = running.port
        me = settings(remote_port=port, ssh_username=getpass.getuser())
        with tunnel(me, known(tmp_path / "known", port, keys["host"])) as way:
            assert ask(*way.address) == b"FRAMES"


KILLED = """
import sys
from pathlib import Path
from ingest.settings import Database
from ingest.ssh.tunnel import tunnel

way = tunnel(Database.model_validate_json(sys.argv[1]), [Path(sys.argv[2])])
print(way.__enter__().address[1], flush=True)
sys.stdin.read()
"""


@missing
def test_tunnel__of_a_killed_process_is_closed(settings, keys, tmp_path):
    with sshd(keys, tmp_path) as running:
        me = settings(remote_port=running.port, ssh_username=getpass.getuser())
        given = me.model_dump(mode="json") | {"ssh_passphrase": PASSPHRASE}
        trusted = known(tmp_path / "known", running.port, keys["host"])
        command = [sys.executable, "-c", KILLED, json.dumps(given), *trusted]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as process:
            port = int(process.stdout.readline())
            assert ask("127.0.0.1", port) == b"FRAMES"
            process.kill()
        for _ in range(50):
            if not answers(port):
                break
            time.sleep(0.1)
        assert not answers(port)


def answers(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
