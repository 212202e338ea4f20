"""Recurrence: its profile of lags, and its measures window by window."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.checks import listed, require_choice
from fhemb_xr.plot import curves, figure_data, labels, theme

MEASURES = {
    "RR": "Recurrence rate",
    "DET": "Determinism",
    "L": "Mean line [s]",
    "Lmax": "Longest line [s]",
    "ENTR": "Entropy [nat]",
    "LAM": "Laminarity",
    "TT": "Trapping time [s]",
}


def recurrence(
    result: xr.Dataset,
    measures: Sequence[str] | str | None = None,
    *,
    alpha: float = 0.05,
    title: str | None = None,
) -> Any:
    """The profile of lags of a recurrence analysis, or its measures window by window.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.recurrence`; one dimension beside windows and lags may have
        several entries, e.g. people.
    measures
        Measures that are drawn by window, e.g. ``["DET", "LAM"]``. By default the profile, or
        DET, L, LAM and TT of a result that has none.
    alpha
        Lags with a ``p_profile`` of at most ``alpha`` get a dot.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of the profiles, or a Layout with a row per measure. Above eight
        curves they are grey under their median.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.recurrence``, it has neither a profile nor windows, or two
        other dimensions have more than one entry.
    ValueError
        If ``alpha`` is no share.
    UnknownNameError
        No such measure (a ``KeyError``).

    Notes
    -----
    Memory: what is drawn. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(400) / 25
    >>> a = xr.DataArray(np.sin(2 * np.pi * t / (3 + t / 9)), dims="time", coords={"time": t})
    >>> b = a.copy(data=np.roll(a, 10))
    >>> figure = fx.recurrence(a, b, rate=0.05, max_lag_s=1).fhemb.plot.recurrence()
    """
    if absent := {"RR", "DET"} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(absent)}, found {sorted(map(str, result))}: make it with "
            "fx.recurrence"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, found {alpha!r}")
    if measures is None and "profile" in result:
        return _profile(result, alpha, title)
    if schema.WINDOW not in result.dims:
        raise SchemaError(
            "a figure of measures runs over windows, found one value of each: give "
            "fx.recurrence window_s=, or max_lag_s= for a profile of lags"
        )
    asked = ("DET", "L", "LAM", "TT") if measures is None else listed(measures)
    names = [require_choice("measures", m, tuple(MEASURES)) for m in asked]
    return _measures(result, names, title)


def _profile(result: xr.Dataset, alpha: float, title: str | None) -> Any:
    names = [n for n in ("profile", "p_profile") if n in result]
    found = figure_data.loaded(result[names], "recurrence")
    rows, texts = figure_data.rows(found, "a profile of lags", schema.LAG)
    texts = [f"{t} s" if t.startswith(schema.WINDOW) else t for t in texts]
    lags = rows[schema.LAG].values.astype(np.float64)
    values = rows["profile"].values.astype(np.float64)
    sure = rows["p_profile"].values <= alpha if "p_profile" in rows else None
    note = "" if sure is None else f"dots: p ≤ {alpha:g} for all lags together"
    heading = title if title is not None else labels.title(
        "Recurrences by lag", texts[0] if len(texts) == 1 else "", below=note
    )  # fmt: skip
    axes = ("Lag [s]", "Share of recurrences")
    if not np.isfinite(values).any():
        return theme.empty("no value: the series are missing", heading, *axes)
    hv = theme.backends()
    low, high = figure_data.limits(values)
    room = 0.05 * (high - low)
    zero = hv.Curve([(0.0, low - room), (0.0, high + room)], schema.LAG, "value")
    drawn = curves.lines(lags, values, texts, [schema.LAG, "value"], sure)
    return theme.figure(
        [theme.dashed(zero), *drawn],
        heading,
        axes,
        px=(560, 220),
        inches=(theme.FULL_IN, 2.4),
        aspect=3.0,
        xlim=figure_data.span(lags),
        ylim=(low - room, high + room),
        show_legend=1 < len(texts) <= len(theme.CYCLE),
        legend_position="right",
    )


def _measures(result: xr.Dataset, names: list[str], title: str | None) -> Any:
    found = figure_data.loaded(result[names], "recurrence")
    rows, texts = figure_data.rows(found, "a course of measures", schema.WINDOW)
    heading = title if title is not None else labels.title(
        "Recurrence by window", texts[0] if len(texts) == 1 else ""
    )  # fmt: skip
    starts = rows[schema.WINDOW].values.astype(np.float64)
    panels = [
        curves.row(
            starts, rows[name].values.astype(np.float64), texts,
            (schema.WINDOW, f"value_{name}"), MEASURES[name],
            across="Start of window [s]" if name == names[-1] else "",
            legend=name == names[0],
        )
        for name in names
    ]  # fmt: skip
    return curves.layout(panels, heading)
