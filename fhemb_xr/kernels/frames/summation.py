"""The compiled sweep that sums differences and unpacks the sums."""

import numpy as np

from fhemb_xr.kernels._jit import kernel

_NAN = np.float32(np.nan)


@kernel
def undo(coded, bounds, scale, offset, missing, value, out):
    """``(s, t, p) -> (s, rows, pixels)``; see :func:`.differences.temperatures`.

    The differences are summed once for the last sample of each pixel, with which the next
    pixel begins, and once more for all samples.
    """
    first_row, last_row, first, last = bounds
    n_lead, n_time, n_pixels = coded.shape
    n_summed = n_pixels if n_lead > 1 else last
    part = value[first:last]
    carry = np.int64(0)
    for s in range(n_lead):
        frames = coded[s]
        value[:] = 0
        for t in range(n_time):
            row = frames[t]
            for j in range(n_summed):
                value[j] = np.int16(value[j] + row[j])
        for j in range(n_summed):
            total = value[j]
            value[j] = np.int16(carry)
            carry += total
        for t in range(last_row):
            row = frames[t, first:last]
            if t < first_row:
                for j in range(len(part)):
                    part[j] = np.int16(part[j] + row[j])
                continue
            shown = out[s, t - first_row]
            for j in range(len(part)):
                v = np.int16(part[j] + row[j])
                part[j] = v
                shown[j] = _NAN if v == missing else np.float32(v) * scale + offset
