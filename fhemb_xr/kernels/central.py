"""Central moments of a chunk in two sweeps over what is in the cache.

The first sweep finds count and mean, the second the sums of powers of what is left; both see a
strip of columns that stays in the second-level cache, four rows at a time, so that the running
sums are loaded and stored a quarter as often. Sums are float64.
"""

import numpy as np

from fhemb_xr.kernels._jit import fast_kernel

_STRIP = 256


@fast_kernel
def of_columns(x, out):
    """States of the columns: ``(t, p), (p, 5)``, the second is filled."""
    for a in range(0, x.shape[1], _STRIP):
        strip = x[:, a : a + _STRIP]
        count, mean = _means(strip)
        m2, m3, m4 = _powers(strip, mean)
        for j in range(strip.shape[1]):
            out[a + j, 0], out[a + j, 1] = count[j], mean[j]
            out[a + j, 2], out[a + j, 3], out[a + j, 4] = m2[j], m3[j], m4[j]


@fast_kernel
def of_rows(x, out):
    """States of the rows: ``(p, t), (p, 5)``, the second is filled."""
    for i in range(x.shape[0]):
        count = mean = m2 = m3 = m4 = 0.0
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            seen = abs(value) < np.inf  # neither NaN nor infinite
            count += 1.0 if seen else 0.0
            mean += value if seen else 0.0
        mean /= max(count, 1.0)
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            d = value - mean if abs(value) < np.inf else 0.0
            m2 += d * d
            m3 += d * d * d
            m4 += d * d * (d * d)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3], out[i, 4] = count, mean, m2, m3, m4


@fast_kernel
def _means(x):
    t, p = x.shape
    count, mean = np.zeros(p), np.zeros(p)
    for i in range(0, t - t % 4, 4):
        for j in range(p):
            a, b = np.float64(x[i, j]), np.float64(x[i + 1, j])
            c, d = np.float64(x[i + 2, j]), np.float64(x[i + 3, j])
            e, f, g, h = abs(a) < np.inf, abs(b) < np.inf, abs(c) < np.inf, abs(d) < np.inf
            count[j] += (
                (1.0 if e else 0.0)
                + (1.0 if f else 0.0)
                + (1.0 if g else 0.0)
                + (1.0 if h else 0.0)
            )
            mean[j] += (
                (a if e else 0.0) + (b if f else 0.0) + (c if g else 0.0) + (d if h else 0.0)
            )
    for i in range(t - t % 4, t):
        for j in range(p):
            v = np.float64(x[i, j])
            count[j] += 1.0 if abs(v) < np.inf else 0.0
            mean[j] += v if abs(v) < np.inf else 0.0
    for j in range(p):
        mean[j] /= max(count[j], 1.0)
    return count, mean


@fast_kernel
def _powers(x, mean):
    t, p = x.shape
    m2, m3, m4 = np.zeros(p), np.zeros(p), np.zeros(p)
    for i in range(0, t - t % 4, 4):
        for j in range(p):
            v0, v1 = np.float64(x[i, j]), np.float64(x[i + 1, j])
            v2, v3 = np.float64(x[i + 2, j]), np.float64(x[i + 3, j])
            a = v0 - mean[j] if abs(v0) < np.inf else 0.0
            b = v1 - mean[j] if abs(v1) < np.inf else 0.0
            c = v2 - mean[j] if abs(v2) < np.inf else 0.0
            d = v3 - mean[j] if abs(v3) < np.inf else 0.0
            e, f, g, h = a * a, b * b, c * c, d * d
            m2[j] += (e + f) + (g + h)
            m3[j] += (e * a + f * b) + (g * c + h * d)
            m4[j] += (e * e + f * f) + (g * g + h * h)
    for i in range(t - t % 4, t):
        for j in range(p):
            v = np.float64(x[i, j])
            d = v - mean[j] if abs(v) < np.inf else 0.0
            m2[j] += d * d
            m3[j] += d * d * d
            m4[j] += d * d * (d * d)
    return m2, m3, m4
