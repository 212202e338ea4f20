"""Compiled loops over the diagonals of a recurrence plot, which is never made.

A diagonal holds the pairs of states ``(i, i + lag)``. Diagonals are walked one after another,
so that the distances of one are read from consecutive samples. A diagonal line is a run along
a diagonal. A vertical line is a run in a row ``i`` over consecutive lags, so one counter per
row is all that must be kept. Memory is linear in the samples.
"""

import numpy as np

from fhemb_xr.kernels._jit import kernel

NO, YES, MISSING = 0, 1, 2


@kernel
def distances(x, y, lag, supremum, out):
    """Distances along a diagonal: squared Euclidean, or the largest difference.

    ``x (k, n)`` and ``y (k, m)`` hold ``k`` coordinates. Returns the first row and the number
    of pairs, whose distances are in ``out``; NaN where a state is missing.
    """
    first = max(0, -lag)
    count = min(x.shape[1], y.shape[1] - lag) - first
    out[:count] = 0
    for c in range(x.shape[0]):
        a, b = x[c, first : first + count], y[c, first + lag : first + lag + count]
        if supremum:
            for p in range(count):
                d = abs(a[p] - b[p])  # NaN stays: nothing is larger than NaN, and NaN replaces
                out[p] = out[p] if d <= out[p] or out[p] != out[p] else d
        else:
            for p in range(count):
                d = a[p] - b[p]
                out[p] += d * d
    return first, count


@kernel
def _mark(d, count, limit, hits, both):
    """Which pairs recur; with ``both``, only those that did so before."""
    for p in range(count):
        seen = NO if d[p] > limit else YES
        if d[p] != d[p]:
            seen = MISSING
        if both and seen == YES:
            seen = hits[p]
        elif both and hits[p] == MISSING:
            seen = MISSING
        hits[p] = seen


@kernel
def lines(x, y, limits, joint, lags, supremum, of_lag, diagonal, vertical):
    """Count recurrences and lines on the diagonals ``lags[0] <= lag < lags[1]``.

    With ``joint``, ``x`` and ``y`` are two series whose own plots are multiplied. A series is
    compared with itself if ``y`` has no sample, or if the plots are multiplied; if all lags
    are above 0, the vertical lines below the main diagonal, which mirror rows as columns,
    count too. ``of_lag (2, …)`` gets recurrences and pairs of each diagonal, ``diagonal`` and
    ``vertical`` the number of lines by their length.
    """
    n = x.shape[1]
    with_itself = joint or y.shape[1] == 0
    mirrored = with_itself and lags[0] > 0
    other = x if with_itself else y
    room = np.empty(max(n, other.shape[1]))
    hits = np.zeros(room.size, np.uint8)
    row, column = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for lag in range(lags[0], lags[1]):
        for plot in range(1 + joint):
            a, b = (x, other) if plot == 0 else (y, y)
            first, count = distances(a, b, lag, supremum, room)
            _mark(room, count, limits[plot], hits, plot == 1)
        rows = row[first : first + count]
        columns = column[first + lag : first + lag + count] if mirrored else column[:0]
        run, there, found = 0, count, 0
        for p in range(count):  # without branches, which cannot be predicted: length 0 is waste
            hit = int(hits[p] == YES)
            there -= int(hits[p] == MISSING)
            found += hit
            ended = 1 - hit
            diagonal[run * ended] += 1
            run = (run + 1) * hit
            vertical[rows[p] * ended] += 1
            rows[p] = (rows[p] + 1) * hit
            if mirrored:
                vertical[columns[p] * ended] += 1
                columns[p] = (columns[p] + 1) * hit
        diagonal[run] += 1
        of_lag[0, lag - lags[0]] = found
        of_lag[1, lag - lags[0]] = there
    for i in range(n):
        vertical[row[i]] += 1
        vertical[column[i]] += 1
    diagonal[0] = vertical[0] = 0


@kernel
def histogram(x, y, lags, supremum, edges, counts):
    """Number of distances in each bin ``edges[b] <= d < edges[b + 1]`` of even width."""
    room = np.empty(max(x.shape[1], y.shape[1]))
    low, last = edges[0], edges.size - 1
    scale = last / (edges[last] - low)
    for lag in range(lags[0], lags[1]):
        _, count = distances(x, y, lag, supremum, room)
        for p in range(count):
            d = room[p] if supremum else np.sqrt(room[p])
            if not (d >= low and d < edges[last]):
                continue
            b = min(int((d - low) * scale), last - 1)
            while d < edges[b]:
                b -= 1
            while d >= edges[b + 1]:
                b += 1
            counts[b] += 1


@kernel
def collect(x, y, lags, supremum, ends, out):
    """Put the distances ``ends[0] <= d < ends[1]`` into ``out``, squared as they come."""
    room = np.empty(max(x.shape[1], y.shape[1]))
    k = 0
    for lag in range(lags[0], lags[1]):
        _, count = distances(x, y, lag, supremum, room)
        for p in range(count):
            d = room[p] if supremum else np.sqrt(room[p])
            if d >= ends[0] and d < ends[1] and k < out.size:
                out[k] = room[p]
                k += 1
    return k
