"""What the command prints in a real terminal of 80 columns."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

import fhemb_xr as fx

COLUMNS = 80
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def screen(folder, *args):
    """The lines that a terminal shows of a command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-m", "fhemb_cli", *args]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env={**env, "TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(theirs)
        told = b""
        try:
            while piece := os.read(ours, 65536):
                told += piece
        except OSError:  # Linux ends a terminal so
            pass
        os.close(ours)
        code = process.wait(60)
    assert code == 0, told.decode()
    return COLOURS.sub("", told.decode()).splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("terminal")
    ds = fx.testing.audience(2, 2, shape=(8, 6), title="Don Giovanni, the third evening")
    fx.save(ds, place / "don_giovanni_of_the_third_evening.zarr")
    emb = ds.fhemb.embed(["mean", "skew", ("p5", "p95"), ("pc0", "pc3")], threshold=25)
    fx.save(emb, place / "embedding.zarr")
    return place


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["info", "."], "don_giovanni_of_the_third_evening.zarr"),
        (["info", "embedding.zarr"], "fhemb_kind"),
        (["embed", "--help"], "--entropy-correction"),
        (["ingest", "run", "--help"], "--schema"),
    ],
)
def test_terminal__of_80_columns_shows_all_of_it(folder, args, told):
    lines = screen(folder, *args)
    assert any(told in line for line in lines), lines
    assert max(map(cell_len, lines)) <= COLUMNS
    cut = [line for line in lines if re.search(r"\w…(\s|│)", line)]
    assert not cut
