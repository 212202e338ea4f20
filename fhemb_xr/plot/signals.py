"""Curves: features over time, a row per person."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot import spans as shades
from fhemb_xr.plot.signal_rows import Row, rows_of
from fhemb_xr.typing import F64, Bools

MOST_POINTS = 4000
"""Samples that one curve shows; a screen or a column of print has fewer pixels."""
MOST_ROWS = 8
"""More rows than this are drawn into one frame, one above the other."""


def signal(x: xr.DataArray, *, spans: Any = None, title: str | None = None) -> Any:
    """Features over time, a row per person, on shared axes.

    Curves with the same unit share a row, up to eight; features of different units have
    rows of their own. More than eight rows stand in one frame, one above the other. A long
    series is thinned to the extremes of 2 000 intervals: its envelope stays.

    Parameters
    ----------
    x
        ``(…, time)`` with any of ``subject``, ``session`` and one of ``feature``,
        ``component``, ``band``.
    spans
        Scenes and other spans of time that are drawn behind the curves: a table of
        :func:`fhemb_xr.read_spans`, or a dict of label and ``(start, stop)`` [s]. Spans of one
        person are drawn behind that person only.
    title
        Title; by default the feature and the bands of ``attrs["fhemb_bands"]``.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of Curves or Overlays; above eight rows one Overlay, whose rows are
        one Curve.

    Raises
    ------
    BudgetError
        If the series do not fit the budget.
    ValueError
        More than eight curves in a row, or several where rows share a frame.

    Notes
    -----
    Memory: the series. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> x = xr.DataArray(np.zeros((2, 50)), dims=("subject", "time"), attrs={"units": "degC"})
    >>> len(plot.signal(x.assign_attrs(sampling_rate=25.0)))
    2
    """
    schema.require_dims(x, schema.TIME)
    if pixels := {schema.Y, schema.X} & {*x.dims}:
        raise SchemaError(
            f"a heatmap has no one signal, found the pixels {sorted(pixels)}: draw a feature, "
            ".fhemb.embed('mean').fhemb.plot.signal(), or the film, .fhemb.plot.player()"
        )
    x = figure_data.loaded(x, "signals")
    seconds = seconds_of(x)
    rows = list(rows_of(x))
    heading = title if title is not None else _heading(x)
    if len(rows) > MOST_ROWS:
        return _stack(seconds, rows, heading, spans)
    return multiples(seconds, rows, heading, spans)


def seconds_of(x: xr.DataArray) -> F64:
    """Seconds of the frames: the coordinate, or from the sampling rate without one."""
    return Clock.of(x).axis_s


def _heading(x: xr.DataArray) -> str:
    named = ""
    if schema.FEATURE in x.coords and x[schema.FEATURE].size == 1:
        named = str(x[schema.FEATURE].values.reshape(-1)[0])
    return labels.title(
        labels.capital(named) or x.attrs.get("long_name"),
        labels.name_of(x),
        labels.bands(x.attrs),
    )


def thinned(t: F64, v: F64) -> tuple[F64, F64]:
    """The smallest and largest sample of each of 2 000 intervals, in the order of time."""
    size = -(-v.size // (MOST_POINTS // 2))
    if size <= 2:
        return t, v
    padded = np.concatenate([v, np.full(-v.size % size, np.nan)]).reshape(-1, size)
    low = np.where(np.isnan(padded), np.inf, padded).argmin(axis=1)
    high = np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1)
    keep = (
        np.sort(np.stack([low, high], axis=1), axis=1) + np.arange(len(padded))[:, None] * size
    )
    keep = np.minimum(keep.reshape(-1), v.size - 1)
    return t[keep], v[keep]


def _overlay(seconds: F64, row: Row, extent: tuple[float, float], behind: Sequence[Any]) -> Any:
    """The curves of a row, over grey where all of them are missing, over what is behind."""
    hv = theme.backends()
    if len(row.curves) > len(theme.CYCLE):
        raise ValueError(
            f"{len(row.curves)} curves in one row, at most {len(theme.CYCLE)} can be told "
            "apart: "
            "choose with .sel(feature=[...])"
        )
    several = len(row.curves) > 1
    drawn = []
    for i, (name, values) in enumerate(row.curves.items()):
        label = name if several else ""
        # where curves coincide, the lower ones show at both sides of the upper ones
        wider = min(len(row.curves) - 1 - i, 3)
        t, v = thinned(seconds, np.asarray(values, dtype=np.float64))
        drawn.append(_curve(t, v, row.quantity, theme.CYCLE[i], label, wider))
    gaps = _gaps(seconds, np.asarray(np.isnan(np.stack(list(row.curves.values()))).all(axis=0)))
    if gaps:
        low, high = extent
        drawn.insert(0, _grey([(start, low, stop, high) for start, stop in gaps], row.quantity))
    return hv.Overlay([*behind, *drawn])


def _grey(boxes: Sequence[tuple[float, ...]], quantity: str) -> Any:
    """Boxes ``(start, low, stop, high)`` of time without a value."""
    # named like the curves' axes, otherwise rows of different units would share limits
    edges = [schema.TIME, f"y_{quantity}", "gap_stop", f"gap_{quantity}"]
    return theme.filled(theme.backends().Rectangles(boxes, kdims=edges), theme.MISSING)


def _end_to_end(seconds: F64, series: F64) -> tuple[F64, F64]:
    """Series of one colour as one curve with a break behind each: one element draws quickly."""
    parts = [thinned(seconds, values) for values in series]
    t = np.concatenate([np.append(t, t[-1]) for t, _ in parts])
    return t, np.concatenate([np.append(v, np.nan) for _, v in parts])


def _curve(t: F64, v: F64, quantity: str, colour: str, label: str = "", wider: int = 0) -> Any:
    hv = theme.backends()
    time = hv.Dimension(schema.TIME, label="Time [s]")
    curve = hv.Curve((t, v), time, hv.Dimension(f"y_{quantity}", label=quantity), label=label)
    widths = (1.1 + 1.1 * wider, 0.8 + 0.8 * wider)
    return theme.stroke(curve, widths, colour, tools=["hover"])


def _gaps(seconds: F64, missing: Bools) -> list[tuple[float, float]]:
    """Intervals without a value, as ``(start, stop)`` in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    end = [*seconds, seconds[-1] + (seconds[-1] - seconds[0]) / max(seconds.size - 1, 1)]
    return [(float(end[a]), float(end[b])) for a, b in edges.reshape(-1, 2)[:MOST_POINTS]]


def multiples(seconds: F64, rows: Sequence[Row], heading: str, spans: Any = None) -> Any:
    """Rows one above the other, on one axis of time; those of one quantity on one scale."""
    hv = theme.backends()
    single = len(rows) == 1
    high = 2.0 if single else 1.1
    extent = {
        q: _extent([r for r in rows if r.quantity == q]) for q in {r.quantity for r in rows}
    }
    panels = []
    for i, row in enumerate(rows):
        last = i == len(rows) - 1
        behind = shades.shaded(
            shades.within(spans, (seconds[0], seconds[-1]), row.subject),
            extent[row.quantity],
            (schema.TIME, f"y_{row.quantity}"),
            named=i == 0,
        )
        # all rows share the time: only the last one carries its ticks
        shared = {
            "xlim": (float(seconds[0]), float(seconds[-1])),
            "ylim": extent[row.quantity],
            "xlabel": "Time [s]" if last else "",
            "ylabel": f"{row.label}\n{row.quantity}" if row.label else row.quantity,
            "xaxis": "bottom" if last else "bare",
            "yticks": 5 if single else 3,
            "title": heading if single else "",
        }
        if len(row.curves) > 1:
            first = row.quantity != rows[i - 1].quantity or i == 0
            shared |= {"show_legend": first, "legend_position": "right"}
        panels.append(
            theme.panel(
                _overlay(seconds, row, extent[row.quantity], behind),
                bokeh={"frame_width": 620, "frame_height": 190 if single else 100},
                mpl={
                    "fig_inches": (theme.FULL_IN, high),
                    "aspect": theme.FULL_IN / high * 0.85,
                },
                **shared,
            )
        )
    if single:
        return panels[0]
    return theme.styled(
        hv.Layout(panels).cols(1),
        bokeh={"toolbar": "right", "fontsize": {"title": "14px"}},
        mpl={
            "fig_inches": (theme.FULL_IN, high * len(rows) + 0.5),
            "fontsize": theme.PT,
            "sublabel_format": "",
            "vspace": 0.12,
        },
        title=heading,
        shared_axes=True,
    )


def _extent(rows: Sequence[Row]) -> tuple[float, float]:
    low, high = figure_data.limits(np.concatenate([v for r in rows for v in r.curves.values()]))
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _stack(seconds: F64, rows: Sequence[Row], heading: str, spans: Any) -> Any:
    """Many rows in one frame: each about its own median, one step apart, the first on top."""
    quantities = {r.quantity for r in rows}
    if len(quantities) > 1 or any(len(r.curves) > 1 for r in rows):
        raise ValueError(
            f"{len(rows)} rows of {sorted(quantities)}, more than {MOST_ROWS} share one frame "
            "and "
            "must be of one feature: choose with .sel(feature=...)"
        )
    series = np.stack([next(iter(r.curves.values())) for r in rows]).astype(np.float64)
    seen = np.isfinite(series).any(axis=1)
    spread, middle = np.zeros(len(rows)), np.zeros(len(rows))
    if seen.any():
        low, middle[seen], high = np.nanquantile(series[seen], [0.01, 0.5, 0.99], axis=1)
        spread[seen] = high - low
    step = round_up(0.6 * float(np.median(spread[seen])) if seen.any() else 1.0)
    base = -step * np.arange(len(rows), dtype=np.float64)
    placed = series + (base - middle)[:, None]
    curves = [_curve(*_end_to_end(seconds, placed), rows[0].quantity, theme.CYCLE[0])]
    gaps = [
        (start, b - 0.3 * step, stop, b + 0.3 * step)
        for v, b in zip(series, base, strict=True)
        for start, stop in _gaps(seconds, np.isnan(v))
    ]
    if gaps:
        curves.insert(0, _grey(gaps, rows[0].quantity))
    limits = (float(base[-1]) - step, step)
    behind = _scenes(spans, seconds, rows, base, step)
    units = rows[0].quantity.partition(" [")[2].rstrip("]")
    names = [r.label.removeprefix("Subject ") for r in rows]
    high_in = 0.6 + 0.16 * len(rows)
    return theme.figure(
        [*behind, *curves],
        heading,
        ("Time [s]", f"Subject (step: {f'{step:g} {units}'.strip()})"),
        px=(620, 16 * len(rows) + 30),
        inches=(theme.FULL_IN, high_in),
        aspect=theme.FULL_IN / high_in,
        xlim=(float(seconds[0]), float(seconds[-1])),
        ylim=limits,
        yticks=list(zip(base.tolist(), names, strict=True)),
        show_legend=False,
    )


def _scenes(spans: Any, seconds: F64, rows: Sequence[Row], base: F64, step: float) -> list[Any]:
    """Spans behind many rows: over all of them, and over the row of one person."""
    extent, dims = (seconds[0], seconds[-1]), (schema.TIME, f"y_{rows[0].quantity}")
    whole = (float(base[-1]) - step, step)
    drawn = shades.shaded(shades.within(spans, extent), whole, dims, named=True)
    for row, middle in zip(rows, base, strict=True):
        own = [s for s in shades.within(spans, extent, row.subject) if s.personal]
        heights = (middle - step / 2, middle + step / 2)
        drawn += shades.shaded(own, heights, dims, named=True)
    return drawn


def round_up(value: float) -> float:
    """Up to 1, 2 or 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9)) * power)
