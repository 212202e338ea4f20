"""Arrays in files, read a few frames at a time: ``.npy``, ``.npz`` and HDF5.

Each opened file is a mapping of names to arrays with a ``shape``, a ``dtype`` and rows
``[a:b]``. Nothing is unpickled. HDF5 is read by h5py, which lets one thread in at a time; an
``.npz`` is a zip, of which a member is read on from where it was left, so that reading it in
the order of time decompresses it once.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError, SourceError

T = TypeVar("T")
HDF5 = (".h5", ".hdf5", ".hdf")
SUFFIXES = (".npy", ".npz", *HDF5)


class Rows(Protocol):
    """An array whose first axis is read in slices."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice, /) -> Any:
        """Rows ``[a, b)``."""


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Rows]]:
    """The arrays of a file by name; the one of an ``.npy`` is called after the file.

    Raises
    ------
    SourceError
        If it is not there, is damaged, or holds objects instead of numbers.
    ConfigError
        If it is HDF5 and h5py is not installed.
    """
    with ExitStack() as stack:
        yield _guarded(path, lambda: _arrays(path, stack))


def read(array: Rows, rows: slice, path: Path) -> NDArray[Any]:
    """Some rows of an array of this file.

    Raises
    ------
    SourceError
        If they cannot be read.
    """
    return _guarded(path, lambda: np.asarray(array[rows]))


def _guarded(path: Path, work: Callable[[], T]) -> T:
    try:
        return work()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, SourceError | ConfigError):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
    raise SourceError(f"cannot read {path.name!r}: {why}")


def _arrays(path: Path, stack: ExitStack) -> Mapping[str, Rows]:
    if path.suffix == ".npy":
        return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
    if path.suffix == ".npz":
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = [n for n in archive.namelist() if n.endswith(".npy")]
        return {n.removesuffix(".npy"): _Member(archive, n) for n in members}
    return _datasets(stack.enter_context(_h5py().File(path, "r")))


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise ConfigError(
            "HDF5 files are read by h5py, which is not installed: pip install 'fhemb_xr[hdf5]'"
        ) from None
    return h5py


def _datasets(file: Any) -> dict[str, Rows]:
    found: dict[str, Rows] = {}

    def visit(name: str, node: Any) -> None:
        if hasattr(node, "dtype"):
            found[name] = node

    file.visititems(visit)
    return found


class _Member:
    """An array in a zip; ``[a:b]`` after ``[:a]`` goes on where that ended."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive, self._name = archive, name
        self._open()

    def _open(self) -> None:
        self._stream: Any = self._archive.open(self._name)
        version = npy.read_magic(self._stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = read(self._stream)
        if self.dtype.hasobject:
            raise SourceError(f"{self._name!r} holds objects, not numbers")
        if fortran and len(self.shape) > 1:
            raise SourceError(
                f"{self._name!r} lies with its first axis innermost: save it again with "
                "np.ascontiguousarray"
            )
        self._first = self._stream.tell()

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        a, b, _ = rows.indices(self.shape[0] if self.shape else 0)
        each = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._stream.seek(self._first + a * each)  # backwards: zipfile starts again by itself
        wanted = max(b - a, 0) * each
        raw = self._stream.read(wanted)
        if len(raw) != wanted:
            raise SourceError(f"{self._name!r} is cut short at row {a + len(raw) // each}")
        return np.frombuffer(raw, self.dtype).reshape(-1, *self.shape[1:])
