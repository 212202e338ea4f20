"""Ridge regression on a lagged stimulus, with contiguous folds and the choice of a penalty.

Everything comes from sums over stretches of time: fits of all penalties from one
eigendecomposition, and held-out correlations from the sums of the held-out rows. So one set of
sums serves all folds, and one eigendecomposition all people and all shifts of a null.
"""

import itertools
from typing import NamedTuple

import numpy as np

from fhemb_xr.kernels.encoding import lagged_sums
from fhemb_xr.kernels.encoding.lagged_sums import Sums
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.typing import F64, Bools, Ints


class Model(NamedTuple):
    """A model of ``n_lags`` lags from ``lo`` on, in samples."""

    lo: int
    n_lags: int
    alphas: tuple[float, ...]
    n_folds: int
    gap: int
    """Rows on either side of the tested ones from which nothing is learnt."""

    def fields(self, n_features: int) -> Fields:
        """Shapes of the parts of the result of one series."""
        folds = (self.n_folds,)
        return Fields(
            r=(), p=(), alpha=(), intercept=(), r_fold=folds, alpha_fold=folds,
            r_alpha=(len(self.alphas),), weights=(self.n_lags, n_features),
        )  # fmt: skip


class Stretches(NamedTuple):
    """Time cut at every border of a fold and of its gaps."""

    edges: list[int]
    tested: Bools
    """(fold, stretch)"""
    learnt: Bools
    """(fold, stretch): what is learnt from when the fold is tested."""


def stretches(begin: int, end: int, model: Model) -> Stretches:
    """The stretches of the rows ``begin <= t < end``."""
    borders = np.linspace(begin, end, model.n_folds + 1).round().astype(int)
    around = [(a - model.gap, b + model.gap) for a, b in itertools.pairwise(borders)]
    edges = sorted({*borders, *(min(max(e, begin), end) for pair in around for e in pair)})
    middle = np.array([(a + b) / 2 for a, b in itertools.pairwise(edges)])
    tested = [(middle > a) & (middle < b) for a, b in itertools.pairwise(borders)]
    learnt = [(middle < a) | (middle > b) for a, b in around]
    return Stretches([int(e) for e in edges], np.array(tested), np.array(learnt))


class Machine:
    """Grams and eigendecompositions for rows that count, ready for any series.

    Memory: 8 bytes per number of a Gram matrix, for each stretch and each set learnt from.
    """

    def __init__(self, s: F64, rows: Bools, cut: Stretches, model: Model) -> None:
        self.s, self.rows, self.cut, self.model = s, rows, cut, model
        spans = [*itertools.pairwise(cut.edges)]
        grams = [lagged_sums.gram(s, rows, model.lo, model.n_lags, a, b) for a, b in spans]
        ones = np.zeros((0, rows.size))
        z = [
            lagged_sums.with_series(s, ones, rows, model.lo, model.n_lags, a, b)[:, 0]
            for a, b in spans
        ]
        n = [float(rows[a:b].sum()) for a, b in spans]
        empty = np.zeros(0), np.zeros(0), np.zeros((len(grams[0]), 0))
        self.parts = [Sums(*known, *empty) for known in zip(n, z, grams, strict=True)]
        pairs = itertools.combinations(range(model.n_folds), 2) if len(model.alphas) > 1 else ()
        sets = [np.ones(len(spans), bool), *cut.learnt]
        sets += [cut.learnt[i] & cut.learnt[j] for i, j in pairs]
        self.solved = {key.tobytes(): self._solved(key) for key in sets}
        self.held_out = [self._sum(key).centred() for key in cut.tested]

    def _sum(self, which: Bools, series: list[Sums] | None = None) -> Sums:
        parts = self.parts if series is None else series
        chosen = [part for part, wanted in zip(parts, which, strict=True) if wanted]
        zero = Sums(*(np.zeros_like(np.asarray(v)) for v in parts[0]))  # type: ignore[arg-type]
        return Sums(*(sum(values) for values in zip(zero, *chosen, strict=True)))

    def _solved(self, which: Bools) -> tuple[F64, F64]:
        values, vectors = np.linalg.eigh(self._sum(which).centred().g)
        return np.maximum(values, 0.0), vectors

    def _series(self, y: F64) -> list[Sums]:
        """The sums of the stretches with series, without the Gram matrices."""
        out = []
        for (a, b), part in zip(itertools.pairwise(self.cut.edges), self.parts, strict=True):
            zy = lagged_sums.with_series(
                self.s, y, self.rows, self.model.lo, self.model.n_lags, a, b
            )
            inside = y[:, a:b]
            nothing = np.zeros((0, 0))
            sums = inside.sum(axis=1), (inside * inside).sum(axis=1)
            out.append(Sums(part.n, part.z, nothing, *sums, zy[:, :-1]))
        return out

    def results(self, y: F64) -> F64:
        """Fields of each series: ``(c, t) -> (c, fields)``.

        ``y`` is 0 in rows that do not count.
        """
        series, model = self._series(y), self.model
        fields = model.fields(len(self.s))
        tests = [self._moments(which, series) for which in self.cut.tested]
        outer = np.array(
            [
                self._scores(self.cut.learnt[i], series, [(i, tests[i])])[0]
                for i in range(model.n_folds)
            ]
        )  # (fold, alpha, c)
        chosen = self._chosen(series, tests, outer)
        columns = np.arange(len(y))
        r_fold = np.take_along_axis(outer, chosen[:, None], axis=1)[:, 0]
        curve = _mean(outer)  # (alpha, c)
        known = np.isfinite(curve).any(axis=0)
        best = np.where(np.isfinite(curve), curve, -np.inf).argmax(axis=0)
        alphas = np.array(model.alphas)
        whole = np.ones(len(self.parts), bool)
        moments = self._moments(whole, series)
        fits = self._weights(whole, moments)[best, :, columns]  # (c, p)
        fits[~known] = np.nan
        intercept = moments.y - fits @ (self._sum(whole).z / max(moments.n, 1.0))
        return fields.pack(
            r=_mean(r_fold),
            p=np.full(len(y), np.nan),
            alpha=np.where(known, alphas[best], np.nan),
            intercept=intercept,
            r_fold=r_fold.T,
            alpha_fold=np.where(np.isfinite(r_fold), alphas[chosen], np.nan).T,
            r_alpha=curve.T,
            weights=fits.reshape(len(y), model.n_lags, len(self.s)),
        )

    def _chosen(self, series: list[Sums], tests: list[Sums], outer: F64) -> Ints:
        """Penalty of each fold, by the folds that are left: ``(fold, c)``."""
        n = self.model.n_folds
        if len(self.model.alphas) == 1:
            return np.zeros((n, outer.shape[-1]), np.int64)
        inner = np.full((n, n, *outer.shape[1:]), np.nan)
        for i, j in itertools.combinations(range(n), 2):
            learnt = self.cut.learnt[i] & self.cut.learnt[j]
            inner[i, j], inner[j, i] = self._scores(
                learnt, series, [(j, tests[j]), (i, tests[i])]
            )
        mean = _mean(inner.swapaxes(0, 1))  # (fold, alpha, c)
        return np.asarray(np.where(np.isfinite(mean), mean, -np.inf).argmax(axis=1))

    def _moments(self, which: Bools, series: list[Sums]) -> Sums:
        """Sums about the means, without the Gram matrix."""
        total = self._sum(which, series)
        n = max(total.n, 1.0)
        return Sums(
            total.n, total.z / n, total.g, total.y / n, total.yy - total.y**2 / n,
            total.zy - np.outer(total.z, total.y) / n,
        )  # fmt: skip

    def _weights(self, which: Bools, moments: Sums) -> F64:
        """``(alpha, p, c)``; NaN where fewer than two rows are learnt from."""
        values, vectors = self.solved[which.tobytes()]
        turned = vectors.T @ moments.zy
        out = [vectors @ (turned / (values + a)[:, None]) for a in self.model.alphas]
        return np.array(out) if moments.n > 1 else np.full((len(out), *turned.shape), np.nan)

    def _scores(
        self, which: Bools, series: list[Sums], tests: list[tuple[int, Sums]]
    ) -> list[F64]:
        """Held-out correlations of each test, ``(alpha, c)``."""
        weights = self._weights(which, self._moments(which, series))
        found = []
        for fold, test in tests:
            predicted = self.held_out[fold].g @ weights
            variance = np.maximum((weights * predicted).sum(axis=1), 0.0)
            product = (weights * test.zy).sum(axis=1)
            scale = np.sqrt(variance * test.yy)
            known = (scale > 0) & (test.yy > _FLAT * (test.yy + test.n * test.y**2))
            found.append(np.clip(product / np.where(known, scale, np.nan), -1, 1))
        return found


_FLAT = 1e-13
"""Share of its squares below which the variance of a fold is nothing but rounding."""


def _mean(x: F64) -> F64:
    """Mean along the first axis of what is there; NaN where nothing is."""
    there = np.isfinite(x)
    n = there.sum(axis=0)
    return np.where(n > 0, np.where(there, x, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
