"""One number for a series in a segment, and what a search asks of the series.

References
----------
- Hjorth (1970), Electroencephalogr. Clin. Neurophysiol. 29, 306-310,
  doi:10.1016/0013-4694(70)90143-4 (mobility).
"""

import numpy as np

from fhemb_xr.typing import F64

SUMMARIES = ("log_variance", "mean", "mobility_hz")
"""What a segment of a series can be summed up in."""


def mobility(x: F64, rate_hz: float) -> F64:
    """Root mean square frequency [Hz]: ``(..., t) -> (...)``; NaN for a constant series."""
    centred = x - x.mean(axis=-1, keepdims=True)
    power = (centred**2).mean(axis=-1)
    moved = (np.diff(x, axis=-1) ** 2).mean(axis=-1) if x.shape[-1] > 1 else power * np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.sqrt(moved / power) * rate_hz / (2 * np.pi)
    return np.asarray(np.where(power > 0, out, np.nan))


def summary(x: F64, how: str, rate_hz: float) -> F64:
    """One of :data:`SUMMARIES`: ``(..., t) -> (...)``; NaN where a sample is missing.

    The logarithm of no variance is missing, not minus infinity.
    """
    if how == "mean":
        return np.asarray(x.mean(axis=-1))
    if how == "mobility_hz":
        return mobility(x, rate_hz)
    variance = x.var(axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(variance > 0, np.log(variance), np.nan))


def columns(x: F64, *, wanted: tuple[tuple[int, int, str], ...], rate_hz: float) -> F64:
    """Value, energy and mobility of columns: ``(..., f, t) -> (..., k, 3)``.

    A column is a filtered series, the same before the filter, and a summary. Its energy is the
    share of the variance in the segment that the filter has left.

    Peak memory: 24 bytes for each sample.
    """
    series = np.asarray(x, np.float64)
    power, speed = series.var(axis=-1), mobility(series, rate_hz)
    out = np.empty((*series.shape[:-2], len(wanted), 3))
    for k, (f, raw, how) in enumerate(wanted):
        whole = power[..., raw]
        out[..., k, 0] = summary(series[..., f, :], how, rate_hz)
        share = power[..., f] / np.where(whole > 0, whole, 1)
        out[..., k, 1] = np.where(whole > 0, share, np.nan)
        out[..., k, 2] = speed[..., f]
    return out
