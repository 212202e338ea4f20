"""The demo's pieces: a clip, an audience in PostgreSQL, and what a killed demo leaves."""

import itertools
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import psycopg
import pytest

import fhemb_xr as fx
from fhemb_xr.errors import StoreError
from ingest import demo
from ingest.demo import read_clip
from ingest.postgres.audience_loader import load_audience
from ingest.postgres.source import PostgresSource
from ingest.run import ingest


def clip(tmp_path, **arrays):
    np.savez(tmp_path / "clip.npz", **arrays)
    return tmp_path / "clip.npz"


def test_clip__is_cut_to_the_sizes_that_it_tells(tmp_path):
    face = np.arange(60, dtype="f4").reshape(3, 5, 4)
    sizes = [(5, 4), (3, 2), (0, 0)]
    frames = read_clip(clip(tmp_path, face=face, face_size=sizes))
    assert [f.shape for f in frames] == sizes
    np.testing.assert_array_equal(frames[1], face[1, :3, :2])


def test_clip__without_sizes_is_cut_to_the_pixels_that_are_there(tmp_path):
    stack = np.full((2, 5, 4), np.nan, "f4")
    stack[0, 1:4, 2:] = 33
    frames = read_clip(clip(tmp_path, other=np.zeros(3), stack=stack))
    assert [f.shape for f in frames] == [(3, 2), (0, 0)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"face": np.zeros((3, 4))}, r"array \(time, y, x\) .* found \{'face': \(3, 4\)\}"),
        ({"face": np.zeros((3, 4, 5)), "face_size": [(4, 5)]}, r"found shape \(1, 2\)"),
        ({"face": np.zeros((1, 4, 5)), "face_size": [(4, 6)]}, r"none beyond \(4, 5\)"),
    ],
)
def test_clip__that_is_none_says_what_is_needed(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        read_clip(clip(tmp_path, **arrays))


@pytest.mark.db
def test_audience__comes_back_from_the_database_as_it_went_in(postgres, tmp_path):
    ds = fx.testing.audience(
        subjects=[40, 41, 45], seconds=4, shape=(12, 9), faceless=[45], start_frame=100,
        gap=(120, 124), dropout=0.05,
    )  # fmt: skip
    face = np.full((7, 12, 9), 30, "f4")
    with psycopg.connect(postgres.conninfo()) as db:
        db.execute("DROP SCHEMA IF EXISTS dg CASCADE")
    load_audience(postgres.connection(), ds, clip=list(face))
    source = PostgresSource(postgres.conninfo(), schema="dg", table="face_t")
    ingest(source, tmp_path / "r.zarr")
    found = fx.open_recording(tmp_path / "r.zarr")
    assert found.subject.values.tolist() == [40, 41, 45, 77]
    found["session"] = ds.session  # the schema's name; a session begins with its first row
    for name in ("heatmap", "height", "width"):
        got = found[name].swap_dims(time="frame").sel(subject=ds.subject)
        want = ds[name].swap_dims(time="frame").sel(frame=got.frame)
        # packed to steps of 0.01 K: at most half a step off
        np.testing.assert_allclose(got, want, atol=0.00501)
    clip_there = (found.height.sel(subject=77) > 0).squeeze().compute()
    assert found.frame[clip_there].values.tolist() == list(range(100, 107))


@pytest.mark.db
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "wait_s", "how"),
    [
        ("ingest run", 0.5, signal.SIGKILL),
        # the other signals: cli/test_interrupt, postgres/test_embedded_server, test_stages
        pytest.param("fhemb embed", 3.0, signal.SIGINT, marks=pytest.mark.soak),
        pytest.param("fhemb similarity", 2.0, signal.SIGTERM, marks=pytest.mark.soak),
    ],
)
def test_demo__killed_leaves_no_server_and_no_half_store(tmp_path, stage, wait_s, how):
    command = [sys.executable, "-m", "fhemb_cli", "demo", "--seconds", "30", "--out", "demo"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as demo:  # fmt: skip
        for line in demo.stderr:
            if stage in line:
                break
        time.sleep(wait_s)  # inside the stage
        stages = psutil.Process(demo.pid).children(recursive=True)
        names = [p.name() for p in stages]
        assert demo.poll() is None
        demo.send_signal(how)
        demo.stderr.close()
        demo.wait(30)
    assert any("postgres" in name for name in names)
    _, alive = psutil.wait_procs(stages, timeout=60)
    assert not alive
    for store in (tmp_path / "demo").glob("*.zarr"):
        opened = fx.open_recording if store.stem == "recording" else fx.open_result
        try:
            opened(store).load()  # whole, or refused
        except StoreError as refused:
            assert "unfinished" in str(refused)  # noqa: PT017 (either is right)


@pytest.mark.parametrize("seconds", [30, 71.9, 72, 90])
def test_demo__asks_for_no_level_that_its_length_does_not_allow(tmp_path, seconds):
    import pywt

    *_, embed, _, _ = demo._commands(tmp_path, 0, 40, seconds)
    level = int(dict(itertools.pairwise(embed)).get("--level", 8))
    assert level <= pywt.dwt_max_level(int(seconds * demo.RATE), "db4")
