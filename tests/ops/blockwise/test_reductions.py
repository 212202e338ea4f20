"""States that are added to in chains of chunks."""

import threading
import time
import tracemalloc
import weakref

import dask
import dask.array as da
import numpy as np
import pytest

from fhemb_xr.kernels.pca import covariance
from fhemb_xr.ops.blockwise import reductions


def state(x, factor):
    return np.array([[[factor * x.sum(), x.size]]])


def extend(before, x, factor):
    return before + state(x, factor)


def fold(x):
    return reductions.fold_blocks(
        x, state, extend, np.add, n_core=2, width=(1, 2), factor=2.0
    )  # fmt: skip


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5, 17, 40])
def test_fold_blocks__takes_every_block_once_in_under_two_tasks(blocks, computes):
    x = da.from_array(np.random.default_rng(0).normal(size=(2, 3 * blocks, 4)), (1, 3, 4))
    with computes(0):
        found = fold(x)
    assert found.shape == (2, 1, 2)
    sums = 2.0 * x.compute().sum(axis=(1, 2))
    expected = np.stack([sums, np.full(2, 12 * blocks)], axis=-1)[:, None]
    np.testing.assert_allclose(found.compute().reshape(2, 1, 2), expected)
    assert len(found.dask.layers[found.name]) <= 2 * (2 * blocks)


class Alive:
    """How many of the arrays that it is shown are there, and how many at most."""

    def __init__(self):
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def shown(self, x):
        self._count(1)
        weakref.finalize(x, self._count, -1)
        return x

    def _count(self, change):
        with self.lock:
            self.now += change
            self.most = max(self.most, self.now)


def test_fold_blocks__holds_few_states_and_blocks_however_many_there_are():
    states, blocks = Alive(), Alive()

    def first(x):
        time.sleep(0.004)  # adding takes longer than reading: the other thread reads on
        return states.shown(np.zeros((1, 1)))

    def more(before, x):
        return first(x)

    x = da.map_blocks(
        lambda x: blocks.shown(x + 1), da.zeros((144, 1), chunks=(1, 1)), dtype=float
    )
    found = reductions.fold_blocks(x, first, more, more, n_core=2, width=(1, 1))
    with dask.config.set(scheduler="threads", num_workers=2):
        found.compute()
    assert 0 < states.most <= 7, states.most
    assert 0 < blocks.most <= 2 * reductions.LINKS, blocks.most


def test_covariance__is_added_to_and_leaves_what_it_is_given():
    rng = np.random.default_rng(1)
    x = rng.normal(30, 2, (2, 30, 700))  # more pixels than a slab of products
    before = covariance.state(x[:, :11])
    kept = before.copy()
    found = covariance.extended(before, x[:, 11:])
    np.testing.assert_array_equal(before, kept)
    for s in range(2):
        d = x[s] - x[s].mean(axis=0)
        np.testing.assert_allclose(covariance.gram(found[s]), d.T @ d, atol=1e-10)
    np.testing.assert_allclose(found, covariance.state(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("p", [covariance.WIDE, covariance.WIDE + 1, covariance.WIDE + 7])
def test_covariance__of_float32_in_parts_with_gaps_is_that_of_float64(p):
    rng = np.random.default_rng(2)
    x = (rng.normal(30, 2, (1100, p)) + np.linspace(0, 9, 1100)[:, None]).astype("f4")
    x[40], x[700, 3], x[:, 5], x[2, 6] = np.nan, np.nan, np.nan, np.inf
    found = covariance.extended(covariance.state(x[:60]), x[60:])  # in two blocks
    exact = covariance.state(x.astype("f8"))
    np.testing.assert_allclose(found[-5:], exact[-5:], rtol=1e-10)
    assert not covariance.gram(found)[5].any()  # outside of the mask: not multiplied
    whole = np.isfinite(np.delete(x, 40, axis=0)).all(axis=0)
    a, b = (covariance.gram(s)[np.ix_(whole, whole)] for s in (found, exact))
    spread = np.sqrt(np.outer(np.diagonal(b), np.diagonal(b)))
    assert 0 < (np.abs(a - b) / spread).max() < 2.0**-22
    values = [np.linalg.eigvalsh(g)[-3:] for g in (a, b)]
    np.testing.assert_allclose(*values, rtol=1e-9, atol=2.0**-24 * values[1][-1])


def test_covariance__of_more_frames_takes_the_memory_it_says():
    n, p = 1500, 1024
    x = np.random.default_rng(1).normal(30, 2, (n, p)).astype("f4")
    x[7] = np.nan  # without a face: the others are copied
    before = covariance.state(x[:20])  # and compiled now
    tracemalloc.start()
    covariance.extended(before, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert before.nbytes < peak <= before.nbytes + 4 * p * (covariance.BLOCK + 100)
