"""Two segments told apart: the original's preparation, split and classifiers."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import warn
from fhemb_xr.io.interchange.score_tables import read_scores, write_scores
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.relations import related
from fhemb_xr.ops.classification import one_split
from fhemb_xr.ops.classification.segments import SAMPLE
from fhemb_xr.ops.pairwise.metric_options import POINT_METRICS
from fhemb_xr.ops.pairwise.similarity import as_distance
from fhemb_xr.typing import F64, Ints

_log = logs.of("cutils")


def prepare_data(X0: Any, X1: Any) -> tuple[F64, Ints]:  # noqa: N803  (the original's names)
    """Samples of two classes and their labels 0 and 1: none is missing, equal or left over.

    Arrays or tables, samples first; of the larger class the last samples are left out.
    """
    x, y = one_split.two_classes(X0, X1)
    _log.debug("%s samples of %s", len(y), [np.shape(X0), np.shape(X1)])
    return x, y


def split_scale_data(
    X: Any,  # noqa: N803
    y: Any,
    test_size: float = 0.3,
    random_state: int = 42,
    normalize: Any = None,
) -> tuple[F64, F64, Ints, Ints, Any]:
    """``X_train, X_test, y_train, y_test, scaler``: one stratified split.

    ``normalize`` is ``"minmax"`` or ``"meanvar"`` of each series, nothing, or a scaler.
    """
    _same_faces()
    x = np.asarray(X, np.float64)
    return one_split.one_split(
        x, np.asarray(y), test_share=test_size, seed=random_state, scale=normalize
    )


@functools.cache
def _same_faces() -> None:
    """Say once what such a split cannot tell."""
    warn(
        "the same people are in both parts of this split: the accuracy may be that of faces; "
        "fx.classify keeps tested people and segments apart"
    )


def calc_similarity(y_test: Any, y_pred: Any, sim_metric: str = "accuracy") -> float:
    """Accuracy, or ``"f1"``: the mean over the classes, each weighted by its share."""
    return one_split.score(y_test, y_pred, sim_metric)


def calc_accuracies(
    X_train: Any,  # noqa: N803
    X_test: Any,  # noqa: N803
    y_train: Any,
    y_test: Any,
) -> dict[str, float]:
    """Accuracy of each of the original's classifiers, on series or on relations.

    A symmetric ``X_train`` with a column for each of its rows holds relations: those whose name
    ends in ``_precomputed`` are among the classifiers then.
    """
    parts = [np.asarray(p, np.float64) for p in (X_train, X_test)]
    labels = [np.asarray(y) for y in (y_train, y_test)]
    related = _is_relation(*parts)
    return one_split.accuracies(parts[0], parts[1], labels[0], labels[1], related=related)


def _is_relation(train: F64, test: F64) -> bool:
    square = train.ndim == 2 and train.shape[0] == train.shape[1] == test.shape[-1]
    return bool(square and np.allclose(train, train.T, equal_nan=True))


def calc_and_save_pr_accuracy(
    Xopera0: Any,  # noqa: N803
    Xopera1: Any,  # noqa: N803
    dirname: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1.0,
    normalize: Any = False,
    radius: int = 1,
    feature: str | None = None,
    n_jobs: int = 4,
    random_states: int = 1,
    **idle: Any,
) -> Path:
    """Accuracies of classifiers of relations over random splits, written to ``dirname``.

    ``"fastdtw"`` goes through the point metrics. Rows are distances: ``1 - dcor``, and soft-DTW
    less its smallest value where that is negative. The path is that of a table
    ``acc_summ[_feature].xlsx``, or of a Zarr store without openpyxl.
    """
    if wrong := [k for k in idle if k != "njobs"]:
        raise TypeError(f"calc_and_save_pr_accuracy has no option {wrong[0]!r}")
    x, y = prepare_data(Xopera0, Xopera1)
    x = _each_scaled(x, normalize)
    kinds = POINT_METRICS if alignment_type == "fastdtw" else (alignment_type,)
    found = []
    for kind in kinds:
        dist: dict[str, Any] = {"dist": kind} if alignment_type == "fastdtw" else {}
        d = related(x, alignment_type, gamma=gamma, radius=radius, **dist)
        found.append(np.asarray(as_distance(d).values, np.float64))
    dims = ("metric", f"{SAMPLE}_0", f"{SAMPLE}_1")
    distances = xr.DataArray(np.stack(found), dims=dims, coords={"metric": list(kinds)})
    scores = one_split.repeated(distances, y, random_states)
    said = {"alignment_type": alignment_type, "normalize": str(normalize), "gamma": gamma}
    name = "acc_summ" if feature is None else f"acc_summ_{feature}"
    return write_scores(scores.assign_attrs({**scores.attrs, **said}), Path(dirname) / name)


calc_dm_accuracy = calc_and_save_pr_accuracy


def calc_dtw_accuracy(*samples: Any, dtw_type: str = "fastdtw", **options: Any) -> Path:
    """:func:`calc_and_save_pr_accuracy` by its oldest name; ``dtw_type`` is the alignment."""
    return calc_and_save_pr_accuracy(*samples, **{"alignment_type": dtw_type, **options})


def _each_scaled(x: F64, normalize: Any) -> F64:
    """Every series by itself; ``(n, feature, time)`` or ``(n, time)``."""
    if x.ndim == 2:
        return one_split.each_scaled(x, normalize)
    turned = np.ascontiguousarray(x.transpose(0, 2, 1))  # tslearn has time first
    return np.asarray(one_split.each_scaled(turned, normalize).transpose(0, 2, 1))


def plot_accuracy_summary(
    dirname: Any,
    features: Sequence[str] | str | None = None,
    filename: str = "acc_summ.xlsx",
    statistics: str = "median",
    dtw_filter: Sequence[str] | str | None = None,
    columns_filter: Sequence[str] | str | None = None,
    verbose: bool = False,
) -> Any:
    """The accuracies that were written, a row per classifier and a column per point metric.

    ``statistics`` over the splits is ``"median"``, ``"mean"``, ``"std"`` or ``"iqr"``;
    ``dtw_filter`` chooses point metrics, ``columns_filter`` classifiers. Of several features
    each has its columns.
    """
    from fhemb_xr import plot

    stem = Path(filename).stem
    names = [features] if isinstance(features, str) else list(features or [])
    stems = {name: f"{stem}_{name}" for name in names} or {"": stem}
    parts = []
    for name, file in stems.items():
        scores = read_scores(Path(dirname) / file)
        for dim, some in (("metric", dtw_filter), ("classifier", columns_filter)):
            if some is not None:
                scores = scores.sel({dim: [some] if isinstance(some, str) else list(some)})
        if name:
            columns = [f"{name} {m}" for m in scores["metric"].values.tolist()]
            scores = scores.assign_coords(metric=columns)
        parts.append(scores)
    return plot.scores(xr.concat(parts, "metric"), statistic=statistics)


depict_accuracy = plot_accuracy_summary
