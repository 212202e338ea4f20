"""A result that was interrupted is gone on with, and nothing that was done is done again."""

import subprocess
import sys
import time

import dask
import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.io.local import atomic_files
from fhemb_xr.kernels.pairwise import metrics


def people(n=24):
    x = np.random.default_rng(0).normal(size=(n, 40)).cumsum(axis=1)
    return xr.DataArray(
        x, dims=("subject", "time"), coords={"subject": np.arange(n)}, name="walk"
    ).chunk(subject=3)


DTW = metrics._KERNELS["dtw"]


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
    monkeypatch.setitem(metrics._KERNELS, "dtw", counter)
    with dask.config.set(scheduler="synchronous"):
        fx.save(d, path, resume=True)
    return counter.seen


def test_resume__does_only_what_was_not_done(tmp_path, monkeypatch):
    d, path = fx.pairwise(people(), "dtw"), tmp_path / "d.zarr"
    counter = Interrupted(20)
    monkeypatch.setitem(metrics._KERNELS, "dtw", counter)
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        fx.save(d, path, resume=True)
    assert not path.exists()
    (aside,) = atomic_files.leavings(path)
    done = len([p for p in (aside / "relation" / "c").rglob("*") if p.is_file()])
    assert 10 < done < 64
    torn = next(p for p in sorted((aside / "relation" / "c").rglob("*")) if p.is_file())
    torn.write_bytes(torn.read_bytes()[:-3])  # the power went
    left = saved(fx.pairwise(people(), "dtw"), path, monkeypatch, 99)
    assert left < 36 - 10
    assert atomic_files.leavings(path) == []
    monkeypatch.undo()
    found = fx.open_result(path)
    np.testing.assert_array_equal(found, fx.pairwise(people(), "dtw"))
    assert found.attrs["metric"] == "dtw"


def test_resume__takes_nothing_of_the_old_result_whose_removal_was_cut_off(
    tmp_path, monkeypatch
):
    def exchange_and_die(a, b, exchange=atomic_files._exchange):
        exchange(a, b)
        raise KeyboardInterrupt

    d, path = fx.pairwise(people(), "dtw"), tmp_path / "d.zarr"
    fx.save(d + 1, path)
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "_exchange", exchange_and_die)
        with pytest.raises(KeyboardInterrupt):
            fx.save(d, path, mode="w", resume=True)
    assert len(atomic_files.leavings(path)) == 1
    fx.save(d, path, mode="w", resume=True)
    np.testing.assert_array_equal(fx.open_result(path), d)
    assert atomic_files.leavings(path) == []


def test_resume__keeps_finished_work_that_could_not_be_exchanged(tmp_path, monkeypatch):
    def refuse(a, b):
        raise OSError("the share is gone")

    d, path = fx.pairwise(people(), "dtw"), tmp_path / "d.zarr"
    fx.save(d + 1, path)
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "_exchange", refuse)
        with pytest.raises(OSError, match="the share is gone"):
            fx.save(d, path, mode="w", resume=True)
    np.testing.assert_array_equal(fx.open_result(path), d + 1)
    counter = Interrupted(99)
    monkeypatch.setitem(metrics._KERNELS, "dtw", counter)
    with dask.config.set(scheduler="synchronous"):
        fx.save(d, path, mode="w", resume=True)
    assert counter.seen == 0
    monkeypatch.undo()
    np.testing.assert_array_equal(fx.open_result(path), d)


def test_resume__another_result_begins_anew(tmp_path, monkeypatch):
    path = tmp_path / "d.zarr"
    with pytest.raises(KeyboardInterrupt):
        saved(fx.pairwise(people(), "dtw"), path, monkeypatch, 9)
    saved(fx.pairwise(people() + 1, "dtw", window=3), path, monkeypatch, 99)
    monkeypatch.undo()
    expected = fx.pairwise(people() + 1, "dtw", window=3)
    np.testing.assert_array_equal(fx.open_result(path), expected)
    assert atomic_files.leavings(path) == []


def grouped():
    found = fx.pairwise(people(), "dtw").to_dataset(name="relation")
    return found.assign(cluster=fx.clusters(found["relation"], 3))


def test_resume__what_is_made_of_a_kept_chunk_reads_it(tmp_path, monkeypatch):
    path = tmp_path / "d.zarr"
    with pytest.raises(KeyboardInterrupt):
        saved(grouped(), path, monkeypatch, 25)
    assert saved(grouped(), path, monkeypatch, 99) < 36 - 15
    monkeypatch.undo()
    xr.testing.assert_equal(fx.open_result(path).load(), grouped().compute())


def chunks(folder):
    """When each chunk of a matrix was written, by its place."""
    files = (p for p in (folder / "relation" / "c").rglob("*") if p.is_file())
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in files}


@pytest.mark.soak
def test_similarity__that_was_killed_goes_on(tmp_path):
    x = np.random.default_rng(0).normal(size=(24, 1, 12_000)).cumsum(axis=2)
    clock = {"subject": np.arange(24), "feature": ["mean"], "time": np.arange(12_000) / 25}
    emb = xr.DataArray(x, clock, ("subject", "feature", "time"), "embedding")
    fx.save(emb.assign_attrs(sampling_rate=25.0).chunk(subject=3), tmp_path / "emb.zarr")
    asked = [sys.executable, "-m", "fhemb_cli", "similarity", "emb.zarr", "d.zarr"]
    asked += ["--window", "200"]  # half of all cells: some seconds
    with subprocess.Popen(asked, cwd=tmp_path, stderr=subprocess.DEVNULL) as killed:
        while not any(len(chunks(p)) > 8 for p in atomic_files.leavings(tmp_path / "d.zarr")):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
    assert not (tmp_path / "d.zarr").exists()
    (aside,) = atomic_files.leavings(tmp_path / "d.zarr")
    before = chunks(aside)
    assert len(before) < 64
    subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True)
    after = chunks(tmp_path / "d.zarr")
    again = [place for place, when in before.items() if after[place] != when]
    assert len(after) == 64
    assert len(again) <= 2  # what was being written, one for each thread
    expected = fx.pairwise(emb, "dtw", window=5000, normalize="zscore")
    found = fx.open_result(tmp_path / "d.zarr")["relation"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


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
    assert atomic_files.leavings(tmp_path / "a.zarr") == []


TOKEN = """
import numpy as np, xarray as xr, fhemb_xr as fx
from fhemb_xr.io.local import resume as resuming
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
