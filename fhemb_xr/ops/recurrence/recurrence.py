"""Recurrence quantification of one series, or of two."""

from collections.abc import Hashable
from functools import partial

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.recurrence import windows
from fhemb_xr.kernels.recurrence.plots import MEASURES, Cut, Plot
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.inference.exchange import Exchange, crossed, p_values
from fhemb_xr.ops.inference.nulls import shifts_of
from fhemb_xr.ops.option_tables import EXCHANGE
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.ops.recurrence import request
from fhemb_xr.ops.synonyms import NORMALIZATIONS
from fhemb_xr.ops.units import common_unit, require_same, warn_if_mixed

_STATE = "fhemb_state"
TEXTS = {
    "RR": ("recurrence rate", "1"),
    "DET": ("determinism: share of recurrences on diagonal lines", "1"),
    "L": ("mean length of diagonal lines", "s"),
    "Lmax": ("length of the longest diagonal line", "s"),
    "ENTR": ("Shannon entropy of the lengths of diagonal lines", "nat"),
    "LAM": ("laminarity: share of recurrences on vertical lines", "1"),
    "TT": ("trapping time: mean length of vertical lines", "s"),
}


def recurrence(
    x: xr.DataArray,
    other: xr.DataArray | None = None,
    *,
    radius: float | None = None,
    rate: float | None = None,
    dim: int = 1,
    delay_s: float | None = None,
    feature: Hashable | None = None,
    how: str = "cross",
    metric: str = "euclidean",
    normalize: str = "zscore",
    theiler_s: float | None = None,
    lmin: int = 2,
    vmin: int = 2,
    window_s: float | None = None,
    step_s: float | None = None,
    max_lag_s: float | None = None,
    null: str | None = None,
    n: int = 99,
    margin_s: float | None = None,
    seed: int | None = None,
    across: Hashable | None = None,
    people: Hashable = "subject",
) -> xr.Dataset:
    """Recurrence quantification: when states come back, and for how long.

    Two moments recur if their states are at most ``radius`` apart. Lines of recurrences along
    time show that a course repeats itself (auto-recurrence), that two people pass through the
    same states (cross-recurrence), or that both return at the same moments
    (joint recurrence). The matrix of all pairs of moments is never made.

    Parameters
    ----------
    x
        Series along ``time``, in any chunks. Every entry of the other dimensions is analysed
        separately.
    other
        Series to compare ``x`` with. Dimensions are matched by name, and broadcast: rename
        ``subject`` of one to have every pair of people. Without it, ``x`` with itself.
    radius, rate
        Exactly one of them. ``radius``: largest distance of a recurrence, in the units of the
        normalised states. ``rate``: the share of pairs that recur, between 0 and 1; each plot
        gets the radius that reaches it exactly.
    dim, delay_s
        Number of delayed copies that make up a state, and their distance in time [s].
    feature
        Dimension whose entries are the coordinates of one state, e.g. the features of a face,
        or the people of a group (multidimensional recurrence).
    how
        ``"cross"``: states of ``x`` are compared with states of ``other``. ``"joint"``:
        recurrences of both at the same two moments.
    metric
        ``"euclidean"`` or ``"supremum"``, the largest difference of a coordinate.
    normalize
        ``"zscore"``: each series gets mean 0 and variance 1 over its whole length first.
        ``"none"``: series as they are.
    theiler_s
        In a plot of a series with itself and in a joint plot, moments that are nearer in time
        do not count [s]. By default one sample: a moment does not recur with itself. With 0 it
        does.
    lmin, vmin
        Shortest diagonal and vertical line, in samples.
    window_s, step_s
        Length of the windows and distance between their starts [s]; by default one window,
        the whole series.
    max_lag_s
        Largest lag of the diagonal-wise profile [s]; without it there is no profile.
    null
        ``"linear"`` or ``"circular"``: ``other`` is shifted in time at random, and everything
        is measured again. The linear shift holds for series that drift, the circular one does
        not. The linear shift measures the middle of the series, without its margins. A shift
        only moves the lines of a cross plot to other lags. So of a cross plot the null tests
        the profile, and needs ``max_lag_s``; of a joint plot it tests the measures.
        ``"swap"``: ``other`` is exchanged for strangers, who were not there together; it tests
        measures and profile of both kinds of plot, and holds for a stimulus and a drift that
        all share.
    n, margin_s, seed
        Number of shifts; seconds that ``other`` slides to either side (default: an eighth of
        the series); random seed. A shift needs a seed.
    across, people
        Groups of ``"swap"``, a dimension of both series such as ``session``; and the dimension
        of ``other`` whose entries are people. Strangers are other people of other groups. Each
        is a plot of its own.

    Returns
    -------
    Dataset
        Dataset, float64, lazy where ``x`` is, each of ``(…, window)`` or ``(…)``: ``RR``,
        ``DET``, ``L`` [s], ``Lmax`` [s], ``ENTR`` [nat], ``LAM``, ``TT`` [s] and ``radius``; of
        joint plots also ``radius_other``. With ``max_lag_s`` ``profile(…, lag)``: the share of
        recurrences at each lag. A positive lag of its peak means that ``other`` follows ``x``.
        With a null, of a joint plot ``p(…, measure)``: how often a shift or a stranger gives as
        much or more, ``(1 + number) / (n + 1)``. Of a cross plot ``p_profile(…, lag)``: the
        same of the highest value of the other profile, so it holds for all lags together; such
        a shift is longer than twice the largest lag. Strangers give ``p`` of a cross plot too.

    Raises
    ------
    SchemaError
        If a dimension or the sampling rate is missing, or the clock is uneven.
    ValueError
        If not exactly one of ``radius`` and ``rate`` is given, an option is out of its range,
        or the series differ in length, clock or unit.
    BudgetError
        If one series is larger than a task may hold.

    Notes
    -----
    Definitions: Marwan et al. (2007); RR is the share of the pairs of moments that have a
    state. A missing sample recurs with nothing and ends a line. A pair recurs where its
    distance is ``<= radius``. A vertical line is one state of ``x`` and consecutive states of
    ``other``.
    With D coordinates: memory per task ``16 D dim + 100`` bytes per sample of one pair, and 48
    MiB with ``rate``, for any length of the series. Tasks: under three per pair, beside those
    that put the series together. Computes at call: none. Work: samples squared, about 5 ns per
    pair of moments, once more for each of ``n``, and three times with ``rate``.

    References
    ----------
    - Marwan, Romano, Thiel & Kurths (2007), Phys. Rep. 438, 237-329,
      doi:10.1016/j.physrep.2006.11.001.
    - Wallot, Roepstorff & Mønster (2016), Front. Psychol. 7, 1835,
      doi:10.3389/fpsyg.2016.01835.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(400) / 25
    >>> a = xr.DataArray(np.sin(2 * np.pi * t / (3 + t / 9)), dims="time", coords={"time": t})
    >>> b = a.copy(data=np.roll(a, 10))
    >>> out = fx.recurrence(a, b, rate=0.05, dim=2, delay_s=0.6, max_lag_s=1)
    >>> float(out.RR.round(3)), float(out.profile.idxmax("lag"))
    (0.05, 0.4)
    """
    schema.require_dims(x, schema.TIME, *([] if feature is None else [feature]))
    how, metric = request.ways(other, how, metric)
    plot = request.plot_of(x, how, metric, radius, rate, theiler_s)
    clock = Clock.of(x).require_regular()
    dim = require_count("dim", dim)
    plot = plot._replace(
        dim=dim,
        delay=request.delay_of(clock, dim, delay_s),
        shortest=(require_count("lmin", lmin), require_count("vmin", vmin)),
        max_lag=0 if max_lag_s is None else clock.samples("max_lag_s", max_lag_s),
    )
    given = {"n": n, "seed": seed, "margin_s": margin_s, "across": across, "people": people}
    EXCHANGE.require_used(null, given)
    shifts = None
    if null is not None:
        null = request.null_of(null, how, max_lag_s)
    if null is not None and null != "swap":
        least = 1 if plot.joint else 2 * plot.max_lag + 1
        shifts = shifts_of(x, null, n, seed, margin_s, least, "twice max_lag_s")
    edge = 0 if shifts is None or shifts.margin is None else shifts.margin
    width, step = samples_of(window_s, step_s, clock)
    width = width if window_s is not None else clock.n - 2 * edge
    request.require_states(width, clock.n - 2 * edge, plot)
    normalize = require_choice("normalize", normalize, ("none", "zscore"), NORMALIZATIONS)
    cut = Cut(width, step, edge, normalize == "zscore")
    starts = edge + np.arange(0, clock.n - 2 * edge - width + 1, step)
    pair = _pair(x, other, feature, normalize)
    fields = plot.fields(2 if plot.joint else 1)
    how_many: dict[Hashable, int] = {schema.WINDOW: starts.size}
    core = [[_STATE, schema.TIME]] * len(pair)
    work = partial(
        apply_kernel, windows.quantified, core=core, new={**how_many, "field": fields.size},
        plot=plot, cut=cut,
    )  # fmt: skip
    out = _unpacked(work(*pair), plot, clock.rate_hz, max_lag_s is not None)
    if null == "swap" and other is not None:
        exchange = crossed(x, other, across, people, ("x", "other"))
        found = work(*_pair(exchange.still, exchange.every, feature, normalize))
        profile = max_lag_s is not None and not plot.joint
        every = _unpacked(found.reset_coords(drop=True), plot, 1.0, profile)
        out = out.assign(_of_strangers(exchange, every, out["RR"].dims))
    elif shifts is not None:
        name, along, size = ("p_profile", schema.LAG, 2 * plot.max_lag + 1)
        if plot.joint:
            name, along, size = ("p", "measure", len(MEASURES))
            out = out.assign_coords(measure=list(MEASURES))
        out[name] = apply_kernel(
            windows.p_values, *pair, core=core, new={**how_many, along: size},
            plot=plot, cut=cut, shifts=shifts,
        )  # fmt: skip
    about = {"long_name": "start of window", "units": "s"}
    out = out.assign_coords({schema.WINDOW: (schema.WINDOW, starts / clock.rate_hz, about)})
    out = out if window_s is not None else out.isel({schema.WINDOW: 0}, drop=True)
    units = "1" if normalize == "zscore" else common_unit(x, "unit of the series")
    return _described(out, units).assign_attrs(
        metric=metric, normalize=normalize, dim=plot.dim, delay_s=plot.delay / clock.rate_hz,
        **clock.attrs,
    )  # fmt: skip


def _of_strangers(
    exchange: Exchange, every: xr.Dataset, dims: tuple[Hashable, ...]
) -> dict[str, xr.DataArray]:
    """Share of strangers of the measures, and of the profile beside their highest values."""
    measures = xr.concat([every[m] for m in MEASURES], "measure", join="override")
    p = p_values(exchange, measures.assign_coords(measure=list(MEASURES)))
    out = {"p": p.transpose(*dims, "measure")}
    if "profile" in every:
        highest = every["profile"].max(schema.LAG).broadcast_like(every["profile"])
        p = p_values(exchange, every["profile"], highest)
        out["p_profile"] = p.transpose(*dims, schema.LAG)
    return out


def _pair(
    x: xr.DataArray, other: xr.DataArray | None, feature: Hashable | None, normalize: str
) -> list[xr.DataArray]:
    """Both series with the coordinates of a state along one dimension, whole in time."""
    pair = [x] if other is None else [x, other]
    if other is not None:
        schema.require_dims(other, schema.TIME, *([] if feature is None else [feature]))
        common_clock(x, other)
        if normalize == "none":
            require_same(x, other, ("x", "other"))
    if feature is not None and normalize == "none":
        warn_if_mixed(x, "a distance", "choose normalize='zscore'", feature)
    out = []
    for series in pair:
        if feature is None:
            lines = series.expand_dims(_STATE)
        else:
            lines = series.rename({feature: _STATE})
        bare = lines.drop_vars([c for c in (_STATE, schema.TIME) if c in lines.coords])
        each = dict.fromkeys(bare.dims, 1) | {_STATE: -1, schema.TIME: -1}
        one = 8 * bare.sizes[_STATE] * bare.sizes[schema.TIME]
        budget.check(4 * one, "one series", "select less time or fewer features")
        out.append(rechunked(bare, each))
    return out


def _unpacked(packed: xr.DataArray, plot: Plot, rate_hz: float, profile: bool) -> xr.Dataset:
    fields = plot.fields(2 if plot.joint else 1)
    out = {}
    for place, name in enumerate(MEASURES):
        per_sample = rate_hz if TEXTS[name][1] == "s" else 1.0
        out[name] = packed.isel(field=fields["measures"].start + place) / per_sample
    for place, name in enumerate(("radius", "radius_other")[: 1 + plot.joint]):
        out[name] = packed.isel(field=fields["radius"].start + place)
    if profile:
        lags = np.arange(-plot.max_lag, plot.max_lag + 1) / rate_hz
        part = packed.isel(field=fields["profile"]).rename(field=schema.LAG)
        about = {"long_name": "lag", "units": "s"}
        out["profile"] = part.assign_coords({schema.LAG: (schema.LAG, lags, about)})
    return xr.Dataset(out)


def _described(out: xr.Dataset, units: str) -> xr.Dataset:
    radius = "largest distance of a recurrence"
    texts = {
        **TEXTS,
        "radius": (radius, units),
        "radius_other": (f"{radius} of the other series", units),
        "profile": ("share of recurrences at the lag", "1"),
        "p": ("share of the null with as much or more", "1"),
        "p_profile": ("share of the null with a peak as high or higher", "1"),
    }
    describe(out, texts)
    return out
