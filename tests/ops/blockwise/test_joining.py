"""Whole series of many chunks: read part by part, by one task, and the same as dask's."""

import weakref

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.ops.blockwise import joining
from fhemb_xr.ops.blockwise.joining import joined
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.rereading import again

SHAPE = (3, 24, 5)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype("f4")


class Store:
    """An open store: it counts what is read of it, and how much of that is alive at a time."""

    shape, ndim, dtype = SHAPE, 3, VALUES.dtype

    def __init__(self):
        self.now = self.most = self.number = 0

    def __getitem__(self, where):
        out = VALUES[where].copy()
        self.now += 1
        self.number += 1
        self.most = max(self.most, self.now)
        weakref.finalize(out, self.gone)
        return out

    def gone(self):
        self.now -= 1


def lazy(chunks, store=None):
    return da.from_array(store or Store(), chunks, meta=np.empty((0, 0, 0), "f4"))


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    monkeypatch.setattr(joining, "_LARGE", 1)


def chunks_of(n):
    return st.lists(st.integers(1, n), min_size=1).map(
        lambda cuts: tuple(np.diff([0, *sorted({min(c, n) for c in cuts} | {n})]).tolist())
    )


@given(st.tuples(*map(chunks_of, SHAPE)), st.tuples(*map(chunks_of, SHAPE)))
def test_joined__are_the_values_of_rechunk_in_any_chunks(have, want):
    out = joined(lazy(have), want)
    if out is not None:
        assert out.chunks == want
        np.testing.assert_array_equal(out.compute(), VALUES)


CUTS = {
    "nothing": lambda x: x,
    "slice": lambda x: x[:, :, 1:3],
    "list": lambda x: x[:, :, [0, 3, 4]],
    "number": lambda x: x[:, :, 2][:, :, None],
    "transpose": lambda x: x.transpose(1, 0, 2).transpose(1, 0, 2),
    "time": lambda x: x[:, :, [0, 3, 4]][:, 3:20],
}


@pytest.mark.parametrize("cut", CUTS)
def test_joined__is_one_task_a_block_of_what_was_cut_too(cut):
    x = CUTS[cut](lazy((1, 4, 5)))
    want = ((1, 1, 1), (x.shape[1],), (x.shape[2],))
    out = joined(x, want)
    tasks = [k for k in out.dask if str(k[0]).startswith("joined")]
    assert len(tasks) == len(out.dask) == 3
    np.testing.assert_array_equal(out.compute(), CUTS[cut](VALUES))
    later = again(out, da.ones(3, chunks=1).sum())
    np.testing.assert_array_equal(later.compute(), out.compute())
    assert not set(later.dask) & {*tasks}


@pytest.mark.parametrize(("way", "most"), [(joined, 1), (da.rechunk, 12)])
def test_joined__holds_one_chunk_beside_the_block(way, most):
    store = Store()
    x = lazy((1, 2, 5), store)[:1, :, :2]
    out = way(x, ((1,), (24,), (2,)))
    np.testing.assert_array_equal(out.compute(scheduler="sync"), VALUES[:1, :, :2])
    assert (store.number, store.most) == (12, most)


def test_joined__cuts_what_is_whole_in_chunks_of_both_and_reads_once():
    store = Store()
    out = joined(lazy((1, 4, 5), store), ((1, 1, 1), (24,), (2, 2, 1)))
    np.testing.assert_array_equal(out.compute(scheduler="sync"), VALUES)
    assert (store.number, store.most) == (18, 1)


def test_joined__reads_a_wide_block_in_parts_and_no_chunk_more_than_four_times(monkeypatch):
    x = lazy((1, 4, 5), store := Store())
    want = ((1, 1, 1), (24,), (1, 1, 1, 1, 1))
    monkeypatch.setattr(joining, "_WIDE", 24 * 4 * 3)
    out = joined(x, want)
    np.testing.assert_array_equal(out.compute(scheduler="sync"), VALUES)
    assert (store.number, store.most) == (36, 1)
    assert sum(str(k[0]).startswith("joined") for k in out.dask) == 3 * 2  # of 3 and 2 features
    monkeypatch.setattr(joining, "_WIDE", 1)
    np.testing.assert_array_equal(joined(x, want).compute(scheduler="sync"), VALUES)
    assert (store.number, store.most) == (36 + 72, 1)


def test_joined__is_left_to_dask_if_small_too_large_or_of_what_is_needed_elsewhere(monkeypatch):
    x = lazy((1, 4, 5))
    want = ((1, 1, 1), (24,), (5,))
    assert joined(x, want) is not None
    assert joined(x, x.chunks) is None
    assert joined(x + 1, want) is None  # work is done once, side by side
    assert joined(x[:, x[0, :, 0] > 0], want) is None  # of unknown length
    assert joined(x.rechunk(((1, 1, 1), (0, 12, 12), (5,))), want) is None
    assert joined(x[:, [0, 1, 2, 3] * 2], ((3,), (4, 4), (5,))) is None  # a chunk in two blocks
    assert joined(x.map_blocks(np.ma.masked_invalid, dtype="f4"), want) is None
    assert joined(x.astype("U8"), want) is None
    monkeypatch.setattr(joining, "_MOST", 24 * 5 * 4 - 1)
    assert joined(x, want) is None
    monkeypatch.setattr(joining, "_MOST", 2**28)
    monkeypatch.setattr(joining, "_LARGE", 24 * 5 * 4 + 1)
    assert joined(x, want) is None


def test_rechunked__joins_and_keeps_the_coordinates_as_they_are():
    x = xr.DataArray(VALUES, {"time": np.arange(24)}, ("subject", "time", "feature"))
    out = rechunked(x.copy(data=lazy((1, 5, 5))), {"time": -1})
    assert out.chunks == ((1, 1, 1), (24,), (5,))
    assert out.data.name.startswith("joined")
    xr.testing.assert_identical(out.compute(), x)
