"""How alike two series are at their best lags, softly: a maximum that has a derivative."""

from collections.abc import Hashable
from functools import partial

import numpy as np
import xarray as xr

from fhemb_xr.clock import Clock, require_same
from fhemb_xr.errors import warn
from fhemb_xr.kernels.pairwise import soft_lag as kernel
from fhemb_xr.ops.checks import require_flag, require_positive
from fhemb_xr.ops.pairwise.cross_correlation import SHIFTY, is_decimated
from fhemb_xr.ops.pairwise.matrix import labelled
from fhemb_xr.ops.pairwise.matrix_graph import related
from fhemb_xr.ops.pairwise.metric_options import lag_in_samples
from fhemb_xr.ops.pairwise.series_blocks import arranged, check_partner
from fhemb_xr.ops.pairwise.similarity import KIND, KINDS
from fhemb_xr.typing import F64

SOFT_LAG = "soft_lag"


def soft_lag(
    x: xr.DataArray,
    *,
    max_lag_s: float,
    beta: float = 10.0,
    dim: Hashable = "subject",
    mean: bool = True,
    other: xr.DataArray | None = None,
) -> xr.DataArray:
    """Soft maximum over lags of the correlation of every two series along ``dim``.

    It tells whether two people move alike at some lag, as ``"max_lagged_correlation"`` of
    :func:`pairwise` does. Where that takes the one highest correlation, here all lags count,
    the highest most: the value changes smoothly with the data, so an embedding can be learnt
    or searched by it, and one high value by chance counts less than a broad peak.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way. With a dimension ``feature`` (or
        ``component``) the correlation at a lag is the mean over the features; every entry of
        another dimension, such as ``session``, is compared apart.
    max_lag_s
        Largest lag to either side [s].
    beta
        How much the highest correlation counts, above 0: towards 0 the result is the mean over
        all lags, with a large ``beta`` the maximum.
    dim
        The dimension whose members are compared.
    mean
        True: the mean over the lags inside of the logarithm, a value from -1 to 1. False: the
        sum, as in the first definition; it is larger by ``log(lags) / beta``, so noise scores
        the higher the more lags there are, and values of other ``max_lag_s`` or rates cannot be
        compared.
    other
        Compare the series of ``x`` with these, and not with each other.

    Returns
    -------
    DataArray
        Matrix ``(…, dim_0, dim_1)``, float64, lazy where ``x`` is, with the labels of ``dim``
        on both sides: a similarity, see :func:`clusters`. Coordinate ``mean_lag`` [s]: the mean
        of the lags, weighted by ``exp(beta * r)``; positive where the second of the pair
        follows. On the diagonal it is below 1, unless a series is the same at all lags.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If a number is out of range, or ``other`` has other features, moments or length.
    BudgetError
        If a block of two series, or the matrix, is larger than the budget of a task.

    Warns
    -----
    UserWarning
        If lags are asked of bands of a decimated wavelet transform.

    Notes
    -----
    Definition: ``log(mean(exp(beta * r(lag)))) / beta`` over all lags, with Pearson's r of the
    samples that both have at the lag, centred on their own means. Lags at which one of them is
    constant are left out.

    Slow series have high values by chance, because lags beside each other are alike. Whether a
    pair is more alike than chance says ``fx.synchrony(x, "soft_lag", null="linear", seed=0,
    max_lag_s=...)``, with every null of :func:`synchrony`.

    Memory: each task holds two blocks of series, 28 bytes per sample over all of ``time``, and
    72 per sample of one pair. Tasks: at least 64 blocks, a task each, half of them only a
    transpose, and under three per chunk of ``x`` to gather them. Computes at call: none. Work:
    samples × lags of each pair and feature.

    References
    ----------
    - Cuturi & Blondel (2017), Proc. ICML 70, 894-903, arXiv:1703.01541, for the soft minimum.
    - Boker, Xu, Rotondo & King (2002), Psychol. Methods 7, 338-355,
      doi:10.1037/1082-989X.7.3.338, for the correlation at a lag.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> wave = np.random.default_rng(0).normal(size=400)
    >>> x = xr.DataArray([wave, np.roll(wave, 10), wave[::-1]], dims=("subject", "time"))
    >>> found = fx.soft_lag(x.assign_attrs(sampling_rate=25.0), max_lag_s=1, beta=50)
    >>> found.values[0].round(1).tolist(), found.mean_lag.values[0, 1].round(2).item()
    ([0.9, 0.9, 0.2], 0.4)
    """
    max_lag = lag_in_samples(max_lag_s, x)
    beta, mean = require_positive("beta", beta), require_flag("mean", mean)
    if max_lag and any(map(is_decimated, (x, other))):
        warn(SHIFTY)
    left = arranged(x, dim)
    right = left if other is None else arranged(other, dim)
    if other is not None:
        check_partner(left, right, dim)
        require_same(Clock.of(x), Clock.of(other))
    function = partial(_relation, max_lag=max_lag, beta=beta, mean=mean)
    value, lag = related(left, right, other is None, function, 2)
    about = {"normalize": "none", "beta": beta, "over_lags": "mean" if mean else "sum"}
    out = labelled(value, left, right, dim, SOFT_LAG, about)
    out.attrs |= {KIND: KINDS[1], "max_lag_s": max_lag / Clock.of(x).rate_hz}
    seconds = {"long_name": "mean lag, by the weights", "units": "s"}
    return out.assign_coords(mean_lag=(out.dims, lag / Clock.of(x).rate_hz, seconds))


def _relation(a: F64, b: F64, *, upper: bool, max_lag: int, beta: float, mean: bool) -> F64:
    """``(…, k, f, t), (…, l, f, t) -> (2, …, k, l)``."""
    out = np.empty((2, *a.shape[:-2], b.shape[-3]))
    for at in np.ndindex(a.shape[:-3]):
        out[:, *at] = kernel.relation(
            a[at], b[at], upper=upper, max_lag=max_lag, beta=beta, mean=mean
        )
    return out
