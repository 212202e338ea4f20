"""Regions of the face: their temperatures, how far to trust them, and where they lie."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.plot import curves, figure_data, labels, theme
from fhemb_xr.plot.frames.faces import Picture, montage


def regions(
    result: xr.Dataset, subject: object = None, *, faces: bool = False, title: str | None = None
) -> Any:
    """Temperatures of the regions of one face over time, or the face with its regions.

    Parameters
    ----------
    result
        Result of :func:`fhemb_xr.regions`.
    subject
        Person who is drawn; the first by default.
    faces
        Draw the mean face with an outline round each region; the result must have been made
        with ``faces=True``. It is a picture of a person.
    title
        Instead of the default title.

    Returns
    -------
    HoloViews object
        A HoloViews Layout of three rows: the temperature of each region, how far its middle is
        from its place in the mean face, and what the mean face does not explain of each frame.
        With ``faces`` an Overlay.

    Raises
    ------
    SchemaError
        If it is not a result of ``fx.regions``, or has no faces.
    UnknownNameError
        A subject that is not there.

    Notes
    -----
    Memory: the series of one person. Computes at call: one, if lazy.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> from fhemb_xr import plot
    >>> ds = fx.testing.audience(2, 4, shape=(24, 18), turn_deg=5)
    >>> figure = plot.regions(fx.regions(ds))
    """
    needed = ["reference", "weight"] if faces else [schema.EMBEDDING, "drift", "residual"]
    if absent := {*needed} - {*map(str, result)}:
        more = " with faces=True" if faces else ""
        raise SchemaError(
            f"need {sorted(absent)}, found {sorted(map(str, result))}: make it with fx.regions"
            f"{more}"
        )
    chosen = figure_data.one(
        figure_data.one(result[needed], schema.SUBJECT, subject), schema.SESSION
    )
    found = figure_data.loaded(chosen, "regions")
    return _face(found, title) if faces else _courses(found, title)


def _courses(found: xr.Dataset, title: str | None) -> Any:
    names = figure_data.ids(found, schema.FEATURE)
    values = {
        name: figure_data.require(found[name], "regions", schema.FEATURE, schema.TIME)
        for name in (schema.EMBEDDING, "drift")
    }
    values["residual"] = figure_data.require(found["residual"], "regions", schema.TIME)
    seconds = Clock.of(found[schema.EMBEDDING]).axis_s
    heading = title if title is not None else labels.title(
        "Regions of the face", labels.name_of(found)
    )  # fmt: skip
    if not np.isfinite(values[schema.EMBEDDING].values).any():
        return theme.empty("no frame could be registered", heading, "Time [s]", "Temperature")
    texts = {
        schema.EMBEDDING: "Temperature\n[°C]",
        "drift": "Drift\n[pixel]",
        "residual": "Residual\n[K]",
    }
    panels = [
        curves.row(
            seconds, np.atleast_2d(values[name].values.astype(np.float64)),
            names if name != "residual" else [""], (schema.TIME, f"value_{name}"), text,
            across="Time [s]" if name == "residual" else "", legend=name == schema.EMBEDDING,
        )
        for name, text in texts.items()
    ]  # fmt: skip
    return curves.layout(panels, heading)


def _face(found: xr.Dataset, title: str | None) -> Any:
    """The mean face, and lines where the weight of a region is a half."""
    from contourpy import contour_generator

    hv = theme.backends()
    face = figure_data.require(found["reference"], "a mean face", schema.Y, schema.X).values
    heading = title if title is not None else labels.title(
        "Regions of the face", labels.name_of(found)
    )  # fmt: skip
    pictures = [Picture(face, "", theme.TEMPERATURE, figure_data.limits(face))]
    drawn = [montage(pictures, heading, "Temperature [°C]")]
    weights = found["weight"].transpose(schema.FEATURE, schema.Y, schema.X).values
    lines, words = [], []
    rows, columns = (np.arange(n) + 0.5 for n in face.shape)
    for name, weight in zip(figure_data.ids(found, schema.FEATURE), weights, strict=True):
        around: Any = contour_generator(columns, rows, weight).lines(0.5)
        lines += [np.asarray(line) for line in around]
        if len(around):
            words.append((*np.asarray(around[0]).mean(axis=0), name))
    outline = theme.stroke(hv.Path(lines, ["x", "y"]), (1.6, 1.0), "#ffffff")
    text = theme.styled(
        hv.Labels(words, ["x", "y"], "label"),
        bokeh={"text_color": "#ffffff", "text_font_size": "10px"},
        mpl={"color": "#ffffff", "size": 6},
    )
    return theme.figure(
        [*drawn[0], outline, text], heading, None, px=(260, 320), inches=(2.8, 3.2),
        aspect="equal", mpl={"show_frame": False}, invert_yaxis=True, show_legend=False,
        xlim=(-0.5, columns.size + 0.5), ylim=(-0.5, rows.size + 0.5),
    )  # fmt: skip
