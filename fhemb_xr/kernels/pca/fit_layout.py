"""How a fit of eigenfaces is laid out in one array, and the signs of components."""

from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Floats


def layout(
    components: Floats, variances: Floats, total: float, seen: Any, mean: Any, scale: Any
) -> F64:
    """The fit, with the largest absolute loading of each component positive."""
    k, p = components.shape[0], seen.size
    out = np.full((k + 3, p + 2), np.nan)
    out[-1, :p], out[-1, p:] = seen, 0
    if not seen.any():
        return out
    out[:k, :p] = np.where(seen, components * signs(components)[:, None], np.nan)
    out[:k, p] = variances
    out[:k, p + 1] = (
        variances / total if total > 0 else np.where(np.isnan(variances), np.nan, 0)
    )
    out[k, :p], out[k + 1, :p] = np.where(seen, mean, np.nan), np.where(seen, scale, np.nan)
    return out


def signs(components: Floats) -> F64:
    """-1 where the largest absolute loading is negative: ``(k, p) -> (k)``."""
    filled = np.nan_to_num(components)
    largest = filled[np.arange(len(filled)), np.abs(filled).argmax(axis=1)]
    return np.where(largest < 0, -1.0, 1.0)
