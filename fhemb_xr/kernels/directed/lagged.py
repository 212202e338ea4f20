"""Forecasts of series by their own past and that of others, from lagged covariances.

One pass over the data. A *channel* is a series of a person or of a stimulus. A *group* is a set
of channels whose lags 0 to L are the columns of one covariance matrix; a moment counts in a
group where all its columns are there. Columns are ordered by channel, then by lag.

References
----------
- Geweke (1984), J. Am. Stat. Assoc. 79, 907-915, doi:10.1080/01621459.1984.10477110.
- Chan, Golub & LeVeque (1983), Am. Stat. 37, 242-247 (merging of covariances).
"""

import itertools
from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.fields import Fields
from fhemb_xr.typing import F64, Bools, Floats, Ints

_BLOCK = 2**21
"""Numbers of lagged series in memory at a time."""
_DEPENDENT = 1e-12
"""Share of a column's variance that others leave, below which it is a sum of them."""
_FLAT = 1e-14
"""Deviations below this share of the mean are rounding."""


class Design(NamedTuple):
    """Which channels explain which."""

    n_lags: int
    groups: tuple[tuple[int, ...], ...]
    """Channels of each group, all of one length, those of a stimulus last."""
    n_given: int
    """Channels of a stimulus in each group."""
    ordered: tuple[tuple[int, int, int], ...]
    """Of each forecast: the group, the place of the source in it, that of the target."""

    @property
    def width(self) -> int:
        """Columns of a group."""
        return len(self.groups[0]) * (self.n_lags + 1)

    @property
    def fields(self) -> Fields:
        """The parts of a state."""
        n, p = len(self.groups), self.width
        return Fields(n=(n,), mean=(n, p), products=(n, p, p))

    def columns(self, source: int, target: int) -> tuple[Ints, int, int]:
        """Columns in the order of a forecast, the number of those known, and of the source's.

        First the past of the target and of all that is given, then the past of the source, then
        the target itself. A stimulus counts at lag 0 too.
        """
        at = np.arange(self.width).reshape(-1, self.n_lags + 1)
        people = len(at) - self.n_given
        others = [c for c in range(people) if c not in (source, target)]
        known = [at[target, 1:], at[others, 1:].ravel(), at[people:].ravel()]
        order = np.concatenate([*known, at[source, 1:], at[target, :1]])
        return order, sum(map(len, known)), self.n_lags


def design(n_people: int, n_given: int, n_lags: int, *, everyone: bool) -> Design:
    """Forecasts of each person by each other one, the source first; others known or not."""
    both = [*itertools.permutations(range(n_people), 2)]
    stimulus = tuple(range(n_people, n_people + n_given))
    if everyone:
        groups = ((*range(n_people), *stimulus),)
        return Design(n_lags, groups, n_given, tuple((0, *pair) for pair in both))
    pairs = [*itertools.combinations(range(n_people), 2)]
    place = {pair: k for k, pair in enumerate(pairs)}
    ordered = tuple((place[min(p), max(p)], int(p[0] > p[1]), int(p[0] < p[1])) for p in both)
    return Design(n_lags, tuple((*p, *stimulus) for p in pairs), n_given, ordered)


class Sums(NamedTuple):
    """Moments that count, means and sums of products about them, of each group."""

    n: F64
    mean: F64
    products: F64

    def add(self, other: "Sums") -> None:
        """Add other moments, in place."""
        total = self.n + other.n
        share = other.n / np.maximum(total, 1)
        move = other.mean - self.mean
        weight = (self.n * share)[:, None]
        self.products[:] += other.products + (weight * move)[:, :, None] * move[:, None]
        self.mean[:] += share[:, None] * move
        self.n[:] = total


def parts(state: F64, design: Design) -> Sums:
    """The parts of a state ``(s,)``, views of it."""
    fields = design.fields
    return Sums(*(fields.part(state, name) for name in Sums._fields))


def state(x: Floats, design: Design) -> F64:
    """The state of a stretch, of which only moments with all lags count: ``(c, t) -> (s,)``.

    Memory: 80 MiB beside three times the result.
    """
    out = np.zeros(design.fields.size)
    sums, n_lags = parts(out, design), design.n_lags
    rows = max(_BLOCK // (len(x) * (n_lags + 1)), 64)
    for begin in range(n_lags, x.shape[-1], rows):
        end = min(begin + rows, x.shape[-1])
        z = np.empty((len(x), n_lags + 1, end - begin))
        for k in range(n_lags + 1):
            z[:, k] = x[:, begin - k : end - k]
        sums.add(_of_rows(z, design))
    return out


def _of_rows(z: F64, design: Design) -> Sums:
    there: Bools = np.asarray(np.isfinite(z).all(axis=1))
    groups, p = [list(g) for g in design.groups], design.width
    if there.all():  # what two groups share is summed once
        mean = z.mean(axis=-1)
        d = (z - mean[..., None]).reshape(-1, z.shape[-1])
        all_products = (d @ d.T).reshape(*mean.shape, *mean.shape)
        products = [all_products[g][:, :, g].reshape(p, p) for g in groups]
        n = np.full(len(groups), float(z.shape[-1]))
        return Sums(n, np.stack([mean[g].ravel() for g in groups]), np.stack(products))
    out = Sums(np.zeros(len(groups)), np.zeros((len(groups), p)), np.zeros((len(groups), p, p)))
    for k, g in enumerate(groups):
        rows = there[g].all(axis=0)
        if not rows.any():
            continue
        d = z[g][:, :, rows].reshape(p, -1)
        out.n[k] = d.shape[-1]
        out.mean[k] = d.mean(axis=-1)
        d -= out.mean[k][:, None]
        out.products[k] = d @ d.T
    return out


def merge(states: F64, design: Design) -> F64:
    """Merge ``k`` states of disjoint moments: ``(..., k, s) -> (..., s)``."""
    out = np.zeros((*states.shape[:-2], states.shape[-1]))
    for at in np.ndindex(out.shape[:-1]):
        sums = parts(out[at], design)
        for each in states[at]:
            sums.add(parts(each, design))
    return out


MEASURES = ("log_ratio", "f", "p_f", "n_moments")


def measures(state: F64, design: Design) -> F64:
    """What the source adds to each forecast, see :data:`MEASURES`: ``(s,) -> (4, forecasts)``.

    With the residual variances of the forecast without and with the source: the logarithm of
    their ratio, its F statistic and the F distribution's p. NaN where too few moments count,
    where a series never moves, or where the target needs nothing but its own past.
    """
    sums = parts(state, design)
    out = np.full((len(MEASURES), len(design.ordered)), np.nan)
    kinds: dict[tuple[int, int], list[int]] = {}
    for k, (_, source, target) in enumerate(design.ordered):
        kinds.setdefault((source, target), []).append(k)
    for pair, ks in kinds.items():
        order, n_known, n_source = design.columns(*pair)
        for k in ks:
            group = design.ordered[k][0]
            products = sums.products[group][np.ix_(order, order)]
            mean, n = sums.mean[group][order], float(sums.n[group])
            out[:, k] = _gained(products, mean, n, n_known, n_source)
    return out


def _gained(products: F64, mean: F64, n: float, n_known: int, n_source: int) -> list[float]:
    nothing = [np.nan, np.nan, np.nan, n]
    spread = np.sqrt(np.diagonal(products))
    moves = spread > _FLAT * np.abs(mean) * np.sqrt(n)
    if n <= len(mean) or not moves[-1] or not moves[n_known:-1].any():
        return nothing
    scale = np.where(moves, 1 / np.where(moves, spread, 1.0), 0.0)
    factor = _factor(products * scale[:, None] * scale)
    ends, used = factor[-1] ** 2, np.diagonal(factor)[:-1] > 0
    gain, left = ends[n_known:-1].sum(), ends[-1]
    if gain + left <= _DEPENDENT:
        return nothing
    q = int(used[n_known:].sum())
    free = n - 1 - used.sum()
    with np.errstate(divide="ignore"):
        ratio = np.float64(gain) / left if gain else np.float64(0.0)
    if not q:
        return [0.0, np.nan, np.nan, n]
    from scipy.special import fdtrc

    f = ratio * free / q
    return [np.log1p(ratio), f, fdtrc(q, free, f), n]


def _factor(a: F64) -> F64:
    """Cholesky factor ``(p, p)``; columns that are sums of those before them are 0."""
    try:
        factor: F64 = np.asarray(np.linalg.cholesky(a), np.float64)
        if np.diagonal(factor).min() ** 2 > _DEPENDENT:
            return factor
    except np.linalg.LinAlgError:
        pass
    left = a.copy()
    factor = np.zeros(a.shape)
    for k in range(len(a)):
        if left[k, k] > _DEPENDENT:
            factor[k:, k] = left[k:, k] / np.sqrt(left[k, k])
            left -= np.outer(factor[:, k], factor[:, k])
    return factor


def as_matrices(found: F64, n_people: int) -> F64:
    """By source and target, else NaN: ``(..., forecasts) -> (..., n, n)``."""
    out = np.full((*found.shape[:-1], n_people, n_people), np.nan)
    source, target = np.transpose([*itertools.permutations(range(n_people), 2)])
    out[..., source, target] = found
    return out
