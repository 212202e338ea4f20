"""How a basis is fitted beyond the covariance of pixels: each method, in its own few lines.

Every function takes ``x (..., *samples, y, x)`` and gives fits ``(..., k + 3, p + 2)`` as
:mod:`fhemb_xr.kernels.pca.pixel_statistics` lays them out. A second
pass waits for the first one and reads the source again, so that no pass holds the recording
in memory.
"""

import math
from typing import Any

from fhemb_xr import budget
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.pca import randomized
from fhemb_xr.ops.pca.covariance import (
    _iqr,
    by_covariance,
)
from fhemb_xr.ops.pca.in_memory import (
    _robust,
    _sparse,
)
from fhemb_xr.ops.pca.incremental import (
    incremental,
)


def fitted(x: Any, n: int, k: int, method: str, scaler: str, seed: Any, alpha: float) -> Any:
    """The fits of ``method``."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    if method == "covariance":
        return by_covariance(x, n, k, scaler)
    if method == "randomized":
        iqr = _iqr(x, n) if scaler == "robust" else None
        return randomized.randomized(x, n, k, scaler, seed, iqr)
    if method == "incremental":
        return incremental(x, n, k, scaler)
    budget.check(
        64 * frames * p,
        f"method {method!r} of {frames} frames of {p} pixels",
        "method='covariance' goes chunk by chunk, or take fewer frames or pixels",
    )
    task = {"sparse": _sparse, "robust": _robust}[method]
    extra = {"alpha": alpha, "seed": seed} if method == "sparse" else {}
    rows = 2 * k + 3 if method == "sparse" else k + 3
    return frame_stacks.whole(x, n, task, (rows, p + 2), k=k, scaler=scaler, **extra)
