"""The compiled loops of :mod:`fhemb_xr.kernels.pairwise.cross_correlation`.

``sweep`` is for series without gaps: one sum of products for each block and lag. ``sweep_gaps``
keeps six sums instead, because at every lag other pairs of samples are there.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel
from fhemb_xr.typing import F64

_EPS = float(np.finfo(np.float64).eps)
_LIMIT = 1e-10 / _EPS  # spread over deviation, above which a cell is summed by itself
_FLAT = 1e-9  # variance over spread, below which it is too


class Group(NamedTuple):
    """One group of samples of both series, centred on its own means; 0 where there is none."""

    a: F64
    b: F64
    seen_a: F64
    seen_b: F64
    sum_a: F64  # running, one longer than a
    sum_b: F64
    ref: F64  # mean of a, mean of b, product of the largest deviations


def new_group(window: int, n_lags: int) -> Group:
    """An empty group for windows of this length."""
    sizes = window, window + n_lags, window, window + n_lags, window + 1, window + n_lags + 1, 3
    return Group(*(np.zeros(n) for n in sizes))


def inverse(x: F64, window: int) -> F64:
    """One over the root of the summed squares about the mean of the window at each sample."""
    mean, m2 = _window_moments(x, window)
    flat = m2 <= window * (4 * _EPS * mean) ** 2
    with np.errstate(divide="ignore"):
        return np.where(flat, np.nan, 1 / np.sqrt(m2))


@kernel
def _window_moments(x: F64, window: int) -> tuple[F64, F64]:
    """Mean and summed squares about it of every window, by merging two running halves."""
    n = x.size - window + 1
    mean, m2 = np.empty(n), np.empty(n)
    tail_mean, tail_m2 = np.zeros(window + 1), np.zeros(window + 1)
    for start in range(0, n, window):
        m = s = 0.0
        for j in range(window):  # suffixes of this group
            d = x[start + window - 1 - j] - m
            m += d / (j + 1)
            s += d * (x[start + window - 1 - j] - m)
            tail_mean[window - 1 - j], tail_m2[window - 1 - j] = m, s
        m = s = 0.0
        for j in range(min(window, n - start)):  # prefixes of the next
            n1 = window - j
            shift = m - tail_mean[j]
            mean[start + j] = tail_mean[j] + shift * j / window
            m2[start + j] = tail_m2[j] + s + shift * shift * n1 * j / window
            if start + window + j < x.size:
                d = x[start + window + j] - m
                m += d / (j + 1)
                s += d * (x[start + window + j] - m)
    return mean, m2


@kernel
def _direct(a: F64, b: F64, s: int, lag: int, window: int) -> float:
    """One cell by itself, in two passes."""
    x, y = a[s : s + window], b[s + lag : s + lag + window]
    return _two_passes(x, y, np.ones(window))


@kernel
def _direct_masked(
    a: F64, b: F64, masks: tuple[F64, F64], s: int, lag: int, window: int
) -> float:
    """The same with gaps."""
    both = masks[0][s : s + window] * masks[1][s + lag : s + lag + window]
    return _two_passes(a[s : s + window], b[s + lag : s + lag + window], both)


@kernel
def _two_passes(x: F64, y: F64, weight: F64) -> float:
    n = weight.sum()
    if n < 2:
        return np.nan
    mx, my = (weight * x).sum() / n, (weight * y).sum() / n
    dx, dy = weight * (x - mx), weight * (y - my)
    xx, yy, xy = (dx * dx).sum(), (dy * dy).sum(), (dx * dy).sum()
    if xx <= n * (4 * _EPS * mx) ** 2 or yy <= n * (4 * _EPS * my) ** 2:
        return np.nan
    r: float = xy / np.sqrt(xx * yy)
    return min(1.0, max(-1.0, r))


@fast_kernel
def _products(a: F64, b: F64, out: F64) -> None:
    """``out[l] += sum over t of a[t] * b[t + l]``, four samples at a time."""
    n = out.size
    t = 0
    while t + 4 <= a.size:
        a0, a1, a2, a3 = a[t], a[t + 1], a[t + 2], a[t + 3]
        b0, b1, b2, b3 = b[t : t + n], b[t + 1 : t + 1 + n], b[t + 2 : t + 2 + n], b[t + 3 :]
        for k in range(n):
            out[k] += (a0 * b0[k] + a1 * b1[k]) + (a2 * b2[k] + a3 * b3[k])
        t += 4
    while t < a.size:
        a0, b0 = a[t], b[t : t + n]
        for k in range(n):
            out[k] += a0 * b0[k]
        t += 1


@kernel
def _centre(x: F64, mask: F64, start: int, out: F64, seen: F64) -> tuple[float, float]:
    """Write ``x[start:]`` minus its mean to ``out``; return mean and largest deviation."""
    total = n = spread = 0.0
    for j in range(out.size):
        t = start + j
        seen[j] = mask[t] if 0 <= t < x.size else 0.0
        if seen[j] > 0:
            total += x[t]
            n += 1
    mean = total / max(n, 1.0)
    for j in range(out.size):
        out[j] = x[start + j] - mean if seen[j] > 0 else 0.0
        spread = max(spread, abs(out[j]))
    return mean, spread


@kernel
def load(a: F64, b: F64, mask_a: F64, mask_b: F64, start: int, low: int, g: Group) -> None:
    """Fill ``g`` with the group at ``start``, of ``b`` from ``start + low`` on."""
    g.ref[0], spread_a = _centre(a, mask_a, start, g.a, g.seen_a)
    g.ref[1], spread_b = _centre(b, mask_b, start + low, g.b, g.seen_b)
    g.ref[2] = spread_a * spread_b
    for j in range(g.a.size):
        g.sum_a[j + 1] = g.sum_a[j] + g.a[j]
    for j in range(g.b.size):
        g.sum_b[j + 1] = g.sum_b[j] + g.b[j]


@kernel
def sweep(
    a: F64, b: F64, window: int, step: int, low: int, inv: tuple[F64, F64], old: Group,
    new: Group, sums: F64, out: F64,
) -> None:  # fmt: skip
    """All windows of one tile of lags, from ``low`` on; neither series has a gap."""
    q, n_lags = sums.shape
    block, stride, n_blocks = window // q, step * q // window, a.size * q // window
    tails, head, ones = np.zeros_like(sums), np.zeros(n_lags), np.ones(a.size)
    for group in range((n_blocks + q - 1) // q + 1):
        load(a, b, ones, ones, group * window, low, new)
        sums[:] = 0.0
        for k in range(max(0, min(q, n_blocks - group * q))):
            _products(new.a[k * block : (k + 1) * block], new.b[k * block :], sums[k])
        head[:] = 0.0
        for j in range(q):  # the windows that began in the group before
            first = (group - 1) * q + j
            if group > 0 and first % stride == 0 and first // stride < out.shape[0]:
                s = first * block
                lo, hi = max(0, -s - low), min(n_lags, a.size - window - s - low + 1)
                if hi > lo and inv[0][s] == inv[0][s]:
                    row, inv_b = out[first // stride, lo:hi], inv[1][s + low + lo :]
                    _merge(old, new, j * block, lo, tails[j, lo:hi], head[lo:hi], row)
                    spread = max(old.ref[2], new.ref[2])
                    _finish(a, b, s, low + lo, window, spread, inv[0][s], inv_b, row)
            head += sums[j]
        tails[q - 1] = sums[q - 1]
        for j in range(q - 2, -1, -1):
            tails[j] = tails[j + 1] + sums[j]
        old, new = new, old


@kernel
def _merge(old: Group, new: Group, cut: int, lo: int, tail: F64, head: F64, row: F64) -> None:
    """Sums of products about the means of windows that span two groups.

    A window has the samples of ``old`` from ``cut`` on, and those of ``new`` before ``cut``.
    """
    window = old.a.size
    n1, n2 = float(window - cut), float(cut)
    a1, a2 = old.sum_a[window] - old.sum_a[cut], new.sum_a[cut]
    da = new.ref[0] - old.ref[0] + a2 / max(n2, 1.0) - a1 / n1
    shift, weight = new.ref[1] - old.ref[1], da * n1 * n2 / window
    m1, m2, per1, per2 = a1 / n1, a2 / max(n2, 1.0), 1 / n1, 1 / max(n2, 1.0)
    e1, f1 = old.sum_b[window + lo :], old.sum_b[cut + lo :]
    e2, f2 = new.sum_b[cut + lo :], new.sum_b[lo:]
    for k in range(row.size):
        b1, b2 = e1[k] - f1[k], e2[k] - f2[k]
        row[k] = (tail[k] - m1 * b1) + (head[k] - m2 * b2)
        row[k] += weight * (shift + (b2 * per2 - b1 * per1))


@kernel
def _finish(
    a: F64, b: F64, s: int, lag: int, window: int, spread: float, scale: float, inv: F64,
    row: F64,
) -> None:  # fmt: skip
    """Turn products into correlations; sum again where rounding may be too large."""
    limit = _LIMIT / (window * max(spread * scale, 1e-300))
    for k in range(row.size):
        r = row[k] * scale * inv[k]
        row[k] = min(1.0, max(-1.0, r)) if r == r else np.nan
        if inv[k] > limit:
            row[k] = _direct(a, b, s, lag + k, window)


@kernel
def sweep_gaps(
    a: F64, b: F64, masks: tuple[F64, F64], window: int, step: int, low: int, old: Group,
    new: Group, sums: F64, out: F64,
) -> None:  # fmt: skip
    """The same for series with gaps: six sums instead of one, over the pairs that are there."""
    _, q, n_lags = sums.shape
    block, stride, n_blocks = window // q, step * q // window, a.size * q // window
    tails, head = np.zeros_like(sums), np.zeros((6, n_lags))
    for group in range((n_blocks + q - 1) // q + 1):
        load(a, b, masks[0], masks[1], group * window, low, new)
        sums[:] = 0.0
        for k in range(max(0, min(q, n_blocks - group * q))):
            six_products(new, k * block, (k + 1) * block, sums[:, k])
        head[:] = 0.0
        for j in range(q):
            first = (group - 1) * q + j
            if group > 0 and first % stride == 0 and first // stride < out.shape[0]:
                s = first * block
                lo, hi = max(0, -s - low), min(n_lags, a.size - window - s - low + 1)
                for k in range(lo, hi):
                    r, sure = _from_sums(tails[:, j, k], head[:, k], old.ref, new.ref)
                    out[first // stride, k] = (
                        r if sure else _direct_masked(a, b, masks, s, low + k, window)
                    )
            head += sums[:, j]
        tails[:, q - 1] = sums[:, q - 1]
        for j in range(q - 2, -1, -1):
            tails[:, j] = tails[:, j + 1] + sums[:, j]
        old, new = new, old


@kernel
def six_products(g: Group, start: int, stop: int, out: F64) -> None:
    """Add n, Σa, Σb, Σaa, Σbb and Σab of the pairs in ``[start, stop)``, at every lag."""
    a, b, one_a, one_b = g.a[start:stop], g.b[start:], g.seen_a[start:stop], g.seen_b[start:]
    _products(one_a, one_b, out[0])
    _products(a, one_b, out[1])
    _products(one_a, b, out[2])
    _products(a * a, one_b, out[3])
    _products(one_a, b * b, out[4])
    _products(a, b, out[5])


@kernel
def _from_sums(p: F64, q: F64, ref1: F64, ref2: F64) -> tuple[float, bool]:
    """Correlation of two parts laid end to end, and whether rounding left it alone."""
    n1, n2 = p[0], q[0]
    n = n1 + n2
    if n < 1.5:
        return np.nan, True
    i1, i2 = 1 / max(n1, 1.0), 1 / max(n2, 1.0)
    w = n1 * n2 / n
    da = ref2[0] - ref1[0] + q[1] * i2 - p[1] * i1
    db = ref2[1] - ref1[1] + q[2] * i2 - p[2] * i1
    aa = (p[3] - p[1] * p[1] * i1) + (q[3] - q[1] * q[1] * i2) + w * da * da
    bb = (p[4] - p[2] * p[2] * i1) + (q[4] - q[2] * q[2] * i2) + w * db * db
    ab = (p[5] - p[1] * p[2] * i1) + (q[5] - q[1] * q[2] * i2) + w * da * db
    spread = n * max(ref1[2], ref2[2])
    if not (aa > _FLAT * (p[3] + q[3]) and bb > _FLAT * (p[4] + q[4]) and aa > 0 and bb > 0):
        return np.nan, False
    root = np.sqrt(aa * bb)
    return min(1.0, max(-1.0, ab / root)), spread < _LIMIT * root


@kernel
def correlations(sums: F64, ref: F64, out: F64) -> None:
    """Correlation at every lag from the six sums ``(6, lag)`` of one group."""
    nothing = np.zeros(6)
    for k in range(out.size):
        out[k] = _from_sums(sums[:, k], nothing, ref, ref)[0]
