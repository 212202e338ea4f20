"""Trials of a classifier: who is tested when, labels by chance, how sure an accuracy is.

References
----------
- Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, doi:10.1080/01621459.1927.10502953.
- Korn & Graubard (1998), Surv. Methodol. 24, 193-201: samples worth of independent ones.
- Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39, doi:10.2202/1544-6115.1585.
"""

import numpy as np

from fhemb_xr.kernels.inference.binomial import wilson
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.typing import F64, Bools, Ints


def within(labels: Ints, groups: Ints) -> bool:
    """Whether anybody has more than one label."""
    return any(np.ptp(labels[groups == g]) > 0 for g in np.unique(groups))


def folds(labels: Ints, groups: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Fold of every sample, ``(k,), (k,) -> (k,)``: all samples of a group are in one fold.

    Groups are dealt out in turn, those of one label after those of another, so that folds are
    alike; where groups have several labels, in random order.
    """
    people, first, which = np.unique(groups, return_index=True, return_inverse=True)
    stratum = np.zeros(people.size, np.int64) if within(labels, groups) else labels[first]
    order = rng.permutation(people.size)
    order = order[np.argsort(stratum[order], kind="stable")]
    fold = np.empty(people.size, np.int64)
    fold[order] = np.arange(people.size) % max(n, 1)
    return np.asarray(fold[which])


def shuffled(labels: Ints, groups: Ints, rng: np.random.Generator) -> Ints:
    """Labels as chance has them: exchanged within each group, or, where every group has one
    label, between groups.
    """
    people, first, which = np.unique(groups, return_index=True, return_inverse=True)
    if not within(labels, groups):
        return np.asarray(labels[first][rng.permutation(people.size)][which])
    out = labels.copy()
    for g in range(people.size):
        mine = np.flatnonzero(which == g)
        out[mine] = labels[rng.permutation(mine)]
    return out


def of_segments(labels: Ints, segments: Ints) -> bool:
    """Whether a segment has the same label for all people: ``(k,), (k,) -> ()``."""
    known = bool((segments >= 0).all())
    return known and not any(np.ptp(labels[segments == s]) for s in np.unique(segments))


def fewest_segments(labels: Ints, segments: Ints) -> int:
    """The number of segments of the class that has the fewest."""
    return min((np.unique(segments[labels == c]).size for c in np.unique(labels)), default=0)


def segment_folds(labels: Ints, segments: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Fold of every sample by its segment: ``(k,), (k,) -> (k,)``.

    Segments of a class are dealt out in turn, so that every class is in every fold.
    """
    n = max(1, min(n, fewest_segments(labels, segments)))
    out = np.empty(labels.size, np.int64)
    for c in np.unique(labels):
        own = rng.permutation(np.unique(segments[labels == c]))
        for k, segment in enumerate(own):
            out[segments == segment] = k % n
    return out


def exchanged_segments(labels: Ints, segments: Ints, rng: np.random.Generator) -> Ints:
    """Labels exchanged between segments, alike for all people: ``(k,), (k,) -> (k,)``."""
    _, first, which = np.unique(segments, return_index=True, return_inverse=True)
    return np.asarray(labels[first][rng.permutation(first.size)][which])


def parts(people: Ints, music: Ints) -> list[tuple[Ints, Ints]]:
    """Rows learnt from and rows tested: ``(k,), (k,) ->`` a pair for each two folds.

    Neither a tested person nor a tested segment is learnt from; of one fold of segments, all
    are learnt from and tested.
    """
    out = []
    whole = music.max(initial=0) == 0
    for part, piece in np.ndindex(people.max(initial=-1) + 1, music.max(initial=-1) + 1):
        test = np.flatnonzero((people == part) & (music == piece))
        train = np.flatnonzero((people != part) & ((music != piece) | whole))
        if test.size and train.size:
            out.append((train, test))
    return out


def kept(x: F64, labels: Ints, groups: Ints) -> Bools:
    """Samples that are whole, seen once, and balanced: ``(k, ...), (k,), (k,) -> (k,)``.

    Of two equal samples the first stays. Where groups have several labels, each keeps as many
    samples of every label as of its rarest.
    """
    flat = np.ascontiguousarray(x.reshape(len(x), -1))
    out = np.asarray(np.isfinite(flat).all(axis=1))
    _, first = np.unique(flat[out], axis=0, return_index=True)
    there = np.flatnonzero(out)
    out[:] = False
    out[there[first]] = True
    if not within(labels, groups):
        return out
    classes = np.unique(labels)
    for g in np.unique(groups):
        mine = [np.flatnonzero(out & (groups == g) & (labels == c)) for c in classes]
        fewest = min(m.size for m in mine)
        for m in mine:
            out[m[fewest:]] = False
    return out


def clustered(right: F64, groups: Ints, alpha: float) -> tuple[float, float]:
    """Wilson's interval where the samples of a group are alike: ``(k,), (k,) -> ()``.

    The number of trials is that of independent ones with the variance found between groups,
    never more than there are samples; where all or none are right, the number of groups. The
    quantile is Student's, with one degree of freedom less than groups.
    """
    from scipy import stats

    which = np.unique(groups, return_inverse=True)[1]
    n, m = right.size, which.max(initial=-1) + 1
    if m < 2:
        return np.nan, np.nan
    share = float(right.mean())
    off = np.bincount(which, right - share)
    variance = float((off**2).sum()) / n**2 * m / (m - 1)
    independent = share * (1 - share) / variance if variance > 0 else float("inf")
    trials = float(m) if not 0 < share < 1 else min(float(n), independent)
    return wilson(share, trials, float(stats.t.ppf(1 - alpha / 2, m - 1)))


SUMMARY = (
    "accuracy", "wilson_low", "wilson_high", "subject_low", "subject_high", "p", "chance",
    "n_used", "n_subjects",
)  # fmt: skip


def summary(right: F64, labels: Ints, groups: Ints, alpha: float) -> F64:
    """:data:`SUMMARY` of a classifier: ``(draws, repeats, k), (k,), (k,) -> (9,)``.

    ``right`` is 1, 0, or NaN for samples left out; the first draw has the true labels.
    """
    from scipy import stats

    used = np.isfinite(right[0, 0])
    n = int(used.sum())
    if not n:
        return np.array([np.nan] * (len(SUMMARY) - 2) + [0.0, 0.0])
    scores = right[:, :, used].mean(axis=(1, 2))
    own = right[0][:, used].mean(axis=0)
    chance = np.bincount(labels[used]).max() / n
    return np.array([
        scores[0],
        *wilson(float(scores[0]), n, float(stats.norm.ppf(1 - alpha / 2))),
        *clustered(own, groups[used], alpha),
        p_value(scores[0], scores[1:]),
        chance, n, np.unique(groups[used]).size,
    ])  # fmt: skip
