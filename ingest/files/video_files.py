"""Grey videos of radiometric cameras as stacks, with all bits and the clock of the video."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.files.contents import Contents
from ingest.video import open_video

BLOCK_FRAMES = 64


class _Frames:
    """Frames of a video as rows ``(time, y, x)``; each block is decoded once."""

    def __init__(self, video: Any) -> None:
        self.shape, self.dtype = tuple(map(int, video.shape)), np.dtype(video.dtype)
        self._blocks = video.data
        self._ends = np.cumsum(video.data.chunks[0])
        self._last: tuple[int, NDArray[Any]] | None = None

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        while start < stop:
            k = int(np.searchsorted(self._ends, start, side="right"))
            first = int(self._ends[k - 1]) if k else 0
            end = min(stop, int(self._ends[k]))
            parts.append(self._block(k)[start - first : end - first])
            start = end
        return np.concatenate(parts)

    def _block(self, k: int) -> NDArray[Any]:
        if self._last is None or self._last[0] != k:
            block = self._blocks.blocks[k].compute(scheduler="synchronous")
            self._last = (k, np.asarray(block))
        return self._last[1]


def open_frames(path: Path, stack: ExitStack) -> Contents:
    """Open a video; its grey values are one stack, named after the file."""
    video = open_video(path, block_frames=BLOCK_FRAMES)
    doubts = () if video.dtype == np.uint16 else (
        f"{path.name!r} has 8 bits a pixel: scale and offset turn its grey values into °C only "
        "if its palette is linear and fixed",
    )  # fmt: skip
    return Contents(
        {path.stem: _Frames(video)}, seconds=video.time.values, doubts=doubts, alone=True
    )
