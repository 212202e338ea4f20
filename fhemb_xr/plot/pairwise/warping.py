"""Two series and how warping links them."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.option_tables import WARPING
from fhemb_xr.ops.pairwise.metric_options import check_window, require_normalization
from fhemb_xr.ops.units import require_same, unit_of
from fhemb_xr.plot import figure_data, labels, signals, theme
from fhemb_xr.typing import F64, Ints

LOCAL = (
    "euclidean", "cityblock", "sqeuclidean", "chebyshev", "canberra", "braycurtis", "cosine",
)  # fmt: skip
MOST_LINKS = 120
"""More could not be told apart."""


def warping(
    a: xr.DataArray,
    b: xr.DataArray,
    *,
    window: float | None = None,
    normalize: str | tuple[float, float] = "none",
    local: str = "euclidean",
    title: str | None = None,
) -> Any:
    """Two series, one above the other, with links between the moments that warping joins.

    Parameters
    ----------
    a, b
        Series ``(time)``; other dimensions must have length one.
    window
        As in :func:`fhemb_xr.pairwise`: half-width of the Sakoe-Chiba band, in samples (int)
        or as a fraction of the longer series (float).
    normalize
        As in :func:`fhemb_xr.pairwise`, of each series.
    local
        Distance of two samples: ``"euclidean"``, or ``cityblock sqeuclidean chebyshev
        canberra braycurtis cosine`` of scipy, summed along the path; without a window then.
    title
        Title; by default the feature and the distance.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of two Curves, each about its own median, and Segments: at most 120
        of the links, at even steps along the path.

    Raises
    ------
    ValueError
        If a series misses a sample, or ``local`` has no distance of two of them.
    UnknownNameError
        No such normalization or distance (a ``KeyError``).
    BudgetError
        If a series, or the table of another ``local``, does not fit the budget.

    Notes
    -----
    Memory: 100 bytes per sample + 32 MiB; the table of a long pair is never held as a whole.
    Work: the cells of the band, twice for a long pair; use a window for a whole opera. Computes
    at call: one for each series, if lazy. A long curve is thinned to the smallest and largest
    sample of each of 2 000 intervals.

    References
    ----------
    - Hirschberg (1975), Commun. ACM 18, 341-343, doi:10.1145/360825.360861.
    - Sakoe & Chiba (1978), IEEE Trans. ASSP 26, 43-49, doi:10.1109/TASSP.1978.1163055.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> x = xr.DataArray(np.sin(np.arange(50) / 5), dims="time")
    >>> x.attrs["sampling_rate"] = 25.0
    >>> figure = plot.warping(x, x.roll(time=3))
    """
    normalize = require_normalization(normalize, a)
    local = require_choice("distance", local, LOCAL, synonyms.POINT_METRICS)
    WARPING.require_used(local, {"window": window})
    if normalize == "none":
        require_same(a, b, ("a", "b"))
    hv = theme.backends()
    both = [
        figure_data.loaded(figure_data.require(x, "warping", schema.TIME), "a series")
        for x in (a, b)
    ]
    values = [_ready(x, normalize) for x in both]
    clocks = [signals.seconds_of(x) for x in both]
    path, cost = _path(values, check_window(window), local)
    i, j = path.T
    above, below, step = _apart(values)
    some = np.unique(np.linspace(0, len(i) - 1, MOST_LINKS).round().astype(int))
    ends = [clocks[0][i[some]], above[i[some]], clocks[1][j[some]], below[j[some]]]
    links = hv.Segments(np.stack(ends, axis=1), kdims=["time", "value", "to", "onto"])
    drawn = [theme.stroke(links, (0.6, 0.4), theme.QUIET)]
    for t, v, colour in zip(clocks, (above, below), theme.CYCLE, strict=False):
        line = hv.Curve(signals.thinned(t, v), "time", "value")
        drawn.append(theme.stroke(line, (1.5, 1.1), colour))
    return _framed(drawn, both, step, cost, normalize, title)


def _path(values: list[F64], window: float | None, local: str) -> tuple[Ints, float]:
    """The best path, and its distance."""
    if local == LOCAL[0]:
        from fhemb_xr.kernels.dtw import paths

        path = paths.path(values[0][None], values[1][None], window=window)
        i, j = path.T
        return path, float(np.sqrt(((values[0][i] - values[1][j]) ** 2).sum()))
    from scipy.spatial.distance import cdist

    from fhemb_xr.kernels.dtw import cost_paths

    budget.check(24 * values[0].size * values[1].size, "the table of a pair", "draw less time")
    table = np.asarray(cdist(values[0][:, None], values[1][:, None], local), np.float64)
    if not np.isfinite(table).all():
        raise ValueError(
            f"{local!r} has no value for two samples of these series: choose another"
        )
    path = cost_paths.path(table)
    return path, float(table[path[:, 0], path[:, 1]].sum())


def _ready(x: xr.DataArray, normalize: Any) -> F64:
    values = np.asarray(x.values, np.float64)
    if missing := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"warping needs every sample, found {missing} of {values.size} missing: "
            "fill them with .interpolate_na('time')"
        )
    scaled, _ = metrics.prepared(values[None, None], normalize, "propagate", False, np.float64)
    return np.asarray(scaled[0, 0])


def _apart(values: list[F64]) -> tuple[F64, F64, float]:
    """The first about 1 and the second about 0 steps, and how much a step is."""
    centred = [v - np.median(v) for v in values]
    step = float(max(np.ptp(v) for v in centred)) * 1.1
    step = signals.round_up(step) if step > 0 else 1.0
    return centred[0] + step, centred[1], step


def _framed(
    drawn: Any, both: list[xr.DataArray], step: float, cost: float, normalize: Any, title: Any
) -> Any:
    names = [labels.capital_first(labels.name_of(x)) or f"Series {k}" for k, x in
             enumerate(both, 1)]  # fmt: skip
    feature = both[0].coords.get(schema.FEATURE)
    named = None if feature is None or feature.ndim else feature.item()
    units = labels.unit(unit_of(both[0], named)) if normalize == "none" else ""
    amount = f"{step:g} {units.strip(' []')}".strip()
    heading = title if title is not None else labels.title(
        "Warping", named, f"distance {cost:.3g}{units.replace('[', '').replace(']', '')}",
        below=labels.bands(both[0].attrs),
    )  # fmt: skip
    return theme.figure(
        drawn,
        heading,
        ("Time [s]", f"Series (step: {amount})"),
        px=(620, 240),
        inches=(theme.FULL_IN, 2.6),
        aspect=2.9,
        yticks=[(step, names[0]), (0.0, names[1])],
        show_legend=False,
    )
