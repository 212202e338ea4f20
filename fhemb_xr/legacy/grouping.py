"""Groups of people whose series are alike: the original's clustering."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.series import joined
from fhemb_xr.legacy.subjects import counted, label, native
from fhemb_xr.ops.checks import require_choice, unknown_name
from fhemb_xr.ops.classification import one_split
from fhemb_xr.ops.clustering.barycenters import barycentre
from fhemb_xr.ops.clustering.clusters import clusters, silhouette
from fhemb_xr.typing import F64, Ints

METHODS = {"dtw": "dba", "softdtw": "soft_dtw", "gak": "gak", "euclidean": "kmeans"}
_METRICS = {
    "dtw": "dtw",
    "softdtw": "soft_dtw_divergence",
    "gak": "dtw",
    "euclidean": "euclidean",
}
"""What silhouettes are measured by; tslearn has none by the kernel."""
_MIDDLES = {"dba": "dba", "soft_dtw": "soft_dtw", "gak": "dba", "kmeans": "mean"}
_log = logs.of("cutils")


def _people(ts: Any, interval: tuple[int, int] | None, normalize: Any) -> xr.DataArray:
    """Series ``(subject, feature, time)`` of an Embedding, a collection, a table, an array."""
    x = _series(ts).transpose(schema.SUBJECT, schema.FEATURE, schema.TIME)
    if interval is not None:
        x = x.isel({schema.TIME: slice(*interval)})
    turned = np.ascontiguousarray(np.asarray(x.values, np.float64).transpose(0, 2, 1))
    return x.copy(data=one_split.each_scaled(turned, normalize).transpose(0, 2, 1))


def _series(ts: Any) -> xr.DataArray:
    found = joined(ts)
    if found is not None:
        return found
    if isinstance(ts, Mapping):  # tables by family; an empty one where it lacks the feature
        tables = [_series(m) for m in ts.values() if np.size(m)]
        return xr.concat(tables, schema.FEATURE, join="exact")
    if isinstance(ts, pd.DataFrame):  # as get_df_ts_subjs gives them: a column per person
        names, values = [native(c) for c in ts.columns], ts.to_numpy().T[:, None]
    else:
        values = np.asarray(ts, np.float64)
        values = values[:, None] if values.ndim == 2 else values
        names = list(range(len(values)))
    if values.ndim != 3:
        raise SchemaError(f"need series (person, [feature,] time), found {values.shape}")
    dims = (schema.SUBJECT, schema.FEATURE, schema.TIME)
    attrs = {schema.SAMPLING_RATE: float(THERMO_SR)}
    return xr.DataArray(values, dims=dims, coords={schema.SUBJECT: names}, attrs=attrs)


def _method(metric: str) -> str:
    return METHODS[require_choice("metric", metric, METHODS)]


def dtw_clustering(
    ts: Any,
    interval: tuple[int, int] | None = None,
    normalize: Any = False,
    metric: str = "dtw",
    n_clusters: int = 3,
    max_iter: int = 10,
    random_state: int = 0,
) -> tuple[dict[int, list[str]], dict[str, int], Ints, float, F64]:
    """Groups by k-means under warping: people, groups, labels, silhouette and centroids.

    People are in the order of their numbers: one seed gives one answer. ``interval`` is of
    frames relative to the Piece; ``normalize`` is ``"minmax"`` or ``"meanvar"`` of each series.
    Centroids are ``(n_clusters, time, features)``.
    """
    method = _method(metric)
    x = _people(ts, interval, normalize)
    options: dict[str, Any] = {"method": method, "seed": random_state, "max_iter": max_iter}
    _log.debug("clusters of %s: %s, %s", counted(x[schema.SUBJECT]), n_clusters, options)
    found = clusters(x, n_clusters, **options)
    labels = np.asarray(found.values, np.int64)
    names = [label(i) for i in x.indexes[schema.SUBJECT].tolist()]
    groups = {
        k: [name for name, of in zip(names, labels, strict=True) if of == k]
        for k in range(n_clusters)
    }
    width = float(silhouette(x, [n_clusters], metric=_METRICS[metric], **options)[0])
    centroids = _centroids(x, found, method, max_iter)
    return groups, dict(zip(names, labels.tolist(), strict=True)), labels, width, centroids


def _centroids(x: xr.DataArray, labels: xr.DataArray, method: str, max_iter: int) -> F64:
    middle = _MIDDLES[method]
    rounds = {} if middle == "mean" else {"max_iter": max_iter}
    out = barycentre(x, middle, labels=labels, **rounds)
    return np.asarray(out.transpose("cluster", schema.TIME, schema.FEATURE).values)


class _Centroids(Mapping[int, F64]):
    """Centroids by number of groups, computed when they are asked for."""

    def __init__(self, numbers: Sequence[int], make: Callable[[int], F64]) -> None:
        self._numbers, self._make = list(numbers), make
        self._kept: dict[int, F64] = {}

    def __getitem__(self, k: int) -> F64:
        if k not in self._numbers:
            raise unknown_name("centroids of a number of groups", k, self._numbers)
        if k not in self._kept:
            self._kept[k] = self._make(k)
        return self._kept[k]

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def compute_silhouette_vs_k(
    ts: Any,
    interval: tuple[int, int] | None = None,
    normalize: Any = False,
    metric: str = "dtw",
    max_k: int = 10,
    max_iter: int = 10,
    random_state: int = 0,
    n_jobs: int = -1,
) -> dict[str, Any]:
    """Silhouettes of 2 to ``max_k`` groups, and the best number of them.

    ``invalid`` are the numbers that leave a group empty; ``centroids`` by number of groups.
    """
    method = _method(metric)
    x = _people(ts, interval, normalize)
    options: dict[str, Any] = {"method": method, "seed": random_state, "max_iter": max_iter}
    tried = list(range(2, max_k + 1))
    _log.debug("silhouettes of %s: %s, %s", counted(x[schema.SUBJECT]), tried, options)
    widths = silhouette(x, tried, metric=_METRICS[metric], **options)
    scores = np.asarray(widths.values, np.float64)
    sound = [k for k, s in zip(tried, scores, strict=True) if np.isfinite(s)]
    best = tried[int(np.nanargmax(scores))] if sound else None

    def centroids(k: int) -> F64:
        return _centroids(x, clusters(x, k, **options), method, max_iter)

    return {
        "k_values": tried,
        "scores": scores.tolist(),
        "best_k": best,
        "best_score": float(np.nanmax(scores)) if sound else float("nan"),
        "centroids": _Centroids(sound, centroids),
        "invalid": [k for k in tried if k not in sound],
    }


def plot_silhouette_curves(
    results: Any,
    filepath: Any = None,
    labels: Sequence[str] | None = None,
    show_best: bool = True,
) -> Any:
    """Silhouettes by number of groups, a curve for each result; written to ``filepath``.

    A file without an ending is a PNG, and gets its ending.
    """
    from fhemb_xr import plot

    if isinstance(results, Mapping) and "k_values" not in results:
        labels, results = list(map(str, results)), list(results.values())
    many = [results] if isinstance(results, Mapping) else list(results)
    names = [f"{k}" for k in range(len(many))] if labels is None else list(map(str, labels))
    rows = [
        xr.DataArray(r["scores"], dims="n_clusters", coords={"n_clusters": r["k_values"]})
        for r in many
    ]
    figure = plot.silhouette(xr.concat(rows, "of").assign_coords(of=names))
    if filepath is not None:
        file = Path(filepath)
        plot.files.save_figure(figure, file if file.suffix else f"{file}.png")
    return figure


def depict_clusters(
    clusters_subjs: Mapping[Any, Sequence[Any]], subj_position: Any, frame: Any = None
) -> Any:
    """People in the colour of their group where they sit, at frames relative to the Piece.

    ``subj_position`` is ``face_t.position``, or ``(2, time)`` by person. Of several frames a
    list of figures.
    """
    from fhemb_xr import plot

    of = {native(who): int(k) for k, some in clusters_subjs.items() for who in some}
    ids = list(of)
    labels = xr.DataArray(list(of.values()), dims=schema.SUBJECT, coords={schema.SUBJECT: ids})
    labels.attrs["n_clusters"] = len(clusters_subjs)
    place = _places(subj_position, ids)
    wanted = [0] if frame is None else [frame] if isinstance(frame, int) else list(frame)
    numbers = place[schema.FRAME].to_numpy()
    figures = [plot.clusters_at(labels, place, int(numbers[f])) for f in wanted]
    return figures[0] if len(figures) == 1 else figures


def _places(given: Any, ids: list[Any]) -> xr.DataArray:
    """Positions ``(subject, time, axis)``."""
    known = None if isinstance(given, Mapping) else joined(given, [label(i) for i in ids])
    if known is not None:
        found = known.rename({schema.FEATURE: schema.AXIS})
        out: xr.DataArray = found.assign_coords({schema.AXIS: ["x", "y"]})
        return out
    each = {native(who): np.asarray(m, np.float64) for who, m in given.items()}
    stacked = np.stack([m if m.shape[-1] == 2 and m.shape[0] != 2 else m.T for m in
                        (each[i] for i in ids)])  # fmt: skip
    frame = np.arange(stacked.shape[1])
    return xr.DataArray(
        stacked,
        dims=(schema.SUBJECT, schema.TIME, schema.AXIS),
        coords={
            schema.SUBJECT: ids,
            schema.FRAME: (schema.TIME, frame),
            schema.TIME: frame / THERMO_SR,
            schema.AXIS: ["x", "y"],
        },
    )
