"""Curves of several people in one frame, and rows of frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fhemb_xr.plot import figure_data, theme
from fhemb_xr.typing import F64, Bools


def lines(
    along: F64, values: F64, names: Sequence[str], dims: list[str], marks: Bools | None = None
) -> list[Any]:
    """A curve per row, with dots at ``marks``; many are grey under their median."""
    hv = theme.backends()
    many = len(values) > len(theme.CYCLE)
    colours = [theme.QUIET] * len(values) if many else list(theme.CYCLE[: len(values)])
    drawn: list[Any] = []
    for n, (name, row, colour) in enumerate(zip(names, values, colours, strict=True)):
        line = hv.Curve((along, row), *dims, label="" if many else name)
        hover = {} if many else {"tools": ["hover"]}
        drawn.append(theme.stroke(line, (0.7, 0.4) if many else (1.4, 1.0), colour, **hover))
        if marks is not None and marks[n].any():
            at = marks[n]
            drawn.append(
                theme.dots(
                    hv.Scatter((along[at], row[at]), *dims), (4 if many else 5, 9), colour
                )
            )
    if many:
        seen = np.isfinite(values).any(axis=0)
        middle = np.full(along.shape, np.nan)
        middle[seen] = np.nanmedian(values[:, seen], axis=0)
        line = hv.Curve((along, middle), *dims, label=f"median of {len(values)}")
        drawn.append(theme.stroke(line, (1.8, 1.2), theme.LINE))
    return drawn


def frame(drawn: list[Any], axes: tuple[str, str], **options: Any) -> Any:
    """One frame of a column of frames, as wide as the page."""
    return theme.panel(
        theme.backends().Overlay(drawn),
        bokeh={"frame_width": 560, "frame_height": 100},
        mpl={"fig_inches": (theme.FULL_IN, 1.2), "aspect": theme.FULL_IN / 1.2 * 0.85},
        title="",
        xlabel=axes[0],
        ylabel=axes[1],
        **{"yticks": 3, "show_legend": False, **options},
    )


def row(
    along: F64, values: F64, names: Sequence[str], dims: tuple[str, str], label: str, *,
    across: str = "", legend: bool = False,
) -> Any:  # fmt: skip
    """A frame of curves; ``across`` names the axis of the last, ``legend`` is of the first."""
    low, high = figure_data.limits(values)
    room = 0.05 * (high - low)
    named = legend and 1 < len(names) <= len(theme.CYCLE)
    return frame(
        lines(along, values, names, list(dims)),
        (across, label),
        xlim=figure_data.span(along),
        ylim=(low - room, high + room),
        xaxis="bottom" if across else "bare",
        show_legend=named,
        **({"legend_position": "top", "legend_cols": len(theme.CYCLE)} if named else {}),
    )


def layout(panels: list[Any], heading: str) -> Any:
    """Frames in a column under one heading."""
    return theme.styled(
        theme.backends().Layout(panels).cols(1),
        bokeh={"toolbar": "right", "fontsize": {"title": "14px"}},
        mpl={
            "fig_inches": (theme.FULL_IN, 1.2 * len(panels) + 0.6),
            "fontsize": theme.PT,
            "sublabel_format": "",
            "vspace": 0.2,
        },
        title=heading,
        shared_axes=False,
    )
