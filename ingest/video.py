"""Frames of a video as a lazy array: cut at key frames, decoded where they are needed."""

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
from fhemb_xr.errors import ConfigError, SourceError
from fhemb_xr.typing import F64, Ints


def open_video(path: Path | str, *, gray: bool = True, block_frames: int = 250) -> xr.DataArray:
    """Open a video as ``(time, y, x)``, lazily (extra ``streams``).

    Parameters
    ----------
    path
        Anything that FFmpeg reads.
    gray
        Luma only; False gives ``(time, y, x, channel)`` in red, green, blue.
    block_frames
        Frames that are decoded together, at least; blocks end where a key frame begins.

    Returns
    -------
    DataArray ``video``, lazy, with the seconds of each frame as its time, from 0 on; uint8, or
    uint16 where a pixel has more than 8 bits (``attrs["bits"]``). Frames are turned as players
    show them (``attrs["rotation"]``, degrees counterclockwise); those that an edit list hides
    are left out. ``attrs["sampling_rate"]`` is the average [Hz].

    Raises
    ------
    SourceError
        There is no such file, no video in it, or frames without a time; at compute, a frame
        that is damaged.
    ConfigError
        If PyAV is not installed: ``pip install 'fhemb_xr[streams]'``.

    Notes
    -----
    Memory: a block of frames. Tasks: one per block. Computes at call: none; the packets are
    listed, which reads the file and decodes one frame. A task decodes in one thread, from a key
    frame on; from the first one in an MPEG program stream, and in an AVI of H.264 with
    B-frames, whose frames have no times.

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
    """What a list of the packets, and the first frame, tell."""

    shape: tuple[int, int]  # as stored
    clock: Ints  # time of each frame that is shown [ticks], in the order of showing
    keys: Ints  # frames from which decoding can begin
    seeks: Ints  # where the container seeks to, for each of them [ticks]
    seconds: F64
    rate_hz: float
    bits: int
    rotation: int  # degrees counterclockwise that a player turns a frame by
    by_number: bool  # times of frames are no use: decode from the first one

    @property
    def turns(self) -> int:
        """Quarters that a frame is turned by, counterclockwise."""
        return self.rotation // 90 % 4 if self.rotation % 90 == 0 else 0


def _opened(path: Path | str) -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError(
            "videos are read by av, which is not installed: pip install 'fhemb_xr[streams]'"
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
                (p.pts, p.dts, p.is_keyframe, p.is_discard)
                for p in container.demux(stream)
                if p.size
            ]
            base, shape = float(stream.time_base), (int(stream.height), int(stream.width))
            rate = float(stream.average_rate or 0) or schema.DEFAULT_RATE_HZ
            blind = container.format.name == "mpeg"  # seeks into the middle of groups
        with _opened(path) as container:
            first = next(container.decode(video=0), None)
            late = container.streams.video[0].codec_context.has_b_frames
    except av.error.FFmpegError as error:
        raise SourceError(f"{path.name!r} is damaged: {error.strerror}") from None
    if first is None or not packets or any(pts is None for pts, *_ in packets):
        raise SourceError(
            f"{path.name!r} has frames without a time, or none: copy it into an MP4 with FFmpeg"
        )
    shown = [pts for pts, _, _, discarded in packets if not discarded]
    clock = np.array(sorted(shown), np.int64)  # decoded in another order
    starts = sorted((pts, pts if dts is None else dts) for pts, dts, key, _ in packets if key)
    rotation = int(first.rotation)
    if rotation % 90:
        warnings.warn(
            f"players turn {path.name!r} by {rotation} degrees, frames are as they are stored",
            UserWarning,
            stacklevel=3,
        )
    # an AVI gives frames the order of decoding as their times
    odd = bool(late) and shown == sorted(shown) and any(not key for _, _, key, _ in packets)
    seconds = np.asarray(np.arange(len(clock)) / rate if odd else (clock - clock[:1]) * base)
    keys, seeks = np.array(starts, np.int64).reshape(-1, 2).T
    bits = max(8, *(c.bits for c in first.format.components[:1]))
    return _About(shape, clock, keys, seeks, seconds, rate, bits, rotation, odd or blind)


def _starts(about: _About, at_least: int) -> Ints:
    """First frames of the blocks: of key frames, those far enough from the one before."""
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
    at = 0
    for target in [*before[:3], None]:  # None: from the beginning
        out = np.empty((stop - first, *tail), np.uint8 if about.bits == 8 else np.uint16)
        at = 0
        try:
            for frame in _frames(path, about, first, stop, target):
                if at < len(out):
                    out[at] = np.rot90(frame.to_ndarray(format=kind), about.turns)
                at += 1
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{name!r} is damaged after frame {first + at}: {error.strerror}"
            ) from None
        if at == len(out):
            return out
    raise SourceError(
        f"{name!r} has {at} of {stop - first} frames from {about.seconds[first]:.6g} s on: is "
        "it damaged?"
    )


def _frames(
    path: str, about: _About, first: int, stop: int, target: int | None
) -> Iterator[Any]:
    """Frames ``[first, stop)`` in the order of showing, from a place in the file on."""
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
            return  # it sought to a later frame, as what seeks by the order of decoding does
        for frame in itertools.chain([head], frames):
            if high is not None and frame.pts >= high:
                return
            if frame.pts >= low:
                yield frame
