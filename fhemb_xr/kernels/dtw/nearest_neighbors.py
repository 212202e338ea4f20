"""Nearest series by warping, most of them ruled out by a bound that is cheap.

Candidates are tried in the order of a lower bound of their distance: the first and last points
of both (Kim), and what each series is outside of the envelope of the other (Keogh). When the
bound of the next exceeds the distance of the k-th found, all others do. The table of a
candidate that is tried is given up as soon as no cell of it can lead to less.

References
----------
Kim, Park & Chu (2001), ICDE, 607-614, doi:10.1109/ICDE.2001.914875.
Keogh & Ratanamahatana (2005), Knowl. Inf. Syst. 7, 358-386, doi:10.1007/s10115-004-0154-9.
Rakthanmanon et al. (2012), KDD, 262-270, doi:10.1145/2339530.2339576.
"""

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import distances
from fhemb_xr.kernels.dtw.constraints import band, constraint_of, half_width
from fhemb_xr.typing import F64, Floats, Ints

_SLACK = 1 - 1e-9
"""Bounds are lowered by their rounding, so that they rule out nobody wrongly."""


def nearest(
    queries: Floats, x: Floats, lengths_q: Ints, lengths_x: Ints, k: int, window: float | None
) -> tuple[F64, Ints, int]:
    """Distances and positions of the nearest: ``(q, f, t), (n, f, t) -> (q, k), (q, k), ()``.

    Rooted summed squares. Of equals the first counts; where there are fewer than ``k`` the rest
    is infinity and -1. Last, how many tables were begun. Peak memory: five times the series.
    """
    found, where = np.full((len(queries), k), np.inf), np.full((len(queries), k), -1)
    backwards = distances.padded(x, lengths_x, backwards=True)
    forwards = distances.padded(queries, lengths_q, backwards=False)
    m = int(max(lengths_x.max(initial=0), lengths_q.max(initial=0)))
    r = half_width(*constraint_of(window, None)[:2], m) if window is not None else m
    around = envelopes(x, lengths_x, r)
    begun = 0
    for i in range(len(queries)):
        if not lengths_q[i]:
            continue
        one, n = queries[i : i + 1], lengths_q[i : i + 1]
        bounds = _bounds(one[0], int(n[0]), x, lengths_x, envelopes(one, n, r)[0], around)
        order = np.argsort(bounds, kind="stable")
        begun += _tried(
            forwards[i], backwards, int(lengths_q[i]), lengths_x, order, bounds,
            constraint_of(window, None), found[i], where[i],
        )  # fmt: skip
    return np.sqrt(found), where, begun


def envelopes(x: Floats, lengths: Ints, radius: int) -> F64:
    """Lowest and highest within ``radius``: ``(k, f, t) -> (k, 2, f, t)``, NaN past the end."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    out = np.full((len(x), 2, *x.shape[1:]), np.nan)
    for i, n in enumerate(lengths):
        if n:
            size = 2 * min(radius, int(n)) + 1
            out[i, 0, :, :n] = minimum_filter1d(x[i, :, :n], size, mode="nearest")
            out[i, 1, :, :n] = maximum_filter1d(x[i, :, :n], size, mode="nearest")
    return out


@kernel
def _bounds(q: Floats, n: int, x: Floats, lengths: Ints, own: F64, around: F64) -> F64:
    """Lower bounds of the squared distances from one query, infinity of series without data."""
    out = np.full(len(x), np.inf)
    for c in range(len(x)):
        m = lengths[c]
        if m == 0:
            continue
        ends = 0.0
        for f in range(q.shape[0]):
            ends += (q[f, 0] - x[c, f, 0]) ** 2
            if n > 1 or m > 1:  # else the first is the last
                ends += (q[f, n - 1] - x[c, f, m - 1]) ** 2
        out[c] = ends
        if n == m:  # else the band leans
            out[c] = max(ends, _outside(q, around[c], n), _outside(x[c], own, n))
    return out


@kernel
def _outside(x: Floats, around: F64, n: int) -> float:
    total = 0.0
    for f in range(x.shape[0]):
        for t in range(n):
            e = max(x[f, t] - around[1, f, t], around[0, f, t] - x[f, t], 0.0)
            total += e * e
    return total


@kernel
def _tried(
    query: Floats, x: Floats, n_query: int, lengths: Ints, order: Ints, bounds: F64,
    constraint: tuple[float, bool, float], found: F64, where: Ints,
) -> int:  # fmt: skip
    """Tables in the order of the bounds; ``found`` and ``where`` are kept sorted."""
    size = max(x.shape[2], query.shape[1])
    buffers, k = np.empty((7, size)), found.size
    low, high = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    last, joined, begun = -1, False, 0
    for c in order:
        if bounds[c] * _SLACK > found[k - 1] or bounds[c] == np.inf:
            break
        m = lengths[c]
        short, long = min(n_query, m), max(n_query, m)
        if m != last:
            joined, last = band(short, long, constraint, low, high), m
        if not joined:
            continue
        begun += 1
        rows, columns = (query, x[c]) if n_query <= m else (x[c], query)
        d = _given_up(rows, columns, short, long, low, high, buffers, found[k - 1])
        _insert(found, where, d, c)
    return begun


@kernel
def _insert(found: F64, where: Ints, d: float, c: int) -> None:
    j = found.size - 1
    if d > found[j] or d == np.inf or (d == found[j] and c > where[j]):
        return
    while j > 0 and (d < found[j - 1] or (d == found[j - 1] and c < where[j - 1])):
        found[j], where[j] = found[j - 1], where[j - 1]
        j -= 1
    found[j], where[j] = d, c


@kernel
def _given_up(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, buffers: F64, most: float
) -> float:
    """Summed squares along the best path, infinity where they must exceed ``most``."""
    old, older, above, costs = buffers[0], buffers[1], buffers[2], buffers[3:]
    d, before, at, passes = distances.begin(n, m, buffers), 0, 0, 0
    while d < n + m - 1:
        first, cells, inside = distances.rows_of(d, n, m, low, high, 8)
        if first > before:
            above[0], above[1] = older[first], old[first]
        j = m - 1 - d + first
        if x.shape[0] == 1:
            distances.four_banded(x[0], y[0], old, older, first, j, cells, above, inside)
        else:
            distances.four_squares(x, y, first, j, cells, costs)
            distances.four_costs(costs, old, older, first, cells, above, inside)
        above[:4] = np.inf
        before = first
        d, passes = d + 4, passes + 1
        if passes % 4 == 0:  # every path visits one of two neighbouring diagonals
            at = _below(old, older, first + 1, first + cells + 1, at, most)
            if at < 0:
                return np.inf
    return float(old[n])


@kernel
def _below(old: F64, older: F64, first: int, end: int, at: int, most: float) -> int:
    """A row of the last two diagonals with no more than ``most``, near ``at``; -1 if none."""
    if first <= at < end and min(old[at], older[at]) <= most:
        return at
    for i in range(first, end):
        if old[i] <= most or older[i] <= most:
            return i
    return -1
