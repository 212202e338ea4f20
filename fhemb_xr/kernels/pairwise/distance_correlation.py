"""Distance correlation: 0 only of independent series, however they depend.

Székely, Rizzo & Bakirov (2007), Ann. Stat. 35, 2769-2794, doi:10.1214/009053607000000505;
the biased V-statistic. Of one variable in the time of sorting: Huo & Székely (2016),
Technometrics 58, 435-447, doi:10.1080/00401706.2015.1054435.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel
from fhemb_xr.typing import F64, Ints


def distance_correlations(
    a: F64, lengths_a: Ints, b: F64, lengths_b: Ints, *, upper: bool = False
) -> F64:
    """Of the samples that both have: ``(k, f, t), (l, f, t) -> (k, l)``.

    Fewer than two samples, or a constant, give NaN. Work: ``t log t`` a pair of one
    feature, ``t²`` of more. Peak memory: the series, and 20 samples per sample of one pair.
    """
    out = np.full((len(a), len(b)), np.nan)
    for i in range(len(a)):
        for j in range(i if upper else 0, len(b)):
            both = (np.isfinite(a[i]) & np.isfinite(b[j])).all(axis=0)
            x, y = (np.ascontiguousarray(s[:, both]) for s in (a[i], b[j]))
            if x.shape[1] > 1:
                out[i, j] = _sorted_pair(x[0], y[0]) if len(x) == 1 else _pair(x, y)
    return out


@fast_kernel
def _pair(x: F64, y: F64) -> Any:
    n = x.shape[1]
    dx, dy = np.empty(n), np.empty(n)
    xy = xx = yy = rows_xy = rows_xx = rows_yy = total_x = total_y = 0.0
    for i in range(n):
        _row(x, i, dx)
        _row(y, i, dy)
        sx = sy = 0.0
        for j in range(n):
            sx += dx[j]
            sy += dy[j]
            xy += dx[j] * dy[j]
            xx += dx[j] * dx[j]
            yy += dy[j] * dy[j]
        rows_xy += sx * sy
        rows_xx += sx * sx
        rows_yy += sy * sy
        total_x += sx
        total_y += sy
    cov = xy - 2 * rows_xy / n + total_x * total_y / n / n
    var_x = xx - 2 * rows_xx / n + total_x * total_x / n / n
    var_y = yy - 2 * rows_yy / n + total_y * total_y / n / n
    if var_x <= 1e-13 * xx or var_y <= 1e-13 * yy:
        return np.nan
    return min(1.0, np.sqrt(max(cov, 0.0) / np.sqrt(var_x * var_y)))


def _sorted_pair(x: F64, y: F64) -> float:
    """The same of one variable, ``(t), (t) -> ()``."""
    x, y = (s[np.argsort(x, kind="stable")] for s in (x - x.mean(), y - y.mean()))
    n = x.size
    ranks = np.empty(n, np.int64)
    ranks[np.argsort(y, kind="stable")] = np.arange(n)
    rows_x = _rows(x)
    rows_y = _rows(np.sort(y))[ranks]
    total_x, total_y = rows_x.sum(), rows_y.sum()
    xx, yy = 2 * n * (x @ x), 2 * n * (y @ y)
    cov = 2 * _crossed(x, y, ranks) - 2 * (rows_x @ rows_y) / n + total_x * total_y / n / n
    var_x = xx - 2 * (rows_x @ rows_x) / n + total_x * total_x / n / n
    var_y = yy - 2 * (rows_y @ rows_y) / n + total_y * total_y / n / n
    if var_x <= 1e-13 * xx or var_y <= 1e-13 * yy:
        return float("nan")
    return float(min(1.0, np.sqrt(max(cov, 0.0) / np.sqrt(var_x * var_y))))


def _rows(x: F64) -> F64:
    """Summed distances of each from all, of sorted values."""
    n, before = x.size, np.cumsum(x) - x
    k = np.arange(n)
    return np.asarray((2 * k + 1 - n) * x + before[-1] + x[-1] - 2 * before - x)


@kernel
def _crossed(x: F64, y: F64, ranks: Ints) -> float:
    """Sum of ``(x[j] - x[i]) |y[j] - y[i]|`` over i < j, ``x`` sorted.

    Those of lower rank in ``y`` are summed in a binary indexed tree.
    """
    n = x.size
    tree, whole, low = np.zeros((4, n + 1)), np.zeros(4), np.zeros(4)
    out = 0.0
    for j in range(n):
        low[:] = 0.0
        k = ranks[j]  # the ranks before this one
        while k > 0:
            for c in range(4):
                low[c] += tree[c, k]
            k -= k & -k
        for c in range(4):
            low[c] = 2 * low[c] - whole[c]
        out += x[j] * y[j] * low[0] - y[j] * low[1] - x[j] * low[2] + low[3]
        terms = (1.0, x[j], y[j], x[j] * y[j])
        for c in range(4):
            whole[c] += terms[c]
        k = ranks[j] + 1
        while k <= n:
            for c in range(4):
                tree[c, k] += terms[c]
            k += k & -k
    return out


@fast_kernel
def _row(x: F64, i: int, out: F64) -> None:
    """Distances of sample ``i`` from all."""
    if x.shape[0] == 1:
        for j in range(out.size):
            out[j] = abs(x[0, i] - x[0, j])
        return
    out[:] = 0.0
    for f in range(x.shape[0]):
        for j in range(out.size):
            out[j] += (x[f, i] - x[f, j]) ** 2
    for j in range(out.size):
        out[j] = np.sqrt(out[j])
