"""Inter-subject correlation of groups with intervals, and their difference over its null."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.inference import tested
from fhemb_xr.typing import F64

_NEEDED = ("isc", "low", "high", "difference", "difference_low", "difference_high", "p", "null")


def group_isc(result: xr.Dataset, *, summary: str = "mean", title: str | None = None) -> Any:
    """Inter-subject correlation of each group, and the difference over its null.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.group_isc`; other dimensions must have length one.
    summary
        ``"mean"`` or ``"median"`` of the pairs.
    title
        Instead of what is compared, and p.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay, a row per group, the difference at the bottom: a dot, a line for
        the bootstrap interval, grey for the null of the difference.

    Raises
    ------
    SchemaError
        If it is no such result, or another dimension has more than one entry.
    UnknownNameError
        No such summary (a ``KeyError``).

    Notes
    -----
    Memory: the result. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     np.random.default_rng(0).normal(size=(6, 200)), dims=("subject", "time")
    ... )
    >>> result = fx.group_isc(x, n=49, seed=0)
    >>> figure = result.fhemb.plot.group_isc()
    """
    hv = theme.backends()
    if missing := [n for n in _NEEDED if n not in result]:
        raise SchemaError(
            f"need {missing}, found {sorted(map(str, result))}: make it with fx.group_isc"
        )
    found = figure_data.loaded(result[list(_NEEDED)], "groups")
    found = figure_data.one(found, "summary", summary)
    many = {d: n for d, n in found.sizes.items() if n > 1 and d not in ("group", "permutation")}
    if many:
        raise SchemaError(f"groups are drawn of one each, found {many}: choose with .sel(...)")
    found = found.squeeze([d for d in found.dims if d not in ("group", "permutation")])
    names, middle, low, high = _groups(found)
    heading = title if title is not None else labels.title(
        f"{summary.capitalize()} inter-subject correlation", str(result.attrs.get("by", "")),
        tested.number(float(found["p"])),
        below="line: bootstrap interval; grey: null of the lowest row", columns=60,
    )  # fmt: skip
    if not np.isfinite(middle).any():
        return theme.empty("no value: too few people", heading, "Correlation (r)", "")
    places = np.arange(len(names))[::-1].astype(np.float64)
    ends = np.stack([low, places, high, places], axis=1)[np.isfinite(low)]
    bars = hv.Segments(ends, kdims=["r", "row", "to", "same"])
    dots = hv.Scatter((middle, places), "r", "row")
    zero = hv.Curve([(0.0, -0.6), (0.0, len(names) - 0.4)], "r", "row")
    thin = {"bokeh": {"line_width": 0.8}, "mpl": {"linewidth": 0.6}}
    drawn = [
        *_null(found["null"].values, float(result.attrs.get("alpha", 0.05))),
        theme.styled(zero, **thin, color=theme.QUIET),
        theme.styled(bars, bokeh={"line_width": 2.4}, mpl={"linewidth": 1.6}, color=theme.LINE),
        theme.styled(
            dots, bokeh={"size": 8, "tools": ["hover"]}, mpl={"s": 22}, color=theme.LINE
        ),
    ]
    tall = 0.7 + 0.3 * len(names)
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={"frame_width": 400, "frame_height": 30 * len(names) + 30},
        mpl={"fig_inches": (theme.COLUMN_IN + 1, tall), "aspect": 3.2 / (tall - 0.5)},
        title=heading,
        xlabel="Correlation (r)",
        ylabel="",
        yticks=list(zip(places.tolist(), names, strict=True)),
        ylim=(-0.6, len(names) - 0.4),
        show_legend=False,
    )


def _groups(found: xr.Dataset) -> tuple[list[str], F64, F64, F64]:
    """Names, values and ends of the rows: the groups, then their difference."""
    if "group" not in found.dims:
        alone = [np.atleast_1d(found[n].values) for n in ("isc", "low", "high")]
        return ["all"], alone[0], alone[1], alone[2]
    names = [*figure_data.ids(found, "group")]
    parts = (("isc", "difference"), ("low", "difference_low"), ("high", "difference_high"))
    values = [np.append(found[a].values, found[b].values) for a, b in parts]
    return [*names, f"{names[0]} − {names[1]}"], values[0], values[1], values[2]


def _null(null: F64, alpha: float) -> list[Any]:
    """Grey over ``1 - alpha`` of the null, in the lowest row."""
    seen = null[np.isfinite(null)]
    if not seen.size:
        return []
    low, high = np.quantile(seen, [alpha / 2, 1 - alpha / 2], method="weibull")
    box = theme.backends().Rectangles(
        [(low, -0.36, high, 0.36)], kdims=["r", "row", "to", "above"]
    )
    return [
        theme.styled(
            box,
            bokeh={"line_color": None, "fill_color": theme.MISSING},
            mpl={"linewidth": 0, "facecolor": theme.MISSING},
        )
    ]
