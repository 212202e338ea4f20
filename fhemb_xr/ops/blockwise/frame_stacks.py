"""Apply a function to stacks of frames: to whole stacks, to states, or block by block.

One basis is fitted to one stack. In ``x (..., *samples, y, x)``, n axes are samples.
"""

from typing import Any

import dask.array as da
import numpy as np


def whole(x: Any, n: int, function: Any, width: tuple[int, int], **options: Any) -> Any:
    """``function(stack (t, p), **options)`` for each stack, which is whole in one task."""
    if not isinstance(x, da.Array):
        return _each(x, function, n, width, options)
    axes = tuple(range(x.ndim))
    new = (x.ndim, x.ndim + 1)
    return da.blockwise(
        _each, (*axes[: -n - 2], *new), x, axes,
        function=function, n=n, width=width, options=options,
        new_axes=dict(zip(new, width, strict=True)), concatenate=True,
        dtype=np.float64, meta=np.empty((0,) * (x.ndim - n)),
    )  # fmt: skip


def rows(function: Any, width: tuple[int, int], *arrays: Any, **options: Any) -> Any:
    """``function`` of arrays with the same leading axes: ``-> (..., *width)``."""
    given = [a for a in arrays if a is not None]
    lead = given[0].ndim - 2
    pairs: list[Any] = []
    for i, a in enumerate(given):
        own = tuple(100 * (i + 1) + j for j in range(a.ndim - lead))
        pairs += [a, (*range(lead), *own)]
    new = (lead, lead + 1)
    return da.blockwise(
        function, (*range(lead), *new), *pairs, **options,
        new_axes=dict(zip(new, width, strict=True)), concatenate=True,
        dtype=np.float64, meta=np.empty((0,) * (lead + 2)),
    )  # fmt: skip


def per_block(
    function: Any, x: da.Array, n: int, pixels: Any, dtype: Any, *more: Any,
    reduced: bool = False, **options: Any,
) -> Any:  # fmt: skip
    """``function(block, pixels, *more)``: shaped as the block or, if reduced, ``(l, p)``."""
    axes, lead = tuple(range(x.ndim)), x.ndim - n - 2
    pairs: list[Any] = [x, axes]
    for i, a in enumerate((pixels, *more)):
        own = None if a is None else tuple(100 * (i + 1) + j for j in range(a.ndim - lead))
        pairs += [a, None if own is None else (*axes[:lead], *own)]
    if not reduced:
        return da.blockwise(
            function, axes, *pairs, n=n, **options, concatenate=True,
            dtype=dtype, meta=np.empty((0,) * x.ndim, dtype),
        )  # fmt: skip
    new = (x.ndim, x.ndim + 1)
    return da.blockwise(
        _spread_out, (*axes[:-2], *new), *pairs, function=function, n=n, **options,
        new_axes=dict(zip(new, more[0].shape[-2:], strict=True)), concatenate=True,
        adjust_chunks=dict.fromkeys(axes[lead:-2], 1),
        dtype=dtype, meta=np.empty((0,) * x.ndim, dtype),
    )  # fmt: skip


def _spread_out(x: Any, *arrays: Any, function: Any, n: int, **options: Any) -> Any:
    out = function(x, *arrays, n=n, **options)
    lead = out.ndim - 2
    return out.reshape(*out.shape[:lead], *(1,) * n, *out.shape[lead:])


def _each(x: Any, function: Any, n: int, width: Any, options: Any) -> Any:
    frames = flat(x, n)
    out = np.empty((*frames.shape[:-2], *width))
    for where in np.ndindex(frames.shape[:-2]):
        out[where] = function(frames[where], **options)
    return out


def flat(x: Any, n: int) -> Any:
    """Frames as rows: ``(..., *samples, y, x) -> (..., t, p)``."""
    return x.reshape(*x.shape[: x.ndim - n - 2], -1, x.shape[-2] * x.shape[-1])
