"""Lagged correlation: as a map, and at one lag; beside what chance gives."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import number_of_seconds
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.checks import require_positive
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot import spans as shades
from fhemb_xr.typing import F64, Bools


def lagged(
    correlation: xr.DataArray | xr.Dataset,
    *,
    null: xr.Dataset | None = None,
    limit: float | None = None,
    spans: Any = None,
    title: str | None = None,
) -> Any:
    """Correlation of two signals by window and lag, white where it is zero.

    Parameters
    ----------
    correlation
        Map of :func:`fhemb_xr.lagged_correlation`, ``(window, lag)``; other dimensions
        must have length one. Or the whole result of :func:`fhemb_xr.synchrony`: its map is
        drawn over its own null.
    null
        Result of :func:`fhemb_xr.synchrony` or :func:`fhemb_xr.isc`, with ``null_low`` and
        ``null_high``: a line runs round the cells outside this band.
    limit
        Colours run from ``-limit`` to ``limit``; by default to the largest magnitude shown.
    spans
        Scenes and other spans of time, marked at the left edge: a table of
        :func:`fhemb_xr.read_spans`, or a dict of label and ``(start, stop)`` [s].
    title
        Title; by default the people, the feature and the bands.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay: an Image of Pearson's r, a line at lag zero, and Segments round
        what is outside the null. A map without any value is a frame that says so.

    Raises
    ------
    SchemaError
        If another dimension has more than one entry.
    BudgetError
        If the map does not fit the budget.

    Notes
    -----
    Memory: the map. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> r = xr.DataArray(np.eye(3), dims=("window", "lag"), coords={"lag": [-1, 0, 1]})
    >>> figure = plot.lagged(r)
    """
    hv = theme.backends()
    correlation, null = _with_null(correlation, null)
    r = figure_data.require(correlation, "a lagged correlation", schema.WINDOW, schema.LAG)
    r = figure_data.loaded(r, "a lagged correlation")
    heading = title if title is not None else _heading(r, _note(null, "outlined"))
    long = f" of {float(r.attrs['window_s']):g} s" if "window_s" in r.attrs else ""
    xlabel, ylabel = "Lag [s]", f"Start of window{long} [s]"
    if not np.isfinite(r.values).any():
        text = "no value: the series are shorter than\nwindow and lag, or have no face"
        return theme.empty(text, heading, xlabel, ylabel)
    # where the windows know the session's clock, the axis agrees with that of the signals
    clock = _clock(r)
    starts, lags = _axis(r, clock), _axis(r, schema.LAG)
    left, right = figure_data.span(lags)
    bottom, top = figure_data.span(starts)
    clim = figure_data.symmetric(r.values) if limit is None else _limits(limit)
    image = hv.Image(
        r.values[::-1],  # the first row of an Image is its top
        bounds=(left, bottom, right, top),
        kdims=[
            hv.Dimension(schema.LAG, label=xlabel),
            hv.Dimension(schema.WINDOW, label=ylabel),
        ],
        vdims=[hv.Dimension("r")],
    )
    image = theme.panel(
        image,
        bokeh={"frame_width": 380, "frame_height": 340, "tools": ["hover"]},
        mpl={"fig_inches": (theme.COLUMN_IN, 3.0), "aspect": 1.15},
        **theme.coloured(theme.DIVERGING, clim, "Pearson r"),
    )
    drawn = [image]
    if null is not None:
        beyond = _beyond(r, null).values
        drawn.append(_outline(beyond, (left, right), (bottom, top)))
    if left < 0 < right:
        zero = hv.Curve([(0.0, bottom), (0.0, top)], schema.LAG, schema.WINDOW)
        drawn.append(theme.dashed(zero))
    marks = shades.within(spans, (bottom, top))
    drawn += shades.beside(marks, (left, right))
    margin = shades.MARGIN * (right - left) if marks else 0.0
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={},
        mpl={"fig_inches": (theme.COLUMN_IN, 3.0), "aspect": 1.15},
        title=heading,
        xlabel=xlabel,
        ylabel=ylabel,
        xlim=(left - margin, right),
        ylim=(bottom, top),
        show_legend=False,
    )


def lagged_at(
    correlation: xr.DataArray | xr.Dataset,
    lag_s: float = 0.0,
    *,
    null: xr.Dataset | None = None,
    title: str | None = None,
) -> Any:
    """Correlation of two signals at one lag, window after window, over its null band.

    Parameters
    ----------
    correlation
        Map of :func:`fhemb_xr.lagged_correlation`, ``(window, lag)``; or the whole result of
        :func:`fhemb_xr.synchrony`, as in :func:`lagged`. One more dimension, such as people,
        gives a curve each; more than eight are grey, with their median over them.
    lag_s
        Lag [s]; the nearest one of the map is drawn, and named.
    null
        As in :func:`lagged`, for one curve.
    title
        Title; by default the people, the feature and the bands.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Curves, over an Area where there is a null.

    Raises
    ------
    SchemaError
        If two other dimensions have more than one entry, or one has and there is a null.

    Notes
    -----
    Memory: the map. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> r = xr.DataArray(np.eye(3), dims=("window", "lag"), coords={"lag": [-1, 0, 1]})
    >>> figure = plot.lagged_at(r, 1)
    """
    hv = theme.backends()
    correlation, null = _with_null(correlation, null)
    many = _several(correlation) if null is None else []
    r = figure_data.require(
        correlation, "a lagged correlation", *many, schema.WINDOW, schema.LAG
    )
    place = _place(_axis(r, schema.LAG), lag_s)
    lag = float(_axis(r, schema.LAG)[place])
    row = figure_data.loaded(r.isel({schema.LAG: place}), "a lagged correlation")
    long = f" of {float(r.attrs['window_s']):g} s" if "window_s" in r.attrs else ""
    starts = _axis(row, _clock(row))
    drawn = []
    if null is not None:
        low, high = (b.isel({schema.LAG: place}) for b in _band(r, null))
        drawn.append(theme.band(starts, low.values, high.values, ["start", "r"]))
    zero = hv.Curve([(starts[0], 0.0), (starts[-1], 0.0)], "start", "r")
    drawn.append(theme.stroke(zero, (0.8, 0.6), theme.QUIET))
    lines = _lines(row, many)
    for label, values, colour in lines:
        line = hv.Curve((starts, values), "start", "r", label=label)
        drawn.append(theme.stroke(line, (1.3, 1.0), colour, tools=["hover"]))
    heading = title if title is not None else _heading(r, _note(null, "grey", inside=True))
    return theme.figure(
        drawn,
        heading,
        (f"Start of window{long} [s]", f"Pearson r at {lag:g} s"),
        px=(560, 200),
        inches=(theme.FULL_IN, 2.2),
        aspect=3.4,
        ylim=(-1, 1),
        xlim=figure_data.limits(starts),
        show_legend=any(label for label, _, _ in lines),
        legend_position="right",
    )


def _several(correlation: Any) -> list[str]:
    """The dimension with a curve for each entry, if there is one."""
    if not isinstance(correlation, xr.DataArray):
        return []
    own = (schema.WINDOW, schema.LAG)
    return [str(d) for d, n in correlation.sizes.items() if d not in own and n > 1][:1]


def _lines(row: xr.DataArray, many: list[str]) -> list[tuple[str, F64, str]]:
    """Curves with label and colour; many are grey under their median."""
    if not many:
        return [("", np.asarray(row.values), theme.LINE)]
    curves = np.asarray(row.values, np.float64)
    if len(curves) <= len(theme.CYCLE):
        names = [f"{many[0]} {name}" for name in figure_data.ids(row, many[0])]
        return list(zip(names, curves, theme.CYCLE, strict=False))
    seen = np.isfinite(curves).any(axis=0)
    middle = np.full(curves.shape[1], np.nan)
    middle[seen] = np.nanmedian(curves[:, seen], axis=0)
    grey = [("", curve, theme.MISSING) for curve in curves]
    return [*grey, (f"median of {len(curves)}", middle, theme.LINE)]


def _with_null(
    correlation: xr.DataArray | xr.Dataset, null: xr.Dataset | None
) -> tuple[xr.DataArray, xr.Dataset | None]:
    """The map of a result, and the null that the result brings."""
    if isinstance(correlation, xr.Dataset) and null is None and "null_low" in correlation:
        null = correlation
    return figure_data.variable(correlation, (schema.WINDOW, schema.LAG)), null


def _band(r: xr.DataArray, null: xr.Dataset) -> list[xr.DataArray]:
    """Lower and upper end of the null for every cell of ``r``."""
    schema_names = ("null_low", "null_high")
    if missing := [n for n in schema_names if n not in null]:
        raise SchemaError(
            f"a null has {schema_names}, found {sorted(map(str, null))}: {missing} missing; "
            "make it with fx.synchrony"
        )
    ends = null[list(schema_names)].squeeze(drop=True)
    extra = {d: n for d, n in ends.sizes.items() if d not in r.dims}
    if extra:
        raise SchemaError(f"the null has also {extra}: choose one of each with .sel(...)")
    ends = figure_data.loaded(ends, "a null").reset_coords(drop=True)  # both of one compute
    like = r.reset_coords(drop=True)
    return [ends[name].broadcast_like(like).transpose(*r.dims) for name in schema_names]


def _beyond(r: xr.DataArray, null: xr.Dataset) -> xr.DataArray:
    low, high = _band(r, null)
    plain = r.reset_coords(drop=True)
    return (plain < low) | (plain > high)


def _note(null: xr.Dataset | None, how: str, inside: bool = False) -> str:
    """``"outlined: outside 95 % of the null"``."""
    if null is None:
        return ""
    share = f"{100 * (1 - float(null.attrs.get('alpha', 0.05))):g} %"
    return f"{how}: {share} of the null" if inside else f"{how}: outside {share} of the null"


def _outline(inside: Bools, across: tuple[float, float], up: tuple[float, float]) -> Any:
    """A line round the cells that are in, rows upward; ``across`` and ``up`` are the edges."""
    rows, columns = inside.shape
    x = np.linspace(across[0], across[1], columns + 1)
    y = np.linspace(up[0], up[1], rows + 1)
    padded = np.pad(inside, 1)
    i, j = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([x[j], y[i], x[j], y[i + 1]], axis=1)
    i, j = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    level = np.stack([x[j], y[i], x[j + 1], y[i]], axis=1)
    ends = [schema.LAG, schema.WINDOW, "to_lag", "to_window"]
    segments = theme.backends().Segments(np.concatenate([upright, level]), kdims=ends)
    return theme.stroke(segments, (0.9, 0.5), theme.INK)


def _limits(limit: float) -> tuple[float, float]:
    """The ends of the colours, symmetric round 0."""
    end = require_positive("limit", limit)
    return -end, end


def _place(lags: F64, lag_s: float) -> int:
    """Where the lag that is nearest to ``lag_s`` is; refused beyond the map."""
    wanted = number_of_seconds("lag_s", lag_s)
    step = float(np.median(np.diff(lags))) if lags.size > 1 else np.inf
    if not lags.min() - step / 2 <= wanted <= lags.max() + step / 2:
        raise ValueError(
            f"lag_s lies on the map, from {lags.min():g} to {lags.max():g} s, found {lag_s!r}"
        )
    return int(np.abs(lags - wanted).argmin())


def _clock(r: xr.DataArray) -> str:
    """The coordinate of windows in seconds: the session's, unless that holds dates."""
    moments = r.coords.get(schema.TIME)
    known = moments is not None and moments.ndim and moments.dtype.kind in "iuf"
    return schema.TIME if known else schema.WINDOW


def _axis(x: xr.DataArray, dim: str) -> F64:
    found = x[dim].values if dim in x.coords else np.arange(x.sizes[dim])
    return np.asarray(found, dtype=np.float64)


def _heading(r: xr.DataArray, note: str = "") -> str:
    """Who and who, which feature, which bands."""
    pair = [r.coords.get(f"{schema.SUBJECT}_{i}") for i in (0, 1)]
    who = labels.name_of(r)
    if all(p is not None and p.ndim == 0 for p in pair):
        who = "subjects " + " and ".join(str(p.item()) for p in pair if p is not None)
    feature = r.coords.get(schema.FEATURE)
    return labels.title(
        "Lagged correlation",
        who,
        None if feature is None or feature.ndim else feature.item(),
        below="\n".join(t for t in (labels.bands(r.attrs), note) if t),
        columns=52,
    )
