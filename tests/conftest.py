"""Fixtures that every room shares."""

import gc
import os
import signal
import threading

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import settings
from numba.core import event, types

settings.register_profile("default", deadline=None, max_examples=30, print_blob=True)
settings.load_profile("default")

# in place of 700, 10, 10: graphs of small objects would have the collector run all the time
gc.set_threshold(20_000, 20, 20)

# a shell that starts the tests in its background has them ignore Ctrl-C, which some send
signal.signal(signal.SIGINT, signal.default_int_handler)

FIRST = (
    "test_whole_way",  # compiles what the demo runs; the other process, nothing
    "store/test_revision",
    "streams/test_torch_windows",
    "plot/test_figures",
    "io/test_exports",  # compiles the rest
    "test_out_of_core",
    "ingest/test_demo",
    "test_notebooks",
    "test_bad_input",
    "cli/test_app",
)
"""No kernel is compiled by both processes, and none waits at the end for a long file."""


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """No doctests in tests: looking for them would import every file a second time."""
    return [found for found in (yield) if type(found).__name__ != "DoctestModule"]


def pytest_collection_finish():
    """What was imported stays: the collector does not look through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    def place(item):
        path = item.path.with_suffix("").as_posix()
        return next((i for i, name in enumerate(FIRST) if path.endswith(name)), len(FIRST))

    items.sort(key=place)


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk():
    """Syncs that tests count and crash, but that do not wait: there are a hundred to a store.

    Only a power failure would tell. Processes that tests start sync for real.
    """

    def told(fd):
        os.fstat(fd)  # of a closed file an error, as ever

    real, os.fsync = os.fsync, told
    yield
    os.fsync = real


class Uncached(event.Listener):
    """Kernels that Python calls with a function: every process would compile them again."""

    def __init__(self) -> None:
        self.depth, self.found = {}, []

    def on_start(self, event):
        thread = threading.get_ident()
        self.depth[thread] = self.depth.get(thread, 0) + 1

    def on_end(self, event):
        thread = threading.get_ident()
        self.depth[thread] -= 1
        called = event.data["dispatcher"].py_func
        ours = called.__module__.startswith("fhemb_xr.") and not self.depth[thread]
        if ours and any(isinstance(t, types.Dispatcher) for t in event.data["args"]):
            self.found.append(f"{called.__module__}.{called.__name__}")


uncached = Uncached()
event.register("numba:compile", uncached)


@pytest.fixture(autouse=True)
def _kept():
    """Fail a test whose kernels cannot be kept for the next process."""
    yield
    found, uncached.found = uncached.found, []
    assert not found, f"compiled anew in each process: {found}"


class CountingScheduler:
    """A dask scheduler that fails the test after ``allowed`` computes."""

    def __init__(self, allowed: int) -> None:
        self.allowed, self.seen = allowed, 0

    def __call__(self, dsk, keys, **kwargs):
        self.seen += 1
        assert self.seen <= self.allowed, f"{self.seen} computes, {self.allowed} allowed"
        return dask.get(dsk, keys, **kwargs)


@pytest.fixture
def computes():
    """``with computes(0): ...`` fails if anything is computed inside."""
    return lambda allowed: dask.config.set(scheduler=CountingScheduler(allowed))


@pytest.fixture
def heat() -> xr.DataArray:
    """A small heatmap with a NaN background and attributes that must not leak."""
    rng = np.random.default_rng(0)
    data = rng.gamma(2.0, size=(2, 1, 40, 4, 5)).astype("float32") + 30
    data[..., 0, :] = np.nan
    return xr.DataArray(
        data,
        dims=("subject", "session", "time", "y", "x"),
        coords={"subject": [65, 68], "session": ["dg"], "time": np.arange(40) / 25},
        attrs={"units": "degC", "valid_min": 20.0, "sampling_rate": 25.0},
        name="heatmap",
    )


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL server of our own."""
    from ingest.postgres.embedded_server import serve

    with serve() as server:
        yield server
