"""How alike samples are: the original's functions of pairwise relations."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, nearest
from fhemb_xr.legacy import logs
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.series import joined
from fhemb_xr.legacy.subjects import label
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.classification.segments import SAMPLE
from fhemb_xr.ops.clustering.manifold import embed_relation
from fhemb_xr.ops.clustering.svd import svd_relation
from fhemb_xr.ops.pairwise.matrix import normalize_relation, pairwise
from fhemb_xr.typing import F64

METRICS = {
    "fastdtw": "dtw", "tslearn_dtw": "dtw", "soft_dtw": "soft_dtw",
    "soft_dtw_div": "soft_dtw_divergence", "dcor": "dcor",
}  # fmt: skip
TRANSFORMATIONS = {"gauss": "gauss", "invert": "invert", "minmax": "complement"}
_log = logs.of("cutils")


def samples(ts: Any, labels: Sequence[Any] | None = None) -> xr.DataArray:
    """Samples ``(sample, [feature,] time)`` of an array, a table of them, or embeddings.

    Raises
    ------
    SchemaError
        If it has neither two nor three dimensions, or another number of labels.
    """
    x = joined(ts)
    if x is not None:
        names = [label(i) for i in x.indexes[schema.SUBJECT].tolist()]
        values = x.transpose(schema.SUBJECT, schema.FEATURE, schema.TIME).values
    else:
        values = np.asarray(ts, np.float64)
        names = [f"TS{k}" for k in range(len(values))]
    names = names if labels is None else list(map(str, labels))
    if values.ndim not in (2, 3) or len(names) != len(values):
        raise SchemaError(
            "need samples (sample, time) or (sample, feature, time) with a label each, found "
            f"the shape {values.shape} and {len(names)} labels"
        )
    dims = (SAMPLE, schema.FEATURE, schema.TIME) if values.ndim == 3 else (SAMPLE, schema.TIME)
    return xr.DataArray(values, dims=dims, coords={SAMPLE: names})


def named(dist: Any) -> str:
    """The point metric that is meant: a name, or a function of scipy by its name."""
    return dist if isinstance(dist, str) else str(getattr(dist, "__name__", dist))


def related(
    ts: Any,
    alignment_type: str = "fastdtw",
    *,
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    normalize: str | None = None,
    labels: Sequence[Any] | None = None,
) -> xr.DataArray:
    """The relation of all pairs of samples, lazy.

    ``"fastdtw"`` is exact here, for every point metric, so that ``radius`` changes nothing.

    Raises
    ------
    UnknownNameError
        No such alignment, point metric or scale, with the nearest ones.
    """
    alignment_type = require_choice("alignment", alignment_type, METRICS)
    options: dict[str, Any] = {}
    if alignment_type == "fastdtw":
        options["local"] = named(dist)
        if options["local"] == "minkowski":
            options["p"] = p
    elif alignment_type.startswith("soft"):
        options["gamma"] = gamma
    x = samples(ts, labels)
    _log.debug("%s of %s samples, %s", alignment_type, x.sizes[SAMPLE], options)
    d = pairwise(x, METRICS[alignment_type], SAMPLE, **options)
    how = {"z-score": "zscore"}.get(str(normalize), normalize)
    return d if how in (None, "none", False) else normalize_relation(d, str(how))


_IDLE = ("n_jobs", "njobs", "color_continuous_scale", "base_size", "show", "cmap", "verbose")


def _refuse_unknown(idle: Mapping[str, Any]) -> None:
    """Refuse options that the original does not have; those of its figures change nothing."""
    known = ("alignment_type", "gamma", "dist", "p", "radius")
    for name in idle:
        if name not in _IDLE:
            raise TypeError(f"no option {name!r}{nearest(name, (*known, *_IDLE))}")


def plot_pr_heatmap(
    ts: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    normalize: str | None = None,
    n_jobs: int = 4,
    labels: Sequence[Any] | None = None,
    title: str | None = None,
    color_continuous_scale: str = "Viridis",
    base_size: int = 20,
    **idle: Any,
) -> Any:
    """The matrix of relations in the order of the samples."""
    from fhemb_xr import plot

    _refuse_unknown(idle)
    d = related(
        ts, alignment_type, gamma=gamma, dist=dist, p=p, radius=radius,
        normalize=normalize, labels=labels,
    )  # fmt: skip
    return plot.relation(d, method=None, title=title)


def plot_clustered_pr_heatmap(
    ts: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    normalize: str | None = None,
    n_jobs: int = 4,
    labels: Sequence[Any] | None = None,
    title: str | None = None,
    method: str = "average",
    **idle: Any,
) -> Any:
    """The matrix of relations in the order of its tree."""
    from fhemb_xr import plot

    _refuse_unknown(idle)
    d = related(
        ts, alignment_type, gamma=gamma, dist=dist, p=p, radius=radius,
        normalize=normalize, labels=labels,
    )  # fmt: skip
    return plot.relation(d, method=method, title=title)


def plot_pr_dendrogram(
    ts: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    normalize: str | None = None,
    n_jobs: int = 4,
    labels: Sequence[Any] | None = None,
    title: str | None = None,
    method: str = "average",
    **idle: Any,
) -> Any:
    """The tree of the relations."""
    from fhemb_xr import plot

    _refuse_unknown(idle)
    d = related(
        ts, alignment_type, gamma=gamma, dist=dist, p=p, radius=radius,
        normalize=normalize, labels=labels,
    )  # fmt: skip
    return plot.dendrogram(d, method=method, title=title)


def _similarity(transformation: str) -> str:
    return TRANSFORMATIONS[require_choice("transformation", transformation, TRANSFORMATIONS)]


def plot_pr_projection(
    *groups: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    projection: str = "mds",
    transformation: str = "gauss",
    normalize: str | None = None,
    n_jobs: int = 4,
    labels: Sequence[Any] | None = None,
    title: str | None = None,
    dimensions: int = 2,
    **idle: Any,
) -> Any:
    """Samples as points, near where they are alike, in the colours of their groups.

    ``projection`` is ``"mds"``, ``"tsne"`` or ``"umap"`` of the relation, or ``"pca"``: the
    eigenvectors of the similarity that ``transformation`` makes of it.
    """
    from fhemb_xr import plot

    _refuse_unknown(idle)
    similarity = _similarity(transformation)
    parts = [samples(g) for g in groups]
    whole = np.concatenate([part.values for part in parts])
    d = related(
        whole, alignment_type, gamma=gamma, dist=dist, p=p, radius=radius,
        normalize=normalize, labels=labels,
    )  # fmt: skip
    if projection == "pca":
        points = embed_relation(d, "pca", n_dims=dimensions, similarity=similarity)
    else:
        points = embed_relation(d, projection, n_dims=dimensions, seed=0)
    sizes = [part.sizes[SAMPLE] for part in parts]
    of = np.repeat(np.arange(len(sizes)), sizes)
    clusters = xr.DataArray(of, dims=SAMPLE, coords={SAMPLE: points[SAMPLE].values})
    clusters.attrs["n_clusters"] = len(sizes)
    return plot.projection(points, n_dims=dimensions, clusters=clusters, title=title)


def svd_pr(
    ts: Any,
    alignment_type: str = "fastdtw",
    gamma: float = 1,
    dist: Any = "euclidean",
    p: float = 3,
    radius: int = 1,
    transformation: str = "gauss",
    normalize: str | None = None,
    n_jobs: int = 4,
    **idle: Any,
) -> tuple[F64, F64, F64]:
    """``(U, S, Vt)`` of the similarity; of ``"gauss"`` σ is the median distance."""
    _refuse_unknown(idle)
    d = related(
        ts, alignment_type, gamma=gamma, dist=dist, p=p, radius=radius, normalize=normalize
    )
    out = svd_relation(normalize_relation(d, _similarity(transformation))).compute()
    left = out["left"].transpose(SAMPLE, schema.COMPONENT).values
    right = out["right"].transpose(SAMPLE, schema.COMPONENT).values
    return left, out["singular_value"].values, right.T


def depict_DTW(  # noqa: N802  (the original's name)
    x1: Any, x2: Any, dist: Any = "euclidean", radius: int = 1
) -> Any:
    """Two series, time first, with the links of their warping."""
    from fhemb_xr import plot

    both = [_series(x) for x in (x1, x2)]
    return plot.warping(*both, local=named(dist))


def _series(x: Any) -> xr.DataArray:
    values = np.asarray(x, np.float64)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise SchemaError(
            f"a warping of two series, time first, found the shape {values.shape}"
        )
    attrs = {schema.SAMPLING_RATE: float(THERMO_SR)}
    return xr.DataArray(values, dims=schema.TIME, attrs=attrs)


def _old(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An older name of a function."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    renamed.__name__ = name
    return renamed


plot_dm_heatmap = _old(plot_pr_heatmap, "plot_dm_heatmap")
plot_clustered_dm_heatmap = _old(plot_clustered_pr_heatmap, "plot_clustered_dm_heatmap")
plot_dm_dendrogram = _old(plot_pr_dendrogram, "plot_dm_dendrogram")
plot_dm_projection = _old(plot_pr_projection, "plot_dm_projection")
svd_dmatrix = _old(svd_pr, "svd_dmatrix")
