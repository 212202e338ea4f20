"""Which pixels are seen: those that are not colder than a threshold."""

from typing import Any

import numpy as np


def limit(threshold: float, dtype: Any) -> Any:
    """The smallest number of ``dtype`` that is not below ``threshold``.

    ``x >= limit`` in the pixels' own dtype is ``x >= threshold`` in float64, without a float64
    copy of the pixels. NaN means no threshold.
    """
    dtype = np.dtype(dtype)
    if np.isnan(threshold):
        threshold = -np.inf
    if dtype.kind != "f":
        return np.float64(threshold)
    with np.errstate(over="ignore"):
        found = dtype.type(threshold)
    return np.nextafter(found, dtype.type(np.inf)) if float(found) < threshold else found
