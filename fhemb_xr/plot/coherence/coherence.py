"""Wavelet coherence of two people by time and period."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64

_COLUMNS = 1000
"""Columns of a map at most: a long series is averaged."""


def coherence(
    result: xr.Dataset, first: object = None, second: object = None, *, title: str | None = None
) -> Any:
    """Wavelet coherence of two people by time and period, short periods on top.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.wavelet_coherence`.
    first, second
        The two people, in either order; by default the first pair.
    title
        Instead of the people and how the phase is read.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of an Image and a line, if the result has clusters round those with
        a p of .05 or less, or if it has the threshold of noise round what exceeds it. Grey: the
        cone of an end or a gap. The title says who leads, and by which share of a period, where
        the mean over time is highest; periods of which the cones leave less than half of the
        moments do not count.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.wavelet_coherence``, or another dimension has more than
        one entry.
    UnknownNameError
        No such pair (a ``KeyError``).
    BudgetError
        If the map does not fit the budget.

    Notes
    -----
    Memory: the map of one pair. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> t = np.arange(600) / 5
    >>> waves = [np.sin(2 * np.pi * (t - late) / 8) for late in (0, 1)]
    >>> x = xr.DataArray(waves, dims=("subject", "time"), coords={"time": t})
    >>> figure = fx.wavelet_coherence(x, periods_s=(4, 16)).fhemb.plot.coherence()
    """
    if missing := {"coherence", "phase"} - {*map(str, result)}:
        raise SchemaError(
            f"need {sorted(missing)}, found {sorted(map(str, result))}: make it with "
            "fx.wavelet_coherence"
        )
    names = [n for n in ("coherence", "phase", "threshold", "p_cluster") if n in result]
    chosen, who = _of_pair(figure_data.one(result[names], schema.SESSION), first, second)
    dims = {n: figure_data.require(chosen[n], "coherence", "period", schema.TIME)
            for n in names[:2]}  # fmt: skip
    found = figure_data.loaded(chosen.assign(dims), "coherence")
    values = found["coherence"].values.astype(np.float64)
    heading = title if title is not None else _heading(found, who)
    axes = ("Time [s]", "Period [s]")
    if not np.isfinite(values).any():
        return theme.empty("no moment outside the cones of ends and gaps", heading, *axes)
    return _map(found, values, heading, axes)


def _of_pair(
    x: xr.Dataset, first: object, second: object
) -> tuple[xr.Dataset, tuple[str, ...]]:
    """One pair, and the names of the two."""
    ends = sorted(str(c) for c in x.coords if str(c)[-2:] in ("_0", "_1"))
    if (first is None) != (second is None):
        raise ValueError(f"a pair is of two people, found {first!r} and {second!r}: give both")
    place = 0
    if first is not None:
        there = [tuple(np.atleast_1d(x[c].values).tolist()) for c in ends]
        known = list(zip(*there, strict=True))
        fitting = [i for i, pair in enumerate(known) if {*pair} == {first, second}]
        if not fitting:
            raise UnknownNameError(
                f"no pair of {first!r} and {second!r} among {len(known)}: there is "
                f"{', '.join(f'{a!r} and {b!r}' for a, b in known[:5])}"
            )
        place = fitting[0]
    if "pair" in x.dims:
        if not x.sizes["pair"]:
            raise SchemaError("nothing is left along 'pair' to draw: select more")
        x = x.isel(pair=place)
    return x, tuple(str(x[c].item()) for c in ends)


def _heading(found: xr.Dataset, who: tuple[str, ...]) -> str:
    """The people, the period where they cohere most, and by how much who leads at it."""
    seen = found["coherence"].values
    periods = found["period"].values.astype(np.float64)
    moments = np.isfinite(seen).sum(axis=1)
    known = moments > moments.max() / 2  # a mean of few moments is high by chance
    people = " and ".join(who)
    if not moments.any():
        return labels.title("Wavelet coherence", people)
    means = np.full(len(periods), -1.0)
    means[known] = np.nanmean(seen[known], axis=1)
    best = int(means.argmax())
    phase = found["phase"].values[best]
    turn = np.angle(np.nanmean(seen[best] * np.exp(1j * phase)))
    first, second = who if len(who) == 2 else ("the first", "the second")
    leads = f"{first} leads {second}" if turn >= 0 else f"{second} leads {first}"
    most = f"most at {periods[best]:.3g} s (mean {means[best]:.2f}), where {leads}"
    noise = "; outlined: more than noise has" if "threshold" in found else ""
    if "p_cluster" in found:
        noise = "; outlined: clusters with p ≤ .05"
    return labels.title(
        "Wavelet coherence",
        people,
        below=f"{most} by {abs(turn) / (2 * np.pi):.2g} of it{noise}",
    )


def _map(found: xr.Dataset, values: F64, heading: str, axes: tuple[str, str]) -> Any:
    hv = theme.backends()
    moments = Clock.of(found["coherence"].assign_attrs(found.attrs)).axis_s
    seconds, values = _averaged(moments, values)
    octaves = np.log2(found["period"].values.astype(np.float64))
    left, right = figure_data.span(seconds)
    top, bottom = figure_data.span(octaves)
    image = hv.Image(
        values[::-1],  # the first row of an Image is its top, which has the largest octave
        bounds=(left, top, right, bottom),
        kdims=[hv.Dimension(schema.TIME, label=axes[0]), hv.Dimension("octave", label=axes[1])],
        vdims=[hv.Dimension("coherence")],
    )
    image = theme.panel(  # in print, the bar is placed by the size of the map itself
        image,
        bokeh={"frame_width": 560, "frame_height": 260, "tools": ["hover"]},
        mpl={"fig_inches": (theme.FULL_IN, 2.8), "aspect": 2.4},
        **theme.coloured(theme.DISTANCE, (0.0, 1.0), "Coherence (squared)"),
    )
    drawn = [image]
    if "threshold" in found:
        over = values - found["threshold"].values[:, None]
        drawn.append(_outline(seconds, octaves, over))
    if "p_cluster" in found:
        p = found["p_cluster"].transpose("period", schema.TIME).values
        low = _averaged(moments, np.where(p <= 0.05, 1.0, -1.0))[1]
        drawn.append(_outline(seconds, octaves, low))
    ticks = np.arange(np.ceil(octaves.min() - 1e-9), np.floor(octaves.max() + 1e-9) + 1)
    return theme.figure(
        drawn,
        heading,
        axes,
        px=(560, 260),
        inches=(theme.FULL_IN, 2.8),
        aspect=2.4,
        xlim=(left, right),
        ylim=(bottom, top),
        yticks=[(float(t), f"{2.0**t:g}") for t in ticks],
        show_legend=False,
    )


def _outline(seconds: F64, octaves: F64, excess: F64) -> Any:
    """A line where the excess passes 0."""
    from contourpy import contour_generator

    hv = theme.backends()
    over = np.ma.masked_invalid(excess)
    enough = min(over.shape) > 1
    lines: Any = contour_generator(seconds, octaves, over).lines(0.0) if enough else []
    return theme.stroke(
        hv.Path([np.asarray(line) for line in lines], [schema.TIME, "octave"]),
        (1.2, 0.8),
        theme.INK,
    )


def _averaged(seconds: F64, values: F64) -> tuple[F64, F64]:
    """Neighbouring columns averaged; one with a missing moment is missing."""
    size = -(-len(seconds) // _COLUMNS)
    n = len(seconds) // size
    cut = values[:, : n * size].reshape(len(values), n, size).mean(axis=2)
    return seconds[: n * size].reshape(n, size).mean(axis=1), cut
