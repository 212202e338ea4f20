"""A kernel over core dimensions of labelled arrays, lazy where the arrays are."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike


def apply_kernel(
    function: Callable[..., Any],
    /,
    *arrays: Any,
    core: Sequence[Iterable[Hashable]] = (),
    new: Iterable[Hashable] | Mapping[Hashable, int | None] = (),
    dtype: DTypeLike = np.float64,
    dask: Literal["parallelized", "allowed"] = "parallelized",
    **options: Any,
) -> xr.DataArray:
    """Result of a kernel as a DataArray without attributes; nothing is computed at call.

    Every other argument is the kernel's. All arrays must have the same labels.

    Parameters
    ----------
    function
        Kernel: numpy in, numpy out, core axes last.
    *arrays
        Arguments of the kernel.
    core
        Core dimensions of each array, each in one chunk. Empty: none has any.
    new
        Core dimensions of the result. A mapping gives the size of each that no array has, and
        None for the others.
    dtype
        Dtype of the result. dask does not compare it with the kernel's.
    dask
        ``"allowed"``: the function handles dask arrays itself.
    **options
        Options of the kernel. They are pickled into the graph, so arrays do not belong here.
    """
    sizes = {d: n for d, n in new.items() if n is not None} if isinstance(new, Mapping) else {}
    result: xr.DataArray = xr.apply_ufunc(
        function,
        *arrays,
        input_core_dims=[list(dims) for dims in core] or None,
        output_core_dims=[list(new)],
        kwargs=options,
        dask=dask,
        dask_gufunc_kwargs={"output_sizes": sizes} if sizes else {},
        output_dtypes=[np.dtype(dtype)],  # without it dask runs the kernel to see the dtype
        keep_attrs=False,  # kept by default since xarray 2025.11: the units would be wrong
    )
    return result
