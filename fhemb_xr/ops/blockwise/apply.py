"""A kernel over core dimensions of labelled arrays, lazy where the arrays are."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import funcname
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
    cores = [list(dims) for dims in core] or [[] for _ in arrays]
    if dask == "parallelized":
        sizes = (
            {d: n for d, n in new.items() if n is not None} if isinstance(new, Mapping) else {}
        )
        # xarray's own way, ``apply_gufunc``, makes three tasks of each block
        function = partial(_by_blocks, function, cores, list(new), sizes, np.dtype(dtype))
    result: xr.DataArray = xr.apply_ufunc(
        function,
        *arrays,
        input_core_dims=cores,
        output_core_dims=[list(new)],
        kwargs=options,
        dask="allowed",
        keep_attrs=False,  # kept by default since xarray 2025.11: the units would be wrong
    )
    return result


def _by_blocks(
    function: Callable[..., Any],
    cores: list[list[Hashable]],
    new: list[Hashable],
    sizes: dict[Hashable, int],
    dtype: np.dtype[Any],
    *arrays: Any,
    **options: Any,
) -> Any:
    """The kernel on each block of dask arrays; axes before the core ones broadcast."""
    if not any(isinstance(x, da.Array) for x in arrays):
        return function(*arrays, **options)
    lead = max(np.ndim(x) - len(dims) for x, dims in zip(arrays, cores, strict=True))
    names = list(dict.fromkeys(d for dims in cores for d in dims))
    pairs: list[Any] = []
    for x, dims in zip(arrays, cores, strict=True):
        n = np.ndim(x)
        sizes = {**dict(zip(dims, np.shape(x)[n - len(dims) :], strict=True)), **sizes}
        _require_whole(x, dims)
        pairs += [
            x,
            (*range(lead - n + len(dims), lead), *(lead + names.index(d) for d in dims)),
        ]
    after = range(lead + len(names), lead + len(names) + len(new))
    counts = tuple(len(dims) for dims in cores)
    return da.blockwise(
        partial(_unpacked, function, counts, options),
        (*range(lead), *after),
        *pairs,
        token=funcname(function).strip("_"),  # a prefix of the name, for progress bars
        new_axes={axis: sizes[d] for axis, d in zip(after, new, strict=True)},
        dtype=dtype,
        meta=np.empty((0,) * (lead + len(new)), dtype),  # else dask runs the kernel now
    )


def _unpacked(
    function: Callable[..., Any], counts: tuple[int, ...], options: dict[str, Any], *blocks: Any
) -> Any:
    """The kernel on blocks that dask hands over in a list for each core axis.

    ``concatenate=True`` would unpack them, but dask fuses only layers that agree in it.
    """
    arrays = []
    for block, n in zip(blocks, counts, strict=True):
        for _ in range(n if isinstance(block, list) else 0):
            (block,) = block
        arrays.append(block)
    return function(*arrays, **options)


def _require_whole(x: Any, dims: list[Hashable]) -> None:
    counts = x.numblocks if isinstance(x, da.Array) else (1,) * np.ndim(x)
    if split := [
        d for d, n in zip(dims, counts[len(counts) - len(dims) :], strict=True) if n > 1
    ]:
        raise ValueError(
            f"the work needs {split[0]!r} in one chunk, it consists of multiple chunks: "
            f".chunk({split[0]}=-1)"
        )
