"""Inter-subject correlation and its nulls."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock, number_of_seconds
from fhemb_xr.kernels.inference import isc as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops import option_tables, synonyms
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.checks import require_choice, require_share
from fhemb_xr.ops.inference import nulls
from fhemb_xr.ops.inference.isc_nulls import (
    drawn_null,
    people_dims,
    shift_null,
    swap_null,
    values,
)
from fhemb_xr.ops.inference.p_values import warn_unreachable
from fhemb_xr.typing import Ints

WAYS = kernel.WAYS
_FEWER = "test fewer windows, features or people, or read p_fwer"


def isc(
    x: xr.DataArray,
    dim: Hashable = "subject",
    *,
    how: str = "leave_one_out",
    window_s: float | None = None,
    step_s: float | None = None,
    null: str | None = None,
    margin_s: float | None = None,
    across: Hashable | None = None,
    n: int | None = None,
    seed: int | None = None,
    tail: str = "greater",
    alpha: float = 0.05,
) -> xr.Dataset:
    """Inter-subject correlation, with p-values if a null is asked for.

    Only the person who is tested moves (of a pair, the second): the mean of the others stays
    what it is.

    Parameters
    ----------
    x
        Series along ``time``, chunked in any way. Features and other dimensions are kept, each
        is worked on alone. A missing sample is left out of its pair, and out of the mean.
    dim
        Dimension of the people.
    how
        ``"leave_one_out"``: each person with the mean of the others; ``"pairwise"``: each with
        each.
    window_s, step_s
        Length of windows and distance between them [s] (default: end to end); without them
        one value over all of ``time``.
    null
        ``"linear"``: one person slides by every number of samples up to the margin, nothing
        wraps. Holds for people who drift; choose it unless you know better.
        ``"circular"``: one person is rolled by every number of samples. Holds for stationary
        series only.
        ``"swap"``: one person is exchanged for every stranger, see ``across``. Holds for a
        shared stimulus and shared drift.
        ``"phase"``, ``"iaaft"``: ``n`` :func:`surrogates`. Hold for stationary series only.
        Series are shifted as a whole, then cut into windows.
    margin_s
        Margin of ``"linear"`` [s], by default an eighth of the series. What is correlated, with
        this null, is the middle of the series without the two margins.
    across
        Groups of ``"swap"``: a dimension of ``x`` such as ``session``, or a coordinate of the
        people such as a row of seats. People are compared within their group, and strangers are
        other people of other groups.
    n, seed
        Number of surrogates (default 200) and their seed, of ``"phase"`` and ``"iaaft"``.
    tail
        Values that count as extreme: ``"greater"``, ``"less"`` or ``"both"``.
    alpha
        The null band holds ``1 - alpha`` of the null.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is, of ``isc(…, [window,] dim)`` or ``isc(…,
        [window,] dim_0, dim_1)``. With a null also ``p``, ``p_fdr`` and ``p_fwer`` over the
        whole result, ``null_low`` and ``null_high``. The smallest p is one over the number of
        shifts, or ``1 / (n + 1)`` for ``n`` surrogates or strangers. For ``p_fwer`` all series
        are shifted alike, and the largest value counts; of ``"swap"`` it is ``p`` times the
        number of tests.

    Raises
    ------
    UnknownNameError
        No such ``how``, ``null`` or ``tail`` (a ``KeyError``).
    SchemaError
        If ``x`` has no ``time``, or no ``dim``.
    ValueError
        If a window or a margin does not fit into the series, or an option is of another null.
    BudgetError
        If the null of one person is larger than the budget of a task; of ``"swap"``, if all
        series of one feature are.

    Warns
    -----
    UserWarning
        If the null is too small for a single finding to survive the correction in ``p_fdr``.

    Notes
    -----
    Memory per task: ``time · (400 g + 64 b)`` bytes, for a block of ``b`` people whose series
    take 32 MiB at most, and ``g`` people who move at once in 64 MiB, at least one: 318 MiB for
    77 people × 270 000 samples (``b = 13``, ``g = 1``). The whole null of a person is held at
    once, so the band is exact. ``"swap"`` holds all people. Tasks: two per block of people (of
    ``"pairwise"``: per pair of blocks), and three per chunk of ``x``; a null adds seven per
    block and one for all p-values. Computes at call: the labels of ``across`` where they are
    lazy, otherwise nothing. Work: ``time · log(time)`` per value and window for all shifts.

    References
    ----------
    - Nastase, Gazzola, Hasson & Keysers (2019), Soc. Cogn. Affect. Neurosci. 14, 667-685,
      doi:10.1093/scan/nsz037.
    - Harris (2020), bioRxiv, doi:10.1101/2020.11.29.402719 (linear shift).
    - Bernieri, Reznick & Rosenthal (1988), J. Pers. Soc. Psychol. 54, 243-253,
      doi:10.1037/0022-3514.54.2.243 (pseudo-dyads).
    - Westfall & Young (1993), Resampling-based multiple testing, Wiley.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(
    ...     rng.normal(size=400) + rng.normal(size=(5, 400)), dims=("subject", "time")
    ... )
    >>> out = fx.isc(x.chunk(), null="linear")
    >>> out.p.values.round(3).tolist()
    [0.01, 0.01, 0.01, 0.01, 0.01]
    """
    how = require_choice("way", how, WAYS, synonyms.WAYS)
    tail = require_choice("tail", tail, p_values.TAILS, synonyms.TAILS)
    alpha = require_share("alpha", alpha)
    given = {"margin_s": margin_s, "across": across, "n": n, "seed": seed}
    null = _checked_null(null, tail=tail, alpha=alpha, **given)
    schema.require_dims(x, dim, schema.TIME)
    clock = Clock.of(x).require_regular()
    margin = nulls.margin_of(x, margin_s) if null == "linear" else 0
    still = Clock.of(nulls.middle(x, margin)) if margin else clock
    width, step = samples_of(window_s, step_s, still)
    starts = margin + np.arange(0, still.n - width + 1, step)
    work: dict[str, Any] = {"how": how, "width": width, "step": step}
    test: dict[str, Any] = {"tail": tail, "alpha": alpha}
    if null is None:
        out = values(x, None, dim, starts.size, work).to_dataset(name="isc")
    elif null == "swap":
        out = swap_null(x, dim, across, starts.size, {**work, **test})
    elif null in nulls.EXACT:
        shifts = {"margin": margin or None}
        out = shift_null(x, dim, starts.size, {**work, **test, **shifts})
    else:
        n, seed = nulls.require_seed(null, n, seed)
        out = drawn_null(x, dim, starts.size, work, test, null, n, seed)
    if null is not None:
        _warn(out, x, dim, null, margin, n, across, alpha)
        out.attrs = {"null": null, **test}
    return _finished(_named(out, x, dim, how), x, starts, window_s, how)


def _checked_null(null: str | None, **options: Any) -> str | None:
    """The null that is meant, if every option given is one of its own."""
    if null is not None:
        null = require_choice("null", null, nulls.NULLS, synonyms.NULLS)
    option_tables.NULL.require_used(null, options)
    return null


def moved_isc(
    x: xr.DataArray, copies: xr.DataArray, dim: Hashable, *, how: str = "leave_one_out",
    window_s: float | None = None, step_s: float | None = None,
) -> xr.DataArray:  # fmt: skip
    """:func:`isc` of surrogates of the tested, with the others as they are in ``x``."""
    how = require_choice("way", how, WAYS, synonyms.WAYS)
    clock = Clock.of(x)
    width, step = samples_of(window_s, step_s, clock)
    starts = np.arange(0, clock.n - width + 1, step)
    out = values(x, copies, dim, starts.size, {"how": how, "width": width, "step": step})
    named = _named(out.to_dataset(name="isc"), x, dim, how)
    return _finished(named, x, starts, window_s, how)["isc"]


def _warn(
    out: xr.Dataset, x: xr.DataArray, dim: Hashable, null: str, margin: int, n: int | None,
    across: Hashable | None, alpha: float,
) -> None:  # fmt: skip
    """Warn, at the caller of :func:`isc`, of a null too small for the correction."""
    tests = out["p"].size
    pairs = f"{dim}_0" in out["p"].dims
    if pairs:
        tests -= tests // max(x.sizes[dim], 1)
    if null == "swap":
        _, groups, people = nulls.across_groups(x, dim, across)
        alone = (groups.values != groups.values[:, None]) & (
            people.values != people.values[:, None]
        )
        size = int(alone.sum(axis=1).min()) + 1
        if pairs and across not in x.dims:
            tests = int((groups.values == groups.values[:, None]).sum()) - x.sizes[dim]
            tests *= out["p"].size // x.sizes[dim] ** 2
    elif null == "linear":
        size = 2 * margin + 1
    else:
        size = x.sizes[schema.TIME] if null == "circular" else int(n or 0) + 1
    if pairs and null == "circular":
        tests //= 2  # a moved against b is b moved against a
    warn_unreachable(size, tests, alpha, _FEWER)


def _named(out: xr.Dataset, x: xr.DataArray, dim: Hashable, how: str) -> xr.Dataset:
    """The labels of the people; where a value is of one person, their other coordinates too."""
    names: dict[Hashable, Any] = {}
    if dim in x.indexes:
        names = dict.fromkeys(people_dims(dim, how), x[dim].values)
    if how == "leave_one_out":  # what else is known of each, such as a group
        names |= {n: c.variable for n, c in x.coords.items() if c.dims == (dim,)}
    return out.assign_coords(names)


def _finished(
    out: xr.Dataset, x: xr.DataArray, starts: Ints, window_s: float | None, how: str
) -> xr.Dataset:
    clock = Clock.of(x)
    out["isc"].attrs = {"long_name": "inter-subject correlation", "units": "1"}
    out.attrs |= {"how": how, **clock.attrs}
    if window_s is None:
        return out.isel({schema.WINDOW: 0})
    out = out.assign_coords({schema.WINDOW: starts / clock.rate_hz})
    out[schema.WINDOW].attrs = {"long_name": "start of window", "units": "s"}
    out.attrs["window_s"] = number_of_seconds("window_s", window_s)
    if schema.TIME in x.indexes:
        times = clock.at(starts)
        out = out.assign_coords({schema.TIME: (schema.WINDOW, times)})
    return out
