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


@pytest.mark.parametrize("null", ["linear", "linear, windows", "circular, detrended"])
@pytest.mark.parametrize("family", ["AR(.95)", "own drifts", "random walk"])
def test_null__holds_where_it_is_said_to(calibrate, family, null):
    if family not in calibrate.NULLS[null][1]:
        assert (family, null) == ("random walk", "circular, detrended")
        return
    hits = calibrate.cell(family, null, 60, 600, seed=0)
    assert calibrate.holds(hits, 60), f"{hits} of 60"


def test_circular__does_not_hold_for_drifts_and_the_suite_sees_it(calibrate):
    hits = calibrate.cell("own drifts", "circular", 60, 400, seed=0)
    assert not calibrate.holds(hits, 60)


@pytest.mark.parametrize("null", ["linear", "linear, leave one out"])
def test_null__finds_a_coupling(calibrate, null):
    assert calibrate.cell("own drifts", null, 40, 400, seed=0, coupling=1.0) > 20
