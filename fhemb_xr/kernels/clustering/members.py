"""Rows of a distance matrix that hold numbers, and its condensed form."""

import numpy as np

from fhemb_xr.typing import F64, Ints


def members(d: F64) -> Ints:
    """Who has data: ``(n, n) -> (m,)``.

    Whoever misses most is left out first, until no value is missing between the others.
    """
    there = np.isfinite(d) & np.isfinite(d.T)
    left = np.arange(len(d))
    while left.size and not there[np.ix_(left, left)].all():
        missing = (~there[np.ix_(left, left)]).sum(axis=1)
        left = np.delete(left, missing.size - 1 - np.argmax(missing[::-1]))
    return left


def condensed(d: F64) -> F64:
    """Upper half of a symmetric matrix, row by row: ``(n, n) -> (n (n - 1) / 2,)``."""
    i, j = np.triu_indices(len(d), 1)
    return np.asarray((d[i, j] + d[j, i]) / 2)
