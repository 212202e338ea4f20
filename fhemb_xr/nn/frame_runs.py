"""Runs of streams: frames that follow each other without a gap."""

import itertools

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.typing import F64


def runs(ds: xr.Dataset) -> list[tuple[int, int]]:
    """Begin and end of each run, by the numbers of the frames and by their moments.

    A step that is not the usual one ends a run: a gap, a jump back, a repetition. Streams that
    were turned round have an even step too.
    """
    n = ds.sizes[schema.FRAME]
    cut = np.zeros(max(n - 1, 0), dtype=bool)
    for name in (schema.FRAME, schema.TIME):
        if name in ds.coords and ds[name].dims == (schema.FRAME,):
            cut |= _odd(np.diff(_numbers(ds[name])))
    edges = [0, *(np.flatnonzero(cut) + 1).tolist(), n]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _numbers(moments: xr.DataArray) -> F64:
    values = moments.values
    if values.dtype.kind in "mM":
        values = (values - values[:1]) / np.timedelta64(1, "s")
    return np.asarray(values, dtype=np.float64)


def _odd(steps: F64) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Steps that differ from the usual one by half of it or more."""
    known = steps[np.isfinite(steps)]
    usual = float(np.median(known)) if known.size else np.nan
    return np.asarray(~(np.abs(steps - usual) < 0.5 * abs(usual)))
