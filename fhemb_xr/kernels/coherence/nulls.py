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
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.typing import F64, Floats

_SHORTEST = 6.0
"""Samples of the shortest scale in a simulation."""
_LENGTH = 8
"""Length of a simulated series, in scales of the longest."""


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


def p_values(x: Floats, y: Floats, scales: Scales, shifts: RandomShifts) -> F64:
    """Share of shifts whose mean coherence is as high: ``(t), (t) -> (p)``.

    Memory: ``120 * periods`` bytes per sample.
    """
    length = x.size
    a, b = (transform(s, scales, 0, length) for s in (x, y))
    observed = _mean(a, b, scales, shifts.margin, 0)
    reached = np.zeros(observed.size)
    for by in shifts.drawn(length):
        reached += _mean(a, b, scales, shifts.margin, by) >= observed
    return np.where(np.isfinite(observed), (1 + reached) / (1 + shifts.n), np.nan)


def _mean(a: Transform, b: Transform, scales: Scales, margin: int | None, by: int) -> F64:
    """Mean coherence in time of each period, ``b`` taken ``by`` samples later."""
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
    r2 = of_spectra(smoothed(cross, scales, edge, count), a.power[:, part], power)[0]
    there = np.isfinite(r2)
    n = there.sum(axis=-1)
    total = np.where(there, r2, 0.0).sum(axis=-1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
