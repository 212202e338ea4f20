"""Warping paths, and warping near the path of a coarser pair (fastdtw).

Both allow a range of columns in each row, and the table of accumulated costs has only these
cells. Costs are squared differences, summed along the path (the recurrence is drawn in
:mod:`fhemb_xr.kernels.dtw.sweep`). Here the whole table is kept, to go back along the path.

References
----------
- Salvador & Chan (2007), Intell. Data Anal. 11, 561-580, doi:10.3233/IDA-2007-11508.
"""

from collections.abc import Iterator

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import constraints
from fhemb_xr.typing import F64, Floats, Ints


def distances(
    a: F64, b: F64, lengths_a: Ints, lengths_b: Ints, *, upper: bool = False, radius: int = 1
) -> F64:
    """Fast warping distances of all pairs: ``(k, f, t), (l, f, t) -> (k, l)``.

    A distance is never below the exact one. Peak memory: twice the series of a pair, plus
    ``8 (4 radius + 5)`` bytes per sample.
    """
    out = np.full((len(a), len(b)), np.nan)
    halves = [[_pyramid(s[:, :n], radius) for s, n in zip(x, m, strict=True)]
              for x, m in ((a, lengths_a), (b, lengths_b))]  # fmt: skip
    for i in range(len(a)):
        for j in range(i if upper else 0, len(b)):
            if lengths_a[i] and lengths_b[j]:
                out[i, j] = np.sqrt(_fast(halves[0][i], halves[1][j], radius))
    return out


def _pyramid(x: F64, radius: int) -> list[F64]:
    """The series, then its means over 2, 4, 8, … samples."""
    levels = [np.ascontiguousarray(x)]
    while levels[-1].shape[1] > radius + 2:
        last = levels[-1]
        n = last.shape[1] // 2
        levels.append((last[:, : 2 * n : 2] + last[:, 1 : 2 * n : 2]) / 2)
    return levels


def _fast(xs: list[F64], ys: list[F64], radius: int) -> float:
    """Cost along the path, refined from the coarsest level to the series themselves."""
    depth = min(len(xs), len(ys)) - 1
    x, y = xs[depth], ys[depth]
    low, high = np.zeros(x.shape[1], np.int64), np.full(x.shape[1], y.shape[1] - 1)
    total, steps = _best(x, y, low, high)
    for x, y in zip(xs[:depth][::-1], ys[:depth][::-1], strict=True):
        low, high = _around(steps, radius, x.shape[1], y.shape[1])
        total, steps = _best(x, y, low, high)
    return total


@kernel
def _around(path: Ints, radius: int, n: int, m: int) -> tuple[Ints, Ints]:
    """Columns of each row of the finer table whose coarse cell is near the path."""
    low, high = np.full(n, m - 1), np.zeros(n, np.int64)
    for step in range(path.shape[0]):
        i, j = path[step]
        for row in range(max(0, 2 * (i - radius)), min(n, 2 * (i + radius) + 2)):
            low[row] = min(low[row], max(0, 2 * (j - radius)))
            high[row] = max(high[row], min(m - 1, 2 * (j + radius) + 1))
    if n % 2 and n > 1 and low[n - 1] > high[n - 1]:  # an odd last sample has no coarse cell
        low[n - 1], high[n - 1] = low[n - 2], high[n - 2]
    low[0], high[n - 1] = 0, m - 1
    for row in range(1, n):
        high[row] = max(high[row], high[row - 1])
        low[row] = min(low[row], high[row - 1])
    for row in range(n - 2, -1, -1):
        low[row] = min(low[row], low[row + 1])
    return low, high


@kernel
def _best(x: Floats, y: Floats, low: Ints, high: Ints) -> tuple[float, Ints]:
    """Cost of the best path in the ranges, and the path: ``(f, n), (f, m) -> (), (s, 2)``."""
    n = x.shape[1]
    start = np.zeros(n + 1, np.int64)
    for i in range(n):
        start[i + 1] = start[i] + high[i] - low[i] + 1
    cost = np.full(start[n], np.inf)
    for i in range(n):
        for j in range(low[i], high[i] + 1):
            e = 0.0
            for f in range(x.shape[0]):
                e += (x[f, i] - y[f, j]) ** 2
            best = min(
                _at(cost, start, low, high, i - 1, j - 1),
                _at(cost, start, low, high, i - 1, j),
                _at(cost, start, low, high, i, j - 1),
            )
            cost[start[i] + j - low[i]] = e if i == 0 and j == 0 else e + best
    return cost[start[n] - 1], _traced(cost, start, low, high)


@kernel
def _traced(cost: F64, start: Ints, low: Ints, high: Ints) -> Ints:
    """The path from the last cell back to the first, in the order of time: ``-> (s, 2)``."""
    n, m = low.size, high[low.size - 1] + 1
    steps = np.empty((n + m - 1, 2), np.int64)
    i, j, k = n - 1, m - 1, n + m - 1
    while True:
        k -= 1
        steps[k, 0], steps[k, 1] = i, j
        if i == 0 and j == 0:
            break
        across = _at(cost, start, low, high, i - 1, j - 1)
        above = _at(cost, start, low, high, i - 1, j)
        left = _at(cost, start, low, high, i, j - 1)
        if across <= above and across <= left:
            i, j = i - 1, j - 1
        elif above <= left:
            i -= 1
        else:
            j -= 1
    return steps[k:]


@kernel
def _at(cost: F64, start: Ints, low: Ints, high: Ints, i: int, j: int) -> float:
    """Cost of a cell; infinity outside of the ranges."""
    if i < 0 or j < low[i] or j > high[i]:
        return np.inf
    return float(cost[start[i] + j - low[i]])


def path(
    a: Floats, b: Floats, *, window: float | None = None, itakura: float | None = None,
    cells: int = 2**22,
) -> Ints:  # fmt: skip
    """Best path of two series, in samples: ``(f, n), (f, m) -> (s, 2)``; empty if none.

    A table of more than ``cells`` cells is cut at its middle row: the path crosses it where
    the sum of forward and backward costs is least. Each half is a smaller table (Hirschberg
    1975, Commun. ACM 18, 341-343, doi:10.1145/360825.360861). This doubles the work, but the
    memory no longer grows with ``n m``. Peak memory: ``8 cells + 10 bytes(a, b)``.
    """
    swap = a.shape[1] > b.shape[1]
    x, y = (np.ascontiguousarray(s) for s in ((b, a) if swap else (a, b)))
    n, m = x.shape[1], y.shape[1]
    rows, edges = np.empty((2, n + m), np.int64), np.empty((2, n), np.int64)
    if not n or not constraints.band(n, m, constraints.constraint_of(window, itakura), *rows):
        return np.empty((0, 2), np.int64)
    constraints.columns(n, m, *rows, *edges)
    steps = np.concatenate(list(_parts(x, y, edges, (0, 0, n - 1, m - 1), cells)))
    return np.asarray(steps[:, ::-1] if swap else steps)


def _parts(
    x: Floats, y: Floats, edges: Ints, corners: tuple[int, ...], cells: int
) -> Iterator[Ints]:
    """The path between two corners (both included), piece by piece."""
    i0, j0, i1, j1 = corners
    low = np.clip(edges[0, i0 : i1 + 1], j0, j1)
    high = np.clip(edges[1, i0 : i1 + 1], j0, j1)
    left, top = x[:, i0 : i1 + 1], y[:, j0 : j1 + 1]
    if i0 == i1 or (high - low + 1).sum() <= cells:
        steps = _best(left, top, low - j0, high - j0)[1]
        yield steps + np.array([i0, j0], dtype=np.int64)
        return
    k = (i1 - i0) // 2  # last row of the upper half
    above = _last_row(left[:, : k + 1], top, low[: k + 1] - j0, high[: k + 1] - j0)
    below = _last_row(
        left[:, :k:-1], top[:, ::-1], (j1 - high[k + 1 :])[::-1], (j1 - low[k + 1 :])[::-1]
    )[::-1]
    straight, across = above + below, above[:-1] + below[1:]
    j, step = int(np.argmin(straight)), 0
    if across.size and across.min() <= straight[j]:
        j, step = int(np.argmin(across)), 1
    yield from _parts(x, y, edges, (i0, j0, i0 + k, j0 + j), cells)
    yield from _parts(x, y, edges, (i0 + k + 1, j0 + j + step, i1, j1), cells)


@kernel
def _last_row(x: Floats, y: Floats, low: Ints, high: Ints) -> F64:
    """Costs of the last row from the first cell on: ``(f, n), (f, m) -> (m)``."""
    m = y.shape[1]
    old, now = np.full(m + 1, np.inf), np.full(m + 1, np.inf)
    for i in range(x.shape[1]):
        now[:] = np.inf
        for j in range(low[i], high[i] + 1):
            e = 0.0
            for f in range(x.shape[0]):
                e += (x[f, i] - y[f, j]) ** 2
            best = min(old[j], old[j + 1], now[j])
            now[j + 1] = e if i == 0 and j == 0 else e + best
        old, now = now, old
    return old[1:]
