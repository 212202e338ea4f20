"""Writers on other machines, whose locks nobody sees here."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from fhemb_xr.io.local import atomic_files, owners, systems


def one():
    return xr.DataArray(np.ones(4), dims="k", name="one")


def left(tmp_path, **changes):
    """A staging of somebody."""
    aside = tmp_path / ".a.zarr.0123abcd.staging"
    aside.mkdir()
    (aside / "zarr.json").write_text("{}")
    owners.file_of(aside).write_text(json.dumps(owners.me() | changes))
    return aside


def gone_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_sweep__leaves_the_staging_of_another_machine_and_says_whose_it_is(tmp_path):
    aside = left(tmp_path, host="nas-7", pid=12)
    with pytest.raises(StoreError, match=r"written by process 12 of the machine 'nas-7'"):
        fx.save(one(), tmp_path / "a.zarr")
    assert (aside / "zarr.json").exists()
    silent = time.time() - owners.SILENCE_S - 60
    os.utime(owners.file_of(aside), (silent, silent))
    fx.save(one(), tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_sweep__leaves_the_staging_of_a_living_process_of_this_machine(tmp_path):
    aside = left(tmp_path, pid=os.getppid(), started=systems.started(os.getppid()))
    with pytest.raises(StoreError, match="is being written by"):
        fx.save(one(), tmp_path / "a.zarr")
    assert aside.exists()


@pytest.mark.parametrize(
    "changes", [{"boot": "an earlier one"}, {"started": "0"}, {"pid": None}, {}]
)
def test_sweep__removes_what_the_dead_left(tmp_path, changes):
    if "pid" in changes:
        changes = {"pid": gone_pid()}
    left(tmp_path, **changes)  # {}: this process, which has let go of it
    fx.save(one(), tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_owning__gives_signs_of_life_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "BEAT_S", 0.02)
    with atomic_files.staging(tmp_path / "a.zarr") as aside:
        file = owners.file_of(aside)
        os.utime(file, (1, 1))
        until = time.monotonic() + 10
        while file.stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert file.stat().st_mtime > 2
        with pytest.raises(StoreError, match="is being written by"):
            owners.require_dead(aside, "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_lock__of_a_file_system_without_locks_is_no_other_writer(tmp_path, monkeypatch):
    import fcntl

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    fx.save(one(), tmp_path / "a.zarr")
    assert fx.open_result(tmp_path / "a.zarr").sum() == 4


def test_save__of_names_that_differ_by_case_warns(tmp_path):
    ds = xr.Dataset({"mean": ("k", np.ones(3)), "Mean": ("k", np.zeros(3))})
    with pytest.warns(UserWarning, match=r"\['mean', 'Mean'\] differ by case"):
        fx.save(ds, tmp_path / "a.zarr")


def test_save__of_a_name_too_long_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"has 245 bytes, this disk has room for 220"):
        fx.save(one(), tmp_path / f"{'n' * 240}.zarr")
    fx.save(one(), tmp_path / f"{'n' * 215}.zarr")


def test_open__is_silent_about_what_file_managers_leave(tmp_path):
    fx.save(one(), tmp_path / "a.zarr")
    for name in (".DS_Store", "one/._zarr.json", "._zarr.json", "Thumbs.db"):
        (tmp_path / "a.zarr" / name).write_bytes(b"x")
    assert fx.open_result(tmp_path / "a.zarr").sum() == 4
    assert fx.verify(tmp_path / "a.zarr") == []


def test_provenance__names_the_source_by_uuid_and_the_specification_by_digest(tmp_path):
    fx.save(fx.testing.audience(1, 4, shape=(8, 6)), tmp_path / "r.zarr")
    ds = fx.open_recording(tmp_path / "r.zarr")
    fx.save(fx.embed(ds, ["mean"]), tmp_path / "e.zarr")
    emb = fx.open_embedding(tmp_path / "e.zarr")
    assert emb.attrs["fhemb_sources"] == [ds.attrs["fhemb_uuid"]]
    assert len(emb.attrs["fhemb_spec_sha256"]) == 64
    fx.save(fx.moments(emb), tmp_path / "m.zarr")
    assert fx.open_result(tmp_path / "m.zarr").attrs["fhemb_sources"] == [
        emb.attrs["fhemb_uuid"]
    ]


def test_provenance__of_an_anonymous_copy_has_no_link_to_the_names(tmp_path):
    fx.save(fx.testing.audience(1, 4, shape=(8, 6)), tmp_path / "r.zarr")
    ds = fx.open_recording(tmp_path / "r.zarr")
    from fhemb_xr.io.privacy.pseudonyms import new_key

    new_key(tmp_path / "key")
    fx.save(fx.anonymize(ds, key=tmp_path / "key"), tmp_path / "n.zarr")
    assert ds.attrs["fhemb_uuid"] not in str(fx.open_recording(tmp_path / "n.zarr").attrs)
    assert ds.attrs["fhemb_uuid"] not in (tmp_path / "n.zarr/zarr.json").read_text()
