"""Dynamic time warping of blocks of series, in memory of the shorter series.

The table of accumulated costs is swept along its anti-diagonals: the cells of one need only
the two before it, none of its own, so the compiler works on many at once. Four diagonals are
worked out in one pass over the rows, so that what a cell needs of its neighbours is still in
a register: one diagonal at a time waits for memory. Two diagonals are held. A pass begins and
ends at a multiple of the rows of a vector: what is computed too much costs less than a
remainder would, or than to read across what two vectors have just written.

Around a series lies infinity, so that cells outside of the table cost it, and no path takes
them. The shorter series is always the rows: a table read backwards has the same paths, so one
series is held forwards, the other backwards, whichever is the shorter.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import fused_kernel, kernel
from fhemb_xr.kernels.dtw import point_metrics, simd_batch
from fhemb_xr.kernels.dtw.constraints import Constraint, band, constraint_of
from fhemb_xr.typing import Floats, Ints

PAD = 16
"""Rows that a vector of 64 bytes has at most."""
FRONT, BACK = PAD + 8, 2 * PAD + 8
"""Infinite samples before and after each series."""


def padded(x: Floats, lengths: Ints, *, backwards: bool) -> Floats:
    """Series that the kernels can overrun: ``(k, f, t) -> (k, f, FRONT + t + BACK)``."""
    out = np.full((*x.shape[:-1], FRONT + x.shape[-1] + BACK), np.inf, dtype=x.dtype)
    for row, series, n in zip(out, x, lengths, strict=True):
        row[:, FRONT : FRONT + n] = series[:, n - 1 :: -1] if backwards and n else series[:, :n]
    return out


def distances(
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    *,
    upper: bool = False,
    window: float | None = None,
    itakura: float | None = None,
    local: str = "euclidean",
    p: float = 3.0,
) -> Floats:
    """Warping distances of all pairs: ``(k, f, t), (l, f, t) -> (k, l)``.

    Series without samples, and pairs that no path joins, give NaN. ``local="euclidean"`` is
    the root of the summed squares; any other point metric is summed as it is.

    Peak memory: twice the series; for each sample of the longest 128 bytes of every feature
    and 19 samples more; 80 bytes per pair.
    """
    code = point_metrics.CODES["rooted" if local == "mahalanobis" else local]
    pairs, limits = joinable(lengths_a, lengths_b, upper), constraint_of(window, itakura)
    out = np.full((len(a), len(b)), np.nan, dtype=a.dtype)
    pair: Any = _points_pair
    if code <= 1:
        if upper:  # no differences from itself
            np.fill_diagonal(out, np.where(lengths_a > 0, 0, np.nan))
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        pairs = simd_batch.squares(a, b, lengths_a, lengths_b, pairs, limits, out)
        one = _univariate if window is None and itakura is None else _univariate_banded
        pair = one if a.shape[1] == 1 else _squares_pair
    if local == "mahalanobis":
        return _scaled(a, b, lengths_a, lengths_b, pairs, limits, out)
    table(pair, a, b, lengths_a, lengths_b, pairs, limits, out, code, p)
    return np.sqrt(out) if local == "euclidean" else out


def _scaled(
    a: Floats, b: Floats, lengths_a: Ints, lengths_b: Ints, pairs: Ints,
    constraint: Constraint, out: Floats,
) -> Floats:  # fmt: skip
    """The same by the covariance of both series (ddof 1), NaN where it is singular."""
    alone = np.zeros((1, 2), np.int64)
    for i, j in pairs:
        x, y = a[i, :, : lengths_a[i]], b[j, :, : lengths_b[j]]
        spread = np.atleast_2d(np.cov(np.concatenate([x, y], axis=1)))
        if np.linalg.matrix_rank(spread) < len(spread):
            continue
        root = np.linalg.cholesky(np.linalg.inv(spread)).T  # whitens: distances are Euclidean
        u, v = (np.asarray(root @ series, a.dtype)[None] for series in (x, y))
        n, m, cell = lengths_a[i : i + 1], lengths_b[j : j + 1], out[i : i + 1, j : j + 1]
        table(_points_pair, u, v, n, m, alone, constraint, cell, point_metrics.CODES["rooted"])
    return out


def joinable(lengths_a: Ints, lengths_b: Ints, upper: bool) -> Ints:
    """Pairs of series with samples ``(k, 2)``, of the diagonal and above it if ``upper``."""
    some = (lengths_a[:, None] > 0) & (lengths_b > 0)
    return np.argwhere(np.triu(some) if upper else some)


def table(
    pair: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    pairs: Ints,
    constraint: Constraint,
    out: Floats,
    code: int = 0,
    p: float = 1.0,
) -> None:
    """A kernel of two series for each of some pairs; it is compiled for ``pair`` alone."""
    if len(pairs):
        x = padded(a, lengths_a, backwards=False)
        y = padded(b, lengths_b, backwards=True)
        _each(pair, x, y, lengths_a, lengths_b, pairs, constraint, code, p, out)


@kernel
def _each(
    pair: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    pairs: Ints,
    constraint: Constraint,
    code: int,
    p: float,
    out: Floats,
) -> None:
    size = max(a.shape[2], b.shape[2])
    buffers = np.empty((7, size), dtype=a.dtype)
    low, high = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    old_n = old_m = 0
    joined = False
    for i, j in pairs:
        n, m = lengths_a[i], lengths_b[j]
        rows, columns = (a[i], b[j]) if n <= m else (b[j], a[i])
        n, m = min(n, m), max(n, m)
        if n != old_n or m != old_m:  # most often all are of one length
            joined = band(n, m, constraint, low, high)
            old_n, old_m = n, m
        if joined:
            out[i, j] = pair(rows, columns, n, m, low, high, code, p, buffers)


@kernel
def _univariate(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """Summed squares along the best path; ``y`` backwards. Index 0 of a diagonal is row -1."""
    old, older, above = buffers[0], buffers[1], buffers[2]
    d, before = begin(n, m, buffers), 0
    while d < n + m - 1:
        lanes = 64 // x.itemsize
        first = max(0, d - m + 1) // lanes * lanes
        cells = (min(n - 1, d + 3) - first + lanes) // lanes * lanes
        if first > before:
            above[0], above[1] = older[first], old[first]
        _four(x[0], y[0], old, older, first, m - 1 - d + first, cells, above)
        above[:4] = np.inf
        before = first
        d += 4
    return old[n]


@kernel
def begin(n: int, m: int, buffers: Floats) -> int:
    """First diagonal of the first pass, so that the last pass ends with the last diagonal.

    Nothing is reached but what lies before the first cell: in the row above the pass, which is
    that of the two diagonals before it and of its own first three.
    """
    d = -(-(n + m - 1) % 4)
    buffers[:3] = np.inf
    buffers[2, -d] = 0
    return d


@kernel
def least(a: float, b: float, c: float) -> Any:
    """The smallest of three, as one vector instruction each."""
    best = a if a < b else b
    return best if best < c else c


@fused_kernel
def _four(
    x: Floats,
    y: Floats,
    old: Floats,
    older: Floats,
    i0: int,
    j0: int,
    cells: int,
    above: Floats,
) -> None:
    """Four diagonals of squared differences, from row ``i0`` on; the last two are kept."""
    # unsigned, or numba asks of every index whether it counts from the end
    i, j, one = np.uint64(i0), np.uint64(j0 + FRONT), np.uint64(1)
    ii, two, three = np.uint64(i0 + FRONT), np.uint64(2), np.uint64(3)
    oo_, o_, a_, b_, c_ = above[0], above[1], above[2], above[3], above[4]
    for k in range(np.uint64(cells)):
        s = x[ii + k]
        o, oo = old[i + k + one], older[i + k + one]
        e, f = s - y[j + k], s - y[j + k - one]
        g, h = s - y[j + k - two], s - y[j + k - three]
        a = e * e + least(o, o_, oo_)
        b = f * f + least(a, a_, o_)
        c = g * g + least(b, b_, a_)
        old[i + k + one] = h * h + least(c, c_, b_)
        older[i + k + one] = c
        o_, oo_, a_, b_, c_ = o, oo, a, b, c


@kernel
def _univariate_banded(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same inside a band."""
    old, older, above = buffers[0], buffers[1], buffers[2]
    d, before = begin(n, m, buffers), 0
    while d < n + m - 1:
        first, cells, inside = rows_of(d, n, m, low, high, 64 // x.itemsize)
        if first > before:
            above[0], above[1] = older[first], old[first]
        four_banded(x[0], y[0], old, older, first, m - 1 - d + first, cells, above, inside)
        above[:4] = np.inf
        before = first
        d += 4
    return old[n]


Inside = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@kernel
def rows_of(
    d: int, n: int, m: int, low: Ints, high: Ints, lanes: int
) -> tuple[int, int, Inside]:
    """First row and number of rows of a pass; of each diagonal its first and how many more."""
    first, last = n, 0
    for k in range(max(d, 0), min(d + 4, n + m - 1)):
        if low[k] <= high[k]:
            first, last = min(first, low[k]), max(last, high[k])
    first = min(first, n - 1) // lanes * lanes
    cells = (max(last - first, 0) + lanes) // lanes * lanes
    a, b = _inside(d, first, n, m, low, high), _inside(d + 1, first, n, m, low, high)
    c, e = _inside(d + 2, first, n, m, low, high), _inside(d + 3, first, n, m, low, high)
    return first, cells, (a, b, c, e)


@kernel
def _inside(d: int, first: int, n: int, m: int, low: Ints, high: Ints) -> tuple[int, int]:
    if d < 0 or d > n + m - 2 or low[d] > high[d]:
        return 2**31, 0  # no row
    return low[d] - first, high[d] - low[d]


@fused_kernel
def four_banded(
    x: Floats, y: Floats, old: Floats, older: Floats, i0: int, j0: int, cells: int,
    above: Floats, inside: Inside,
) -> None:  # fmt: skip
    """The same, infinite where a row is not inside its diagonal's."""
    i, j, one = np.uint64(i0), np.uint64(j0 + FRONT), np.uint64(1)
    ii, two, three = np.uint64(i0 + FRONT), np.uint64(2), np.uint64(3)
    oo_, o_, a_, b_, far = above[0], above[1], above[2], above[3], above[4]
    c_ = far
    # a row before the first becomes a very large number: one comparison for both ends
    r0, n0 = np.uint32(inside[0][0]), np.uint32(inside[0][1])
    r1, n1 = np.uint32(inside[1][0]), np.uint32(inside[1][1])
    r2, n2 = np.uint32(inside[2][0]), np.uint32(inside[2][1])
    r3, n3 = np.uint32(inside[3][0]), np.uint32(inside[3][1])
    for k in range(np.uint64(cells)):
        r = np.uint32(k)
        s = x[ii + k]
        o, oo = old[i + k + one], older[i + k + one]
        e, f = s - y[j + k], s - y[j + k - one]
        g, h = s - y[j + k - two], s - y[j + k - three]
        a = e * e + least(o, o_, oo_)
        a = a if np.uint32(r - r0) <= n0 else far
        b = f * f + least(a, a_, o_)
        b = b if np.uint32(r - r1) <= n1 else far
        c = g * g + least(b, b_, a_)
        c = c if np.uint32(r - r2) <= n2 else far
        last = h * h + least(c, c_, b_)
        old[i + k + one] = last if np.uint32(r - r3) <= n3 else far
        older[i + k + one] = c
        o_, oo_, a_, b_, c_ = o, oo, a, b, c


@kernel
def _squares_pair(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for several features, ``(f, t)``."""
    old, older, above, costs = buffers[0], buffers[1], buffers[2], buffers[3:]
    d, before = begin(n, m, buffers), 0
    while d < n + m - 1:
        first, cells, inside = rows_of(d, n, m, low, high, 64 // x.itemsize)
        if first > before:
            above[0], above[1] = older[first], old[first]
        four_squares(x, y, first, m - 1 - d + first, cells, costs)
        four_costs(costs, old, older, first, cells, above, inside)
        above[:4] = np.inf
        before = first
        d += 4
    return old[n]


@fused_kernel
def four_squares(x: Floats, y: Floats, i0: int, j0: int, cells: int, costs: Floats) -> None:
    """Squared distances of the points on four diagonals, two features at a time."""
    i, j, one = np.uint64(i0 + FRONT), np.uint64(j0 + FRONT), np.uint64(1)
    two, three = np.uint64(2), np.uint64(3)
    p, q, r, s = costs[0], costs[1], costs[2], costs[3]
    for f in range(0, x.shape[0] - 1, 2):
        u, v, w, z = x[f], x[f + 1], y[f], y[f + 1]
        for k in range(np.uint64(cells)):
            a, b = u[i + k], v[i + k]
            e, g = a - w[j + k], b - z[j + k]
            sum0 = e * e + g * g
            e, g = a - w[j + k - one], b - z[j + k - one]
            sum1 = e * e + g * g
            e, g = a - w[j + k - two], b - z[j + k - two]
            sum2 = e * e + g * g
            e, g = a - w[j + k - three], b - z[j + k - three]
            sum3 = e * e + g * g
            if f:
                p[k], q[k] = p[k] + sum0, q[k] + sum1
                r[k], s[k] = r[k] + sum2, s[k] + sum3
            else:
                p[k], q[k], r[k], s[k] = sum0, sum1, sum2, sum3
    if x.shape[0] % 2:
        u, w = x[x.shape[0] - 1], y[x.shape[0] - 1]
        for k in range(np.uint64(cells)):
            a = u[i + k]
            e, g = a - w[j + k], a - w[j + k - one]
            sum0, sum1 = e * e, g * g
            e, g = a - w[j + k - two], a - w[j + k - three]
            sum2, sum3 = e * e, g * g
            if x.shape[0] > 1:
                p[k], q[k] = p[k] + sum0, q[k] + sum1
                r[k], s[k] = r[k] + sum2, s[k] + sum3
            else:
                p[k], q[k], r[k], s[k] = sum0, sum1, sum2, sum3


@kernel
def four_costs(
    costs: Floats,
    old: Floats,
    older: Floats,
    i0: int,
    cells: int,
    above: Floats,
    inside: Inside,
) -> None:
    """The same of costs that are there, one row of ``costs`` for each diagonal."""
    i, one = np.uint64(i0), np.uint64(1)
    oo_, o_, a_, b_, far = above[0], above[1], above[2], above[3], above[4]
    c_ = far
    r0, n0 = np.uint32(inside[0][0]), np.uint32(inside[0][1])
    r1, n1 = np.uint32(inside[1][0]), np.uint32(inside[1][1])
    r2, n2 = np.uint32(inside[2][0]), np.uint32(inside[2][1])
    r3, n3 = np.uint32(inside[3][0]), np.uint32(inside[3][1])
    for k in range(np.uint64(cells)):
        r = np.uint32(k)
        o, oo = old[i + k + one], older[i + k + one]
        a = costs[0, k] + least(o, o_, oo_)
        a = a if np.uint32(r - r0) <= n0 else far
        b = costs[1, k] + least(a, a_, o_)
        b = b if np.uint32(r - r1) <= n1 else far
        c = costs[2, k] + least(b, b_, a_)
        c = c if np.uint32(r - r2) <= n2 else far
        last = costs[3, k] + least(c, c_, b_)
        old[i + k + one] = last if np.uint32(r - r3) <= n3 else far
        older[i + k + one] = c
        o_, oo_, a_, b_, c_ = o, oo, a, b, c


@kernel
def _points_pair(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for any point metric, a diagonal at a time."""
    now, old, older = start(buffers)
    cost = buffers[3]
    for d in range(n + m - 1):
        first, last = low[d], high[d]
        for k in range(last - first + 1):
            i, j = FRONT + first + k, FRONT + m - 1 - d + first + k
            cost[k] = point_metrics.distance(x, y, i, j, code, p)
        for k in range(last - first + 1):
            i = first + k
            now[i + 1] = cost[k] + least(old[i], old[i + 1], older[i])
        now[first] = now[last + 2] = np.inf
        now, old, older = older, now, old
    return old[n]


@kernel
def start(buffers: Floats) -> tuple[Floats, Floats, Floats]:
    """Three diagonals before the first: nowhere but before the first cell."""
    buffers[:] = np.inf
    buffers[2, 0] = 0
    return buffers[0], buffers[1], buffers[2]


@kernel
def squares(x: Floats, y: Floats, i0: int, j0: int, cells: int, cost: Floats) -> None:
    """Squared distances of the points on one diagonal."""
    i, j = np.uint64(i0 + FRONT), np.uint64(j0 + FRONT)
    for k in range(np.uint64(cells)):
        cost[k] = 0
    for f in range(x.shape[0]):
        u, v = x[f], y[f]
        for k in range(np.uint64(cells)):
            e = u[i + k] - v[j + k]
            cost[k] += e * e
