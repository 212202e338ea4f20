import numpy as np
import pytest
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError
from fhemb_xr.ops.blockwise.grid import Block, blocks
from fhemb_xr.ops.blockwise.overlap import Plan, along_time

RNG = np.random.default_rng(0)


def moving_sum(x):
    """Sum of a sample and its three neighbours on either side, zeros beyond the ends."""
    padded = np.pad(x, ((3, 3), (0, 0)))
    return sum(padded[k : k + len(x)] for k in range(7))


@pytest.mark.parametrize("chunks", [(1,) * 40, (40,), (5, 30, 5), (13, 13, 14)])
def test_along_time__equals_the_whole_series_for_any_chunks(chunks, computes):
    data = RNG.integers(0, 9, (4, 40)).astype(float)
    x = xr.DataArray(data, dims=("subject", "time"))
    with computes(0):
        lazy = along_time(x.chunk(time=chunks, subject=3), moving_sum, 3)
    assert lazy.chunksizes["time"] == chunks
    np.testing.assert_array_equal(lazy, moving_sum(data.T).T)
    np.testing.assert_array_equal(along_time(x, moving_sum, 3), lazy)


def test_along_time__adds_a_last_axis():
    x = xr.DataArray(RNG.normal(size=(20, 2)), dims=("time", "x")).chunk(time=7)
    twice = along_time(x, lambda s: np.stack([s, -s], -1), 0, extra=("sign", 2))
    assert twice.dims == ("time", "x", "sign")
    np.testing.assert_array_equal(twice.isel(sign=1), -x)


def test_blocks__join_short_chunks_and_lose_none():
    cut = blocks([3, 4, 5, 6, 2], 6, lambda a, b: ((max(0, a - 1), b),))
    assert [(b.begin, b.end) for b in cut] == [(0, 7), (7, 20)]
    assert [i for b in cut for i in b.chunks] == [0, 1, 2, 3, 4]
    assert Block(0, 9, range(1), ((0, 4), (6, 9))).read_samples == 7


def test_plan__refuses_blocks_beyond_the_budget():
    x = xr.DataArray(np.zeros((100, 10)), dims=("time", "x")).chunk(time=50)
    plan = Plan(x.data, 0, blocks([50, 50], 50, lambda a, b: ((a, b),)), lambda *_: None)
    assert plan.largest_read == 50
    with fx.set_options(budget=3 * 80 * 50):
        plan.require_fit(3, "filtering", "fewer levels")
        with pytest.raises(BudgetError, match=r"filtering in blocks of 51 samples .*fewer lev"):
            plan.require_fit(3, "filtering", "fewer levels", more=1)
