"""Lists of frames of changing size, from a recording and into one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.legacy.config.settings import THERMO_SR
from fhemb_xr.legacy.subjects import native, ordered


def frames_of(ds: xr.Dataset, heat: xr.DataArray, person: Any) -> list[NDArray[Any]]:
    """Every frame of a person in its own size; ``(0, 0)`` where there is no face."""
    one = heat.sel({schema.SUBJECT: person}).squeeze(schema.SESSION, drop=True)
    values = one.transpose(schema.TIME, schema.Y, schema.X).compute().values
    rows, columns = values.shape[1:]
    if schema.HEIGHT not in ds:
        return [f if np.isfinite(f).any() else f[:0, :0] for f in values]
    sizes = ds[[schema.HEIGHT, schema.WIDTH]].sel({schema.SUBJECT: person})
    sizes = sizes.squeeze(schema.SESSION, drop=True).compute()
    high, wide = sizes[schema.HEIGHT].values, sizes[schema.WIDTH].values
    if schema.RESIZED in ds[schema.HEATMAP].attrs:  # every frame fills the grid
        high, wide = np.where(high > 0, rows, 0), np.where(wide > 0, columns, 0)
    out = []
    for frame, h, w in zip(values, high.tolist(), wide.tolist(), strict=True):
        top, left = (rows - h) // 2, (columns - w) // 2  # boxes are centred on the grid
        out.append(frame[top : top + h, left : left + w] if h and w else frame[:0, :0])
    return out


def recording_of(
    features_tint: Mapping[Any, Sequence[Any]], start: int, position: Any = None
) -> xr.Dataset:
    """A recording of lists of frames: smaller ones are centred, NaN round them.

    Raises
    ------
    ValueError
        People with different numbers of frames.
    """
    given = {native(who): [_frame(f) for f in stack] for who, stack in features_tint.items()}
    ids = ordered(given)
    lengths = {len(stack) for stack in given.values()}
    if len(lengths) != 1:
        raise ValueError(f"people need one number of frames, found {sorted(lengths)}")
    n = lengths.pop()
    sizes = np.array([[f.shape for f in given[i]] for i in ids], np.int16)  # (person, t, 2)
    rows, columns = (max(1, int(m)) for m in sizes.max(axis=(0, 1)))
    values = np.full((len(ids), 1, n, rows, columns), np.nan, np.float32)
    for place, i in enumerate(ids):
        for t, frame in enumerate(given[i]):
            h, w = frame.shape
            top, left = (rows - h) // 2, (columns - w) // 2
            values[place, 0, t, top : top + h, left : left + w] = frame
    series = (schema.SUBJECT, schema.SESSION, schema.TIME)
    frame_number = start + np.arange(n)
    rate = {schema.SAMPLING_RATE: float(THERMO_SR)}
    ds = xr.Dataset(
        {
            schema.HEATMAP: ((*series, schema.Y, schema.X), values, {"units": "degC", **rate}),
            schema.HEIGHT: (series, sizes[:, None, :, 0]),
            schema.WIDTH: (series, sizes[:, None, :, 1]),
        },
        coords={
            schema.SUBJECT: ids,
            schema.SESSION: ["session"],
            schema.TIME: (schema.TIME, frame_number / THERMO_SR, {"units": "s"}),
            schema.FRAME: (schema.TIME, frame_number),
        },
        attrs=rate,
    )
    if position is None:
        return ds
    tracks = getattr(position, "features_tint", position)
    track = {native(who): np.asarray(tracks[who], np.float32) for who in tracks}
    places = np.stack([track[i].T for i in ids])[:, None]  # (person, session, t, 2)
    return ds.assign({schema.POSITION: ((*series, schema.AXIS), places)})


def _frame(values: Any) -> NDArray[np.float32]:
    """A frame ``(H, W)``; what has no two dimensions is no face."""
    frame = np.asarray(values, np.float32)
    return frame if frame.ndim == 2 else np.empty((0, 0), np.float32)
