"""Which method of a function uses which of its options: one table for each function.

An option that the chosen method does not use is refused, with the methods that do use it
(:meth:`OptionTable.require_used`). What is not in a table is used by every method. A seed is in
no table but of nulls: it promises the same result twice, which a deterministic method gives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Takes = Mapping[Any, tuple[str, ...]]


@dataclass(frozen=True)
class OptionTable:
    """Options of one function that only some of its methods use.

    Attributes
    ----------
    chooser
        The parameter that names the method.
    takes
        Options of each method; a method that is not here uses none of them.
    usual
        Value of each option where nobody gives one: it is never refused.
    """

    chooser: str
    takes: Takes
    usual: Mapping[str, Any]

    def users(self, option: str) -> list[str]:
        """Methods that use an option."""
        return [str(method) for method, names in self.takes.items() if option in names]

    def has_usual(self, option: str, given: Mapping[str, Any]) -> bool:
        """Whether an option is not given, or as if it were not."""
        return option not in given or is_usual(given[option], self.usual[option])

    def require_used(self, chosen: Any, given: Mapping[str, Any]) -> None:
        """Check that ``chosen`` uses every option that differs from its usual value.

        ``chosen`` may be several methods, of which one has to use it.

        Raises
        ------
        ValueError
            With the methods that do take the option.
        """
        several = tuple(chosen) if isinstance(chosen, list | tuple) else (chosen,)
        for name in self.usual:
            if self.has_usual(name, given) or any(
                name in self.takes.get(method, ()) for method in several
            ):
                continue
            raise ValueError(
                f"{self.chooser} {_shown(several)} has no option {name!r}, found "
                f"{name}={_named(given[name])}: it belongs to {', '.join(self.users(name))}"
            )


def is_usual(value: Any, usual: Any) -> bool:
    """Whether an option has the value that it has where nobody gives one."""
    if value is usual:
        return True
    if isinstance(usual, tuple):
        return isinstance(value, tuple | list | np.ndarray) and np.array_equal(value, usual)
    if value is None or usual is None or np.ndim(value):
        return False
    return bool(value == usual)


def _named(value: Any) -> str:
    """A value in few words."""
    kind = type(value)
    if kind.__module__.startswith("xarray"):
        return f"an xarray.{kind.__name__}"
    return f"{value!r:.60}"


def _shown(methods: Iterable[Any]) -> str:
    return ", ".join(repr(m) if isinstance(m, str) else str(m) for m in methods)


_WARPING = ("window", "itakura")
_FILLS = {"fill": ("max_gap_s",)}

PAIRWISE = OptionTable(
    "the metric",
    {
        "dtw": (*_WARPING, "local", "p", "precision"),
        "soft_dtw": (*_WARPING, "gamma"),
        "soft_dtw_divergence": (*_WARPING, "gamma"),
        "fastdtw": ("radius",),
        "max_lagged_correlation": ("max_lag_s",),
    },
    {
        "window": None, "itakura": None, "local": "euclidean", "p": 3.0,
        "precision": "double", "gamma": 1.0, "radius": 1, "max_lag_s": None,
    },
)  # fmt: skip
POINTS = OptionTable("the point metric", {"minkowski": ("p",)}, {"p": 3.0})
BARYCENTRE = OptionTable(
    "the barycentre",
    {"dba": ("max_iter",), "soft_dtw": ("gamma", "max_iter")},
    {"gamma": 1.0, "max_iter": 50},
)
PCA = OptionTable(
    "the method",
    {"kernel": ("kernel", "gamma", "degree", "coef0", "landmarks"), "sparse": ("alpha",)},
    {
        "kernel": "rbf", "gamma": None, "degree": 3, "coef0": 1.0, "landmarks": None,
        "alpha": 1.0,
    },
)  # fmt: skip
KERNEL = OptionTable(
    "the kernel",
    {"rbf": ("gamma",), "poly": ("gamma", "degree", "coef0"), "sigmoid": ("gamma", "coef0")},
    {"gamma": None, "degree": 3, "coef0": 1.0},
)
NULL = OptionTable(
    "the null",
    {
        "circular": ("tail", "alpha"), "linear": ("margin_s", "tail", "alpha"),
        "swap": ("across", "tail", "alpha"), "phase": ("n", "seed", "tail", "alpha"),
        "iaaft": ("n", "seed", "tail", "alpha"),
    },
    {
        "margin_s": None, "across": None, "n": None, "seed": None, "tail": "greater",
        "alpha": 0.05,
    },
)  # fmt: skip
SURROGATE = OptionTable(
    "the method",
    {"block": ("block_s", "level"), "linear": ("margin_s",), "swap": ("across",)},
    {"block_s": None, "level": None, "margin_s": None, "across": None},
)
SYNCHRONY = OptionTable(
    "the null",
    dict.fromkeys(
        ("circular", "linear", "phase", "iaaft", "block"), ("n", "extrapolate", "keep_null")
    ),
    {"n": None, "extrapolate": False, "keep_null": False},
)
CORRCA = OptionTable(
    "the null",
    {"circular": ("n", "seed"), "linear": ("n", "seed", "margin_s")},
    {"n": 200, "seed": None, "margin_s": None},
)
SHARED = OptionTable(
    "the null",
    {"circular": ("n",), "linear": ("n", "margin_s")},
    {"n": 99, "margin_s": None},
)
SHIFTS = OptionTable(
    "the null",
    {"circular": ("n", "seed"), "linear": ("n", "seed", "margin_s")},
    {"n": 99, "seed": None, "margin_s": None},
)
EXCHANGE = OptionTable(
    "the null",
    {
        "circular": ("n", "seed"), "linear": ("n", "seed", "margin_s"),
        "swap": ("across", "people"),
    },
    {"n": 99, "seed": None, "margin_s": None, "across": None, "people": "subject"},
)  # fmt: skip
DIRECTED = OptionTable(
    "the null",
    {
        "circular": ("n", "seed"), "linear": ("n", "seed", "margin_s"), "swap": ("across",),
    },
    {"n": 99, "seed": None, "margin_s": None, "across": None},
)  # fmt: skip
COHERENCE = OptionTable(
    "the null",
    {
        "circular": ("n", "seed", "cluster"), "linear": ("n", "seed", "margin_s", "cluster"),
        "noise": ("n", "seed", "alpha"), "swap": ("across",),
    },
    {
        "n": 99, "seed": None, "margin_s": None, "alpha": 0.05, "cluster": None,
        "across": None,
    },
)  # fmt: skip
COMPONENTS = OptionTable(
    "the method",
    {
        "fastica": ("contrast", "n_iter", "tol"), "sobi": ("lags_s",), "own": ("own",),
    },
    {"contrast": "logcosh", "n_iter": 200, "tol": 1e-4, "lags_s": None, "own": None},
)  # fmt: skip
STATE_METHODS = OptionTable(
    "the method",
    {"events": ("null", "n", "lag_s")},
    {"null": None, "n": 199, "lag_s": None},
)
STATES = OptionTable(
    "the null",
    {"lengths": ("n", "lag_s", "seed")},
    {"n": 199, "lag_s": None, "seed": None},
)
ORDERS = OptionTable("the null", {"order": ("n", "seed")}, {"n": 99, "seed": None})
GAPS = OptionTable("gaps", _FILLS, {"max_gap_s": 1.0})
_SCALED = (
    "knn_euclidean", "knn_nan_euclidean", "knn_minkowski", "knn_cosine", "knn_l1",
    "svm_linear", "svm_poly", "svm_rbf", "svm_sigmoid", "randf", "rotf",
    "shapelet_rotationforest", "prototype",
)  # fmt: skip
CLASSIFIER = OptionTable(
    "the classifier", dict.fromkeys(_SCALED, ("scale",)), {"scale": "none"}
)
IMPORTANCE = OptionTable("the way", {"permute": ("n_repeats",)}, {"n_repeats": 20})
PARTS = OptionTable("importance by", {"time": ("window_s",)}, {"window_s": None})
FEATURES = OptionTable(
    "the feature",
    {
        "bh": ("bins", "density"),
        "entropy": ("entropy_bins", "entropy_range", "entropy_correction"),
        "pc": ("pca",),
    },
    {
        "bins": "sturges",
        "density": True,
        "entropy_bins": 30,
        "entropy_range": None,
        "entropy_correction": "none",
        "pca": None,
    },
)
"""By families of features."""
BANDS = OptionTable(
    "the wavelet",
    {"any": ("level", "bands", "mode", "transform", "hz", "period_s", "gaps", "max_gap_s")},
    {
        "level": 8, "bands": None, "mode": "symmetric", "transform": "dwt", "hz": None,
        "period_s": None, "gaps": "split", "max_gap_s": 1.0,
    },
)  # fmt: skip
"""Options of :func:`fhemb_xr.embed` that need a wavelet."""
PAIR = OptionTable(
    "the method", {"linear": ("model",), "r2plus1d": ("model",)}, {"model": None}
)
TRAINING = OptionTable(
    "the method",
    {"r2plus1d": ("validation", "report")},
    {"validation": 0.0, "report": None},
)
WINDOWS = OptionTable("shuffle", {True: ("block", "pool")}, {"block": 16, "pool": 32})
WARPING = OptionTable("local", {"euclidean": ("window",)}, {"window": None})
CLUSTERS = OptionTable(
    "the method",
    dict.fromkeys(("dba", "soft_dtw", "kmeans", "gak"), ("max_iter",)),
    {"max_iter": 50},
)
MAP = OptionTable("the map", {"pca": ("similarity",)}, {"similarity": None})
FRAMES = OptionTable("frames", {True: ("centred",)}, {"centred": False})
PROJECTION = OptionTable("n_dims", {3: ("view",)}, {"view": (20.0, -60.0)})

TABLES: dict[str, tuple[OptionTable, ...]] = {
    "pairwise": (PAIRWISE, POINTS),
    "barycentre": (BARYCENTRE,),
    "pca": (PCA, KERNEL),
    "isc": (NULL,),
    "surrogates": (SURROGATE,),
    "synchrony": (SURROGATE, SYNCHRONY),
    "corrca": (CORRCA,),
    "shared_response": (SHARED,),
    "components": (COMPONENTS,),
    "states": (STATE_METHODS, STATES),
    "state_likelihood": (ORDERS,),
    "recurrence": (EXCHANGE,),
    "encode": (EXCHANGE,),
    "granger": (DIRECTED,),
    "transfer_entropy": (DIRECTED,),
    "phase_locking": (SHIFTS,),
    "wavelet_coherence": (COHERENCE,),
    "wavelet_bands": (GAPS,),
    "wavelet_filter": (GAPS,),
    "bandpass": (GAPS,),
    "band_power": (GAPS,),
    "classify": (CLASSIFIER,),
    "importance": (IMPORTANCE, PARTS),
    "features": (FEATURES,),
    "embed": (FEATURES, BANDS),
    "pair": (PAIR,),
    "train_pairing": (TRAINING,),
    "to_torch": (WINDOWS,),
    "clusters": (CLUSTERS,),
    "silhouette": (CLUSTERS,),
    "embed_relation": (MAP,),
    "plot.projection": (PROJECTION,),
    "plot.warping": (WARPING,),
    "plot.histogram": (FRAMES,),
}
"""The tables of each public function."""
