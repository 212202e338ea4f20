"""Arrays in MATLAB files up to version 7 and in NetCDF 3, read by SciPy.

Files are read whole. Memory: the size of the file, at most 2 GiB for a ``.mat``.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.errors import SourceError
from ingest.files.contents import Contents
from ingest.files.hdf5_files import arranged, as_text, time_first


def open_matlab(path: Path, stack: ExitStack) -> Contents:
    """Open a ``.mat``; return its numeric arrays by name, without cells and structs."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(path, mat_dtype=False)
    except (MatReadError, NotImplementedError, TypeError) as error:
        raise SourceError(f"cannot read {path.name!r}: {error}") from None
    arrays: dict[str, Any] = {
        # MATLAB stores a vector as a matrix of one row or column
        n: a.ravel() if a.ndim == 2 and 1 in a.shape else a
        for n, a in variables.items()
        if not n.startswith("__") and isinstance(a, np.ndarray) and a.dtype.kind in "iufb"
    }
    doubts = tuple(
        f"{n!r} of {path.name!r} was written by MATLAB: its axes are taken as (time, y, x), "
        f"{a.shape[0]} frames of {a.shape[1]} x {a.shape[2]}"
        for n, a in arrays.items()
        if len(a.shape) == 3
    )
    return Contents(arrays, doubts=doubts)


def open_netcdf3(path: Path, stack: ExitStack) -> Contents:
    """Open a NetCDF 3 file; return its variables with their packing undone."""
    from scipy.io import netcdf_file

    try:
        file: Any = netcdf_file(path, "r", mmap=False)
    except TypeError as error:
        raise SourceError(f"cannot read {path.name!r}: {error}") from None
    stack.callback(file.close)
    arrays, units = {}, {}
    for name, variable in file.variables.items():
        about = dict(variable._attributes)
        order = time_first(variable.dimensions) or range(len(variable.dimensions))
        arrays[name] = arranged(variable.data, tuple(order), about)
        units[name] = as_text(about.get("units"))
    return Contents(arrays, units={n: u for n, u in units.items() if u})
