"""When each person is in which state."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64

NEEDED = ("begin", "state_at")
_BINS = 400
"""Stretches of time of a row at most; the state with most moments is drawn in each."""
Boxes = list[list[tuple[float, float, float, float]]]
"""Of each state: left, low, right, top."""


def states(result: xr.Dataset, *, title: str | None = None) -> Any:
    """States over time, a row for each person.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.states`.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay: a bar from the begin of each state to the next, with its number
        where there is room. Of k-means, the state with most moments in each of at most 400
        stretches of time. With a null, the names of people in whom the boundaries of the
        others hold (p of .05 or less) have a star.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.states``, or another dimension has more than one entry.

    Notes
    -----
    Memory: the begins. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> values = np.random.default_rng(0).normal(size=(2, 60, 4))
    >>> x = xr.DataArray(values, dims=("subject", "time", "feature"))
    >>> figure = fx.states(x.assign_attrs(sampling_rate=1.0), 3).fhemb.plot.states()
    """
    if result.attrs.get("method") == "kmeans" and {"state_at", "share"} <= {*result}:
        return _that_come_back(result, title)
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with fx.states"
        )
    end = _end(result)
    names = [n for n in ("begin", "p") if n in result]
    found = figure_data.loaded(figure_data.one(result[names], schema.SESSION), "states")
    begin = found["begin"]
    people, who = _people(begin, "state")
    values = begin.transpose(*people, "state").values.reshape(len(who), -1)
    starred = "p" in found
    if starred:
        low = found["p"].values.reshape(-1) <= 0.05
        who = [f"{name} *" if star else name for name, star in zip(who, low, strict=True)]
    heading = title if title is not None else _heading(values, starred)
    axes = ("Time [s]", labels.capital(people[0]) if people else "")
    if not np.isfinite(values).any():
        return theme.empty("nobody has a sample", heading, *axes)
    return _bars(_boxes(values, end), (float(np.nanmin(values)), end), who, heading, axes)


def _people(x: xr.DataArray, other: str) -> tuple[list[str], list[str]]:
    """The dimension of the people, if there is one, and their names."""
    people = [str(d) for d in x.dims if d != other]
    if len(people) > 1:
        raise SchemaError(
            f"states are drawn of people, found {dict(x.sizes)}: choose one of each other "
            "dimension with .sel(...)"
        )
    return people, figure_data.ids(x, people[0]) if people else [""]


def _that_come_back(result: xr.Dataset, title: str | None) -> Any:
    """States of k-means: the most frequent one in each stretch of time."""
    k = result.sizes["state"]
    found = figure_data.loaded(figure_data.one(result[["state_at"]], schema.SESSION), "states")
    label = found["state_at"].assign_attrs(result.attrs)
    people, who = _people(label, schema.TIME)
    clock = Clock.of(label)
    values = label.transpose(*people, schema.TIME).values.reshape(len(who), -1)
    edges = np.unique(np.linspace(0, values.shape[1], _BINS + 1).round().astype(int))
    seconds = np.append(clock.axis_s, clock.axis_s[-1] + 1 / clock.rate_hz)[edges]
    whom = f"{len(who)} people" if len(who) > 1 else ""
    heading = title if title is not None else labels.title(f"{k} states that come back", whom)
    axes = ("Time [s]", labels.capital(people[0]) if people else "")
    if not np.isfinite(values).any():
        return theme.empty("nobody has a sample", heading, *axes)
    boxes: Boxes = [[] for _ in range(k)]
    for i, row in enumerate(values):
        held = np.stack([np.add.reduceat(row == s, edges[:-1], dtype=int) for s in range(k)])
        usual = np.where(held.any(axis=0), held.argmax(axis=0), -1)
        new = np.flatnonzero(np.diff(usual, prepend=-2))
        for a, b in zip(new, np.append(new[1:], usual.size), strict=True):
            low = len(who) - 1 - i - 0.4
            if usual[a] >= 0:
                boxes[usual[a]].append((seconds[a], low, seconds[b], low + 0.8))
    return _bars(boxes, (float(seconds[0]), float(seconds[-1])), who, heading, axes)


def _end(result: xr.Dataset) -> float:
    """The second after the last sample."""
    clock = Clock.of(result["state_at"].assign_attrs(result.attrs))
    return float(clock.axis_s[-1] + 1 / clock.rate_hz)


def _heading(values: F64, starred: bool) -> str:
    n, k = values.shape
    whom = f"{n} people" if n > 1 else ""
    note = "*: the boundaries of the others hold, p ≤ .05" if starred else ""
    return labels.title(f"{k} states in one order", whom, below=note)


def _boxes(begin: F64, end: float) -> Boxes:
    """From the begin of each state to that of the next."""
    n, k = begin.shape
    stop = np.concatenate([begin[:, 1:], np.full((n, 1), end)], axis=1)
    return [
        [
            (begin[i, s], n - 1 - i - 0.4, stop[i, s], n - 1 - i + 0.4)
            for i in range(n)
            if stop[i, s] > begin[i, s]
        ]
        for s in range(k)
    ]


def _bars(
    boxes: Boxes, span: tuple[float, float], who: list[str], heading: str, axes: tuple[str, str]
) -> Any:
    hv = theme.backends()
    n = len(who)
    left, end = span
    drawn: list[Any] = []
    words = []
    for s, of_state in enumerate(boxes):
        dims = [schema.TIME, "row", "stop", "top"]
        drawn.append(theme.filled(hv.Rectangles(of_state, dims), theme.CYCLE[s % 7]))
        words += [
            ((a + b) / 2, low + 0.4, str(s))
            for a, low, b, _ in of_state
            if b - a > 0.03 * (end - left)
        ]
    text = hv.Labels(words, [schema.TIME, "row"], "word")
    drawn.append(
        theme.styled(
            text,
            bokeh={"text_font_size": "11px", "text_color": "#ffffff"},
            mpl={"size": 6, "color": "#ffffff"},
        )
    )
    high = 0.22 * n + 1.0
    return theme.figure(
        drawn,
        heading,
        axes,
        px=(560, 22 * n + 20),
        inches=(theme.FULL_IN, high),
        aspect=theme.FULL_IN / high,
        xlim=(left, end),
        ylim=(-0.5, n - 0.5),
        yticks=[(n - 1 - i, name) for i, name in enumerate(who)],
        show_legend=False,
    )
