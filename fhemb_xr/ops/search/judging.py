"""The task of a search: all specs, all folds, some draws of labels, on a table in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fhemb_xr.kernels.search import centroids, nested
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.typing import F64, Bools, Ints

CENTROID = "centroid"
SUMMED = ("best", "best_score", "nested", "n_used", "n_subjects")
PER_SPEC = ("score", "allowed", "energy", "mobility_hz", "n_missing")
PER_FOLD = ("nested_fold", "chosen")


def width(n_specs: int, n_folds: int) -> int:
    """Numbers that one draw gives."""
    return len(SUMMED) + len(PER_SPEC) * n_specs + len(PER_FOLD) * n_folds


def judged(
    draws: Ints,
    value: F64,
    energy: F64,
    mobility: F64,
    owners: Ints,
    labels: Ints,
    groups: Ints,
    segments: Ints,
    *,
    n_specs: int,
    n_folds: int,
    **options: Any,
) -> F64:
    """What a search finds in some draws of labels: ``(d,), (n, k), … -> (d, width)``."""
    missing = _each(np.isnan(value), owners, n_specs, np.max)
    used = np.flatnonzero(np.isnan(value).mean(axis=1) < 0.5)
    power, speed = (_each(x[used], owners, n_specs, np.mean) for x in (energy, mobility))
    whole = ~missing[used].any(axis=0)
    samples = nested.Samples(labels[used], groups[used], segments[used])
    cube = columns_by_spec(value[used], owners, n_specs)
    if options["centre"]:
        cube = centred(cube, samples.groups)
    judge = _judge(np.where(whole, cube, 0), options)
    allowed = _allowed(power, speed, whole, options)
    everybody = allowed(np.arange(used.size))
    how = {"n_folds": n_folds, **{k: options[k] for k in ("n_splits", "n_inner", "seed")}}
    out = np.empty((draws.size, width(n_specs, n_folds)))
    for row, draw in zip(out, draws.ravel().tolist(), strict=True):
        given = samples
        if draw:
            given = samples.exchanged(np.random.default_rng([options["seed"], 1, draw]))
        score, fold, chosen = nested.searched(judge, given, allowed, **how)
        score = np.where(whole, score, np.nan)
        best = nested.best_of(score, everybody)
        top = np.nan if best == nested.NONE else score[best]
        there = np.isfinite(fold)
        mean = fold[there].mean() if there.any() else np.nan
        row[:] = np.concatenate([
            [best, top, mean, used.size, np.unique(samples.groups).size],
            score, everybody, _mean(power), _mean(speed), missing[used].sum(axis=0),
            fold, np.where(np.isfinite(chosen), chosen, nested.NONE),
        ])  # fmt: skip
    return out


def _each(x: Any, owners: Ints, n_specs: int, how: Callable[..., Any]) -> Any:
    """Columns of each spec as one: ``(n, k) -> (n, s)``."""
    return np.stack([how(x[:, owners == s], axis=1) for s in range(n_specs)], axis=1)


def columns_by_spec(value: F64, owners: Ints, n_specs: int) -> F64:
    """Columns by spec: ``(n, k) -> (f, n, s)``, filled with zeros, which tell nothing."""
    most = np.bincount(owners, minlength=n_specs).max()
    out = np.zeros((most, len(value), n_specs))
    for s in range(n_specs):
        mine = np.flatnonzero(owners == s)
        out[: mine.size, :, s] = value[:, mine].T
    return out


def centred(cube: F64, groups: Ints) -> F64:
    """Each person's mean subtracted: ``(f, n, s), (n,) -> (f, n, s)``."""
    out = cube.copy()
    for g in np.unique(groups):
        mine = groups == g
        out[:, mine] -= cube[:, mine].mean(axis=1, keepdims=True)
    return out


def _mean(x: F64) -> F64:
    """Mean over the samples that are there."""
    there = np.isfinite(x)
    n = there.sum(axis=0)
    return np.asarray(
        np.where(n > 0, np.where(there, x, 0).sum(axis=0) / np.maximum(n, 1), np.nan)
    )


def _allowed(
    power: F64, speed: F64, whole: Bools, options: dict[str, Any]
) -> Callable[[Ints], Bools]:
    """Which specs some rows allow to choose: those that are there and keep the limits."""
    least, most = options["min_energy"], options["max_mobility_hz"]

    def allowed(rows: Ints) -> Bools:
        out = whole.copy()
        if least > 0:
            out &= _mean(power[rows]) >= least
        if most is not None:
            out &= _mean(speed[rows]) <= most
        return out

    return allowed


def _judge(cube: F64, options: dict[str, Any]) -> nested.Judge:
    name, how = options["classifier"], options["score"]
    if name == CENTROID:

        def all_at_once(y: Ints, train: Ints, test: Ints) -> F64:
            d = centroids.distances(cube[:, train], y[train], cube[:, test], int(y.max()) + 1)
            return centroids.score(d, y[test], how)

        return all_at_once

    def one_by_one(y: Ints, train: Ints, test: Ints) -> F64:
        right = np.empty((test.size, cube.shape[2]))
        for s in range(cube.shape[2]):
            series = zoo.Samples(cube[:, :, s].T[:, :, None])
            told = zoo.predict(
                name, series, y, train, test, scale="meanvar", seed=options["seed"], own={}
            )
            right[:, s] = told == y[test]
        return centroids.balanced(right, y[test])

    return one_by_one
