"""Frames of a video as a lazy array: cut at key frames, decoded where they are needed."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import SourceError
from fhemb_xr.typing import Ints


def open_video(path: Path | str, *, gray: bool = True, block_frames: int = 250) -> xr.DataArray:
    """Open a video as ``(time, y, x)``, lazily (extra ``streams``).

    Parameters
    ----------
    path
        Anything that FFmpeg reads.
    gray
        Luma only; else ``(time, y, x, channel)`` in red, green, blue.
    block_frames
        Frames that are decoded together, at least; blocks end where a key frame begins.

    Returns
    -------
    DataArray ``video``, uint8, lazy, with the seconds of each frame as its time, from 0 on.
    ``attrs["sampling_rate"]`` is the average [Hz].

    Raises
    ------
    SourceError
        There is no such file, no video in it, or frames without a time.

    Notes
    -----
    Memory: a block of frames. Tasks: one per block. Computes at call: none; the packets are
    listed, which reads the file and decodes nothing. A task decodes in one thread.

    Examples
    --------
    >>> from ingest.video import open_video
    >>> open_video("no.mp4")
    Traceback (most recent call last):
    fhemb_xr.errors.SourceError: 'no.mp4' cannot be read: No such file or directory
    """
    import dask.array as da

    path = Path(path)
    shape, clock, keys, rate_hz = _listed(path)
    starts = _starts(clock, keys, block_frames)
    stops = np.append(clock[starts[1:]], clock[-1] + 1)
    lengths = np.diff([*starts, len(clock)])
    spans = np.stack([clock[starts], stops, lengths], axis=1)
    tail = (*shape, *(() if gray else (3,)))
    index = da.from_array(spans, chunks=(1, 3))
    data = index.map_blocks(
        _decoded, path=str(path), tail=tail, dtype=np.uint8, drop_axis=1,
        new_axis=list(range(1, len(tail) + 1)), meta=np.empty((0,) * (len(tail) + 1), np.uint8),
        chunks=(tuple(lengths.tolist()), *((n,) for n in tail)),
    )  # fmt: skip
    seconds = (clock - clock[0]) * _base(path)
    dims = (schema.TIME, schema.Y, schema.X, *(() if gray else ("channel",)))
    coords: dict[str, Any] = {schema.TIME: (schema.TIME, seconds, {"units": "s"})}
    if not gray:
        coords["channel"] = ["red", "green", "blue"]
    attrs = {schema.SAMPLING_RATE: rate_hz, "long_name": "frames of a video"}
    return xr.DataArray(data, coords, dims, "video", attrs)


def _opened(path: Path | str) -> Any:
    import av

    name = Path(path).name
    try:
        container = av.open(str(path))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no video"
        raise SourceError(f"{name!r} cannot be read: {why}") from None
    if not container.streams.video:
        container.close()
        raise SourceError(f"{name!r} has no video in it")
    return container


def _base(path: Path) -> float:
    with _opened(path) as container:
        return float(container.streams.video[0].time_base)


def _listed(
    path: Path,
) -> tuple[tuple[int, int], Ints, Ints, float]:
    """Rows and columns, times of all frames and of the key frames in ticks, frames a second."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
        shape = (int(stream.height), int(stream.width))
        rate = float(stream.average_rate or 0) or schema.DEFAULT_RATE_HZ
    if not packets or any(pts is None for pts, _ in packets):
        raise SourceError(
            f"{path.name!r} has frames without a time, or none: copy it into an MP4 with FFmpeg"
        )
    clock = np.array(sorted(pts for pts, _ in packets), np.int64)  # decoded in another order
    return shape, clock, np.array(sorted(p for p, key in packets if key), np.int64), rate


def _starts(clock: Ints, keys: Ints, at_least: int) -> Ints:
    """First frames of the blocks: of key frames, those far enough from the one before."""
    starts = [0]
    for place in np.searchsorted(clock, keys).tolist():
        if place - starts[-1] >= at_least:
            starts.append(place)
    return np.array(starts, np.int64)


def _decoded(span: Ints, path: str, tail: tuple[int, ...]) -> NDArray[np.uint8]:
    start, stop, n = span[0].tolist()
    out = np.empty((n, *tail), np.uint8)
    kind, at = ("gray" if len(tail) == 2 else "rgb24"), 0
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # dask owns the threads
        container.seek(start, stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts >= stop:
                break
            if frame.pts >= start and at < n:
                out[at] = frame.to_ndarray(format=kind)
                at += 1
    if at < n:
        raise SourceError(
            f"{Path(path).name!r} has {at} of {n} frames from tick {start} on: is it damaged?"
        )
    return out
