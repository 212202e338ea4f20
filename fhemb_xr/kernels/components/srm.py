"""The deterministic shared response model, from sums over stretches of time.

N people, T samples, D features, k components. It minimises

    sum_i sum_t |z_i(t) - W_i s(t)|²,   W_i' W_i = 1,

by turns: ``s(t)`` is the mean of ``W_i' z_i(t)`` over the people who are there, ``W_i`` is the
polar factor of ``A_i = sum_t z_i(t) s(t)'``. So a round needs one pass, and keeps N matrices of
D x k. The first ``W_i`` are random, of a seed.

References
----------
- Chen, Chen, Yeshurun, Hasson, Haxby & Ramadge (2015), A reduced-dimension fMRI shared response
  model, Advances in Neural Information Processing Systems 28, 460-468.
"""

from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.kernels.inference.random_shifts import people_apart
from fhemb_xr.typing import F64, Bools, Floats

_TOGETHER = 2**17
"""Numbers of all people that are swept twice at a time: they stay in the cache."""
_FLAT = 1e-13
"""Standard deviation of a feature that does not move, as a share of its mean."""


class Model(NamedTuple):
    """What is asked for, and the sizes of the data."""

    n_people: int
    n_features: int
    k: int
    n_iter: int
    zscore: bool
    seed: int

    @property
    def moments(self) -> Fields:
        """Samples, means and squares about them, of each person."""
        n, d = self.n_people, self.n_features
        return Fields(count=(n,), mean=(n, d), m2=(n, d))

    @property
    def state(self) -> Fields:
        """What goes from one round to the next."""
        n, d = self.n_people, self.n_features
        return Fields(
            round=(), course=(self.n_iter + 1,), count=(n,), total=(n,), mean=(n, d),
            scale=(n, d), weights=(n, d, self.k),
        )  # fmt: skip

    @property
    def sums(self) -> Fields:
        """Sums over time: ``A_i``, and products of the shared courses."""
        n, d, k = self.n_people, self.n_features, self.k
        return Fields(a=(n, d, k), shared=(n, k, k))

    @property
    def fit(self) -> Fields:
        """Parts of the result."""
        n, d, k = self.n_people, self.n_features, self.k
        return Fields(
            weights=(n, d, k), mean=(n, d), scale=(n, d), explained=(k,), explained_of=(n, k),
            explained_by=(self.n_iter + 1,),
        )  # fmt: skip


def present(x: Floats) -> Bools:
    """A sample counts where all its features are there: ``(..., t, d) -> (..., t)``."""
    return np.asarray(np.isfinite(x @ np.ones(x.shape[-1])))


def moments(x: Floats, model: Model) -> F64:
    """Moments of a stretch of time: ``(n, t, d) -> (m)``.

    Memory: 24 bytes per number of one person.
    """
    out = np.zeros(model.moments.size)
    counts, means, squares = (model.moments.part(out, n) for n in ("count", "mean", "m2"))
    for i, person in enumerate(x):
        there = present(person)
        count = int(there.sum())
        y = np.asarray(person if count == len(person) else person[there], np.float64)
        mean = y.sum(axis=0) / max(count, 1)
        d = y - mean
        more = d.sum(axis=0) / max(count, 1)  # what rounding left
        counts[i], means[i] = count, mean + more
        squares[i] = np.einsum("td,td->d", d, d) - count * more**2
    return out


def merged(parts: F64, model: Model) -> F64:
    """Moments of ``p`` stretches together: ``(p, m) -> (m)``."""
    count, mean, m2 = (model.moments.part(parts, n) for n in ("count", "mean", "m2"))
    weight = count[..., None]
    total = weight.sum(axis=0)
    centre = (weight * mean).sum(axis=0) / np.maximum(total, 1)
    spread = (m2 + weight * (mean - centre) ** 2).sum(axis=0)
    return model.moments.pack(count=total[:, 0], mean=centre, m2=spread)


def begin(of_time: F64, model: Model) -> F64:
    """The state before the first round: ``(m) -> (s)``; weights are orthonormal, at random."""
    count, mean, m2 = (model.moments.part(of_time, n) for n in ("count", "mean", "m2"))
    scale = np.sqrt(m2 / np.maximum(count, 1)[:, None])
    scale = np.where(scale > _FLAT * np.abs(mean), scale if model.zscore else 1.0, 0.0)
    total = (m2 * _inverse(scale) ** 2).sum(axis=1)
    rng = np.random.default_rng(model.seed)
    drawn = rng.normal(size=(model.n_people, model.n_features, model.k))
    return model.state.pack(
        round=0.0, course=np.full(model.n_iter + 1, np.nan), count=count, total=total,
        mean=mean, scale=scale, weights=np.linalg.qr(drawn)[0],
    )  # fmt: skip


def scaled(x: Floats, mean: F64, scale: F64) -> tuple[F64, Bools]:
    """Features about their means, 0 where a sample is missing; and which samples there are.

    ``(n, t, d), (n, d), (n, d) -> (t, n, d), (n, t)``; a scale of 0 leaves a feature out. All
    people of a moment lie together, so that one product serves them.
    """
    there, inverse = present(x), _inverse(scale)
    z = np.empty((x.shape[1], len(x), x.shape[2]))
    for i, person in enumerate(x):  # one by one: in the cache
        own = (person - mean[i]) * inverse[i]
        own[~there[i]] = 0.0
        z[:, i] = own
    return z, there


def _inverse(scale: F64) -> F64:
    """By what features are multiplied; 0 leaves one out."""
    return np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)


def sums(x: Floats, state: F64, model: Model) -> F64:
    """Sums over a stretch of time: ``(n, t, d), (s) -> (q)``. Memory: 24 bytes per number."""
    mean, scale, weights = (model.state.part(state, n) for n in ("mean", "scale", "weights"))
    return _sums(*scaled(x, mean, scale), weights, model)


def _sums(z: F64, there: Bools, weights: F64, model: Model) -> F64:
    """The same of scaled features."""
    n, d, k = model.n_people, model.n_features, model.k
    flat, by = z.reshape(len(z), n * d), weights.reshape(n * d, k)
    a, products = np.zeros((k, n * d)), np.zeros((n, k, k))
    rows = max(_TOGETHER // (n * d), 16)
    for begin in range(0, len(z), rows):
        part, known = flat[begin : begin + rows], there[:, begin : begin + rows]
        shared = part @ by / np.maximum(known.sum(axis=0), 1)[:, None]
        a += shared.T @ part
        of_them = shared.T if known.all() else known[:, None] * shared.T
        products += of_them @ shared
    return model.sums.pack(a=a.T.reshape(n, d, k), shared=products)


def advance(state: F64, found: F64, model: Model) -> F64:
    """The state after a round: ``(s), (q) -> (s)``."""
    fields, out = model.state, state.copy()
    number = int(out[fields["round"]])
    fields.part(out, "course")[number] = _explained(state, found, model)
    fields.part(out, "weights")[:] = polar(model.sums.part(found, "a"))
    out[fields["round"]] = number + 1
    return out


def _explained(state: F64, found: F64, model: Model) -> float:
    """Share of the variance of all people that the shared courses explain."""
    total = model.state.part(state, "total").sum()
    shared = model.sums.part(found, "shared").trace(axis1=1, axis2=2).sum()
    return float(shared / total) if total > 0 else np.nan


def polar(a: F64) -> F64:
    """The nearest matrices with orthonormal columns: ``(..., d, k) -> (..., d, k)``."""
    u, _, v = np.linalg.svd(a, full_matrices=False)
    return np.asarray(u @ v)


def finish(state: F64, found: F64, model: Model) -> F64:
    """The fit, of a state and its sums: ``(s), (q) -> (f)``.

    Components are turned so that their shared courses do not correlate, strongest first; the
    sum of squares that is minimised stays. Who has no sample has NaN.
    """
    fields = model.state
    weights, mean, scale, course = (
        fields.part(state, n).copy() for n in ("weights", "mean", "scale", "course")
    )
    course[model.n_iter] = _explained(state, found, model)
    a, shared = (model.sums.part(found, n) for n in model.sums.shapes)
    total = fields.part(state, "total")
    absent = fields.part(state, "count") == 0
    turn = np.linalg.eigh(shared.sum(axis=0))[1][:, ::-1]
    pattern = (weights[~absent] @ turn).sum(axis=0)  # (d, k)
    largest = pattern[np.abs(pattern).argmax(axis=0), np.arange(model.k)]
    turn = turn * np.where(largest < 0, -1.0, 1.0)
    weights = weights @ turn
    power = np.diagonal(turn.T @ shared @ turn, axis1=1, axis2=2)
    own = 2 * np.einsum("ndk,ndk->nk", weights, a @ turn) - power
    weights[absent], mean[absent], scale[absent] = np.nan, np.nan, np.nan
    variance = np.where(total > 0, total, np.nan)
    known = total.sum() or np.nan
    return model.fit.pack(
        weights=weights, mean=mean, scale=scale, explained=power.sum(axis=0) / known,
        explained_of=own / variance[:, None], explained_by=course,
    )  # fmt: skip


def whole(x: Floats, model: Model) -> F64:
    """The fit of series that are all there: ``(n, t, d) -> (f)``."""
    fields = model.state
    state = begin(moments(x, model), model)
    data = scaled(x, fields.part(state, "mean"), fields.part(state, "scale"))
    for _ in range(model.n_iter):
        found = _sums(*data, fields.part(state, "weights"), model)
        state = advance(state, found, model)
    return finish(state, _sums(*data, fields.part(state, "weights"), model), model)


def p_values(x: F64, model: Model, n: int, margin: int | None) -> F64:
    """How often shifted people explain as much: ``(n, t, d) -> (k)``.

    The share that a component explains is compared with that of the first one of a fit in which
    every person is shifted, so that p holds for all components together. Of a linear shift
    only the middle is fitted. Memory: 40 bytes per number.
    """
    rng = np.random.default_rng(model.seed)
    shares = [
        model.fit.part(whole(moved, model), "explained")
        for moved in people_apart(x, rng, n, margin)
    ]
    observed, null = shares[0], np.array([s[0] for s in shares[1:]])
    return p_value(observed, null)


def against(x: F64, shared: F64, zscore: bool) -> tuple[F64, F64, F64, F64]:
    """Weights of one person for courses that are given: ``(t, d), (t, k) -> (d, k), …``.

    Gives weights, means, divisors, and the share that each course explains. Memory: 40 bytes
    per number.
    """
    d, k = x.shape[-1], shared.shape[-1]
    model = Model(1, d, k, 0, zscore, 0)
    state = begin(moments(x[None], model), model)
    mean, scale = (model.state.part(state, n)[0] for n in ("mean", "scale"))
    z, there = scaled(x[None], mean[None], scale[None])
    both = there[0] & np.isfinite(shared).all(axis=-1)
    z, s = z[both, 0], shared[both]
    if not both.any():
        return np.full((d, k), np.nan), mean * np.nan, scale * np.nan, np.full(k, np.nan)
    a = z.T @ s
    weights, total = polar(a), (z * z).sum()
    explained = 2 * np.einsum("dk,dk->k", weights, a) - (s * s).sum(axis=0)
    return weights, mean, scale, explained / (total if total > 0 else np.nan)
