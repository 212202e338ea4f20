"""Which method fits a basis.

Every method takes ``x (..., *samples, y, x)`` and gives fits, laid out by
:class:`fhemb_xr.kernels.pca.fit_layout.FitLayout`. A second pass waits for the first one and
reads the source again, so that no pass holds the recording in memory.
"""

import math
from typing import Any

from fhemb_xr import budget
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.pca import randomized
from fhemb_xr.ops.pca.covariance import by_covariance, interquartile_range
from fhemb_xr.ops.pca.in_memory import robust, sparse
from fhemb_xr.ops.pca.incremental import incremental


def fitted(x: Any, n: int, k: int, method: str, scaler: str, seed: Any, alpha: float) -> Any:
    """The fits of ``method``; ``x`` has ``n`` sample axes."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    if method == "covariance":
        return by_covariance(x, n, k, scaler)
    if method == "randomized":
        iqr = interquartile_range(x, n) if scaler == "robust" else None
        return randomized.randomized(x, n, k, scaler, seed, iqr)
    if method == "incremental":
        return incremental(x, n, k, scaler)
    budget.check(
        64 * frames * p,
        f"method {method!r} of {frames} frames of {p} pixels",
        "method='covariance' goes chunk by chunk, or take fewer frames or pixels",
    )
    width = FitLayout(k, p, sparse=method == "sparse").shape
    if method == "sparse":
        how = {"k": k, "scaler": scaler, "alpha": alpha, "seed": seed}
        return frame_stacks.whole(x, n, sparse, width, **how)
    return frame_stacks.whole(x, n, robust, width, k=k, scaler=scaler)
