"""Sums of products of a lagged design, which is never made as a whole.

A stimulus ``s (f, t)`` gives the design ``z[t, k, f] = s[f, t - lo - k]`` with ``K`` lags. Its
Gram matrix over the rows ``a <= t < b`` is block Toeplitz but for the ends::

    G[k + 1, l + 1] = G[k, l] + s(a - 1 - k) s(a - 1 - l)' - s(b - 1 - k) s(b - 1 - l)'

(for ``lo = 0``), so only its first block row is summed over time.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.typing import F64, Bools, Ints

_BLOCK = 2**21
"""Numbers of the design in memory at a time."""


class Sums(NamedTuple):
    """Sums over some rows of a design of ``p`` columns and of ``c`` series."""

    n: float
    z: F64
    """(p,)"""
    g: F64
    """(p, p): products of the columns."""
    y: F64
    """(c,)"""
    yy: F64
    """(c,)"""
    zy: F64
    """(p, c)"""

    def centred(self) -> "Sums":
        """Sums about the means of the rows."""
        n = max(self.n, 1.0)
        return Sums(
            self.n,
            self.z / n,
            self.g - np.outer(self.z, self.z) / n,
            self.y / n,
            self.yy - self.y * self.y / n,
            self.zy - np.outer(self.z, self.y) / n,
        )


def design(s: F64, lo: int, n_lags: int, a: int, b: int) -> F64:
    """Rows ``a <= t < b``, ``(b - a, k * f)``; 0 where the stimulus is not there."""
    n_features, length = s.shape
    times = np.arange(a, b)[:, None] - lo - np.arange(n_lags)
    inside = (times >= 0) & (times < length)
    z = np.where(inside, s[:, np.clip(times, 0, length - 1)], 0.0)
    return np.ascontiguousarray(z.transpose(1, 2, 0)).reshape(b - a, n_lags * n_features)


def blocks(a: int, b: int, width: int) -> list[tuple[int, int]]:
    """``[a, b)`` in stretches whose design is small."""
    size = max(_BLOCK // max(width, 1), 64)
    return [(i, min(i + size, b)) for i in range(a, b, size)]


def gram(s: F64, rows: Bools, lo: int, n_lags: int, a: int, b: int) -> F64:
    """Gram matrix of the rows of ``[a, b)`` that count: ``(p, p)``.

    Memory: 16 bytes per number of the result, and 16 MiB.
    """
    p = len(s) * n_lags
    out = np.zeros((p, p))
    for begin, end in _runs(rows[a:b]):
        if end - begin < 2 * n_lags:
            z = design(s, lo, n_lags, a + begin, a + end)
            out += z.T @ z
        else:
            out += _gram_of_run(s, lo, n_lags, a + begin, a + end)
    return out


def _runs(rows: Bools) -> Ints:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def _gram_of_run(s: F64, lo: int, n_lags: int, a: int, b: int) -> F64:
    f, p = len(s), len(s) * n_lags
    out = np.zeros((p, p))
    for i, j in blocks(a, b, p):
        z = design(s, lo, n_lags, i, j)
        out[:f] += z[:, :f].T @ z
    before, last = (design(s, lo, n_lags, t - 1, t)[0] for t in (a, b))
    for k in range(0, p - f, f):
        here, nxt = slice(k, k + f), slice(k + f, k + 2 * f)
        out[nxt, k + f :] = (
            out[here, k : p - f]
            + np.outer(before[here], before[k : p - f])
            - np.outer(last[here], last[k : p - f])
        )
    upper = np.triu(np.ones((n_lags, n_lags), bool), 1).repeat(f, 0).repeat(f, 1)
    return np.where(upper.T, out.T, out)


def with_series(s: F64, y: F64, rows: Bools, lo: int, n_lags: int, a: int, b: int) -> F64:
    """Products of the columns with series and with 1: ``(c, t) -> (p, c + 1)``.

    ``y`` is 0 in rows that do not count.
    """
    p = len(s) * n_lags
    out = np.zeros((p, len(y) + 1))
    for i, j in blocks(a, b, p + len(y)):
        beside = np.concatenate([y[:, i:j], rows[None, i:j].astype(np.float64)])
        out += design(s, lo, n_lags, i, j).T @ beside.T
    return out
