"""Transfer entropy of all ordered pairs of people."""

from collections.abc import Hashable

import xarray as xr

from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.directed.forecasts import Null, forecasts


def transfer_entropy(
    x: xr.DataArray,
    max_lag_s: float,
    dim: Hashable = "subject",
    *,
    estimator: str = "gaussian-copula",
    given: xr.DataArray | str | None = None,
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    across: Hashable | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Transfer entropy: how much the past of one person tells about another, in nats.

    It is the information that the past of the source has about the present of the target,
    beyond the target's own past and what is given. A driver of both that is not given looks
    like transfer, see :func:`fhemb_xr.granger`.

    Parameters
    ----------
    x
        Series ``(…, dim, time)`` in any order and chunks. Every entry of another dimension is
        analysed separately.
    max_lag_s
        Length of the past [s], rounded to samples: lags of one sample up to this.
    dim
        Dimension of the people; every ordered pair of them is tested.
    estimator
        ``"gaussian"``: half of the Granger causality, which is exact for normal variables.
        ``"gaussian-copula"``: the same of normal scores, the ranks of each series as quantiles
        of the normal distribution. It does not change when a series is stretched by a function
        that only rises, and outliers weigh little; it is a lower bound for other relations.
    given, null, n, margin_s, across, seed
        As in :func:`fhemb_xr.granger`. With the copula a stimulus is ranked too, and the linear
        shift does not hold for series that wander (random walks): take their changes,
        ``x.diff("time")``.

    Returns
    -------
    Dataset
        Dataset ``(…, <dim>_0, <dim>_1)``, float64, lazy where an argument is, from the source
        along ``<dim>_0`` to the target along ``<dim>_1``: ``transfer_entropy`` [nat],
        ``n_moments`` that count, and with a null ``p``.

    Raises
    ------
    SchemaError, ValueError, BudgetError
        As :func:`fhemb_xr.granger`.

    Notes
    -----
    Chance alone gives about ``lags / (2 n_moments)`` nats, which is not taken off: compare with
    a null. Ranks are of the whole series, once for all lags, and equal samples share a rank.
    Cost: that of :func:`fhemb_xr.granger`; the copula reads each series in one task of 60 bytes
    per sample, and two more tasks per chunk. Ranks need whole series, and sums need all people
    of a moment: ranks of many features wait for each other, in memory or on the disk of the
    workers. If they are many GB, analyse one feature after another, ``x.isel(feature=i)``.
    Computes at call: none.

    References
    ----------
    - Schreiber (2000), Phys. Rev. Lett. 85, 461-464, doi:10.1103/PhysRevLett.85.461.
    - Barnett, Barrett & Seth (2009), Phys. Rev. Lett. 103, 238701,
      doi:10.1103/PhysRevLett.103.238701.
    - Ince et al. (2017), Hum. Brain Mapp. 38, 1541-1573, doi:10.1002/hbm.23471.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> a, b = np.random.default_rng(0).normal(size=(2, 600))
    >>> b[3:] += a[:-3]
    >>> x = xr.DataArray([a, np.exp(b)], dims=("subject", "time"), attrs={"sampling_rate": 5.0})
    >>> fx.transfer_entropy(x.chunk(time=200), 1.0).transfer_entropy.round(1).values.tolist()
    [[nan, 0.4], [0.0, nan]]
    """
    estimator = require_choice("estimator", estimator, ("gaussian", "gaussian-copula"))
    found = forecasts(
        x, dim, max_lag_s, given, Null(null, n, margin_s, seed, across),
        ranked=estimator == "gaussian-copula",
    )  # fmt: skip
    out = xr.Dataset({"transfer_entropy": found["log_ratio"] / 2}, attrs=found.attrs)
    out = out.assign({k: found[k] for k in ("n_moments", "p") if k in found})
    texts = {
        "transfer_entropy": ("transfer entropy from the source to the target", "nat"),
        "n_moments": ("moments that count", "1"),
        "p": ("share of shifts with as large an F statistic", "1"),
    }
    for name, variable in out.items():
        variable.attrs = dict(zip(("long_name", "units"), texts[str(name)], strict=True))
    return out.assign_attrs(estimator=estimator)
