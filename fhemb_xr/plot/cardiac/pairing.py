"""Whose face a heart belongs to: the candidates in each window."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme

CANDIDATE, HEART = "candidate", "heart"


def pair(result: xr.Dataset, heart: object = None, *, title: str | None = None) -> Any:
    """Probability of each candidate in each window, with a dot on the likeliest.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.pair`.
    heart
        Heart, where the result has several; the first by default.
    title
        Instead of the heart and the share of windows of the candidate who is likeliest in most.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of an Image and Points: windows from left to right, a row per
        candidate. Grey: the face or the trace is missing.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.pair``, or another dimension has more than one entry.
    UnknownNameError
        No such heart (a ``KeyError``).

    Notes
    -----
    Memory: the probabilities. Computes at call: one, if lazy. Probabilities of ``"blind"`` are
    too close to 0 and 1: look at the order only.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.hearts(n_persons=2, clips=1, snr_db=0)
    >>> out = ds.fhemb.pair(ds.trace.sel(subject=1, drop=True), candidates=[0, 1])
    >>> figure = out.fhemb.plot.pair()
    """
    hv = theme.backends()
    if "probability" not in result:
        raise SchemaError(
            f"need 'probability', found {sorted(map(str, result))}: make it with fx.pair"
        )
    chances = figure_data.one(result["probability"], HEART, heart)
    chances = figure_data.one(chances, schema.SESSION)
    who = str(chances[HEART].item()) if HEART in chances.coords else ""
    chances = figure_data.require(chances, "a pairing", schema.WINDOW, CANDIDATE)
    found = figure_data.loaded(chances, "probabilities")
    names = figure_data.ids(found, CANDIDATE)
    values = found.values.T
    known = np.isfinite(values).all(axis=0)
    best = np.where(known, np.nan_to_num(values, nan=-1.0).argmax(axis=0), -1)
    heading = (
        title
        if title is not None
        else _heading(who, names, best, result.attrs.get("pairing_method"))
    )
    labelled = ("Start of window [s]", "Candidate")
    if not known.any():
        return theme.empty("no window has both a face and a trace", heading, *labelled)
    starts = found[schema.WINDOW].values if schema.WINDOW in found.coords else None
    starts = np.arange(found.sizes[schema.WINDOW]) if starts is None else starts
    left, right = figure_data.span(np.asarray(starts, np.float64), _step(result))
    image = hv.Image(
        values[::-1],
        bounds=(left, -0.5, right, len(names) - 0.5),
        kdims=["window", "row"],
        vdims=[hv.Dimension("probability", label="Probability")],
    )
    at = np.flatnonzero(best >= 0)
    dots = hv.Points((np.asarray(starts)[at], best[at]), ["window", "row"])
    marked = theme.styled(
        dots,
        bokeh={"size": 6, "line_color": "#ffffff"},
        mpl={"s": 9, "edgecolor": "#ffffff", "linewidth": 0.4},
        color=theme.CYCLE[1],
    )
    high = 0.22 * len(names) + 1.0
    painted = theme.panel(  # in print, the bar is placed by the size of the map itself
        image,
        bokeh={"tools": ["hover"]},
        mpl={"fig_inches": (theme.FULL_IN, high), "aspect": theme.FULL_IN / high},
        **theme.coloured(theme.DISTANCE, (0.0, 1.0), "Probability"),
    )
    return theme.figure(
        [painted, marked],
        heading,
        labelled,
        px=(560, 22 * len(names) + 20),
        inches=(theme.FULL_IN, high),
        aspect=theme.FULL_IN / high,
        xlim=(left, right),
        ylim=(-0.5, len(names) - 0.5),
        yticks=[(i, name) for i, name in enumerate(names)],
        show_legend=False,
    )


def _step(result: xr.Dataset) -> float | None:
    step = result.attrs.get("window_s")
    return None if step is None else float(step)


def _heading(who: str, names: list[str], best: Any, method: Any) -> str:
    """The heart, and who is likeliest in most windows."""
    seen = best[best >= 0]
    note = ""
    if seen.size:
        most = int(np.bincount(seen).argmax())
        share = int((seen == most).sum())
        note = f"dots: the likeliest; {names[most]} in {share} of {seen.size} windows"
    heart = f"heart of subject {who}" if who else ""
    return labels.title("Whose face", heart, f"method: {method}" if method else "", below=note)
