"""Who may see the window: whoever has its address, on this machine, and nobody else."""

import http.client
import re
import time

import pytest

import fhemb_xr as fx


@pytest.fixture(scope="module")
def viewer(embedding):
    viewer = fx.view(embedding)
    yield viewer
    viewer.close()


def answer(viewer, path, host=None):
    port = int(re.search(r":(\d+)/", viewer.url)[1])
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        asked.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
        found = asked.getresponse()
        return found.status, dict(found.getheaders()), found.read().decode()
    finally:
        asked.close()  # also where the server is gone


def path_of(viewer):
    return "/" + viewer.url.split("/", 3)[3]


def test_page__is_behind_the_secret_path_only(viewer):
    path = path_of(viewer)
    assert answer(viewer, path)[0] == 200
    assert answer(viewer, path + "static/js/bokeh.min.js")[0] == 200
    for other in ("/", "/ws", "/static/js/bokeh.min.js", "/favicon.ico", path[:-3] + "/"):
        assert answer(viewer, other)[0] == 404, other


def test_page__is_not_given_to_another_host(viewer):
    path = path_of(viewer)
    assert answer(viewer, path, "evil.example")[0] == 404
    assert answer(viewer, path, "127.0.0.1.evil.example")[0] == 404
    assert answer(viewer, path, "localhost")[0] == 200


def test_page__may_load_nothing_from_elsewhere(viewer):
    _, headers, text = answer(viewer, path_of(viewer))
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'nonce-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    nonce = re.search(r"'nonce-([^']+)'", policy)[1]
    scripts = re.findall(r"<script[^>]*>", text)
    assert len(scripts) > 3
    assert all(f'nonce="{nonce}"' in script for script in scripts)
    assert not re.findall(r"https?://", text.replace("http://www.w3.org", ""))
    assert headers["Referrer-Policy"] == "no-referrer"
    assert nonce not in answer(viewer, path_of(viewer))[1]["Content-Security-Policy"]


def test_viewer__says_its_address_only_when_asked(viewer):
    secret = path_of(viewer).strip("/")
    assert len(secret) == 32
    assert secret not in repr(viewer)
    assert secret in viewer._repr_html_()
    assert "ssh -L" in viewer._repr_html_()


def test_viewer__is_gone_after_it_was_closed(embedding):
    viewer = fx.view(embedding)
    path = path_of(viewer)
    viewer.close()
    assert "closed" in viewer._repr_html_()
    with pytest.raises(OSError):  # noqa: PT011 (refused, or cut off)
        asked_for_seconds(viewer, path)


def asked_for_seconds(viewer, path):
    """Ask again and again: the server ends in its own thread."""
    for _ in range(100):
        answer(viewer, path)
        time.sleep(0.05)
