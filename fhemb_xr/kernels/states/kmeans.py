"""k-means of all moments of all people, of sums over blocks.

By turns, samples go to the nearest centre and centres to the mean of their samples (Lloyd),
until no centre moves. The start is made in ``kmeans_start``.

References
----------
- Lloyd (1982), IEEE Trans. Inf. Theory 28, 129-137, doi:10.1109/TIT.1982.1056489.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.states.events import scaled
from fhemb_xr.typing import F64, Floats, Ints

DRAWS = 5
"""Passes that draw candidates, as Bahmani et al. recommend."""
_STILL = 1e-12
"""Share of the variance by which centres still move because of rounding."""
_ROWS = 2**13
"""Samples whose distances are in memory at a time."""


class Clusters(NamedTuple):
    """What is asked for, and the sizes of the data."""

    k: int
    n_features: int
    n_iter: int
    zscore: bool
    seed: int = 0

    @property
    def drawn(self) -> Fields:
        """Samples drawn in one pass, with the keys by which they were."""
        return Fields(key=(2 * self.k,), row=(2 * self.k, self.n_features))

    @property
    def candidates(self) -> Fields:
        """All samples drawn so far, NaN where there is none yet; the number of the pass."""
        return Fields(number=(), row=(1 + DRAWS * 2 * self.k, self.n_features))

    @property
    def state(self) -> Fields:
        """What goes from one round to the next; it is ended if it starts with 1."""
        return Fields(
            ended=(), round=(), change=(), inertia=(), count=(self.k,),
            centre=(self.k, self.n_features),
        )  # fmt: skip

    @property
    def sums(self) -> Fields:
        """Sums of one round: samples of each centre, their values, squared distances."""
        return Fields(count=(self.k,), row=(self.k, self.n_features), inertia=(), square=())

    @property
    def fit(self) -> Fields:
        """Parts of the result."""
        return Fields(
            pattern=(self.k, self.n_features), inertia=(), rounds=(), change=(), still=(),
        )  # fmt: skip


def rows_of(x: Floats, model: Clusters) -> Iterator[F64]:
    """Scaled samples that are there, some at a time: ``(n, t, d) -> (m, d)``."""
    for person in x:
        z, there = scaled(person, model.zscore)
        z = np.ascontiguousarray(z[there])
        yield from (z[i : i + _ROWS] for i in range(0, len(z), _ROWS))


def nearest(z: F64, centres: F64) -> tuple[Ints, F64]:
    """The nearest of those centres that are there, and its squared distance: ``(m, d)``."""
    there = np.isfinite(centres).all(axis=-1)
    known = centres[there]
    square = (z * z).sum(axis=1)[:, None] - 2 * z @ known.T + (known * known).sum(axis=1)
    place = square.argmin(axis=1)
    gap = z - known[place]  # the differences themselves: no cancellation
    return np.flatnonzero(there)[place], (gap * gap).sum(axis=1)


def sums(x: Floats, state: F64, model: Clusters) -> F64:
    """One round over some people: ``(n, t, d), (s) -> (q)``.

    Memory: 33 bytes per number of a person, and 64 KiB for each centre.
    """
    fields, out = model.sums, np.zeros(model.sums.size)
    if state[model.state["ended"]]:
        return out
    centre = model.state.part(state, "centre")
    for z in rows_of(x, model):
        place, far = nearest(z, centre)
        fields.part(out, "count")[:] += np.bincount(place, minlength=model.k)
        for c, column in enumerate(z.T):
            fields.part(out, "row")[:, c] += np.bincount(place, column, model.k)
        out[fields["inertia"]] += far.sum()
        out[fields["square"]] += (z * z).sum()
    return out


def advance(state: F64, found: F64, model: Clusters) -> F64:
    """The state after a round: ``(s), (q) -> (s)``. Centres that stay end the rounds.

    A centre without a sample stays where it is.
    """
    fields, out = model.state, state.copy()
    if out[fields["ended"]]:
        return out
    held = model.sums.part(found, "count")
    old = fields.part(state, "centre")
    mean = model.sums.part(found, "row") / np.maximum(held, 1)[:, None]
    new = np.where(held[:, None] > 0, mean, old)
    change = float(np.nansum((new - old) ** 2))
    fields.part(out, "centre")[:], fields.part(out, "count")[:] = new, held
    out[fields["change"]], out[fields["inertia"]] = change, found[model.sums["inertia"]]
    out[fields["round"]] += 1
    out[fields["ended"]] = float(change <= _STILL * found[model.sums["square"]] / held.sum())
    return out


def finish(state: F64, model: Clusters) -> F64:
    """The fit of a state: ``(s) -> (f)``; the state with most samples is first."""
    fields = model.state
    held, centre = fields.part(state, "count"), fields.part(state, "centre")
    order = np.argsort(-held, kind="stable")
    return model.fit.pack(
        pattern=np.where(held[order, None] > 0, centre[order], np.nan),
        inertia=state[fields["inertia"]] / max(held.sum(), 1), rounds=state[fields["round"]],
        change=state[fields["change"]], still=state[fields["ended"]],
    )  # fmt: skip


def labels(person: Floats, pattern: F64, model: Clusters) -> F64:
    """The state of each moment of one person, NaN where one is missing: ``(t, d) -> (t)``."""
    z, there = scaled(person, model.zscore)
    out = np.full(len(z), np.nan)
    if np.isfinite(pattern).any() and there.any():
        for i in range(0, len(z), _ROWS):
            here = there[i : i + _ROWS]
            out[i : i + _ROWS][here] = nearest(z[i : i + _ROWS][here], pattern)[0]
    return out


def stays(label: F64, k: int) -> tuple[F64, F64]:
    """Share of the moments in each state, and the mean length of a stay: ``(t) -> (k), (k)``.

    Lengths are in samples; a gap ends a stay. NaN for who is never there, or never in a state.
    """
    there = np.isfinite(label)
    if not there.any():
        return np.full(k, np.nan), np.full(k, np.nan)
    place = label[there].astype(np.int64)
    held = np.bincount(place, minlength=k)
    new = np.ones(len(label), bool)
    new[1:] = label[1:] != label[:-1]
    runs = np.bincount(label[there & new].astype(np.int64), minlength=k)
    mean = np.where(runs > 0, held / np.maximum(runs, 1), np.nan)
    return held / there.sum(), mean
