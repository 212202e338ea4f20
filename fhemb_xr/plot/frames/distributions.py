"""How values spread: pixels of a moment, variance over eigenfaces."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError
from fhemb_xr.plot import figure_data, labels, signals, theme


def scree(basis: xr.Dataset, subject: object = None) -> Any:
    """Share of the variance that each eigenface explains, and the sum so far.

    Parameters
    ----------
    basis
        A basis of :func:`fhemb_xr.pca`, with ``explained_variance_ratio``.
    subject
        Person, where the basis has several; the first by default.

    Returns
    -------
    HoloViews object
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
    figure_data.require_basis(basis, "explained_variance_ratio")
    whole = basis[["explained_variance_ratio"]]
    whole = figure_data.one(figure_data.one(whole, schema.SUBJECT, subject), schema.SESSION)
    shares = 100 * figure_data.loaded(whole, "explained variance")["explained_variance_ratio"]
    number = np.arange(1, shares.size + 1)
    drawn = []
    for values, label, colour in (
        (np.cumsum(shares.values), "sum so far", theme.CYCLE[1]),
        (shares.values, "one component", theme.CYCLE[0]),
    ):
        line = hv.Curve((number, values), "component", "share", label=label)
        dots = hv.Scatter((number, values), "component", "share", label=label)
        drawn += [theme.stroke(line, (1.1, 0.8), colour), theme.dots(dots, (5, 10), colour)]
    step = max(1, -(-shares.size // 10))
    return theme.figure(
        drawn,
        labels.title("Explained variance", labels.name_of(shares), columns=44),
        ("Number of components", "Variance explained [%]"),
        px=(300, 220),
        inches=(theme.COLUMN_IN, 2.6),
        aspect=1.35,
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
        Person whose face is drawn; the first by default.
    bins
        Number of bins of the histogram.
    bw_method
        Bandwidth of the estimate, as :class:`scipy.stats.gaussian_kde`; the original library
        used ``1``, which is smoother.

    Returns
    -------
    HoloViews object
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
    theme.backends()  # refuses here, not after the work, where the extra is missing
    moments = [float(s) for s in np.atleast_1d(np.asarray(seconds, dtype=np.float64))]
    if len(moments) > len(theme.CYCLE):
        raise ValueError(
            f"asked for {len(moments)} moments, at most {len(theme.CYCLE)} can be told apart"
        )
    face = figure_data.one(figure_data.one(heat, schema.SUBJECT, subject), schema.SESSION)
    face = figure_data.require(face, "a distribution", schema.TIME, schema.Y, schema.X)
    face = figure_data.loaded(_at(face, moments), "distributions")
    drawn = []
    for k, (frame, colour) in enumerate(zip(face.values, theme.CYCLE, strict=False)):
        second = (
            float(signals.seconds_of(face)[k]) if schema.TIME in face.coords else moments[k]
        )
        drawn += _density(
            frame[np.isfinite(frame)].astype(np.float64), second, colour, bins, bw_method
        )
    heading = labels.title("Face temperatures", labels.name_of(face), columns=60)
    axes = ("Temperature [°C]", "Density [1/°C]")
    if not drawn:
        return theme.empty("no pixel at these moments", heading, *axes)
    return theme.figure(
        drawn,
        heading,
        axes,
        px=(560, 240),
        inches=(5.0, 3.2),
        aspect=1.6,
        mpl={"legend_opts": {"bbox_to_anchor": (0.0, -0.2), "loc": "upper left"}},
        legend_position="bottom",
        legend_cols=1,
    )


def _at(face: xr.DataArray, moments: Sequence[float]) -> xr.DataArray:
    clock = signals.seconds_of(face)
    outside = [s for s in moments if not clock[0] - 1 <= s <= clock[-1] + 1]
    if outside:
        raise UnknownNameError(
            f"no second {outside[0]:g}: there is [{clock[0]:g}, {clock[-1]:g}]"
        )
    return face.isel({schema.TIME: [int(np.abs(clock - s).argmin()) for s in moments]})


def _density(pixels: Any, second: float, colour: str, bins: int, bw_method: Any) -> list[Any]:
    """Histogram and kernel estimate of one frame; nothing where it has no pixel."""
    if pixels.size < 2 or np.ptp(pixels) == 0:
        return []
    from scipy import stats

    hv = theme.backends()
    density, edges = np.histogram(pixels, bins, density=True)
    share = np.histogram(pixels, 30)[0] / pixels.size
    label = (
        f"{second:.2f} s: skewness {stats.skew(pixels):.2f}, "
        f"kurtosis {stats.kurtosis(pixels):.2f}, entropy {stats.entropy(share):.2f}"
    ).replace("-", "−")
    grid = np.linspace(edges[0], edges[-1], 200)
    curve = hv.Curve(
        (grid, stats.gaussian_kde(pixels, bw_method)(grid)), "celsius", "density", label=label
    )
    bars = hv.Histogram((edges, density), kdims="celsius", vdims="density")
    return [
        theme.styled(
            bars,
            bokeh={"fill_color": colour, "fill_alpha": 0.25, "line_color": None},
            mpl={"facecolor": colour, "alpha": 0.25, "edgecolor": "none"},
        ),
        theme.stroke(curve, (1.6, 1.1), colour),
    ]
