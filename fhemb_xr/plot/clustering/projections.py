"""People as points: in the plane of a projection, or where they sit."""

import re
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError, UnknownNameError
from fhemb_xr.ops.option_tables import PROJECTION
from fhemb_xr.plot import figure_data, theme
from fhemb_xr.plot import labels as text
from fhemb_xr.plot.clustering import scatter3d
from fhemb_xr.plot.clustering.scatter3d import scatter


def projection(
    points: xr.DataArray,
    *,
    n_dims: int = 2,
    clusters: xr.DataArray | None = None,
    view: tuple[float, float] = (20.0, -60.0),
    title: str | None = None,
) -> Any:
    """People as labelled points in the plane or in space, near where they are alike.

    Parameters
    ----------
    points
        Coordinates from :func:`fhemb_xr.embed_relation`, ``(subject, component)`` or
        ``(sample, component)``; a session of length one is dropped.
    n_dims
        2: the first two are drawn. 3: the first three, in a cube seen without perspective, with
        a line from every point to its floor.
    clusters
        Labels of :func:`fhemb_xr.clusters`, for the colours.
    view
        View of the cube: elevation above its floor and azimuth round it [degrees].
    title
        Title; by default the method.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Scatters and Labels, on axes of one scale.

    Raises
    ------
    SchemaError
        If there is more than one dimension of members, or fewer than ``n_dims`` coordinates.
    ValueError
        If ``n_dims`` is neither 2 nor 3.

    Notes
    -----
    Memory: the coordinates. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> figure = plot.projection(xr.DataArray(np.eye(3, 2), dims=("subject", "component")))
    """
    if n_dims not in (2, 3):
        raise ValueError(f"n_dims is 2 or 3, found {n_dims!r}")
    PROJECTION.require_used(n_dims, {"view": view})
    if np.ndim(view) != 1 or len(view) != 2 or not np.isfinite(np.asarray(view, float)).all():
        raise ValueError(f"view is (elevation, azimuth) [degrees], found {view!r}")
    subject, axis = _dims(points, n_dims)
    points = figure_data.require(points, "a projection", subject, axis)
    points = figure_data.loaded(points, "a projection")
    xy = points.values[:, :n_dims].astype(np.float64)
    method = str(points.attrs.get("method") or points.attrs.get("long_name", ""))
    method = re.sub(r"\b(mds|dtw|umap|tsne)\b", lambda word: word[0].upper(), method)
    heading = title if title is not None else text.title("Projection", method, columns=52)
    units = text.unit(points.attrs.get("units"))
    names = [f"Axis {i}{units}" for i in range(1, n_dims + 1)]
    if not np.isfinite(xy).all(axis=1).any():
        return theme.empty("no subject has a place", heading, *names[:2])
    if n_dims == 3:
        return scatter3d.cube(
            xy, figure_data.ids(points, subject), names, clusters, view, heading
        )
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    reach = 0.58 * max(float((high - low).max()), 1e-12)
    centre = (low + high) / 2
    return theme.figure(
        scatter(xy, figure_data.ids(points, subject), clusters, 0.06 * reach),
        heading,
        (names[0], names[1]),
        px=(400, 400),
        inches=(theme.COLUMN_IN, theme.COLUMN_IN),
        aspect=1,
        bokeh={"legend_cols": 1},
        xlim=(centre[0] - reach, centre[0] + reach),
        ylim=(centre[1] - reach, centre[1] + reach),
        legend_position="right",
    )


def _dims(points: xr.DataArray, n: int) -> tuple[str, str]:
    """The members and their coordinates; dimensions of length one do not count."""
    schema.require_real(points)
    rest = [str(d) for d in points.dims if d != schema.SESSION or points.sizes[d] > 1]
    axis = schema.COMPONENT if schema.COMPONENT in rest else rest[-1] if rest else ""
    rest = [d for d in rest if d != axis]
    members = [d for d in rest if points.sizes[d] > 1] or rest[:1]
    if len(members) != 1 or points.sizes[axis] < n:
        raise SchemaError(
            f"a projection has members (subject or sample) and at least {n} coordinates, found "
            f"{dict(points.sizes)}: make one with fx.embed_relation"
        )
    return members[0], axis


def clusters_at(
    labels: xr.DataArray,
    position: xr.DataArray,
    frame: int,
    *,
    title: str | None = None,
) -> Any:
    """Who belongs to which group, drawn where the camera saw them.

    Parameters
    ----------
    labels
        Labels of :func:`fhemb_xr.clusters`, ``(subject)``.
    position
        The recording's ``position``, ``(subject, …, time, axis)`` [pixel of the camera].
    frame
        Frame number on the session's clock.
    title
        Title; by default the frame and its second.

    Returns
    -------
    HoloViews object
        A HoloViews Overlay of Scatters and Labels, y downward, square pixels. People without a
        position in that frame are counted in the title.

    Raises
    ------
    UnknownNameError
        If there is no such frame.

    Notes
    -----
    Memory: the positions of one frame. Computes at call: one, if lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fhemb_xr import plot
    >>> who = xr.DataArray([0, 1], dims="subject", coords={"subject": [65, 66]})
    >>> where = xr.DataArray(
    ...     np.ones((2, 5, 2)), dims=("subject", "time", "axis"), coords={"subject": [65, 66]}
    ... )
    >>> where.attrs["sampling_rate"] = 25.0
    >>> figure = plot.clusters_at(who, where, frame=3)
    """
    schema.require_dims(position, schema.SUBJECT, schema.TIME, schema.AXIS)
    index, second = _moment(position, frame)
    at = figure_data.one(position.isel({schema.TIME: index}), schema.SESSION)
    labels = figure_data.loaded(
        figure_data.require(labels, "clusters", schema.SUBJECT), "clusters"
    )
    if schema.SUBJECT in labels.coords and schema.SUBJECT in at.coords:
        at = at.sel({schema.SUBJECT: labels[schema.SUBJECT].values})
    xy = figure_data.loaded(
        at.transpose(schema.SUBJECT, schema.AXIS), "positions"
    ).values.astype(float)
    absent = int((~np.isfinite(xy).all(axis=1)).sum())
    note = f"{absent} of {len(xy)} without a position" if absent else ""
    heading = (
        title
        if title is not None
        else text.title(f"Groups at {second:.2f} s (frame {frame})", below=note)
    )
    if absent == len(xy):
        return theme.empty(
            "no subject has a position in this frame", heading, "x [pixel]", "y [pixel]"
        )
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    pad = 0.08 * max(float((high - low).max()), 10.0)
    wide, tall = (float(v) for v in high - low + 2 * pad)
    inches, px = 5.5, 560
    ratio = min(max(tall / wide, 0.25), 1.4)
    return theme.panel(
        scatter(xy, figure_data.ids(labels), labels, -0.02 * wide),
        bokeh={
            "frame_width": px,
            "frame_height": round(px * ratio),
            "data_aspect": 1,
            "legend_cols": 1,
        },
        mpl={"fig_inches": (inches, inches * ratio + 0.4), "data_aspect": 1},
        title=heading,
        xlabel="x [pixel]",
        ylabel="y [pixel]",
        xlim=(low[0] - pad, high[0] + pad),
        ylim=(low[1] - pad, high[1] + pad),
        invert_yaxis=True,
        legend_position="right",
    )


def _moment(position: xr.DataArray, frame: int) -> tuple[int, float]:
    """Place along time, and second, of a frame number."""
    clock = Clock.of(position)
    numbers = clock.frames if schema.TIME in position.coords else np.arange(clock.n)
    found = np.flatnonzero(numbers == frame)
    if not found.size:
        raise UnknownNameError(
            f"no frame {frame!r}: there is {numbers.min():g} to {numbers.max():g}"
        )
    return int(found[0]), float(clock.axis_s[found[0]])
