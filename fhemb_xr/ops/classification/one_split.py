"""Two sets of samples in one split: what the original's notebooks do.

The same faces are in both parts, so that an accuracy may be that of faces and not of scenes.
:func:`fhemb_xr.classify` keeps tested people and segments apart.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import extra
from fhemb_xr.ops.checks import require_choice, require_count, require_share
from fhemb_xr.ops.classification import classifiers as zoo
from fhemb_xr.typing import F64, Ints

SCALERS = {"minmax": "TimeSeriesScalerMinMax", "meanvar": "TimeSeriesScalerMeanVariance"}
SERIES = (*zoo.ROWS, "shapelet_rotationforest")
"""The original's classifiers of series."""
RELATED = (*zoo.ROWS, *zoo.PRECOMPUTED)
"""Its classifiers of rows of a relation, and of the relation."""
SCORES = ("accuracy", "f1")


def two_classes(a: Any, b: Any) -> tuple[F64, Ints]:
    """Samples of two classes as one array, and 0 or 1 for each.

    Samples that miss a value are left out, and so are those that equal an earlier one of their
    class. Of the class that has more, the last are left out.

    Parameters
    ----------
    a, b
        Samples first: ``(n, …)``, arrays or tables.

    Raises
    ------
    ValueError
        A class without a sample, or samples of different shape.
    """
    parts = [_sound(np.asarray(part, np.float64)) for part in (a, b)]
    n = min(map(len, parts))
    if not n or parts[0].shape[1:] != parts[1].shape[1:]:
        raise ValueError(
            "two classes need samples of one shape without missing values, found "
            f"{[p.shape for p in parts]}"
        )
    return np.concatenate([p[:n] for p in parts]), np.repeat(np.arange(2), n)


def _sound(x: F64) -> F64:
    whole = x[np.isfinite(x).reshape(len(x), -1).all(axis=1)] if len(x) else x
    _, first = np.unique(whole.reshape(len(whole), -1), axis=0, return_index=True)
    return np.asarray(whole[np.sort(first)])


def scaler_of(scale: Any, train: F64) -> Any:
    """Tslearn's scaler of each series by itself: ``"minmax"`` or ``"meanvar"``; None: none.

    It is fitted to ``train``. What has ``transform`` is taken as it is: fitted before, and not
    fitted again.

    Raises
    ------
    UnknownNameError
        No such scaler.
    """
    if scale in (None, False, "none"):
        return None
    if hasattr(scale, "transform"):
        return scale
    name = require_choice("scaler", "meanvar" if scale is True else scale, SCALERS)
    with extra("learn"):
        from tslearn import preprocessing
    return getattr(preprocessing, SCALERS[name])().fit(train)


def scaled(x: F64, scaler: Any) -> F64:
    """Samples ``(n, time[, feature])`` by a fitted scaler, in the same shape.

    Raises
    ------
    ValueError
        The scaler was not fitted.
    """
    if scaler is None:
        return x
    with extra("learn"):
        from sklearn.exceptions import NotFittedError
    try:
        return np.asarray(scaler.transform(x), np.float64).reshape(x.shape)
    except NotFittedError:
        raise ValueError(
            f"the scaler {type(scaler).__name__} was not fitted: fit it to the samples that "
            f"are learnt from, or name one of {', '.join(SCALERS)}"
        ) from None


def each_scaled(x: F64, scale: Any) -> F64:
    """Samples ``(n, time[, feature])``, each by itself or by a fitted scaler."""
    return scaled(x, scaler_of(scale, x))


def one_split(
    x: F64, y: Ints, *, test_share: float = 0.3, seed: int = 42, scale: Any = None
) -> tuple[F64, F64, Ints, Ints, Any]:
    """Both parts of one split with the classes in equal shares, scaled, and the scaler.

    Raises
    ------
    ValueError
        A share that is not between 0 and 1, or classes too small to be in both parts.
    UnknownNameError
        No such scaler.
    """
    train, test = _parts(
        y, require_share("test_share", test_share), require_count("seed", seed, 0)
    )
    a, b = (np.asarray(x[rows], np.float64) for rows in (train, test))
    scaler = scaler_of(scale, a)
    return scaled(a, scaler), scaled(b, scaler), y[train], y[test], scaler


def _parts(y: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    with extra("learn"):
        from sklearn.model_selection import train_test_split
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=share, random_state=seed, stratify=y)
    return train, test


def score(truth: Any, told: Any, how: str = "accuracy") -> float:
    """Accuracy, or F1 as the mean over the classes, each weighted by its share.

    Raises
    ------
    UnknownNameError
        No such score.
    """
    require_choice("score", how, SCORES)
    with extra("learn"):
        from sklearn import metrics
    if how == "f1":
        return float(metrics.f1_score(truth, told, average="weighted"))
    return float(metrics.accuracy_score(truth, told))


def accuracies(
    train: F64,
    test: F64,
    y_train: Ints,
    y_test: Ints,
    classifiers: Sequence[str] | None = None,
    *,
    related: bool = False,
    seed: int = 42,
) -> dict[str, float]:
    """Accuracy of each classifier on the tested part.

    Parameters
    ----------
    train, test
        Series ``(n, time[, feature])``; or, with ``related``, their distances to those that are
        learnt from: ``(n_train, n_train)`` and ``(n_test, n_train)``.
    y_train, y_test
        Labels.
    classifiers
        Names, as :func:`fhemb_xr.classify` has them; all of the original's by default.
    related
        Whether distances are given.
    seed
        Seed of the forests.

    Raises
    ------
    UnknownNameError
        No such classifier.
    """
    known = RELATED if related else SERIES
    names = known if classifiers is None else tuple(classifiers)
    names = tuple(require_choice("classifier", n, known) for n in names)
    samples = _related(train, test) if related else zoo.Samples(_series(train, test))
    y = np.concatenate([y_train, y_test])
    rows = np.split(np.arange(len(y)), [len(train)])
    how: dict[str, Any] = {"scale": "none", "seed": seed, "own": {}}
    with extra("learn"):
        return {
            name: score(y_test, zoo.predict(name, samples, y, *rows, **how)) for name in names
        }


def _series(train: F64, test: F64) -> F64:
    """``(n, time[, feature])`` of both as ``(n, feature, time)``."""
    x = np.concatenate([train, test]).astype(np.float64)
    return x[:, None] if x.ndim == 2 else np.ascontiguousarray(x.transpose(0, 2, 1))


def _related(train: F64, test: F64) -> zoo.Samples:
    """All distances that are known; those between two tested samples are not."""
    n, m = len(train), len(test)
    d = np.full((n + m, n + m), np.nan)
    d[:n, :n], d[n:, :n] = train, test
    return zoo.Samples(np.empty((n + m, 1, 0)), d)


def repeated(
    distances: xr.DataArray,
    y: Ints,
    n_splits: int,
    *,
    test_share: float = 0.3,
    seed: int = 0,
    classifiers: Sequence[str] | None = None,
) -> xr.DataArray:
    """Accuracies ``(metric, classifier, split)`` of rows of relations, over random splits.

    Parameters
    ----------
    distances
        Relations in memory, ``(metric, sample, sample)``; NaN throughout where one is missing.
    y
        Labels of the samples.
    n_splits
        Number of splits, with the seeds ``seed``, ``seed + 1``, ….
    test_share, classifiers
        Share of the samples that is tested; as :func:`accuracies`.
    """
    names = list(RELATED if classifiers is None else classifiers)
    out = np.full((distances.shape[0], len(names), require_count("n_splits", n_splits)), np.nan)
    for k in range(out.shape[2]):
        train, test = _parts(y, test_share, seed + k)
        for place, d in enumerate(np.asarray(distances.values, np.float64)):
            if not np.isfinite(d).all():
                continue
            a, b = d[np.ix_(train, train)], d[np.ix_(test, train)]
            how: dict[str, Any] = {"related": True, "seed": seed + k}
            found = accuracies(a, b, y[train], y[test], names, **how)
            out[place, :, k] = [found[name] for name in names]
    return xr.DataArray(
        out,
        dims=("metric", "classifier", "split"),
        coords={
            "metric": distances[distances.dims[0]].values,
            "classifier": names,
            "split": np.arange(out.shape[2]),
        },
        name="accuracy",
        attrs={"long_name": "accuracy, the same people in both parts", "units": "1"},
    )


def prototype_accuracies(
    x: F64,
    y: Ints,
    n_splits: int = 1,
    *,
    n_epochs: int = 10,
    learning_rate: float = 1e-3,
    optimizer: str = "adamw",
    scale: Any = None,
    seed: int = 0,
) -> list[float]:
    """Accuracies of prototypes on a quarter of the samples; half is learnt from.

    The other quarter chooses the epoch. Classes have equal shares in all three parts.

    Parameters
    ----------
    x, y
        Series ``(n, [feature,] time)``, and their classes.
    n_splits
        Number of splits, with the seeds ``seed``, ``seed + 1``, ….
    n_epochs, learning_rate, optimizer
        Episodes of :class:`fhemb_xr.nn.prototypes.PrototypeClassifier`; ``"adam"``,
        ``"adamw"`` or ``"sgd"``.
    scale
        As :func:`scaler_of`.

    Raises
    ------
    UnknownNameError
        No such optimizer.
    ImportError
        torch is not installed.
    """
    with extra("learn"):
        from fhemb_xr.nn import prototypes
    optimizer = require_choice("optimizer", optimizer, prototypes.OPTIMIZERS)
    series = x[:, None] if x.ndim == 2 else x
    turned = np.ascontiguousarray(series.transpose(0, 2, 1))  # tslearn has time first
    series = each_scaled(turned, scale).transpose(0, 2, 1)
    out = []
    for k in range(require_count("n_splits", n_splits)):
        train, rest = _parts(y, 0.5, seed + k)
        chosen, tested = (rest[part] for part in _parts(y[rest], 0.5, seed + k))
        model = prototypes.PrototypeClassifier(
            require_count("n_epochs", n_epochs, 0), learning_rate, optimizer, seed=seed + k
        )
        model.fit(series[train], y[train], (series[chosen], y[chosen]))
        out.append(score(y[tested], model.predict(series[tested])))
    return out
