"""The reader of each file format; formats are known by suffix or by the first bytes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fhemb_xr.errors import SourceError
from ingest.files import hdf5_files, numpy_files, scipy_files, tiff_files
from ingest.files.contents import Contents, guarded

Opener = Callable[[Path, ExitStack], Contents]


def _matlab(path: Path, stack: ExitStack) -> Contents:
    opener = hdf5_files.open_hdf5 if hdf5_files.is_hdf5(path) else scipy_files.open_matlab
    return opener(path, stack)


def _netcdf(path: Path, stack: ExitStack) -> Contents:
    opener = hdf5_files.open_hdf5 if hdf5_files.is_hdf5(path) else scipy_files.open_netcdf3
    return opener(path, stack)


def _video(path: Path, stack: ExitStack) -> Contents:
    from ingest.files.video_files import open_frames  # imports xarray, which is slow

    return open_frames(path, stack)


_KINDS: dict[str, tuple[str, Opener]] = {
    ".npy": ("NumPy", numpy_files.open_npy),
    ".npz": ("NumPy", numpy_files.open_npz),
    ".h5": ("HDF5", hdf5_files.open_hdf5),
    ".hdf5": ("HDF5", hdf5_files.open_hdf5),
    ".hdf": ("HDF5", hdf5_files.open_hdf5),
    ".mat": ("MATLAB", _matlab),
    ".nc": ("NetCDF", _netcdf),
    ".nc4": ("NetCDF", _netcdf),
    ".cdf": ("NetCDF", _netcdf),
    ".tif": ("TIFF", tiff_files.open_tiff),
    ".tiff": ("TIFF", tiff_files.open_tiff),
    ".mkv": ("video", _video),
    ".mp4": ("video", _video),
    ".avi": ("video", _video),
    ".mov": ("video", _video),
}


def kind(path: Path) -> str | None:
    """Name of a file's format by its suffix; None if the format is not known.

    Examples
    --------
    >>> kind(Path("subj40.NPY")), kind(Path("notes.txt"))
    ('NumPy', None)
    """
    known = _KINDS.get(path.suffix.lower())
    return known and known[0]


def readable() -> str:
    """The known suffixes, for an error."""
    return ", ".join(_KINDS)


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open a file; yield its arrays by name.

    Raises
    ------
    SourceError
        The file does not exist, is damaged, or has an unknown format.
    ConfigError
        The library of the format is not installed.
    """
    known = _KINDS.get(path.suffix.lower())
    if known is None and not (path.is_file() and hdf5_files.is_hdf5(path)):
        raise SourceError(
            f"{path.name!r} is of a kind that is not read; known are {readable()}"
        )
    opener = known[1] if known else hdf5_files.open_hdf5
    with ExitStack() as stack:
        yield guarded(path, lambda: opener(path, stack))
