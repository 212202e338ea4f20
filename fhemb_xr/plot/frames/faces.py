"""Faces as pictures: eigenfaces, and frames side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.ops.checks import listed, require_count
from fhemb_xr.plot import figure_data, labels, theme
from fhemb_xr.typing import Floats

COLUMNS = 6


def eigenfaces(
    basis: xr.Dataset,
    subject: object = None,
    *,
    n: int | None = None,
    components: Sequence[int] | None = None,
) -> Any:
    """The mean face and the eigenfaces, each with the share of variance it explains.

    Each eigenface is drawn as a share of its own largest loading, symmetric round zero: pixels
    of one colour move together, pixels of the opposite colour move against them.

    Parameters
    ----------
    basis
        A basis of :func:`fhemb_xr.pca`.
    subject
        Person, where the basis has several; the first by default.
    n
        Number of eigenfaces, from the first; all by default.
    components
        Numbers of the eigenfaces, in the order in which they are drawn; instead of ``n``.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Images, six in a row, y downward, square pixels.

    Raises
    ------
    UnknownNameError
        A subject or a component that is not there.
    ValueError
        Both ``n`` and ``components``.
    BudgetError
        If the basis does not fit the budget.

    Notes
    -----
    Memory: the components that are drawn. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> basis = xr.Dataset({"components": (("component", "y", "x"), np.ones((2, 4, 3)))})
    >>> len(plot.eigenfaces(basis))
    3
    """
    figure_data.require_basis(basis, "components")
    names = [v for v in ("mean", "components", "explained_variance_ratio") if v in basis]
    whole = figure_data.one(
        figure_data.one(basis[names], schema.SUBJECT, subject), schema.SESSION
    )
    which = _which(whole, n, components)
    some = figure_data.loaded(whole.isel({schema.COMPONENT: which}), "eigenfaces")
    faces = some["components"].transpose(schema.COMPONENT, schema.Y, schema.X)
    pictures = [
        Picture(face / figure_data.symmetric(face)[1], label, theme.DIVERGING, (-1.0, 1.0))
        for face, label in zip(faces.values, _labels(some), strict=True)
    ]
    if "mean" in some:
        mean = some["mean"].transpose(schema.Y, schema.X).values
        low, high = figure_data.limits(mean)
        label = f"mean\n{low:.1f}–{high:.1f} °C"
        pictures.insert(0, Picture(mean, label, theme.TEMPERATURE, (low, high)))
    return montage(
        pictures, labels.title("Eigenfaces", labels.name_of(some)), "Loading, share of largest"
    )


def _labels(basis: xr.Dataset) -> list[str]:
    """``"PC 0"`` and what it explains."""
    names = [f"PC {n}" for n in figure_data.ids(basis, schema.COMPONENT)]
    if "explained_variance_ratio" not in basis:
        return names
    shares = basis["explained_variance_ratio"].values
    return [f"{n}\n{labels.percent(float(s))}" for n, s in zip(names, shares, strict=True)]


def _which(basis: xr.Dataset, n: int | None, components: Sequence[int] | None) -> Any:
    """Places of the components to draw."""
    if components is None:
        return slice(_count(n, basis.sizes.get(schema.COMPONENT, 0)))
    if n is not None:
        raise ValueError(
            f"asked for n={n!r} and components={components!r}: give one of the two"
        )
    there = figure_data.ids(basis, schema.COMPONENT)
    wanted = [str(c) for c in listed(components)]
    if wrong := [c for c in wanted if c not in there]:
        raise UnknownNameError(f"no component {wrong[0]}{nearest(wrong[0], there)}")
    return [there.index(c) for c in wanted]


def _count(n: int | None, available: int) -> int | None:
    """The number of components to draw, None for all."""
    if n is not None and require_count("n", n) > available:
        raise ValueError(f"n is a number of components from 1 to {available}, found {n!r}")
    return None if n is None else int(n)


def frames(heat: xr.DataArray, *, subject: object = None, n: int = 6) -> Any:
    """Frames of one face at even intervals, on one scale of temperature, the forehead on top.

    xarray's own ``heat.isel(...).plot()`` draws the first row at the bottom; there, say
    ``.plot(yincrease=False)``.

    Parameters
    ----------
    heat
        Heatmap ``(…, time, y, x)`` [°C].
    subject
        Person whose face is drawn; the first by default.
    n
        Number of frames.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Images.

    Notes
    -----
    Memory: the frames that are drawn. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> from fhemb_xr.plot.frames.faces import frames
    >>> heat = xr.DataArray(np.ones((50, 4, 3)), dims=("time", "y", "x"))
    >>> heat.attrs["sampling_rate"] = 25.0
    >>> len(frames(heat, n=3))
    4
    """
    face = figure_data.one(figure_data.one(heat, schema.SUBJECT, subject), schema.SESSION)
    face = figure_data.require(face, "frames", schema.TIME, schema.Y, schema.X)
    n = require_count("n", n)
    chosen = np.unique(np.linspace(0, face.sizes[schema.TIME] - 1, n).round().astype(int))
    face = figure_data.loaded(face.isel({schema.TIME: chosen}), "frames")
    clim = figure_data.limits(face.values)
    clock = Clock.of(heat).axis_s[chosen]
    pictures = [
        Picture(values, f"{second:.2f} s", theme.TEMPERATURE, clim)
        for values, second in zip(face.values, clock, strict=True)
    ]
    return montage(pictures, labels.title("Face", labels.name_of(face)), "Temperature [°C]")


@dataclass(frozen=True)
class Picture:
    """One picture of a montage: its pixels, what is written above, its colours."""

    values: Floats
    label: str
    cmap: str
    clim: tuple[float, float]


def montage(pictures: Sequence[Picture], heading: str, bar: str) -> Any:
    """Pictures in one frame, left to right and down, with the last one's scale of colours."""
    hv = theme.backends()
    rows, columns = pictures[0].values.shape
    wide, high = columns * 1.08, rows * 1.06 + 0.3 * columns  # a cell, with room for the label
    drawn, words = [], []
    for k, picture in enumerate(pictures):
        left, top = (k % COLUMNS) * wide, (k // COLUMNS) * high
        drawn.append(_picture(picture, left, top, bar if picture is pictures[-1] else ""))
        words.append((left + columns / 2, top - 0.16 * columns, picture.label))
    text = hv.Labels(words, ["x", "y"], "label")
    drawn.append(
        theme.styled(
            text,
            bokeh={"text_color": theme.INK, "text_font_size": "11px"},
            mpl={"color": theme.INK, "size": 7},
        )
    )
    across, down = min(COLUMNS, len(pictures)), -(-len(pictures) // COLUMNS)
    width, height = wide * across, high * down
    inches = 1.05 * across

    def scale(plot: Any, element: Any) -> None:
        # HoloViews places its own bar as if the axes filled their box, over the faces
        axis = plot.handles["axis"]
        if not axis.images:
            return
        shown = axis.figure.colorbar(axis.images[-1], ax=axis, fraction=0.03, pad=0.01)
        shown.set_label(bar, size=theme.PT["clabel"])
        shown.outline.set_visible(False)
        shown.ax.tick_params(width=0.6, length=2, labelsize=theme.PT["cticks"])

    return theme.figure(
        drawn,
        heading,
        None,
        px=(115 * across, round(115 * across * height / width)),
        inches=(inches + 0.6, inches * height / width + 0.3),
        aspect="equal",
        mpl={"show_frame": False, "hooks": [theme.plain_mpl, scale]},
        xlim=(-0.02 * columns, width),
        ylim=(-0.34 * columns, height - 0.34 * columns),
        invert_yaxis=True,
        show_legend=False,
    )


def _picture(picture: Picture, left: float, top: float, bar: str) -> Any:
    """One picture with its upper left corner at a place; grey where it has no pixel."""
    hv = theme.backends()
    rows, columns = picture.values.shape
    if not np.isfinite(picture.values).any():
        box = hv.Rectangles(
            [(left, top, left + columns, top + rows)], kdims=["x", "y", "x1", "y1"]
        )
        return theme.filled(box, theme.MISSING)
    image = hv.Image(
        picture.values[::-1],  # the axis points down, the first row of an Image is its top
        bounds=(left, top, left + columns, top + rows),
        kdims=["x", "y"],
        vdims=[hv.Dimension("value", label=bar or "value")],
        group=theme.FACE,
    )
    return theme.styled(
        image,
        bokeh={"colorbar": bool(bar), "clabel": bar},
        mpl={},
        cmap=picture.cmap,
        clim=picture.clim,
        clipping_colors={"NaN": theme.MISSING},
    )
