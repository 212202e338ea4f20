"""Histograms as bars: of frames, and of values in an interval, a row per person."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.ops.checks import listed, require_count, require_interval
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64

MOST_PANELS = 60
"""More panels than this are too small to be read."""


def values(
    x: xr.DataArray,
    *,
    subject: object = None,
    frames: Sequence[int] | int | None = None,
    interval: tuple[int, int] | None = None,
    bins: int = 30,
    title: str | None = None,
) -> Any:
    """Histograms of values, a row per person: of some frames, or of an interval of frames.

    Parameters
    ----------
    x
        Series ``([subject,] time[, feature])``. All features of a frame, or of the interval,
        are counted together, e.g. the pixels of a face.
    subject
        Person who is drawn; all by default.
    frames
        Frame numbers on the session's clock: a column for each.
    interval
        Half-open interval of frame numbers, ``(start, stop)``, instead of ``frames``: one
        column. By default all frames.
    bins
        Number of bins from the smallest to the largest value that is drawn.
    title
        Title; by default the feature and the bands.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of Histograms on shared axes.

    Raises
    ------
    UnknownNameError
        No such person or frame.
    ValueError
        Both ``frames`` and ``interval``; or more than 60 panels.

    Notes
    -----
    Memory: the values that are drawn. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> x = xr.DataArray(np.arange(50.0), dims="time", attrs={"sampling_rate": 25.0})
    >>> figure = plot.values(x, interval=(10, 20))
    """
    if frames is not None and interval is not None:
        raise ValueError(
            f"asked for frames={frames!r} and interval={interval!r}: give one of the two"
        )
    schema.require_dims(x, schema.TIME)
    n_bins = require_count("bins", bins)
    x = _people(x, subject)
    if frames is not None:
        rows, names = _at(x, frames)
        parts, columns = [x.isel({schema.TIME: k}) for k in rows], names
    else:
        parts, columns = [x.isel({schema.TIME: _within(x, interval)})], [""]
    found = [figure_data.loaded(p, "values").transpose(schema.SUBJECT, ...) for p in parts]
    counted = [p.values.reshape(p.sizes[schema.SUBJECT], -1).astype(np.float64) for p in found]
    low, high = figure_data.limits(np.concatenate([c.ravel() for c in counted]))
    edges = np.linspace(low, high, n_bins + 1)
    heights = np.stack([[np.histogram(v, edges)[0] for v in c] for c in counted], axis=1)
    named = figure_data.only_feature(x)
    axis = (labels.capital(named) or "Value") + labels.unit(x.attrs.get("units"))
    heading = title if title is not None else labels.title(
        "Histogram of values", named, labels.bands(x.attrs)
    )  # fmt: skip
    who = figure_data.ids(x)
    every = np.broadcast_to(edges, (len(who), edges.size))
    return _grid(heights.astype(np.float64), every, (who, columns), (axis, "Count"), heading)


def bars(
    emb: xr.DataArray,
    frames: Sequence[int] | int,
    subject: object,
    centred: bool,
    title: str | None,
    edges_of: Callable[[xr.DataArray], tuple[F64, F64]],
) -> Any:
    """Bin heights of some frames, a row per person; ``edges_of`` one person's bins."""
    x = _people(emb, subject)
    rows, columns = _at(x, frames)
    if centred:
        x = x - x.mean(schema.TIME)
    found = figure_data.loaded(x.isel({schema.TIME: rows}), "histograms")
    found = found.transpose(schema.SUBJECT, schema.TIME, schema.FEATURE)
    each = [edges_of(found.isel({schema.SUBJECT: k})) for k in range(len(found))]
    edges = np.stack([np.append(low, high[-1]) for low, high in each])
    top = [np.nanmax(e) if np.isfinite(e).any() else 0.0 for e in edges]
    for edge, end in zip(edges, top, strict=True):
        edge[~np.isfinite(edge)] = end  # bins that only others have are of no width
    heading = title if title is not None else labels.title(
        "Histograms less their mean" if centred else "Histograms", labels.bands(emb.attrs)
    )  # fmt: skip
    axis = "Temperature [°C]" if "bin_edges" in emb.coords else "Bin"
    heights = np.nan_to_num(found.values.astype(np.float64))
    who = figure_data.ids(x)
    return _grid(heights, edges, (who, columns), (axis, "Density [1/°C]"), heading)


def _people(x: xr.DataArray, subject: object) -> xr.DataArray:
    """``x`` with a dimension of people, and no session."""
    x = figure_data.one(x, schema.SESSION)
    if subject is not None:
        x = figure_data.one(x, schema.SUBJECT, subject)
    return x if schema.SUBJECT in x.dims else x.expand_dims(schema.SUBJECT)


def _at(x: xr.DataArray, frames: Sequence[int] | int) -> tuple[list[int], list[str]]:
    """Places and titles of frames by their numbers."""
    numbers = _numbers(x)
    wanted = [require_count("a frame", f, 0) for f in listed(frames)]
    if wrong := [f for f in wanted if f not in numbers]:
        raise UnknownNameError(
            f"no frame {wrong[0]}: there is {numbers.min():g} to {numbers.max():g}"
        )
    return [int(np.flatnonzero(numbers == f)[0]) for f in wanted], [
        f"frame {f}" for f in wanted
    ]


def _within(x: xr.DataArray, interval: tuple[int, int] | None) -> slice:
    if interval is None:
        return slice(None)
    start, stop = require_interval("interval", interval)
    numbers = _numbers(x)
    inside = np.flatnonzero((numbers >= start) & (numbers < stop))
    if not inside.size:
        raise UnknownNameError(
            f"no frame in [{start:g}, {stop:g}): there is {numbers.min():g} to "
            f"{numbers.max():g}"
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _numbers(x: xr.DataArray) -> F64:
    clock = Clock.of(x)
    known = schema.TIME in x.coords or schema.FRAME in x.coords
    return np.asarray(clock.frames if known else np.arange(clock.n), np.float64)


def _grid(
    heights: F64, edges: F64, names: tuple[list[str], list[str]], axes: tuple[str, str],
    heading: str,
) -> Any:  # fmt: skip
    """Panels ``(person, column, bin)`` on shared axes."""
    hv = theme.backends()
    people, columns = names
    if heights.shape[0] * heights.shape[1] > MOST_PANELS:
        raise ValueError(
            f"{heights.shape[0]} people at {heights.shape[1]} moments are more panels than "
            f"{MOST_PANELS}: choose fewer"
        )
    low, high = figure_data.limits(heights)
    low, high = min(0.0, 1.05 * low), 1.05 * high
    xlim = (float(edges.min()), float(edges.max()))
    panels = []
    for i, person in enumerate(people):
        for k, column in enumerate(columns):
            box = hv.Histogram((edges[i], heights[i, k]), kdims="value", vdims="height")
            box = theme.filled(box, theme.LINE)
            text = ", ".join(t for t in (f"subject {person}", column) if t)
            panels.append(
                theme.panel(
                    box,
                    bokeh={"frame_width": 180, "frame_height": 110},
                    mpl={"aspect": 1.6},
                    title=text,
                    xlabel=axes[0] if i == len(people) - 1 else "",
                    ylabel=axes[1] if k == 0 else "",
                    xlim=xlim,
                    ylim=(low, high),
                )
            )
    return theme.styled(
        hv.Layout(panels).cols(len(columns)),
        bokeh={"toolbar": "right", "fontsize": {"title": "14px"}},
        mpl={"fontsize": theme.PT, "sublabel_format": "", "vspace": 0.5},
        title=heading,
        shared_axes=True,
    )
