"""Dynamic time warping of several pairs at once, one pair in each lane of a vector.

Pairs of the same two lengths share the band, so no lane needs a mask. A cell depends only on
cells of its own lane. One vector of cells therefore costs a difference, two minima and a fused
product for each feature. The recurrence is that of :mod:`fhemb_xr.kernels.dtw.sweep`, but here
a pass fills four rows and goes along the columns::

                         column j-1    column j
    row i-1  (``row``)   across        above        of the pass before, in memory
    row i                left[0]       cell         of the column before, in registers
    row i+1              left[1]       cell
    row i+2              left[2]       cell
    row i+3              left[3]       cell         written to ``row`` for the next pass

The cells of a column wait for one another, but the differences of the next columns do not: the
processor works on several columns at the same time. Between passes one row is kept.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import inlined_kernel, kernel
from fhemb_xr.kernels._simd import BYTES, lesser, load, store
from fhemb_xr.kernels.dtw.constraints import Constraint, band, columns
from fhemb_xr.typing import Floats, Ints


def squares(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints,
    constraint: Constraint, out: Floats,
) -> Ints:  # fmt: skip
    """Fill ``out`` with the summed squares of ``pairs (k, 2)``; return the pairs left undone.

    Those have lengths that too few pairs share: they would fill less than half of a vector.
    """
    width, undone = BYTES // a.itemsize, [np.empty((0, 2), np.int64)]
    a, b = (
        np.ascontiguousarray(a),
        np.ascontiguousarray(b),
    )  # otherwise it is compiled once more
    for group in _of_equal_lengths(lengths_a, lengths_b, pairs):
        odd = len(group) % width
        n = len(group) - (odd if odd < width // 2 else 0)
        if n:
            _group(a, b, lengths_a, lengths_b, group[:n], constraint, out)
        undone.append(group[n:])
    return np.concatenate(undone)


def _of_equal_lengths(lengths_a: Ints, lengths_b: Ints, pairs: Ints) -> list[Ints]:
    """Groups of pairs with equal lengths of the shorter and of the longer series."""
    both = np.sort(np.stack([lengths_a[pairs[:, 0]], lengths_b[pairs[:, 1]]], axis=1), axis=1)
    order = np.lexsort(both.T)
    steps = np.diff(both[order], axis=0).any(axis=1)
    return np.split(pairs[order], np.flatnonzero(steps) + 1)


@kernel
def _group(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints,
    constraint: Constraint, out: Floats,
) -> None:  # fmt: skip
    """Pairs of the same two lengths; the rows of the table are the shorter series."""
    n, m = lengths_a[pairs[0, 0]], lengths_b[pairs[0, 1]]
    n, m = min(n, m), max(n, m)
    low, high = np.empty(n + m, np.int64), np.empty(n + m, np.int64)
    if not band(n, m, constraint, low, high):
        return
    first, last = np.empty(n + 3, np.int64), np.empty(n + 3, np.int64)
    columns(n, m, low, high, first, last)
    first[n:], last[n:] = first[n - 1], last[n - 1]
    width, features = BYTES // a.itemsize, a.shape[1]
    x = np.full(
        (n + 3) * features * width, np.inf, a.dtype
    )  # with up to three rows after the last
    y = np.empty(m * features * width, a.dtype)
    row, best = np.empty((m + 1) * width, a.dtype), np.empty(width, a.dtype)
    for k in range(0, len(pairs), width):
        for lane in range(width):  # the last pair fills the lanes that are left
            i, j = pairs[min(k + lane, len(pairs) - 1)]
            short, long = (a[i], b[j]) if lengths_a[i] <= lengths_b[j] else (b[j], a[i])
            _dealt(short, n, lane, width, x)
            _dealt(long, m, lane, width, y)
        row[:] = np.inf
        row[:width] = 0  # before the first cell
        _table(x, y, n, features, first, last, row, best)
        for lane in range(min(width, len(pairs) - k)):
            i, j = pairs[k + lane]
            out[i, j] = best[lane]


@kernel
def _dealt(series: Floats, n: int, lane: int, width: int, out: Floats) -> None:
    """Copy a series into its lane of ``(t, f, lane)``."""
    for f in range(series.shape[0]):
        for t in range(n):
            out[(t * series.shape[0] + f) * width + lane] = series[f, t]


@kernel
def _table(
    x: Floats, y: Floats, n: int, features: int, first: Ints, last: Ints, row: Floats,
    best: Floats,
) -> None:  # fmt: skip
    """Fill the table four rows at a time; ``row`` is the row before, ``best`` the last cell."""
    width = best.size
    best[:] = np.inf
    far = load(best, 0)
    left = far, far, far, far
    for i in range(0, n, 4):
        begin = first[i] * width  # no row begins or ends before the row above it
        across, left = load(row, begin), (far, far, far, far)
        if features == 1:
            left = _univariate(x, y, i, first, last, row, across, left, width)
        else:
            left = _multivariate(x, y, i, features, first, last, row, across, left, width)
        store(row, begin, far)
    k = (n - 1) % 4
    store(best, 0, left[0] if k == 0 else left[1] if k == 1 else left[2] if k == 2 else left[3])


@inlined_kernel
def _univariate(
    x: Floats, y: Floats, i: int, first: Ints, last: Ints, row: Floats, across: Any, left: Any,
    width: int,
) -> Any:  # fmt: skip
    """All columns of four rows; returns the last column."""
    far, inner, outer = left[0], first[i + 3], last[i]
    p, q = load(x, i * width), load(x, (i + 1) * width)
    r, s = load(x, (i + 2) * width), load(x, (i + 3) * width)
    for j in range(first[i], last[i + 3] + 1):
        v, above = load(y, j * width), load(row, (j + 1) * width)
        e, f, g, h = p - v, q - v, r - v, s - v
        if j < inner or j > outer:
            e, f, g, h = _within((e, f, g, h), i, j, first, last, far)
        left = _down((e * e, f * f, g * g, h * h), above, across, left)
        store(row, (j + 1) * width, left[3])
        across = above
    return left


@inlined_kernel
def _multivariate(
    x: Floats, y: Floats, i: int, features: int, first: Ints, last: Ints, row: Floats,
    across: Any, left: Any, width: int,
) -> Any:  # fmt: skip
    """The same for several features."""
    far, inner, outer = left[0], first[i + 3], last[i]
    for j in range(first[i], last[i + 3] + 1):
        above = load(row, (j + 1) * width)
        costs = _costs(x, y, i, j, features, width)
        if j < inner or j > outer:
            costs = _within(costs, i, j, first, last, far)
        left = _down(costs, above, across, left)
        store(row, (j + 1) * width, left[3])
        across = above
    return left


@inlined_kernel
def _costs(x: Floats, y: Floats, i: int, j: int, features: int, width: int) -> Any:
    """Squared distances of four points of x from the point of column ``j``."""
    step = features * width
    u, v = i * step, load(y, j * step)
    e, f = load(x, u) - v, load(x, u + step) - v
    g, h = load(x, u + 2 * step) - v, load(x, u + 3 * step) - v
    p, q, r, s = e * e, f * f, g * g, h * h
    for k in range(1, features):
        u, v = i * step + k * width, load(y, j * step + k * width)
        e, f = load(x, u) - v, load(x, u + step) - v
        g, h = load(x, u + 2 * step) - v, load(x, u + 3 * step) - v
        p, q, r, s = p + e * e, q + f * f, r + g * g, s + h * h
    return p, q, r, s


@inlined_kernel
def _within(rows: Any, i: int, j: int, first: Ints, last: Ints, far: Any) -> Any:
    """Costs of four rows, infinite where column ``j`` lies outside of the row's band."""
    p, q, r, s = rows
    p = p if first[i] <= j <= last[i] else far
    q = q if first[i + 1] <= j <= last[i + 1] else far
    r = r if first[i + 2] <= j <= last[i + 2] else far
    s = s if first[i + 3] <= j <= last[i + 3] else far
    return p, q, r, s


@inlined_kernel
def _down(costs: Any, above: Any, across: Any, left: Any) -> Any:
    """Four cells of a column from their neighbours above, left and across."""
    a, b, c, d = left
    e = costs[0] + lesser(lesser(across, above), a)
    f = costs[1] + lesser(lesser(a, e), b)
    g = costs[2] + lesser(lesser(b, f), c)
    h = costs[3] + lesser(lesser(c, g), d)
    return e, f, g, h
