"""Inter-subject correlation of more people than a task may hold."""

import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

import fhemb_xr as fx
from fhemb_xr.errors import BudgetError
from fhemb_xr.kernels.inference import isc as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops.inference import isc_blocks

pytestmark = pytest.mark.filterwarnings("ignore:the smallest p:UserWarning")
WAYS = st.sampled_from(["leave_one_out", "pairwise"])
NULLS = st.sampled_from([None, "circular", "linear", "phase"])


def people(n=5, n_time=60, gaps=False, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_time, 2)) + 30 + rng.normal(size=(n_time, 1))
    if gaps:
        x[rng.random(x.shape) < 0.05] = np.nan
    return xr.DataArray(
        x,
        dims=("subject", "time", "feature"),
        coords={"subject": np.arange(n) + 40, "time": np.arange(n_time) / 10},
        attrs={"sampling_rate": 10.0},
    )


@settings(max_examples=6)
@given(
    how=WAYS, null=NULLS, gaps=st.booleans(), window_s=st.sampled_from([None, 2.0]),
    blocks=st.integers(2, 5),
    chunks=st.tuples(st.integers(1, 5), st.integers(9, 60), st.integers(1, 2)),
)  # fmt: skip
def test_isc__in_blocks_is_that_of_all_at_once(how, null, gaps, window_s, blocks, chunks):
    x = people(gaps=gaps)
    options = {"how": how, "null": null, "window_s": window_s}
    options |= {"n": 4, "seed": 1} if null == "phase" else {}
    whole = fx.isc(x, **options)
    size = -(-5 // blocks)
    with fx.set_options(budget=60 * (400 + 64 * size)):
        assert isc_blocks.plan(5, 60).people == size
        lazy = fx.isc(x.chunk(dict(zip(x.dims, chunks, strict=True))), **options)
        own = fx.isc(x, **options)
    xr.testing.assert_identical(lazy.compute(), own)
    xr.testing.assert_allclose(own, whole, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
@pytest.mark.parametrize("null", ["circular", "linear"])
def test_isc__of_many_people_in_bounded_arrays_is_the_direct_one(how, null):
    n, n_time = 12, 2500
    x = people(n, n_time).isel(feature=0)
    whole = fx.isc(x, how=how, null=null)
    largest = []

    def note(key, value, *_):
        largest.append(value.nbytes if isinstance(value, np.ndarray) else 0)

    with fx.set_options(budget=n_time * (400 + 64 * 3)):
        out = fx.isc(x.chunk(subject=1, time=500), how=how, null=null)
    with Callback(posttask=note):
        (found,) = dask.compute(out, scheduler="synchronous", optimize_graph=False)
    assert max(largest) <= 8 * 3 * n_time  # one block, never all people
    xr.testing.assert_allclose(found, whole, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
@pytest.mark.parametrize("null", [None, "circular", "linear"])
def test_isc__of_an_opera_is_built_within_the_budget(how, null, computes):
    opera = da.zeros((77, 270_000), chunks=(77, 1000), dtype="float32")
    x = xr.DataArray(opera, dims=("subject", "time"), attrs={"sampling_rate": 25.0})
    with computes(0), fx.set_options(budget="320 MiB"):
        out = fx.isc(x, how=how, null=null)
        plan = isc_blocks.plan(77, 270_000)
    assert max(out["isc"].data.chunks[-1]) == plan.people == 13
    assert plan.n_bytes == 270_000 * (400 + 64 * 13) < 320 * 2**20
    tasks = len(out.__dask_graph__()) - 270
    assert tasks < 270 * 2 * (6 + 3) + 20 * len(plan.slices(77)) ** 2 + 200
    with fx.set_options(budget="100 MiB"), pytest.raises(BudgetError, match="less time"):
        fx.isc(x, how=how, null=null)


@pytest.mark.parametrize("how", ["leave_one_out", "pairwise"])
@pytest.mark.parametrize("gaps", [False, True])
def test_kernel__holds_what_it_says_of_a_block(how, gaps):
    x = people(3, 20_000, gaps).values[..., 0]
    still = kernel.others(x) if how == "leave_one_out" else x
    options = {"how": how, "width": 20_000, "step": 20_000, "group": 1}
    tests = {"alpha": 0.05, "tail": "both", "margin": None, "itself": True}
    for function, more in ((kernel.tested, tests), (kernel.correlated, {})):
        tracemalloc.start()
        function(x, still, **options, **more)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 20_000 * (400 + (64 - 2 * 8) * 3)  # the series were there before


@given(
    null=st.lists(st.sampled_from([-1.0, 0.0, 0.5, np.inf, -np.inf, np.nan]), max_size=9),
    observed=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-14, np.nan]), max_size=4),
)
def test_reached__of_one_null_of_all_is_that_of_each(null, observed):
    seen, values = np.array(observed, float), np.array(null, float)
    each = p_values.reached(np.broadcast_to(values, (seen.size, values.size)), seen)
    np.testing.assert_array_equal(p_values.reached(values, seen), each)
