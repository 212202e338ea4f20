"""Faces of changing size on one grid."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import require_choice, require_count, require_whole_frames

METHODS = ("area", "linear")


def resize(
    heat: xr.DataArray | xr.Dataset, shape: tuple[int, int], method: str = "area"
) -> xr.DataArray:
    """Resample each frame's own box onto one grid.

    Parameters
    ----------
    heat
        A recording, whose ``height`` and ``width`` say where each frame's box lies, centred on
        the grid; or a heatmap ``(…, y, x)``, with them as coordinates, or without: then the box
        is the smallest one, centred on the grid, that holds the finite pixels of the frame.
    shape
        Rows and columns of the new grid.
    method
        ``"area"``: the mean over the area that a new pixel covers, which keeps the frame's
        mean; ``"linear"``: interpolation between pixel centres.

    Returns
    -------
    DataArray
        ``heatmap(…, y, x)`` of the new shape [°C], lazy where it was; float32 and float64 stay,
        whole numbers become float64. NaN pixels weigh nothing; a frame without a face is NaN.

    Raises
    ------
    ValueError
        An unknown method, or a shape that is not two positive numbers.
    SchemaError
        Not a recording, or pixels in several chunks.

    Notes
    -----
    Memory: a chunk before and after, and 24 bytes per pixel of frames that share a size, for
    each running task. Tasks: under three per chunk. Computes at call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=1, seconds=2)
    >>> ds.fhemb.resize((60, 40)).shape
    (1, 1, 50, 60, 40)
    """
    method = require_choice("method", method, METHODS)
    n_rows, n_columns = _grid(shape)
    face, sizes = _parts(heat)
    core = [[schema.Y, schema.X], *([[]] * len(sizes))]
    rows, columns = "new_y", "new_x"
    out = apply_kernel(
        _resized,
        face,
        *sizes,
        core=core,
        new={rows: n_rows, columns: n_columns},
        dtype=face.dtype,
        shape=(n_rows, n_columns),
        method=method,
    )
    out = out.rename({rows: schema.Y, columns: schema.X})
    keep = {k: v for k, v in face.attrs.items() if k in ("units", schema.THRESHOLD)}
    out.attrs = {**schema.VARIABLES[schema.HEATMAP].attrs, **keep}
    if schema.TIME in face.dims:
        out.attrs |= Clock.of(heat).attrs
    # the box of every frame is now the grid: what the old ones were says nothing any more
    return out.drop_vars([schema.HEIGHT, schema.WIDTH], errors="ignore").rename(schema.HEATMAP)


def _grid(shape: Any) -> tuple[int, int]:
    try:
        rows, columns = (require_count("a side", n) for n in shape)
    except (TypeError, ValueError):
        raise ValueError(
            f"shape is (rows, columns), two positive numbers, found {shape!r}"
        ) from None
    return rows, columns


def _parts(heat: xr.DataArray | xr.Dataset) -> tuple[xr.DataArray, list[xr.DataArray]]:
    """The heatmap, and height and width where they are known."""
    if isinstance(heat, xr.Dataset):
        if schema.HEATMAP not in heat:
            raise SchemaError(f"no variable 'heatmap' among {sorted(map(str, heat.data_vars))}")
        limit = {k: heat.attrs[k] for k in (schema.THRESHOLD,) if k in heat.attrs}
        face = heat[schema.HEATMAP].assign_attrs(limit)
    else:
        face = heat
    schema.require_dims(face, schema.Y, schema.X)
    require_whole_frames(face)
    drop = [d for d in (schema.Y, schema.X) if d in face.coords]
    face = face.drop_vars(drop)
    known = (
        schema.HEIGHT in heat and schema.WIDTH in heat
        if isinstance(heat, xr.Dataset)
        else (schema.HEIGHT in heat.coords and schema.WIDTH in heat.coords)
    )
    if not known:
        return face, []
    boxes = [heat[n].reset_coords(drop=True) for n in (schema.HEIGHT, schema.WIDTH)]
    if schema.RESIZED in face.attrs:  # they tell what the frames were, which fill the grid now
        sides = (face.sizes[schema.Y], face.sizes[schema.X])
        boxes = [
            box.where(box == 0, side).astype(box.dtype)
            for box, side in zip(boxes, sides, strict=True)
        ]
    return face, boxes


def _resized(x: Any, *sizes: Any, shape: tuple[int, int], method: str) -> Any:
    """``(..., y, x), (...), (...) -> (..., rows, columns)``."""
    from fhemb_xr.kernels.frames import resizing as kernel

    frames = x.reshape(-1, *x.shape[-2:])
    boxes = [np.broadcast_to(s, x.shape[:-2]).reshape(-1) for s in sizes]
    height, width = boxes or kernel.boxes(frames)
    return kernel.resize(frames, height, width, shape, method).reshape(*x.shape[:-2], *shape)
