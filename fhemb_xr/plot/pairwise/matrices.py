"""Relations: the matrix in the order of its tree, and the tree."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.ops.pairwise.similarity import is_similarity
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.pairwise import linkage
from fhemb_xr.typing import F64, Ints

_NAMES = {
    "dtw": "DTW distance",
    "soft_dtw": "Soft-DTW",
    "soft_dtw_divergence": "Soft-DTW divergence",
    "fastdtw": "FastDTW distance",
    "dcor": "Distance correlation",
    "correlation": "Pearson r",
    "max_lagged_correlation": "Largest lagged r",
    "soft_lag": "Soft maximum of lagged r",
    "euclidean": "Euclidean distance",
}


def relation(
    d: xr.DataArray,
    *,
    method: str | None = "average",
    clusters: xr.DataArray | None = None,
    title: str | None = None,
) -> Any:
    """A relation as a matrix, its rows and columns in the order of its dendrogram.

    Parameters
    ----------
    d
        ``(subject_0, subject_1)`` from :func:`fhemb_xr.pairwise`.
    method
        Linkage of the tree, as :func:`scipy.cluster.hierarchy.linkage`; ``None`` keeps the
        order of the data. Who has no value with the others stands last.
    clusters
        Labels of :func:`fhemb_xr.clusters`: members of a group stand together, in a frame.
    title
        Title; by default the metric.

    Returns
    -------
    HoloViews object
        A HoloViews Image, the first row on top; with ``clusters`` an Overlay. Distances run in
        viridis from the smallest to the largest between two, so that their differences show
        (the diagonal takes the darkest colour), signed correlations symmetric round zero;
        missing pairs are grey.

    Raises
    ------
    SchemaError
        If it is not one square matrix.
    BudgetError
        If the matrix does not fit the budget.

    Notes
    -----
    Memory: two matrices. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> d = xr.DataArray(np.ones((3, 3)) - np.eye(3), dims=("subject_0", "subject_1"))
    >>> figure = plot.relation(d)
    """
    hv = theme.backends()
    matrix, ids = linkage.square(d)
    values = matrix.values
    n, metric = len(ids), str(d.attrs.get("metric", ""))
    rows = linkage.order(matrix, method)
    groups = None if clusters is None else figure_data.groups(clusters, ids)
    if groups is not None:
        rows = _together(rows, groups)
    shown = values[np.ix_(rows, rows)]
    names = [ids[i] for i in rows]
    bar = scale(d)
    heading = (
        title
        if title is not None
        else labels.title(
            _NAMES.get(metric, metric or "Relation"), labels.bands(d.attrs), columns=56
        )
    )
    if not np.isfinite(shown).any():
        return theme.empty("no value: no pair could be compared", heading, "Subject", "Subject")
    image = hv.Image(
        shown[::-1],  # the axis points down, the first row of an Image is its top
        bounds=(-0.5, -0.5, n - 0.5, n - 0.5),
        kdims=[hv.Dimension("column", label="Subject"), hv.Dimension("row", label="Subject ")],
        vdims=[hv.Dimension("relation", label=bar)],
    )
    ticks = list(enumerate(names))
    side = min(theme.FULL_IN - 1.4, max(2.4, 0.085 * n))
    small = {
        k: min(v, 0.72 * 72 * side / n) if k in {"xticks", "yticks"} else v
        for k, v in theme.PT.items()
    }
    px = round(min(640, max(320, 10 * n)))
    tiny = {**theme.PX, **{k: f"{min(11, 0.85 * px / n):.1f}px" for k in ("xticks", "yticks")}}
    inches = (side + 1.2, side + 0.6)
    image = theme.panel(
        image,
        bokeh={"frame_width": px, "frame_height": px, "tools": ["hover"], "fontsize": tiny},
        mpl={"fig_inches": inches, "aspect": 1, "fontsize": small},
        **_colours_of(shown, bar),
    )
    drawn = image if groups is None else image * _frames(groups[rows])
    return theme.panel(
        drawn,
        bokeh={"fontsize": tiny},
        mpl={"fig_inches": inches, "aspect": 1, "fontsize": small},
        title=heading,
        xlabel="Subject",
        ylabel="Subject",
        invert_yaxis=True,
        xticks=ticks,
        yticks=ticks,
        xrotation=90 if n > 12 else 0,
    )


def _colours_of(values: F64, bar: str) -> dict[str, Any]:
    if np.nanmin(values) < 0:
        return theme.coloured(theme.DIVERGING, figure_data.symmetric(values), bar)
    return theme.coloured(theme.DISTANCE, _between(values), bar)


def _between(values: F64) -> tuple[float, float]:
    """Limits of the values of two different members, with the diagonal's colour below."""
    low, high = figure_data.limits(values[~np.eye(len(values), dtype=bool)])
    return low - 0.05 * (high - low), high


def _together(rows: Ints, groups: Ints) -> Ints:
    """Rows of a group next to each other, groups as they first appear, those in none last."""
    kinds = [g for g in dict.fromkeys(groups[rows].tolist()) if g >= 0]
    return np.concatenate([rows[groups[rows] == g] for g in [*kinds, -1]])


def _frames(groups: Ints) -> Any:
    """A frame round each group along the diagonal, in the group's colour."""
    hv = theme.backends()
    drawn = []
    for group in [g for g in dict.fromkeys(groups.tolist()) if g >= 0]:
        mine = np.flatnonzero(groups == group)
        low, high = mine[0] - 0.5, mine[-1] + 0.5
        box = hv.Path([[(low, low), (high, low), (high, high), (low, high), (low, low)]],
                      ["column", "row"])  # fmt: skip
        drawn.append(theme.stroke(box, (4, 2), theme.cluster_colour(int(group))))
    return hv.Overlay(drawn)


def scale(d: xr.DataArray) -> str:
    """``"DTW distance [°C]"``."""
    metric = str(d.attrs.get("metric", ""))
    return _NAMES.get(metric, metric or "Relation") + labels.unit(d.attrs.get("units"))


def dendrogram(
    d: xr.DataArray,
    *,
    method: str = "average",
    clusters: xr.DataArray | None = None,
    title: str | None = None,
) -> Any:
    """The tree of a relation: who joins whom, and at which distance.

    Parameters
    ----------
    d
        ``(subject_0, subject_1)`` from :func:`fhemb_xr.pairwise`; of a similarity the
        distance is ``1 - value``.
    method
        Linkage, as :func:`scipy.cluster.hierarchy.linkage`.
    clusters
        Labels of :func:`fhemb_xr.clusters`: branches of one cluster take its colour.
    title
        Title; by default the linkage and the bands.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Paths, a leaf per subject.

    Raises
    ------
    SchemaError
        If it is not one square matrix.
    BudgetError
        If the matrix does not fit the budget.

    Notes
    -----
    Memory: two matrices. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> d = xr.DataArray(np.ones((3, 3)) - np.eye(3), dims=("subject_0", "subject_1"))
    >>> figure = plot.dendrogram(d)
    """
    hv = theme.backends()
    matrix, ids = linkage.square(d)
    tree, rows, leaves = linkage.tree(matrix, method)
    absent = len(ids) - len(rows)
    note = f"{absent} of {len(ids)} without a value" if absent else ""
    ylabel = f"1 − {scale(d)}" if is_similarity(d) else scale(d)
    below = " · ".join(t for t in (labels.bands(d.attrs), note) if t)
    drawn_as = labels.title(f"Tree by {method} linkage", below=below, columns=56)
    heading = title if title is not None else drawn_as
    if len(rows) < 2:
        return theme.empty("no tree: no two subjects have a value", heading, "Subject", ylabel)
    ids = [ids[i] for i in rows]
    n = len(ids)
    colours = _colours(tree, n, None if clusters is None else figure_data.groups(clusters, ids))
    paths: dict[str, list[F64]] = {}
    for path, colour in zip(_brackets(tree, leaves), colours, strict=True):
        paths.setdefault(colour, []).append(path)
    drawn = [
        theme.stroke(hv.Path(some, ["leaf", "height"]), (1.2, 0.9), colour)
        for colour, some in paths.items()
    ]
    names = [ids[i] for i in leaves]
    wide = min(theme.FULL_IN, max(theme.COLUMN_IN, 0.09 * n + 0.8))
    tick = min(7.0, 0.7 * 72 * (wide - 0.8) / n) if n > 12 else 7.0
    px = round(min(860, max(380, 11 * n)))
    return theme.figure(
        drawn,
        heading,
        ("Subject", ylabel),
        px=(px, 240),
        inches=(wide, 2.6),
        aspect=wide / 2.6,
        bokeh={"fontsize": {**theme.PX, "xticks": f"{tick * 1.55:.1f}px"}},
        mpl={"fontsize": {**theme.PT, "xticks": tick}},
        xticks=list(enumerate(names)),
        xrotation=90 if n > 12 else 0,
        xlim=(-0.6, n - 0.4),
        ylim=(0, 1.04 * float(tree[-1, 2]) or 1.0),
        show_legend=False,
    )


def _brackets(tree: F64, leaves: Ints) -> list[F64]:
    """Each link as a bracket ``(leaf, height)``; leaves stand at 0, 1, … in their order."""
    n = leaves.size
    x = np.zeros(2 * n - 1)
    x[leaves] = np.arange(n)
    y = np.concatenate([np.zeros(n), tree[:, 2]])
    out = []
    for k, (a, b) in enumerate(tree[:, :2].astype(int)):
        top = y[n + k]
        out.append(np.array([(x[a], y[a]), (x[a], top), (x[b], top), (x[b], y[b])]))
        x[n + k] = (x[a] + x[b]) / 2
    return out


def _colours(tree: F64, n: int, groups: Ints | None) -> list[str]:
    """A cluster's colour for each link inside it, ink for those that join clusters."""
    if groups is None:
        return [theme.LINE] * len(tree)
    label = [*groups.tolist(), *[0] * len(tree)]
    pure = [True] * n + [False] * len(tree)
    out = []
    for k, (a, b) in enumerate(tree[:, :2].astype(int)):
        pure[n + k] = pure[a] and pure[b] and label[a] == label[b]
        label[n + k] = label[a]
        out.append(theme.cluster_colour(label[a]) if pure[n + k] else theme.QUIET)
    return out
