"""``fhemb demo`` from the database to the report, and this project's README on its results."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import fhemb_xr as fx

ROOT = Path(__file__).parents[1]
CLIP = ROOT.parent / "shared" / "data" / "audience_face.npz"
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The real clip where it is at hand; else one with the same odd shapes."""
    if CLIP.exists():
        return CLIP
    rng = np.random.default_rng(5)
    rows = rng.choice([29, 30, 31], 500)
    face = (33 + rng.gamma(2, 0.5, (500, 31, 20))).astype("f4")
    for frame, h in enumerate(rows):
        face[frame, h:] = np.nan
    path = tmp_path_factory.mktemp("clip") / "clip.npz"
    np.savez(path, face=face, face_size=np.column_stack([rows, np.full(500, 20)]))
    return path


@pytest.fixture(scope="module")
def demo(tmp_path_factory, clip):
    """Folder in which ``demo/`` is what ``make demo CLIP=…`` leaves."""
    folder = tmp_path_factory.mktemp("whole")
    command = [
        sys.executable,
        "-m",
        "fhemb_cli",
        "demo",
        "--out",
        "demo",
        "--clip",
        str(clip),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "fhemb view demo/recording.zarr demo/embedding.zarr --faces" in done.stderr
    return folder


PROGRAMS = r"""
import contextlib, io, json, sys, traceback
for code, arguments in json.load(sys.stdin):
    sys.argv, fault = ["program", *arguments], ""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, "program", "exec"), {"__name__": "__main__"})
    except BaseException:
        fault = traceback.format_exc()
    print(json.dumps(fault))
"""


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def faults(demo):
    """The error of each snippet and example; each has names of its own, all share imports."""
    example = (ROOT / "examples" / "first_look.py").read_text()
    programs = {str(n): (code, []) for n, code in enumerate(snippets("python"))}
    programs["first_look"] = example, ["demo/recording.zarr", "results"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS],
        cwd=demo,
        env={**os.environ, "FHEMB_STORE": str(demo / "demo" / "recording.zarr")},
        input=json.dumps([*programs.values()]),
        capture_output=True,
        text=True,
        check=True,
    )
    told = map(json.loads, done.stdout.splitlines())
    return dict(zip(programs, told, strict=True))


@pytest.mark.db
@pytest.mark.parametrize("number", range(len(snippets("python"))))
def test_readme__snippets_run_on_the_demo(faults, number):
    assert not faults[str(number)]


@pytest.mark.db
def test_examples__run_on_the_demo(faults, demo):
    assert not faults["first_look"]
    assert (demo / "results" / "dendrogram.svg").exists()


@pytest.mark.db
def test_demo__has_the_audience_as_it_was_asked_for(demo):
    ds = fx.open_recording(demo / "demo" / "recording.zarr")
    assert ds.attrs["title"] == "Don Giovanni"
    assert ds.subject.values.tolist() == [*range(40, 47), *range(65, 70), 77]
    assert (ds.frame.values[0], ds.frame.values[-1]) == (9000, 11249)
    face = (ds.height > 0).mean("time").squeeze("session").compute()
    assert face.sel(subject=[45, 46]).values.tolist() == [0, 0]
    assert ((face.sel(subject=[40, 65]) > 0.9) & (face.sel(subject=[40, 65]) < 1)).all()
    assert np.unique(ds.height.sel(subject=65)).size > 2


@pytest.mark.db
def test_demo__takes_the_clip_the_whole_way(demo, clip):
    ds = fx.open_recording(demo / "demo" / "recording.zarr").sel(subject=[77])
    pixels = np.load(clip)["face"].astype("f8").reshape(500, -1)
    out = fx.features(ds.heatmap, ["mean", "skew", "kurtosis"]).squeeze()[:500]
    # packing to 0.01 K moves a pixel by at most 5 mK, a mean by no more; with a spread of
    # sigma the third and fourth moments move by at most about 3 and 4 times 5 mK / sigma
    moved = 0.005 / np.nanstd(pixels, axis=1).min()
    expected = scipy.stats.skew(pixels, axis=1, nan_policy="omit")
    np.testing.assert_allclose(out.sel(feature="mean"), np.nanmean(pixels, axis=1), atol=0.005)
    np.testing.assert_allclose(out.sel(feature="skew"), expected, atol=6 * moved)
    expected = scipy.stats.kurtosis(pixels, axis=1, nan_policy="omit")
    np.testing.assert_allclose(out.sel(feature="kurtosis"), expected, atol=24 * moved)


@pytest.mark.db
def test_demo__leaves_results_a_report_and_figures(demo):
    out = demo / "demo"
    found = fx.open_result(out / "similarity.zarr")
    assert np.isfinite(found["relation"].sel(subject_0=65, subject_1=66)).all()
    page = (out / "report" / "report.html").read_text()
    assert "Don Giovanni" in page
    assert {p.suffix for p in (out / "report" / "figures").iterdir()} == {".svg"}
    assert not [p for p in out.iterdir() if "staging" in p.name]


def test_pages__shell_commands_are_real():
    """Each ``make`` target, and each ``fhemb`` command with its options."""
    makefile = (ROOT / "Makefile").read_text()
    pages = [README, *(p.read_text() for p in (ROOT / "docs").rglob("*.md"))]
    blocks = [b for p in pages for b in re.findall(r"```sh\n(.*?)```", p, re.DOTALL)]
    lines = [line.split("#")[0].split() for b in blocks for line in b.splitlines()]
    asked = {}
    for program, *words in filter(None, lines):
        if program == "make":
            assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), words
            continue
        if program in ("pip", "jupyter"):  # installs, or never ends
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            named = {e for w in words for e in re.findall(r"\[([\w,]+)\]", w)}
            assert named <= set(extras["optional-dependencies"])
            continue
        assert program == "fhemb"
        name = words[:2] if words[0] in ("ingest", "pair") else words[:1]
        options = {w.split("=")[0] for w in words if w.startswith("--")}
        asked.setdefault(" ".join(name), set()).update(options)
    told = helps([*asked])
    for name, options in asked.items():
        assert "Usage" in told[name], name
        for option in options:
            assert option in told[name], (name, option)


HELPS = r"""
import sys
from fhemb_cli.app import main
for name in sys.argv[1:]:
    sys.argv = ["fhemb", *name.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, name
    print("\f")
"""


def helps(names):
    """The help of each command, asked for in one process."""
    env = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    said = subprocess.check_output([sys.executable, "-c", HELPS, *names], text=True, env=env)
    return dict(zip(names, said.split("\f\n"), strict=False))
