"""The start of k-means, by k-means||: candidates of a few passes, clustered in memory.

A random sample, then in each of :data:`DRAWS` passes more samples, each the likelier the
farther it is from those that are there. All samples are counted to the nearest of these
candidates, and the few weighted candidates are clustered (k-means++, the best of several).

A sample is drawn by a number that is a hash of its values, the seed and the pass. So the draw
is the same in any blocks and any order of people.

References
----------
- Bahmani, Moseley, Vattani, Kumar & Vassilvitskii (2012), Proc. VLDB Endow. 5, 622-633,
  doi:10.14778/2180912.2180915.
- Efraimidis & Spirakis (2006), Inf. Process. Lett. 97, 181-185, doi:10.1016/j.ipl.2005.11.003
  (weighted samples of a stream).
"""

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels.states.kmeans import (
    DRAWS,
    Clusters,
    advance,
    finish,
    nearest,
    rows_of,
    sums,
)
from fhemb_xr.typing import F64, Floats

Bits = NDArray[np.uint64]
TRIES = 20
"""How often the candidates are clustered; the best counts."""


def uniform(z: F64, seed: int, number: int) -> F64:
    """A number above 0 and below 1 for each sample, by its values: ``(m, d) -> (m)``."""
    bits = np.ascontiguousarray(z + 0.0).view(np.uint64)  # -0.0 is 0.0
    first = np.random.default_rng([seed, number]).integers(2**63, dtype=np.uint64)
    h = np.full(len(z), first, np.uint64)
    for column in bits.T:
        h = _mixed(h ^ column)
    return np.asarray(((h >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)


def _mixed(h: Bits) -> Bits:
    """The bits of SplitMix64."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def nobody(model: Clusters) -> F64:
    """Candidates before the first pass."""
    row = np.full((1 + DRAWS * 2 * model.k, model.n_features), np.nan)
    return model.candidates.pack(number=0.0, row=row)


def draw(x: Floats, candidates: F64, model: Clusters) -> F64:
    """Samples of some people: ``(n, t, d), (c) -> (q)``.

    Memory: 33 bytes per number of a person, and 64 KiB for each candidate.
    """
    number = int(candidates[model.candidates["number"]])
    known = model.candidates.part(candidates, "row")
    out = _empty(model)
    for z in rows_of(x, model):
        weight = np.ones(len(z)) if number == 0 else nearest(z, known)[1]
        with np.errstate(divide="ignore"):
            key = np.where(weight > 0, np.log(uniform(z, model.seed, number)) / weight, -np.inf)
        best = np.argsort(-key, kind="stable")[: 2 * model.k]
        out = together(np.stack([out, _drawn(key[best], z[best], model)]), model)
    return out


def _empty(model: Clusters) -> F64:
    none = np.empty(0), np.empty((0, model.n_features))
    return _drawn(*none, model)


def _drawn(key: F64, row: F64, model: Clusters) -> F64:
    out = model.drawn.pack(
        key=np.full(2 * model.k, -np.inf), row=np.full((2 * model.k, model.n_features), np.nan)
    )
    model.drawn.part(out, "key")[: len(key)] = key
    model.drawn.part(out, "row")[: len(key)] = np.where(np.isfinite(key)[:, None], row, np.nan)
    return out


def together(states: F64, model: Clusters) -> F64:
    """The samples with the largest keys of several draws: ``(k, q) -> (q)``."""
    key = model.drawn.part(states, "key").reshape(-1)
    row = model.drawn.part(states, "row").reshape(-1, model.n_features)
    # by the values too: samples of one key are in one order, in whatever blocks they came
    best = np.lexsort((*row.T, -key))[: 2 * model.k]
    return _drawn(key[best], row[best], model)


def added(candidates: F64, found: F64, model: Clusters) -> F64:
    """Candidates after a pass: ``(c), (q) -> (c)``; of the first pass only one is taken."""
    out = candidates.copy()
    number = int(out[model.candidates["number"]])
    row, new = model.candidates.part(out, "row"), model.drawn.part(found, "row")
    if number == 0:
        row[0] = new[0]
    else:
        first = 1 + (number - 1) * 2 * model.k
        row[first : first + 2 * model.k] = new
    out[model.candidates["number"]] = number + 1
    return out


def count(x: Floats, candidates: F64, model: Clusters) -> F64:
    """Samples nearest to each candidate: ``(n, t, d), (c) -> (m)``."""
    known = model.candidates.part(candidates, "row")
    out = np.zeros(len(known))
    if np.isfinite(known).any():
        for z in rows_of(x, model):
            out += np.bincount(nearest(z, known)[0], minlength=len(known))
    return out


def begin(candidates: F64, weight: F64, model: Clusters) -> F64:
    """The state before the first round: the candidates clustered, ``(c), (m) -> (s)``."""
    known = model.candidates.part(candidates, "row")
    there = np.isfinite(known).all(axis=-1) & (weight > 0)
    centre = np.full((model.k, model.n_features), np.nan)
    if there.any():
        rng = np.random.default_rng([model.seed, DRAWS + 1])
        tries = [_clustered(known[there], weight[there], model, rng) for _ in range(TRIES)]
        best = min(tries, key=lambda found: found[1])[0]
        centre[: len(best)] = best
    return model.state.pack(
        ended=float(not there.any()), round=0.0, change=np.inf, inertia=np.nan,
        count=np.zeros(model.k), centre=centre,
    )  # fmt: skip


def _clustered(
    rows: F64, weight: F64, model: Clusters, rng: np.random.Generator
) -> tuple[F64, float]:
    """Centres of weighted rows in memory, and what is left: ``(m, d), (m) -> (k, d)``."""
    centre = _spread(rows, weight, model, rng)
    for _ in range(model.n_iter):
        place, _ = nearest(rows, centre)
        total = np.bincount(place, weight, minlength=len(centre))
        each = [np.bincount(place, weight * column, len(centre)) for column in rows.T]
        mean = np.stack(each, axis=1) / np.maximum(total, 1)[:, None]
        moved = np.where(total[:, None] > 0, mean, centre)
        if np.array_equal(moved, centre):
            break
        centre = moved
    return centre, float(weight @ nearest(rows, centre)[1])


def _spread(rows: F64, weight: F64, model: Clusters, rng: np.random.Generator) -> F64:
    """k-means++ of weighted rows; fewer than ``k`` if there are no more that differ."""
    chosen = [int(rng.choice(len(rows), p=weight / weight.sum()))]
    while len(chosen) < model.k:
        far = weight * nearest(rows, rows[chosen])[1]
        if not far.sum() > 0:
            break
        chosen.append(int(rng.choice(len(rows), p=far / far.sum())))
    return rows[chosen]


def whole(x: Floats, model: Clusters) -> F64:
    """The fit of people who are all there: ``(n, t, d) -> (f)``."""
    candidates = nobody(model)
    for _ in range(1 + DRAWS):
        candidates = added(candidates, draw(x, candidates, model), model)
    state = begin(candidates, count(x, candidates, model), model)
    for _ in range(model.n_iter):
        if state[model.state["ended"]]:
            break
        state = advance(state, sums(x, state, model), model)
    return finish(state, model)
