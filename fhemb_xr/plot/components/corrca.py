"""Correlated components: their courses, and their patterns on the face."""

import re
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, signals, theme
from fhemb_xr.plot.frames import faces
from fhemb_xr.typing import F64

NEEDED = ("scores", "patterns", "strength")


def corrca(
    result: xr.Dataset, *, basis: xr.Dataset | None = None, title: str | None = None
) -> Any:
    """The courses of correlated components, or with a basis their patterns on the face.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.corrca`.
    basis
        The pooled eigenfaces of which the features ``pc0``, ``pc1``, … are scores. With it, the
        pattern of each component is drawn as a face, as a share of its largest pixel.
    title
        Instead of the default title.

    Returns
    -------
    A HoloViews Layout, a row per component: the mean course of the people, in grey one standard
    deviation of the people to either side. With a basis an Overlay of Images.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.corrca``, or the features are not scores of the basis.
    BudgetError
        If the courses do not fit the budget.

    Notes
    -----
    Memory: the scores, or the components of the basis. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(4, 100, 3))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> figure = fx.corrca(x.assign_attrs(sampling_rate=25.0), 2).fhemb.plot.corrca()
    """
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with fx.corrca"
        )
    names = [n for n in (*NEEDED, "p") if n in result and (n != "scores" or basis is None)]
    found = figure_data.loaded(
        figure_data.one(result[names], schema.SESSION), "correlated components"
    )
    if basis is None:
        return _courses(found, title)
    return _faces(found, basis, title)


def _strengths(found: xr.Dataset) -> list[str]:
    """What is said of each component: its correlation between people, and p."""
    said = [f"r = {round(float(r), 2) + 0.0:.2f}" for r in found["strength"].values.reshape(-1)]
    if "p" in found:
        said = [
            f"{r}, p = {float(p):.2g}" for r, p in zip(said, found["p"].values, strict=True)
        ]
    return said


def _courses(found: xr.Dataset, title: str | None) -> Any:
    scores = found["scores"].assign_attrs(found.attrs)  # the Dataset has the rate
    people = [d for d in scores.dims if d not in (schema.TIME, schema.COMPONENT)]
    if len(people) != 1:
        raise SchemaError(
            f"courses are drawn over time, people and components, found {dict(scores.sizes)}: "
            "choose one of each other dimension with .sel(...)"
        )
    seconds = Clock.of(scores).axis_s
    values = scores.transpose(schema.COMPONENT, people[0], schema.TIME).values
    rows = [_mean_and_spread(v) for v in values]
    heading = (
        title
        if title is not None
        else labels.title(
            f"Correlated components of {scores.sizes[people[0]]} people, mean ± SD",
            labels.bands(scores.attrs),
        )
    )
    edges = [v for mean, spread in rows for v in (mean - spread, mean + spread)]
    low, high = figure_data.limits(np.concatenate(edges))
    said = _strengths(found)
    panels = [
        _panel(seconds, *row, f"Component {n}\n{text}", (low, high), i == len(rows) - 1)
        for i, (row, n, text) in enumerate(
            zip(rows, figure_data.ids(found, schema.COMPONENT), said, strict=True)
        )
    ]
    high_in = 1.2 * len(panels) + 0.6
    return theme.styled(
        theme.backends().Layout(panels).cols(1),
        bokeh={"toolbar": "right", "fontsize": {"title": "14px"}},
        mpl={
            "fig_inches": (theme.FULL_IN, high_in),
            "fontsize": theme.PT,
            "sublabel_format": "",
            "vspace": 0.15,
        },
        title=heading,
        shared_axes=True,
    )


def _mean_and_spread(values: F64) -> tuple[F64, F64]:
    """Mean and standard deviation over people; NaN where nobody is there."""
    seen = np.isfinite(values)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0).sum(axis=0) / n
    spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(axis=0) / n)
    nobody = ~seen.any(axis=0)
    return np.where(nobody, np.nan, mean), np.where(nobody, np.nan, spread)


def _panel(
    seconds: F64,
    mean: F64,
    spread: F64,
    label: str,
    limits: tuple[float, float],
    last: bool,
) -> Any:
    hv = theme.backends()
    t, m = signals.thinned(seconds, mean)
    at = np.searchsorted(seconds, t)
    band = theme.band(t, m - spread[at], m + spread[at], [schema.TIME, "score"])
    time = hv.Dimension(schema.TIME, label="Time [s]")
    curve = hv.Curve((t, m), time, hv.Dimension("score", label="Score"))
    return theme.panel(
        hv.Overlay([band, theme.stroke(curve, (1.1, 0.8), theme.LINE)]),
        bokeh={"frame_width": 620, "frame_height": 110},
        mpl={"fig_inches": (theme.FULL_IN, 1.2), "aspect": theme.FULL_IN / 1.2 * 0.85},
        xlim=(float(seconds[0]), float(seconds[-1])),
        ylim=limits,
        xlabel="Time [s]" if last else "",
        ylabel=label,
        xaxis="bottom" if last else "bare",
        yticks=3,
        title="",
        show_legend=False,
    )


def _faces(found: xr.Dataset, basis: xr.Dataset, title: str | None) -> Any:
    figure_data.require_basis(basis, "components")
    (feature,) = [d for d in found["patterns"].dims if d != schema.COMPONENT]
    names = figure_data.ids(found["patterns"], str(feature))
    own = figure_data.one(basis["components"], schema.SESSION)
    if own.sizes.get(schema.SUBJECT, 1) > 1:
        raise SchemaError(
            "the people have bases of their own, and a pattern that they share is on none of "
            "them: take scores of a pooled basis, fx.pca(heat, per='pooled')"
        )
    own = figure_data.one(own, schema.SUBJECT)
    numbers = [int(n[2:]) if re.fullmatch(r"pc\d+", n) else int(n) if n.isdigit() else -1
               for n in names]  # fmt: skip
    absent = [n for n, k in zip(names, numbers, strict=True)
              if not 0 <= k < own.sizes[schema.COMPONENT]]  # fmt: skip
    if absent:
        raise SchemaError(
            f"the feature {absent[0]!r} is no score of a basis with "
            f"{own.sizes[schema.COMPONENT]} components: the features are pc0, pc1, …"
        )
    pixels = figure_data.loaded(own, "eigenfaces").transpose(
        schema.COMPONENT, schema.Y, schema.X
    )
    weights = found["patterns"].transpose(schema.COMPONENT, feature).values
    drawn = [np.tensordot(w, pixels.values[numbers], axes=1) for w in weights]
    pictures = [
        faces.Picture(
            face / figure_data.symmetric(face)[1],
            f"CC {n}\n{text}",
            theme.DIVERGING,
            (-1.0, 1.0),
        )
        for face, n, text in zip(
            drawn, figure_data.ids(found, schema.COMPONENT), _strengths(found), strict=True
        )
    ]
    heading = title if title is not None else "Patterns of correlated components"
    return faces.montage(pictures, heading, "Pattern, share of largest")
