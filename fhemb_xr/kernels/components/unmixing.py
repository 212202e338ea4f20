"""Whitening in one pass, and independent components by the fixed point of FastICA.

With the samples ``y`` of all people, less the mean of each, and their covariance ``C``, ``z = B
y`` is white, where ``B`` holds the leading eigenvectors of ``C`` by the roots of their
eigenvalues. A rotation ``R`` of ``z`` is sought. The weights are ``W = R B``. As the courses
``s = W y`` are uncorrelated with variance 1, the pattern of a component is ``C w``.

All is made of sums over people: none of them needs to be in memory beside another.

References
----------
- Hyvärinen (1999), IEEE Trans. Neural Netw. 10, 626-634, doi:10.1109/72.761722.
- Haufe et al. (2014), NeuroImage 87, 96-110, doi:10.1016/j.neuroimage.2013.10.067 (patterns).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.typing import F64, Bools, Floats

_RANK = 1e-13
"""Share of the largest eigenvalue below which a direction holds rounding errors."""


def _logcosh(u: F64) -> tuple[F64, F64]:
    g = np.tanh(u)
    return g, 1 - g * g


def _exp(u: F64) -> tuple[F64, F64]:
    bell = np.exp(-u * u / 2)
    return u * bell, (1 - u * u) * bell


def _cube(u: F64) -> tuple[F64, F64]:
    return u**3, 3 * u * u


CONTRASTS: dict[str, Callable[[F64], tuple[F64, F64]]] = {
    "logcosh": _logcosh,
    "exp": _exp,
    "cube": _cube,
}
"""The function of the fixed point and its derivative, as scikit-learn names them."""


class Mixture(NamedTuple):
    """What is asked for, and the sizes of the data."""

    k: int
    n_features: int
    contrast: str = "logcosh"
    n_iter: int = 200
    tol: float = 1e-4
    seed: int = 0
    lags: tuple[int, ...] = ()

    @property
    def moments(self) -> Fields:
        """Sums over samples: their number, products of features, and the same at each lag."""
        d, n = self.n_features, len(self.lags)
        return Fields(n=(), products=(d, d), pairs=(n,), lagged=(n, d, d))

    @property
    def state(self) -> Fields:
        """What goes from one round to the next; it is ended if it starts with 1."""
        d, k = self.n_features, self.k
        return Fields(
            ended=(), round=(), change=(), n=(), rank=(), white=(k, d), rotation=(k, k),
            covariance=(d, d),
        )  # fmt: skip

    @property
    def sums(self) -> Fields:
        """Sums of one round: of ``g z'`` and of the derivative of g."""
        return Fields(products=(self.k, self.k), slopes=(self.k,))

    @property
    def fit(self) -> Fields:
        """Parts of the result."""
        d, k = self.n_features, self.k
        return Fields(
            weights=(k, d), patterns=(k, d), explained_variance_ratio=(k,), change=(),
            rounds=(), rank=(), autocorrelation=(k, len(self.lags)),
        )  # fmt: skip


def centred(person: Floats) -> tuple[F64, Bools, F64]:
    """Less the mean, with zeros where a sample is missing: ``(t, d) -> (t, d), (t), (d)``.

    A sample counts where all its features are finite.
    """
    there: Bools = np.isfinite(np.asarray(person @ np.ones(person.shape[-1]), np.float64))
    y = np.where(there[:, None], person, 0.0).astype(np.float64, copy=False)
    n = there.sum()
    mean = y.sum(axis=0) / n if n else np.full(person.shape[-1], np.nan)
    y -= np.where(there[:, None], mean, 0.0)
    return y, there, mean


def moments(x: Floats, model: Mixture) -> F64:
    """Sums over some people: ``(n, t, d) -> (q)``. Memory: 24 bytes per number of a person."""
    fields, out = model.moments, np.zeros(model.moments.size)
    products, lagged = fields.part(out, "products"), fields.part(out, "lagged")
    pairs = fields.part(out, "pairs")
    for person in x:
        y, there, _ = centred(person)
        out[fields["n"]] += there.sum()
        products += y.T @ y
        for place, lag in enumerate(model.lags):
            pairs[place] += (there[lag:] & there[:-lag]).sum()
            lagged[place] += y[:-lag].T @ y[lag:]
    return out


class White(NamedTuple):
    """The whitening of a covariance; rows beyond the rank are NaN."""

    white: F64
    covariance: F64
    rank: int
    n: float


def whitened(found: F64, model: Mixture) -> White:
    """The whitening by the moments of all people: ``(q)``."""
    fields = model.moments
    n = found[fields["n"]]
    covariance = fields.part(found, "products") / max(n, 1.0)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    values, vectors = values[::-1][: model.k], vectors[:, ::-1][:, : model.k]
    rank = int((values > _RANK * max(values[0], 0.0)).sum()) if values[0] > 0 else 0
    white = np.full((model.k, model.n_features), np.nan)
    white[:rank] = (vectors[:, :rank] / np.sqrt(values[:rank])).T
    return White(white, covariance, rank, float(n))


def begin(found: F64, model: Mixture) -> F64:
    """The state before the first round, with a random rotation: ``(q) -> (s)``."""
    made = whitened(found, model)
    rotation = np.full((model.k, model.k), np.nan)
    first = np.random.default_rng(model.seed).normal(size=(made.rank, made.rank))
    rotation[: made.rank, : made.rank] = decorrelated(first)
    return model.state.pack(
        ended=float(made.rank == 0), round=0.0, change=np.inf, n=made.n, rank=float(made.rank),
        white=made.white, rotation=rotation, covariance=made.covariance,
    )  # fmt: skip


def decorrelated(w: F64) -> F64:
    """The nearest rotation, ``(w w')^(-1/2) w``."""
    if not w.size:
        return w
    u, _, v = np.linalg.svd(w)
    return np.asarray(u @ v)


def sums(x: Floats, state: F64, model: Mixture) -> F64:
    """One round over some people: ``(n, t, d), (s) -> (q)``.

    Memory: 24 bytes per number of a person, and 40 per sample and component.
    """
    fields, out = model.sums, np.zeros(model.sums.size)
    if state[model.state["ended"]]:
        return out
    rank, white, rotation = _known(state, model)
    for person in x:
        y, there, _ = centred(person)
        z = y[there] @ white.T
        g, slope = CONTRASTS[model.contrast](z @ rotation.T)
        fields.part(out, "products")[:rank, :rank] += g.T @ z
        fields.part(out, "slopes")[:rank] += slope.sum(axis=0)
    return out


def _known(state: F64, model: Mixture) -> tuple[int, F64, F64]:
    """Rank, whitening and rotation, without what is beyond the rank."""
    rank = int(state[model.state["rank"]])
    white = model.state.part(state, "white")[:rank]
    return rank, white, model.state.part(state, "rotation")[:rank, :rank]


def advance(state: F64, found: F64, model: Mixture) -> F64:
    """The state after a round: ``(s), (q) -> (s)``. A rotation that stays ends the rounds."""
    fields, out = model.state, state.copy()
    if out[fields["ended"]]:
        return out
    rank, _, old = _known(state, model)
    n = state[fields["n"]]
    products = model.sums.part(found, "products")[:rank, :rank] / n
    slopes = model.sums.part(found, "slopes")[:rank] / n
    new = decorrelated(products - slopes[:, None] * old)
    change = float(np.abs(np.abs((new * old).sum(axis=1)) - 1).max())
    fields.part(out, "rotation")[:rank, :rank] = new
    out[fields["change"]] = change
    out[fields["round"]] += 1
    out[fields["ended"]] = float(change <= model.tol)
    return out


def finish(state: F64, model: Mixture) -> F64:
    """The fit of a state: ``(s) -> (f)``."""
    fields = model.state
    rank, white, rotation = _known(state, model)
    return fitted(
        rotation @ white, fields.part(state, "covariance"), model, rank=rank,
        change=float(state[fields["change"]]), rounds=float(state[fields["round"]]),
    )  # fmt: skip


def fitted(
    weights: F64, covariance: F64, model: Mixture, *, rank: int, change: float, rounds: float,
    autocorrelation: F64 | None = None,
) -> F64:  # fmt: skip
    """The fit of weights ``(r, d)``: the largest share of variance first, and the signs.

    The sign makes the largest absolute value of each pattern positive.
    """
    patterns = weights @ covariance
    total = float(np.trace(covariance))
    share = (patterns**2).sum(axis=1) / total if total > 0 else np.empty(0)
    order = np.argsort(-share, kind="stable")
    place = np.abs(patterns[order]).argmax(axis=1)
    sign = np.sign(np.take_along_axis(patterns[order], place[:, None], axis=1))
    parts = {
        "weights": sign * weights[order], "patterns": sign * patterns[order],
        "explained_variance_ratio": share[order],
        "autocorrelation": np.empty((rank, 0)) if autocorrelation is None
        else autocorrelation[order],
    }  # fmt: skip
    out = np.full(model.fit.size, np.nan)
    for name, values in parts.items():
        model.fit.part(out, name)[:rank] = values
    for name, value in (("change", change), ("rounds", rounds), ("rank", rank)):
        out[model.fit[name]] = value
    return out


def whole(x: Floats, model: Mixture) -> F64:
    """The fit of people who are all there: ``(n, t, d) -> (f)``."""
    state = begin(moments(x, model), model)
    for _ in range(model.n_iter):
        if state[model.state["ended"]]:
            break
        state = advance(state, sums(x, state, model), model)
    return finish(state, model)
