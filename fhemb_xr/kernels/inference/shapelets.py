"""Distances of series to short pieces."""

import numpy as np

from fhemb_xr.typing import F64


def distances(x: F64, pieces: F64) -> F64:
    """Smallest mean squared difference over places: ``(..., f, t), (n, f, l) -> (..., n)``.

    NaN where a series misses a sample. Peak memory: 8 bytes per sample of the series and of
    the pieces, times their length.
    """
    length = pieces.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)
    out = np.empty((*x.shape[:-2], len(pieces)))
    for k, piece in enumerate(pieces):  # products would lose small differences of large means
        gap = windows - piece[:, None]
        out[..., k] = np.einsum("...fpl,...fpl->...p", gap, gap).min(axis=-1)
    whole = np.asarray(np.isfinite(x).all(axis=(-2, -1)))
    return np.asarray(np.where(whole[..., None], out / pieces[0].size, np.nan))
