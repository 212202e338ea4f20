"""Histograms of every frame, as a map over time, or as bars of some frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.option_tables import FRAMES
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.frames import value_histograms
from fhemb_xr.typing import F64


def histogram(
    emb: xr.DataArray,
    *,
    subject: object = None,
    frames: Sequence[int] | int | None = None,
    centred: bool = False,
    title: str | None = None,
) -> Any:
    """Histograms of every frame, side by side in time; or of some frames, as bars.

    Parameters
    ----------
    emb
        An embedding with features ``bh0…`` and, where it has them, their edges in the
        coordinate ``bin_edges`` [°C].
    subject
        Person whose histograms are drawn; the first by default, with ``frames`` all.
    frames
        Frame numbers on the session's clock: bars, a row per person, a column per frame.
    centred
        Whether each bin's mean over time is subtracted from the bars.
    title
        Title; by default the subject and the bands.

    Returns
    -------
    HoloViews object
        A HoloViews Image of density over time and temperature (or number of the bin); with
        ``frames`` a Layout of Histograms.

    Raises
    ------
    SchemaError
        If the embedding has no feature ``bh…``.
    UnknownNameError
        No such person or frame.
    ValueError
        ``centred`` without ``frames``.
    BudgetError
        If the histograms do not fit the budget.

    Notes
    -----
    Memory: the histograms of one subject. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> emb = xr.DataArray(
    ...     np.ones((5, 2)), dims=("time", "feature"), coords={"feature": ["bh0", "bh1"]}
    ... )
    >>> figure = plot.histogram(emb.assign_attrs(sampling_rate=25.0))
    """
    hv = theme.backends()
    FRAMES.require_used(frames is not None, {"centred": centred})
    if frames is not None:
        return value_histograms.bars(_bars(emb), frames, subject, centred, title, _edges)
    bars = _bars(figure_data.one(figure_data.one(emb, schema.SUBJECT, subject), schema.SESSION))
    bars = figure_data.loaded(
        figure_data.require(bars, "a histogram", schema.FEATURE, schema.TIME), "histograms"
    )
    low, high = _edges(bars)
    keep = np.isfinite(low) & np.isfinite(high)  # bins that only others have are NaN
    values, low, high = bars.values[keep], low[keep], high[keep]
    seconds = Clock.of(bars).axis_s
    left, right = figure_data.span(seconds)
    ylabel = "Temperature [°C]" if "bin_edges" in bars.coords else "Bin"
    limits = (
        figure_data.symmetric(values)
        if np.nanmin(values, initial=0) < 0
        else (0.0, figure_data.limits(values)[1])
    )
    image = hv.Image(
        values[::-1],
        bounds=(left, float(low[0]), right, float(high[-1])),
        kdims=[
            hv.Dimension(schema.TIME, label="Time [s]"),
            hv.Dimension("celsius", label=ylabel),
        ],
        vdims=[hv.Dimension("density", label="Density [1/°C]")],
    )
    heading = (
        title
        if title is not None
        else labels.title("Histogram", labels.name_of(bars), labels.bands(emb.attrs))
    )
    cmap = theme.DIVERGING if limits[0] < 0 else theme.DISTANCE
    return theme.figure(
        image,
        heading,
        ("Time [s]", ylabel),
        px=(560, 240),
        inches=(theme.FULL_IN, 2.6),
        aspect=2.6,
        bokeh={"tools": ["hover"]},
        **theme.coloured(cmap, limits, "Density [1/°C]"),
    )


def _bars(emb: xr.DataArray) -> xr.DataArray:
    schema.require_dims(emb, schema.FEATURE, schema.TIME)
    names = [
        n for n in figure_data.ids(emb, schema.FEATURE) if n[:2] == "bh" and n[2:].isdigit()
    ]
    if not names:
        raise SchemaError(
            f"no histogram among the features {figure_data.ids(emb, schema.FEATURE)[:8]}: "
            "ask for ('bh0', 'bh19') in embed"
        )
    return emb.sel({schema.FEATURE: names})


def _edges(bars: xr.DataArray) -> tuple[F64, F64]:
    """Lower and upper edge of each bin; their numbers where the embedding has no edges."""
    n = bars.sizes[schema.FEATURE]
    if "bin_edges" not in bars.coords:
        number = np.arange(n, dtype=np.float64)
        return number - 0.5, number + 0.5
    lower = np.asarray(bars["bin_edges"].values, dtype=np.float64).reshape(-1)
    if "bin_upper" in bars.coords:
        return lower, np.asarray(bars["bin_upper"].values, dtype=np.float64).reshape(-1)
    width = float(lower[1] - lower[0]) if n > 1 else 1.0
    return lower, lower + width
