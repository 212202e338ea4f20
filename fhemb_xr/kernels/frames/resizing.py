"""Frames of any box onto one grid, by separable weights.

``area``: each new pixel is the mean over the old ones that it covers, so the mean of the frame
stays what it is. ``linear``: interpolation between pixel centres. NaN pixels weigh nothing: a
new pixel is the weighted mean of the old ones that are there, and NaN where none is.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.typing import F64, Ints

METHODS = ("area", "linear")


@lru_cache(maxsize=1024)
def weights(old: int, new: int, method: str) -> F64:
    """Weights of ``old`` samples in each of ``new`` ones: ``(new, old)``, rows sum to 1."""
    if method == "area":
        edges = np.linspace(0, old, new + 1)
        upper = np.minimum(edges[1:, None], np.arange(1, old + 1))
        lower = np.maximum(edges[:-1, None], np.arange(old))
        cover = np.clip(upper - lower, 0, None)
        return np.asarray(cover / cover.sum(axis=1, keepdims=True))
    centre = (np.arange(new) + 0.5) * old / new - 0.5
    distance = np.abs(np.clip(centre, 0, old - 1)[:, None] - np.arange(old))
    return np.asarray(np.clip(1 - distance, 0, None))


def resize(
    x: NDArray[Any],
    height: NDArray[np.integer[Any]],
    width: NDArray[np.integer[Any]],
    shape: tuple[int, int],
    method: str,
) -> NDArray[Any]:
    """Boxes centred on a grid to ``shape``: ``(t, y, x), (t), (t) -> (t, rows, columns)``.

    A box of odd remainder sits one pixel nearer the origin. No box (0): NaN.

    Peak memory: 24 bytes per pixel of the frames that share a box size.
    """
    out = np.full((len(x), *shape), np.nan, x.dtype)
    sizes = np.stack([height, width], axis=-1)
    for h, w in np.unique(sizes[(height > 0) & (width > 0)], axis=0):
        if h > x.shape[1] or w > x.shape[2]:
            raise ValueError(
                f"a box of {h} × {w} pixels on a grid of {x.shape[1]} × {x.shape[2]}: height "
                "and width are not of these frames"
            )
        at = np.flatnonzero((height == h) & (width == w))
        top, left = (x.shape[1] - h) // 2, (x.shape[2] - w) // 2
        box = x[at, top : top + h, left : left + w].astype(np.float64)
        a, b = weights(int(h), shape[0], method), weights(int(w), shape[1], method).T
        finite = np.isfinite(box)
        total = a @ np.where(finite, box, 0) @ b
        if not finite.all():
            share = a @ finite.astype(np.float64) @ b
            # rounding of the weights must not turn an uncovered pixel into a number
            total = np.where(share > 1e-9, total / np.maximum(share, 1e-9), np.nan)
        out[at] = total
    return out


def boxes(x: NDArray[Any]) -> tuple[Ints, Ints]:
    """Size of the smallest centred box that holds the finite pixels: ``(t, y, x) -> (t), (t)``.

    Peak memory: 2 bytes per sample.
    """
    seen = np.isfinite(x)
    sizes = []
    for axis, n in ((2, x.shape[1]), (1, x.shape[2])):
        line = seen.any(axis=axis)
        first, last = line.argmax(axis=1), n - line[:, ::-1].argmax(axis=1)
        # a box of h begins at (n - h) // 2: the side that reaches farther decides
        size = np.maximum(n - 2 * first - 1, 2 * last - n)
        sizes.append(np.where(line.any(axis=1), np.maximum(size, last - first), 0))
    return sizes[0], sizes[1]
