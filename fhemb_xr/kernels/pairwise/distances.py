"""A relation as distances: ``(..., n, n) -> (..., n, n)``, 0 for equals and never negative."""

import numpy as np

from fhemb_xr.typing import F64, Floats


def distances(m: Floats, similar: bool) -> F64:
    """Distances of a relation; a similarity becomes ``1 - m``. NaN stay NaN.

    A matrix with negative distances (a z-score, soft-DTW) is shifted so that the smallest
    is 0: trees by average, complete, single and weighted linkage do not change.
    A member without a value with itself gets 0 there, if it has one with anybody else.

    Peak memory: 24 bytes per pair.
    """
    out = 1 - np.asarray(m, np.float64) if similar else np.array(m, np.float64)
    low = np.min(out, axis=(-2, -1), keepdims=True, initial=0.0, where=np.isfinite(out))
    out -= low
    n = out.shape[-1]
    own = np.einsum("...ii->...i", out)
    others = np.isfinite(out).sum(axis=-1) - np.isfinite(own)
    own[...] = np.where(np.isnan(own) & (others > 0) & (n > 1), 0.0, own)
    return out
