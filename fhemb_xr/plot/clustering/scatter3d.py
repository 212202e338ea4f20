"""Labelled points by group, in the plane, and in a cube drawn on it."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.plot import figure_data, theme
from fhemb_xr.typing import F64

THIN = (0.7, 0.5)
FLOOR = -0.6
"""Height of the floor under a cube from -0.5 to 0.5."""


def cube(
    points: F64,
    names: list[str],
    axes: list[str],
    clusters: xr.DataArray | None,
    view: tuple[float, float],
    heading: str,
) -> Any:
    """Points ``(n, 3)`` in space, seen from ``view`` without perspective, on one scale."""
    hv = theme.backends()
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    reach = max(float((high - low).max()), 1e-12)
    inside = (points - (low + high) / 2) / reach
    seen = turned(inside, view)
    feet = turned(np.where([True, True, False], inside, FLOOR), view)
    there = np.isfinite(inside).all(axis=1)
    stems = np.concatenate([feet, seen], axis=1)[there]
    drawn = [
        _floor(view),
        theme.stroke(hv.Segments(stems, kdims=["x", "y", "to_x", "to_y"]), THIN, theme.QUIET),
        _words(view, axes, reach),
        *scatter(seen, names, clusters, 0.05).values(),
    ]  # fmt: skip
    return theme.figure(
        drawn,
        heading,
        None,
        px=(420, 380),
        inches=(theme.COLUMN_IN + 0.6, theme.COLUMN_IN),
        aspect="equal",
        bokeh={"legend_cols": 1},
        mpl={"show_frame": False},
        xlim=(-0.95, 0.95),
        ylim=(-0.95, 0.82),
        legend_position="right",
    )


def turned(points: F64, view: tuple[float, float]) -> F64:
    """Across and up on the picture: ``(n, 3) -> (n, 2)``."""
    up, round_ = np.deg2rad(view)
    x, y, z = points.T
    across = -np.sin(round_) * x + np.cos(round_) * y
    depth = np.cos(round_) * x + np.sin(round_) * y
    return np.asarray(np.stack([across, np.cos(up) * z - np.sin(up) * depth], axis=1))


def _floor(view: tuple[float, float]) -> Any:
    """A grid on the floor, and an upright at its farthest corner."""
    lines = []
    for s in np.linspace(-0.5, 0.5, 6):
        lines += [((-0.5, s, FLOOR), (0.5, s, FLOOR)), ((s, -0.5, FLOOR), (s, 0.5, FLOOR))]
    corner = _upright(view)
    lines.append(((*corner, FLOOR), (*corner, 0.5)))
    ends = np.array(lines)
    flat = np.concatenate([turned(ends[:, 0], view), turned(ends[:, 1], view)], axis=1)
    segments = theme.backends().Segments(flat, kdims=["x", "y", "to_x", "to_y"])
    return theme.stroke(segments, THIN, theme.MISSING)


def _upright(view: tuple[float, float]) -> tuple[float, float]:
    """The leftmost corner of the floor: nothing is drawn beyond it."""
    corners = [(a, b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]
    places = turned(np.array([(*c, FLOOR) for c in corners]), view)
    return corners[int(places[:, 0].argmin())]


def _words(view: tuple[float, float], axes: list[str], reach: float) -> Any:
    """What the axes are, at the near edges of the floor and the upright, and their length."""
    near = -0.62 * np.sign([np.cos(np.deg2rad(view[1])), np.sin(np.deg2rad(view[1]))])
    near = -near  # the viewer stands on the side that the azimuth points to
    a, b = _upright(view)
    places = [(0, near[1], FLOOR), (near[0], 0, FLOOR), (a, b, 0.56)]
    at = turned(np.array(places, np.float64), view)
    at[:2, 1] -= 0.06
    words = [(*p, name) for p, name in zip(at, axes, strict=True)]
    words.append((0.0, -0.92, f"edge of the floor: {reach:.3g}"))
    labels = theme.backends().Labels(words, ["x", "y"], "name")
    return theme.styled(
        labels,
        bokeh={"text_font_size": "12px", "text_color": theme.INK},
        mpl={"size": 7, "color": theme.INK},
    )


def scatter(xy: Any, names: list[str], labels: xr.DataArray | None, lift: float) -> Any:
    """Points by group, and a name above each."""
    hv = theme.backends()
    groups = np.zeros(len(xy), int) if labels is None else figure_data.groups(labels, names)
    seen = np.isfinite(xy).all(axis=1)
    drawn = []
    for group in np.unique(groups[seen]).tolist():
        mine = np.flatnonzero(seen & (groups == group))
        points = [(*xy[i], names[i]) for i in mine]  # the name is what hovering shows
        label = "" if labels is None else f"group {group}"
        some = hv.Scatter(points, "x", ["y", "name"], label=label)
        drawn.append(
            theme.styled(
                some,
                bokeh={"size": 8, "tools": ["hover"]},
                mpl={"s": 22, "linewidth": 0},
                color=theme.LINE if labels is None else theme.cluster_colour(int(group)),
            )
        )
    words = [(xy[i, 0], xy[i, 1] + lift, names[i]) for i in _apart(xy, seen, abs(lift))]
    text = hv.Labels(words, ["x", "y"], "name")
    drawn.append(
        theme.styled(
            text,
            bokeh={
                "text_font_size": "10px",
                "text_baseline": "bottom",
                "text_color": theme.INK,
            },
            mpl={"size": 6, "verticalalignment": "bottom", "color": theme.INK},
        )
    )
    return hv.Overlay(drawn)


def _apart(xy: Any, seen: Any, high: float) -> list[int]:
    """Whose names can be written without touching one another, the first come first."""
    kept: list[int] = []
    for i in np.flatnonzero(seen).tolist():
        near = np.abs(xy[kept] - xy[i]) < (2.4 * high, 2.2 * high)
        if not near.all(axis=1).any():
            kept.append(i)
    return kept
