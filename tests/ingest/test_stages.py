"""Stages of one program: exit codes, libraries that are loaded ahead, and no orphan."""

import signal
import subprocess
import sys

import psutil
import pytest

PROGRAM = """
import sys, time, typer
from fhemb_cli.app import app
from ingest.cli import stages
@app.command()
def fails():
    raise typer.Exit(3)
"""
AHEAD = 'ahead = stages.Ahead("no_such_library", {!r})\n'


def started(*lines):
    command = [sys.executable, "-u", "-c", PROGRAM + "\n".join(lines)]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)


def test_ahead__loads_before_it_is_asked_and_gives_the_exit_code():
    # this library prints when it is loaded
    ask = "sys.stdin.read(1); print('ends', ahead.run(['fails']), 'this' in sys.modules)"
    with started(AHEAD.format("this"), ask) as process:
        assert "Zen of Python" in process.stdout.readline()
        out, _ = process.communicate("x")
    assert out.endswith("ends 3 False\n")


def test_run__gives_the_exit_code_of_a_command_of_this_process():
    with started("print('ends', stages.run(['fails']), stages.run(['--version']))") as process:
        assert process.stdout.read().endswith("ends 3 0\n")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_ahead__ends_with_the_program_that_made_it(how):
    told = "print(ahead._process.pid); time.sleep(60)"
    with started(AHEAD.format("colorsys"), told) as process:
        waiting = psutil.Process(int(process.stdout.readline()))
        process.send_signal(how)
    _, alive = psutil.wait_procs([waiting], timeout=10)
    assert not alive
