"""One pass over chunks in any number: a state for each block, merged in a tree."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

Merge = Callable[[Any], Any]


def reduce_blocks(
    x: da.Array,
    state: Callable[..., Any],
    merge: Merge,
    finish: Callable[[Any], Any],
    *,
    n_core: int,
    width: tuple[int, ...],
    split_every: int = 8,
    **options: Any,
) -> da.Array:
    """Reduce the last ``n_core`` axes of ``x`` to an array of shape ``width``.

    ``state(block, **options)`` is ``(..., *core) -> (..., *width)``; ``merge`` is
    ``(..., k, *width) -> (..., *width)``, associative; ``finish`` keeps the shape. Never more
    than ``split_every`` states meet in one task.
    """
    axes = tuple(range(x.ndim))
    core = axes[-n_core:]
    extra = tuple(range(x.ndim, x.ndim + len(width)))
    states = da.blockwise(
        _block,
        (*axes, *extra),
        x,
        axes,
        kernel=state,
        options=options,
        n_core=n_core,
        n_width=len(width),
        new_axes=dict(zip(extra, width, strict=True)),
        adjust_chunks=dict.fromkeys(core, 1),
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim + len(width))),  # else dask runs the kernel now
    )
    steps: dict[str, Any] = {"core": core, "merge": merge}
    return da.reduction(
        states,
        chunk=_pass,
        combine=partial(_merged, **steps, finish=None),
        aggregate=partial(_merged, **steps, finish=finish),
        axis=core,
        split_every=split_every,
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim - n_core + len(width))),
    )


def _block(x: Any, kernel: Any, options: dict[str, Any], n_core: int, n_width: int) -> Any:
    out = kernel(x, **options)
    lead = out.ndim - n_width
    return out.reshape(*out.shape[:lead], *(1,) * n_core, *out.shape[lead:])


def _pass(x: Any, axis: Any, keepdims: bool) -> Any:
    return x


def _merged(x: Any, axis: Any, keepdims: bool, *, core: Any, merge: Merge, finish: Any) -> Any:
    lead, width = x.shape[: core[0]], x.shape[core[-1] + 1 :]
    out = merge(x.reshape(*lead, -1, *width))
    if finish is not None:
        out = finish(out)
    return out.reshape(*lead, *(1,) * len(core), *width) if keepdims else out
