"""Breathing and pulse: the wave, its rate and its quality over time."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import curves, figure_data, labels, theme
from fhemb_xr.typing import F64


def respiration(result: xr.Dataset, subject: object = None, *, title: str | None = None) -> Any:
    """Wave, rate and quality of breathing or of the pulse of one person.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.respiration` or :func:`fhemb_xr.pulse`.
    subject
        Person who is drawn; the first by default. Several regions are curves.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of three rows: the wave, the rate at the middle of each window, which
        is left out where noise would do, and the quality.

    Raises
    ------
    SchemaError
        If it is not such a result.
    UnknownNameError
        A subject that is not there.

    Notes
    -----
    Memory: the series of one person. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(3000) / 10
    >>> nose = xr.DataArray(np.sin(1.5 * t), dims="time", coords={"time": t})
    >>> figure = fx.respiration(nose).fhemb.plot.respiration()
    """
    names = ["wave", "rate", "quality"]
    if absent := {*names} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(absent)}, found {sorted(map(str, result))}: make it with "
            "fx.respiration or fx.pulse"
        )
    chosen = figure_data.one(figure_data.one(result[names], schema.SUBJECT, subject),
                             schema.SESSION)  # fmt: skip
    found = figure_data.loaded(chosen, "a wave")
    rows, texts = figure_data.rows(found, "a wave", schema.TIME, schema.WINDOW)
    texts = [t.removeprefix(f"{schema.FEATURE} ") for t in texts]
    seconds = Clock.of(found["wave"]).axis_s
    starts = rows[schema.WINDOW].values.astype(np.float64)
    middles = seconds[0] + starts + float(result.attrs.get("window_s", 0.0)) / 2
    what = str(result.attrs.get("of", "rate"))
    heading = title if title is not None else labels.title(
        labels.capital_first(what), labels.name_of(found)
    )  # fmt: skip
    if not np.isfinite(rows["wave"].values).any():
        return theme.empty("no value: the series is missing", heading, "Time [s]", "Wave")
    unit = labels.unit(found["wave"].attrs.get("units")).strip()
    per = "breaths/min" if what == "breathing" else "1/min"
    span = figure_data.span(seconds)
    drawn = (
        ("wave", f"Wave\n{unit}", seconds),
        ("rate", f"Rate\n[{per}]", middles),
        ("quality", "Quality", middles),
    )
    panels = [_row(rows[n].values.astype(np.float64), at, texts, (n, label), span)
              for n, label, at in drawn]  # fmt: skip
    return curves.layout(panels, heading)


def _row(
    values: F64, at: F64, texts: list[str], named: tuple[str, str], span: tuple[float, float]
) -> Any:
    """One row; windows are dots, since those beside one may have no value."""
    name, label = named
    low, high = figure_data.limits(values)
    room = 0.05 * (high - low)
    marks = None if name == "wave" else np.isfinite(values)
    legend = {"legend_position": "top", "legend_cols": len(theme.CYCLE)}
    shown = name == "wave" and 1 < len(texts) <= len(theme.CYCLE)
    return curves.frame(
        curves.lines(at, values, texts, [schema.TIME, f"value_{name}"], marks),
        ("Time [s]" if name == "quality" else "", label),
        xlim=span, ylim=(low - room, high + room),
        xaxis="bottom" if name == "quality" else "bare", show_legend=shown,
        **(legend if shown else {}),
    )  # fmt: skip
