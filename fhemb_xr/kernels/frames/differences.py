"""Differences of a pixel from frame to frame, and back.

Pixel after pixel, each sample is stored as its difference from the sample before. The first
sample of a pixel is the difference from the last sample of the pixel before. This is what the
codec ``delta`` of numcodecs makes of an array whose time is its last axis. Here the frames stay
whole: arrays are ``(leading, time, pixel)``. All sums wrap at 16 bits, so nothing is lost.
"""

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.typing import F32

I16 = NDArray[np.int16]
_COMPILED = 2**18  # number of samples from which the compiled loop is worth its start


def differences(values: I16) -> I16:
    """``(s, t, p) -> (s, t, p)``: the differences of 16-bit values.

    Peak memory: 2 bytes per sample, which are the result.
    """
    out = np.empty_like(values)
    np.subtract(values[:, 1:], values[:, :-1], out=out[:, 1:])
    before = np.zeros(values[:, 0].size, np.int16)
    before[1:] = values[:, -1].reshape(-1)[:-1]
    np.subtract(values[:, 0], before.reshape(values[:, 0].shape), out=out[:, 0])
    return out


def values(coded: I16) -> I16:
    """``(s, t, p) -> (s, t, p)``: the inverse of :func:`differences`.

    Peak memory: 2 bytes per sample, which are the result.
    """
    out = np.cumsum(coded, axis=1, dtype=np.int16)
    ends = np.cumsum(out[:, -1].reshape(-1), dtype=np.int16)
    out[:, :] += np.concatenate([np.zeros(1, np.int16), ends[:-1]]).reshape(len(out), 1, -1)
    return out


def temperatures(
    coded: I16,
    rows: slice,
    pixels: slice,
    packing: tuple[float, float, int],
    out: F32,
) -> None:
    """``(s, t, p) -> (s, rows, pixels)``: undo differences and packing in one sweep.

    Parameters
    ----------
    coded
        Differences, C-contiguous.
    rows, pixels
        Part of ``t`` and of ``p`` that is wanted.
    packing
        Scale, offset and missing value, which becomes NaN.
    out
        Array for the result, C-contiguous.

    Notes
    -----
    Peak memory: none but ``out``; 4 bytes per sample for arrays below 2**18 samples.
    """
    scale, offset, missing = packing
    if coded.size >= _COMPILED:
        from fhemb_xr.kernels.frames import summation

        bounds = rows.start, rows.stop, pixels.start, pixels.stop
        units = np.float32(scale), np.float32(offset), np.int16(missing)
        summation.undo(coded, bounds, *units, np.zeros(coded.shape[2], np.int16), out)
        return
    packed = values(coded)[:, rows, pixels]
    np.multiply(packed, np.float32(scale), out=out, dtype=np.float32)
    out += np.float32(offset)
    out[packed == missing] = np.nan
