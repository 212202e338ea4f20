"""A signal with its wavelet bands, how its energy is shared, and its scalogram."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.units import unit_of
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.plot.signal_rows import Row
from fhemb_xr.plot.signals import multiples, seconds_of
from fhemb_xr.typing import F64

_COLUMNS = 1500  # of a scalogram; a page has fewer dots
_FLOOR_DB = 40


def bands(x: xr.DataArray, *, subject: object = None, title: str | None = None) -> Any:
    """A signal above its wavelet bands, from fast to slow, on a shared axis of time.

    Parameters
    ----------
    x
        Result of :func:`fhemb_xr.wavelet_bands` for one feature, ``(…, time, band)``.
    subject
        Person who is drawn; the first by default.
    title
        Title; by default the subject.

    Returns
    -------
    HoloViews object
        A HoloViews Layout: the signal, each detail on one scale, the approximation.

    Raises
    ------
    SchemaError
        An array without bands, or of several features.
    BudgetError
        If the bands do not fit the budget.

    Notes
    -----
    Memory: the bands of one subject. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=500), dims="time")
    >>> x.attrs["sampling_rate"] = 25.0
    >>> len(fx.plot.bands(fx.wavelet_bands(x, level=3)))
    5
    """
    x = figure_data.one(figure_data.one(x, schema.SUBJECT, subject), schema.SESSION)
    x = figure_data.loaded(figure_data.require(x, "bands", schema.TIME, schema.BAND), "bands")
    unit = labels.unit(unit_of(x, _feature(x)))
    values, names = x.values, _intervals(x)
    level, change = f"Value{unit}", f"Change{unit}"
    whole = Row("Signal", level, {"": values.sum(axis=1)})
    details = [
        Row(f"{names[b]} Hz", change, {"": values[:, b]}) for b in range(len(names) - 1, 0, -1)
    ]
    rows = [whole, *details, Row(f"{names[0]} Hz", level, {"": values[:, 0]})]
    heading = labels.title(labels.capital(_feature(x) or "Wavelet bands"), labels.name_of(x))
    return multiples(seconds_of(x), rows, heading if title is None else title)


def band_energy(x: xr.DataArray, *, title: str | None = None) -> Any:
    """How the variance of signals is shared among their wavelet bands.

    Parameters
    ----------
    x
        Result of :func:`fhemb_xr.wavelet_bands`, ``(…, time, band)``.
    title
        Above the figure.

    Returns
    -------
    HoloViews object
        HoloViews bars of the median share, and a dot for each signal.

    Raises
    ------
    SchemaError
        An array without bands.
    BudgetError
        If the bands do not fit the budget.

    Notes
    -----
    Memory: the bands. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(3, 500)), dims=("k", "time"))
    >>> x.attrs["sampling_rate"] = 25.0
    >>> figure = fx.plot.band_energy(fx.wavelet_bands(x, level=3))
    """
    hv = theme.backends()
    schema.require_dims(x, schema.TIME, schema.BAND)
    figure_data.require_small(x, "the energy of bands")
    power = figure_data.loaded(x.var(schema.TIME), "the energy of bands")
    shares = (power / power.sum(schema.BAND)).transpose(..., schema.BAND).values
    shares = shares.reshape(-1, shares.shape[-1])
    shares = shares[np.isfinite(shares).all(axis=1)]
    heading = title if title is not None else "Share of variance"
    if not shares.size:
        return theme.empty("no signal", heading, "Frequency [Hz]", "Share of variance")
    axes = [hv.Dimension("place", label="Frequency [Hz]"), hv.Dimension("share")]
    bars = [(i - 0.38, 0, i + 0.38, v) for i, v in enumerate(np.median(shares, axis=0))]
    boxes = hv.Rectangles(bars, kdims=[*axes, "place_stop", "share_stop"])
    drawn = [theme.filled(boxes, theme.CYCLE[5])]
    if len(shares) > 1:
        aside = np.linspace(-0.25, 0.25, len(shares))[:, None] + np.arange(shares.shape[1])
        dots = hv.Scatter((aside.ravel(), shares.ravel()), *axes)
        small = theme.styled(
            dots, bokeh={"size": 3.5}, mpl={"s": 5, "linewidth": 0}, color=theme.LINE
        )
        drawn.append(small)
    return theme.figure(
        drawn,
        heading,
        ("Frequency [Hz]", "Share of variance"),
        px=(560, 220),
        inches=(theme.FULL_IN, 2.6),
        aspect=2.6,
        xlim=(-0.6, shares.shape[1] - 0.4),
        ylim=(0, 1.05 * float(shares.max())),
        xticks=list(enumerate(_intervals(x))),
        xrotation=25 if shares.shape[1] > 6 else 0,  # the intervals would touch
        show_legend=False,
    )


def scalogram(x: xr.DataArray, *, subject: object = None, title: str | None = None) -> Any:
    """Power over time and frequency, in decibels, frequencies in octaves.

    Parameters
    ----------
    x
        Result of :func:`fhemb_xr.scalogram`, ``(…, time, frequency)``.
    subject
        Person who is drawn; the first by default.
    title
        Title; by default the subject.

    Returns
    -------
    HoloViews object
        A HoloViews QuadMesh; a long series is averaged to 1 500 columns, missing ones are grey.

    Raises
    ------
    SchemaError
        An array without frequencies, or of several features.
    BudgetError
        If the power does not fit the budget.

    Notes
    -----
    Memory: the power of one subject. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=500), dims="time")
    >>> x.attrs["sampling_rate"] = 25.0
    >>> figure = fx.plot.scalogram(fx.scalogram(x))
    """
    hv = theme.backends()
    x = figure_data.one(figure_data.one(x, schema.SUBJECT, subject), schema.SESSION)
    x = figure_data.loaded(
        figure_data.require(x, "a scalogram", schema.TIME, "frequency"), "a scalogram"
    )
    seconds, power = _averaged(seconds_of(x), np.asarray(x.values, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * np.log10(power)
    finite = decibels[np.isfinite(decibels)]
    heading = labels.title("Scalogram", labels.name_of(x)) if title is None else title
    if not finite.size:
        return theme.empty("no signal", heading, "Time [s]", "Frequency [Hz]")
    top = float(np.quantile(finite, 0.999))
    octaves = np.log2(x["frequency"].values.astype(np.float64))
    clock = hv.Dimension(schema.TIME, label="Time [s]")
    octave = hv.Dimension("octave", label="Frequency [Hz]")
    unit = labels.unit(x.attrs.get("units")).strip(" []")
    label = f"Power [dB re 1 {unit}]" if unit else "Power [dB]"
    mesh = hv.QuadMesh((seconds, octaves, decibels.T), [clock, octave], "power")
    ticks = np.arange(np.ceil(octaves.min()), np.floor(octaves.max()) + 1)
    return theme.figure(
        mesh,
        heading,
        ("Time [s]", "Frequency [Hz]"),
        px=(560, 260),
        inches=(theme.FULL_IN, 2.8),
        aspect=2.4,
        yticks=[(float(t), f"{2.0**t:g}") for t in ticks],
        **theme.coloured(theme.DISTANCE, (top - _FLOOR_DB, top), label),
    )


def _feature(x: xr.DataArray) -> str:
    found = x.coords.get(schema.FEATURE)
    return str(found.item()) if found is not None and found.size == 1 else str(x.name or "")


def _intervals(x: xr.DataArray) -> list[str]:
    """``"0.10–0.20"`` for each band."""
    try:
        low, high = (x[f"frequency_{end}"].values.tolist() for end in ("low", "high"))
    except KeyError:
        raise SchemaError(
            "these bands have no frequencies: draw what wavelet_bands gives"
        ) from None
    return [f"{labels.number(a)}–{labels.number(b)}" for a, b in zip(low, high, strict=True)]


def _averaged(seconds: F64, power: F64) -> tuple[F64, F64]:
    """Neighbouring columns averaged; one with a missing sample is missing."""
    size = -(-len(seconds) // _COLUMNS)
    n = len(seconds) // size
    cut = power[: n * size].reshape(n, size, -1).mean(axis=1)
    return seconds[: n * size].reshape(n, size).mean(axis=1), cut
