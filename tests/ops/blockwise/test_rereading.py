"""A second pass: the copy of a graph stands alone, whatever its layers refer to."""

import dask
import dask.array as da
import numpy as np
import pytest

from fhemb_xr.ops.blockwise.rereading import again

READS = []


def read(block=None, table=(), scale=1.0, block_info=None):
    """A chunk of 10 rows, made of a table that is a task of its own."""
    READS.append(1)
    base = np.zeros((10, 2)) if block is None else block
    return base + np.sum(table) * scale


def of_a_long_list():
    table, chunks = list(range(200)), ((10,) * 3, (2,))
    return da.map_blocks(read, table=table, chunks=chunks, dtype="f8", meta=np.empty((0, 0)))


def of_a_delayed_value():
    scale = dask.delayed(float)(2.0)
    return da.map_blocks(read, of_a_long_list(), scale=scale, table=[1], dtype="f8")


def of_many_inputs():
    x = of_a_delayed_value()
    whole = da.concatenate([x, da.ones((5, 2), chunks=(2, 2))])[3:, :1]
    return (whole + whole.mean(axis=0)).reshape(-1).rechunk(7)


SOURCES = {f.__name__: f for f in (of_a_long_list, of_a_delayed_value, of_many_inputs)}


@pytest.mark.parametrize("source", list(SOURCES))
def test_again__gives_the_same_alone_with_the_first_pass_or_after_optimisation(source):
    x = SOURCES[source]()
    second = again(x, da.ones(2, chunks=1).sum())
    expected = x.compute()
    np.testing.assert_array_equal(second.compute(), expected)
    np.testing.assert_array_equal(dask.optimize(second)[0].compute(), expected)
    both = dask.compute(x, second, second[1:])
    for found, wanted in zip(both, (expected, expected, expected[1:]), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("source", list(SOURCES))
def test_again__shares_no_task_with_the_first_pass(source):
    x = SOURCES[source]()
    second = again(x, da.ones(2, chunks=1).sum())
    assert not {*x.__dask_graph__()} & {*second.__dask_graph__()}
    READS.clear()
    with dask.config.set(scheduler="sync"):
        x.compute()
        once = len(READS)
        dask.compute(x.sum(), second.sum())
    assert len(READS) == 3 * once
