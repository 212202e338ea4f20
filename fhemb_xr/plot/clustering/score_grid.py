"""Scores of classifiers under several metrics, as a table with colours."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.ops.checks import require_choice
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64, Bools

STATISTICS = ("median", "mean", "std", "iqr")
DIMS = ("classifier", "metric", "split")


def scores(
    accuracy: xr.DataArray, *, statistic: str = "median", title: str | None = None
) -> Any:
    """Accuracies over random splits, a row per classifier and a column per metric.

    Parameters
    ----------
    accuracy
        Accuracies ``(metric, classifier, split)``.
    statistic
        What is drawn of the splits: ``"median"``, ``"mean"``, ``"std"`` or ``"iqr"``.
    title
        Title; by default the statistic and the number of splits.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of an Image and Labels, the best classifier on top; missing ones
        grey.

    Raises
    ------
    SchemaError
        If a dimension is missing, or there are others.
    UnknownNameError
        No such statistic.

    Notes
    -----
    Memory: the accuracies. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> x = xr.DataArray(np.ones((1, 2, 3)), dims=("metric", "classifier", "split"))
    >>> figure = plot.scores(x)
    """
    hv = theme.backends()
    statistic = require_choice("statistic", statistic, STATISTICS)
    x = figure_data.loaded(figure_data.require(accuracy, "scores", *DIMS), "scores")
    table = _over_splits(x.values.astype(np.float64), statistic)
    rows, columns = figure_data.ids(x, DIMS[0]), figure_data.ids(x, DIMS[1])
    heading = title if title is not None else labels.title(
        f"Accuracy, {statistic} of {x.sizes['split']} splits", columns=60
    )  # fmt: skip
    seen = np.isfinite(table)
    if not seen.any():
        return theme.empty("no score", heading, "Metric", "Classifier")
    best = np.max(table, axis=1, initial=-np.inf, where=seen)
    order = np.argsort(best, kind="stable")  # the last row of an Image is on top
    table, rows = table[order], [rows[i] for i in order]
    n, m = table.shape
    limits = (0.0, 1.0) if statistic in ("median", "mean") else figure_data.limits(table)
    image = theme.styled(
        hv.Image(
            table[::-1], bounds=(-0.5, -0.5, m - 0.5, n - 0.5),
            kdims=["metric", "classifier"], vdims=[hv.Dimension("accuracy")],
        ),
        bokeh={}, mpl={},
        **{**theme.coloured(theme.DISTANCE, limits, ""), "colorbar": False},  # numbers do
    )  # fmt: skip
    is_light = table > limits[0] + 0.6 * (limits[1] - limits[0])
    return theme.figure(
        [
            image,
            _words(table, seen[order] & ~is_light, "white"),
            _words(table, seen[order] & is_light, "black"),
        ],
        heading,
        ("Metric", "Classifier"),
        px=(max(160, 64 * m), 24 * n + 20),
        inches=(theme.FULL_IN, 0.9 + 0.2 * n),
        aspect=max(1.0, 2.2 * m / n),
        xticks=list(enumerate(columns)),
        yticks=list(enumerate(rows)),
        xrotation=60 if m > 4 else 0,
        show_legend=False,
    )


def _words(table: F64, shown: Bools, colour: str) -> Any:
    """The numbers of some cells, in a colour that can be read there."""
    rows = [(k, i, f"{table[i, k]:.2f}") for i, k in np.argwhere(shown).tolist()]
    return theme.styled(
        theme.backends().Labels(rows, ["metric", "classifier"], "text"),
        bokeh={"text_color": colour, "text_font_size": "10px"},
        mpl={"color": colour, "size": 6},
    )


def _over_splits(x: F64, statistic: str) -> F64:
    """``(classifier, metric, split) -> (classifier, metric)``; NaN where nothing is known."""
    out = np.full(x.shape[:2], np.nan)
    for i in np.ndindex(x.shape[:2]):
        some = x[i][np.isfinite(x[i])]
        if some.size:
            ends = np.percentile(some, [25, 75])
            out[i] = ends[1] - ends[0] if statistic == "iqr" else getattr(np, statistic)(some)
    return out
