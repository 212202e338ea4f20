"""The commands on a Dask cluster: a real scheduler and worker in processes of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import pytest
import xarray as xr
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_cli.app import app
from fhemb_xr.cluster import connected
from fhemb_xr.errors import ClusterError

pytestmark = pytest.mark.cluster
TESTS = Path(__file__).parents[2]  # the workers import the functions of this file from here
QUIET = {
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
    "env": {**os.environ, "PYTHONPATH": str(TESTS)},
}


@pytest.fixture
def scheduler(tmp_path):
    """Process of a scheduler with one worker, and its file."""
    file = tmp_path / "s.json"
    here = ["--scheduler-file", str(file), "--no-dashboard"]
    dask_ = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    work = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--no-nanny",
        "--nthreads",
        "1",
    ]
    started = [subprocess.Popen([*dask_, "--port", "0", *here], cwd=tmp_path, **QUIET)]
    until = time.monotonic() + 60
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    started.append(subprocess.Popen([*work, *here], cwd=tmp_path, **QUIET))
    yield started[0], file
    for process in started[::-1]:
        process.kill()
        process.wait()


def one_second(block):
    time.sleep(1)
    return block


def test_embed__on_a_scheduler_is_bit_for_bit_that_of_threads(scheduler, tmp_path):
    process, file = scheduler
    with dask.config.set(scheduler="synchronous"):
        fx.save(fx.testing.audience(2, 4, shape=(8, 6)), tmp_path / "r.zarr")
        fx.save(fx.embed(fx.open_recording(tmp_path / "r.zarr"), ["mean"]), tmp_path / "a.zarr")
    args = [
        "embed",
        tmp_path / "r.zarr",
        tmp_path / "b.zarr",
        "-f",
        "mean",
        "--wavelet",
        "none",
    ]
    done = CliRunner().invoke(app, [*map(str, args), "--scheduler", str(file)])
    assert done.exit_code == 0, done.output
    with dask.config.set(scheduler="synchronous"):
        a, b = (fx.open_embedding(tmp_path / n).load() for n in ("a.zarr", "b.zarr"))
    xr.testing.assert_equal(a, b)
    # a scheduler that is killed in mid-save: the cause is told, and how to go on
    slow = da.ones(100, chunks=5).map_blocks(one_second, dtype="f8")
    with connected(str(file)):
        threading.Timer(3, process.send_signal, (signal.SIGKILL,)).start()
        with pytest.raises(ClusterError, match=r"scheduler was lost.*resume=True"):
            fx.save(xr.DataArray(slow, dims="k", name="score"), tmp_path / "c.zarr")
    assert not [p for p in os.listdir(tmp_path) if "c.zarr" in p]


def test_scheduler__that_does_not_answer_is_one_sentence(tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass
    with pytest.raises(ClusterError, match="there is no scheduler file"), connected("s.json"):
        pass
    with connected(None) as client:
        assert client is None


def test_workers__and_a_scheduler_together_are_refused(tmp_path):
    args = ["embed", "r.zarr", "e.zarr", "--workers", "2", "--scheduler", "tcp://h:1"]
    fx.save(fx.testing.audience(1, 1, shape=(8, 6)), tmp_path / "r.zarr")
    args[1] = str(tmp_path / "r.zarr")
    done = CliRunner().invoke(app, [*args, "-f", "mean", "--wavelet", "none", "--json"])
    assert done.exit_code == 1
    assert "give one" in done.output
