"""All features of a frame in one pass over its pixels.

A frame's visible pixels (finite, not below the threshold) are gathered once; what is asked for
is computed from them while they are in the cache, and nothing else. Nothing is sorted whole:
pixels are put into fine buckets, once; for percentiles the few buckets with a wanted rank are
sorted, and for histograms and entropy only the buckets with an edge are looked into.

References
----------
- Miller (1955), Note on the bias of information estimates, in Information Theory in Psychology.
- Grassberger (2003), Entropy estimates from insufficient samplings,
  doi:10.48550/arXiv.physics/0307138.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel, kernel
from fhemb_xr.kernels.frames import visible
from fhemb_xr.typing import F64, Ints

STATISTICS = ("max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy")
PERCENTILE, HEIGHT, CELL = 9, 10, 11
"""Kinds of a column beside the nine statistics: a percentile, a bin height, a grid cell."""

_BUCKETS = 2048  # of 512 to 4096 the fastest for frames of 64 × 80; 32 KiB, in the L1 cache


def features(
    x: NDArray[Any],
    edges: F64,
    columns: tuple[Ints, F64],
    threshold: float,
    density: bool,
    entropy_bins: int,
    cell: int,
    entropy_low: float = np.nan,
    entropy_high: float = np.nan,
    entropy_correction: int = 0,
) -> NDArray[Any]:
    """Features of frames: ``(t, y, x), (edge) -> (t, feature)``.

    ``columns`` has the kind and the argument of each column. A kind is an index into
    :data:`STATISTICS`, or ``PERCENTILE`` with a percentage, ``HEIGHT`` with the number of a
    bin, ``CELL`` with the number of a cell of ``cell`` × ``cell`` pixels. NaN edges at the end
    are not edges.
    Frames without a visible pixel are NaN. float32 in, float32 out, float64 in between.
    Entropy is over equal bins from ``entropy_low`` to ``entropy_high``, each frame's own range
    where these are NaN; its correction is 0 (none), 1 (Miller and Madow), or 2 (Grassberger).

    Peak memory: 12 bytes per pixel of one frame (float64: 20) and 32 KiB beside the result.
    """
    kinds, arguments = columns
    out = np.full((x.shape[0], kinds.size), np.nan, x.dtype)
    n_edges = int(np.isfinite(edges).sum())
    limit = visible.limit(threshold, x.dtype)
    entropy = (entropy_bins, float(entropy_low), float(entropy_high), int(entropy_correction))
    _features(x, edges[:n_edges], kinds, arguments, limit, density, entropy, cell, out)
    return out


@fast_kernel
def _moments(v, n, out):
    """Mean, variance, skewness and excess kurtosis of ``v[:n]``; biased."""
    total = 0.0
    for i in range(n):
        total += v[i]
    mean = total / n
    m2 = m3 = m4 = 0.0
    for i in range(n):
        d = v[i] - mean
        m2 += d * d
        m3 += d * d * d
        m4 += d * d * d * d
    variance = m2 / n
    out[2], out[3], out[4] = mean, variance, np.sqrt(variance)
    flat = variance <= (2.220446049250313e-16 * mean) ** 2
    out[6] = np.nan if flat else m3 / n / variance**1.5
    out[7] = np.nan if flat else m4 / n / variance**2 - 3


@kernel
def _below(edge, closed, n, low, high, scale, where, ordered):
    """How many values are below ``edge``, or up to it where that is ``closed``.

    Only the edge's own bucket is looked at: which bucket a value is in grows with the value.
    """
    if edge > high or (closed and edge == high):
        return n
    if edge < low:
        return 0
    b = int((edge - low) * scale)
    count = where[b]
    for i in range(where[b], where[b + 1]):
        count += ordered[i] < edge or (closed and ordered[i] == edge)
    return count


@kernel
def _heights(n, low, high, scale, where, ordered, edges, density, out):
    """Histogram on any increasing edges, the last closed; a density has area 1."""
    bins = edges.size - 1
    first = _below(edges[0], False, n, low, high, scale, where, ordered)
    before = first
    for i in range(bins):
        now = _below(edges[i + 1], i == bins - 1, n, low, high, scale, where, ordered)
        out[i] = now - before
        before = now
    inside = before - first
    if density:
        for i in range(bins):
            w = edges[i + 1] - edges[i]
            out[i] = out[i] / inside / w if inside and w > 0 else np.nan


@kernel
def _entropy(n, low, high, scale, where, ordered, how):
    """Shannon entropy in nats over equal bins; values outside the range are left out."""
    bins, first, last, correction = how
    if np.isnan(first):
        first, last = low, high
        if not last > first:
            return 0.0
    step = (last - first) / bins
    before = _below(first, False, n, low, high, scale, where, ordered)
    inside = _below(last, True, n, low, high, scale, where, ordered) - before
    if inside == 0:
        return np.nan
    total, occupied = 0.0, 0
    for i in range(1, bins + 1):
        edge = first + i * step if i < bins else last
        now = _below(edge, i == bins, n, low, high, scale, where, ordered)
        if now > before:
            share = (now - before) / inside
            occupied += 1
            logarithm = np.log(share)
            if correction == 2:
                logarithm = _grassberger(now - before) - np.log(inside)
            total -= share * logarithm
        before = now
    return total + (occupied - 1) / (2 * inside) if correction == 1 else total


@kernel
def _grassberger(n):
    """What stands for the logarithm of a count: G(n) of Grassberger (2003), equation 35."""
    total = -0.5772156649015329 - np.log(2.0)  # Euler's constant
    for j in range(n // 2):
        total += 2.0 / (2 * j + 1)
    return total


@kernel
def _gather(v, n, low, scale, bucket, counts, where, ordered):
    """Put ``v[:n]`` into ``ordered`` bucket by bucket; bucket b starts at ``where[b]``."""
    for i in range(n):  # on its own: so it vectorises
        bucket[i] = np.int32((v[i] - low) * scale)
    counts[:] = 0
    for i in range(n):
        counts[bucket[i]] += 1
    start = 0
    for b in range(counts.size):
        where[b] = start
        start += counts[b]
        counts[b] = where[b]
    where[counts.size] = start
    for i in range(n):
        b = bucket[i]
        ordered[counts[b]] = v[i]
        counts[b] += 1
    counts[:] = 0  # from here on: whether a bucket is sorted


@kernel
def _sort(v, start, stop):
    """Shell's sort of ``v[start:stop]``: numpy's takes three seconds to compile."""
    gap = 1
    while gap < (stop - start) // 9:
        gap = 3 * gap + 1
    while gap:
        for i in range(start + gap, stop):
            value, j = v[i], i
            while j >= start + gap and v[j - gap] > value:
                v[j] = v[j - gap]
                j -= gap
            v[j] = value
        gap //= 3


@kernel
def _rank(k, counts, where, ordered):
    """The k-th smallest; sorts the bucket that holds it, once."""
    low, high = 0, counts.size
    while high - low > 1:
        middle = (low + high) // 2
        if where[middle] <= k:
            low = middle
        else:
            high = middle
    if counts[low] == 0:
        counts[low] = 1
        _sort(ordered, where[low], where[low + 1])
    return ordered[k]


@kernel
def _percentile(share, n, counts, where, ordered):
    """Linear interpolation between ranks, as numpy's default."""
    at = share / 100 * (n - 1)
    k = min(int(at), n - 1)
    low = float(_rank(k, counts, where, ordered))
    if k + 1 >= n or at == k:
        return low
    high = float(_rank(k + 1, counts, where, ordered))
    t = at - k
    # from the nearer end, as numpy: the result stays monotone and hits both ends
    return high - (high - low) * (1 - t) if t >= 0.5 else low + (high - low) * t


@kernel
def _cells(frame, limit, cell, columns, sums, counts):
    sums[:] = 0
    counts[:] = 0
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            if np.isfinite(frame[y, x]) and frame[y, x] >= limit:
                c = y // cell * columns + x // cell
                sums[c] += frame[y, x]
                counts[c] += 1


@kernel
def _features(  # noqa: C901  (one loop over a frame's pixels: that is its point)
    x, edges, kinds, arguments, limit, density, entropy_how, cell, out
):
    size = x.shape[1] * x.shape[2]
    v, ordered = np.empty(size, x.dtype), np.empty(size, x.dtype)
    statistics = np.empty(9)
    counts, where = np.empty(_BUCKETS, np.int64), np.empty(_BUCKETS + 1, np.int64)
    bucket, bins = np.empty(size, np.int32), np.empty(max(edges.size - 1, 1))
    columns = -(-x.shape[2] // cell)
    sums = np.empty(-(-x.shape[1] // cell) * columns)
    in_cell = np.empty(sums.size, np.int64)
    moments = ranks = entropy = heights = cells = False
    for kind in kinds:
        moments |= kind in (2, 3, 4, 6, 7)
        ranks |= kind in (5, PERCENTILE)
        entropy |= kind == 8
        heights |= kind == HEIGHT and edges.size > 1
        cells |= kind == CELL
    for t in range(x.shape[0]):
        n = 0
        low, high = np.inf, -np.inf
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                value = x[t, i, j]
                if np.isfinite(value) and value >= limit:
                    v[n] = value
                    n += 1
                    low, high = min(low, value), max(high, value)
        if n == 0:
            continue
        statistics[0], statistics[1] = high, low
        if moments:
            _moments(v, n, statistics)
        if ranks or entropy or heights:
            scale = (_BUCKETS - 1) / (high - low) if high > low else 0.0
            scale = scale if scale < np.inf else 0.0  # two neighbouring numbers next to 0
            _gather(v, n, low, scale, bucket, counts, where, ordered)
        if ranks:
            statistics[5] = _percentile(50.0, n, counts, where, ordered)
        if entropy:
            statistics[8] = _entropy(n, low, high, scale, where, ordered, entropy_how)
        if heights:
            _heights(n, low, high, scale, where, ordered, edges, density, bins)
        if cells:
            _cells(x[t], limit, cell, columns, sums, in_cell)
        for j in range(kinds.size):
            kind, a = kinds[j], arguments[j]
            if kind < 9:
                out[t, j] = statistics[kind]
            elif kind == PERCENTILE:
                out[t, j] = _percentile(a, n, counts, where, ordered)
            elif kind == HEIGHT:
                if a < edges.size - 1:
                    out[t, j] = bins[int(a)]
            elif in_cell[int(a)] > 0:
                out[t, j] = sums[int(a)] / in_cell[int(a)]


def extent(x: NDArray[Any], threshold: float) -> F64:
    """Smallest, largest and number of the visible pixels: ``(..., t, y, x) -> (..., 3)``.

    Peak memory: none beside the chunk, where that is contiguous. Nothing visible:
    (inf, -inf, 0).
    """
    out = np.empty((*x.shape[:-3], 3))
    floats = x if x.dtype.kind == "f" else x.astype(np.float64)
    for where in np.ndindex(x.shape[:-3]):
        rows = np.ascontiguousarray(floats[where]).reshape(-1, x.shape[-1])
        out[where] = _extent(rows, visible.limit(threshold, floats.dtype))
    return out


@kernel
def _extent(x, limit):
    """Column by column, which vectorises where a minimum of all would not."""
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    low, high, n = low.astype(x.dtype), high.astype(x.dtype), np.zeros(x.shape[1], np.int64)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            seen = (v >= limit) & (abs(v) < np.inf)
            n[j] += 1 if seen else 0
            low[j] = v if seen & (v < low[j]) else low[j]
            high[j] = v if seen & (v > high[j]) else high[j]
    return np.float64(low.min()), np.float64(high.max()), np.float64(n.sum())


def merge_extents(extents: F64) -> F64:
    """``(..., k, 3) -> (..., 3)``."""
    low, high, n = np.moveaxis(extents, -1, 0)
    return np.stack([low.min(axis=-1), high.max(axis=-1), n.sum(axis=-1)], axis=-1)


def bin_edges(extents: F64, bins: int | None, width: int) -> F64:
    """Equal bins over each extent: ``(..., 3) -> (..., width)``, NaN beyond the last edge.

    ``bins=None``: Sturges' number, ``ceil(log2(n) + 1)`` of the n visible samples.
    """
    out = np.full((*extents.shape[:-1], width), np.nan)
    for where in np.ndindex(extents.shape[:-1]):
        low, high, n = extents[where]
        if n > 0:
            k = bins or int(np.ceil(np.log2(n) + 1))
            if low == high:  # numpy's rule for a constant
                low, high = low - 0.5, high + 0.5
            out[where][: k + 1] = np.linspace(low, high, k + 1)
    return out
