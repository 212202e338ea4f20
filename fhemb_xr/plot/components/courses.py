"""Courses of components over time: the mean of the people, and how far they differ."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, signals, theme
from fhemb_xr.plot.frames import faces
from fhemb_xr.typing import F64


def rows(found: xr.Dataset, said: list[str], what: str, title: str | None) -> Any:
    """A row per component: the mean of ``scores`` over people, beside what is said of it."""
    scores = found["scores"].assign_attrs(found.attrs)  # the Dataset has the rate
    people = [d for d in scores.dims if d not in (schema.TIME, schema.COMPONENT)]
    if len(people) != 1:
        raise SchemaError(
            f"courses are drawn over time, people and components, found {dict(scores.sizes)}: "
            "choose one of each other dimension with .sel(...)"
        )
    seconds = Clock.of(scores).axis_s
    values = scores.transpose(schema.COMPONENT, people[0], schema.TIME).values
    drawn = [_mean_and_spread(v) for v in values]
    heading = (
        title
        if title is not None
        else labels.title(
            f"{what} of {scores.sizes[people[0]]} people, mean ± SD",
            labels.bands(scores.attrs),
        )
    )
    edges = [v for mean, spread in drawn for v in (mean - spread, mean + spread)]
    low, high = figure_data.limits(np.concatenate(edges))
    panels = [
        _panel(seconds, *row, f"Component {n}\n{text}", (low, high), i == len(drawn) - 1)
        for i, (row, n, text) in enumerate(
            zip(drawn, figure_data.ids(found, schema.COMPONENT), said, strict=True)
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


def on_faces(maps: xr.DataArray, name: str, said: list[str], heading: str) -> Any:
    """The maps ``(component, y, x)`` side by side, each as a share of its largest pixel."""
    maps = maps.transpose(schema.COMPONENT, schema.Y, schema.X)
    pictures = [
        faces.Picture(
            face / figure_data.symmetric(face)[1],
            f"{name} {n}\n{text}",
            theme.DIVERGING,
            (-1, 1),
        )
        for face, n, text in zip(
            maps.values, figure_data.ids(maps, schema.COMPONENT), said, strict=True
        )
    ]
    return faces.montage(pictures, heading, "Pattern, share of largest")


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
