"""Bands whose coefficients are carried from block to block equal those of whole series."""

import tracemalloc
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.graph_manipulation import bind, clone
from hypothesis import given, settings
from hypothesis import strategies as st

from fhemb_xr.kernels.time_frequency import streaming_dwt
from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel
from fhemb_xr.ops.blockwise.read_fusion import Sources
from fhemb_xr.ops.time_frequency import band_graph
from fhemb_xr.ops.time_frequency.wavelet_bands import wavelet_bands, wavelet_filter

WAVELETS = ["haar", "db2", "db4", "db10", "sym5", "coif3", "bior1.3", "bior4.4"]


@pytest.fixture
def narrow(monkeypatch):
    """Blocks are single chunks, so that they depend on more than they hold."""
    monkeypatch.setattr(band_graph, "_BLOCK_BYTES", 1)


def signal(n, people=1, seed=0, dtype="f8"):
    x = np.random.default_rng(seed).normal(size=(people, n, 2, 3)).astype(dtype)
    dims = ("subject", "time", "y", "x")
    return xr.DataArray(x, dims=dims, attrs={"sampling_rate": 25.0})


def in_blocks(x, spec, cuts, ignore):
    """The kernels by themselves, in blocks that end where they are told to."""
    edges = [0, *sorted(cuts), len(x)]
    spans = list(pairwise(edges))
    opened, parts = [], []
    for i, (a, b) in enumerate(spans):
        last = i == len(spans) - 1
        opened, new = streaming_dwt.advanced(x[a:b], spec, a, opened, last=last, ignore=ignore)
        parts.append(new)
    assert not opened
    ahead, out = streaming_dwt.ahead(spec), []
    for i, (a, b) in enumerate(spans):
        near = [p for p, (c, _) in zip(parts[i:], spans[i:], strict=True) if c < b + ahead]
        out.append(np.empty((len(spec.groups), b - a, x.shape[1])))
        streaming_dwt.rebuild(near or parts[i : i + 1], spec, a, out[-1])
    return np.concatenate(out, axis=1)


@given(data=st.data())
@settings(max_examples=60)
def test_kernels__are_exact_for_any_blocks_gaps_and_groups_of_bands(data):
    n, level = data.draw(st.integers(2, 1500)), data.draw(st.integers(1, 7))
    x = np.random.default_rng(n).normal(size=(n, 3))
    hole = st.tuples(st.integers(0, n - 1), st.integers(1, n), st.integers(0, 2))
    for start, length, channel in data.draw(st.lists(hole, max_size=4)):
        x[start : start + length, channel:] = np.nan
    band = st.sets(st.integers(0, level), min_size=1).map(lambda b: tuple(sorted(b)))
    groups = tuple(data.draw(st.lists(band, min_size=1, max_size=3)))
    wavelet = data.draw(st.sampled_from(WAVELETS))
    mode = data.draw(st.sampled_from(kernel.LOCAL_MODES))
    spec = kernel.Spec(groups, wavelet, level, mode)
    ignore = data.draw(st.booleans())
    expected = kernel.by_runs(x, spec, 0, n, longest=None if ignore else 0)
    found = in_blocks(x, spec, data.draw(st.lists(st.integers(0, n), max_size=9)), ignore)
    scale = np.nanmax(np.abs(expected), initial=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("people", [1, 2, 5])  # blocks read ahead, and in the same task
def test_filter__that_carries_equals_the_whole_series(narrow, people, dtype):
    x = signal(1300, people, dtype=dtype)
    x[0, 400:420] = x[people - 1, 700:900, 0] = x[0, 1299, 1, 1] = np.nan
    tolerance = 1e-5 if dtype == "f4" else 1e-12
    for lengths in (100, (1, 700, 99, 500)):
        parts = x.chunk(subject=1, time=lengths, x=2)
        out = wavelet_filter(parts, [0, 2], "db4", 6)
        assert any("fhemb-added" in str(key) for key in out.__dask_graph__())
        assert out.chunks == parts.chunks
        expected = wavelet_filter(x, [0, 2], "db4", 6)
        np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)
    every = wavelet_bands(x.chunk(subject=1, time=170), "db4", 6)
    np.testing.assert_allclose(every, wavelet_bands(x, "db4", 6), rtol=0, atol=tolerance)


def test_channels__go_together_again_after_a_gap_that_all_have():
    spec = kernel.Spec(((1, 2),), "db4", 4, "symmetric")
    x = np.random.default_rng(0).normal(size=(3000, 6))
    x[500:520, 2:] = np.nan
    x[1200:1300] = np.nan
    opened, count = [], []
    for a in range(0, 3000, 500):
        opened, _ = streaming_dwt.advanced(
            x[a : a + 500], spec, a, opened, last=False, ignore=False
        )
        count.append(len(opened))
    assert count == [1, 2, 1, 1, 1, 1]
    assert opened[0].columns == slice(0, 6)
    held = opened[0].held
    assert held.shape == (spec.levels, streaming_dwt.kept(spec), 6)


def test_gaps__raise_or_spread_where_asked(narrow):
    x = signal(1200)
    x[0, 600, 1, 1] = np.nan
    parts = x.chunk(time=100)
    with pytest.raises(ValueError, match="gaps='fill' or gaps='split' allow that"):
        wavelet_filter(parts, [1], "db4", 4, gaps="raise").compute()
    spread = wavelet_filter(parts, [1], "db4", 4, gaps="propagate")
    whole = wavelet_filter(x, [1], "db4", 4, gaps="propagate")
    np.testing.assert_allclose(spread, whole, atol=1e-12)
    assert int(spread.isnull().sum()) > 50


def test_chunks__are_read_once_and_waited_for_by_nobody(narrow, computes):
    reads = []

    def chunk(block_info=None):
        reads.append(tuple(block_info[None]["chunk-location"]))
        return np.random.default_rng(reads[-1]).normal(size=block_info[None]["chunk-shape"])

    for people in (1, 4):
        reads.clear()
        made = da.map_blocks(chunk, chunks=((1,) * people, (100,) * 12, (2,), (3,)), dtype="f8")
        dims = ("subject", "time", "y", "x")
        x = xr.DataArray(made, dims=dims, attrs={"sampling_rate": 25.0})
        with computes(0):
            out = wavelet_filter(x * 2.0 + 1.0, [1, 2], "db4", 4)
        (optimized,) = dask.optimize(out)
        graph = optimized.__dask_graph__()
        assert len(graph) < 6 * 12 * people
        out.compute(scheduler="synchronous")
        assert sorted(reads) == sorted(set(reads))
        assert len(reads) == 12 * people
        assert all(
            "fhemb" in str(key) for key in graph
        )  # what reads is inside of what needs it
        assert any("fhemb-read" in str(key) for key in graph) == (people == 1)


def test_sources__that_are_more_than_a_store_stay_tasks_of_their_own(narrow, tmp_path):
    whole = signal(1200)
    whole.to_dataset(name="heatmap").chunk(time=100).to_zarr(
        tmp_path / "a.zarr", consolidated=False
    )
    x = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)["heatmap"]
    assert Sources((x * 2 + 1).data).tasks
    with dask.annotate(retries=3):
        marked = x * 2
    for data in (x - x.shift(time=1), x - x.mean("time"), x.chunk(time=80), marked):
        assert not Sources(data.data).tasks
        out = wavelet_filter(data, [1, 2], "db4", 4)
        expected = wavelet_filter(data.compute(), [1, 2], "db4", 4)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)
    assert not Sources(whole.copy().chunk(time=-1).data).tasks  # is in memory already


@pytest.mark.parametrize("change", [clone, lambda a: bind(a, da.ones(3, chunks=1).sum())])
def test_graphs__can_be_cloned_and_bound(narrow, tmp_path, change):
    whole = signal(1200)
    whole.to_dataset(name="heatmap").chunk(time=100).to_zarr(
        tmp_path / "a.zarr", consolidated=False
    )
    out = wavelet_filter(
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False)["heatmap"], [1, 2], "db4", 4
    )
    expected = wavelet_filter(whole, [1, 2], "db4", 4)
    np.testing.assert_allclose(change(out.data).compute(), expected, rtol=0, atol=1e-12)


def test_memory__is_what_the_docstring_says():
    spec = kernel.Spec(((2, 3, 5),), "db4", 8, "symmetric")
    x = np.random.default_rng(0).normal(size=(7000, 2000)).astype("f4")
    opened, links = [], []
    for a in range(0, 7000, 1000):
        block = x[a : a + 1000]
        tracemalloc.start()
        opened, parts = streaming_dwt.advanced(block, spec, a, opened, last=False, ignore=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        links.append(parts)
        if a >= 2000:  # the first also compile, and hold what is not ripe yet
            assert peak < block.nbytes
            held = sum(one.held.nbytes for one in opened)
            assert held == spec.levels * streaming_dwt.kept(spec) * 2000 * 4
            assert sum(p.rows.nbytes for p in parts) < 0.1 * block.nbytes
    out = np.empty((1, 1000, 2000), "f4")
    streaming_dwt.rebuild(links[2:4], spec, 2000, out)
    tracemalloc.start()
    streaming_dwt.rebuild(links[3:5], spec, 3000, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * out.nbytes
    np.testing.assert_allclose(out[0], kernel.filtered(x, spec, 3000, 4000)[0], atol=1e-5)
