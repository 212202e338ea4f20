"""Granger causality of all ordered pairs of people."""

from collections.abc import Hashable

import xarray as xr

from fhemb_xr.ops.directed.forecasts import Null, forecasts


def granger(
    x: xr.DataArray,
    max_lag_s: float,
    dim: Hashable = "subject",
    *,
    given: xr.DataArray | str | None = None,
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    across: Hashable | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Granger causality: does the past of one person foretell another, beyond that one's own?

    Each series is forecast twice by linear regression: from its own past and what is given, and
    from the past of one other series as well. The measure is ``ln(v1 / v2)``, the ratio of both
    residual variances.

    A driver of both people that is not given, such as the music, looks like one person leading
    the other if it reaches them at different times. No null protects from that. Give the
    stimulus, and read the result as a forecast and not as a cause.

    Parameters
    ----------
    x
        Series ``(…, dim, time)`` in any order and chunks. Every entry of another dimension,
        such as ``session`` or ``feature``, is analysed separately.
    max_lag_s
        Length of the past [s], rounded to samples: lags of one sample up to this.
    dim
        Dimension of the people; every ordered pair of them is tested.
    given
        What both forecasts know too. None: nothing. ``"all"``: the past of all other people.
        An array: a stimulus ``(time)`` or ``(time, stimulus)`` on the same clock, see
        :func:`fhemb_xr.encode`, with its present and its past.
    null
        ``"linear"`` or ``"circular"``: the source is shifted in time at random by more than
        ``max_lag_s``, while target, stimulus and others stay together. The linear shift holds
        for independent series that drift, and then compares the middle of the series only; the
        circular one does not. ``"swap"``: the source is exchanged for every stranger, who
        followed the same stimulus without the target.
    n, margin_s, seed
        Number of shifts; seconds that a series slides to either side (default: an eighth of
        the series); random seed. A shift needs a seed.
    across
        Groups of ``"swap"``: a dimension of ``x`` such as ``session``, or a coordinate of the
        people such as a row of seats. Strangers are other people of other groups.

    Returns
    -------
    Dataset
        Dataset ``(…, <dim>_0, <dim>_1)``, float64, lazy where an argument is. The person along
        ``<dim>_0`` is the source, the one along ``<dim>_1`` the target; NaN on the
        diagonal. ``granger``, from 0 on; ``f``, the F statistic of the same two forecasts, and
        ``p_f`` by the F distribution, for stationary series whose forecasts leave nothing but
        noise; ``n_moments`` that count. With a null ``p``, the share of shifts or strangers
        with as much, ``(1 + number) / (n + 1)``. A target that its own past foretells wholly,
        or a series that never moves, gives NaN.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If there are fewer than two people or too few moments, the clocks differ, or a number is
        out of range.
    BudgetError
        If the covariances, or all series of a null, are larger than a task may hold.

    Notes
    -----
    A moment counts where the pair (with ``"all"`` everybody) and the stimulus have it and all
    lags before it. Terms that are sums of others are left out. Chance alone gives about
    ``lags / n_moments``.
    One pass: lagged covariances are summed in each chunk, which reads the lags before it, and
    merged. With N people, F features of a stimulus and L lags, a pair has
    ``P = (2 + F) (L + 1)`` terms. Memory per task: ``32 N² P²`` bytes (with ``"all"``
    ``64 ((N + F) (L + 1))²``), 80 MiB, and twice a chunk of all people or the 16 MiB of it that
    are in a block; tasks: under three per block; computes at call: none.
    A null holds all series of one session in one task, and its work is that of ``2 n`` passes.

    References
    ----------
    - Geweke (1984), J. Am. Stat. Assoc. 79, 907-915, doi:10.1080/01621459.1984.10477110.
    - Barnett & Seth (2014), J. Neurosci. Methods 223, 50-68,
      doi:10.1016/j.jneumeth.2013.10.018.
    - Harris (2020), bioRxiv, doi:10.1101/2020.11.29.402719 (linear shift).

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> a, b = np.random.default_rng(0).normal(size=(2, 600))
    >>> b[3:] += a[:-3]  # 0.6 s later
    >>> x = xr.DataArray([a, b], dims=("subject", "time"), attrs={"sampling_rate": 5.0})
    >>> out = fx.granger(x.chunk(time=200), 1.0, null="linear", seed=0)
    >>> out.granger.round(1).values.tolist(), float(out.p[0, 1])
    ([[nan, 0.8], [0.0, nan]], 0.01)
    """
    found = forecasts(x, dim, max_lag_s, given, Null(null, n, margin_s, seed, across))
    out = found.rename(log_ratio="granger")
    texts = {
        "granger": "log ratio of residual variances without and with the source",
        "f": "F statistic of the source",
        "p_f": "p-value of the F distribution",
        "n_moments": "moments that count",
        "p": "share of the null with as large an F statistic",
    }
    for name, variable in out.items():
        variable.attrs = {"long_name": texts[str(name)], "units": "1"}
    return out
