"""The real browser: a page as it is in the end, what it asked the network for, its print."""

import json
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def opened(page, folder, *flags, ms=6000):
    """The page's title in the end, and every address of the network it asked for."""
    log = folder / "net.json"
    more = (
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        f"--virtual-time-budget={ms}",
    )
    command = [CHROMIUM, *FLAGS, *more, *flags, "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    events = (e.get("params", {}) for e in json.loads(log.read_text())["events"])
    # what the browser asks for itself (its clock, its updates) has no origin
    own = "not an origin"
    asked = {e["url"] for e in events if "url" in e and e.get("initiator", own) != own}
    return dom, {url for url in asked if url.startswith(("http", "ws"))}


def print_pdf(page, folder):
    """The page on paper, with the tags that a reader hears."""
    out = folder / "page.pdf"
    more = (f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=6000")
    command = [CHROMIUM, *FLAGS, *more, f"--print-to-pdf={out}", page.as_uri()]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    return out.read_bytes()
