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
        where there is room. With a null, the names of people in whom the boundaries of the
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
    if missing := {*NEEDED} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with fx.states"
        )
    end = _end(result)
    names = [n for n in ("begin", "p") if n in result]
    found = figure_data.loaded(figure_data.one(result[names], schema.SESSION), "states")
    begin = found["begin"]
    people = [str(d) for d in begin.dims if d != "state"]
    if len(people) > 1:
        raise SchemaError(
            f"states are drawn of people, found {dict(begin.sizes)}: choose one of each other "
            "dimension with .sel(...)"
        )
    who = figure_data.ids(begin, people[0]) if people else [""]
    values = begin.transpose(*people, "state").values.reshape(len(who), -1)
    starred = "p" in found
    if starred:
        low = found["p"].values.reshape(-1) <= 0.05
        who = [f"{name} *" if star else name for name, star in zip(who, low, strict=True)]
    heading = title if title is not None else _heading(values, starred)
    axes = ("Time [s]", labels.capital(people[0]) if people else "")
    if not np.isfinite(values).any():
        return theme.empty("nobody has a sample", heading, *axes)
    return _bars(values, end, who, heading, axes)


def _end(result: xr.Dataset) -> float:
    """The second after the last sample."""
    clock = Clock.of(result["state_at"].assign_attrs(result.attrs))
    return float(clock.axis_s[-1] + 1 / clock.rate_hz)


def _heading(values: F64, starred: bool) -> str:
    n, k = values.shape
    whom = f"{n} people" if n > 1 else ""
    note = "*: the boundaries of the others hold, p ≤ .05" if starred else ""
    return labels.title(f"{k} states in one order", whom, below=note)


def _bars(values: F64, end: float, who: list[str], heading: str, axes: tuple[str, str]) -> Any:
    hv = theme.backends()
    n, k = values.shape
    left = float(np.nanmin(values))
    drawn: list[Any] = []
    words = []
    for s in range(k):
        stop = values[:, s + 1] if s + 1 < k else np.full(n, end)
        boxes = [
            (values[i, s], n - 1 - i - 0.4, stop[i], n - 1 - i + 0.4)
            for i in range(n)
            if stop[i] > values[i, s]
        ]
        dims = [schema.TIME, "row", "stop", "top"]
        drawn.append(theme.filled(hv.Rectangles(boxes, dims), theme.CYCLE[s % 7]))
        words += [
            ((a + b) / 2, low + 0.4, str(s))
            for a, low, b, _ in boxes
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
