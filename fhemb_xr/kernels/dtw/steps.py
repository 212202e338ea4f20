"""Steps of a sweep over one diagonal: the costs of its cells, and the least of three ways."""

from typing import Any

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.dtw import point_metrics, sweep
from fhemb_xr.typing import Floats


@kernel
def point_costs(
    x: Floats, y: Floats, i0: int, j0: int, count: int, costs: Floats, metric: tuple[int, float]
) -> None:
    """Distances of the points on one diagonal by any metric."""
    for k in range(count):
        costs[k] = point_metrics.distance(x, y, i0 + k, j0 + k, metric[0], metric[1])


@kernel
def least(up: float, left: float, across: float, metric: tuple[int, float]) -> Any:
    """The least of the three ways to a cell."""
    return sweep.least(up, left, across)


@kernel
def squares(
    x: Floats, y: Floats, i0: int, j0: int, count: int, costs: Floats, gamma: float
) -> None:
    """Squared distances of the points on one diagonal."""
    i, j = np.uint64(i0), np.uint64(j0)
    for k in range(np.uint64(count)):
        costs[k] = 0
    for f in range(x.shape[0]):
        u, v = x[f], y[f]
        for k in range(np.uint64(count)):
            e = u[i + k] - v[j + k]
            costs[k] += e * e


@kernel
def soft_minimum(up: float, left: float, across: float, gamma: float) -> Any:
    """``-gamma log(exp(-up / gamma) + exp(-left / gamma) + exp(-across / gamma))``."""
    least = min(up, left, across)
    if least == np.inf:
        return least
    # about the least, so that no exponential overflows
    total = np.exp((least - up) / gamma) + np.exp((least - left) / gamma)
    return least - gamma * np.log(total + np.exp((least - across) / gamma))
