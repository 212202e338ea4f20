"""One sweep over the table of accumulated costs, four anti-diagonals at a time.

A cell of the table ``D`` costs the distance of its two points, plus the cheapest of the three
cells that a path may come from::

    D[i, j] = cost(x[i], y[j]) + min(D[i - 1, j - 1], D[i - 1, j], D[i, j - 1])

All cells with the same ``d = i + j`` form an anti-diagonal. They depend on the two diagonals
before theirs, and never on each other, so the compiler works on many rows at once. Only two
diagonals are kept: ``last`` (``d - 1``) and ``older`` (``d - 2``). One pass goes down the rows
and fills four diagonals. In row ``i`` it sees a strip of the table, which moves one column to
the left with every row::

    column      j-1     j      j+1    j+2    j+3
    row i-1     up0     up1    up2    up3    up4      of the row before, still in registers
    row i       left    cell0  cell1  cell2  cell3
    diagonal    d-1     d      d+1    d+2    d+3      of row i

    cell0 = cost0 + min(up0, up1, left)     up0, up1, left: diagonals d-2, d-1, d-1
    cell1 = cost1 + min(up1, up2, cell0)
    cell2 = cost2 + min(up2, up3, cell1)    kept as ``older`` for the next pass
    cell3 = cost3 + min(up3, up4, cell2)    kept as ``last`` for the next pass

Why four: with one diagonal a pass, every cell is read from memory and written back, and memory
is slower than the arithmetic.

Why padding: a pass begins and ends at a multiple of the rows of a vector. A few cells too many
cost less than a scalar loop for the remainder, or than reading across two vectors that were
written just before (a store-forwarding stall). Infinity lies around each series, so cells
outside of the table are infinite and no path takes them.

The shorter series is always the rows. One series is stored forwards and the other backwards,
so that both are read with rising index. Which one is turned does not matter: a table that is
read backwards has the same paths.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import fused_kernel, inlined_kernel, kernel
from fhemb_xr.typing import Floats, Ints

PAD = 16
"""Rows that a vector of 64 bytes has at most."""
FRONT, BACK = PAD + 8, 2 * PAD + 8
"""Infinite samples before and after each series."""

Inside = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
"""For each diagonal of a pass: its first row, counted from the pass, and how many follow."""


@inlined_kernel
def sweep(
    rows: Any, step: Any, x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints,
    buffers: Floats, limit: Any,
) -> Any:  # fmt: skip
    """Cost of the best path, from all passes; infinity where it must exceed ``limit``.

    ``rows`` gives the rows of a pass (:func:`all_rows`, :func:`banded_rows`), ``step`` works
    out its cells (:func:`univariate`, :func:`multivariate`). Both are inlined, so each pair of
    them is a loop of its own. ``limit`` is None to go to the end in any case.
    """
    last, older, above, costs = buffers[0], buffers[1], buffers[2], buffers[3:]
    d, before, passes, cheap = begin(n, m, buffers), 0, 0, 0
    while d < n + m - 1:
        first, count, inside = rows(d, n, m, low, high, 64 // x.itemsize)
        if first > before:  # the row above the pass was worked out by the pass before
            above[0], above[1] = older[first], last[first]
        step(x, y, last, older, first, m - 1 - d + first, count, above, inside, costs)
        above[:4] = np.inf
        before = first
        d, passes = d + 4, passes + 1
        # a path skips no two neighbouring diagonals, so one of the last two bounds all paths
        if limit is not None and passes % 4 == 0:
            cheap = _below(last, older, first + 1, first + count + 1, cheap, limit)
            if cheap < 0:
                return np.inf
    return last[n]


@kernel
def begin(n: int, m: int, buffers: Floats) -> int:
    """First diagonal of the first pass, so that the last pass ends with the last diagonal.

    It is 0 to -3. All cells are infinite but one 0 before the first cell of the table; it lies
    in the row above the pass, whose diagonals d-2 to d+1 are ``above[:4]``.
    """
    d = -(-(n + m - 1) % 4)
    buffers[:3] = np.inf
    buffers[2, -d] = 0
    return d


@kernel
def all_rows(d: int, n: int, m: int, low: Ints, high: Ints, lanes: int) -> Any:
    """First row and number of rows of a pass over the whole table."""
    first = max(0, d - m + 1) // lanes * lanes
    count = (min(n - 1, d + 3) - first + lanes) // lanes * lanes
    return first, count, None


@kernel
def banded_rows(
    d: int, n: int, m: int, low: Ints, high: Ints, lanes: int
) -> tuple[int, int, Inside]:
    """First row and number of rows of a pass inside a band, and the rows of each diagonal."""
    first, last = n, 0
    for k in range(max(d, 0), min(d + 4, n + m - 1)):
        if low[k] <= high[k]:
            first, last = min(first, low[k]), max(last, high[k])
    first = min(first, n - 1) // lanes * lanes
    count = (max(last - first, 0) + lanes) // lanes * lanes
    inside = (
        _inside(d, first, n, m, low, high),
        _inside(d + 1, first, n, m, low, high),
        _inside(d + 2, first, n, m, low, high),
        _inside(d + 3, first, n, m, low, high),
    )
    return first, count, inside


@kernel
def _inside(d: int, first: int, n: int, m: int, low: Ints, high: Ints) -> tuple[int, int]:
    if d < 0 or d > n + m - 2 or low[d] > high[d]:
        return 2**31, 0  # no row
    return low[d] - first, high[d] - low[d]


@kernel
def _below(last: Floats, older: Floats, first: int, end: int, at: int, limit: float) -> int:
    """A row of the last two diagonals with at most ``limit``, near ``at``; -1 if none."""
    if first <= at < end and min(last[at], older[at]) <= limit:
        return at
    for i in range(first, end):
        if last[i] <= limit or older[i] <= limit:
            return i
    return -1


@kernel
def least(a: float, b: float, c: float) -> Any:
    """The smallest of three, as one vector instruction each."""
    best = a if a < b else b
    return best if best < c else c


@inlined_kernel
def _cells(costs: Any, left: Any, up: Any, inside: Any, row: Any, far: Any) -> Any:
    """Four cells of a row, infinite where ``inside`` leaves them out (see the drawing)."""
    cell0 = _kept(costs[0] + least(left, up[1], up[0]), inside, 0, row, far)
    cell1 = _kept(costs[1] + least(cell0, up[2], up[1]), inside, 1, row, far)
    cell2 = _kept(costs[2] + least(cell1, up[3], up[2]), inside, 2, row, far)
    cell3 = _kept(costs[3] + least(cell2, up[4], up[3]), inside, 3, row, far)
    return cell0, cell1, cell2, cell3


@inlined_kernel
def _kept(cell: Any, inside: Any, k: int, row: Any, far: Any) -> Any:
    if inside is None:  # decided when the kernel is compiled
        return cell
    # unsigned: a row before the first becomes a very large number, one comparison does for both
    first, more = np.uint32(inside[k][0]), np.uint32(inside[k][1])
    return cell if np.uint32(row - first) <= more else far


@fused_kernel
def univariate(
    x: Floats, y: Floats, last: Floats, older: Floats, i0: int, j0: int, count: int,
    above: Floats, inside: Any, costs: Floats,
) -> None:  # fmt: skip
    """One pass of squared differences from row ``i0`` on; index 0 of a diagonal is row -1."""
    # unsigned, or numba asks of every index whether it counts from the end
    i, j, one = np.uint64(i0), np.uint64(j0 + FRONT), np.uint64(1)
    ii, two, three = np.uint64(i0 + FRONT), np.uint64(2), np.uint64(3)
    u, v = x[0], y[0]
    up, far = (above[0], above[1], above[2], above[3], above[4]), above[4]
    for k in range(np.uint64(count)):
        s = u[ii + k]
        left, up0 = last[i + k + one], older[i + k + one]
        e, f = s - v[j + k], s - v[j + k - one]
        g, h = s - v[j + k - two], s - v[j + k - three]
        cells = _cells((e * e, f * f, g * g, h * h), left, up, inside, np.uint32(k), far)
        last[i + k + one] = cells[3]
        older[i + k + one] = cells[2]
        up = (up0, left, cells[0], cells[1], cells[2])


@kernel
def multivariate(
    x: Floats, y: Floats, last: Floats, older: Floats, i0: int, j0: int, count: int,
    above: Floats, inside: Any, costs: Floats,
) -> None:  # fmt: skip
    """The same for points of several features, ``(f, t)``."""
    _four_squares(x, y, i0, j0, count, costs)
    i, one = np.uint64(i0), np.uint64(1)
    up, far = (above[0], above[1], above[2], above[3], above[4]), above[4]
    for k in range(np.uint64(count)):
        left, up0 = last[i + k + one], older[i + k + one]
        four = costs[0, k], costs[1, k], costs[2, k], costs[3, k]
        cells = _cells(four, left, up, inside, np.uint32(k), far)
        last[i + k + one] = cells[3]
        older[i + k + one] = cells[2]
        up = (up0, left, cells[0], cells[1], cells[2])


@fused_kernel
def _four_squares(x: Floats, y: Floats, i0: int, j0: int, count: int, costs: Floats) -> None:
    """Squared distances of the points on four diagonals, two features at a time."""
    i, j, one = np.uint64(i0 + FRONT), np.uint64(j0 + FRONT), np.uint64(1)
    two, three = np.uint64(2), np.uint64(3)
    p, q, r, s = costs[0], costs[1], costs[2], costs[3]
    for f in range(0, x.shape[0] - 1, 2):
        u, v, w, z = x[f], x[f + 1], y[f], y[f + 1]
        for k in range(np.uint64(count)):
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
        for k in range(np.uint64(count)):
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


@inlined_kernel
def single_sweep(
    point_costs: Any, smallest: Any, x: Floats, y: Floats, n: int, m: int, low: Ints,
    high: Ints, buffers: Floats, option: Any,
) -> Any:  # fmt: skip
    """Cost of the best path, a diagonal at a time: for costs that take longer than memory.

    ``point_costs(x, y, i, j, count, costs, option)`` fills the costs of a diagonal from
    ``x[:, i]`` and ``y[:, j]`` on; ``smallest(up, left, across, option)`` chooses among the
    three cells before.
    """
    buffers[:] = np.inf
    buffers[2, 0] = 0  # nothing is reached but the place before the first cell
    now, last, older, costs = buffers[0], buffers[1], buffers[2], buffers[3]
    for d in range(n + m - 1):
        first, count = low[d], max(0, high[d] - low[d] + 1)
        point_costs(x, y, FRONT + first, FRONT + m - 1 - d + first, count, costs, option)
        for k in range(count):
            i = first + k
            now[i + 1] = costs[k] + smallest(last[i], last[i + 1], older[i], option)
        now[first] = now[high[d] + 2] = np.inf
        now, last, older = older, now, last
    return last[n]
