"""Options are used or refused."""

import threading

import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError
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


def test_set_options__nested_and_in_threads_go_back_to_what_was():
    before = options.budget
    barrier = threading.Barrier(2, timeout=20)
    seen = {}

    def work(size):
        with fx.set_options(budget=size):
            barrier.wait()
            seen[size] = options.budget
            with fx.set_options(budget=size // 2):
                seen[size // 2] = options.budget
            barrier.wait()
            seen[-size] = options.budget

    threads = [threading.Thread(target=work, args=(size,)) for size in (2**20, 2**22)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert seen == {2**20: 2**20, 2**19: 2**19, -(2**20): 2**20,
                    2**22: 2**22, 2**21: 2**21, -(2**22): 2**22}  # fmt: skip
    assert options.budget == before


def test_set_options__the_same_setting_may_be_entered_twice():
    before, setting = options.budget, fx.set_options(budget=2**20)
    with setting, setting:
        assert options.budget == 2**20
    assert options.budget == before


def test_set_options__without_with_is_seen_by_other_threads():
    setting, seen = fx.set_options(budget=2**20), []
    thread = threading.Thread(target=lambda: seen.append(options.budget))
    thread.start()
    thread.join()
    setting.undo()
    assert seen == [2**20]


@pytest.mark.parametrize("budget", [0, -1, "many", None, np.nan, np.inf, True, [1], "-1 GiB"])
def test_set_options__refuses_what_is_no_number_of_bytes(budget):
    before = options.budget
    with pytest.raises(ValueError, match="budget is a number of bytes above 0"):
        fx.set_options(budget=budget)
    assert options.budget == before


@pytest.mark.parametrize("budget", [np.int32(4096), 4096.0, "4 KiB", np.array(4096)])
def test_set_options__takes_any_number_of_bytes(budget):
    with fx.set_options(budget=budget) as inside:
        assert inside.budget == 4096


def test_set_options__pipeline_of_the_environment_is_checked(monkeypatch):
    monkeypatch.setenv("FHEMB_CODEC_PIPELINE", "zars")
    with pytest.raises(ConfigError, match="FHEMB_CODEC_PIPELINE='zars' is no codec pipeline"):
        _ = options.codec_pipeline
    with pytest.raises(ValueError, match="no codec pipeline 3"):
        fx.set_options(codec_pipeline=3)
