"""A short form of benchmarks/calibrate.py: nulls hold where docs/nulls.md says that they do."""

import importlib.util
from pathlib import Path

import pytest

import fhemb_xr as fx

FILE = Path(fx.__file__).parent.parent / "benchmarks" / "calibrate.py"


@pytest.fixture(scope="module")
def calibrate():
    spec = importlib.util.spec_from_file_location("calibrate", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CELLS = [  # null, runs, samples; as small as tells a rate of .05 from those that are wrong
    ("linear", 60, 600),
    ("linear, windows", 60, 600),
    ("linear, leave one out", 40, 400),
    ("circular, detrended", 60, 600),
    ("linear, drawn", 20, 300),
    ("phase", 20, 300),
    ("swap", 20, 300),
    ("iaaft", 10, 100),
]


@pytest.mark.parametrize(("null", "runs", "n_time"), CELLS, ids=[c[0] for c in CELLS])
@pytest.mark.parametrize("family", ["AR(.95)", "own drifts", "random walk"])
def test_null__holds_where_it_is_said_to(calibrate, family, null, runs, n_time):
    if family not in calibrate.NULLS[null][1]:
        assert null in ("phase", "iaaft") or (family, null[:8]) == ("random walk", "circular")
        return
    hits = calibrate.cell(family, null, runs, n_time, seed=0)
    assert calibrate.holds(hits, runs), f"{hits} of {runs}"


def test_circular__does_not_hold_for_drifts_and_the_suite_sees_it(calibrate):
    hits = calibrate.cell("own drifts", "circular", 60, 400, seed=0)
    assert not calibrate.holds(hits, 60)


@pytest.mark.parametrize("null", ["linear", "linear, leave one out"])
def test_null__finds_a_coupling(calibrate, null):
    assert calibrate.cell("own drifts", null, 40, 400, seed=0, coupling=1.0) > 20
