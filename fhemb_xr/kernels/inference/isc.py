"""Inter-subject correlation and its nulls: one person moves, or is exchanged for a stranger.

Only the person who is tested moves. If every member moved by himself, the mean of the others
would be whiter than it is, and the null too narrow.

Pairs of samples of which one is missing are left out, at every shift; the mean of the others
is that of those who are there.

References
----------
Hasson et al. (2004), Science 303, 1634-1640, doi:10.1126/science.1089506.
Nastase et al. (2019), Soc. Cogn. Affect. Neurosci. 14, 667-685, doi:10.1093/scan/nsz037.
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


def isc(x: F64, *, how: str) -> F64:
    """Correlation of each with the others: ``(..., s, t) -> (..., s)``, or ``(..., s, s)``."""
    return moved(x, x, how=how)


def moved(x: F64, copies: F64, *, how: str) -> F64:
    """The same, of copies of the tested with the others as they are.

    ``(..., s, t), (..., s, t) -> (..., s)``, or ``(..., s, s)``: those along the last axis are
    copies.
    """
    n = x.shape[-2]
    shape = np.broadcast_shapes(x.shape, copies.shape)
    x, copies = np.broadcast_to(x, shape), np.broadcast_to(copies, shape)
    out = np.empty((*shape[:-1],) if how == "leave_one_out" else (*shape[:-1], n))
    for i in np.ndindex(shape[:-2]):
        still, moving = (np.asarray(a[i], dtype=np.float64) for a in (x, copies))
        if how == "leave_one_out":
            out[i] = pearson(moving, others(still))
        else:
            out[i] = matrix(moving, still).reshape(n, n)
    return out


def fields(shape: tuple[int, ...], how: str, margin: int | None) -> Fields:
    """Results of :func:`tested` in one window, for ``(people, samples)``.

    ``isc``, ``p`` and the ends of the band of ``1 - alpha``, of each person or pair; then
    ``largest``, the largest score of all at each shift.
    """
    n_people, n_samples = shape
    values = (n_people,) if how == "leave_one_out" else (n_people, n_people)
    n_shifts = n_samples if margin is None else 2 * margin + 1
    return Fields(isc=values, p=values, low=values, high=values, largest=(n_shifts,))


def tested(
    x: F64, *, how: str, alpha: float, tail: str, width: int, step: int, margin: int | None
) -> F64:
    """Values and the null of all shifts: ``(..., s, t) -> (..., w, f)``.

    The whole series are shifted, then cut into windows. :func:`fields` says what the last axis
    of length ``f`` holds for each window.
    Peak memory: 200 bytes per sample of one ``(s, t)``, twice that with gaps.
    """
    first = 0 if margin is None else margin
    last = x.shape[-1] - first - width
    starts = range(first, last + 1, step)
    out = np.empty((*x.shape[:-2], len(starts), fields(x.shape[-2:], how, margin).size))
    for i in np.ndindex(x.shape[:-2]):
        series = np.asarray(x[i], dtype=np.float64)
        still = others(series) if how == "leave_one_out" else series
        whole = bool(np.isfinite(series).all() and np.isfinite(still).all())
        for w, start in enumerate(starts):
            shifts = Shifts(series, start, width, margin, whole=whole)
            cut = slice(start, start + width)
            parts = _partners(still[:, cut], how)
            out[(*i, w)] = _window(series[:, cut], shifts, parts, how, alpha, tail)
    return out


def _partners(still: F64, how: str) -> Iterator[F64]:
    """What moving series are compared with: once, or once per row of the matrix."""
    if how == "leave_one_out":
        yield still
    else:
        yield from still


def _window(
    x: F64, shifts: Shifts, partners: Iterator[F64], how: str, alpha: float, tail: str
) -> F64:
    parts, largest = [], np.full(shifts.n_shifts, -np.inf)
    for row, partner in enumerate(partners):
        null = shifts.against(partner)
        r = pearson(x, np.broadcast_to(partner, x.shape))
        null[:, shifts.observed] = r  # the same value, without the rounding of the transform
        p = p_values.p_value(r, null, tail=tail, exact=True)
        ends = p_values.band(null, alpha=alpha)
        if how == "pairwise":  # nobody is tested against himself
            null[row], p[row], ends[row] = np.nan, np.nan, np.nan
        score = p_values.score(null, tail)
        largest = np.fmax(largest, np.fmax.reduce(score, axis=0, initial=-np.inf))
        parts.append([r, p, ends[:, 0], ends[:, 1]])
    return np.concatenate([np.swapaxes(parts, 0, 1).ravel(), largest])


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
        alone = how == "leave_one_out"  # the person himself stands where strangers are put
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
