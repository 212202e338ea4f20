"""CPTV films (FLIR Lepton, Cacophony Project) by the library ``cptv``.

A frame is stored as its difference from the frame before. Reading in the order of time decodes
the film once; a step back starts again. Names, serial numbers and places are not kept.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import F64
from ingest.files.contents import Contents, needed


def open_cptv(path: Path, stack: ExitStack) -> Contents:
    """Open a film: one stack of counts, with the clock of the camera."""
    cptv = needed("cptv.reader", "CPTV files", "camera")
    film = _Film(cptv.CPTVReader, path, stack)
    times = [frame.time_on for frame in film.frames(_Ticks(cptv.CPTVReader))]
    if not times:
        raise SourceError(f"{path.name!r} has no frame")
    film.shape = (len(times), *film.shape[1:])
    about = {n: _text(getattr(film.reader, n)) for n in ("brand", "model")}
    return Contents(
        {path.stem: film},
        seconds=_seconds(film.reader, times),
        camera={n: text for n, text in about.items() if text},
        alone=True,
    )


class _Film:
    """Frames of a film as rows ``(time, y, x)`` of counts."""

    def __init__(self, reader: Any, path: Path, stack: ExitStack) -> None:
        self._kind, self._path, self._stack = reader, path, stack
        self.reader = self._opened(reader)
        self.shape: tuple[int, ...] = (0, self.reader.y_resolution, self.reader.x_resolution)
        self.dtype: np.dtype[Any] = np.dtype(np.uint16)
        self._left, self._next = iter(()), -1

    def _opened(self, reader: Any) -> Any:
        return reader(self._stack.enter_context(self._path.open("rb")))

    def frames(self, reader: Any) -> Iterator[Any]:
        """The frames from the start, without the picture of the background."""
        return (f for f in self._opened(reader) if not f.background_frame)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        if start != self._next:
            self._left, self._next = self.frames(self._kind), start
            for _ in range(start):
                next(self._left)
        out = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        for i in range(len(out)):
            out[i] = next(self._left).pix
        self._next = start + len(out)
        return out


def _Ticks(reader: Any) -> Any:  # noqa: N802 (it makes a class)
    """A reader that skips the pixels: the clock of a film is in all of its frames."""

    class Ticks(reader):  # type: ignore[misc]
        def _decompress_frame(self, *_: Any) -> None:
            """Skip the pixels."""

    return Ticks


def _seconds(reader: Any, times: list[Any]) -> F64 | None:
    """Time of each frame [s since 1970], or None if the film has no clock and no rate."""
    start = reader.timestamp.timestamp() if reader.timestamp else 0.0
    ticks = np.array([0.0 if t is None else t.total_seconds() for t in times])
    if len(ticks) > 1 and (np.diff(ticks) > 0).all():
        return np.asarray(start + ticks - ticks[0])
    return start + np.arange(len(ticks)) / reader.fps if reader.fps else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
