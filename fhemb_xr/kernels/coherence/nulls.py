"""How much coherence chance gives: of noise, and of series that are shifted in time."""

from typing import Any

import numpy as np

from fhemb_xr.kernels.coherence.wavelets import (
    Scales,
    Transform,
    coherence,
    of_spectra,
    smoothed,
    transform,
)
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.typing import F64, Floats

_SHORTEST = 6.0
"""Samples of the shortest scale in a simulation."""
_LENGTH = 8
"""Length of a simulated series, in scales of the longest."""
_WHOLE = 0.9
"""Share of the observed moments from which on a shift counts as a whole one."""


def threshold(scales: Scales, n: int, alpha: float, seed: int) -> F64:
    """Coherence that independent noise exceeds in ``alpha`` of all moments: ``-> (p)``.

    Scales are all multiplied by one number: the coherence of white noise does not depend on it.
    """
    rng = np.random.default_rng(seed)
    given = scales.samples
    small = Scales(tuple(given * min(1.0, _SHORTEST / given.min())), scales.per_octave)
    size = int(_LENGTH * max(small.of_periods)) + 2
    found = []
    for _ in range(n):
        a, b = (transform(rng.normal(size=size), small, 0, size) for _ in range(2))
        found.append(coherence(a, b, small)[0])
    return np.asarray(np.nanquantile(np.concatenate(found, axis=-1), 1 - alpha, axis=-1))


def p_values(
    x: Floats, y: Floats, scales: Scales, shifts: RandomShifts, level: float | None
) -> F64:
    """How many shifts reach the mean coherence, and the clusters: ``(t), (t) -> (r, p)``.

    Row 0 has the p-values of the mean over time. With a ``level``, one row for each moment
    follows, with the p-value of the cluster that it is in, NaN outside of clusters. A shift
    without a moment that both series have is left out.
    Memory: ``120 * periods`` bytes per sample, and 24 more with a level.
    """
    length, n_periods = x.size, len(scales.of_periods)
    a, b = (transform(s, scales, 0, length) for s in (x, y))
    moments = _shifted(a, b, scales, shifts.margin, 0)
    moves = shifts.drawn(length)
    means, counts = np.empty((2, n_periods, 1 + len(moves)))
    means[:, 0], counts[:, 0] = _mean(moments), np.isfinite(moments).sum(axis=-1)
    largest = np.full((n_periods, len(moves)), np.nan)
    for i, by in enumerate(moves):
        moved = _shifted(a, b, scales, shifts.margin, by)
        means[:, 1 + i], counts[:, 1 + i] = _mean(moved), np.isfinite(moved).sum(axis=-1)
        if level is not None:
            largest[:, i] = [_largest(row, level) for row in moved]
    beyond = _beyond_chance(means, counts)
    p = p_value(beyond[:, 0], beyond[:, 1:])
    if level is None:
        return p[None]
    out = np.full((1 + length, n_periods), np.nan)
    out[0], before = p, 1 + (shifts.margin or 0)
    share = np.minimum(counts[:, 1:] / np.maximum(_WHOLE * counts[:, :1], 1), 1.0)
    for k, row in enumerate(moments):
        for start, stop, mass in clusters(row, level):
            found = p_value(np.asarray(mass), largest[k], weight=share[k])
            out[before + start : before + stop, k] = found
    return out


def _beyond_chance(means: F64, counts: F64) -> F64:
    """Means about that of all shifts, by their standard errors but for a factor: ``(p, n)``.

    With gaps, shifts differ in how many moments their means are of. Without, the order of the
    means stays.
    """
    total = np.where(counts > 0, means * counts, 0.0).sum(axis=-1, keepdims=True)
    centre = total / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return np.asarray((means - centre) * np.sqrt(counts))


def clusters(r2: F64, level: float) -> list[tuple[int, int, float]]:
    """Begin, end and mass above ``level`` of each run of moments above it: ``(t)``."""
    above = np.concatenate([[False], r2 > level, [False]])  # NaN is not above
    edges = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    return [(int(i), int(j), float((r2[i:j] - level).sum())) for i, j in edges]


def _largest(r2: F64, level: float) -> float:
    """Mass of the largest cluster, 0 without one; NaN without a moment."""
    if not np.isfinite(r2).any():
        return np.nan
    return max((mass for *_, mass in clusters(r2, level)), default=0.0)


def mean_coherence(x: Floats, y: Floats, scales: Scales) -> F64:
    """Mean over time: ``(t), (t) -> (p)``."""
    a, b = (transform(s, scales, 0, x.size) for s in (x, y))
    return _mean(coherence(a, b, scales)[0])


def beside_strangers(
    means: F64, groups: tuple[int, ...], people: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
) -> F64:  # fmt: skip
    """Share of strangers as coherent as each pair of one group: ``(..., q, p) -> (..., q, p)``.

    Strangers of a pair are of another group than one of the two, and another person. NaN of
    pairs that are strangers themselves, or one person.
    """
    first, second = np.array(pairs).T
    group, person = np.array(groups), np.array(people)
    strange = (group[first] != group[second]) & (person[first] != person[second])
    out = np.full(means.shape, np.nan)
    for q, (i, j) in enumerate(pairs):
        if group[i] != group[j] or person[i] == person[j]:
            continue
        of_either = strange & (np.isin(first, (i, j)) | np.isin(second, (i, j)))
        null = np.moveaxis(means[..., of_either, :], -2, -1)
        out[..., q, :] = p_value(means[..., q, :], null, tail="greater", exact=False)
    return out


def _shifted(a: Transform, b: Transform, scales: Scales, margin: int | None, by: int) -> F64:
    """Coherence of each period and moment, ``b`` taken ``by`` samples later: ``(p, t)``."""
    length = a.power.shape[-1]
    if margin is None:
        waves, power = (np.roll(v, -by, axis=-1) for v in (b.waves, b.power))
        part, edge = slice(None), 0
        first, count = a.waves, length
    else:
        edge, count = margin, length - 2 * margin
        part = slice(margin, length - margin)
        begin, end = max(0, -by), min(length, length - by)
        waves, power = b.waves[:, begin + by : end + by], b.power[:, edge + by :][:, :count]
        first, edge = a.waves[:, begin:end], margin - begin
    cross: Any = first * np.conj(waves) / scales.samples[:, None]
    return np.asarray(
        of_spectra(smoothed(cross, scales, edge, count), a.power[:, part], power)[0]
    )


def _mean(r2: F64) -> F64:
    """Mean over time: ``(p, t) -> (p)``."""
    there = np.isfinite(r2)
    n = there.sum(axis=-1)
    total = np.where(there, r2, 0.0).sum(axis=-1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
