"""Which file is read by what: by its suffix in any case, and by its first bytes."""

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
    from ingest.files.video_files import open_frames  # xarray takes its time to import

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
    """Name of a file's format by its suffix; None where it is none of those that are read.

    Examples
    --------
    >>> kind(Path("subj40.NPY")), kind(Path("notes.txt"))
    ('NumPy', None)
    """
    known = _KINDS.get(path.suffix.lower())
    return known and known[0]


def readable() -> str:
    """The suffixes that are read, for an error."""
    return ", ".join(_KINDS)


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """The arrays of a file by name.

    Raises
    ------
    SourceError
        If it is not there, is damaged, or is of a kind that is not read.
    ConfigError
        If its library is not installed.
    """
    known = _KINDS.get(path.suffix.lower())
    if known is None and not (path.is_file() and hdf5_files.is_hdf5(path)):
        raise SourceError(
            f"{path.name!r} is of a kind that is not read; these are: {readable()}"
        )
    opener = known[1] if known else hdf5_files.open_hdf5
    with ExitStack() as stack:
        yield guarded(path, lambda: opener(path, stack))
