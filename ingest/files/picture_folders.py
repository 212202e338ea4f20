"""Folders in which every frame is a file: TIFF, radiometric JPEG, ``.fff`` or CSV.

Frames follow the natural order of their names (``f2`` before ``f10``). If the names count (one
number differs, usually by 1), the numbers are the numbers of the frames, so that a frame that
was not recorded leaves a gap.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from fhemb_xr.typing import Ints
from ingest.files import csv_matrices, flir_files, tiff_files
from ingest.files.contents import Contents, Picture, guarded

_NUMBER = re.compile(r"(\d+)")
_DIGITS = 18  # of a number of 64 bits
_Kind = tuple[tuple[str, ...], Callable[[Path], Picture], Callable[[Path], bool]]
KINDS: dict[str, _Kind] = {
    "TIFF": ((".tif", ".tiff"), tiff_files.picture, tiff_files.is_one),
    "FLIR JPEG": ((".jpg", ".jpeg"), flir_files.picture, flir_files.is_radiometric),
    "FLIR FFF": ((".fff",), flir_files.picture, lambda path: True),
    "CSV": ((".csv",), csv_matrices.picture, csv_matrices.is_one),
}
"""Suffixes, reader of one frame, and whether a file is one frame, by format."""


def natural(path: Path) -> list[tuple[int, str]]:
    """Key that sorts names with numbers by the numbers.

    Examples
    --------
    >>> [p.name for p in sorted(map(Path, ["f10.tif", "f9.tif"]), key=natural)]
    ['f9.tif', 'f10.tif']
    """
    parts = _NUMBER.split(path.name)
    return [(int(t), "") if i % 2 else (-1, t) for i, t in enumerate(parts)]


def pictures(files: Sequence[Path]) -> tuple[str, list[Path]] | None:
    """The format and the files of a folder whose files are single frames; otherwise None.

    The first, the middle and the last file of a format are looked at.

    Raises
    ------
    SourceError
        Some files are one frame and others a stack, or two formats hold single frames.
    """
    found: dict[str, list[Path]] = {}
    for name, (suffixes, _, is_one) in KINDS.items():
        of_kind = sorted((f for f in files if f.suffix.lower() in suffixes), key=natural)
        if len(of_kind) < 2:
            continue
        if name == "CSV" and not csv_matrices.is_matrix(of_kind[0]):
            continue
        looked = {0, len(of_kind) // 2, len(of_kind) - 1}
        ones = [guarded(of_kind[i], partial(is_one, of_kind[i])) for i in looked]
        if all(ones):
            found[name] = of_kind
        elif any(ones) and name != "FLIR JPEG":
            raise SourceError(
                f"{of_kind[0].parent.name!r} holds {name} files of one frame and of several: "
                "put them into separate folders"
            )
    if len(found) > 1:
        raise SourceError(
            f"{files[0].parent.name!r} holds frames as {' and as '.join(found)}: keep one "
            "format in the folder"
        )
    return next(iter(found.items()), None)


def open_pictures(folder: Path, stack: ExitStack) -> Contents:
    """Open a folder of frames: one stack, named after the folder."""
    found = pictures([p for p in folder.iterdir() if not p.name.startswith(".")])
    if found is None:
        raise SourceError(f"{folder.name!r} is no folder of frames")
    name, files = found
    rows = _Pictures(files, KINDS[name][1])
    last = KINDS[name][1](files[-1])
    doubts = []
    if last.camera != rows.first.camera:
        doubts.append(f"the camera's settings change within {folder.name!r}")
    numbers, doubt = numbered(files)
    doubts += [doubt] if doubt else []
    arrays: dict[str, Any] = {folder.name: rows}
    if numbers is not None:
        arrays["frame_number"] = numbers
    unit = rows.first.unit
    return Contents(
        arrays, units={folder.name: unit} if unit else {}, camera=rows.first.camera,
        doubts=tuple(doubts), alone=True, parts=files,
    )  # fmt: skip


class _Pictures:
    """Files of one frame as rows ``(time, y, x)``."""

    def __init__(self, files: Sequence[Path], reader: Callable[[Path], Picture]) -> None:
        self._files, self._reader = files, reader
        self.first = reader(files[0])
        self.shape: tuple[int, ...] = (len(files), *self.first.values.shape)
        self.dtype: np.dtype[Any] = self.first.values.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        chosen = self._files[rows]
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for i, file in enumerate(chosen):
            frame = guarded(file, partial(self._reader, file)).values
            if frame.shape != self.shape[1:] or frame.dtype != self.dtype:
                raise SourceError(
                    f"{file.name!r} is {frame.dtype} of shape {frame.shape}, "
                    f"{self._files[0].name!r} is {self.dtype} of shape {self.shape[1:]}: the "
                    "frames of one folder are alike"
                )
            out[i] = frame
        return out


def numbered(files: Sequence[Path]) -> tuple[Ints | None, str]:
    """Frame numbers in the names of files, and a doubt; None if the names do not count.

    Examples
    --------
    >>> numbered([Path("a_1.tif"), Path("a_2.tif"), Path("a_4.tif")])[0].tolist()
    [1, 2, 4]
    """
    parts = [_NUMBER.split(f.stem) for f in files]
    differing = [
        i
        for i in range(len(parts[0]))
        if len({p[i] if i < len(p) else None for p in parts}) > 1
    ]
    counts = len({len(p) for p in parts}) == 1 and len(differing) == 1 and differing[0] % 2
    if not counts or any(len(p[differing[0]]) > _DIGITS for p in parts):
        return None, "the names of the frames do not count: they are counted 0, 1, ... in order"
    numbers = np.array([int(p[differing[0]]) for p in parts], dtype=np.int64)
    steps = np.diff(numbers)
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    if (steps <= 0).any() or usual != 1:
        return None, (
            f"the numbers in the names of the frames grow by {usual}: the frames "
            "are counted 0, 1, ... in order"
        )
    absent = int((steps - 1).sum())
    doubt = f"{absent} numbers are absent from the names of the frames: gaps" if absent else ""
    return numbers, doubt
