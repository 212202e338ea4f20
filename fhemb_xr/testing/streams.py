"""Simulated feature streams of a conversation, seeded and lazy."""

from collections.abc import Sequence

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.io import streams as assembling
from fhemb_xr.typing import F32, F64


def streams(
    n_sessions: int = 2,
    n_frames: int | Sequence[int] = 500,
    *,
    persons: Sequence[str] = ("expert", "novice"),
    n_embedding: int = 16,
    rate_hz: float = schema.DEFAULT_RATE_HZ,
    seed: int = 0,
) -> xr.Dataset | xr.DataTree:
    """Simulate feature streams: landmarks, action units, head pose and an embedding.

    A swaying head carries the landmarks, action units are bursts, the embedding drifts. All
    streams but the embedding are rounded as OpenFace prints them.

    Parameters
    ----------
    n_sessions, persons
        Number of sessions, and names of the people in each session.
    n_frames
        Number of frames of each recording, or a list with the frames of each session.
    n_embedding
        Length of an embedding.
    rate_hz
        Frames a second [Hz].
    seed
        Random seed.

    Returns
    -------
    Dataset | DataTree
        A Dataset, or a DataTree if lengths differ, as :func:`fhemb_xr.open_streams` returns it.

    Notes
    -----
    Memory per task: one recording. Computes at call: none.

    Examples
    --------
    >>> from fhemb_xr import testing
    >>> testing.streams(n_frames=100).face.dims
    ('session', 'person', 'frame', 'landmark', 'xy')
    """
    lengths = [n_frames] * n_sessions if isinstance(n_frames, int) else [*n_frames]
    sizes = {schema.FACE: (68, 2), schema.AUS: (17,), schema.HEAD: (6,)}
    sizes[schema.VIT] = (n_embedding,)
    recordings = {}
    for i, n in enumerate(lengths):
        for j, person in enumerate(persons):
            ds = xr.Dataset(
                {
                    name: (schema.STREAMS[name].dims, _stream(name, (n, *size), (seed, i, j)))
                    for name, size in sizes.items()
                }
            )
            for name, places in _PRINTED.items():
                ds[name].attrs[schema.DECIMALS] = places
            for name in sizes:
                ds[name].attrs |= {**schema.STREAMS[name].attrs, schema.POLICY: "none"}
            ds = ds.assign_coords(schema.labels(dict(ds.sizes)))
            recordings[f"{i + 1:03d}", person] = assembling.clocked(ds, rate_hz)
    return assembling.assembled(recordings, {schema.SAMPLING_RATE: float(rate_hz)})


_PRINTED = {schema.FACE: 1, schema.AUS: 2, schema.HEAD: 3}  # decimals that OpenFace prints


def _stream(name: str, shape: tuple[int, ...], seed: tuple[int, ...]) -> da.Array:
    out: da.Array = da.map_blocks(  # dask's bind cannot read a from_delayed array again
        _simulated, stream=name, shape=shape, seed=seed, dtype=np.float32,
        chunks=tuple((n,) for n in shape), meta=np.empty((0,) * len(shape), "f4"),
    )  # fmt: skip
    return out


def _simulated(stream: str, shape: tuple[int, ...], seed: tuple[int, ...]) -> F32:
    rng = np.random.default_rng([*seed, len(stream)])
    drift = _autoregressive(rng.standard_normal(shape), 0.97 if stream != schema.VIT else 0.9)
    if stream == schema.FACE:
        angle = np.linspace(0, 2 * np.pi, shape[1], endpoint=False)
        still = 300 + 80 * np.stack([np.cos(angle), np.sin(angle)], -1)
        drift = (
            still + 12 * _autoregressive(rng.standard_normal((shape[0], 1, 2)), 0.99) + drift
        )
    elif stream == schema.AUS:
        drift = np.clip(2 * drift - 0.5, 0, 5)
    elif stream == schema.HEAD:
        scale = np.array([30.0, 20, 50, 0.1, 0.15, 0.05])
        drift = drift * scale + np.array([0, 0, 600.0, 0, 0, 0])
    else:
        drift = drift + rng.standard_normal(shape[1:])
    return np.round(drift, _PRINTED.get(stream, 9)).astype(np.float32)


def _autoregressive(noise: F64, memory: float) -> F64:
    """Autoregressive noise of variance 1: ``(t, ...) -> (t, ...)``."""
    from scipy.signal import lfilter

    noise[1:] *= np.sqrt(1 - memory**2)
    out: F64 = lfilter([1.0], [1.0, -memory], noise, axis=0)
    return out
