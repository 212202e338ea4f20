"""Arrays in HDF5: plain files, NetCDF 4, and MATLAB 7.3, which reverses all axes.

h5py reads HDF5; it lets one thread read at a time.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.io import provenance
from ingest.files.contents import Arranged, Contents, Rows, needed

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TIMES = ("time", "t", "frame", "frames", "timestamp")
_PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value")


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, by its signature; a user block may precede the signature."""
    with path.open("rb") as file:
        for start in (0, 512, 1024, 2048, 4096):
            file.seek(start)
            if file.read(8) == SIGNATURE:
                return True
    return False


def open_hdf5(path: Path, stack: ExitStack) -> Contents:
    """Open a file; return its datasets by their paths."""
    h5py = needed("h5py", "HDF5 files", "hdf5")
    with path.open("rb") as file:
        matlab = file.read(10) == b"MATLAB 7.3"
    datasets: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        if hasattr(node, "dtype") and not name.startswith("#"):  # MATLAB keeps cells in "#..."
            datasets[name] = node

    stack.enter_context(h5py.File(path, "r")).visititems(visit)
    arrays: dict[str, Rows] = {}
    units, reversed_ = {}, []
    for name, dataset in datasets.items():
        about = {k: dataset.attrs[k] for k in (*_PACKING, "units") if k in dataset.attrs}
        is_matlab = matlab or "MATLAB_class" in dataset.attrs
        axes = dataset.ndim
        order = tuple(reversed(range(axes))) if is_matlab else time_first(_names(dataset))
        arrays[name] = arranged(dataset, order or tuple(range(axes)), about)
        units[name] = as_text(about.get("units"))
        reversed_ += [name] if is_matlab and axes == 3 else []
    doubts = [
        f"{name!r} of {path.name!r} was written by MATLAB: its axes are taken as (time, y, x) "
        f"in MATLAB's order, {arrays[name].shape[0]} frames of "
        f"{arrays[name].shape[1]} x {arrays[name].shape[2]}"
        for name in reversed_
    ]
    return Contents(arrays, units={n: u for n, u in units.items() if u}, doubts=tuple(doubts))


def arranged(array: Any, order: Sequence[int], about: Mapping[str, Any]) -> Rows:
    """``array`` with its axes in the given order, and its packing undone."""
    packing = {
        k: np.asarray(about[k]).ravel()[0]
        for k in _PACKING
        if _means_something(array, about, k)
    }
    if tuple(order) == tuple(range(len(order))) and not packing:
        plain: Rows = array
        return plain
    return Arranged(array, tuple(order), packing)


def _means_something(array: Any, about: Mapping[str, Any], name: str) -> bool:
    """Whether an attribute changes values: not a fill value of NaN, nor in arrays of text."""
    if name not in about or array.dtype.kind not in "iuf":
        return False
    return bool(np.asarray(about[name]).ravel()[0] == np.asarray(about[name]).ravel()[0])


def time_first(names: Sequence[str]) -> tuple[int, ...] | None:
    """Order of named axes with time first, then y, then x; None if the names do not show it.

    Examples
    --------
    >>> time_first(["y", "x", "time"]), time_first(["a", "b", "c"])
    ((2, 0, 1), None)
    """
    times = [i for i, name in enumerate(names) if name.lower() in _TIMES]
    if len(names) != 3 or len(times) != 1:
        return None
    rest = [i for i in range(3) if i != times[0]]
    if names[rest[0]].lower() in ("x", "width", "column", "columns", "col"):
        rest.reverse()
    return times[0], rest[0], rest[1]


def _names(dataset: Any) -> list[str]:
    """Names of the axes, as NetCDF 4 stores them."""
    names = []
    for axis in dataset.dims:
        scale = axis[0].name.rpartition("/")[2] if len(axis) else ""
        names.append(axis.label or scale)
    return names


def as_text(value: Any) -> str:
    """An attribute as text; empty if it is no text."""
    if isinstance(value, bytes | np.bytes_):
        return value.decode(errors="replace")
    plain = provenance.plain(value)
    return plain if isinstance(plain, str) else ""
