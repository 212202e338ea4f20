"""Robust principal components: a low-rank part, and sparse outliers."""

import numpy as np

from fhemb_xr.typing import F64, Floats


def low_rank(x: Floats, steps: int = 500, tolerance: float = 1e-7) -> F64:
    """The low-rank part of ``x`` = low rank + sparse, ``(t, p) -> (t, p)``.

    Principal component pursuit by the inexact augmented Lagrangian method. Peak memory: 56
    bytes per sample.
    """
    norm = np.linalg.norm(x)
    if norm == 0:
        return np.array(x)
    weight = 1 / np.sqrt(max(x.shape))
    two = np.linalg.norm(x, 2)
    dual = x / max(two, np.abs(x).max() / weight)
    mu, low, sparse = 1.25 / two, np.zeros(x.shape), np.zeros_like(x)
    for _ in range(steps):
        low = _shrunk_spectrum(x - sparse + dual / mu, float(1 / mu))
        rest = x - low + dual / mu
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / mu, 0)
        miss = x - low - sparse
        dual += mu * miss
        mu = min(mu * 1.5, 1.25e7 / two)
        if np.linalg.norm(miss) < tolerance * norm:
            break
    return low


def _shrunk_spectrum(x: Floats, by: float) -> F64:
    u, s, v = np.linalg.svd(x, full_matrices=False)
    kept = int((s > by).sum())
    return np.asarray((u[:, :kept] * (s[:kept] - by)) @ v[:kept])
