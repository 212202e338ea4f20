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
from fhemb_xr.typing import F64, Floats

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
        A HoloViews Overlay, six pictures in a row, y downward, square pixels. The pictures of
        one scale of colours are one Image.

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
    >>> len(plot.eigenfaces(basis))  # grey boxes, pictures, labels
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
        A HoloViews Overlay; the frames, side by side, are one Image.

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
    >>> len(frames(heat, n=3))  # grey boxes, pictures, labels
    3
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
    # a cell, with room for the label; whole pixels, so that pictures lie on one grid
    wide, high = columns + -(-columns // 12), rows + -(-rows // 16) + round(0.3 * columns)
    across, down = min(COLUMNS, len(pictures)), -(-len(pictures) // COLUMNS)
    corners = [(k % COLUMNS * wide, k // COLUMNS * high) for k in range(len(pictures))]
    boxes = [(left, top, left + columns, top + rows) for left, top in corners]
    words = [
        (left + columns / 2, top - 0.16 * columns, picture.label)
        for (left, top), picture in zip(corners, pictures, strict=True)
    ]
    drawn = [theme.filled(hv.Rectangles(boxes, ["x", "y", "x1", "y1"]), theme.MISSING)]
    looks = list(dict.fromkeys((p.cmap, p.clim) for p in pictures))
    for look in looks:
        canvas = np.full((high * down, wide * across), np.nan)
        for picture, (left, top) in zip(pictures, corners, strict=True):
            if (picture.cmap, picture.clim) == look:
                canvas[top : top + rows, left : left + columns] = picture.values
        last = pictures[-1]
        drawn += _image(canvas, *look, bar if look == (last.cmap, last.clim) else "")
    text = hv.Labels(words, ["x", "y"], "label")
    drawn.append(
        theme.styled(
            text,
            bokeh={"text_color": theme.INK, "text_font_size": "11px"},
            mpl={"color": theme.INK, "size": 7},
        )
    )
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


def _image(canvas: F64, cmap: str, clim: tuple[float, float], bar: str) -> list[Any]:
    """Pictures of one scale of colours, as one Image, which draws quickly."""
    if not np.isfinite(canvas).any():
        return []
    image = theme.backends().Image(
        canvas[::-1],  # the axis points down, the first row of an Image is its top
        bounds=(0, 0, *canvas.shape[::-1]),
        kdims=["x", "y"],
        vdims=[theme.backends().Dimension("value", label=bar or "value")],
        group=theme.FACE,
    )
    return [
        theme.styled(
            image,
            bokeh={"colorbar": bool(bar), "clabel": bar},
            mpl={},
            cmap=cmap,
            clim=clim,
            clipping_colors={"NaN": "transparent"},  # grey lies below, white between
        )
    ]
