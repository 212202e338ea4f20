"""The original's classifiers by name, on series or on a relation; nothing is imported before
one is fitted.

Each is what ``predict(name, train, y, test, …)`` gives: labels of the tested samples, from the
training samples alone. Seeds are the only state.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fhemb_xr.errors import extra
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.synonyms import meant
from fhemb_xr.typing import F64, Ints

Factory = Callable[[int], Any]
"""A function of the seed that gives what has ``fit(x, y)`` and ``predict(x)``."""

ROWS = (
    "knn_euclidean", "knn_nan_euclidean", "knn_minkowski", "knn_cosine", "knn_l1",
    "svm_linear", "svm_poly", "svm_rbf", "svm_sigmoid", "randf", "rotf",
)  # fmt: skip
"""On the samples as rows of numbers, or on rows of a relation."""
SERIES = ("svm_gak", "shapelet_rotationforest")
"""On series in time."""
LEARNT = ("prototype",)
"""Networks on series in time: never among those that are asked for by default."""
PRECOMPUTED = ("knn_precomputed", "svm_precomputed")
"""On the relation itself."""
SCALES = ("none", "minmax", "meanvar")
NEIGHBOURS, TREES, POWER = 3, 100, 3
_ONE_AT_A_TIME = threading.Lock()
"""Of scikit-learn's forests: they set the filters of warnings, which threads share. And of
networks: torch has one state of random numbers."""


@dataclass(frozen=True)
class Samples:
    """What is classified: series ``(n, f, t)`` and, if given, distances ``(n, n)``."""

    series: F64
    distance: F64 | None = None

    def side(self, rows: Ints, train: Ints) -> F64:
        """Rows of numbers: the series, or the distances to the training samples."""
        if self.distance is None:
            return self.series[rows].reshape(rows.size, -1)
        return self.distance[np.ix_(rows, train)]


def names(asked: Any, own: Mapping[str, Factory], related: bool) -> tuple[str, ...]:
    """Classifiers asked for, all that fit by default.

    Raises
    ------
    UnknownNameError
        No such classifier here, with the nearest ones.
    """
    usual = (*ROWS, *(PRECOMPUTED if related else SERIES), *own)
    there = usual if related else (*usual, *LEARNT)
    if asked is None:
        return usual
    chosen = (asked,) if isinstance(asked, str) else tuple(asked)
    found: list[str] = []
    for name in chosen:
        if meant(name, PRECOMPUTED) and not related:
            raise ValueError(f"{name!r} needs relation=fx.pairwise(samples, ..., 'sample')")
        found.append(require_choice("classifier", name, there, synonyms.CLASSIFIERS))
    if len({*found}) < len(found):
        raise ValueError(f"a classifier is asked for once, found {list(chosen)}")
    if unused := [name for name in own if name not in found]:
        raise ValueError(f"own has {unused}, which classifiers={list(chosen)} leaves out")
    return tuple(found)


def predict(
    name: str, samples: Samples, y: Ints, train: Ints, test: Ints, *, scale: str, seed: int,
    own: Mapping[str, Factory],
) -> Ints:  # fmt: skip
    """Labels of ``test``, learnt from ``train``; of one class only, that class."""
    known = y[train]
    if (known == known[0]).all():
        return np.full(test.size, known[0])
    if name == "svm_gak":
        a, b = _aligned(samples.series[train], samples.series[test], seed)
    elif name in (*SERIES, *LEARNT):
        a, b = samples.series[train], samples.series[test]
    elif name in PRECOMPUTED:
        a, b = samples.side(train, train), samples.side(test, train)
        if name == "svm_precomputed":
            a, b = _kernel(a, b)
    else:
        a, b = samples.side(train, train), samples.side(test, train)
    if scale != "none" and name not in (*PRECOMPUTED, "svm_gak"):
        a, b = _scaled(a, b, scale)
    made = own[name](seed) if name in own else _made(name, seed)
    if name.startswith("knn"):
        made.set_params(n_neighbors=min(NEIGHBOURS, len(a)))
    with _ONE_AT_A_TIME if name in ("randf", *LEARNT) else contextlib.nullcontext():
        return np.asarray(made.fit(a, known).predict(b))


def _scaled(a: F64, b: F64, scale: str) -> tuple[F64, F64]:
    """Both by the training samples, column by column, as scikit-learn's scalers."""
    if scale == "minmax":
        centre, spread = a.min(axis=0), np.ptp(a, axis=0)
    else:
        centre, spread = a.mean(axis=0), a.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    return (a - centre) / spread, (b - centre) / spread


def _aligned(a: F64, b: F64, seed: int) -> tuple[F64, F64]:
    """Global alignment kernels, of the width that Cuturi advises for the training samples."""
    from tslearn import metrics

    from fhemb_xr.kernels._jit import keep

    keep("tslearn")
    a, b = (np.ascontiguousarray(s.transpose(0, 2, 1)) for s in (a, b))  # tslearn: time first
    sigma = metrics.sigma_gak(a, random_state=seed)
    return metrics.cdist_gak(a, sigma=sigma), metrics.cdist_gak(b, a, sigma=sigma)


def _kernel(a: F64, b: F64) -> tuple[F64, F64]:
    """``exp(-d² / 2 s²)``, ``s`` the median distance of two training samples."""
    s = float(np.median(a[np.triu_indices(len(a), 1)])) or 1.0
    return np.exp(-(a**2) / (2 * s**2)), np.exp(-(b**2) / (2 * s**2))


def _made(name: str, seed: int) -> Any:
    kind, _, option = name.partition("_")
    if kind == "knn":
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(metric=option, p=POWER)
    if kind == "svm":
        from sklearn.svm import SVC

        kernel = "precomputed" if option == "gak" else option
        return SVC(kernel=kernel, random_state=seed)
    if name == "randf":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(TREES, random_state=seed)
    if name == "prototype":
        with extra("learn"):
            from fhemb_xr.nn.prototypes import PrototypeClassifier

        return PrototypeClassifier(seed=seed)
    from fhemb_xr.ops.classification import forests

    if name == "rotf":
        return forests.RotationForest(TREES, seed=seed)
    return forests.ShapeletForest(seed=seed)
