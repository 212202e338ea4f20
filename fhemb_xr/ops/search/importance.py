"""Which band, feature, region or moment carries what tells segments apart."""

import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.search import summaries
from fhemb_xr.ops import option_tables
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import (
    require_choice,
    require_count,
    require_flag,
    require_share,
    unknown_name,
)
from fhemb_xr.ops.classification.segments import SAMPLE, prepare
from fhemb_xr.ops.search import carried, design

COLUMN = "column"
DRAWS_PER_TASK = 20
WAYS = ("permute", "refit")


def importance(
    x: xr.DataArray,
    segments: Any,
    by: str = "feature",
    *,
    dim: str = "subject",
    how: str = "permute",
    summary: str = "log_variance",
    window_s: float | None = None,
    centre: bool = True,
    n_splits: int = 4,
    n_repeats: int = 20,
    n_permutations: int = 199,
    alpha: float = 0.05,
    seed: int,
) -> xr.Dataset:
    """How much of the score of a classifier a band, feature, region or moment carries.

    The nearest class mean (as in :func:`search`) learns from all parts together, and is tested
    on people and segments that it has not seen. ``importance`` is the accuracy that is lost
    when one part says nothing.

    Parameters
    ----------
    x
        Series ``(dim, …, time)``: of :func:`wavelet_bands` (``by="band"``), of :func:`embed`
        (``by="feature"``), of :func:`regions` (``embedding``, whose features are the regions).
    segments, dim
        Classes of segments, and the people; see :func:`prepare`.
    by
        Dimension of ``x`` whose entries are the parts; or ``"time"``: windows of the segments.
    how
        ``"permute"``: the part's values are exchanged among the tested segments of each person,
        the model stays. ``"refit"``: the model is fitted and tested without the part.
    summary
        Value of a segment, or of a window of it: ``"log_variance"``, ``"mean"`` or
        ``"mobility_hz"``, as in :func:`spec_values`.
    window_s
        Length of the windows of ``by="time"`` [s]; what is left at the end is not used.
    centre
        Whether each person's mean over all segments is subtracted.
    n_splits
        Number of parts of the people, and of the segments where each class has as many.
    n_repeats
        Number of exchanges for ``"permute"``.
    n_permutations
        Number of times that the labels of whole segments are exchanged, alike for all people,
        and all is done again.
    alpha
        Intervals hold ``1 - alpha``.
    seed
        Random seed.

    Returns
    -------
    Dataset
        Lazy, float64, along ``by`` (``"time"``: starts of the windows in the segment [s]):
        ``importance``, the mean loss over the tested parts, a share of right answers (0.1: ten
        of a hundred); ``low`` to ``high``, its interval between people; ``p`` and ``p_fwer``
        (against the largest of every permutation); ``null(permutation, by)``, ``null_low`` to
        ``null_high``; ``alone``, the accuracy of the part by itself; ``by_person(person, by)``.
        And ``score`` of all parts together, ``chance``, ``n_used``: samples
        with a value of every part.

    Raises
    ------
    UnknownNameError
        No such dimension, summary or way.
    ValueError
        As :func:`search`; one part alone; ``window_s`` without ``by="time"``.
    BudgetError
        The table of all values exceeds the budget of a task.

    Notes
    -----
    Parts that say the same share their importance: each can be replaced by the others, and
    ``importance`` is near 0 for both while ``alone`` is high. Read the two together. A loss
    below 0 is chance.

    ``p`` is one-sided; as in :func:`search` the number of segments bounds it. ``low`` to
    ``high`` says how much people differ in these segments, not what other segments would give.

    Memory: one task holds the table ``sample × column`` six times. Tasks: two per chunk that a
    segment touches, one per 20 permutations. Computes at call: none.

    References
    ----------
    - Breiman (2001), Random forests, Mach. Learn. 45, 5-32, doi:10.1023/A:1010933404324.
    - Fisher, Rudin & Dominici (2019), All models are wrong, but many are useful, J. Mach.
      Learn. Res. 20, 177, doi:10.48550/arXiv.1801.01489.
    - Altmann et al. (2010), Bioinformatics 26, 1340-1347, doi:10.1093/bioinformatics/btq134
      (labels exchanged as the null).

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> x = fx.testing.audience(n_subjects=6, seconds=16).fhemb.embed(["mean"])
    >>> spans = {
    ...     "calm": [(0, 2), (4, 6), (8, 10), (12, 14)],
    ...     "storm": [(2, 4), (6, 8), (10, 12), (14, 16)],
    ... }
    >>> bands = fx.wavelet_bands(x, "db2", 3)
    >>> out = fx.importance(bands, spans, "band", n_permutations=19, seed=0)
    >>> dict(out.importance.sizes)
    {'band': 4}
    """
    how = require_choice("way", how, WAYS)
    summary = require_choice("summary", summary, summaries.SUMMARIES)
    option_tables.IMPORTANCE.require_used(how, {"n_repeats": n_repeats})
    option_tables.PARTS.require_used(by, {"window_s": window_s})
    n_splits = require_count("n_splits", n_splits, 2)
    options: dict[str, Any] = {
        "how": how, "centre": require_flag("centre", centre),
        "n_repeats": require_count("n_repeats", n_repeats),
        "seed": require_count("seed", seed, 0),
    }  # fmt: skip
    n_permutations = require_count("n_permutations", n_permutations, 0)
    alpha = require_share("alpha", alpha)
    table, owners, coords = _table(x, segments, by, dim, summary, window_s)
    n_parts = int(owners.max()) + 1
    if n_parts < 2:
        raise ValueError(f"importance is of two parts or more, found {n_parts} along {by!r}")
    plan = design.plan(table, n_specs=n_parts, n_splits=n_splits, n_inner=0)
    if n_permutations:
        plan.warn_if_never_significant()
    budget.check(
        48 * math.prod(table.shape), "the table of all values", "give fewer parts at once"
    )
    found = _draws(table, owners, plan, n_permutations, options)
    out = carried.report(found, plan, by, n_permutations, alpha)
    out = out.assign_coords(coords)
    who = {plan.people: ("person", np.unique(table[plan.people].values))}
    out = out.assign_coords(who)
    out.attrs = {
        "long_name": f"importance by {by}", "split": f"by {plan.people} and segment",
        "summary": summary, "alpha": alpha, "n_permutations": n_permutations,
        "least_p": plan.least_p, **options, "centre": int(options["centre"]),
    }  # fmt: skip
    return out


def _table(
    x: xr.DataArray, segments: Any, by: str, dim: str, summary: str, window_s: float | None
) -> tuple[xr.DataArray, Any, dict[str, Any]]:
    """Values ``(sample, column)``, the part of each column, coordinates of the parts."""
    schema.require_dims(x, dim, schema.TIME)
    clock = Clock.of(x).require_regular()
    people = [d for d in (dim, schema.SESSION) if d in x.dims]
    inner = [str(d) for d in x.dims if d not in (*people, schema.TIME)]
    if by != schema.TIME and by not in inner:
        raise unknown_name("dimension of parts", by, (*inner, schema.TIME))
    inner = [by, *(d for d in inner if d != by)] if by != schema.TIME else inner
    cut = prepare(_columns(x, inner), segments, dim=dim)
    cut = rechunked(cut, {schema.FEATURE: -1, schema.TIME: -1})
    coords: dict[str, Any]
    columns, frames = cut.sizes[schema.FEATURE], cut.sizes[schema.TIME]
    if by == schema.TIME:
        n = clock.samples("window_s", _given(window_s), least=2)
        count = frames // n
        if not count:
            raise ValueError(
                f"a window is no longer than a segment, found window_s={window_s!r} and "
                f"segments of {frames / clock.rate_hz:g} s"
            )
        owners = np.tile(np.arange(count), columns)
        coords = {by: (by, np.arange(count) * n / clock.rate_hz, {"units": "s"})}
    else:
        n, count = frames, 1
        owners = np.repeat(np.arange(x.sizes[by]), columns // x.sizes[by])
        coords = {str(k): v for k, v in x.coords.items() if v.dims == (by,)}
    out = apply_kernel(
        _summed,
        cut,
        core=[[schema.FEATURE, schema.TIME]],
        new={COLUMN: columns * count},
        n=n,
        how=summary,
        rate_hz=clock.rate_hz,
    )
    return out.assign_attrs(cut.attrs), owners, coords


def _given(window_s: float | None) -> float:
    if window_s is None:
        raise ValueError("importance by time needs the length of windows, window_s=1.0")
    return window_s


def _columns(x: xr.DataArray, inner: list[str]) -> xr.DataArray:
    """All dimensions but people and time as one, the parts first."""
    bare = x.drop_vars([c for c, v in x.coords.items() if {*v.dims} & {*inner}])
    if not inner:
        return bare.expand_dims(schema.FEATURE, -1)
    outer = [d for d in x.dims if d not in inner]
    whole = rechunked(bare.transpose(*outer, *inner), dict.fromkeys(inner, -1))
    lead = whole.shape[: len(outer)]
    data = whole.data.reshape(*lead, math.prod(whole.shape[len(outer) :]))
    coords = {k: v for k, v in whole.coords.items() if {*v.dims} <= {*outer}}
    return xr.DataArray(data, coords, [*outer, schema.FEATURE], name=x.name, attrs=x.attrs)


def _summed(x: Any, *, n: int, how: str, rate_hz: float) -> Any:
    """Windows of ``n`` samples summed up: ``(..., f, t) -> (..., f · windows)``."""
    series = np.asarray(x, np.float64)
    count = series.shape[-1] // n
    cut = series[..., : count * n].reshape(*series.shape[:-1], count, n)
    found = summaries.summary(cut, how, rate_hz)
    return found.reshape(*found.shape[:-2], -1)


def _draws(
    table: xr.DataArray, owners: Any, plan: design.Plan, n: int, options: dict[str, Any]
) -> xr.DataArray:
    """``(draw, found)``: a task for some draws of labels; the first has the true ones."""
    value = rechunked(table, -1)
    who = [xr.DataArray(v, dims=SAMPLE) for v in (plan.labels, plan.groups, plan.segments)]
    return apply_kernel(
        carried.judged,
        xr.DataArray(da.arange(1 + n, chunks=DRAWS_PER_TASK), dims="draw"),
        value.drop_vars(list(value.coords)).transpose(SAMPLE, COLUMN),
        xr.DataArray(owners, dims=COLUMN),
        *who,
        core=[[], [SAMPLE, COLUMN], [COLUMN], *[[SAMPLE]] * 3],
        new={"found": carried.width(plan)},
        n_parts=plan.n_specs,
        n_people=int(plan.groups.max()) + 1,
        n_splits=plan.n_splits,
        **options,
    )
