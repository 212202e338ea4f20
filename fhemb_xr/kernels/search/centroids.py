"""The nearest class mean, for many sets of columns at once, and how well it tells classes.

Columns are scaled by the mean and the standard deviation of those that are learnt from. So it
is scikit-learn's ``NearestCentroid`` after its ``StandardScaler``. For two classes and one
column it is a threshold halfway between the two means.
"""

import numpy as np

from fhemb_xr.typing import F64, Bools, Ints

SCORES = ("accuracy", "auc")


def distances(train: F64, y: Ints, test: F64, n_classes: int) -> F64:
    """Squared distance to each class mean: ``(f, n, s), (n,), (f, m, s) -> (c, m, s)``.

    Columns come first, so that the work runs along specs. A column that is constant in those
    learnt from is not scaled. NaN for a class that nobody has.
    """
    one = (y == np.arange(n_classes)[:, None]).astype(np.float64)
    counts = one.sum(axis=1, keepdims=True)
    out = np.zeros((n_classes, *test.shape[1:]))
    for a, b in zip(train, test, strict=True):
        sums = one @ a
        centre = sums.sum(axis=0) / len(a)
        variance = ((a - centre) ** 2).sum(axis=0) / len(a)
        variance[variance == 0] = 1
        with np.errstate(invalid="ignore"):
            means = sums / counts
        for d, mean in zip(out, means, strict=True):
            d += (b - mean) ** 2 / variance
    return out


def accuracy(d: F64, y: Ints) -> F64:
    """Mean share of right answers over the classes that are tested: ``(c, m, s) -> (s,)``."""
    told = d[1] < d[0] if len(d) == 2 else np.where(np.isnan(d), np.inf, d).argmin(axis=0)
    return balanced(told == y[:, None], y)


def balanced(right: F64 | Bools, y: Ints) -> F64:
    """The same of answers that are right or not: ``(m, s), (m,) -> (s,)``."""
    n = np.bincount(y)
    weight = 1.0 / (n[y] * (n > 0).sum())
    return np.asarray(weight @ right)


def auc(d: F64, y: Ints) -> F64:
    """Share of pairs of both classes in the right order, ties half: ``(2, m, s) -> (s,)``."""
    margin = d[0] - d[1]
    high, low = margin[y == 1][:, None], margin[y == 0][None]
    if not high.size or not low.size:
        return np.full(d.shape[-1], np.nan)
    return np.asarray(((high > low) + 0.5 * (high == low)).mean(axis=(0, 1)))


def score(d: F64, y: Ints, how: str) -> F64:
    """One of :data:`SCORES` for each set of columns: ``(c, m, s), (m,) -> (s,)``."""
    return auc(d, y) if how == "auc" else accuracy(d, y)
