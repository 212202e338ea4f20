"""A finished relation on another scale: ``(n, n) -> (n, n)``, NaN left out and kept."""

from collections.abc import Callable

import numpy as np

from fhemb_xr.typing import F64


def _over(m: F64, scale: F64) -> F64:
    return np.asarray(m / np.where(scale > 0, scale, 1))


def _largest(m: F64, *, rows: bool = False) -> F64:
    axis = -1 if rows else None
    top = np.max(m, axis=axis, keepdims=True, initial=-np.inf, where=np.isfinite(m))
    return np.asarray(np.where(np.isfinite(top), top, 0))


def _max(m: F64) -> F64:
    return _over(m, _largest(np.abs(m)))


def _minmax(m: F64) -> F64:
    low = -_largest(-m)
    return _over(m - low, _largest(m) - low)


def _zscore(m: F64) -> F64:
    n = max(1, int(np.isfinite(m).sum()))
    m = m - np.nansum(m) / n
    return _over(m, np.sqrt(np.nansum(m**2) / n))


def _l1(m: F64) -> F64:
    return _over(m, np.nansum(np.abs(m), axis=-1, keepdims=True))


def _l2(m: F64) -> F64:
    return _over(m, np.sqrt(np.nansum(m**2, axis=-1, keepdims=True)))


def _softmax(m: F64) -> F64:
    e = np.exp(m - _largest(m, rows=True))
    return _over(e, np.nansum(e, axis=-1, keepdims=True))


def _sym(m: F64) -> F64:
    root = np.sqrt(np.abs(np.nansum(m, axis=-1)) + 1e-8)  # the original's guard
    return np.asarray(m / root[:, None] / root)


def _gauss(m: F64) -> F64:
    """Width: the median of the distances between different members."""
    apart = m[(np.eye(len(m)) == 0) & np.isfinite(m)]
    width = np.median(apart) if apart.size else 0.0
    return np.asarray(np.exp(-(m**2) / (2 * (width if width > 0 else 1.0) ** 2)))


SIMILARITIES = ("gauss", "invert", "complement")
"""Scales that turn a distance, 0 of equals, into a similarity, 1 of equals."""
SCALES: dict[str, Callable[[F64], F64]] = {
    "none": lambda m: m,
    "max": _max,
    "minmax": _minmax,
    "zscore": _zscore,
    "l1": _l1,
    "l2": _l2,
    "softmax": _softmax,
    "sym": _sym,
    "log": lambda m: np.asarray(np.log1p(m)),
    "gauss": _gauss,
    "invert": lambda m: np.asarray(1 / (1 + m)),
    "complement": lambda m: 1 - _minmax(m),
}
