"""Ctrl-C in a command: back at the prompt without waiting for tasks, and no half store."""

import signal
import subprocess
import sys
import time

import numpy as np
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.io.local import atomic_files


def interrupted(folder, pause_s, *args):
    """Exit code and last line of a command that gets SIGINT while it saves."""
    command = [sys.executable, "-m", "fhemb_cli", *args]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 60
            while not [*folder.glob(".out.zarr*")]:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.005)
            time.sleep(pause_s)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, told.strip().splitlines()[-1]


def test_ctrl_c__does_not_wait_for_tasks_of_minutes(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 1, 200_000))
    clock = {"subject": np.arange(8), "feature": ["mean"], "time": np.arange(200_000) / 25}
    emb = xr.DataArray(x, clock, ("subject", "feature", "time"), "embedding")
    fx.save(emb.assign_attrs(sampling_rate=25.0).chunk(subject=1), tmp_path / "emb.zarr")
    args = ["similarity", "emb.zarr", "out.zarr", "--window", "8000"]
    told = 130, "stopped the same command continues from here"
    assert interrupted(tmp_path, 1, *args) == told
    assert not (tmp_path / "out.zarr").exists()
    assert len(atomic_files.leavings(tmp_path / "out.zarr")) == 1


def test_ctrl_c__leaves_nothing_of_a_store(tmp_path):
    faces = fx.testing.audience(n_subjects=3, seconds=40, shape=(24, 20))
    fx.save(faces, tmp_path / "don.zarr")
    told = 130, "stopped nothing of it is left behind"
    assert interrupted(tmp_path, 0.3, "embed", "don.zarr", "out.zarr") == told
    assert [p.name for p in tmp_path.iterdir()] == ["don.zarr"]
