"""Arrays in ``.npy`` and ``.npz`` files, read a few frames at a time; nothing is unpickled.

An ``.npz`` is a zip. A read of a member continues where the last read ended, so reading in the
order of time decompresses the member once.
"""

import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from ingest.files.contents import Contents


def open_npy(path: Path, stack: ExitStack) -> Contents:
    """Open an ``.npy``; its array is named after the file."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return Contents({path.stem: array}, alone=True)


def open_npz(path: Path, stack: ExitStack) -> Contents:
    """Open an ``.npz``; an array of objects is listed, but refused when it is read."""
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = [n for n in archive.namelist() if n.endswith(".npy")]
    return Contents({n.removesuffix(".npy"): _Member(archive, n, stack) for n in members})


class _Member:
    """An array in a zip; ``[a:b]`` after ``[:a]`` continues where ``[:a]`` ended."""

    def __init__(self, archive: zipfile.ZipFile, name: str, files: ExitStack) -> None:
        self._archive, self._name, self._files = archive, name, files
        self._stream: Any = archive.open(name)
        version = npy.read_magic(self._stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = header(self._stream)
        self._fortran = fortran and len(self.shape) > 1
        self._first = self._stream.tell()
        self._unpacked: Any = None

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        if self.dtype.hasobject:
            raise SourceError(f"{self._name!r} holds objects, not numbers")
        if self._fortran:
            return np.array(self._whole()[rows])
        a, b, _ = rows.indices(self.shape[0] if self.shape else 0)
        each = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._go_to(self._first + a * each)
        wanted = max(b - a, 0) * each
        raw = self._stream.read(wanted)
        if len(raw) != wanted:
            raise SourceError(f"{self._name!r} is truncated at row {a + len(raw) // each}")
        return np.frombuffer(raw, self.dtype).reshape(-1, *self.shape[1:])

    def _go_to(self, place: int) -> None:
        if place < self._stream.tell():
            self._stream.seek(place)  # zipfile starts again
        # a seek ahead would start where another member was read last (Python 3.13)
        while (ahead := place - self._stream.tell()) > 0:
            if not self._stream.read(min(ahead, 2**20)):
                return

    def _whole(self) -> Any:
        """An array in Fortran order, unpacked into an unnamed temporary file."""
        if self._unpacked is None:
            aside: Any = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            self._stream.seek(self._first)
            shutil.copyfileobj(self._stream, aside, 2**20)
            aside.flush()
            n_bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
            if aside.tell() < n_bytes:
                raise SourceError(f"{self._name!r} is truncated at byte {aside.tell()}")
            self._unpacked = np.memmap(aside, self.dtype, "r", 0, self.shape, "F")
        return self._unpacked
