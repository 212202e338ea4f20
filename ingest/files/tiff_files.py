"""Stacks of grey TIFF pages (16 bits or floats), read a few pages at a time by tifffile."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from ingest.files.contents import Contents, Picture, needed


class _Pages:
    """Pages of one shape as rows ``(time, y, x)``."""

    def __init__(self, file: Any, n_pages: int, shape: tuple[int, int], dtype: Any) -> None:
        self._file = file
        self.shape, self.dtype = (n_pages, *shape), np.dtype(dtype)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        places = range(*rows.indices(self.shape[0]))
        if not places:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return np.asarray(self._file.asarray(key=places)).reshape(-1, *self.shape[1:])


def open_tiff(path: Path, stack: ExitStack) -> Contents:
    """Open a TIFF; its pages are one stack, named after the file, with ImageJ's interval."""
    tifffile = needed("tifffile", "TIFF files", "camera")
    try:
        file = stack.enter_context(tifffile.TiffFile(path))
        pages = len(file.pages)
        first = file.pages[0]
        shapes = {series.shape[-2:] for series in file.series}
    except (tifffile.TiffFileError, IndexError) as error:
        raise SourceError(f"cannot read {path.name!r}: {error or 'it has no page'}") from None
    if len(shapes) > 1 or first.ndim != 2:
        raise SourceError(
            f"{path.name!r} is a TIFF with pages of the shape {first.shape} in {len(shapes)} "
            "sizes: expected grey pages (y, x) of one size"
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
    rows = _Pages(file, pages, first.shape, first.dtype)
    return Contents({path.stem: rows}, seconds=seconds, alone=True)


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
            pages, values = len(file.pages), np.asarray(file.pages[0].asarray())
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
            return len(file.pages) == 1
    except tifffile.TiffFileError as error:
        raise SourceError(f"cannot read {path.name!r}: {error}") from None


def _tiffs(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff")]
