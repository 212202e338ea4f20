"""The contents of an open file, and its read errors as one sentence."""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import ConfigError, FhembError, SourceError
from fhemb_xr.typing import F64

T = TypeVar("T")


class Rows(Protocol):
    """An array whose first axis is read in slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Rows ``[a, b)``."""


class Contents(dict[str, Rows]):
    """Arrays by name, with the facts in their file.

    Parameters
    ----------
    arrays
        Arrays by name.
    units
        Units of arrays, by name, if the file gives them.
    seconds
        Time of each frame [s], if the file has one clock for all arrays.
    camera
        Settings of the camera, e.g. its emissivity.
    doubts
        Doubts to report to the user.
    alone
        Whether the format holds one stack a file, which is named after its file.
    parts
        File of each frame, if every frame has a file of its own.
    """

    def __init__(
        self,
        arrays: Mapping[str, Rows],
        *,
        units: Mapping[str, str] | None = None,
        seconds: F64 | None = None,
        camera: Mapping[str, Any] | None = None,
        doubts: tuple[str, ...] = (),
        alone: bool = False,
        parts: Sequence[Path] = (),
    ) -> None:
        super().__init__(arrays)
        self.units, self.seconds = dict(units or {}), seconds
        self.camera, self.doubts = dict(camera or {}), doubts
        self.alone, self.parts = alone, tuple(parts)


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame ``(y, x)`` of a file, with its unit and the settings of the camera."""

    values: NDArray[Any]
    unit: str = ""
    camera: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Arranged:
    """An array with its axes in another order, and CF's packing undone.

    Parameters
    ----------
    source
        Array that can be indexed by a tuple of slices.
    order
        Axis of the source that becomes axis 0, 1, ...
    packing
        ``scale_factor``, ``add_offset``, ``_FillValue`` of NetCDF.
    """

    source: Any
    order: tuple[int, ...]
    packing: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the new order."""
        return tuple(int(self.source.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: float64 if packing was undone."""
        return np.dtype(np.float64) if self.packing else np.dtype(self.source.dtype)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        index: list[slice] = [slice(None)] * len(self.order)
        if index:
            index[self.order[0]] = rows
        values = np.asarray(self.source[tuple(index)]).transpose(self.order)
        return _decoded(values, self.packing) if self.packing else values


def _decoded(raw: NDArray[Any], packing: Mapping[str, Any]) -> NDArray[Any]:
    values = raw.astype(np.float64)
    for name in ("_FillValue", "missing_value"):
        if name in packing:
            values[raw == packing[name]] = np.nan
    scale = float(packing.get("scale_factor", 1.0))
    return np.asarray(values * scale + float(packing.get("add_offset", 0.0)))


def read(array: Rows, rows: slice, path: Path) -> NDArray[Any]:
    """Read some rows of an array of this file.

    Raises
    ------
    SourceError
        The rows cannot be read.
    """
    return guarded(path, lambda: np.asarray(array[rows]))


def guarded(path: Path, work: Callable[[], T]) -> T:
    """Run ``work()``; its errors become one sentence with the name of the file.

    Raises
    ------
    SourceError
        The file does not exist, or is damaged.
    """
    try:
        return work()
    except FhembError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        why = reason(error, path)
    raise SourceError(f"cannot read {path.name!r}: {why}")


def reason(error: Exception, path: Path) -> str:
    """Why a file cannot be read, in one line, without the folder that it lies in."""
    said = str(error)
    for folder in {path.absolute().parent, path.resolve().parent}:
        said = said.replace(f"{folder}/", "")
    return " ".join(said.split()) or type(error).__name__


def needed(module: str, what: str, extra: str) -> Any:
    """Import a library of an extra.

    Raises
    ------
    ConfigError
        The library is not installed; the error gives the command that installs it.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"reading {what} needs {module.partition('.')[0]}, which is not installed: "
            f"pip install 'fhemb_xr[{extra}]'"
        ) from None


def listed(files: Sequence[Path], most: int = 5) -> str:
    """The first names of ``files``, for a sentence."""
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(repr(f.name) for f in files[:most]) + more
