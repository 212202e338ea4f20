"""Rounds over the data: a small state, sums over all blocks that depend on it, the next state.

Each round reads the source once, after the round before has ended, so that no chunk waits in
memory for the next one.
"""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr.ops.blockwise import recipes
from fhemb_xr.ops.blockwise.reductions import merge_states, unchanged
from fhemb_xr.ops.blockwise.rereading import again
from fhemb_xr.typing import F64


def rounds(
    x: da.Array, state: da.Array, sums: Callable[..., F64], advance: Callable[..., F64],
    n: int, *, size: int,
) -> da.Array:  # fmt: skip
    """The state ``(..., s)`` after ``n`` rounds over ``x (..., a, b, c)``.

    Chunks before the last three axes of ``x`` have length 1. ``sums`` is ``(a, b, c), (s) ->
    (size)`` of a block, and is added over blocks; ``advance`` is ``(s), (size) -> (s)``.
    Memory: one block and the state. Tasks: under three per block and round.
    """
    for _ in range(n):
        found = summed(x, state, sums, size=size)
        state = each(advance, state, found, size=state.shape[-1])
    return state


def summed(
    x: da.Array, state: da.Array, sums: Callable[..., F64], *, size: int,
    merge: Callable[[F64], F64] | None = None,
) -> da.Array:  # fmt: skip
    """``sums`` added over all blocks of ``x``, which is read after ``state`` is there.

    ``merge`` does what takes the place of adding, ``(..., k, size) -> (..., size)``.
    """
    axes, lead = tuple(range(x.ndim)), x.ndim - 3

    def of_blocks(source: da.Array) -> da.Array:
        found: da.Array = da.blockwise(
            _of_block,
            (*axes, x.ndim),
            source,
            axes,
            state,
            (*range(lead), x.ndim + 1),
            kernel=sums,
            new_axes={x.ndim: size},
            adjust_chunks=dict.fromkeys(axes[lead:], 1),
            dtype=np.float64,
            meta=np.empty((0,) * (x.ndim + 1)),  # else dask runs the kernel now
        )
        return found

    parts = of_blocks(x)
    if recipes.inlined(parts, axes[lead:]) is None:
        parts = of_blocks(again(x, state))
    return merge_states(parts, merge or _added, unchanged, core=axes[lead:], apart=True)


def each(kernel: Callable[..., F64], *vectors: da.Array, size: int) -> da.Array:
    """``kernel`` of small vectors ``(..., v)``, one of each leading index: ``(..., size)``."""
    lead = vectors[0].ndim - 1
    pairs = [v for i, x in enumerate(vectors) for v in (x, (*range(lead), lead + 1 + i))]
    return da.blockwise(
        _of_vectors,
        (*range(lead), lead),
        *pairs,
        kernel=kernel,
        new_axes={lead: size},
        dtype=np.float64,
        meta=np.empty((0,) * (lead + 1)),
    )


def of_whole(kernel: Callable[..., F64], x: Any, *, size: int) -> Any:
    """``kernel (a, b, c) -> (size)`` of each leading index of ``x (..., a, b, c)``.

    Of a dask array, the last three axes lie in one chunk; one task does it all.
    """
    if not isinstance(x, da.Array):
        return _of_leading(x, kernel=kernel, size=size)
    axes = tuple(range(x.ndim))
    return da.blockwise(
        _whole_block,
        (*axes[:-3], x.ndim),
        x,
        axes,
        kernel=kernel,
        size=size,
        new_axes={x.ndim: size},
        dtype=np.float64,
        meta=np.empty((0,) * (x.ndim - 2)),
    )


def _of_leading(x: F64, *, kernel: Callable[..., F64], size: int) -> F64:
    out = np.empty((*x.shape[:-3], size))
    for at in np.ndindex(x.shape[:-3]):
        out[at] = kernel(x[at])
    return out


def _whole_block(block: Any, *, kernel: Callable[..., F64], size: int) -> F64:
    return _of_leading(_alone(block), kernel=kernel, size=size)


def _of_block(x: Any, state: Any, *, kernel: Callable[..., F64]) -> F64:
    out = kernel(x.reshape(x.shape[-3:]), _alone(state).reshape(-1))
    return out.reshape((1,) * x.ndim + (-1,))


def _of_vectors(*vectors: Any, kernel: Callable[..., F64]) -> F64:
    flat = [_alone(v) for v in vectors]
    out = kernel(*(v.reshape(-1) for v in flat))
    return out.reshape((1,) * (flat[0].ndim - 1) + (-1,))


def _alone(block: Any) -> Any:
    """The one block that dask hands over in a list for each axis that ends here."""
    while isinstance(block, list):
        (block,) = block
    return block


def _added(parts: Any) -> Any:
    return parts.sum(axis=-2)
