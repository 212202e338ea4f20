"""Two-alternative forced choices: drawn, judged, and how sure the share of right ones is.

References
----------
- Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, doi:10.1080/01621459.1927.10502953.
- Owen (2007), Ann. Appl. Stat. 1, 386-411, doi:10.1214/07-AOAS122 (persons of two roles).
"""

import itertools
from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Bools, Ints

FOUND = ("accuracy", "trials", "wilson_low", "wilson_high", "person_low", "person_high")
SCORES = ("precision", "recall", "f1")


def drawn(n_persons: int, n_clips: int, n: int, third: bool, rng: np.random.Generator) -> Ints:
    """Heart, right face, wrong face and clip of each trial: ``(4, n)``.

    The right face is the heart's own; with ``third``, the heart is of neither.
    """
    own = rng.integers(n_persons, size=n)
    foil = (own + rng.integers(1, n_persons, size=n)) % n_persons
    heart = own
    if third:
        # uniform over the others: a place among them, past the two that are taken
        place = rng.integers(n_persons - 2, size=n)
        low, high = np.minimum(own, foil), np.maximum(own, foil)
        place = place + (place >= low)
        heart = place + (place >= high)
    return np.stack([heart, own, foil, rng.integers(n_clips, size=n)])


def judged(score: F64, trials: Ints) -> F64:
    """1 right, 0 wrong, ½ for a tie, NaN without a score: ``(h, c, m), (4, n) -> (n,)``."""
    heart, own, foil, clip = trials
    margin = score[heart, own, clip] - score[heart, foil, clip]
    return np.where(np.isfinite(margin), 0.5 * (1 + np.sign(margin)), np.nan)


def strata(
    right: F64, trials: Ints, difference: F64, edges: F64, *, alpha: float, n_boot: int,
    rng: np.random.Generator,
) -> F64:  # fmt: skip
    """``FOUND`` of all trials and of each interval of the difference: ``(1 + e, 6)``.

    The last interval is open above.
    """
    weights = _weights(trials, n_boot, rng)
    return np.stack(
        [_summary(right, k, weights, alpha) for k in _kept(right, difference, edges)]
    )


def confusions(right: F64, difference: F64, edges: F64, rng: np.random.Generator) -> F64:
    """``SCORES``, and how often each place was true and told: ``(1 + e, 7)``.

    Rows are those of :func:`strata`. The right face is at the first or the second place at
    random. The counts are of first told first, first told second, second told first, second
    told second; a tie is half of both.
    """
    second = rng.integers(2, size=right.shape[0]) == 1
    out = []
    for here in _kept(right, difference, edges):
        hits = [right[here & (second == place)] for place in (False, True)]
        counts = np.array([[h.sum(), (1 - h).sum()] for h in hits])
        counts[1] = counts[1, ::-1]  # the second place, where it is right, is told second
        out.append(np.concatenate([_scores(counts), counts.ravel()]))
    return np.stack(out)


def _scores(counts: F64) -> list[float]:
    """Means over both places: ``(truth, told) -> (3,)``; NaN without a trial."""
    true, told, hits = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    if not counts.sum():
        return [np.nan] * 3
    precision, recall = (hits / np.where(n > 0, n, 1) for n in (told, true))
    both = precision + recall
    f1 = 2 * precision * recall / np.where(both > 0, both, 1)
    return [float(v.mean()) for v in (precision, recall, f1)]


def _kept(right: F64, difference: F64, edges: F64) -> list[Bools]:
    """Trials with a score: all, and those of each interval of the difference."""
    inner = [
        (difference >= low) & (difference < high)
        for low, high in itertools.pairwise([*edges, np.inf])
    ]
    return [k & np.isfinite(right) for k in (np.ones(right.shape, dtype=np.bool_), *inner)]


def _weights(trials: Ints, n_boot: int, rng: np.random.Generator) -> Ints:
    """How often a trial is there when its persons are drawn again: ``(boot, n)``.

    Persons are drawn, not trials; a trial counts by the product over the persons in it.
    """
    people, place = np.unique(trials[:3], return_inverse=True)
    place = place.reshape(3, -1)
    share = np.full(people.size, 1 / people.size)
    counts = rng.multinomial(people.size, share, size=n_boot)
    out = counts[:, place[1]] * counts[:, place[2]]
    third = place[0] != place[1]
    return np.where(third, out * counts[:, place[0]], out)


def _summary(right: F64, here: Bools, weights: Any, alpha: float) -> F64:
    n = int(here.sum())
    if not n:
        return np.array([np.nan, 0, *[np.nan] * 4])
    share = float(right[here].mean())
    total = weights[:, here].sum(axis=1)
    again = (weights[:, here] @ right[here])[total > 0] / total[total > 0]
    band = np.quantile(again, [alpha / 2, 1 - alpha / 2]) if again.size else [np.nan] * 2
    return np.array([share, n, *wilson(share, n, alpha), *band])


def wilson(share: float, n: int, alpha: float) -> tuple[float, float]:
    """Wilson's score interval of a share of ``n`` independent trials."""
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half
