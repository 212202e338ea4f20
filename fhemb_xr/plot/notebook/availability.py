"""Who has a face when: read from the heights of the frames, and never from the pixels."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.typing import F64

MOST_CHUNKS = 512
"""Chunks of heights that are read: half a second on a disk."""
MOST_BYTES = 2**25
"""Bytes of heights that are read."""
COLUMNS = 160
MOST_PEOPLE = 80
_STORED = ("original", "open_dataset", "getitem", "rechunk")
"""Layers of a graph that reads a store and does nothing else."""


@dataclass(frozen=True)
class Availability:
    """Shares of frames with a face ``(person, column)``; NaN where nothing was read."""

    shares: F64
    people: list[str] = field(repr=False)
    seconds: float
    missing: float
    """Share of frames without a face, of the frames that were read."""
    whole: bool
    """Whether every frame was read."""
    left_out: int
    """People who are not in it."""


def availability(recording: xr.Dataset) -> Availability | None:
    """Look up, in the first session, which frames have a face.

    ``None`` where that is not stored: without heights, or where they would be computed.

    Notes
    -----
    Reads at most 512 chunks of ``height`` and 32 MiB, of longer recordings stretches at even
    intervals. Computes at call: one, of data that lie in a store.
    """
    if schema.HEIGHT not in recording:
        return None
    dims = (schema.SUBJECT, schema.SESSION, schema.TIME)
    height = recording[schema.HEIGHT]
    if set(height.dims) - set(dims) or schema.TIME not in height.dims or not height.size:
        return None
    if not _is_at_hand(height):
        return None
    missing = [d for d in dims if d not in height.dims]
    height = height.expand_dims(missing).transpose(*dims).isel({schema.SESSION: 0})
    left_out = max(0, height.sizes[schema.SUBJECT] - MOST_PEOPLE)
    height = height.isel({schema.SUBJECT: slice(MOST_PEOPLE)})
    stretches = _stretches(height)
    ends, *read = _read(_ends(recording, height), height, stretches)
    n = height.sizes[schema.TIME]
    columns = min(COLUMNS, n)
    seen, there = (np.zeros((len(height), columns)) for _ in range(2))
    for (start, stop), rows in zip(stretches, read, strict=True):
        frame = np.arange(start, stop)
        inside = frame[None, :] < ends[:, None]
        at = frame * columns // n
        for k in np.unique(at):
            there[:, k] += inside[:, at == k].sum(axis=1)
            seen[:, k] += ((rows > 0) & inside)[:, at == k].sum(axis=1)
    shares = np.where(there > 0, seen / np.maximum(there, 1), np.nan)
    names = [str(v) for v in height[schema.SUBJECT].values.tolist()] if (
        schema.SUBJECT in height.coords
    ) else [str(i) for i in range(len(height))]  # fmt: skip
    rate = schema.sampling_rate(recording)
    total = float(there.sum())
    whole = sum(b - a for a, b in stretches) == n
    share = 1 - float(seen.sum()) / total if total else float("nan")
    return Availability(shares, names, n / rate, share, whole, left_out)


def _is_at_hand(x: xr.DataArray) -> bool:
    """Whether the values lie in memory or in a store, so that nothing is computed for them."""
    graph = getattr(x.data, "dask", None)
    if graph is None:
        return True
    layers = [str(name) for name in graph.layers]
    stored = all(name.startswith(_STORED) for name in layers)
    return stored and any(name.startswith("open_dataset") for name in layers)


def _ends(recording: xr.Dataset, height: xr.DataArray) -> Any:
    """Frames of each person, beyond which lies padding; lazy."""
    n = recording.get(schema.N_TIME)
    if n is None or not _is_at_hand(n) or set(n.dims) - {schema.SUBJECT, schema.SESSION}:
        return np.full(len(height), height.sizes[schema.TIME])
    if schema.SESSION in n.dims:
        n = n.isel({schema.SESSION: 0})
    if schema.SUBJECT in n.dims:
        return n.isel({schema.SUBJECT: slice(len(height))}).data
    return n.expand_dims({schema.SUBJECT: len(height)}).data


def _stretches(height: xr.DataArray) -> list[tuple[int, int]]:
    """Stretches of time that are read: all chunks, or some at even intervals."""
    n = height.sizes[schema.TIME]
    if height.chunks is None:
        return [(0, n)]
    axes = dict(zip(height.dims, height.chunks, strict=True))
    edges = np.cumsum((0, *axes[schema.TIME]))
    spans = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    rows = len(axes[schema.SUBJECT])
    longest = max(b - a for a, b in spans) * len(height) * height.dtype.itemsize
    most = max(1, min(MOST_CHUNKS // rows, MOST_BYTES // max(longest, 1)))
    if len(spans) <= most:
        return spans
    return [spans[i] for i in np.unique(np.linspace(0, len(spans) - 1, most).astype(int))]


def _read(ends: Any, height: xr.DataArray, stretches: list[tuple[int, int]]) -> list[Any]:
    """The ends, and the heights of each stretch, in one compute."""
    import dask

    parts = [height.isel({schema.TIME: slice(a, b)}).data for a, b in stretches]
    return [np.asarray(part) for part in dask.compute(ends, *parts)]
