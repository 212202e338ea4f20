"""Soft dynamic time warping: the minimum over paths, smoothed.

Cuturi & Blondel (2017), ICML, PMLR 70, 894-903. The divergence: Blondel, Mensch & Vert (2021),
AISTATS, PMLR 130, 3853-3861.
"""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import distances
from fhemb_xr.kernels.dtw.constraints import constraint_of
from fhemb_xr.typing import F64, Floats, Ints


def values(
    a: F64,
    b: F64,
    lengths_a: Ints,
    lengths_b: Ints,
    *,
    upper: bool = False,
    gamma: float = 1.0,
    window: float | None = None,
    itakura: float | None = None,
) -> F64:
    """Soft minimum over paths of the summed squares: ``(k, f, t), (l, f, t) -> (k, l)``.

    Series without samples, and pairs that no path joins, give NaN. Peak memory: twice the
    series, and 6 samples per sample of the longest.
    """
    out = np.full((len(a), len(b)), np.nan)
    pairs, limits = (
        distances.joinable(lengths_a, lengths_b, upper),
        constraint_of(window, itakura),
    )
    distances.table(_pair, a, b, lengths_a, lengths_b, pairs, limits, out, p=float(gamma))
    return out


def divergences(a: F64, b: F64, lengths_a: Ints, lengths_b: Ints, **options: Any) -> F64:
    """The same less half of each series with itself, so that equals are at 0."""
    own = []
    for x, n in ((a, lengths_a), (b, lengths_b)):
        alone = {**options, "upper": False}
        each = [
            values(x[i : i + 1], x[i : i + 1], n[i : i + 1], n[i : i + 1], **alone)[0, 0]
            for i in range(len(x))
        ]
        own.append(np.array(each))
    between = values(a, b, lengths_a, lengths_b, **options)
    return np.asarray(between - (own[0][:, None] + own[1]) / 2)


@kernel
def _pair(
    x: Floats, y: Floats, n: int, m: int, low: Ints, high: Ints, code: int, gamma: float,
    buffers: Floats,
) -> Any:  # fmt: skip
    now, old, older = distances.start(buffers)
    cost = buffers[3]
    for d in range(n + m - 1):
        first, last = low[d], high[d]
        cells = last - first + 1
        distances.squares(x, y, first, m - 1 - d + first, max(0, cells), cost)
        for k in range(cells):
            above, left, across = old[first + k], old[first + k + 1], older[first + k]
            now[first + k + 1] = cost[k] + _soft_minimum(above, left, across, gamma)
        now[first] = now[last + 2] = np.inf
        now, old, older = older, now, old
    return old[n]


@kernel
def _soft_minimum(a: float, b: float, c: float, gamma: float) -> Any:
    least = min(a, b, c)
    if least == np.inf:
        return least
    total = np.exp((least - a) / gamma) + np.exp((least - b) / gamma)
    return least - gamma * np.log(total + np.exp((least - c) / gamma))
