"""Rotation forests, and forests on shapelets: two of the original's classifiers.

scikit-learn has their parts, trees and components, but not the whole.

References
----------
- Rodríguez, Kuncheva & Alonso (2006), Rotation forest, IEEE TPAMI 28, 1619-1630,
  doi:10.1109/TPAMI.2006.211.
- Hills, Lines, Baranauskas, Mapp & Bagnall (2014), Data Min. Knowl. Discov. 28, 851-881,
  doi:10.1007/s10618-013-0322-1.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fhemb_xr.typing import F64, Ints


@dataclass
class RotationForest:
    """Trees, each on all components of random triples of columns.

    The components of a triple are of three quarters as many samples, drawn with replacement
    from a random choice of the classes; the tree learns from all samples.
    """

    n_trees: int = 100
    width: int = 3
    seed: int = 0
    trees: list[tuple[Ints, F64, Any]] = field(default_factory=list)

    def fit(self, x: F64, y: Ints) -> "RotationForest":
        """Learn from ``(n, d)`` and ``(n,)``."""
        from sklearn.tree import DecisionTreeClassifier

        rng = np.random.default_rng(self.seed)
        self.trees = []
        for _ in range(self.n_trees):
            triples, axes = self._rotation(x, y, rng)
            tree = DecisionTreeClassifier(random_state=int(rng.integers(2**31)))
            self.trees.append((triples, axes, tree.fit(rotated(x, triples, axes), y)))
        return self

    def predict(self, x: F64) -> Ints:
        """The class that the trees on average find likeliest: ``(n, d) -> (n,)``."""
        sums = sum(t.predict_proba(rotated(x, a, b)) for a, b, t in self.trees)
        return np.asarray(self.trees[0][2].classes_[np.argmax(sums, axis=1)])

    def _rotation(self, x: F64, y: Ints, rng: np.random.Generator) -> tuple[Ints, F64]:
        """Columns of each triple and its components: ``(g, w), (g, w, w)``."""
        columns = rng.permutation(x.shape[1])
        columns = np.concatenate([columns, columns[: -columns.size % self.width]])
        triples = np.resize(columns, (-(-columns.size // self.width), self.width))
        m = max(2, round(0.75 * len(x)))
        rows = np.stack([rng.choice(_some_classes(y, rng), m) for _ in triples])
        part = x[rows[:, :, None], triples[:, None, :]]
        part = part - part.mean(axis=1, keepdims=True)
        return triples, np.linalg.eigh(np.einsum("gmi,gmj->gij", part, part))[1]


def _some_classes(y: Ints, rng: np.random.Generator) -> Ints:
    classes = np.unique(y)
    chosen = rng.permutation(classes)[: rng.integers(1, classes.size + 1)]
    return np.flatnonzero(np.isin(y, chosen))


def rotated(x: F64, triples: Ints, axes: F64) -> F64:
    """``(n, d), (g, w), (g, w, w) -> (n, g w)``."""
    return np.asarray(np.einsum("ngi,gij->ngj", x[:, triples], axes).reshape(len(x), -1))


@dataclass
class ShapeletForest:
    """A rotation forest on the distances to the pieces of series that part the classes best.

    Of random pieces those of largest information gain are kept, no two of them overlapping.
    """

    n_candidates: int = 100
    n_shapelets: int = 10
    n_trees: int = 3
    seed: int = 0
    shapelets: list[tuple[int, F64]] = field(default_factory=list)
    forest: Any = None

    def fit(self, x: F64, y: Ints) -> "ShapeletForest":
        """Learn from ``(n, f, t)`` and ``(n,)``."""
        self._find(x, y, np.random.default_rng(self.seed))
        self.forest = RotationForest(self.n_trees, seed=self.seed).fit(self.transform(x), y)
        return self

    def transform(self, x: F64) -> F64:
        """Distances to the shapelets: ``(n, f, t) -> (n, shapelets)``."""
        return np.stack([nearest(x[:, f], piece) for f, piece in self.shapelets], axis=1)

    def predict(self, x: F64) -> Ints:
        """``(n, f, t) -> (n,)``."""
        return np.asarray(self.forest.predict(self.transform(x)))

    def _find(self, x: F64, y: Ints, rng: np.random.Generator) -> None:
        n, features, t = x.shape
        tried = []
        for _ in range(self.n_candidates):
            i, f = int(rng.integers(n)), int(rng.integers(features))
            length = int(rng.integers(min(3, t), t + 1))
            start = int(rng.integers(t - length + 1))
            piece = x[i, f, start : start + length]
            tried.append((gain(nearest(x[:, f], piece), y), i, f, start, start + length))
        taken: list[tuple[int, int, int, int]] = []
        for _, i, f, start, stop in sorted(tried, key=lambda c: -c[0]):
            apart = all((i, f) != (a, b) or stop <= c or d <= start for a, b, c, d in taken)
            if apart and len(taken) < self.n_shapelets:
                taken.append((i, f, start, stop))
        self.shapelets = [(f, x[i, f, start:stop].copy()) for i, f, start, stop in taken]


def nearest(x: F64, piece: F64) -> F64:
    """Smallest distance of z-scored pieces of the series to one: ``(n, t), (l,) -> (n,)``.

    The square root of the mean squared difference; a constant piece is 0 throughout. Peak
    memory: 24 bytes per sample of the series.
    """
    from scipy import signal

    length = piece.size
    spread = piece.std()
    z = (piece - piece.mean()) / (spread if spread > 0 else 1)
    ones = np.ones(length)
    centred = x - x.mean(axis=-1, keepdims=True)
    sums = signal.fftconvolve(centred, ones[None], "valid", axes=-1)
    squares = signal.fftconvolve(centred**2, ones[None], "valid", axes=-1)
    cross = signal.fftconvolve(centred, z[None, ::-1], "valid", axes=-1)
    variance = np.maximum(squares - sums**2 / length, 0)
    flat = variance <= 1e-10 * length * (centred**2).mean(axis=-1, keepdims=True)
    r = np.where(flat, 0, cross / np.sqrt(np.where(flat, 1, variance) * length))
    own = 1.0 if spread > 0 else 0.0
    return np.asarray(np.sqrt(np.maximum((own + ~flat - 2 * r).min(axis=-1), 0)))


def gain(distance: F64, y: Ints) -> float:
    """Largest information gain [nat] of a threshold on the distance: ``(n,), (n,) -> ()``."""
    order = np.argsort(distance, kind="stable")
    member = np.eye(y.max() + 1)[y[order]]
    left = np.cumsum(member, axis=0)[:-1]
    right = member.sum(axis=0) - left
    n = len(y)
    share = np.arange(1, n) / n
    after = share * _entropy(left) + (1 - share) * _entropy(right)
    possible = np.diff(distance[order]) > 0
    whole = float(_entropy(member.sum(axis=0)[None])[0])
    return whole - float(np.where(possible, after, whole).min(initial=whole))


def _entropy(counts: F64) -> F64:
    p = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1))
