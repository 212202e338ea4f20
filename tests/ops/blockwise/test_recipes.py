"""One task for all that makes a block, and for several blocks one after another."""

import pickle

import dask.array as da
import numpy as np
import pytest
from counting_store import CountingStore

from fhemb_xr.dask_internals import convert_legacy_graph, slices_read, taken_apart
from fhemb_xr.ops.blockwise import recipes, reductions
from fhemb_xr.ops.blockwise.rereading import again

PEOPLE, CHUNKS = 3, 20
FRAMES = np.random.default_rng(0).normal(size=(PEOPLE, 4 * CHUNKS, 2, 3))


def opened():
    """Frames that are read lazily and changed, as those of a recording are."""
    store = CountingStore(FRAMES)
    x = da.from_array(store, chunks=(1, 4, 2, 3), asarray=False)
    return store, da.blockwise(np.negative, "styx", x, "styx", dtype=float)


def _plain(block):
    while isinstance(block, list):
        (block,) = block
    return block


def _mean(frames):
    return _plain(frames).mean(axis=(-2, -1))


def _above(frames, edges):
    return (_plain(frames) > _plain(edges)[:, :1, None, None]).sum(axis=(-2, -1)) * 1.0


def diamond(x, edges):
    """Two results of the same frames, one with edges of the person, joined."""
    like = {"dtype": float, "meta": np.empty((0, 0))}
    mean = da.blockwise(_mean, "st", x, "styx", **like)
    above = da.blockwise(_above, "st", x, "styx", edges, "se", **like)
    return da.blockwise(np.add, "st", mean, "st", above, "st", **like)


def edges_of(x, apart=True):
    return reductions.reduce_blocks(
        x, _sums, _added, _same, n_core=3, width=(2,), apart=apart
    )  # fmt: skip


def _sums(block):
    total = block.sum(axis=(-3, -2, -1))
    return np.stack([total, 2 * total], axis=-1)


def _added(states):
    return states.sum(axis=-2)


def _same(x):
    return x


def test_in_one__is_the_same_in_one_task_a_block_that_reads_once():
    store, x = opened()
    edges = da.from_array(np.linspace(-1, 1, PEOPLE * 2).reshape(PEOPLE, 2), chunks=(1, 2))
    plain = diamond(x, edges)
    expected = plain.compute(scheduler="sync")
    store.reads = 0
    one = recipes.in_one(plain)
    np.testing.assert_array_equal(one.compute(scheduler="sync"), expected)
    assert store.reads == PEOPLE * CHUNKS
    assert len(one.dask.layers[one.name]) == PEOPLE * CHUNKS
    assert not any(name.startswith("negative-") for name in one.dask.layers)
    assert recipes.in_one(diamond(x, edges)).name == one.name
    other = recipes.in_one(diamond(x, edges + 1))
    assert other.name != one.name
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one))[:1], expected[:1])
    rows = one[1:2, 8:12]
    store.reads = 0
    np.testing.assert_array_equal(rows.compute(scheduler="sync"), expected[1:2, 8:12])
    assert store.reads == 1


def test_in_one__waits_for_the_pass_of_its_own_person_and_reads_again():
    store, x = opened()
    one = recipes.in_one(diamond(x, edges_of(x)))
    tasks = dict(one.dask)
    person = next(k for k in tasks[(one.name, 2, 0)].dependencies if isinstance(k, tuple))
    assert person[1:] == (2, 0)
    expected = diamond(again(x, edges_of(x)), edges_of(x)).compute(scheduler="sync")
    store.reads = store.most = 0
    np.testing.assert_array_equal(one.compute(scheduler="sync"), expected)
    assert store.reads == 2 * PEOPLE * CHUNKS
    assert store.most == 1


@pytest.mark.parametrize("kind", ["tree", "chain"])
def test_pass__of_several_blocks_a_task_holds_one_and_is_the_same_to_the_last_bit(
    monkeypatch, kind
):
    def made(x, apart=True):
        if kind == "tree":
            return edges_of(x, apart)
        return reductions.fold_blocks(
            x, _sums, _extended, np.add, n_core=3, width=(2,), apart=apart
        )

    store, x = opened()
    expected = made(x, apart=False).compute(scheduler="sync")
    monkeypatch.setattr(reductions, "PARALLEL", 2)
    found = made(x)
    store.reads = store.most = 0
    np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)
    assert (store.reads, store.most) == (PEOPLE * CHUNKS, 1)
    assert len(found.dask) <= PEOPLE * CHUNKS / 2 + 1
    # the budget still sees what the tasks read
    (read,) = slices_read(found.dask.layers[found.name]).values()
    assert max(read.chunks[1]) == 4
    if kind == "tree":
        monkeypatch.setattr(reductions, "PARALLEL", 10**9)
        apart = made(x)
        assert PEOPLE * CHUNKS < len(apart.dask) < 1.3 * PEOPLE * CHUNKS
        np.testing.assert_array_equal(apart.compute(scheduler="sync"), expected)


def _extended(before, block):
    return before + _sums(block)


def test_taken_apart__are_the_tasks_of_a_recipe_with_what_they_read():
    _, x = opened()
    edges = da.from_array(np.zeros((PEOPLE, 2)), chunks=(1, 2))
    one = recipes.in_one(diamond(x, edges))
    nodes = taken_apart(convert_legacy_graph(one.dask.to_dict()))
    values = {}

    def value(key):
        if key not in values:
            node = nodes[key]
            values[key] = node({k: value(k) for k in node.dependencies})
        return values[key]

    np.testing.assert_array_equal(value((one.name, 1, 3)), one.blocks[1, 3].compute())
    texts = [str(node.args) for node in nodes.values() if hasattr(node, "args")]
    assert sum("slice(12, 16" in text for text in texts) == PEOPLE


def test_recipe__is_not_made_of_what_is_not_made_block_by_block():
    _, x = opened()
    edges = da.from_array(np.zeros((PEOPLE, 2)), chunks=(1, 2))
    # chunks that were joined before would wait in memory for a task that makes several blocks
    assert recipes.in_one(diamond(x.rechunk({1: 8}), edges)) is None
    along = da.from_array(np.zeros((CHUNKS, 2)), chunks=(1, 2))
    shared = da.blockwise(
        lambda a, b: a, "styx", x, "styx", along, "te", dtype=float, align_arrays=False
    )
    assert recipes.inlined(shared) is not None
    assert recipes.inlined(shared, core=[1]) is None
    assert recipes.in_one(x.rechunk({1: 8})) is None
    several = da.blockwise(
        lambda blocks: np.zeros((1, 1)), "sy", x, "styx", dtype=float, meta=np.empty((0, 0))
    )
    assert recipes.in_one(several) is None
