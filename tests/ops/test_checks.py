"""Checks of arguments."""

import numpy as np
import pytest
import xarray as xr

from fhemb_xr import errors
from fhemb_xr.ops.checks import (
    require_choice,
    require_count,
    require_positive,
    require_whole_frames,
    unknown_name,
)


def test_require_choice__folds_case_and_knows_synonyms():
    assert require_choice("metric", "DTW", ("dtw", "dcor")) == "dtw"
    assert require_choice("metric", "Pearson", ("correlation",), {"pearson": "correlation"})
    with pytest.raises(errors.UnknownNameError, match="no metric 'dwt': there are dtw, dcor;"):
        require_choice("metric", "dwt", ("dtw", "dcor"))
    with pytest.raises(errors.UnknownNameError, match="no metric 3"):
        require_choice("metric", 3, ("dtw",))


def test_unknown_name__is_both_a_key_and_a_value_error():
    for kind in (KeyError, ValueError, errors.FhembError):
        with pytest.raises(kind, match=r"^no metric"):
            require_choice("metric", "x", ("dtw",))


def test_unknown_name__lists_few_names_and_never_those_of_people():
    many = [f"p{k}" for k in range(100)]
    assert str(unknown_name("feature", "p100", many)).startswith("no feature 'p100' among 100;")
    said = str(unknown_name("subject", 4, [40, 44, 76], personal=True))
    assert said.startswith("no subject 4 among 3; the nearest are")


@pytest.mark.parametrize("n", [3, 3.0, np.int8(3), np.uint64(3), np.float32(3), np.array(3)])
def test_require_count__takes_any_scalar_that_is_whole(n):
    found = require_count("n", n)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("n", [0, 2.5, True, np.True_, "3", None, np.nan, np.array([3]), 3j])
def test_require_count__refuses_what_is_no_count(n):
    with pytest.raises(ValueError, match="n is a whole number from 1 on, found"):
        require_count("n", n)


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, "1", None, True])
def test_require_positive__refuses(value):
    assert require_positive("gamma", np.float32(0.5)) == 0.5
    with pytest.raises(ValueError, match="gamma is a positive number"):
        require_positive("gamma", value)


def test_require_whole_frames__says_how():
    heat = xr.DataArray(np.zeros((4, 4)), dims=("y", "x"))
    require_whole_frames(heat.chunk())
    with pytest.raises(ValueError, match=r"heat\.chunk\(y=-1, x=-1\)"):
        require_whole_frames(heat.chunk(y=2))
    with pytest.raises(errors.SchemaError, match="'x'"):
        require_whole_frames(heat.isel(x=0))
