"""Compiled before it is waited for."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numba
from numba.core.registry import CPUDispatcher

from fhemb_xr.kernels import _jit


def test_compiling__is_said_once_and_only_after_a_while(monkeypatch, capsys):
    word = _jit._Word()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(_jit, "_PATIENCE_S", 0.05)
    word.on_start(None)
    word.on_start(None)  # a kernel that compiles another
    word.on_end(None)
    word.timers[threading.get_ident()][1].join(5)
    word.on_end(None)
    assert not word.timers
    word.say()
    assert capsys.readouterr().err.count("compiling") == 1
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setitem(sys.modules, "IPython", notebook)  # its stderr is red, and stays
    _jit._Word().say()
    told = capsys.readouterr()
    assert "compiling" in told.out
    assert not told.err
    monkeypatch.setattr(_jit, "_PATIENCE_S", 60)
    quick = _jit._Word()
    quick.on_start(None)
    quick.on_end(None)
    assert not quick.timers
    assert not quick.said


def made(_):
    """A fresh kernel, and where its machine code is kept."""

    def add(x):
        return x + 1

    return Path(_jit.kernel(add)._cache._cache_path)


def test_kernels__that_threads_load_together_are_all_kept_in_the_private_folder():
    before, folder = numba.config.CACHE_DIR, _jit.cache_folder()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            places = {*pool.map(made, range(200))}
    finally:
        sys.setswitchinterval(interval)
    assert {place.parent for place in places} == {folder}
    assert before == numba.config.CACHE_DIR


def test_kernels__are_compiled_for_a_counter_and_not_also_for_its_first_value(monkeypatch):
    monkeypatch.setattr(_jit, "cache_folder", lambda: None)

    @_jit.kernel
    def next_of(place):
        return place + 1

    @_jit.kernel
    def counted(n):
        place = 0
        while place < n:
            place = next_of(place)
        return place

    assert counted(3) == 3
    assert len(next_of.signatures) == 1


COMPILED = """
import numpy as np, xarray as xr, fhemb_xr as fx
from numba.core import event
x = xr.DataArray(np.random.default_rng(0).normal(size=(3, 20)), dims=("subject", "time"))
with event.install_recorder("numba:compile") as compiled:
    fx.pairwise(x, "dtw").compute(), fx.pairwise(x, "dtw", window=3).compute()
print(*{e.data["dispatcher"].py_func.__qualname__ for _, e in compiled.buffer})
"""


def test_warping__is_not_compiled_again_by_the_next_process():
    """A kernel that is given another kernel would be: its type is new in every process."""
    run = [sys.executable, "-W", "error", "-c", COMPILED]
    subprocess.run(run, check=True, capture_output=True)
    assert subprocess.check_output(run, text=True).split() == []


def test_tslearn__is_kept_in_the_private_folder_too():
    from tslearn import clustering  # noqa: F401 (it has most of the loops)

    _jit.keep("tslearn")
    modules = [m for n, m in [*sys.modules.items()] if n.startswith("tslearn.")]
    loops = [f for m in modules for f in vars(m).values()]
    places = {
        Path(f._cache._cache_path).parent.parent
        for f in loops
        if isinstance(f, CPUDispatcher) and f.py_func.__module__.startswith("tslearn.")
    }
    assert places == {_jit.cache_folder()}


DEMO = """
import sys, numpy as np, fhemb_xr as fx
from numba.core.registry import CPUDispatcher

def known():
    kernels = [m for n, m in [*sys.modules.items()] if n.startswith("fhemb_xr.kernels")]
    found = {f for m in kernels for f in vars(m).values() if isinstance(f, CPUDispatcher)}
    return {(f.py_func.__qualname__, str(s)) for f in found for s in f.signatures}

fx.warm()
before = known()
assert before
ds = fx.testing.audience(2, 20, shape=(32, 24), gap=(200, 220))  # long: lags come in tiles
emb = ds.fhemb.embed(["skew", ("pc0", "pc1"), ("p5", "p95")], bands=[2, 3],
                     wavelet="db4", level=4, transform="modwt")
emb = emb.compute(scheduler="synchronous").isel(session=0)
pairs = emb.sel(feature=["skew", "p5"]).fillna(0).fhemb.pairwise(
    "dtw", window=20, normalize="zscore")
pairs.compute(scheduler="synchronous")
from fhemb_xr.plot.report.page import report
from fhemb_xr.warm import is_warm
report(ds, emb, pairs, sys.argv[1], faces=True, figures=())
assert is_warm()
print(*sorted({name for name, _ in known() - before}))
"""


def test_warm__has_compiled_what_the_demo_and_its_report_run(tmp_path):
    command = [sys.executable, "-c", DEMO, str(tmp_path / "report.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_is_warm__is_of_the_folder_that_is_used(tmp_path):
    code = "from fhemb_xr.warm import is_warm; print(is_warm())"
    for folder in (tmp_path, "off"):
        env = {**os.environ, "FHEMB_JIT_CACHE": str(folder)}
        out = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
        assert out.split() == ["False"]
