"""The decoder, on streams of COPY built by hand."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhemb_xr.errors import SourceError
from ingest.postgres.copy_decoder import ARRAYS, SIGNATURE, TRAILER, distinct, rows, runs
from ingest.shards import Block, Cell, Counts

REAL = ARRAYS[700]
LIMITS = (-250.0, 400.0)


def array(values, nulls=None, oid=700, code="f"):
    """One array as ``array_send`` writes it; ``nulls`` marks NULL elements."""
    values = np.asarray(values)
    size = struct.calcsize(code)
    flags = int(nulls is not None and nulls.any())
    head = struct.pack(">iii", values.ndim, flags, oid)
    head += b"".join(struct.pack(">ii", n, 1) for n in values.shape)
    gone = np.zeros(values.shape, bool) if nulls is None else nulls
    parts = [
        struct.pack(">i", -1) if null else struct.pack(f">i{code}", size, value)
        for value, null in zip(values.ravel().tolist(), gone.ravel(), strict=True)
    ]
    return head + b"".join(parts)


def row(clock, *cells):
    """One CopyData message: the clock and what follows it."""
    out = struct.pack(">hiq", 1 + len(cells), 8, clock)
    for cell in cells:
        out += struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell
    return out


def stream(*messages):
    """A whole COPY: the header comes with the first row, as the server sends it."""
    start = SIGNATURE + struct.pack(">ii", 0, 0)
    return [start + messages[0], *messages[1:], TRAILER] if messages else [start + TRAILER]


def block(n, grid, start=0):
    return Block("dg", 40, start, np.full((n, *grid), np.nan, "f4"), start + n)


def fill(messages, n, grid, start=0, cell=REAL, batch=2**21):
    made = block(n, grid, start)
    for run in runs(distinct(rows(messages), made.counts), cell, batch):
        made.place(run, cell, lambda x: x, LIMITS)
    return made


shapes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)) | st.none(), max_size=20)


@given(
    shapes=shapes,
    batch=st.integers(1, 3000),
    start=st.integers(-5, 10**12),
    seed=st.integers(0, 9),
)
def test_runs__put_every_frame_in_the_middle_of_the_grid(shapes, batch, start, seed):
    rng = np.random.default_rng(seed)
    frames = [s and rng.normal(33, 2, s).astype("f4") for s in shapes]
    messages = [row(start + i, None if f is None else array(f)) for i, f in enumerate(frames)]
    found = fill(stream(*messages), len(frames), (5, 6), start, batch=batch)
    for i, frame in enumerate(frames):
        expected = np.full((5, 6), np.nan, "f4")
        if frame is not None:
            h, w = frame.shape
            top, left = (5 - h) // 2, (6 - w) // 2
            expected[top : top + h, left : left + w] = frame
        np.testing.assert_array_equal(found.heat[i], expected)
        assert (found.height[i], found.width[i]) == ((0, 0) if frame is None else frame.shape)
    assert found.counts.faces == sum(f is not None for f in frames)
    assert found.counts.null_cells == sum(f is None for f in frames)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**36 - 1))
def test_runs__null_elements_become_nan(h, w, bits):
    values = np.arange(h * w, dtype="f4").reshape(h, w)
    nulls = np.array([bits >> i & 1 for i in range(h * w)], bool).reshape(h, w)
    found = fill(stream(row(0, array(values, nulls))), 1, (h, w))
    np.testing.assert_array_equal(found.heat[0], np.where(nulls, np.nan, values))
    assert found.counts.null_pixels == nulls.sum()


@pytest.mark.parametrize(
    ("oid", "code", "dtype"), [(701, "d", "f8"), (21, "h", "i2"), (23, "i", "i4")]
)
def test_runs__read_every_type_of_number(oid, code, dtype):
    values = np.array([[3000, 3155], [-5, 0]], dtype)
    cell = Cell("array", ARRAYS[oid].dtype, oid, scale=0.01, offset=1.0)
    nulls = np.array([[False, True], [False, False]])
    found = fill(stream(row(0, array(values, None, oid, code))), 1, (2, 2), cell=cell)
    np.testing.assert_allclose(found.heat[0], values * 0.01 + 1, rtol=1e-6)
    found = fill(stream(row(0, array(values, nulls, oid, code))), 1, (2, 2), cell=cell)
    np.testing.assert_allclose(
        found.heat[0], np.where(nulls, np.nan, values * 0.01 + 1), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<u2"])
def test_runs__read_bytes_with_their_shape(dtype):
    values = np.array([[30, 31, 32], [33, 34, 35]], dtype)
    cell = Cell("bytes", np.dtype(dtype))
    shape = [struct.pack(">i", n) for n in values.shape]
    found = fill(
        stream(
            row(0, *shape, values.tobytes()),
            row(1, None, None, None),
            row(2, *shape, values.tobytes()[:-1]),
            row(3, *shape, values.tobytes()),
        ),
        4,
        (2, 3),
        cell=cell,
    )
    np.testing.assert_array_equal(found.heat[[0, 3]], np.stack([values, values]).astype("f4"))
    assert np.isnan(found.heat[[1, 2]]).all()
    assert (found.counts.null_cells, found.counts.misshapen) == (1, 1)


def test_runs__equal_lengths_of_other_shapes_stay_apart():
    a, b = np.arange(6, dtype="f4").reshape(2, 3), np.arange(6, dtype="f4").reshape(3, 2)
    found = fill(stream(row(0, array(a)), row(1, array(b)), row(2, array(a))), 3, (3, 3))
    assert found.height.tolist() == [2, 3, 2]
    np.testing.assert_array_equal(found.heat[1, :, :2], b)


def test_place__counts_what_is_no_matrix_and_leaves_it_out():
    empty = struct.pack(">iii", 0, 0, 700)
    cells = [array(np.float32([1, 2])), empty, None, array(np.float32([[[1.0]]]))]
    found = fill(stream(*(row(i, c) for i, c in enumerate(cells))), 5, (2, 2))
    assert np.isnan(found.heat).all()
    assert not found.height.any()
    assert found.counts == Counts(rows=4, null_cells=1, empty_cells=1, misshapen=2)


def test_place__impossible_temperatures_become_nan_and_are_counted():
    values = np.float32([[np.inf, -np.inf, 401, -251, np.nan, 400]])
    found = fill(stream(row(0, array(values))), 1, (1, 6))
    np.testing.assert_array_equal(found.heat[0, 0], [np.nan] * 5 + [400])
    assert found.counts.out_of_range == 4


def test_distinct__keeps_the_same_of_repeated_rows_in_any_order():
    messages = [row(0, array(np.float32([[v]]))) for v in (3, 1, 2)] + [row(0, None)]
    kept = []
    for order in (messages, messages[::-1]):
        found = fill(stream(*order, row(1, None)), 2, (1, 1))
        kept.append(found.heat[0, 0, 0])
        assert found.counts.duplicates == 3
    assert kept == [1, 1]  # a matrix before NULL, and the smallest by its bytes


def test_block__refuses_what_it_was_not_made_for():
    with pytest.raises(
        SourceError, match=r"subject 40 has a frame of 2x3 .* grid is 2x2.*--grid"
    ):
        fill(stream(row(7, array(np.ones((2, 3), "f4")))), 9, (2, 2))
    with pytest.raises(SourceError, match=r"frames \[5, 6\), the source sent 4"):
        fill(stream(row(4, array(np.ones((1, 1), "f4")))), 1, (1, 1), start=5)


def test_rows__know_a_whole_stream():
    assert list(rows(stream())) == []
    whole = stream(row(0, None), row(1, None))
    assert len(list(rows(whole))) == 2
    with pytest.raises(SourceError, match="ended before its trailer"):
        list(rows(whole[:-1]))
    with pytest.raises(SourceError, match="no binary COPY"):
        list(rows([b"1\t2\n"]))


def test_runs__a_damaged_stream_is_an_error():
    good = row(0, array(np.ones((2, 2), "f4")))
    with pytest.raises(SourceError, match="damaged"):
        fill(stream(good[:-4]), 1, (2, 2))
    wrong = row(0, array(np.ones((2, 2), "f4"), oid=701))
    with pytest.raises(SourceError, match="type 701"):
        fill(stream(wrong), 1, (2, 2))
    nulls = np.array([[True, False], [False, False]])
    with pytest.raises(SourceError, match="truncated"):
        fill(stream(row(0, array(np.ones((2, 2), "f4"), nulls))[:-4]), 1, (2, 2))


def test_runs__memory_does_not_grow_with_the_rows():
    frame = array(np.ones((20, 30), "f4"))

    def peak(n):
        messages = (row(i, frame) for i in range(n))
        tracemalloc.start()
        for run in runs(messages, REAL, batch=2**18):
            assert run.values is not None
        _, high = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return high

    assert peak(2000) < 1.2 * peak(200) < 1.2 * 4 * 2**18
