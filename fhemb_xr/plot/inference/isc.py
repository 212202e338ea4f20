"""Inter-subject correlation: over time, or person by person, beside its null."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.inference import tested
from fhemb_xr.typing import F64, Bools

_AXES = ["start", "r"]


def isc(
    result: xr.Dataset,
    *,
    correction: str = "p_fdr",
    alpha: float | None = None,
    title: str | None = None,
) -> Any:
    """Inter-subject correlation over time and its null band, with dots where it is significant.

    Without windows: a row per person or pair, with the null band of each.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.isc`, or of :func:`fhemb_xr.synchrony` with ``"isc"``. Other
        dimensions than people and windows must have length one.
    correction
        p-value that marks what is significant: ``"p_fdr"``, ``"p_fwer"`` or ``"p"``.
    alpha
        Level of significance; by default that of the result.
    title
        Instead of what is shown.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay. Above eight curves they are grey under their median, and the band
        is the median of their bands.

    Raises
    ------
    SchemaError
        If it is no such result, or another dimension has more than one entry.
    UnknownNameError
        No such correction (a ``KeyError``).

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.random.default_rng(0).normal(size=(3, 400)), dims=("subject", "time")
    ... )
    >>> x = x.assign_attrs(sampling_rate=10.0)
    >>> figure = fx.isc(x, window_s=20, null="linear").fhemb.plot.isc()
    """
    hv = theme.backends()
    alpha = tested.level(result, alpha)
    rows = _rows(result)
    sure, words = tested.significant(rows, correction, alpha)
    value = tested.value_of(rows, "fx.isc")
    share = f"{100 * (1 - float(result.attrs.get('alpha', 0.05))):g} %"
    grey = f"grey: {share} of the null" if "null_low" in rows else ""
    note = "; ".join(t for t in (grey, f"dots: {words}" if words else "") if t)
    way = {"leave_one_out": "each with the others", "pairwise": "in pairs"}
    heading = title if title is not None else labels.title(
        "Inter-subject correlation", way.get(str(result.attrs.get("how")), ""),
        labels.bands(value.attrs), below=note, columns=76,
    )  # fmt: skip
    if not np.isfinite(value.values).any():
        return theme.empty("no value: one person, or nothing moves", heading, "Start", "ISC")
    marks = np.zeros(value.shape, bool) if sure is None else sure.values
    if schema.WINDOW not in value.dims:
        return _people(rows, value, marks, heading)
    clock = schema.TIME if schema.TIME in value.coords else schema.WINDOW
    starts = value[clock].values.astype(np.float64)
    long = f" of {float(value.attrs['window_s']):g} s" if "window_s" in value.attrs else ""
    return theme.panel(
        hv.Overlay(_curves(rows, value, marks, starts)),
        bokeh={"frame_width": 560, "frame_height": 220},
        mpl={"fig_inches": (theme.FULL_IN, 2.4), "aspect": 3.0},
        title=heading,
        xlabel=f"Start of window{long} [s]",
        ylabel="Correlation (r)",
        xlim=figure_data.span(starts),
        show_legend=1 < value.sizes["row"] <= len(theme.CYCLE),
        legend_position="right",
    )


def _rows(result: xr.Dataset) -> xr.Dataset:
    """The result in memory, by ``row``, a person or a pair, and window."""
    value = tested.value_of(result, "fx.isc")
    names = [n for n in (*tested.VALUES, *tested.CORRECTIONS, "null_low", "null_high")
             if n in result]  # fmt: skip
    found = figure_data.loaded(result[names], "inter-subject correlation")
    pair = sorted(str(d) for d in found.dims if str(d)[-2:] in ("_0", "_1"))
    found = found.squeeze(
        [d for d in found.dims if found.sizes[d] == 1 and d not in (schema.WINDOW, *pair)]
    )
    dims = [str(d) for d in found.dims if d != schema.WINDOW and d not in pair]
    if len(dims) > (not pair) or len(pair) == 1:
        raise SchemaError(
            f"inter-subject correlation is drawn by people and windows, found "
            f"{dict(value.sizes)}: choose one of each other dimension with .sel(...)"
        )
    if pair:
        found, texts = _pairs(found, pair)
    elif dims:
        texts = [f"{dims[0]} {name}" for name in figure_data.ids(found, dims[0])]
        found = found.rename({dims[0]: "row"})
    else:
        texts = [labels.name_of(found)]
        found = found.expand_dims("row")
    found = found.drop_vars("row", errors="ignore").assign_coords(row=texts)
    return found.transpose("row", ...).assign_attrs(result.attrs)


def _pairs(found: xr.Dataset, pair: list[str]) -> tuple[xr.Dataset, list[str]]:
    """Pairs of two people along ``row``, each once, and their names."""
    first, second = (figure_data.ids(found, d) for d in pair)
    i, j = np.nonzero([[a != b for b in second] for a in first])
    if first == second:
        i, j = np.triu_indices(len(first), 1)
    places = (xr.DataArray(n, dims="row") for n in (i, j))
    texts = [f"{first[a]} and {second[b]}" for a, b in zip(i, j, strict=True)]
    return found.isel(dict(zip(pair, places, strict=True))), texts


def _curves(rows: xr.Dataset, value: xr.DataArray, marks: Bools, starts: F64) -> list[Any]:
    """Band of the null, zero, a line per row, dots."""
    hv = theme.backends()
    drawn: list[Any] = []
    if "null_low" in rows:
        low, high = (_middle(rows[n].values) for n in ("null_low", "null_high"))
        drawn.append(theme.band(starts, low, high, _AXES))
    zero = hv.Curve([(starts[0], 0.0), (starts[-1], 0.0)], *_AXES)
    thin = {"bokeh": {"line_width": 0.8}, "mpl": {"linewidth": 0.6}}
    drawn.append(theme.styled(zero, **thin, color=theme.QUIET))
    many = value.sizes["row"] > len(theme.CYCLE)
    lines = [(str(n), v, theme.QUIET if many else c) for n, v, c in
             zip(value["row"].values, value.values, theme.CYCLE * value.sizes["row"],
                 strict=False)]  # fmt: skip
    if many:
        lines.append((f"median of {len(lines)}", _middle(value.values), theme.LINE))
        marks = np.concatenate([marks, np.zeros((1, starts.size), bool)])
    for (name, values, colour), sure in zip(lines, marks, strict=True):
        quiet = colour == theme.QUIET
        line = hv.Curve((starts, values), *_AXES, label="" if quiet else name)
        drawn.append(
            theme.styled(
                line,
                bokeh={
                    "line_width": 0.7 if quiet else 1.4,
                    "tools": [] if quiet else ["hover"],
                },
                mpl={"linewidth": 0.4 if quiet else 1.0},
                color=colour,
            )
        )
        if sure.any():
            dots = hv.Scatter((starts[sure], values[sure]), *_AXES)
            drawn.append(
                theme.styled(
                    dots,
                    bokeh={"size": 3 if quiet else 5},
                    mpl={"s": 4 if quiet else 9},
                    color=theme.INK if quiet else colour,
                )
            )
    return drawn


def _middle(values: F64) -> F64:
    """Median over the rows that have a value."""
    seen = np.isfinite(values).any(axis=0)
    out = np.full(values.shape[1:], np.nan)
    out[seen] = np.nanmedian(values[:, seen], axis=0)
    return out


def _people(rows: xr.Dataset, value: xr.DataArray, marks: Bools, heading: str) -> Any:
    """A row per person or pair, the first on top: its null band, and its value."""
    hv = theme.backends()
    n = value.sizes["row"]
    places = np.arange(n)[::-1].astype(np.float64)
    names = [str(t).removeprefix(f"{schema.SUBJECT} ") for t in value["row"].values]
    drawn: list[Any] = []
    if "null_low" in rows:
        low, high = rows["null_low"].values, rows["null_high"].values
        boxes = np.stack([low, places - 0.36, high, places + 0.36], axis=1)[np.isfinite(low)]
        grey = hv.Rectangles(boxes, kdims=["r", "row", "to", "above"])
        drawn.append(
            theme.styled(
                grey,
                bokeh={"line_color": None, "fill_color": theme.MISSING},
                mpl={"linewidth": 0, "facecolor": theme.MISSING},
            )
        )
    zero = hv.Curve([(0.0, -0.6), (0.0, n - 0.4)], "r", "row")
    thin = {"bokeh": {"line_width": 0.8}, "mpl": {"linewidth": 0.6}}
    drawn.append(theme.styled(zero, **thin, color=theme.QUIET))
    for which, colour in ((~marks, theme.QUIET), (marks, theme.LINE)):
        dots = hv.Scatter((value.values[which], places[which]), "r", "row")
        drawn.append(
            theme.styled(
                dots, bokeh={"size": 7, "tools": ["hover"]}, mpl={"s": 16}, color=colour
            )
        )
    high_in = min(8.0, 0.8 + 0.16 * n)
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={"frame_width": 400, "frame_height": 18 * n + 40},
        mpl={"fig_inches": (theme.COLUMN_IN + 1, high_in), "aspect": 3.2 / (high_in - 0.5)},
        title=heading.replace("dots:", "blue:"),
        xlabel="Correlation (r)",
        ylabel="",
        yticks=list(zip(places.tolist(), names, strict=True)),
        ylim=(-0.6, n - 0.4),
        show_legend=False,
    )
