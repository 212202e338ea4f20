"""Randomised components of a recording: three passes of products with few vectors."""

import math
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from fhemb_xr.kernels.pca import pixel_statistics
from fhemb_xr.kernels.pca import randomized as kernel
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops.blockwise import frame_stacks, recipes, reductions
from fhemb_xr.ops.blockwise.rereading import again

EXTRA = 14
"""Vectors beyond the components. With 14, three passes came nearer to LAPACK's variances than
subspace iteration with ten and five passes. Tested on seven spectra from flat to steep, even
and uneven pixels, with and without gaps, for every scaler."""


def randomized(x: Any, n: int, k: int, scaler: str, seed: Any, iqr: Any = None) -> Any:
    """The fits of ``x (..., *samples, y, x)``, n sample axes; ``iqr`` for ``"robust"``.

    The vectors of the first and of the second pass span the subspace. If the first are as many
    as the pixels, there is no third pass.
    """
    p = math.prod(x.shape[-2:])
    width = min(k + EXTRA, p)
    sketch = _sketch(x, n, int(np.random.default_rng(seed).integers(2**63)), width)
    pixels = sketch[..., : pixel_statistics.ROWS, :]
    vectors = _rows(kernel.first, (width, p), sketch, iqr, scaler=scaler)
    products = _product(x, n, pixels, iqr, vectors, scaler)
    count = min(width, p - width)
    if count:
        added = _rows(kernel.more, (count, p), vectors, products, count=count)
        more = _product(x, n, pixels, iqr, added, scaler)
        vectors, products = _together(vectors, added), _together(products, more)
    single = x.dtype == np.float32 and p >= kernel.WIDE
    return _rows(
        kernel.basis, FitLayout(k, p).shape, pixels, vectors, products, iqr,
        k=k, scaler=scaler, single=single,
    )  # fmt: skip


def _sketch(x: Any, n: int, seed: int, width: int) -> Any:
    """State of the pixels and first products, ``(..., 6 + l, p)``."""
    p = math.prod(x.shape[-2:])
    drawn: dict[str, Any] = {"seed": seed, "count": width}
    if not isinstance(x, da.Array):
        return _sketched(x, n=n, **drawn)
    return reductions.reduce_blocks(
        x, _sketched, partial(_merged, **drawn), reductions.unchanged,
        n_core=n + 2, width=(pixel_statistics.ROWS + width, p), apart=True,
        n=n, **drawn,
    )  # fmt: skip


def _product(x: Any, n: int, pixels: Any, iqr: Any, vectors: Any, scaler: str) -> Any:
    """Gram matrix of the pixels times vectors, ``(..., l, p)``, summed over the chunks."""
    if not isinstance(x, da.Array):
        return _block_product(x, pixels, vectors, iqr, n=n, scaler=scaler)

    def products(x: Any) -> Any:
        return frame_stacks.per_block(
            _block_product, x, n, pixels, np.float64, vectors, iqr, reduced=True, scaler=scaler
        )

    found = products(x)
    core = range(found.ndim - 2 - n, found.ndim - 2)
    if recipes.inlined(found, core) is None:
        found = products(again(x, vectors))
    axes = tuple(range(found.ndim - 2 - n, found.ndim - 2))
    return reductions.merge_states(found, _summed, reductions.unchanged, core=axes, apart=True)


def _rows(function: Any, width: tuple[int, int], *arrays: Any, **options: Any) -> Any:
    if isinstance(arrays[0], da.Array):
        return frame_stacks.rows(function, width, *arrays, **options)
    return function(*arrays, **options)


def _together(a: Any, b: Any) -> Any:
    join = da.concatenate if isinstance(a, da.Array) else np.concatenate
    return join([a, b], axis=-2)


def _sketched(x: Any, n: int, seed: int, count: int) -> Any:
    frames = frame_stacks.flat(x, n)
    return kernel.sketch(frames, kernel.start(seed, count, frames.shape[-1]))


def _merged(states: Any, seed: int, count: int) -> Any:
    return kernel.merged(states, kernel.start(seed, count, states.shape[-1]))


def _block_product(x: Any, pixels: Any, vectors: Any, iqr: Any, n: int, scaler: str) -> Any:
    return kernel.scaled_product(frame_stacks.flat(x, n), pixels, vectors, iqr, scaler=scaler)


def _summed(products: Any) -> Any:
    return products.sum(axis=-3)
