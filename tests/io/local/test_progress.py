"""Progress: shown where someone looks, after a second, and never in the way."""

import os
import re
import subprocess
import sys
import threading

import dask.array as da
import pytest
from dask.callbacks import Callback

import fhemb_xr as fx
from fhemb_xr.io.local import progress

SAVE = """
import fhemb_xr as fx, sys
from fhemb_xr.io.local import progress
progress.PATIENCE_S = progress._EVERY_S = 0
emb = fx.testing.audience(n_subjects=2, seconds=2, shape=(4, 3)).fhemb.embed(["mean"])
for on in (False, True):
    with fx.set_options(progress=on):
        print("asked", on, flush=True)
        emb.fhemb.save(sys.argv[1], mode="w")
"""


class Recorder:
    def __init__(self):
        self.seen, self.cleared = [], 0

    def show(self, work):
        self.seen.append((work.label, work.done, work.planned))

    def clear(self):
        self.cleared += 1


@pytest.fixture
def screens(monkeypatch):
    """Every screen that is asked for; each shows at once."""
    made = []
    monkeypatch.setattr(progress, "_screen", lambda: made.append(Recorder()) or made[-1])
    monkeypatch.setattr(progress, "PATIENCE_S", 0)
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    return made


def work(n=8):
    return da.ones(n, chunks=1).map_blocks(lambda x: x + 1).sum()


def test_shown__counts_the_tasks_and_leaves_nothing(screens):
    with progress.shown("Outer"), progress.shown("Inner"):
        work().compute(scheduler="threads")
    (screen,) = screens
    label, done, planned = screen.seen[-1]
    assert (label, screen.cleared) == ("Outer", 1)
    assert 0 < done == planned


def test_shown__says_nothing_of_quick_work_nor_where_it_is_off(screens, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 60)
    with progress.shown("Quick"):
        work().compute(scheduler="sync")
    assert screens[0].seen == []
    with fx.set_options(progress=False), progress.shown("Off"):
        work().compute(scheduler="sync")
    assert len(screens) == 1
    with pytest.raises(ValueError, match="progress is True or False, found 'no'"):
        fx.set_options(progress="no")


def test_shown__of_two_threads_stay_apart(screens):
    first, second = threading.Event(), threading.Event()

    def outer():
        with progress.shown("4"):
            second.set()
            first.wait(10)
            work(4).compute(scheduler="sync")

    thread = threading.Thread(target=outer)
    thread.start()
    second.wait(10)
    with progress.shown("40"):
        work(40).compute(scheduler="sync")
    first.set()
    thread.join()
    last = {screen.seen[-1][0]: screen.seen[-1][1:] for screen in screens}
    assert last["4"][0] == last["4"][1] < last["40"][0] == last["40"][1]


def test_shown__is_over_when_the_block_is(screens):
    with progress.shown("Once"):
        for callback in list(Callback.active):
            left = callback
    with Callback(start=left[0], posttask=left[3]):  # as another thread's compute may leave it
        work().compute(scheduler="sync")
    assert screens[0].seen == []


def test_shown__lets_an_interrupt_through(screens):
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.shown("Long"):
        da.ones(3, chunks=1).map_blocks(stop, dtype=float).compute(scheduler="sync")
    assert screens[0].cleared == 1
    assert progress._now.get() is None


def test_pipe__has_no_bar(capsys):
    assert progress._screen() is None


def test_terminal__has_a_bar(tmp_path):
    pty = pytest.importorskip("pty")
    command = [sys.executable, "-W", "ignore", "-c", SAVE, str(tmp_path / "a.zarr")]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as running:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the terminal is closed
                break
        assert running.wait() == 0
    os.close(ours)
    assert said.count(b"Saving") > 0
    assert re.search(rb"\d+%", said)


def test_notebook__has_a_line_that_is_taken_away_and_no_error_stream(tmp_path):
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    code = SAVE.replace("sys.argv[1]", repr(str(tmp_path / "a.zarr")))
    cell = nbformat.v4.new_code_cell("import warnings; warnings.simplefilter('ignore')" + code)
    book = nbformat.v4.new_notebook(cells=[cell])
    client.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    kinds = [(o.output_type, o.get("name")) for o in cell.outputs]
    assert ("stream", "stderr") not in kinds
    lines = [o for o in cell.outputs if o.output_type == "display_data"]
    assert len(lines) == 1
    assert set(lines[0].data.values()) == {""}
