"""The viewer at an opera's size, in the real browser: first view, zoom, jump, film, memory.

``python benchmarks/bench_view.py [--folder KEPT]``; needs Chromium. The embedding has 77
people, 270 000 samples and 3 features. The recording has 12 faces of 60 × 90 pixels and 10 000
frames: a jump decodes one chunk of 1000 frames a face, whatever the length. Times are from an
event in the page to its new data in the page, as a reader waits for them.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from chromium import Page

import fhemb_xr as fx

N_PEOPLE, N_SAMPLES = 77, 270_000
GOALS = {"first view [s]": 5, "zoom [ms]": 150, "jump of 12 faces [ms]": 250,
         "film [pictures/s]": 12.5, "memory [MiB]": 1024}  # fmt: skip
MODEL = "[...Bokeh.documents[0]._all_models.values()].find(m => m.name === '{}')"
ZOOM = """new Promise(done => {
  const fig = %s, line = %s, start = performance.now();
  const ready = () => { line.properties.data.change.disconnect(ready);
                        requestAnimationFrame(() => done(performance.now() - start)); };
  line.properties.data.change.connect(ready);
  fig.x_range.setv({start: %f, end: %f});
})"""
JUMP = """new Promise(done => {
  const faces = %s, fig = %s, start = performance.now();
  const ready = () => { if (faces.data.seen[0] < 12) return;
                        faces.properties.data.change.disconnect(ready);
                        requestAnimationFrame(() => done(performance.now() - start)); };
  faces.properties.data.change.connect(ready);
  fig.trigger_event(new (%s)(0, 0, %f, 0, {shift: false, ctrl: false, alt: false}));
})"""
TAP = "Bokeh.require('core/bokeh_events').Tap"
COUNT = """(() => { window.pictures = 0;
  %s.properties.data.change.connect(() => { window.pictures += 1; }); return true; })()"""


def made(folder):
    """The stores, made once."""
    if not (folder / "emb.zarr").exists():
        rng = np.random.default_rng(0)
        values = rng.normal(size=(N_PEOPLE, N_SAMPLES, 3)).astype("f4").cumsum(axis=1)
        emb = xr.DataArray(
            values, dims=("subject", "time", "feature"), name="embedding",
            coords={"subject": np.arange(40, 40 + N_PEOPLE), "time": np.arange(N_SAMPLES) / 25,
                    "feature": ["mean", "skew", "p95"]},
        )  # fmt: skip
        fx.save(emb.chunk(subject=8, time=-1), folder / "emb.zarr")
    if not (folder / "don.zarr").exists():
        fx.testing.audience(n_subjects=12, seconds=400, shape=(90, 60)).fhemb.save(
            folder / "don.zarr"
        )
    return folder


def measured(folder):
    """Figures of one run of the command."""
    command = [sys.executable, "-m", "fhemb_cli", "view", "emb.zarr", "don.zarr", "--faces",
               "--no-browser", "--json"]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    url = json.loads(process.stdout.readline())["url"]
    found = {"command to address [s]": time.perf_counter() - start}
    line, rows, faces = (MODEL.format(n) for n in ("line0", "rows", "faces"))
    start = time.perf_counter()
    page = Page(url, folder)
    try:
        page.until("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle", 60)
        page.until(f"{line}.data.y.some(v => v === v)", 60)
        found["first view [s]"] = time.perf_counter() - start
        time.sleep(3)
        zooms = [page.js(ZOOM % (rows, line, a, a + w)) for w in (10, 60, 600, 5000, 10_700)
                 for a in (5.0, 17.0, 40.0)]  # fmt: skip
        found["zoom [ms]"], found["longest zoom [ms]"] = statistics.median(zooms), max(zooms)
        choice = "[...Bokeh.documents[0]._all_models.values()].find(m => m.max_items === 12)"
        page.js(f"(c => {{ c.value = c.options.slice(0, 12); return true; }})({choice})")
        time.sleep(2)
        page.js(ZOOM % (rows, line, 0, 400))
        jumps = [
            page.js(JUMP % (faces, rows, TAP, s)) for s in (45, 130, 210, 290, 370, 90, 170)
        ]
        found["jump of 12 faces [ms]"] = statistics.median(jumps)
        page.js(JUMP % (faces, rows, TAP, 10))
        page.js(COUNT % faces)
        page.key(" ")
        began = time.perf_counter()
        time.sleep(8)
        found["film [pictures/s]"] = page.js("window.pictures") / (time.perf_counter() - began)
        page.key(" ")
        found["memory [MiB]"] = psutil.Process(process.pid).memory_info().rss / 2**20
    finally:
        page.close()
        process.send_signal(signal.SIGINT)
        process.wait(20)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made_here:
        place = asked or Path(made_here)
        place.mkdir(parents=True, exist_ok=True)
        for name, value in measured(made(place)).items():
            goal = f"   goal {GOALS[name]:g}" if name in GOALS else ""
            print(f"{name:28s} {value:8.1f}{goal}")
