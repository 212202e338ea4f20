"""Distance correlation: 0 only of independent series, however they depend.

Székely, Rizzo & Bakirov (2007), Ann. Stat. 35, 2769-2794, doi:10.1214/009053607000000505;
the biased V-statistic.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


def distance_correlations(
    a: F64, lengths_a: Ints, b: F64, lengths_b: Ints, *, upper: bool = False
) -> F64:
    """Of the samples that both have: ``(k, f, t), (l, f, t) -> (k, l)``.

    Fewer than two samples, or a constant, give NaN. Work: ``t²`` a pair. Peak memory: the
    series, and 4 samples per sample of one pair.
    """
    out = np.full((len(a), len(b)), np.nan)
    for i in range(len(a)):
        for j in range(i if upper else 0, len(b)):
            both = (np.isfinite(a[i]) & np.isfinite(b[j])).all(axis=0)
            x, y = (np.ascontiguousarray(s[:, both]) for s in (a[i], b[j]))
            if x.shape[1] > 1:
                out[i, j] = _pair(x, y)
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
