"""Missing pixels of a frame, expected from those that are there."""

import math
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr.kernels.pca import imputation
from fhemb_xr.kernels.pca import pixel_statistics as kernel
from fhemb_xr.ops.blockwise import frame_stacks
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.ops.pca import randomized
from fhemb_xr.ops.pca.covariance import (
    by_covariance,
    covariance_bytes,
    pixels_of,
)
from fhemb_xr.options import options

REFINEMENTS = 2
"""Fits that fill gaps, each by the one before: after two the variances change in the third
digit (2 % of the pixels missing)."""


OVERSAMPLED = 10
"""Components of the fits that fill gaps, beyond those that are asked for."""


def imputed(x: Any, n: int, k: int) -> Any:
    """``x`` with gaps filled: by the pixel's mean, then by ``k`` components and more.

    One pass for the means, one for each of :data:`REFINEMENTS` fits.
    """
    pixels, lazy = pixels_of(x, n), isinstance(x, da.Array)
    out = (
        frame_stacks.per_block(_filled, again(x, pixels), n, pixels, x.dtype)
        if lazy
        else _filled(x, pixels, n=n)
    )
    p, frames = math.prod(x.shape[-2:]), math.prod(x.shape[-2 - n : -2])
    rank = min(k + OVERSAMPLED, p, frames)
    small = covariance_bytes(p) <= options.budget
    for _ in range(REFINEMENTS):
        fit = (
            by_covariance(out, n, rank, "center")
            if small
            else randomized.randomized(out, n, rank, "center", 0)
        )
        out = (
            frame_stacks.per_block(_refilled, again(x, fit), n, fit, x.dtype)
            if lazy
            else _refilled(x, fit, n=n)
        )
    return out


def _filled(x: Any, pixels: Any, n: int) -> Any:
    return kernel.filled(frame_stacks.flat(x, n), pixels).reshape(x.shape)


def _refilled(x: Any, fit: Any, n: int) -> Any:
    flat = frame_stacks.flat(x, n)
    out = np.empty_like(flat)
    for where in np.ndindex(flat.shape[:-2]):
        out[where] = imputation.filled(flat[where], fit[where])
    return out.reshape(x.shape)
