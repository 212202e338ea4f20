"""Dynamic time warping of blocks of series, in memory of the shorter series.

The table of accumulated costs is swept along its anti-diagonals: the cells of one need only
the two before it, none of its own, so the compiler works on many at once. Three diagonals are
held. A diagonal is rounded up to a multiple of :data:`PAD` cells: what is computed too much
costs less than a remainder would, and is never read.

The shorter series is always the rows: a table read backwards has the same paths, so one
series is held forwards, the other backwards, whichever is the shorter.

References
----------
Sakoe & Chiba (1978), IEEE Trans. ASSP 26, 43-49, doi:10.1109/TASSP.1978.1163055.
Itakura (1975), IEEE Trans. ASSP 23, 67-72, doi:10.1109/TASSP.1975.1162641.
Cuturi & Blondel (2017), ICML, PMLR 70, 894-903 (soft-DTW).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels import _points
from fhemb_xr.kernels._jit import kernel

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

PAD = 32
"""Cells that a diagonal is rounded up to: two vectors of 64 bytes of float32."""


def padded(x: Floats, lengths: Ints, *, backwards: bool) -> Floats:
    """Series that the kernels can overrun: ``(k, f, t) -> (k, f, t + PAD)``."""
    out = np.zeros((*x.shape[:-1], x.shape[-1] + PAD), dtype=x.dtype)
    for row, series, n in zip(out, x, lengths, strict=True):
        row[:, :n] = series[:, n - 1 :: -1] if backwards and n else series[:, :n]
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

    Peak memory: twice the series, and 3 samples per sample of the longest.
    """
    code = _points.CODES[local]
    pair: Any = _points_pair if code > 1 else _squares_pair if a.shape[1] > 1 else _univariate
    out = table(pair, a, b, lengths_a, lengths_b, upper, (window, itakura), code, p)
    return np.sqrt(out) if local == "euclidean" else out


def table(
    pair: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    upper: bool,
    limits: tuple[float | None, float | None],
    code: int = 0,
    p: float = 1.0,
) -> Floats:
    """A kernel of two series for all pairs of two blocks; it is compiled for ``pair`` alone."""
    out = np.full((len(a), len(b)), np.nan, dtype=a.dtype)
    x = padded(a, lengths_a, backwards=False)
    y = padded(b, lengths_b, backwards=True)
    _block(pair, x, y, lengths_a, lengths_b, upper, constraint_of(*limits), code, p, out)
    return out


def constraint_of(window: float | None, itakura: float | None) -> tuple[float, bool, float]:
    """Half-width, whether it is a fraction, and slope, as :func:`band` takes them."""
    share = isinstance(window, float)
    return -1.0 if window is None else float(window), share, float(itakura or 0)


@kernel
def _block(
    pair: Any,
    a: Floats,
    b: Floats,
    lengths_a: Ints,
    lengths_b: Ints,
    upper: bool,
    constraint: tuple[float, bool, float],
    code: int,
    p: float,
    out: Floats,
) -> None:
    size = a.shape[2] + PAD + 2
    buffers = np.empty((4, size), dtype=a.dtype)
    low, high = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    old_n = old_m = 0
    joined = False
    for i in range(a.shape[0]):
        for j in range(i if upper else 0, b.shape[0]):
            n, m = lengths_a[i], lengths_b[j]
            rows, columns = (a[i], b[j]) if n <= m else (b[j], a[i])
            n, m = min(n, m), max(n, m)
            if n > 0 and (n != old_n or m != old_m):  # most often all are of one length
                joined = band(n, m, constraint, low, high)
                old_n, old_m = n, m
            if n > 0 and joined:
                out[i, j] = pair(rows, columns, n, m, low, high, code, p, buffers)


@kernel
def band(n: int, m: int, constraint: tuple[float, bool, float], low: Ints, high: Ints) -> bool:
    """First and last row of every diagonal, ``n <= m``; whether a path remains.

    Sakoe-Chiba: a shorter series may also stay behind by the difference in length, as in
    tslearn. Itakura: the parallelogram of tslearn, with its rounding to two decimals.
    """
    window, share, slope = constraint
    radius = int(np.floor(window * m + 1e-9)) if share else int(window)
    for d in range(n + m - 1):
        low[d], high[d] = max(0, d - m + 1), min(n - 1, d)
        if window >= 0:
            low[d] = max(low[d], -((m - n + radius - d) // 2))
            high[d] = min(high[d], (d + radius) // 2)
    if slope > 0:
        for d in range(n + m - 1):
            i = low[d] if d == 0 else max(low[d], low[d - 1])
            while i <= high[d] and i < _itakura(n, m, slope, d - i)[0]:
                i += 1
            low[d] = i
            while i <= high[d] and i <= _itakura(n, m, slope, d - i)[1]:
                i += 1
            high[d] = i - 1
        if low[0] > high[0]:
            return False
        for d in range(1, n + m - 1):
            if low[d] > high[d] and low[d - 1] > high[d - 1]:
                return False  # two diagonals without a cell: no step crosses them
    return bool(high[n + m - 2] == n - 1)


@kernel
def _itakura(n: int, m: int, slope: float, j: int) -> tuple[int, int]:
    """First and last row that are allowed in column ``j``."""
    steep, gentle = slope * n / m, n / (slope * m)
    low = max(np.round(gentle * j, 2), np.round(n - 1 - steep * (m - 1) + steep * j, 2))
    high = min(np.round(steep * j, 2), np.round(n - 1 - gentle * (m - 1) + gentle * j, 2))
    return int(np.ceil(low)), int(np.floor(high))


@kernel
def _univariate(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """Summed squares along the best path; ``y`` backwards. Index 0 of a diagonal is row -1."""
    now, old, older = start(buffers)
    x0, y0 = x[0], y[0]
    for d in range(n + m - 1):
        first, last = low[d], high[d]
        cells = (last - first + PAD) // PAD * PAD
        _squares_step(x0, y0, old, older, now, first, m - 1 - d + first, cells)
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
def _squares_step(
    x: Floats, y: Floats, old: Floats, older: Floats, now: Floats, i0: int, j0: int, cells: int
) -> None:
    # unsigned, or numba asks of every index whether it counts from the end
    i, j, one = np.uint64(i0), np.uint64(j0), np.uint64(1)
    for k in range(np.uint64(cells)):
        e = x[i + k] - y[j + k]
        above, left, across = old[i + k], old[i + k + one], older[i + k]
        best = above if above < left else left
        best = best if best < across else across
        now[i + k + one] = e * e + best


@kernel
def _squares_pair(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for several features, ``(f, t)``."""
    now, old, older = start(buffers)
    cost = buffers[3]
    for d in range(n + m - 1):
        first, last = low[d], high[d]
        cells = (last - first + PAD) // PAD * PAD
        squares(x, y, first, m - 1 - d + first, cells, cost)
        _step(cost, old, older, now, first, cells)
        now[first] = now[last + 2] = np.inf
        now, old, older = older, now, old
    return old[n]


@kernel
def _points_pair(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, p: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    """The same for any point metric."""
    now, old, older = start(buffers)
    cost = buffers[3]
    for d in range(n + m - 1):
        first, last = low[d], high[d]
        for k in range(last - first + 1):
            cost[k] = _points.distance(x, y, first + k, m - 1 - d + first + k, code, p)
        _step(cost, old, older, now, first, (last - first + PAD) // PAD * PAD)
        now[first] = now[last + 2] = np.inf
        now, old, older = older, now, old
    return old[n]


@kernel
def squares(x: Floats, y: Floats, i0: int, j0: int, cells: int, cost: Floats) -> None:
    """Squared distances of the points on one diagonal, two features at a time."""
    i, j = np.uint64(i0), np.uint64(j0)
    n_features = x.shape[0]
    for k in range(np.uint64(cells)):
        cost[k] = 0
    for f in range(0, n_features - 1, 2):
        g, h = np.uint64(f), np.uint64(f + 1)
        for k in range(np.uint64(cells)):
            e, o = x[g, i + k] - y[g, j + k], x[h, i + k] - y[h, j + k]
            cost[k] += e * e + o * o
    if n_features % 2:
        g = np.uint64(n_features - 1)
        for k in range(np.uint64(cells)):
            e = x[g, i + k] - y[g, j + k]
            cost[k] += e * e


@kernel
def _step(cost: Floats, old: Floats, older: Floats, now: Floats, i0: int, cells: int) -> None:
    i, one = np.uint64(i0), np.uint64(1)
    for k in range(np.uint64(cells)):
        above, left, across = old[i + k], old[i + k + one], older[i + k]
        best = above if above < left else left
        best = best if best < across else across
        now[i + k + one] = cost[k] + best
