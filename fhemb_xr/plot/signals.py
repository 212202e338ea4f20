"""Curves: features over time, distributions of pixels, explained variance."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.plot import theme

MOST_POINTS = 4000
"""Samples that one curve shows; a screen or a column of print has fewer pixels."""
MOST_ROWS = 12
"""More rows than this are drawn into one frame, one above the other."""
_CURVES = (schema.FEATURE, schema.COMPONENT, schema.BAND)


@dataclass(frozen=True)
class _Row:
    label: str
    quantity: str
    curves: dict[str, NDArray[np.float64]]


def signal(x: xr.DataArray, *, title: str | None = None) -> Any:
    """Features over time, a row per person, on shared axes.

    Curves with the same unit share a row, up to eight; features of different units have
    rows of their own. More than twelve rows stand in one frame, one above the other. A long
    series is thinned to the extremes of 2 000 intervals: its envelope stays.

    Parameters
    ----------
    x
        ``(…, time)`` with any of ``subject``, ``session`` and one of ``feature``,
        ``component``, ``band``.
    title
        Instead of the feature and the bands of ``attrs["fhemb_bands"]``.

    Returns
    -------
    A HoloViews Layout of Curves or Overlays; above twelve rows one Overlay.

    Raises
    ------
    BudgetError
        If the series do not fit the budget.
    ValueError
        More than eight curves in a row, or several where rows share a frame.

    Notes
    -----
    Memory: the series. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> x = xr.DataArray(np.zeros((2, 50)), dims=("subject", "time"), attrs={"units": "degC"})
    >>> len(plot.signal(x))
    2
    """
    schema.require_dims(x, schema.TIME)
    x = theme.loaded(x, "signals")
    seconds = _seconds(x)
    rows = list(_rows(x))
    heading = title if title is not None else _heading(x)
    if len(rows) > MOST_ROWS:
        return _stack(seconds, rows, heading)
    return _multiples(seconds, rows, heading)


def _seconds(x: xr.DataArray) -> NDArray[np.float64]:
    if schema.TIME in x.coords:
        return np.asarray(x[schema.TIME].values, dtype=np.float64)
    return np.arange(x.sizes[schema.TIME]) / schema.sampling_rate(x)


def _heading(x: xr.DataArray) -> str:
    named = ""
    if schema.FEATURE in x.coords and x[schema.FEATURE].size == 1:
        named = str(x[schema.FEATURE].values.reshape(-1)[0])
    return theme.title(theme.capital(named) or x.attrs.get("long_name"), theme.name_of(x), theme.bands(x.attrs))


def _rows(x: xr.DataArray) -> Iterator[_Row]:
    """Rows of curves: units outside, people inside, so that people stand together."""
    dim = next((d for d in _CURVES if d in x.dims), None)
    outer = [str(d) for d in x.dims if d not in (schema.TIME, dim)]
    whole = x.transpose(*outer, *([dim] if dim else []), schema.TIME)
    values = whole.values if dim else whole.values[..., None, :]
    for quantity, names in _by_unit(x, dim).items():
        for position in itertools.product(*(range(x.sizes[d]) for d in outer)):
            curves = {name: values[*position, i] for i, name in names}
            yield _Row(_place(x, outer, position), quantity, curves)


def _place(x: xr.DataArray, dims: Sequence[str], position: Sequence[int]) -> str:
    """``"Subject 65"``, with the session where there are several."""
    shown = [d for d in dims if x.sizes[d] > 1 or d == schema.SUBJECT]
    return " · ".join(f"{d.capitalize()} {theme.ids(x, d)[position[dims.index(d)]]}" for d in shown)


def _by_unit(x: xr.DataArray, dim: str | None) -> dict[str, list[tuple[int, str]]]:
    """Which curves share a row: ``{"Temperature [°C]": [(0, "p5"), …]}``."""
    if dim is None:
        feature = x.coords[schema.FEATURE].item() if schema.FEATURE in x.coords else None
        return {_quantity([feature] if feature else [], theme.units_of(x, feature)): [(0, "")]}
    names = theme.ids(x, dim)
    if dim != schema.FEATURE:
        shown = [f"PC {n}" if dim == schema.COMPONENT else f"band {n}" for n in names]
        return {_quantity([], theme.units_of(x)): list(enumerate(shown))}
    groups: dict[str, list[tuple[int, str]]] = {}
    for i, name in enumerate(names):
        units = theme.units_of(x, name)
        # without a unit two features are two scales: skewness and entropy share no axis
        groups.setdefault(units if theme.unit(units) else f"!{name}", []).append((i, name))
    return {_quantity([n for _, n in g], k.partition("!")[0]): g for k, g in groups.items()}


def _quantity(names: Sequence[Any], units: str) -> str:
    if len(names) == 1:
        return f"{theme.capital(names[0])}{theme.unit(units)}"
    return ("Temperature" if units == "degC" else "Value") + theme.unit(units)


def _thin(t: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and largest sample of each of 2 000 intervals, in the order of time."""
    size = -(-v.size // (MOST_POINTS // 2))
    if size <= 2:
        return t, v
    padded = np.concatenate([v, np.full(-v.size % size, np.nan)]).reshape(-1, size)
    low = np.where(np.isnan(padded), np.inf, padded).argmin(axis=1)
    high = np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1)
    keep = np.sort(np.stack([low, high], axis=1), axis=1) + np.arange(len(padded))[:, None] * size
    keep = np.minimum(keep.reshape(-1), v.size - 1)
    return t[keep], v[keep]


def _overlay(
    seconds: NDArray[np.float64], row: _Row, extent: tuple[float, float]
) -> Any:
    """The curves of a row, over grey where all of them are missing."""
    hv = theme.backends()
    if len(row.curves) > len(theme.CYCLE):
        raise ValueError(
            f"{len(row.curves)} curves in one row, at most {len(theme.CYCLE)} can be told apart: "
            "choose with .sel(feature=[...])"
        )
    several = len(row.curves) > 1
    drawn = []
    for (name, values), colour in zip(row.curves.items(), theme.CYCLE, strict=False):
        drawn.append(_curve(seconds, values, row.quantity, colour, name if several else ""))
    gaps = _gaps(seconds, np.isnan(np.stack(list(row.curves.values()))).all(axis=0))
    if gaps:
        low, high = extent
        # named as the curves' axes are, else rows of different units would share limits
        edges = [schema.TIME, f"y_{row.quantity}", "gap_stop", f"gap_{row.quantity}"]
        grey = hv.Rectangles([(start, low, stop, high) for start, stop in gaps], kdims=edges)
        drawn.insert(
            0,
            theme.styled(
                grey,
                bokeh={"line_color": None, "fill_color": theme.MISSING},
                mpl={"linewidth": 0, "facecolor": theme.MISSING},
            ),
        )
    return hv.Overlay(drawn)


def _curve(seconds: Any, values: Any, quantity: str, colour: str, label: str = "") -> Any:
    hv = theme.backends()
    t, v = _thin(seconds, np.asarray(values, dtype=np.float64))
    time = hv.Dimension(schema.TIME, label="Time [s]")
    curve = hv.Curve((t, v), time, hv.Dimension(f"y_{quantity}", label=quantity), label=label)
    return theme.styled(
        curve,
        bokeh={"line_width": 1.1, "tools": ["hover"]},
        mpl={"linewidth": 0.8},
        color=colour,
    )


def _gaps(seconds: NDArray[np.float64], missing: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Intervals without a value, as ``(start, stop)`` in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    end = [*seconds, seconds[-1] + (seconds[-1] - seconds[0]) / max(seconds.size - 1, 1)]
    return [(float(end[a]), float(end[b])) for a, b in edges.reshape(-1, 2)[:MOST_POINTS]]


def _multiples(seconds: NDArray[np.float64], rows: Sequence[_Row], heading: str) -> Any:
    hv = theme.backends()
    single = len(rows) == 1
    high = 2.0 if single else 1.1
    extent = {q: _extent([r for r in rows if r.quantity == q]) for q in {r.quantity for r in rows}}
    panels = []
    for i, row in enumerate(rows):
        last = i == len(rows) - 1
        # a row of a figure names its axis; only the last carries the ticks of the time that all share
        shared = {
            "xlim": (float(seconds[0]), float(seconds[-1])),
            "ylim": extent[row.quantity],
            "xlabel": "Time [s]" if last else "",
            "ylabel": f"{row.label}\n{row.quantity}" if row.label else row.quantity,
            "xaxis": "bottom" if last else "bare",
            "yticks": 5 if single else 3,
            "title": heading if single else "",
        }
        if len(row.curves) > 1:
            first = row.quantity != rows[i - 1].quantity or i == 0
            shared |= {"show_legend": first, "legend_position": "right"}
        panels.append(
            theme.panel(
                _overlay(seconds, row, extent[row.quantity]),
                bokeh={"frame_width": 620, "frame_height": 190 if single else 100},
                mpl={"fig_inches": (theme.FULL_IN, high), "aspect": theme.FULL_IN / high * 0.85},
                **shared,
            )
        )
    if single:
        return panels[0]
    return theme.styled(
        hv.Layout(panels).cols(1),
        bokeh={"toolbar": "right", "fontsize": {"title": "14px"}},
        mpl={
            "fig_inches": (theme.FULL_IN, high * len(rows) + 0.5),
            "fontsize": theme.PT,
            "sublabel_format": "",
            "vspace": 0.12,
        },
        title=heading,
        shared_axes=True,
    )


def _extent(rows: Sequence[_Row]) -> tuple[float, float]:
    low, high = theme.limits(np.concatenate([v for r in rows for v in r.curves.values()]))
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _stack(seconds: NDArray[np.float64], rows: Sequence[_Row], heading: str) -> Any:
    """Many rows in one frame: each about its own median, one step apart, the first on top."""
    quantities = {r.quantity for r in rows}
    if len(quantities) > 1 or any(len(r.curves) > 1 for r in rows):
        raise ValueError(
            f"{len(rows)} rows of {sorted(quantities)}, more than {MOST_ROWS} share one frame and "
            "must be of one feature: choose with .sel(feature=...)"
        )
    hv = theme.backends()
    series = np.stack([next(iter(r.curves.values())) for r in rows]).astype(np.float64)
    seen = np.isfinite(series).any(axis=1)
    spread, middle = np.zeros(len(rows)), np.zeros(len(rows))
    if seen.any():
        low, middle[seen], high = np.nanquantile(series[seen], [0.01, 0.5, 0.99], axis=1)
        spread[seen] = high - low
    step = _round(0.6 * float(np.median(spread[seen])) if seen.any() else 1.0)
    base = -step * np.arange(len(rows))
    curves = [
        _curve(seconds, v - m + b, rows[0].quantity, theme.CYCLE[0])
        for v, m, b in zip(series, middle, base, strict=True)
    ]
    units = rows[0].quantity.partition(" [")[2].rstrip("]")
    names = [r.label.removeprefix("Subject ") for r in rows]
    high_in = 0.6 + 0.16 * len(rows)
    return theme.panel(
        hv.Overlay(curves),
        bokeh={"frame_width": 620, "frame_height": 16 * len(rows) + 30},
        mpl={"fig_inches": (theme.FULL_IN, high_in), "aspect": theme.FULL_IN / high_in},
        title=heading,
        xlabel="Time [s]",
        ylabel=f"Subject (step: {f'{step:g} {units}'.strip()})",
        xlim=(float(seconds[0]), float(seconds[-1])),
        ylim=(float(base[-1]) - step, step),
        yticks=list(zip(base.tolist(), names, strict=True)),
        show_legend=False,
    )


def _round(value: float) -> float:
    """Up to 1, 2 or 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9)) * power)


def scree(basis: xr.Dataset, subject: object = None) -> Any:
    """Share of the variance that each eigenface explains, and the sum so far.

    Parameters
    ----------
    basis
        A basis of :func:`fhemb_xr.pca`, with ``explained_variance_ratio``.
    subject
        Whose, where the basis has several; the first by default.

    Returns
    -------
    A HoloViews Overlay of two Curves with markers.

    Notes
    -----
    Memory: the ratios. Computes at call: one, if lazy.

    Examples
    --------
    >>> import xarray as xr
    >>> from fhemb_xr import plot
    >>> basis = xr.Dataset({"explained_variance_ratio": ("component", [0.6, 0.3])})
    >>> len(plot.scree(basis))
    4
    """
    hv = theme.backends()
    whole = basis[["explained_variance_ratio"]]
    whole = theme.one(theme.one(whole, schema.SUBJECT, subject), schema.SESSION)
    shares = 100 * theme.loaded(whole, "explained variance")["explained_variance_ratio"]
    number = np.arange(1, shares.size + 1)
    drawn = []
    for values, label, colour in (
        (np.cumsum(shares.values), "sum so far", theme.CYCLE[1]),
        (shares.values, "one component", theme.CYCLE[0]),
    ):
        line = hv.Curve((number, values), "component", "share", label=label)
        dots = hv.Scatter((number, values), "component", "share", label=label)
        drawn.append(theme.styled(line, bokeh={"line_width": 1.1}, mpl={"linewidth": 0.8}, color=colour))
        drawn.append(theme.styled(dots, bokeh={"size": 5, "tools": ["hover"]}, mpl={"s": 10}, color=colour))
    step = max(1, -(-shares.size // 10))
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={"frame_width": 300, "frame_height": 220},
        mpl={"fig_inches": (theme.COLUMN_IN, 2.6), "aspect": 1.35},
        title=theme.title("Explained variance", theme.name_of(shares), columns=44),
        xlabel="Number of components",
        ylabel="Variance explained [%]",
        xticks=number[::step].tolist(),
        xlim=(0.5, shares.size + 0.5),
        ylim=(0, 104),
        legend_position="right",
    )


def pdf(
    heat: xr.DataArray,
    seconds: float | Sequence[float],
    *,
    subject: object = None,
    bins: int = 30,
    bw_method: str | float = "scott",
) -> Any:
    """Distribution of a face's temperatures at one or more moments.

    A histogram of density one, and over it a Gaussian kernel density estimate on 200 points
    between the coldest and the hottest pixel. The legend gives skewness, excess kurtosis
    (both biased) and the entropy of the histogram of 30 bins in nats.

    Parameters
    ----------
    heat
        Heatmap ``(…, time, y, x)`` [°C].
    seconds
        The moments [s], on the session's clock; the nearest frame is taken.
    subject
        Whose face; the first by default.
    bins
        Number of bins of the histogram.
    bw_method
        Bandwidth of the estimate, as :class:`scipy.stats.gaussian_kde`; the original library
        used ``1``, which is smoother.

    Returns
    -------
    A HoloViews Overlay of Histograms and Curves.

    Raises
    ------
    UnknownNameError
        A subject that is not there, or a moment outside the recording.

    Notes
    -----
    Memory: the frames asked for. Computes at call: one, if lazy.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=1, seconds=2)
    >>> figure = fx.plot.pdf(fx.mask(ds.heatmap, 25), [0.5, 1.5])
    """
    hv = theme.backends()
    moments = [float(s) for s in np.atleast_1d(np.asarray(seconds, dtype=np.float64))]
    if len(moments) > len(theme.CYCLE):
        raise ValueError(f"asked for {len(moments)} moments, at most {len(theme.CYCLE)} can be told apart")
    face = theme.one(theme.one(heat, schema.SUBJECT, subject), schema.SESSION)
    face = theme.require(face, "a distribution", schema.TIME, schema.Y, schema.X)
    face = theme.loaded(_at(face, moments), "distributions")
    drawn = []
    for k, (frame, colour) in enumerate(zip(face.values, theme.CYCLE, strict=False)):
        second = float(_seconds(face)[k]) if schema.TIME in face.coords else moments[k]
        drawn += _density(frame[np.isfinite(frame)].astype(np.float64), second, colour, bins, bw_method)
    heading = theme.title("Face temperatures", theme.name_of(face), columns=60)
    if not drawn:
        return theme.empty("no pixel at these moments", heading, "Temperature [°C]", "Density [1/°C]")
    return theme.panel(
        hv.Overlay(drawn),
        bokeh={"frame_width": 560, "frame_height": 240},
        mpl={
            "fig_inches": (5.0, 3.2),
            "aspect": 1.6,
            "legend_opts": {"bbox_to_anchor": (0.0, -0.2), "loc": "upper left"},
        },
        title=heading,
        xlabel="Temperature [°C]",
        ylabel="Density [1/°C]",
        legend_position="bottom",
        legend_cols=1,
    )


def _at(face: xr.DataArray, moments: Sequence[float]) -> xr.DataArray:
    clock = _seconds(face)
    outside = [s for s in moments if not clock[0] - 1 <= s <= clock[-1] + 1]
    if outside:
        raise UnknownNameError(f"no second {outside[0]:g}: there is [{clock[0]:g}, {clock[-1]:g}]")
    return face.isel({schema.TIME: [int(np.abs(clock - s).argmin()) for s in moments]})


def _density(
    pixels: NDArray[np.float64], second: float, colour: str, bins: int, bw_method: str | float
) -> list[Any]:
    """Histogram and kernel estimate of one frame; nothing where it has no pixel."""
    if pixels.size < 2 or np.ptp(pixels) == 0:
        return []
    from scipy import stats

    hv = theme.backends()
    density, edges = np.histogram(pixels, bins, density=True)
    share = np.histogram(pixels, 30)[0] / pixels.size
    label = (
        f"{second:.2f} s: skewness {stats.skew(pixels):.2f}, kurtosis {stats.kurtosis(pixels):.2f}, "
        f"entropy {stats.entropy(share):.2f}"
    ).replace("-", "−")
    grid = np.linspace(edges[0], edges[-1], 200)
    curve = hv.Curve((grid, stats.gaussian_kde(pixels, bw_method)(grid)), "celsius", "density", label=label)
    bars = hv.Histogram((edges, density), kdims="celsius", vdims="density")
    return [
        theme.styled(
            bars,
            bokeh={"fill_color": colour, "fill_alpha": 0.25, "line_color": None},
            mpl={"facecolor": colour, "alpha": 0.25, "edgecolor": "none"},
        ),
        theme.styled(curve, bokeh={"line_width": 1.6}, mpl={"linewidth": 1.1}, color=colour),
    ]
