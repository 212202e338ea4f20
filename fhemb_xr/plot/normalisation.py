"""What each policy of normalisation does to a stream."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.ops.streams.normalisation import POLICIES, normalise
from fhemb_xr.ops.streams.splits import Streams, of_part, pooled
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import F64, Ints

MOST_ROWS, MOST_FRAMES = 24, 4000
"""Quantities that are drawn, and frames that they are drawn from, both evenly chosen."""
_TITLES = {"none": "As it is", "minmax": "Min-max", "standard": "Standard"}


def normalisation(streams: Streams, stream: str) -> Any:
    """Ranges of the quantities of a stream under each policy, side by side.

    Each quantity has a thin line from its smallest to its largest value, a thick line over the
    middle 90 %, and a dot at the median. The title says how alike neighbouring frames are.
    Quantities on different scales become comparable; an embedding loses its geometry.

    Parameters
    ----------
    streams
        Streams of :func:`fhemb_xr.open_streams`, not yet normalised.
    stream
        Name of the stream.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of three panels.

    Raises
    ------
    UnknownNameError
        No such stream.
    BudgetError
        If what is drawn is too much to load.

    Notes
    -----
    Memory: 4 000 frames of the stream. Computes at call: one, if lazy.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> len(fx.plot.normalisation(fx.testing.streams(n_frames=100), "head"))
    3
    """
    hv = theme.backends()
    x = pooled(of_part(streams, None), stream)
    every = max(1, x.sizes[schema.FRAME] // MOST_FRAMES)
    x = figure_data.loaded(x.isel(frame=slice(None, None, every)), f"the stream {stream!r}")
    x.attrs[schema.POLICY] = "none"
    names, rows = _rows(x)
    panels = []
    for i, policy in enumerate(POLICIES):
        done = normalise(x.to_dataset(name=stream), {stream: policy}, part=None)[stream]
        values = done.values.reshape(len(done), -1).astype(np.float64)
        panels.append(_panel(values, rows, names, policy, x.attrs.get("units"), first=i == 0))
    return theme.styled(
        hv.Layout(panels).cols(3),
        bokeh={"toolbar": "right"},
        mpl={"fig_inches": (theme.FULL_IN, 1.3 + 0.13 * len(rows)), "fontsize": theme.PT,
             "sublabel_format": "", "hspace": 0.15},
        title=labels.title(f"Normalisation of {stream}", f"{x.sizes[schema.FRAME]} frames"),
        shared_axes=False,
    )  # fmt: skip


def _rows(x: xr.DataArray) -> tuple[list[str], Ints]:
    """Names and columns of the quantities that are drawn, evenly chosen, the first on top."""
    own = [d for d in x.dims if d != schema.FRAME]
    labels = [
        [str(v) for v in (x[d].values if d in x.coords else np.arange(x.sizes[d]))] for d in own
    ]
    names = [" ".join(str(labels[k][j]) for k, j in enumerate(at))
             for at in np.ndindex(*(x.sizes[d] for d in own))]  # fmt: skip
    chosen = np.unique(np.linspace(0, len(names) - 1, MOST_ROWS).round().astype(np.int64))
    return [names[i] for i in chosen], chosen


def _panel(
    values: F64,
    rows: Ints,
    names: list[str],
    policy: str,
    units: object,
    *,
    first: bool,
) -> Any:
    hv = theme.backends()
    with np.errstate(invalid="ignore"):
        ends = np.nanquantile(values[:, rows], [0, 0.05, 0.5, 0.95, 1], axis=0)
    at = -np.arange(len(rows), dtype=float)
    unit = labels.unit(units) if policy == "none" else ""
    axes = ["value", "quantity", "value_1", "quantity_1"]
    whole = hv.Segments((ends[0], at, ends[4], at), axes)
    middle = hv.Segments((ends[1], at, ends[3], at), axes)
    dots = hv.Scatter((ends[2], at), "value", "quantity")
    for element, bokeh, mpl in (
        (whole, {"line_width": 1}, {"linewidth": 0.7}),
        (middle, {"line_width": 4}, {"linewidth": 2.6}),
        (dots, {"size": 5}, {"s": 9}),
    ):
        colour = theme.INK if element is dots else theme.LINE
        theme.styled(element, bokeh=bokeh, mpl=mpl, color=colour)
    like = _likeness(values)
    return theme.panel(
        whole * middle * dots,
        bokeh={"frame_width": 200, "frame_height": 60 + 14 * len(rows)},
        mpl={"aspect": 0.45 + 6 / len(rows)},
        title=f"{_TITLES[policy]}\nlikeness {like:.4f}",
        xlabel=f"Value{unit}",
        ylabel="",
        xticks=4,
        yticks=list(zip(at.tolist(), names if first else [""] * len(names), strict=True)),
        ylim=(at[-1] - 0.7, 0.7),
    )


def _likeness(values: F64) -> float:
    """Mean cosine of neighbouring frames."""
    size = np.linalg.norm(values, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (values[1:] * values[:-1]).sum(1) / (size[1:] * size[:-1])
    return float(np.nanmean(cosine)) if np.isfinite(cosine).any() else float("nan")
