"""Scores: how well groups separate people, and how well classifiers tell segments apart."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme

_K = "n_clusters"


def silhouette(score: xr.DataArray | xr.Dataset, *, title: str | None = None) -> Any:
    """Mean silhouette by number of groups; a ring marks the best.

    Parameters
    ----------
    score
        Result of :func:`fhemb_xr.silhouette`, ``(n_clusters)``. One more dimension, such as
        sessions or windows, gives several curves. More than eight curves are grey, with their
        median over them. A result with a null gives one curve over
        the silhouettes of one group.
    title
        Title; by default the method.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Curves and Scatters.

    Raises
    ------
    SchemaError
        If there is no ``n_clusters``, or more than one further dimension.

    Notes
    -----
    Memory: the scores. Computes at call: one, if lazy.

    Examples
    --------
    >>> import xarray as xr
    >>> from fhemb_xr import plot
    >>> figure = plot.silhouette(
    ...     xr.DataArray([0.3, 0.6, 0.1], dims="n_clusters", coords={"n_clusters": [2, 3, 4]})
    ... )
    """
    theme.backends()  # refuses here, not after the work, where the extra is missing
    score, null = _with_null(score)
    schema.require_dims(score, _K)
    score = score.squeeze([d for d in score.dims if d != _K and score.sizes[d] == 1])
    rest = [str(d) for d in score.dims if d != _K]
    if len(rest) > 1:
        raise SchemaError(
            f"silhouettes are drawn by one dimension more, found {dict(score.sizes)}"
        )
    score = figure_data.loaded(score.transpose(*rest, _K), "silhouettes")
    k = np.asarray(score[_K].values, np.float64)
    rows = score.values.reshape(-1, k.size)
    heading = title if title is not None else labels.title(
        "Silhouette", _by(score), labels.bands(score.attrs), columns=52,
        below=_share(null),
    )  # fmt: skip
    if not np.isfinite(rows).any():
        return theme.empty("no groups to separate", heading, "Number of groups", "Silhouette")
    curves = _named(score, rest, rows)
    drawn = [e for label, v, colour in curves for e in _curve(k, v, label, colour)]
    if null is not None:
        ends = [figure_data.loaded(null[n].squeeze(), "the null").values for n in _ENDS]
        drawn.insert(0, theme.band(k, ends[0], ends[1], ["groups", "silhouette"]))
    several = sum(bool(label) for label, _, _ in curves) > 1
    return theme.figure(
        drawn,
        heading,
        ("Number of groups", "Mean silhouette"),
        px=(340, 240),
        inches=(theme.COLUMN_IN, 2.6),
        aspect=1.3,
        xticks=k.tolist(),
        xlim=(k.min() - 0.4, k.max() + 0.4),
        show_legend=several,
        legend_position="right",
    )


def _share(null: xr.Dataset | None) -> str:
    if null is None:
        return ""
    return f"grey: {100 * (1 - float(null.attrs.get('alpha', 0.05))):g} % of one group"


_ENDS = ("null_low", "null_high")


def _with_null(score: Any) -> tuple[xr.DataArray, xr.Dataset | None]:
    """The silhouettes, and the result that has their null, if it has one curve."""
    if not isinstance(score, xr.Dataset):
        return score, None
    if missing := {"silhouette", *_ENDS} - {*score}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, score))}: make it with "
            "fx.silhouette(..., null=99)"
        )
    if score["silhouette"].size > score.sizes[_K]:
        raise SchemaError(
            f"silhouettes with a null are drawn one curve at a time, found "
            f"{dict(score.sizes)}: choose with .sel(...)"
        )
    return score["silhouette"], score


def _by(score: xr.DataArray) -> str:
    method = score.attrs.get("method")
    return f"groups by {method}" if method else ""


def _named(score: xr.DataArray, rest: list[str], rows: Any) -> list[tuple[str, Any, str]]:
    """Curves with label and colour; many are grey under their median."""
    if not rest:
        return [("", rows[0], theme.LINE)]
    if len(rows) <= len(theme.CYCLE):
        names = [f"{rest[0]} {n}" for n in figure_data.ids(score, rest[0])]
        return list(zip(names, rows, theme.CYCLE, strict=False))
    seen = np.isfinite(rows).any(axis=0)
    middle = np.full(rows.shape[1], np.nan)
    middle[seen] = np.nanmedian(rows[:, seen], axis=0)
    grey = [("", row, theme.MISSING) for row in rows]
    return [*grey, (f"median of {len(rows)}", middle, theme.LINE)]


def _curve(k: Any, values: Any, label: str, colour: str) -> list[Any]:
    """A line with dots, and a ring round its best; none round those in the background."""
    hv = theme.backends()
    line = hv.Curve((k, values), "groups", "silhouette", label=label)
    dots = hv.Scatter((k, values), "groups", "silhouette", label=label)
    out = [theme.stroke(line, (1.2, 0.9), colour)]
    if colour == theme.MISSING:
        return out
    out.append(theme.dots(dots, (5, 10), colour))
    if np.isfinite(values).any():
        best = int(np.nanargmax(values))
        ring = hv.Scatter([(k[best], values[best])], "groups", "silhouette")
        out.append(
            theme.styled(
                ring,
                bokeh={"size": 13, "fill_color": None, "line_color": colour, "line_width": 1.4},
                mpl={"s": 70, "facecolors": "none", "edgecolor": colour, "linewidth": 1.0},
            )
        )
    return out


def accuracy(result: xr.Dataset, *, title: str | None = None) -> Any:
    """Accuracy of classifiers with intervals, over chance and the null of exchanged labels.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.classify`.
    title
        Title; by default the numbers of samples and of people.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay, a row per classifier, the best on top: a dot, a thick line for
        Wilson's interval, a thin one for that by subjects, grey for the null; a dashed line at
        chance.

    Raises
    ------
    SchemaError
        If it is not a result of :func:`fhemb_xr.classify`.

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import xarray as xr
    >>> from fhemb_xr import plot
    >>> names = ("accuracy", "wilson_low", "wilson_high", "subject_low", "subject_high")
    >>> result = xr.Dataset({n: ("classifier", [0.6, 0.7]) for n in (*names, "chance")})
    >>> figure = plot.accuracy(result.assign(null=(("classifier", "permutation"), [[0.5]] * 2)))
    """
    hv = theme.backends()
    wanted = [*_INTERVALS, "accuracy", "chance", "null"]
    if missing := [n for n in wanted if n not in result]:
        raise SchemaError(
            f"need {missing}, found {sorted(map(str, result))}: make it with fx.classify"
        )
    more = [n for n in ("n_used", "n_subjects") if n in result]
    found = figure_data.loaded(result[[*wanted, *more]], "accuracies")
    own = ("classifier", "permutation")
    found = found.isel({d: 0 for d, n in found.sizes.items() if n == 1 and d not in own})
    if {*found["accuracy"].dims} != {"classifier"}:
        raise SchemaError(
            f"accuracies are drawn over 'classifier', found {found['accuracy'].dims}: choose "
            "one of each other dimension with .isel(...)"
        )
    found = found.isel(classifier=np.argsort(found["accuracy"].values, kind="stable"))
    names = figure_data.ids(found, "classifier")
    rows = np.arange(len(names))
    heading = title if title is not None else _counts(found)
    if not np.isfinite(found["accuracy"].values).any():
        return theme.empty("no sample could be used", heading, "Accuracy", "Classifier")
    drawn = [*_null(found, rows), *_bars(found, rows)]
    dots = hv.Scatter((found["accuracy"].values, rows), "accuracy", "row")
    drawn.append(theme.dots(dots, (8, 22), theme.LINE))
    high = 0.7 + 0.2 * len(names)
    return theme.figure(
        drawn,
        heading,
        ("Accuracy (share of tested samples)", ""),
        px=(400, 24 * len(names) + 20),
        inches=(theme.COLUMN_IN + 1, high),
        aspect=3.2 / (high - 0.5),
        yticks=list(zip(rows.tolist(), names, strict=True)),
        xlim=(0, 1.02),
        ylim=(-0.6, len(names) - 0.4),
        show_legend=False,
    )


_INTERVALS = ("subject_low", "subject_high", "wilson_low", "wilson_high")


def _counts(found: xr.Dataset) -> str:
    parts = []
    if {"n_used", "n_subjects"} <= {*found}:
        n, people = (int(found[v].max()) for v in ("n_used", "n_subjects"))
        parts = [f"{n} samples of {people} people"]
    metric = found.attrs.get("metric")
    note = "thick: Wilson; thin: by person; grey: labels exchanged; dashed: chance"
    return labels.title("Accuracy", metric, *parts, below=note, columns=52)


def _null(found: xr.Dataset, rows: Any) -> list[Any]:
    """Grey from the 2.5th to the 97.5th percentile of the null, and chance."""
    hv = theme.backends()
    out = []
    null = found["null"].transpose("classifier", ...).values
    if null.shape[1] and np.isfinite(null).any():
        low, high = np.nanquantile(null, [0.025, 0.975], axis=1)
        boxes = [(a, r - 0.36, b, r + 0.36) for a, b, r in zip(low, high, rows, strict=True)]
        grey = hv.Rectangles(boxes, kdims=["accuracy", "row", "to", "above"])
        out.append(theme.filled(grey, theme.MISSING))
    chance = float(found["chance"].max())
    ends = [(chance, -0.6), (chance, len(rows) - 0.4)]
    line = hv.Curve(ends, "accuracy", "row")
    return [*out, theme.dashed(line, (1.0, 0.7))]


def _bars(found: xr.Dataset, rows: Any) -> list[Any]:
    """Both intervals of every classifier."""
    hv = theme.backends()
    out = []
    for name, thick in (("subject", 1.0), ("wilson", 3.0)):
        low, high = found[f"{name}_low"].values, found[f"{name}_high"].values
        ends = np.stack([low, rows, high, rows], axis=1)[np.isfinite(low)]
        bars = hv.Segments(ends, kdims=["accuracy", "row", "to", "same"])
        out.append(theme.stroke(bars, (thick * 1.2, thick * 0.8), theme.LINE))
    return out
