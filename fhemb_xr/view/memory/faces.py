"""Faces of people at a moment: two seconds are read at once, and the last ones are kept.

To decode a chunk of 1000 frames takes about 10 ms, to unpack all of them to temperatures four
times as long: only the frames that are shown, and those that follow in a film, are read.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.typing import F64
from fhemb_xr.view.memory.series import nearest_place

F16 = NDArray[np.float16]
MOST_BYTES = 2**27
"""Bytes of frames that are kept: twenty pieces of twelve faces of 60 × 90 pixels."""
_PIECE = 50
"""Frames that are read at once, at most."""
_TOGETHER = 3
"""People of one request to dask: their chunks are unpacked side by side, 10 MiB of each."""
LEVELS = 254


class Faces:
    """Frames of a recording, as float16: 0.03 K at a face's temperatures, half the memory."""

    def __init__(self, recording: xr.Dataset) -> None:
        self._heat = recording[schema.HEATMAP]
        self.people = recording[schema.SUBJECT].values.tolist()
        self.sessions = recording[schema.SESSION].values.tolist()
        self.seconds: F64 = Clock.of(recording).require_forward().axis_s
        self.shape = (self._heat.sizes[schema.Y], self._heat.sizes[schema.X])
        self._piece = _piece_of(self._heat)
        self._coldest = float(recording.attrs.get(schema.THRESHOLD, -np.inf))
        self._kept: OrderedDict[tuple[Any, Any, int], F16] = OrderedDict()
        self._bytes = 0
        self._reading: set[tuple[Any, Any, int]] = set()
        self._lock = threading.Condition()

    def at(self, second: float) -> int:
        """The frame nearest to a moment."""
        return nearest_place(self.seconds, second)

    def kept(self, person: Any, session: Any, k: int) -> F16 | None:
        """A frame that has been read, or None."""
        with self._lock:
            key = (person, session, k // self._piece)
            block = self._kept.get(key)
            if block is None:
                return None
            self._kept.move_to_end(key)  # what was seen last is dropped last
            frame: F16 = block[k % self._piece]
            return frame

    def frame(self, person: Any, session: Any, k: int) -> F16 | None:
        """A frame, read if it must be; None for a person who is not there."""
        self.read([person], session, k)
        return self.kept(person, session, k) if 0 <= k < self.seconds.size else None

    def read(self, people: Sequence[Any], session: Any, k: int) -> None:
        """Have the piece of a frame of those who are there, also of what another thread reads.

        Several people of a dask array are one request, which is faster than one by one.
        """
        # an embedding may lack the session
        is_there = session in self.sessions or len(self.sessions) == 1
        if not is_there or not 0 <= k < self.seconds.size:
            return
        wanted = [(p, session, k // self._piece) for p in people if p in self.people]
        with self._lock:
            mine = [key for key in wanted if not (key in self._kept or key in self._reading)]
            self._reading.update(mine)
        blocks: list[F16] = []
        try:
            n = 1 if self._heat.chunks is None else _TOGETHER
            for i in range(0, len(mine), n):
                blocks += self._read(mine[i : i + n])
        finally:
            with self._lock:
                self._reading.difference_update(mine)
                self._lock.notify_all()
        with self._lock:
            for key, block in zip(mine, blocks, strict=True):
                self._kept[key] = block
                self._bytes += block.nbytes
            while self._bytes > MOST_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            while self._reading.intersection(wanted):
                self._lock.wait()

    def _read(self, keys: list[tuple[Any, Any, int]]) -> list[F16]:
        """The pieces of several people, of one session and one time."""
        _, session, c = keys[0]
        part = self._heat.isel(
            {
                schema.SUBJECT: [self.people.index(p) for p, _, _ in keys],
                schema.SESSION: self._session(session),
                schema.TIME: slice(c * self._piece, (c + 1) * self._piece),
            }
        )
        pixels = part.transpose(schema.SUBJECT, schema.TIME, schema.Y, schema.X).values
        found = [one.astype(np.float16) for one in pixels]
        for one, warm in zip(found, pixels, strict=True):
            one[warm < self._coldest] = np.nan
        return found

    def next_piece(self, k: int) -> int:
        """The first frame that is not read with a frame."""
        return (k // self._piece + 1) * self._piece

    def _session(self, session: Any) -> int:
        return self.sessions.index(session) if session in self.sessions else 0


def _piece_of(heat: xr.DataArray) -> int:
    """Frames that are read together: of dask a chunk, otherwise a part of what is stored."""
    if heat.chunks is not None:
        return int(heat.chunksizes[schema.TIME][0])
    stored = heat.encoding.get("chunks")
    chunk = int(stored[heat.dims.index(schema.TIME)]) if stored else _PIECE
    return next(n for n in range(min(_PIECE, chunk), 0, -1) if chunk % n == 0)


def limits_of(frames: list[F16]) -> tuple[float, float] | None:
    """Temperatures between which colours run: nearly all pixels of some faces."""
    seen = [f[np.isfinite(f)].astype(np.float64) for f in frames]
    pixels = np.concatenate(seen) if seen else np.zeros(0)
    if not pixels.size:
        return None
    low, high = np.quantile(pixels, [0.02, 0.998])
    return float(low), float(max(high, low + 0.1))


def cell(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a face with room for its name above, and a line beside it."""
    return shape[0] + max(1, -(-shape[0] // 6)), shape[1] + 1


def mosaic(
    frames: list[F16 | None], shape: tuple[int, int], columns: int, limits: tuple[float, float]
) -> NDArray[np.uint8]:
    """Faces beside and below one another as levels 1…255; 0 where there is no pixel."""
    rows = -(-len(frames) // columns)
    height, width = cell(shape)
    head = height - shape[0]
    out = np.zeros((rows * height, columns * width), dtype=np.uint8)
    low, high = limits
    for k, frame in enumerate(frames):
        if frame is None:
            continue
        scaled = (frame.astype(np.float32) - low) * (LEVELS / (high - low)) + 1
        levels = np.where(np.isfinite(scaled), np.clip(scaled, 1, LEVELS + 1), 0)
        y, x = (k // columns) * height + head, (k % columns) * width
        out[y : y + frame.shape[0], x : x + frame.shape[1]] = levels.astype(np.uint8)
    return out
