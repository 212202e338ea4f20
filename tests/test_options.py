"""Options are used or refused."""

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.options import options

X = xr.DataArray(np.random.default_rng(0).normal(size=(2, 60)), dims=("subject", "time"))


def test_set_options__holds_for_good_or_for_a_block_and_knows_its_names():
    before = options.budget
    with fx.set_options(budget="1 MiB") as inside:
        assert inside.budget == 2**20
    assert options.budget == before
    setting = fx.set_options(budget=2**21)
    assert options.budget == 2**21
    setting.__exit__()
    assert options.budget == before
    with pytest.raises(ValueError, match="no setting 'bugdet'"):
        fx.set_options(bugdet=1)


UNUSED = [
    ("fastdtw", {"window": 2}), ("fastdtw", {"itakura": 1.5}),
    ("fastdtw", {"local": "cityblock"}),
    ("soft_dtw", {"local": "cityblock"}), ("soft_dtw", {"precision": "single"}),
    ("dtw", {"gamma": 0.5}), ("dtw", {"radius": 3}), ("correlation", {"window": 0.1}),
    ("dcor", {"p": 2.0}), ("euclidean", {"max_lag_s": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "option"), UNUSED)
def test_metric__refuses_an_option_that_it_does_not_use(metric, option):
    with pytest.raises(ValueError, match=rf"'{metric}' has no option '{next(iter(option))}'"):
        fx.pairwise(X, metric, **option)


@pytest.mark.parametrize(
    ("word", "metric"), [("Pearson", "correlation"), ("EUCLID", "euclidean")]
)
def test_metric__by_a_synonym_in_any_case(word, metric):
    xr.testing.assert_identical(fx.pairwise(X, word), fx.pairwise(X, metric))


@pytest.mark.parametrize("bands", [range(1, 3), np.arange(1, 3), [np.int64(1), np.int64(2)]])
def test_embed__takes_numbers_of_numpy_and_ranges(bands):
    ds = fx.testing.audience(1, 2, shape=(6, 4))
    how = {"wavelet": "haar", "level": 2}
    found = fx.embed(ds, ["mean"], bands=bands, **how)
    xr.testing.assert_equal(found, fx.embed(ds, ["mean"], bands=[1, 2], **how))
    xr.testing.assert_equal(fx.replay(found.attrs["fhemb_spec"], ds), found)
