"""Small faces, one a second, in a store of their own beside the recording: all people at once.

They are about a hundredth of the recording. A jump of all faces of an opera decodes the whole
recording's chunks without them: 77 × 1000 frames.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.io import provenance, store
from fhemb_xr.io.recording import open_recording
from fhemb_xr.view.memory.marks import place_beside

_LONGEST_PX = 45
"""Rows or columns of a small face, at most."""
_SECONDS_READ = 256
_ENDING = "_faces.zarr"


def small_faces(ds: xr.Dataset) -> xr.Dataset:
    """One frame a second of a recording, its pixels averaged to at most 45 rows and columns."""
    step = max(1, round(Clock.of(ds).rate_hz))
    heat = ds[schema.HEATMAP].isel({schema.TIME: slice(None, None, step)})
    size = max(1, -(-max(heat.sizes[schema.Y], heat.sizes[schema.X]) // _LONGEST_PX))
    small = heat.coarsen({schema.Y: size, schema.X: size}, boundary="pad").mean()
    small = small.astype(np.float32).drop_vars(schema.FRAME, errors="ignore")
    rate = Clock.of(ds).rate_hz / step
    kept = {k: ds.attrs[k] for k in (schema.THRESHOLD, "title") if k in ds.attrs}
    out = small.assign_attrs(ds[schema.HEATMAP].attrs | {schema.SAMPLING_RATE: rate})
    chunked = out.chunk({schema.TIME: _SECONDS_READ, schema.Y: -1, schema.X: -1})
    return xr.Dataset({schema.HEATMAP: chunked}, attrs={**kept, schema.SAMPLING_RATE: rate})


def make(recording: Path) -> Path:
    """Write the small faces of a recording, if they are not there yet.

    A stopped run goes on where it was. They hold faces: the store is marked so.
    """
    target = place_beside(recording, _ENDING)
    ds = open_recording(recording)
    if target.exists() and _is_of(open_recording(target), ds):
        return target
    store.save(small_faces(ds), target, mode="w", resume=True)
    return target


def found(recording: Any) -> xr.Dataset | None:
    """The small faces beside a recording on this machine, if they were made of it."""
    if recording is None or not place_beside(recording, _ENDING).exists():
        return None
    ds = open_recording(place_beside(recording, _ENDING), chunks=None)
    if not _is_of(ds, open_recording(recording, chunks=None)):
        name = place_beside(recording, _ENDING).name
        warn(
            f"{name!r} was made of another version of the recording "
            "and is passed over: fhemb view --proxy makes it again"
        )
        return None
    return ds


def _is_of(small: xr.Dataset, ds: xr.Dataset) -> bool:
    """Whether small faces were made of this version of a recording."""
    return ds.attrs.get(provenance.UUID) in small.attrs.get(provenance.SOURCES, [])


def require_local(path: Path | None) -> Path:
    """The recording's folder on this machine.

    Raises
    ------
    SchemaError
        If the recording is not such a store.
    """
    if path is None:
        raise SchemaError(
            "small faces are kept beside a recording that is a store on this machine: give its "
            "path, or leave out the proxy"
        )
    return path
