"""Stacks of grey TIFF pages (16 bits or floats), read a few pages at a time by tifffile."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from ingest.files.contents import Contents, Picture, needed


class _Pages:
    """Pages of one shape as rows ``(time, y, x)``; frames in one piece are read at once."""

    def __init__(self, file: Any) -> None:
        self._file, first = file, file.pages[0]
        self._start, n_pages = _piece(file)
        self.shape, self.dtype = (n_pages, *first.shape), np.dtype(first.dtype)
        self._stored = self.dtype.newbyteorder(file.byteorder)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        places = range(*rows.indices(self.shape[0]))
        if not places:
            return np.empty((0, *self.shape[1:]), self.dtype)
        if self._start is None:
            values = self._file.asarray(key=places)
        else:  # tifffile would look at every page
            each = int(np.prod(self.shape[1:]))
            at = self._start + places.start * each * self.dtype.itemsize
            values = self._file.filehandle.read_array(self._stored, len(places) * each, at)
        return np.asarray(values).reshape(-1, *self.shape[1:])


def open_tiff(path: Path, stack: ExitStack) -> Contents:
    """Open a TIFF; its pages are one stack, named after the file, with ImageJ's interval."""
    tifffile = needed("tifffile", "TIFF files", "camera")
    try:
        file = stack.enter_context(tifffile.TiffFile(path))
        rows = _Pages(file)
        pages, first = rows.shape[0], file.pages[0]
        shapes = {series.shape[-2:] for series in file.series}
    except (tifffile.TiffFileError, IndexError) as error:
        raise SourceError(f"cannot read {path.name!r}: {error or 'it has no page'}") from None
    if len(shapes) > 1 or first.ndim != 2:
        raise SourceError(
            f"{path.name!r} is a TIFF with pages of the shape {first.shape} in {len(shapes)} "
            "sizes: expected grey pages (y, x) of one size"
        )
    axes = zip(file.series[0].shape, file.series[0].axes, strict=False)
    long = [f"{axis} ({n})" for n, axis in axes if n > 1]
    if len(file.series) == 1 and len(long) > 3:
        raise SourceError(
            f"{path.name!r} has the axes {', '.join(long)}: expected one axis of frames beside "
            "Y and X; save one channel and one slice"
        )
    if pages == 1 and len(_tiffs(path.parent)) > 1:
        raise SourceError(
            f"{path.name!r} is one frame of several in its folder: give the folder, whose "
            "files are then the frames"
        )
    about: dict[str, Any] = file.imagej_metadata or {}
    step = about.get("finterval")
    known = isinstance(step, int | float) and step > 0
    seconds = np.asarray(np.arange(pages) * float(step or 0), np.float64) if known else None
    return Contents({path.stem: rows}, seconds=seconds, alone=True)


def _piece(file: Any) -> tuple[int | None, int]:
    """Place of all frames in one piece, or None, and their number.

    ImageJ describes a stack beyond 4 GB by the first page alone.
    """
    pages, series = len(file.pages), file.series[0]
    described = int(np.prod(series.shape[: -file.pages[0].ndim], dtype=np.int64))
    start = series.dataoffset if len(file.series) == 1 else None
    return (None, pages) if start is None or described < pages else (start, described)


def picture(path: Path) -> Picture:
    """The one grey page of a TIFF.

    Raises
    ------
    SourceError
        The file is no TIFF, or holds something else than one grey page.
    """
    tifffile = needed("tifffile", "TIFF files", "camera")
    try:
        with tifffile.TiffFile(path) as file:
            pages, values = _piece(file)[1], np.asarray(file.pages[0].asarray())
    except (tifffile.TiffFileError, IndexError) as error:
        raise SourceError(f"cannot read {path.name!r}: {error or 'it has no page'}") from None
    if pages != 1 or values.ndim != 2:
        raise SourceError(
            f"{path.name!r} has {pages} pages of shape {values.shape}: expected one grey frame "
            "(y, x)"
        )
    return Picture(values)


def is_one(path: Path) -> bool:
    """Whether a TIFF has one page."""
    tifffile = needed("tifffile", "TIFF files", "camera")
    try:
        with tifffile.TiffFile(path) as file:
            return _piece(file)[1] == 1
    except (tifffile.TiffFileError, IndexError) as error:
        raise SourceError(f"cannot read {path.name!r}: {error or 'it has no page'}") from None


def _tiffs(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff")]
