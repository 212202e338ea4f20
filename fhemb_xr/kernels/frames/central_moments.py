"""Central moments of a chunk in one sweep over it.

Powers of deviations from a shift are summed, in float64, and moved to the mean afterwards. The
shift is the first finite sample, and that bounds what the move can lose: it is one of the n
samples, so the sums of even powers about it are at most 8 (n + 1) times those about the mean,
and so is the rounding error at most; it is hardly larger where the first sample is within a few
standard deviations of the mean. Columns go strip by strip, so that their running sums stay in
the first-level cache, four rows at a time, so that these are loaded a quarter as often.
"""

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel, kernel

_STRIP = 512
_LOOK = 16  # rows in which the first samples are looked for
# all sums of a strip lie in one array, at distances the compiler knows: it vectorises then
_S1, _S2, _S3, _S4, _SHIFT = _STRIP, 2 * _STRIP, 3 * _STRIP, 4 * _STRIP, 5 * _STRIP


@kernel
def _about_mean(n, s1, s2, s3, s4, shift, out):
    """Count, mean and central sums from sums of powers about a shift."""
    d = s1 / max(n, 1.0)
    m2 = s2 - d * s1
    out[0], out[1], out[2] = n, shift + d, max(m2, 0.0)
    out[3] = s3 - d * (3 * s2 - 2 * d * s1)
    out[4] = max(s4 - d * (4 * s3 - d * (6 * s2 - 3 * d * s1)), 0.0)


@fast_kernel
def of_columns(x, out):
    """States of the columns: ``(t, p), (p, 5)``, the second is filled."""
    sums, found = np.empty(6 * _STRIP), np.empty(_STRIP, np.bool_)
    for a in range(0, x.shape[1], _STRIP):
        width = min(_STRIP, x.shape[1] - a)
        sums[:], found[:] = 0, False
        for i in range(min(_LOOK, x.shape[0])):
            _shift(x[i, a : a + width], sums[_SHIFT:], found)
        _powers(x, a, a + width, sums)
        for j in range(width):
            if sums[j] > 0 and not found[j]:  # its first sample comes late
                _row(x[:, a + j].copy(), out[a + j])
                continue
            n, s1, s2 = sums[j], sums[_S1 + j], sums[_S2 + j]
            s3, s4, shift = sums[_S3 + j], sums[_S4 + j], sums[_SHIFT + j]
            _about_mean(n, s1, s2, s3, s4, shift, out[a + j])


@fast_kernel
def of_rows(x, out):
    """States of the rows: ``(p, t), (p, 5)``, the second is filled."""
    for i in range(x.shape[0]):
        _row(x[i], out[i])


@fast_kernel
def _row(x, out):
    shift = 0.0
    for j in range(x.size):
        if abs(x[j]) < np.inf:
            shift = np.float64(x[j])
            break
    n = s1 = s2 = s3 = s4 = 0.0
    for j in range(x.size):
        away = np.float64(x[j]) - shift
        seen = abs(away) < np.inf  # neither NaN nor infinite
        d = away if seen else 0.0
        n += 1.0 if seen else 0.0
        s1 += d
        s2 += d * d
        s3 += d * d * d
        s4 += d * d * (d * d)
    _about_mean(n, s1, s2, s3, s4, shift, out)


@kernel
def _shift(row, shift, found):
    """Take finite samples of a row as the shifts of columns that have none."""
    for j in range(row.size):
        if not found[j] and abs(row[j]) < np.inf:
            shift[j], found[j] = row[j], True


@fast_kernel
def _powers(x, start, stop, sums):
    """Number of finite samples, and sums of four powers of their deviations from the shift."""
    t = x.shape[0]
    for i in range(0, t - t % 4, 4):
        # rows, and not a slice of x: the compiler knows that they are contiguous
        x0, x1 = x[i, start:stop], x[i + 1, start:stop]
        x2, x3 = x[i + 2, start:stop], x[i + 3, start:stop]
        for j in range(x0.size):
            shift = sums[_SHIFT + j]
            a, b = np.float64(x0[j]) - shift, np.float64(x1[j]) - shift
            c, d = np.float64(x2[j]) - shift, np.float64(x3[j]) - shift
            k, m, q, r = abs(a) < np.inf, abs(b) < np.inf, abs(c) < np.inf, abs(d) < np.inf
            a, b, c, d = a if k else 0.0, b if m else 0.0, c if q else 0.0, d if r else 0.0
            e, f, g, h = a * a, b * b, c * c, d * d
            n = (1.0 if k else 0.0) + (1.0 if m else 0.0)
            sums[j] += n + (1.0 if q else 0.0) + (1.0 if r else 0.0)
            sums[_S1 + j] += (a + b) + (c + d)
            sums[_S2 + j] += (e + f) + (g + h)
            sums[_S3 + j] += (e * a + f * b) + (g * c + h * d)
            sums[_S4 + j] += (e * e + f * f) + (g * g + h * h)
    for i in range(t - t % 4, t):
        row = x[i, start:stop]
        for j in range(row.size):
            d = np.float64(row[j]) - sums[_SHIFT + j]
            seen = abs(d) < np.inf
            d = d if seen else 0.0
            sums[j] += 1.0 if seen else 0.0
            sums[_S1 + j] += d
            sums[_S2 + j] += d * d
            sums[_S3 + j] += d * d * d
            sums[_S4 + j] += d * d * (d * d)
