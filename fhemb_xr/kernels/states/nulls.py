"""Do boundaries that others gave hold in a person; is the order of the states any order."""

import numpy as np

from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.states import events
from fhemb_xr.kernels.states.events import Chain
from fhemb_xr.typing import F64, Floats, Ints


def p_values(x: Floats, model: Chain, lag: int, n: int, seed: int) -> F64:
    """Of each person, with the boundaries of the mean of the others: ``(n, t, d) -> (n)``.

    Statistic: how much more alike are two moments ``lag`` samples apart if no boundary lies
    between them. Null: the same lengths of states, in random order. NaN of who has no sample,
    or where all such moments are on one side. Memory: 40 bytes per number.
    """
    each = [events.scaled(person, model.zscore) for person in x]
    z = np.stack([np.where(there[:, None], z, np.nan) for z, there in each])
    rng = np.random.default_rng(seed)
    out = np.full(len(x), np.nan)
    for i in range(len(x)):
        group = _mean(np.delete(z, i, axis=0))[None]
        fit = events.whole(group, model)
        pattern, variance = model.fit.part(fit, "pattern"), fit[model.fit["variance"]]
        found, _ = events.passed(group[0], pattern, variance, model.zscore)
        edges = events.boundaries(found)
        if np.isfinite(edges).all():
            alike = alikeness(z[i], lag)
            lengths = np.diff([0, *edges.astype(np.int64), len(alike) + lag])
            out[i] = _p_value(alike, lengths, lag, n, rng)
    return out


def _mean(z: F64) -> F64:
    """Of people who are there: ``(n, t, d) -> (t, d)``."""
    there = np.isfinite(z)
    count = there.sum(axis=0)
    total = np.where(there, z, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def alikeness(z: F64, lag: int) -> F64:
    """Correlation of the patterns of two moments: ``(t, d) -> (t - lag)``; NaN in gaps."""
    there = np.asarray(np.isfinite(z).all(axis=-1))
    u = events.directions(np.where(there[:, None], z, 0.0))
    known = np.asarray(
        (u != 0).any(axis=-1)
    )  # a moment whose features are all equal has no pattern
    out = (u[lag:] * u[:-lag]).sum(axis=-1)
    return np.where(known[lag:] & known[:-lag], out, np.nan)


def within_less_across(alike: F64, lengths: Ints, lag: int) -> float:
    """Mean alikeness within states less that across their boundaries."""
    state = np.repeat(np.arange(len(lengths)), lengths)
    across = state[lag:] != state[:-lag]
    known = np.isfinite(alike)
    parts = alike[known & ~across], alike[known & across]
    if not all(p.size for p in parts):
        return np.nan
    return float(parts[0].mean() - parts[1].mean())


def _p_value(alike: F64, lengths: Ints, lag: int, n: int, rng: np.random.Generator) -> float:
    observed = within_less_across(alike, lengths, lag)
    if not np.isfinite(observed):
        return np.nan
    null = [within_less_across(alike, rng.permutation(lengths), lag) for _ in range(n)]
    return float(p_value(np.asarray(observed), np.array(null)))


def held_out(x: Floats, model: Chain, folds: Ints, n: int, seed: int) -> F64:
    """Log-likelihood a moment of who was not learnt from, and p: ``(n, t, d) -> (2, n)``.

    ``folds (n)`` says with whom each is held out. p is the share of ``n`` random orders of the
    states that are as likely; NaN for ``n = 0`` or one state.
    """
    out = np.full((2, len(x)), np.nan)
    rng = np.random.default_rng(seed)
    for fold in np.unique(folds):
        fit = events.whole(x[folds != fold], model)
        pattern, variance = model.fit.part(fit, "pattern"), fit[model.fit["variance"]]
        orders = [rng.permutation(model.k) for _ in range(n)] if model.k > 1 else []
        for i in np.flatnonzero(folds == fold):
            out[0, i] = events.passed(x[i], pattern, variance, model.zscore)[1]
            null = [events.passed(x[i], pattern[o], variance, model.zscore)[1] for o in orders]
            out[1, i] = p_value(out[0, i], np.array(null))
    there = np.isfinite(x).all(axis=-1).sum(axis=-1)
    out[0] /= np.maximum(there, 1)
    return out
