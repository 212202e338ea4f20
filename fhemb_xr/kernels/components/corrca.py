"""Correlated components from the covariances of single people, in one pass.

N people, D features, T samples. Correlated components maximise

    rho(v) = v' R_b v / v' R_w v,   R_w = sum_i R_ii / sum_i n_ii,
                                    R_b = sum_{i != j} R_ij / sum_{i != j} n_ij,

where ``R_ij`` sums products of deviations from each person's own mean over the ``n_ij``
samples that both have. The N D x N D matrix of all ``R_ij`` is never made: ``sum_j R_ij`` is
the product of one person with the sum of all people, so N matrices of D x D are enough.

A *state* is a vector that holds, about provisional means ``c`` of each person::

    n (N, N)      samples that both have
    c (N, D)      provisional means
    b (N, N, D)   sums of person i's deviations where person j is there too
    within (N, D, D), cross (N, D, D)   R_ii and sum_j R_ij about c

References
----------
- Dmochowski, Sajda, Dias & Parra (2012), Front. Hum. Neurosci. 6, 112,
  doi:10.3389/fnhum.2012.00112.
- Parra, Haufe & Dmochowski (2019), Neurons, Behavior, Data Analysis, and Theory,
  doi:10.51628/001c.7125.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference.random_shifts import people_apart
from fhemb_xr.typing import F64, Bools, Floats, Ints


class Sums(NamedTuple):
    """The parts of a state; views of its vector."""

    n: F64
    c: F64
    b: F64
    within: F64
    cross: F64


def _fields(n_people: int, n_features: int) -> Fields:
    n, d = n_people, n_features
    return Fields(n=(n, n), c=(n, d), b=(n, n, d), within=(n, d, d), cross=(n, d, d))


def size(n_people: int, n_features: int) -> int:
    """Numbers in a state."""
    return _fields(n_people, n_features).size


def parts(state: F64, n_people: int, n_features: int) -> Sums:
    """The parts of ``(s,)``."""
    fields = _fields(n_people, n_features)
    return Sums(*(fields.part(state, name) for name in Sums._fields))


def state(x: Floats) -> F64:
    """The state of a stretch of time: ``(..., n, t, d) -> (..., s)``.

    A sample of a person counts where all its features are finite. Memory: 24 bytes per number
    of one leading index.
    """
    lead, (n, _, d) = x.shape[:-3], x.shape[-3:]
    out = np.zeros((*lead, size(n, d)))
    for at in np.ndindex(lead):
        _fill(parts(out[at], n, d), x[at])
    return out


def _fill(sums: Sums, x: Floats) -> None:
    ones = np.ones(x.shape[-1])
    there: Bools = np.isfinite(np.asarray(x @ ones, np.float64))  # a sample with a gap is none
    whole = bool(there.all())
    y = np.array(x, np.float64) if whole else np.where(there[..., None], x, 0.0)
    y = y.astype(np.float64, copy=False)
    weights = there.astype(np.float64)
    sums.n[:] = weights @ weights.T
    sums.c[:] = (
        np.matmul(weights[:, None], y)[:, 0] / np.maximum(weights.sum(axis=1), 1)[:, None]
    )
    if whole:
        y -= sums.c[:, None]
        sums.b[:] = y.sum(axis=1)[:, None]
    else:
        np.subtract(y, sums.c[:, None], out=y, where=there[..., None])
        sums.b[:] = np.matmul(weights, y)  # (n_j, t) with (i, t, d)
    total = y.sum(axis=0)
    across = y.transpose(0, 2, 1)
    np.matmul(across, y, out=sums.within)
    np.matmul(across, total, out=sums.cross)


def merge(states: F64, n_people: int, n_features: int) -> F64:
    """Merge ``k`` states of disjoint samples: ``(..., k, s) -> (..., s)``."""
    lead, k = states.shape[:-2], states.shape[-2]
    out = np.empty((*lead, states.shape[-1]))
    for at in np.ndindex(lead):
        pieces = [parts(states[(*at, i)], n_people, n_features) for i in range(k)]
        counts = np.stack([np.diagonal(p.n) for p in pieces])[..., None]
        sums = sum(p.c * c + p.b[_both(n_people)] for p, c in zip(pieces, counts, strict=True))
        mean = sums / np.maximum(counts.sum(axis=0), 1)
        moved = [_about(p, mean) for p in pieces]
        out[at] = np.concatenate([np.ravel(sum(q)) for q in zip(*moved, strict=True)])
        parts(out[at], n_people, n_features).c[:] = mean
    return out


def _both(n_people: int) -> tuple[Ints, Ints]:
    index = np.arange(n_people)
    return index, index


def _about(sums: Sums, mean: F64) -> Sums:
    """The same sums about other means; ``c`` is left as zeros, so that sums can be added."""
    n, c, b, within, cross = sums
    move = np.where(np.diagonal(n)[:, None] > 0, mean - c, 0.0)
    own = b[_both(len(n))]
    outer = np.einsum("ia,ib->iab", own, move)
    square = np.einsum("i,ia,ib->iab", np.diagonal(n), move, move)
    within = within - outer - outer.transpose(0, 2, 1) + square
    others = b.sum(axis=0)  # of person i's samples, the deviations of all people: sum_j b_ji
    cross = (
        cross
        - np.einsum("ija,jb->iab", b, move)
        - np.einsum("ia,ib->iab", move, others)
        + np.einsum("ia,ib->iab", move, n @ move)
    )
    return Sums(n, np.zeros_like(c), b - n[..., None] * move[:, None], within, cross)


class Fit(NamedTuple):
    """Correlated components of one group; missing components are NaN."""

    weights: F64
    """(k, d): a component is ``(x - mean) @ weights``; its variance within people is 1."""
    patterns: F64
    """(k, d): forward model, the pattern that the component shows in the features."""
    strength: F64
    """(k,): inter-subject correlation of the components."""
    strength_of: F64
    """(n, k): the same, each person with the others."""
    mean: F64
    """(n, d)."""


def fit_fields(n_people: int, n_features: int, k: int) -> Fields:
    """Shapes of the parts of a :class:`Fit`."""
    pattern = (k, n_features)
    return Fields(
        weights=pattern, patterns=pattern, strength=(k,), strength_of=(n_people, k),
        mean=(n_people, n_features),
    )  # fmt: skip


def fit(state: F64, n_people: int, n_features: int, k: int, gamma: float) -> Fit:
    """The components of a state ``(s,)``.

    ``gamma`` shrinks R_w towards its mean variance. Directions in which R_w has no variance
    (below ``d * eps`` of its largest) are left out.
    """
    n, _, b, within, cross = parts(state, n_people, n_features)
    counts = np.diagonal(n)
    mean = parts(state, n_people, n_features).c + b[_both(n_people)] / np.maximum(
        counts[:, None], 1
    )
    between = cross - within
    pairs = n.sum(axis=1) - counts
    if counts.sum() == 0 or pairs.sum() == 0:
        return _none(n_people, n_features, k, mean)
    r_w = within.sum(axis=0) / counts.sum()
    r_b = between.sum(axis=0) / pairs.sum()
    weights = generalised(r_b, r_w, k, gamma)
    patterns = weights @ r_w
    variance = np.einsum("ka,ka->k", patterns, weights)
    scale = np.sqrt(variance)
    largest = np.abs(patterns).argmax(axis=1) if np.isfinite(patterns).all() else None
    sign = np.ones(k) if largest is None else np.sign(patterns[np.arange(k), largest])
    weights = weights * (sign / scale)[:, None]
    patterns = patterns * (sign / scale)[:, None]
    strength = np.einsum("ka,ab,kb->k", weights, r_b, weights)
    own = (
        np.einsum("ka,iab,kb->ik", weights, within, weights)
        / np.where(counts > 0, counts, np.nan)[:, None]
    )
    shared = np.einsum("ka,iab,kb->ik", weights, between, weights)
    shared = shared / np.where(pairs > 0, pairs, np.nan)[:, None]
    others = (np.nansum(own, axis=0) - own) / (np.isfinite(own).sum(axis=0) - 1)
    return Fit(weights, patterns, strength, shared / ((own + others) / 2), mean)


def generalised(r_b: F64, r_w: F64, k: int, gamma: float) -> F64:
    """The ``k`` vectors of largest ``v' r_b v / v' r_w v``: ``(d, d), (d, d) -> (k, d)``."""
    d = len(r_w)
    shrunk = (1 - gamma) * r_w + gamma * np.trace(r_w) / d * np.eye(d)
    spectrum, axes = np.linalg.eigh(shrunk)
    kept = spectrum > d * np.finfo(np.float64).eps * max(spectrum[-1], 0.0)
    white = axes[:, kept] / np.sqrt(spectrum[kept])
    symmetric = (r_b + r_b.T) / 2
    _, turned = np.linalg.eigh(white.T @ symmetric @ white)
    found = (white @ turned[:, ::-1]).T[:k]
    out = np.full((k, d), np.nan)
    out[: len(found)] = found
    return out


def _none(n_people: int, n_features: int, k: int, mean: F64) -> Fit:
    d = n_features
    weights, strength = np.full((k, d), np.nan), np.full(k, np.nan)
    return Fit(weights, weights, strength, np.full((n_people, k), np.nan), mean)


def strengths_of_shifted(
    x: F64, k: int, gamma: float, rng: np.random.Generator, *, n: int, margin: int | None
) -> F64:
    """Strength of the components when every person is shifted: ``(n, t, d) -> (1 + n, k)``.

    Row 0 is the observed strength; ``margin`` as in :func:`people_apart`. Memory: 16 bytes per
    number.
    """
    people, _, features = x.shape
    out = np.full((1 + n, k), np.nan)
    for i, moved in enumerate(people_apart(x, rng, n, margin)):
        out[i] = fit(state(moved), people, features, k, gamma).strength
    return out


def strength_in_windows(scores: F64, width: int, step: int) -> F64:
    """Inter-subject correlation of one component in windows: ``(..., n, t) -> (..., w)``.

    Each person's own mean of the window is taken off. Memory: 40 bytes per sample of a window.
    """
    starts = range(0, scores.shape[-1] - width + 1, step)
    out = np.empty((*scores.shape[:-2], len(starts)))
    for place, start in enumerate(starts):
        part = scores[..., start : start + width]
        there = np.isfinite(part)
        counts = there.sum(axis=-1, keepdims=True)
        d = np.where(there, part, 0.0)
        d = np.where(there, d - d.sum(axis=-1, keepdims=True) / np.maximum(counts, 1), 0.0)
        within = (d * d).sum(axis=(-1, -2))
        between = (d.sum(axis=-2) ** 2).sum(axis=-1) - within
        present = there.sum(axis=-2)
        pairs, own = (present * (present - 1)).sum(axis=-1), counts.sum(axis=(-1, -2))
        with np.errstate(invalid="ignore", divide="ignore"):
            out[..., place] = (between / pairs) / (within / own)
    return out
