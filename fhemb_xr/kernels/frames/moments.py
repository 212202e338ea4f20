"""Central moments that merge exactly across chunks.

A *state* ends in an axis of length 5, ``(n, mean, M2, M3, M4)``, where
``M_p = sum((x - mean)**p)`` over the finite samples. States of disjoint samples merge
with no error beyond rounding, so an axis of any length is reduced in one pass and in
bounded memory.

References
----------
- Pébay, Terriberry, Kolla & Bennett (2016), Comput. Stat. 31, 1305-1325,
  doi:10.1007/s00180-015-0637-z.
"""

import math

import numpy as np

from fhemb_xr.typing import Floats

COMPILED = 2**18  # samples from which compiling a loop pays
MOMENTS = ("mean", "variance", "skewness", "kurtosis")


def state(x: Floats) -> Floats:
    """State of the samples on the last axis: ``(..., t) -> (..., 5)``.

    Peak memory: 17 bytes per sample (two float64 buffers and a mask) of a small array; a large
    one is not copied, if the axes inside the last are contiguous.
    """
    if x.size >= COMPILED and x.dtype == np.float32:
        return _compiled(x)
    finite = np.isfinite(x)
    n = finite.sum(axis=-1)
    mean = x.sum(axis=-1, where=finite, dtype=np.float64) / np.maximum(n, 1)
    d = np.zeros_like(x, dtype=np.float64)  # "like": keeps the memory order of x
    np.subtract(x, mean[..., None], out=d, where=finite)
    d2 = d * d
    m2 = d2.sum(axis=-1)
    m3 = np.einsum("...t,...t->...", d2, d)
    m4 = np.einsum("...t,...t->...", d2, d2)
    return np.stack([n, mean, m2, m3, m4], axis=-1)


def _compiled(x: Floats) -> Floats:
    """The same by compiled loops, in the order in which the samples lie in memory."""
    from fhemb_xr.kernels.frames import central_moments  # numba takes a second to import

    last = x.ndim - 1
    order = sorted(range(last), key=lambda axis: -x.strides[axis])
    outer = [a for a in order if x.strides[a] > x.strides[last]]
    inner = order[len(outer) :]
    lead = [x.shape[a] for a in (*outer, *inner)]
    out = np.empty((*lead, 5))
    if inner:
        laid = np.ascontiguousarray(x.transpose(*outer, last, *inner))
        width = math.prod(lead[len(outer) :])
        blocks = laid.reshape(-1, x.shape[last], width)
        for block, found in zip(blocks, out.reshape(len(blocks), -1, 5), strict=True):
            central_moments.of_columns(block, found)
    else:
        rows = np.ascontiguousarray(x.transpose(*outer, last)).reshape(-1, x.shape[last])
        central_moments.of_rows(rows, out.reshape(-1, 5))
    return out.transpose(*np.argsort([*outer, *inner]), last)


def merge(states: Floats) -> Floats:
    """Merge ``k`` states laid end to end: ``(..., 5 * k) -> (..., 5)``."""
    parts = states.reshape(*states.shape[:-1], -1, 5)
    n, mean, m2, m3, m4 = np.moveaxis(parts, -1, 0)
    total = n.sum(axis=-1)
    centre = (n * mean).sum(axis=-1) / np.maximum(total, 1)
    d = mean - centre[..., None]  # shift of each part to the common mean
    m2, m3, m4 = (
        m2 + n * d**2,
        m3 + 3 * d * m2 + n * d**3,
        m4 + 4 * d * m3 + 6 * d**2 * m2 + n * d**4,
    )
    return np.stack([total, centre, *(m.sum(axis=-1) for m in (m2, m3, m4))], axis=-1)


def finish(states: Floats) -> Floats:
    """Merge, then read off :data:`MOMENTS`: ``(..., 5 * k) -> (..., 4)``.

    No finite sample: NaN throughout. A constant signal: NaN skewness and kurtosis, by
    the same threshold as :func:`scipy.stats.skew`.
    """
    n, mean, m2, m3, m4 = np.moveaxis(merge(states), -1, 0)
    n = np.where(n > 0, n, np.nan)
    mean, variance = mean * n / n, m2 / n
    flat = variance <= (np.finfo(np.float64).eps * mean) ** 2
    spread = np.where(flat, np.nan, variance)
    return np.stack([mean, variance, m3 / n / spread**1.5, m4 / n / spread**2 - 3], axis=-1)
