"""States in one order, fitted to several people at once: a hidden Markov model of events.

Each state has a pattern of the features. Everybody passes through all states in the same
order, at their own moments. A moment is the likelier in a state, the more its pattern
correlates with the state's. By turns, patterns are the means of the moments in each state, and
the probabilities of the moments follow from the patterns; a variance falls from round to round.

With N people and D features, ``z`` is a person's series, each feature with mean 0 and variance
1 over time, and ``u`` the same with mean 0 and length 1 over the features of each moment.

References
----------
- Baldassano, Chen, Zadbood, Pillow, Hasson & Norman (2017), Neuron 95, 709-721,
  doi:10.1016/j.neuron.2017.06.041.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.states import chain
from fhemb_xr.typing import F64, Bools, Floats

_FLAT = 1e-13
_FIRST, _FALL = 4.0, 0.98
"""The variance of the first round, and by what each round multiplies it."""


class Chain(NamedTuple):
    """What is asked for, and the sizes of the data."""

    k: int
    n_features: int
    n_iter: int
    zscore: bool

    @property
    def state(self) -> Fields:
        """What goes from one round to the next; ``best`` is the result."""
        pattern = (self.k, self.n_features)
        return Fields(round=(), ended=(), next=pattern, best=pattern, variance=(), mean_ll=())

    @property
    def sums(self) -> Fields:
        """Sums over people: of patterns, of who has the state, of likelihoods, of people."""
        return Fields(
            pattern=(self.k, self.n_features), held=(self.k,), likelihood=(), people=()
        )

    @property
    def fit(self) -> Fields:
        """Parts of the result."""
        return Fields(pattern=(self.k, self.n_features), variance=(), mean_ll=(), rounds=())


def begin(model: Chain) -> F64:
    """The state before the first round, in which moments have no evidence."""
    none = np.full((model.k, model.n_features), np.nan)
    return model.state.pack(
        round=0.0, ended=0.0, next=none, best=none, variance=np.nan, mean_ll=-np.inf
    )


def variance_of(number: int) -> float:
    """The variance of round ``number``, from 0 on."""
    return float(_FIRST * _FALL**number)


def scaled(x: Floats, zscore: bool) -> tuple[F64, Bools]:
    """``z`` with zeros where a sample is missing: ``(t, d) -> (t, d), (t)``."""
    there = np.isfinite(x @ np.ones(x.shape[-1]))
    y = x[there].astype(np.float64, copy=False)  # the choice is a copy already
    if len(y) == 0:
        return np.zeros(x.shape), there
    mean = y.mean(axis=0)
    y -= mean
    if zscore:
        spread = np.sqrt(np.einsum("td,td->d", y, y) / max(len(y) - 1, 1))
        moves = spread > _FLAT * np.abs(mean)
        y *= np.where(moves, 1 / np.where(moves, spread, 1.0), 0.0)
    if len(y) == len(x):
        return y, there
    z = np.zeros(x.shape)
    z[there] = y
    return z, there


def directions(z: F64) -> F64:
    """``u``: ``(..., d) -> (..., d)``; 0 where all features are equal."""
    d = np.asarray(z - z.mean(axis=-1, keepdims=True))
    length = np.sqrt(np.einsum("...d,...d->...", d, d))
    moves = length > _FLAT * np.maximum(z.max(axis=-1), -z.min(axis=-1))
    d /= np.where(moves, length, 1.0)[..., None]  # in place: series are most of the memory
    d[~moves] = 0.0
    return d


def evidence(u: F64, there: Bools, pattern: F64, variance: float) -> F64:
    """Log-probability per feature of each moment in each state: ``(t, d), (k, d) -> (t, k)``.

    0 where a sample is missing, or no pattern is known yet.
    """
    if not np.isfinite(pattern).any():
        return np.zeros((len(u), len(pattern)))
    d = u.shape[-1]
    r = u @ directions(np.where(np.isfinite(pattern), pattern, 0.0)).T
    out = -0.5 * np.log(2 * np.pi * variance) - (d - 1) / d * (1 - r) / variance
    known = there & (u != 0).any(axis=-1)
    return np.where(known[:, None], out, 0.0)


def probabilities(of_moments: F64) -> tuple[F64, float]:
    """Probability of each state at each moment, and the log-likelihood: ``(t, k)``."""
    n, k = of_moments.shape
    out = np.empty((n, k))
    p = (k - 1) / n
    move = np.log(p) if p > 0 else -np.inf
    return out, float(chain.posterior(of_moments, np.log1p(-p), move, out))


def sums(x: Floats, state: F64, model: Chain) -> F64:
    """One round over some people: ``(n, t, d), (s) -> (q)``.

    Memory: 16 bytes per number of one person, 24 per state and moment, and 4 per moment.
    """
    out = np.zeros(model.sums.size)
    if state[model.state["ended"]]:
        return out
    pattern = model.state.part(state, "next")
    variance = variance_of(int(state[model.state["round"]]))
    for person in x:
        _add_person(out, person, pattern, variance, model)
    return out


def _add_person(out: F64, x: Floats, pattern: F64, variance: float, model: Chain) -> None:
    """Add a person's sums; what they need is let go before the next person's turn."""
    z, there = scaled(x, model.zscore)
    if not there.any():
        return
    found, likelihood = probabilities(evidence(directions(z), there, pattern, variance))
    fields, weights = model.sums, np.where(there[:, None], found, 0.0)
    total = weights.sum(axis=0)
    held = total > 0
    fields.part(out, "pattern")[held] += (weights.T @ z)[held] / total[held, None]
    fields.part(out, "held")[:] += held
    out[fields["likelihood"]] += likelihood
    out[fields["people"]] += 1


def advance(state: F64, found: F64, model: Chain) -> F64:
    """The state after a round: ``(s), (q) -> (s)``. A likelihood that falls ends the rounds."""
    fields, out = model.state, state.copy()
    people = found[model.sums["people"]]
    if out[fields["ended"]] or people == 0:
        out[fields["ended"]] = 1.0
        return out
    number = int(out[fields["round"]])
    if number > 0:  # in the first one there is no evidence
        likelihood = found[model.sums["likelihood"]] / people
        if likelihood < out[fields["mean_ll"]]:
            out[fields["ended"]] = 1.0
            return out
        out[fields["mean_ll"]] = likelihood
        out[fields["variance"]] = variance_of(number)
        fields.part(out, "best")[:] = fields.part(out, "next")
    held = model.sums.part(found, "held")[:, None]
    mean = model.sums.part(found, "pattern") / np.maximum(held, 1)
    fields.part(out, "next")[:] = np.where(held > 0, mean, 0.0)
    out[fields["round"]] = number + 1
    return out


def finish(state: F64, model: Chain) -> F64:
    """The fit of a state: ``(s) -> (f)``."""
    fields = model.state
    known = np.isfinite(state[fields["variance"]])
    return model.fit.pack(
        pattern=fields.part(state, "best"), variance=state[fields["variance"]],
        mean_ll=state[fields["mean_ll"]] if known else np.nan, rounds=state[fields["round"]],
    )  # fmt: skip


def whole(x: Floats, model: Chain) -> F64:
    """The fit of people who are all there: ``(n, t, d) -> (f)``."""
    state = begin(model)
    for _ in range(model.n_iter):
        state = advance(state, sums(x, state, model), model)
        if state[model.state["ended"]]:
            break
    return finish(state, model)


def passed(x: Floats, pattern: F64, variance: float, zscore: bool) -> tuple[F64, float]:
    """When one person is in each state: ``(t, d), (k, d) -> (t, k)``, and the log-likelihood.

    NaN of who has no sample, or where there are no patterns.
    """
    z, there = scaled(x, zscore)
    if not (there.any() and np.isfinite(variance)):
        return np.full((len(x), len(pattern)), np.nan), np.nan
    return probabilities(evidence(directions(z), there, pattern, variance))


def boundaries(found: F64) -> F64:
    """First moment at which a later state is as likely as not: ``(..., t, k) -> (..., k - 1)``.

    A position in the series, as the median of when the state ends; NaN where nothing is known.
    """
    later = found[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    first = np.argmax(later >= 0.5 - 1e-12, axis=-2).astype(np.float64)
    known = np.asarray(np.isfinite(found).all(axis=(-1, -2)))
    return np.where(known[..., None], first, np.nan)
