"""Nearest series by warping; a cheap lower bound rules most of them out.

Two lower bounds of the distance are combined: the distance of the first and of the last points
(Kim), and how far each series leaves the envelope of the other (Keogh). Candidates are tried
in the order of their bound. The search ends when the next bound exceeds the k-th distance
found. The table of a candidate is abandoned as soon as all its cells exceed that distance.

References
----------
- Kim, Park & Chu (2001), ICDE, 607-614, doi:10.1109/ICDE.2001.914875.
- Keogh & Ratanamahatana (2005), Knowl. Inf. Syst. 7, 358-386, doi:10.1007/s10115-004-0154-9.
- Rakthanmanon et al. (2012), KDD, 262-270, doi:10.1145/2339530.2339576.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import sweep
from fhemb_xr.kernels.dtw.constraints import band, constraint_of, half_width
from fhemb_xr.kernels.dtw.distances import padded
from fhemb_xr.typing import F64, Floats, Ints

_SLACK = 1 - 1e-9
"""Factor that lowers a bound by more than its rounding error, so that it excludes no match."""


def nearest(
    queries: Floats, x: Floats, lengths_q: Ints, lengths_x: Ints, k: int, window: float | None
) -> tuple[F64, Ints, int]:
    """Distances and positions of the nearest: ``(q, f, t), (n, f, t) -> (q, k), (q, k), ()``.

    Distances are roots of summed squares. Of equal distances the first series is taken. If
    there are fewer than ``k`` series, the rest is infinity at position -1. The last result is
    the number of tables that were begun. Peak memory: five times the series.
    """
    distances, positions = np.full((len(queries), k), np.inf), np.full((len(queries), k), -1)
    backwards = padded(x, lengths_x, backwards=True)
    forwards = padded(queries, lengths_q, backwards=False)
    m = int(max(lengths_x.max(initial=0), lengths_q.max(initial=0)))
    radius = half_width(*constraint_of(window, None)[:2], m) if window is not None else m
    around = envelopes(x, lengths_x, radius)
    begun = 0
    for i in range(len(queries)):
        if not lengths_q[i]:
            continue
        query, n = queries[i : i + 1], lengths_q[i : i + 1]
        own = envelopes(query, n, radius)[0]
        bounds = _bounds(query[0], int(n[0]), x, lengths_x, own, around)
        order = np.argsort(bounds, kind="stable")
        begun += _tried(
            forwards[i], backwards, int(lengths_q[i]), lengths_x, order, bounds,
            constraint_of(window, None), distances[i], positions[i],
        )  # fmt: skip
    return np.sqrt(distances), positions, begun


def envelopes(x: Floats, lengths: Ints, radius: int) -> F64:
    """Lowest and highest value within ``radius``: ``(k, f, t) -> (k, 2, f, t)``.

    NaN after the end of a series.
    """
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
    """Lower bounds of the squared distances from one query; infinity for empty series."""
    out = np.full(len(x), np.inf)
    for c in range(len(x)):
        m = lengths[c]
        if m == 0:
            continue
        ends = 0.0
        for f in range(q.shape[0]):
            ends += (q[f, 0] - x[c, f, 0]) ** 2
            if n > 1 or m > 1:  # otherwise the first point is the last
                ends += (q[f, n - 1] - x[c, f, m - 1]) ** 2
        out[c] = ends
        if n == m:  # otherwise the band is no envelope of equal width
            out[c] = max(ends, _outside(q, around[c], n), _outside(x[c], own, n))
    return out


@kernel
def _outside(x: Floats, around: F64, n: int) -> float:
    """Summed squares of what lies outside of an envelope (Keogh's bound)."""
    total = 0.0
    for f in range(x.shape[0]):
        for t in range(n):
            e = max(x[f, t] - around[1, f, t], around[0, f, t] - x[f, t], 0.0)
            total += e * e
    return total


@kernel
def _tried(
    query: Floats, x: Floats, n_query: int, lengths: Ints, order: Ints, bounds: F64,
    constraint: tuple[float, bool, float], distances: F64, positions: Ints,
) -> int:  # fmt: skip
    """Try candidates in the order of their bounds; the results are kept sorted."""
    size = max(x.shape[2], query.shape[1])
    buffers, k = np.empty((7, size)), distances.size
    low, high = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    last, joined, begun = -1, False, 0
    for c in order:
        if bounds[c] * _SLACK > distances[k - 1] or bounds[c] == np.inf:
            break
        m = lengths[c]
        short, long = min(n_query, m), max(n_query, m)
        if m != last:
            joined, last = band(short, long, constraint, low, high), m
        if not joined:
            continue
        begun += 1
        rows, columns = (query, x[c]) if n_query <= m else (x[c], query)
        d = _within(rows, columns, short, long, low, high, buffers, distances[k - 1])
        _insert(distances, positions, d, c)
    return begun


@kernel
def _insert(distances: F64, positions: Ints, d: float, c: int) -> None:
    """Series ``c`` at distance ``d`` into the sorted results, if it is near enough."""
    j = distances.size - 1
    if d > distances[j] or d == np.inf or (d == distances[j] and c > positions[j]):
        return
    while j > 0 and (d < distances[j - 1] or (d == distances[j - 1] and c < positions[j - 1])):
        distances[j], positions[j] = distances[j - 1], positions[j - 1]
        j -= 1
    distances[j], positions[j] = d, c


@kernel
def _within(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, buffers: F64, limit: float
) -> Any:
    """Summed squares along the best path, infinity where they must exceed ``limit``."""
    rows = sweep.banded_rows
    if x.shape[0] == 1:
        return sweep.sweep(rows, sweep.univariate, x, y, n, m, low, high, buffers, limit)
    return sweep.sweep(rows, sweep.multivariate, x, y, n, m, low, high, buffers, limit)
