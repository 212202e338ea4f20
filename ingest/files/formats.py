"""The reader of each file format; formats are known by suffix or by the first bytes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fhemb_xr.errors import SourceError
from ingest.files import (
    cptv_files,
    csv_matrices,
    flir_files,
    hdf5_files,
    numpy_files,
    picture_folders,
    scipy_files,
    tiff_files,
)
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
    ".jpg": ("FLIR JPEG", flir_files.open_jpeg),
    ".jpeg": ("FLIR JPEG", flir_files.open_jpeg),
    ".fff": ("FLIR FFF", flir_files.open_sequence),
    ".seq": ("FLIR SEQ", flir_files.open_sequence),
    ".csq": ("FLIR CSQ", flir_files.open_sequence),
    ".cptv": ("CPTV", cptv_files.open_cptv),
    ".csv": ("CSV", csv_matrices.open_matrices),
    ".mkv": ("video", _video),
    ".mp4": ("video", _video),
    ".avi": ("video", _video),
    ".mov": ("video", _video),
}


_ELSEWHERE = {
    ".ats": "TIFF or CSV with FLIR's Research Studio",
    ".sfmov": "TIFF with FLIR's Research Studio",
    ".ptw": "TIFF with FLIR's Research Studio",
    ".hcc": "TIFF with Telops' Reveal, or .npy with the library fasthcc",
    ".ravi": "CSV with Optris' PIX Connect",
    ".irg": "CSV with the camera's own program",
    ".is2": "TIFF with Fluke's SmartView",
    ".is3": "TIFF with Fluke's SmartView",
}
"""Formats that no kept library reads, and the way to a format that is read."""
_PICTURES = {suffix for suffixes, *_ in picture_folders.KINDS.values() for suffix in suffixes}


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of frames, and folders whose files are frames; and what is skipped.

    A folder whose files are single frames is one entry. Pictures and texts beside stacks are
    no stacks.
    """
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    files = [p for p in visible if p.is_file()]
    stacks = [p for p in files if kind(p) and p.suffix.lower() not in _PICTURES]
    if not stacks and (found := picture_folders.pictures(files)):
        return [folder], [p for p in visible if p not in found[1]]
    films = [p for p in files if kind(p) and not _is_beside(p, bool(stacks))]
    below = [p for p in visible if p.is_dir() and not stacks and _has_pictures(p)]
    known = sorted([*films, *below])
    return known, [p for p in visible if p not in known]


def _is_beside(path: Path, stacks: bool) -> bool:
    """Whether a picture or a text is not meant as frames: beside stacks, or no matrix."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return stacks or not csv_matrices.is_matrix(path)
    if suffix in (".jpg", ".jpeg"):
        return stacks or not flir_files.is_radiometric(path)
    return False


def _has_pictures(folder: Path) -> bool:
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    stacks = any(kind(p) and p.suffix.lower() not in _PICTURES for p in files)
    return not stacks and picture_folders.pictures(files) is not None


def format_of(path: Path) -> str:
    """Name of the format of a file, or of the files of a folder."""
    if not path.is_dir():
        return kind(path) or "HDF5"
    found = picture_folders.pictures([p for p in path.iterdir() if not p.name.startswith(".")])
    return f"{found[0]} a frame" if found else "folder"


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
    """Open a file, or a folder whose files are frames; yield the arrays by name.

    Raises
    ------
    SourceError
        The file does not exist, is damaged, or has an unknown format.
    ConfigError
        The library of the format is not installed.
    """
    if path.is_dir():
        with ExitStack() as stack:
            yield guarded(path, lambda: picture_folders.open_pictures(path, stack))
        return
    known = _KINDS.get(path.suffix.lower())
    if (way := _ELSEWHERE.get(path.suffix.lower())) is not None:
        raise SourceError(
            f"{path.name!r} is a format that only its maker's program reads: export it as {way}"
        )
    if known is None and not (path.is_file() and hdf5_files.is_hdf5(path)):
        raise SourceError(
            f"{path.name!r} is of a kind that is not read; known are {readable()}"
        )
    opener = known[1] if known else hdf5_files.open_hdf5
    with ExitStack() as stack:
        yield guarded(path, lambda: opener(path, stack))
