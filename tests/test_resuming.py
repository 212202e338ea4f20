"""A result that was interrupted is gone on with, and nothing that was done is done again."""

import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.io import files
from fhemb_xr.kernels import pairs


def people(n=24):
    x = np.random.default_rng(0).normal(size=(n, 40)).cumsum(axis=1)
    return xr.DataArray(
        x, dims=("subject", "time"), coords={"subject": np.arange(n)}, name="walk"
    ).chunk(subject=3)


DTW = pairs._KERNELS["dtw"]


class Interrupted:
    """Fails after some blocks, and counts them."""

    def __init__(self, after):
        self.after, self.seen = after, 0

    def __call__(self, *args, **options):
        if self.seen == self.after:
            raise KeyboardInterrupt
        self.seen += 1
        return DTW(*args, **options)


def saved(d, path, monkeypatch, after):
    counter = Interrupted(after)
    monkeypatch.setitem(pairs._KERNELS, "dtw", counter)
    with dask.config.set(scheduler="synchronous"):
        fx.save(d, path, resume=True)
    return counter.seen


def test_resume__does_only_what_was_not_done(tmp_path, monkeypatch):
    d, path = fx.pairwise(people(), "dtw"), tmp_path / "d.zarr"
    counter = Interrupted(20)
    monkeypatch.setitem(pairs._KERNELS, "dtw", counter)
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        fx.save(d, path, resume=True)
    assert not path.exists()
    (aside,) = files.leavings(path)
    done = len([p for p in (aside / "relation" / "c").rglob("*") if p.is_file()])
    assert 10 < done < 64
    torn = next(p for p in sorted((aside / "relation" / "c").rglob("*")) if p.is_file())
    torn.write_bytes(torn.read_bytes()[:-3])  # the power went
    left = saved(fx.pairwise(people(), "dtw"), path, monkeypatch, 99)
    assert left < 36 - 10
    assert files.leavings(path) == []
    monkeypatch.undo()
    found = fx.open_result(path)
    np.testing.assert_array_equal(found, fx.pairwise(people(), "dtw"))
    assert found.attrs["metric"] == "dtw"


def test_resume__another_result_begins_anew(tmp_path, monkeypatch):
    path = tmp_path / "d.zarr"
    with pytest.raises(KeyboardInterrupt):
        saved(fx.pairwise(people(), "dtw"), path, monkeypatch, 9)
    saved(fx.pairwise(people() + 1, "dtw", window=3), path, monkeypatch, 99)
    monkeypatch.undo()
    expected = fx.pairwise(people() + 1, "dtw", window=3)
    np.testing.assert_array_equal(fx.open_result(path), expected)
    assert files.leavings(path) == []


def test_resume__of_a_dataset_with_text_and_what_is_loaded(tmp_path):
    d = fx.pairwise(people(), "dtw")
    d = d.assign_coords(subject_0=[f"s{i}" for i in range(24)])
    ds = d.to_dataset(name="relation").assign(loaded=("k", [1.5, np.nan]), nothing=d * np.nan)
    ds["cluster"] = fx.clusters(fx.pairwise(people(), "dtw"), 3)
    fx.save(ds, tmp_path / "a.zarr", resume=True)
    fx.save(ds, tmp_path / "b.zarr")
    xr.testing.assert_equal(
        fx.open_result(tmp_path / "a.zarr").load(), fx.open_result(tmp_path / "b.zarr").load()
    )
    fx.save(ds * 2, tmp_path / "a.zarr", mode="w", resume=True)
    assert files.leavings(tmp_path / "a.zarr") == []


TOKEN = """
import numpy as np, xarray as xr, fhemb_xr as fx
from fhemb_xr.io import resuming
x = xr.DataArray(np.arange(60.0).reshape(6, 10), dims=("subject", "time")).chunk(subject=2)
print(resuming.token(fx.pairwise(x, "dtw", window=2)))
"""


def test_resume__knows_its_work_in_another_process():
    found = {
        subprocess.check_output([sys.executable, "-W", "error", "-c", TOKEN], text=True)
        for _ in range(2)
    }
    assert len(found) == 1


def test_resume__says_what_it_cannot(tmp_path):
    from zarr.storage import MemoryStore

    with pytest.raises(ValueError, match="only a folder can be resumed, found MemoryStore"):
        fx.save(fx.pairwise(people(), "dtw"), MemoryStore(), resume=True)
