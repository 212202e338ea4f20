"""Inter-subject correlation and its nulls: one person moves, or is exchanged for a stranger.

Only the person who is tested moves. If every member moved alone, the mean of the others
would be whiter than it is, and the null too narrow.

Pairs of samples of which one is missing are left out, at every shift; the mean of the others
is that of those who are there.

References
----------
- Hasson et al. (2004), Science 303, 1634-1640, doi:10.1126/science.1089506.
- Nastase et al. (2019), Soc. Cogn. Affect. Neurosci. 14, 667-685, doi:10.1093/scan/nsz037.
"""

from collections.abc import Iterator

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference import p_values, strangers
from fhemb_xr.kernels.inference.shifts import Shifts, centred, flat
from fhemb_xr.typing import F64, Ints

WAYS = ("leave_one_out", "pairwise")


def others(x: F64, groups: Ints | None = None) -> F64:
    """Mean of everybody else at each sample: ``(s, t) -> (s, t)``, NaN where nobody is.

    With ``groups``, of everybody else in the person's own group.
    """
    if groups is not None:
        out = np.empty(x.shape)
        for group in np.unique(groups):
            out[groups == group] = others(x[groups == group])
        return out
    seen = np.isfinite(x)
    count = seen.sum(axis=0) - seen
    filled = np.where(seen, x, 0.0)
    total = filled.sum(axis=0) - filled
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def pearson(a: F64, b: F64) -> F64:
    """Of the samples that both have: ``(..., t), (..., t) -> (...)``; a constant gives NaN."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = (np.where(both, s, np.nan) for s in (a, b))
    dx, dy = (np.where(both, centred(s), 0.0) for s in (x, y))
    still = flat(x, dx, both) | flat(y, dy, both)
    norm = np.sqrt((dx * dx).sum(axis=-1) * (dy * dy).sum(axis=-1))
    r = (dx * dy).sum(axis=-1) / np.where(still, np.nan, norm)
    return np.asarray(np.clip(r, -1, 1))


def matrix(moving: F64, still: F64) -> F64:
    """Correlation of all with all: ``(s, t), (r, t) -> (r, s)``."""
    if not (np.isfinite(moving).all() and np.isfinite(still).all()):
        return np.array([pearson(moving, np.broadcast_to(row, moving.shape)) for row in still])
    units = [_unit(np.ascontiguousarray(x, dtype=np.float64)) for x in (still, moving)]
    r = np.einsum("rt,st->rs", *units)  # not by BLAS, whose sums depend on its threads
    return np.asarray(np.clip(r, -1, 1))


def _unit(x: F64) -> F64:
    """Centred series of length one, NaN where nothing moves: ``(s, t) -> (s, t)``."""
    d = centred(x)
    still = flat(x, d, np.ones(x.shape, bool))
    norm = np.sqrt((d * d).sum(axis=-1))
    return np.asarray(d / np.where(still, np.nan, norm)[:, None])


def sums(x: F64) -> F64:
    """Sum and number of the people who are there: ``(..., s) -> (..., 2)``.

    Person after person, so that the order of the axes in memory cannot change the rounding.
    """
    out = np.zeros((*x.shape[:-1], 2))
    for person in np.moveaxis(x, -1, 0):
        seen = np.isfinite(person)
        out[..., 0] += np.where(seen, person, 0.0)
        out[..., 1] += seen
    return out


def rest(x: F64, of_all: F64) -> F64:
    """:func:`others` of some of the people: ``(..., m, t), (..., 2, t) -> (..., m, t)``.

    ``of_all`` holds :func:`sums` of everybody. Peak memory: 8 bytes per sample, and 40 bytes
    per sample of one person.
    """
    out = np.empty(x.shape)
    for *lead, person in np.ndindex(x.shape[:-1]):
        series, (total, count) = x[(*lead, person)], of_all[tuple(lead)]
        seen = np.isfinite(series)
        total, count = total - np.where(seen, series, 0.0), count - seen
        out[(*lead, person)] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def correlated(moving: F64, still: F64, *, how: str, width: int, step: int, group: int) -> F64:
    """Values of each window: ``(..., m, t), (..., r, t) -> (..., w, [r,] m)``.

    Those along the last axis may be copies. ``"leave_one_out"``: ``still`` holds the mean of
    the others for each who moves; ``"pairwise"``: the other side of the matrix. ``group``
    people are worked on at once.
    """
    lead = np.broadcast_shapes(moving.shape[:-2], still.shape[:-2])
    both = [np.broadcast_to(a, (*lead, *a.shape[-2:])) for a in (moving, still)]
    starts = range(0, moving.shape[-1] - width + 1, step)
    values = (
        (moving.shape[-2],) if how == "leave_one_out" else (still.shape[-2], moving.shape[-2])
    )
    out = np.empty((*lead, len(starts), *values))
    for i in np.ndindex(lead):
        a, b = (np.ascontiguousarray(side[i], dtype=np.float64) for side in both)
        for w, start in enumerate(starts):
            cut = slice(start, start + width)
            for some in _groups(a.shape[0], group):
                if how == "leave_one_out":
                    out[(*i, w, some)] = pearson(a[some, cut], b[some, cut])
                else:
                    found = matrix(a[some, cut], b[:, cut])
                    out[(*i, w, slice(None), some)] = found.reshape(values[0], -1)
    return out


def _groups(n: int, group: int) -> list[slice]:
    return [slice(k, min(k + group, n)) for k in range(0, n, group)]


def fields(people: tuple[int, ...], n_windows: int, n_shifts: int) -> Fields:
    """Results of :func:`tested` for ``(moving,)`` people, or ``(still, moving)`` pairs.

    ``isc``, ``p`` and the ends of the band of ``1 - alpha``, in each window; then ``largest``,
    the largest score of all at each shift.
    """
    values = (n_windows, *people)
    return Fields(isc=values, p=values, low=values, high=values, largest=(n_shifts,))


def tested(
    moving: F64, still: F64, *, how: str, alpha: float, tail: str, width: int, step: int,
    margin: int | None, group: int, itself: bool,
) -> F64:  # fmt: skip
    """Values and the null of all shifts: ``(..., m, t), (..., r, t) -> (..., f)``.

    The whole series are shifted, then cut into windows. :func:`fields` says what the last axis
    holds. The whole null of ``group`` people is held at once, so the quantiles are exact.
    ``itself``: of pairs, both sides are the same people, whose own pairs are left out.
    Peak memory: 200 bytes per sample of a group, twice that with gaps, and 16 bytes per sample.
    """
    n = moving.shape[-1]
    first = 0 if margin is None else margin
    starts = range(first, n - first - width + 1, step)
    people = (
        (moving.shape[-2],) if how == "leave_one_out" else (still.shape[-2], moving.shape[-2])
    )
    plan = fields(people, len(starts), n if margin is None else 2 * margin + 1)
    out = np.full((*moving.shape[:-2], plan.size), np.nan)
    for i in np.ndindex(moving.shape[:-2]):
        a, b = (np.ascontiguousarray(side[i], dtype=np.float64) for side in (moving, still))
        whole = bool(np.isfinite(a).all() and np.isfinite(b).all())
        largest = plan.part(out[i], "largest")
        largest[:] = -np.inf
        parts = [plan.part(out[i], name) for name in ("isc", "p", "low", "high")]
        for w, start in enumerate(starts):
            cut = slice(start, start + width)
            for some in _groups(a.shape[0], group):
                shifts = Shifts(a[some], start, width, margin, whole=whole)
                for row, partner in _partners(b[:, cut], some, how):
                    own = row - some.start if itself and row is not None else None
                    found, score = _null(a[some, cut], partner, shifts, own, alpha, tail)
                    np.fmax(largest, score, out=largest)
                    place = (w, some) if row is None else (w, row, some)
                    for part, values in zip(parts, found, strict=True):
                        part[place] = values
    return out


def _partners(still: F64, some: slice, how: str) -> Iterator[tuple[int | None, F64]]:
    """What moving people are compared with: once, or once per row of the matrix."""
    if how == "leave_one_out":
        yield None, still[some]
    else:
        yield from enumerate(still)


def _null(
    x: F64, partner: F64, shifts: Shifts, own: int | None, alpha: float, tail: str
) -> tuple[list[F64], F64]:
    """Values, p and the ends of the band of each; the largest score at each shift."""
    null = shifts.against(partner)
    r = pearson(x, np.broadcast_to(partner, x.shape))
    null[:, shifts.observed] = r  # the same value, without the rounding of the transform
    p = p_values.p_value(r, null, tail=tail, exact=True)
    ends = p_values.band(null, alpha=alpha)
    if own is not None and 0 <= own < x.shape[0]:  # nobody is compared with themselves
        null[own], p[own], ends[own] = np.nan, np.nan, np.nan
    score = p_values.score(null, tail)
    return [r, p, ends[:, 0], ends[:, 1]], np.fmax.reduce(score, axis=0, initial=-np.inf)


def exchanged(
    x: F64, groups: Ints, people: Ints, *, how: str, alpha: float, tail: str,
    width: int, step: int,
) -> F64:  # fmt: skip
    """Values with the null of strangers: ``(..., s, t), (s,), (s,) -> (..., w, 4, r)``.

    The tested person is exchanged for everybody of other groups who is another person. Along
    the axis of 4: the values, p and the two ends of the band.
    """
    cut = windows(x, width, step)
    n = x.shape[-2]
    out = np.empty((*cut.shape[:-2], 4, n if how == "leave_one_out" else n * n))
    for i in np.ndindex(cut.shape[:-2]):
        series = np.asarray(cut[i], dtype=np.float64)
        still = others(series, groups) if how == "leave_one_out" else series
        r = matrix(series, still).reshape(n, n)
        alone = how == "leave_one_out"  # the tested person stands where strangers are put
        parts = strangers.tested(
            r, groups, people, groups, people, tail=tail, alpha=alpha, itself=alone
        )
        found = np.concatenate([r[None], np.moveaxis(parts, -1, 0)])
        if alone:
            out[i] = np.diagonal(found, axis1=1, axis2=2)
            continue
        found[:, groups[:, None] != groups[None]] = np.nan
        out[i] = found.reshape(4, -1)
    return out


def windows(x: F64, width: int, step: int) -> F64:
    """Parts of the series, as a view: ``(..., s, t) -> (..., w, s, width)``."""
    parts = np.lib.stride_tricks.sliding_window_view(x, width, axis=-1)[..., ::step, :]
    return np.asarray(np.moveaxis(parts, -2, -3))
