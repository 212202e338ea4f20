"""Distances of two points of several features, as scipy.spatial.distance defines them."""

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.typing import Floats

CODES = {
    "sqeuclidean": 0,
    "euclidean": 1,  # summed as squares, rooted at the end
    "cityblock": 2,
    "chebyshev": 3,
    "minkowski": 4,
    "canberra": 5,
    "braycurtis": 6,
    "cosine": 7,
    "correlation": 8,
    "hamming": 9,
    "jaccard": 10,
    "rooted": 11,  # euclidean at every point
}


@kernel
def distance(x: Floats, y: Floats, i: int, j: int, code: int, p: float) -> float:
    """Distance of ``x[:, i]`` and ``y[:, j]``.

    An undefined ratio is 0 for equal points and 1 for others.
    """
    if code == 3:
        return float(np.max(np.abs(x[:, i] - y[:, j])))
    if code in (7, 8):
        return _angle(x, y, i, j, code == 8)
    total = over = 0.0
    for f in range(x.shape[0]):
        u, v = float(x[f, i]), float(y[f, j])
        if code in (6, 10):
            over += abs(u + v) if code == 6 else (1.0 if u != 0 or v != 0 else 0.0)
        total += _term(u, v, code, p)
    if code == 4:
        return float(total ** (1 / p))
    if code == 9:
        return float(total / x.shape[0])
    if code in (6, 10):
        return total / over if over > 0 else (1.0 if total > 0 else 0.0)
    return float(np.sqrt(total)) if code == 11 else total


@kernel
def _term(u: float, v: float, code: int, p: float) -> float:
    e = abs(u - v)
    if code in (2, 6):
        return e
    if code == 4:
        return float(e**p)
    if code == 5:
        return e / (abs(u) + abs(v)) if e > 0 else 0.0
    if code in (9, 10):
        return 1.0 if e > 0 else 0.0
    return e * e


@kernel
def _angle(x: Floats, y: Floats, i: int, j: int, centred: bool) -> float:
    """1 minus the cosine of two points, or of their deviations from their means."""
    mx = my = xx = yy = xy = 0.0
    for f in range(x.shape[0]):
        mx += x[f, i] / x.shape[0] if centred else 0.0
        my += y[f, j] / x.shape[0] if centred else 0.0
    for f in range(x.shape[0]):
        u, v = x[f, i] - mx, y[f, j] - my
        xx, yy, xy = xx + u * u, yy + v * v, xy + u * v
    if xx * yy > 0:
        return float(max(0.0, 1 - xy / np.sqrt(xx * yy)))
    return 0.0 if xx + yy == 0 else 1.0
