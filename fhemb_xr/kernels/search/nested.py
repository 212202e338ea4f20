"""Nested cross-validation over many specs, with tested people and tested segments apart.

References
----------
- Varma & Simon (2006), BMC Bioinformatics 7, 91, doi:10.1186/1471-2105-7-91.
- Cawley & Talbot (2010), J. Mach. Learn. Res. 11, 2079-2107.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fhemb_xr.kernels.inference import cross_validation as folding
from fhemb_xr.typing import F64, Bools, Ints

Judge = Callable[[Ints, Ints, Ints], F64]
"""Scores of all specs: labels, rows learnt from, rows tested -> ``(s,)``."""
TIE = 1e-12
NONE = -1


@dataclass(frozen=True)
class Samples:
    """Who did what when: a number for the label, the person and the segment of each sample."""

    labels: Ints
    groups: Ints
    segments: Ints

    def only(self, rows: Ints) -> "Samples":
        """Some of the samples."""
        return Samples(self.labels[rows], self.groups[rows], self.segments[rows])

    def exchanged(self, rng: np.random.Generator) -> "Samples":
        """The labels of whole segments exchanged, alike for all people."""
        y = folding.exchanged_segments(self.labels, self.segments, rng)
        return Samples(y, self.groups, self.segments)

    def parts(self, n: int, rng: np.random.Generator) -> list[tuple[Ints, Ints]]:
        """Rows learnt from and rows tested, for each part of people and part of segments.

        None where a class has one segment, or there is one person: what is tested would be
        learnt from.
        """
        if (
            folding.fewest_segments(self.labels, self.segments) < 2
            or np.unique(self.groups).size < 2
            or np.unique(self.labels).size < 2
        ):
            return []
        people = folding.folds(self.labels, self.groups, n, rng)
        music = folding.segment_folds(self.labels, self.segments, n, rng)
        return folding.parts(people, music)


def mean_scores(found: list[F64]) -> F64:
    """Mean of the scores of several parts, of those that are there: ``-> (s,)``."""
    all_parts = np.array(found)
    there = np.isfinite(all_parts)
    n = there.sum(axis=0)
    total = np.where(there, all_parts, 0).sum(axis=0)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def best_of(scores: F64, allowed: Bools) -> int:
    """The first of the best among those allowed; :data:`NONE` where there is none."""
    left = np.where(allowed & np.isfinite(scores), scores, -np.inf)
    if not np.isfinite(left).any():
        return NONE
    return int(np.flatnonzero(left >= left.max() - TIE)[0])


def searched(
    judge: Judge,
    samples: Samples,
    allowed: Callable[[Ints], Bools],
    *,
    n_splits: int,
    n_inner: int,
    n_folds: int,
    seed: int,
) -> tuple[F64, F64, F64]:
    """Scores of all specs, and score and number of the chosen one: ``-> (s,), (k,), (k,)``.

    ``allowed`` says which specs may be chosen by some rows. The spec of a fold is chosen by
    cross-validation inside the rows that are learnt from.
    """
    outer, chosen, nested = [], np.full(n_folds, np.nan), np.full(n_folds, np.nan)
    parts = samples.parts(n_splits, np.random.default_rng([seed, 0]))
    for k, (train, test) in enumerate(parts):
        scores = judge(samples.labels, train, test)
        outer.append(scores)
        within = samples.only(train).parts(n_inner, np.random.default_rng([seed, 2, k]))
        if not within:
            continue
        inner = [judge(samples.labels, train[a], train[b]) for a, b in within]
        best = best_of(mean_scores(inner), allowed(train))
        if best != NONE:
            chosen[k], nested[k] = best, scores[best]
    return mean_scores(outer) if outer else np.full(1, np.nan), nested, chosen
