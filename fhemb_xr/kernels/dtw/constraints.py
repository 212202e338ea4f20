"""Which cells of the table of two series a warping path may visit.

References
----------
- Sakoe & Chiba (1978), IEEE Trans. ASSP 26, 43-49, doi:10.1109/TASSP.1978.1163055.
- Itakura (1975), IEEE Trans. ASSP 23, 67-72, doi:10.1109/TASSP.1975.1162641.
"""

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.typing import Ints

Constraint = tuple[float, bool, float]


def constraint_of(window: float | None, itakura: float | None) -> Constraint:
    """The constraint as :func:`band` takes it: half-width, whether it is a fraction, slope."""
    share = isinstance(window, float)
    return -1.0 if window is None else float(window), share, float(itakura or 0)


@kernel
def half_width(window: float, share: bool, m: int) -> int:
    """Half-width of a window in samples; a ``share`` is of ``m``, the longer series."""
    return int(np.floor(window * m + 1e-9)) if share else int(window)


@kernel
def band(n: int, m: int, constraint: Constraint, low: Ints, high: Ints) -> bool:
    """Fill the first and last row of every diagonal; return whether a path remains.

    The shorter series has ``n`` samples. Sakoe-Chiba: the shorter series may lag behind by
    the window plus the difference in length, as in tslearn. Itakura: the parallelogram of
    tslearn, with its rounding to two decimals.
    """
    window, share, slope = constraint
    radius = half_width(window, share, m)
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
    """First and last row that the parallelogram allows in column ``j``."""
    steep, gentle = slope * n / m, n / (slope * m)
    low = max(np.round(gentle * j, 2), np.round(n - 1 - steep * (m - 1) + steep * j, 2))
    high = min(np.round(steep * j, 2), np.round(n - 1 - gentle * (m - 1) + gentle * j, 2))
    return int(np.ceil(low)), int(np.floor(high))


@kernel
def columns(n: int, m: int, low: Ints, high: Ints, first: Ints, last: Ints) -> None:
    """Fill the first and last column of every row, from the rows of every diagonal."""
    first[:n], last[:n] = m, -1
    bottom, top = 0, -1
    # From one diagonal to the next, few rows enter the band or leave it. Only these are
    # visited: a row that enters has its first column here, one that has left its last.
    for d in range(n + m - 1):
        for i in range(low[d], min(high[d] + 1, bottom)):
            first[i] = min(first[i], d - i)
        for i in range(max(low[d], top + 1), high[d] + 1):
            first[i] = min(first[i], d - i)
        for i in range(bottom, min(top + 1, low[d])):
            last[i] = max(last[i], d - 1 - i)
        for i in range(max(bottom, high[d] + 1), top + 1):
            last[i] = max(last[i], d - 1 - i)
        bottom, top = low[d], high[d]
    for i in range(bottom, top + 1):
        last[i] = max(last[i], n + m - 2 - i)
