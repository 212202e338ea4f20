"""Stores with commits: what is saved, what is seen, and what a failure leaves."""

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import StoreError

icechunk = pytest.importorskip("icechunk")


@pytest.fixture
def ds():
    return fx.testing.audience(n_subjects=2, seconds=4, shape=(8, 6))


def test_recording__of_a_session_is_that_of_a_folder(tmp_path, ds, computes):
    fx.save(ds, tmp_path / "plain.zarr")
    with fx.version(tmp_path / "don", "first") as session:
        fx.save(ds, session)
    with computes(0):
        again = fx.open_recording(fx.open_version(tmp_path / "don"))
    plain = fx.open_recording(tmp_path / "plain.zarr")
    np.testing.assert_array_equal(again.heatmap, plain.heatmap)
    assert again.heatmap.dtype == np.float32
    assert again.attrs["sampling_rate"] == plain.attrs["sampling_rate"]


def test_versions__travel_in_time(tmp_path, ds):
    path, emb = tmp_path / "emb", ds.heatmap.mean(["y", "x"])
    for i in range(2):
        with fx.version(path, f"plus {i}") as session:
            fx.save(emb + i, session, mode="w")
    line = fx.versions(path)
    assert [v.message for v in line] == ["plus 0", "plus 1"]
    for i, v in enumerate(line):
        for how in ({"snapshot": v.snapshot}, {"as_of": v.written_at}):
            found = fx.open_result(fx.open_version(path, **how))
            np.testing.assert_array_equal(found, (emb + i).compute())
    np.testing.assert_array_equal(fx.open_result(fx.open_version(path)), (emb + 1).compute())


def test_save__commits_with_a_message_into_a_session_of_ones_own(tmp_path, ds):
    storage = icechunk.local_filesystem_storage(str(tmp_path / "own"))
    repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    fx.save(ds.heatmap.mean(["y", "x"]), session, message="by hand")
    assert not session.has_uncommitted_changes
    assert fx.versions(tmp_path / "own")[0].message == "by hand"
    with pytest.raises(StoreError, match=r"holds something already: mode='w' replaces it"):
        fx.save(ds.heatmap.std(["y", "x"]), repository.writable_session("main"))
    with pytest.raises(ValueError, match=r"a message is of a commit"):
        fx.save(ds, tmp_path / "plain.zarr", message="no")


def test_version__that_fails_leaves_the_old_one(tmp_path, ds):
    path, emb = tmp_path / "emb", ds.heatmap.mean(["y", "x"])
    with fx.version(path, "good") as session:
        fx.save(emb, session)
    with suppress(ZeroDivisionError), fx.version(path, "bad") as session:
        fx.save(emb + 1, session, mode="w")
        _ = 1 / 0
    assert [v.message for v in fx.versions(path)] == ["good"]
    np.testing.assert_array_equal(fx.open_result(fx.open_version(path)), emb.compute())
    with fx.version(path, "nothing"):
        pass
    assert len(fx.versions(path)) == 1


def test_version__is_written_by_one_at_a_time(tmp_path, ds):
    path = tmp_path / "emb"
    other = "import sys, fhemb_xr as fx\nwith fx.version(sys.argv[1], 'other'): pass"
    with fx.version(path, "mine") as session:
        fx.save(ds, session)
        done = subprocess.run(
            [sys.executable, "-c", other, path], capture_output=True, text=True, check=False
        )
    assert "'emb' is being written by process" in done.stderr
    assert len(fx.versions(path)) == 1


def test_version__stores_a_chunk_that_did_not_change_once(tmp_path):
    """A commit of other attributes writes no chunk of the heatmap anew."""
    path = tmp_path / "r"
    ds = fx.testing.audience(n_subjects=1, seconds=40, shape=(16, 12)).compute()
    with fx.version(path, "first") as session:
        fx.save(ds, session)
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    with fx.version(path, "a title") as session:
        import zarr

        zarr.open_group(session.store, mode="r+").attrs["title"] = "Don Giovanni"
    more = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) - size
    assert more < 0.1 * size
    old, new = (fx.open_version(path, snapshot=v.snapshot) for v in fx.versions(path))
    assert fx.open_recording(old).title != fx.open_recording(new).title == "Don Giovanni"


def test_versions__say_what_is_wrong(tmp_path, ds):
    with pytest.raises(StoreError, match=r"no versioned store 'none': is the path right"):
        fx.open_version(tmp_path / "none")
    fx.save(ds, tmp_path / "plain.zarr")
    with (
        pytest.raises(StoreError, match=r"'plain.zarr' is there and is no versioned store"),
        fx.version(tmp_path / "plain.zarr", "x"),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"a message that says what it is"),
        fx.version("x", " "),
    ):
        pass
    with fx.version(tmp_path / "emb", "first") as session:
        fx.save(ds, session)
    with pytest.raises(StoreError, match=r"'emb': .*; fx.versions lists the versions") as error:
        fx.open_version(tmp_path / "emb", tag="none")
    assert str(tmp_path) not in str(error.value)
    assert len(str(error.value)) < 200
    with pytest.raises(ValueError, match=r"snapshot, tag or as_of, not several"):
        fx.open_version(tmp_path / "emb", tag="a", snapshot="b")


def test_forget__refuses_a_store_with_versions(tmp_path, ds):
    with fx.version(tmp_path / "v", "first") as session:
        fx.save(ds, session)
    with pytest.raises(StoreError, match="every earlier version in 'v' would keep the person"):
        fx.forget(ds.subject.values[0], tmp_path / "v")


def test_forget__is_not_misled_by_a_variable_called_refs(tmp_path, ds):
    x = ds.heatmap.mean(["y", "x"])
    fx.save(x.to_dataset(name="refs"), tmp_path / "a.zarr")
    (done,) = fx.forget(ds.subject.values[0], tmp_path / "a.zarr")
    assert done.found
