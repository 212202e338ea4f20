"""A simulated audience with known parameters, for examples and tests; not real data."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.testing.scene import (
    COLUMNS,
    DRIFTS,
    PARTS,
    Scene,
    boxes,
    faces,
    landmarks,
    physiology,
    positions,
)
from fhemb_xr.typing import F64, Ints


def audience(
    n_subjects: int = 12,
    seconds: float = 90.0,
    *,
    subjects: Sequence[int] | None = None,
    shape: tuple[int, int] = (40, 30),
    rate_hz: float = schema.DEFAULT_RATE_HZ,
    start_frame: int = 0,
    sessions: Sequence[str] = ("dg",),
    n_groups: int = 3,
    lag_s: float = 1.2,
    noise_k: float = 0.03,
    breath_k: float = 0.5,
    turn_deg: float = 0.0,
    shift_px: float = 0.0,
    faceless: Sequence[int] = (),
    gap: tuple[int, int] | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    chunk_frames: int = 1000,
    title: str = "Simulated audience",
) -> xr.Dataset:
    """Simulate a recording in pieces, so that it may be larger than memory.

    Every face is an ellipse of skin with warm eyes and forehead, in front of a cool background.
    It lies in a box whose size drifts in time. Breathing (0.2-0.4 Hz) cools and warms the
    nostrils; the pulse (about 1.2 Hz) warms the skin. The members of a group share a slow
    drift: each member follows the one before by ``lag_s``. Sensor noise is white.

    Parameters
    ----------
    n_subjects, subjects
        Number of people, with ids from 40 on; or a list of ids.
    seconds, rate_hz, start_frame
        Length [s], frames a second [Hz], number of the first frame.
    shape
        Rows and columns of the grid; boxes are a little smaller and change in time.
    sessions
        Names of the sessions.
    n_groups, lag_s
        Number of groups that share a drift, and delay of each member behind the one before
        [s].
    noise_k
        Standard deviation of the sensor noise [K].
    breath_k
        Amplitude of breathing at the nose [K].
    turn_deg, shift_px
        Head turns: standard deviation of the turn to the side [degrees], twice that of the nod
        and of the tilt; and standard deviation of the shift along either axis [pixel]. The
        turned face is that of a sphere.
    faceless
        Ids of people who are never seen.
    gap, dropout
        Half-open interval of frame numbers that all people lack; share of frames lost at
        random.
    seed
        Random seed. The recording depends on it, but not on the chunks.
    chunk_frames
        Number of frames in a chunk.

    Returns
    -------
    Dataset
        A lazy recording as :mod:`fhemb_xr.schema` describes it. The coordinates
        ``group(subject)`` and ``true_lag(subject)`` hold the true groups and the true delay
        behind the first member of the group [s], ``breath_hz(subject)`` the rate of breathing
        [Hz]. Where heads move, ``true_landmark(subject, session, time, feature, axis)`` says
        where parts of the face are on the grid [pixel].

    Notes
    -----
    Memory per task: 4 × a float32 chunk. Tasks: one per chunk of each variable. Computes at
    call: none.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> ds = fx.testing.audience(n_subjects=3, seconds=10, shape=(20, 16))
    >>> dict(ds.heatmap.sizes)
    {'subject': 3, 'session': 1, 'time': 250, 'y': 20, 'x': 16}
    """
    ids = list(range(40, 40 + n_subjects)) if subjects is None else list(subjects)
    n_frames = round(seconds * rate_hz)
    everyone = physiology(ids, faceless, n_groups, lag_s, seed)
    drifts = np.random.default_rng([seed, 2]).uniform(size=(n_groups, DRIFTS, 2))
    group = np.arange(len(ids)) % n_groups
    frames = da.arange(start_frame, start_frame + n_frames, chunks=chunk_frames, dtype="int64")
    arguments: list[Any] = [
        da.from_array(everyone, chunks=(1, -1)), "sp",
        da.from_array(drifts[group], chunks=(1, -1, -1)), "sdq",
        da.arange(len(sessions), chunks=1), "n",
        frames, "t",
    ]  # fmt: skip
    lost = tuple(gap) if gap else None
    grid = shape[0], shape[1]  # a tuple, whatever was given
    scene = Scene(grid, rate_hz, noise_k, breath_k, turn_deg, shift_px, lost, dropout, seed)

    def pieces(function: Any, axes: str, dtype: str, **new_axes: int) -> da.Array:
        return da.blockwise(
            function, axes, *arguments, scene=scene, new_axes=new_axes, concatenate=True,
            dtype=dtype, meta=np.empty((0,) * len(axes), dtype),
            align_arrays=False,  # they fit; dask would warn of the many chunks of an opera
        )  # fmt: skip

    sizes = pieces(boxes, "sntb", "int16", b=2)
    arrays = {
        schema.HEATMAP: pieces(faces, "sntyx", "float32", y=shape[0], x=shape[1]),
        schema.HEIGHT: sizes[..., 0],
        schema.WIDTH: sizes[..., 1],
        schema.POSITION: pieces(positions, "snta", "float32", a=2),
        schema.N_TIME: np.full((len(ids), len(sessions)), n_frames, "int64"),
    }
    frame = np.arange(start_frame, start_frame + n_frames)
    out = xr.Dataset(
        {
            n: (schema.VARIABLES[n].dims, a, schema.VARIABLES[n].attrs)
            for n, a in arrays.items()
        },
        coords={
            schema.SESSION: list(sessions),
            schema.TIME: (schema.TIME, frame / rate_hz, {"units": "s", "axis": "T"}),
            schema.FRAME: (schema.TIME, frame),
            schema.AXIS: ["x", "y"],
            **_truth(ids, group, everyone),
        },
        attrs={
            schema.SAMPLING_RATE: rate_hz,
            schema.THRESHOLD: 25.0,
            schema.SCHEMA: schema.VERSION,
            "title": title,
        },
    )
    out[schema.HEATMAP].attrs[schema.SAMPLING_RATE] = rate_hz
    if any(scene.movement):
        dims = (*schema.VARIABLES[schema.HEIGHT].dims, schema.FEATURE, schema.AXIS)
        places = pieces(landmarks, "sntpa", "float64", p=len(PARTS), a=2)
        about = {"long_name": "true place of a part of the face", "units": "pixel"}
        out["true_landmark"] = (dims, places, about)
        out = out.assign_coords({schema.FEATURE: list(PARTS)})
    return out


def _truth(ids: Sequence[int], group: Ints, everyone: F64) -> dict[str, Any]:
    """What is true of each person, as coordinates."""
    lag, breath = (everyone[:, COLUMNS.index(name)] for name in ("lag_s", "breath_hz"))
    return {
        schema.SUBJECT: list(ids),
        "group": (schema.SUBJECT, group),
        "true_lag": (schema.SUBJECT, lag, {"units": "s"}),
        "breath_hz": (schema.SUBJECT, breath, {"units": "Hz"}),
    }
