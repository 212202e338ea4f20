"""Forecasts by a source that is shifted in time, and normal scores of series."""

import numpy as np

from fhemb_xr.kernels.directed import lagged
from fhemb_xr.kernels.directed.lagged import Design
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.typing import F64, Floats


def p_values(x: Floats, design: Design, shifts: RandomShifts) -> F64:
    """How often a shifted source forecasts as well: ``(c, t) -> (forecasts,)``.

    Only the source moves: the target, the stimulus and the others stay together. The F
    statistic is compared: it allows for the moments that gaps take. With a linear shift all
    forecasts are of the middle of the series. Memory: 80 MiB, and 40 bytes per sample of a
    group.
    """
    moves = [0, *shifts.drawn(x.shape[-1])]
    f = np.empty((len(moves), len(design.ordered)))
    for k, (group, source, target) in enumerate(design.ordered):
        channels = list(design.groups[group])
        whole = (tuple(range(len(channels))),)
        one = Design(design.n_lags, whole, design.n_given, ((0, source, target),))
        still = np.asarray(x[channels], np.float64)
        for i, by in enumerate(moves):
            f[i, k] = lagged.measures(
                lagged.state(_moved(still, source, by, shifts.margin), one), one
            )[lagged.MEASURES.index("f"), 0]
    return p_value(f[0], np.moveaxis(f[1:], 0, -1), tail="greater", exact=False)


def _moved(x: F64, source: int, by: int, margin: int | None) -> F64:
    if margin is None:
        out = x.copy()
        out[source] = np.roll(x[source], -by)
        return out
    end = x.shape[-1] - margin
    out = x[:, margin:end].copy()
    out[source] = x[source, margin + by : end + by]
    return out


def normal_scores(x: Floats) -> F64:
    """Ranks as quantiles of the normal distribution: ``(..., t) -> (..., t)``.

    Of n samples that are there, the one of rank r becomes the quantile ``r / (n + 1)``; equal
    samples share their mean rank. NaN stay. Memory: 60 bytes per sample of one series.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    out = np.full(x.shape, np.nan)
    for at in np.ndindex(x.shape[:-1]):
        there = np.isfinite(x[at])
        out[at][there] = ndtri(rankdata(x[at][there]) / (there.sum() + 1))
    return out
