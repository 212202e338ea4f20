"""Frames of a video as a lazy array: cut at key frames, decoded when they are needed."""

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.clock import Clock, assumed_hz
from fhemb_xr.errors import ConfigError, SourceError
from fhemb_xr.typing import F64, Ints


def open_video(path: Path | str, *, gray: bool = True, block_frames: int = 250) -> xr.DataArray:
    """Open a video as ``(time, y, x)``, lazily (extra ``streams``).

    Parameters
    ----------
    path
        Path of a video that FFmpeg can read.
    gray
        Whether to take luma only; False gives ``(time, y, x, channel)`` in red, green, blue.
    block_frames
        Smallest number of frames that are decoded together; blocks end before a key frame.

    Returns
    -------
    DataArray
        Lazy DataArray ``video``. Its time is in seconds from 0 on. The dtype is uint8, or
        uint16 if a pixel has more than 8 bits (``attrs["bits"]``). Frames are turned as players
        show them (``attrs["rotation"]``, degrees counterclockwise). Frames that an edit list
        hides are left out. ``attrs["sampling_rate"]`` is the average rate [Hz].

    Raises
    ------
    SourceError
        There is no such file, it has no video, or its frames have no times; at compute, a
        frame is damaged.
    ConfigError
        PyAV is not installed: ``pip install 'fhemb_xr[streams]'``.

    Notes
    -----
    Memory per task: a block of frames. Tasks: one per block. Computes at call: none; listing
    the packets reads the file and decodes one frame. A task decodes in one thread, from a key
    frame on. It decodes from the first frame on in MPEG program streams, and in AVI files of
    H.264 with B-frames, whose frames have no times.

    Examples
    --------
    >>> from ingest.video import open_video
    >>> open_video("no.mp4")
    Traceback (most recent call last):
    fhemb_xr.errors.SourceError: 'no.mp4' cannot be read: No such file or directory
    """
    import dask.array as da

    path = Path(path)
    about = _listed(path)
    starts = _starts(about, block_frames)
    ends = np.append(starts[1:], len(about.clock))
    spans = np.stack([starts, ends], axis=1)
    turned = about.shape[::-1] if about.turns % 2 else about.shape
    tail = (*turned, *(() if gray else (3,)))
    dtype = np.dtype(np.uint8 if about.bits == 8 else np.uint16)
    data = da.from_array(spans, chunks=(1, 2)).map_blocks(
        _decoded, path=str(path), about=about, tail=tail, dtype=dtype, drop_axis=1,
        new_axis=list(range(1, len(tail) + 1)), meta=np.empty((0,) * (len(tail) + 1), dtype),
        chunks=(tuple((ends - starts).tolist()), *((n,) for n in tail)),
    )  # fmt: skip
    dims = (schema.TIME, schema.Y, schema.X, *(() if gray else ("channel",)))
    coords: dict[str, Any] = {schema.TIME: (schema.TIME, about.seconds, {"units": "s"})}
    if not gray:
        coords["channel"] = ["red", "green", "blue"]
    attrs = {schema.SAMPLING_RATE: about.rate_hz, "long_name": "frames of a video"}
    attrs |= {"bits": about.bits} if about.bits > 8 else {}
    attrs |= {"rotation": about.rotation} if about.rotation else {}
    return xr.DataArray(data, coords, dims, "video", attrs)


@dataclass(frozen=True, eq=False)
class _About:
    """Facts about a video, from its packets and its first frame."""

    shape: tuple[int, int]  # as stored
    clock: Ints  # time of each shown frame [ticks], in the order of showing
    keys: Ints  # key frames, from which decoding can start
    seeks: Ints  # position to seek to, for each key frame [ticks]
    seconds: F64
    rate_hz: float
    bits: int
    rotation: int  # angle by which a player turns a frame [degrees counterclockwise]
    by_number: bool  # the times of frames are useless: decode from the first frame on

    @property
    def turns(self) -> int:
        """Number of quarter turns, counterclockwise."""
        return self.rotation // 90 % 4 if self.rotation % 90 == 0 else 0


def _opened(path: Path | str) -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError(
            "reading videos needs av, which is not installed: pip install 'fhemb_xr[streams]'"
        ) from None
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


def _listed(path: Path) -> _About:
    """List the packets, and decode the first frame."""
    import av

    try:
        with _opened(path) as container:
            stream = container.streams.video[0]
            packets = [
                (p.pts, p.dts, p.is_keyframe, p.is_discard, p.duration or 0)
                for p in container.demux(stream)
                if p.size
            ]
            base, shape = float(stream.time_base), (int(stream.height), int(stream.width))
            told = float(stream.average_rate or 0) or None
            promised_s = _promised_s(container, stream)
            blind = container.format.name == "mpeg"  # seeks into the middle of groups
        with _opened(path) as container:
            first = next(container.decode(video=0), None)
            late = container.streams.video[0].codec_context.has_b_frames
    except av.error.FFmpegError as error:
        raise SourceError(f"{path.name!r} is damaged: {error.strerror}") from None
    if first is None or not packets or any(pts is None for pts, *_ in packets):
        raise SourceError(
            f"{path.name!r} has no frames, or frames without times: copy it into an MP4 with "
            "FFmpeg"
        )
    shown = [pts for pts, _, _, discarded, _ in packets if not discarded]
    told = told or _rate_of(np.array(sorted(shown)) * base)
    rate = assumed_hz(told, f"{path.name!r} states no rate", "attrs['sampling_rate'] ")
    clock = np.array(sorted(shown), np.int64)  # decoded in another order
    starts = sorted((pts, pts if dts is None else dts) for pts, dts, key, *_ in packets if key)
    held_s = (max(p[0] + p[4] for p in packets) - min(p[0] for p in packets)) * base
    if promised_s is not None and promised_s - held_s > max(1.0, 0.05 * promised_s):
        warnings.warn(
            f"{path.name!r} says that it lasts {promised_s:.3g} s and has frames for "
            f"{held_s:.3g} s: is it cut off?",
            UserWarning,
            stacklevel=3,
        )
    rotation = int(first.rotation)
    if rotation % 90:
        warnings.warn(
            f"players turn {path.name!r} by {rotation} degrees; frames here are not turned",
            UserWarning,
            stacklevel=3,
        )
    # an AVI gives the order of decoding as times of frames
    odd = bool(late) and shown == sorted(shown) and any(not key for _, _, key, *_ in packets)
    seconds = np.asarray(np.arange(len(clock)) / rate if odd else (clock - clock[:1]) * base)
    keys, seeks = np.array(starts, np.int64).reshape(-1, 2).T
    bits = max(8, *(c.bits for c in first.format.components[:1]))
    return _About(shape, clock, keys, seeks, seconds, rate, bits, rotation, odd or blind)


def _promised_s(container: Any, stream: Any) -> float | None:
    """Duration of the video in the header of its file [s]; None if only other streams tell."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration is not None
    return container.duration / 1e6 if alone else None


def _rate_of(seconds: F64) -> float | None:
    """Frames a second by the times of the frames, where they are even."""
    film = xr.DataArray(seconds, dims=schema.TIME, coords={schema.TIME: seconds})
    return Clock.of(film).known_hz


def _starts(about: _About, at_least: int) -> Ints:
    """First frame of each block: a key frame at least ``at_least`` frames after the last."""
    starts = [0]
    for place in np.searchsorted(about.clock, about.keys).tolist():
        if at_least <= place - starts[-1] and place < len(about.clock):
            starts.append(place)
    return np.array(starts, np.int64)


def _decoded(span: Ints, path: str, about: _About, tail: tuple[int, ...]) -> NDArray[Any]:
    import av

    first, stop = span[0].tolist()
    name = Path(path).name
    deep = f"gray{about.bits}le" if len(tail) == 2 else "rgb48le"
    kind = deep if about.bits > 8 else "gray" if len(tail) == 2 else "rgb24"
    low = about.clock[first]
    before = [] if about.by_number else about.seeks[about.keys <= low][::-1].tolist()
    n_decoded = 0
    for target in [*before[:3], None]:  # None: from the start of the file
        out = np.empty((stop - first, *tail), np.uint8 if about.bits == 8 else np.uint16)
        n_decoded = 0
        try:
            for frame in _frames(path, about, first, stop, target):
                if n_decoded < len(out):
                    out[n_decoded] = np.rot90(frame.to_ndarray(format=kind), about.turns)
                n_decoded += 1
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{name!r} is damaged after frame {first + n_decoded}: {error.strerror}"
            ) from None
        if n_decoded == len(out):
            return out
    raise SourceError(
        f"{name!r} has {n_decoded} of {stop - first} frames from "
        f"{about.seconds[first]:.6g} s on: is it damaged?"
    )


def _frames(
    path: str, about: _About, first: int, stop: int, target: int | None
) -> Iterator[Any]:
    """Frames ``[first, stop)`` in the order of showing, decoded from ``target`` on."""
    low = about.clock[first]
    high = about.clock[stop] if stop < len(about.clock) else None
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # dask owns the threads
        if target is not None and first > 0:
            container.seek(target, stream=stream, backward=True)
        frames = container.decode(stream)
        if about.by_number:
            yield from itertools.islice(frames, first, stop)
            return
        head = next(frames, None)
        if head is None or (head.pts > low and target is not None and first > 0):
            return  # the container seeks by the order of decoding, and reached a later frame
        for frame in itertools.chain([head], frames):
            if high is not None and frame.pts >= high:
                return
            if frame.pts >= low:
                yield frame
