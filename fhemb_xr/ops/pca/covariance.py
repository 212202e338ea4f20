"""Eigenfaces by the exact covariance of pixels: one pass, one state per subject."""

import math
from typing import Any

import dask.array as da

from fhemb_xr import budget
from fhemb_xr.kernels.pca import covariance
from fhemb_xr.kernels.pca import pixel_statistics as kernel
from fhemb_xr.kernels.pca.fit_layout import FitLayout
from fhemb_xr.ops.blockwise import frame_stacks, reductions


def pixels_of(x: Any, n: int) -> Any:
    """State of each pixel, ``(..., 6, p)``, in one pass; ``n`` sample axes."""
    if not isinstance(x, da.Array):
        return kernel.pixel_state(frame_stacks.flat(x, n))
    p = math.prod(x.shape[-2:])
    return reductions.reduce_blocks(
        x,
        _pixel_state,
        kernel.merge_pixels,
        reductions.unchanged,
        n_core=n + 2,
        width=(kernel.ROWS, p),
        n=n,
    )


def quartiles_of(x: Any, n: int) -> Any:
    """Quartiles of each pixel, ``(..., 3, p)``: a task holds one stack, within the budget."""
    frames, p = math.prod(x.shape[-2 - n : -2]), math.prod(x.shape[-2:])
    budget.check(
        24 * frames * p,
        f"the quartiles of {p} pixels in {frames} frames (scaler 'robust')",
        "scaler='standard', fx.resize(ds, shape), or fewer frames",
    )
    return frame_stacks.whole(x, n, _quartiles, (3, p))


def by_covariance(x: Any, n: int, k: int, scaler: str) -> Any:
    """The exact fits, in one pass, in which quartiles (``"robust"``) gather the stack."""
    p = math.prod(x.shape[-2:])
    iqr = interquartile_range(x, n) if scaler == "robust" else None
    if not isinstance(x, da.Array):
        return covariance.basis(covariance_state(x, n), iqr, k=k, scaler=scaler)
    # the quartiles need the same chunks at the same time
    state, width = covariance_of(x, n, apart=iqr is None), FitLayout(k, p).shape
    return frame_stacks.rows(covariance.basis, width, state, iqr, k=k, scaler=scaler)


def covariance_of(x: da.Array, n: int, *, apart: bool = True) -> da.Array:
    """State of :mod:`fhemb_xr.kernels.pca.covariance` of every stack, in chains of chunks."""
    p = math.prod(x.shape[-2:])
    return reductions.fold_blocks(
        _gathered(x, p), covariance_state, _extended, covariance.merged,
        n_core=n + 2, width=(covariance.height(p), p), apart=apart, n_samples=n,
    )  # fmt: skip


def covariance_bytes(p: int) -> int:
    """Memory of the task that solves: a state of p pixels, two matrices, and merged states."""
    return 5 * 8 * covariance.height(p) * p


def _gathered(x: da.Array, p: int) -> da.Array:
    """``x`` with chunks joined along time until they are a quarter as large as their state.

    The state of many pixels is larger than a chunk. With small chunks, copying the state from
    task to task would take as long as adding to it.
    """
    time, most = x.ndim - 3, 2 * covariance.height(p) * p
    frame = math.prod(c[0] for c in x.chunks[:time]) * p * x.dtype.itemsize
    together: list[int] = []
    for n in x.chunks[time]:
        if together and (together[-1] + n) * frame <= most:
            together[-1] += n
        else:
            together.append(n)
    return x.rechunk({time: tuple(together)})


def interquartile_range(x: Any, n: int) -> Any:
    """Interquartile range of each pixel, ``(..., p)``."""
    quartiles = quartiles_of(x, n)
    return quartiles[..., 2, :] - quartiles[..., 0, :]


def _pixel_state(x: Any, n: int) -> Any:
    return kernel.pixel_state(frame_stacks.flat(x, n))


def _quartiles(x: Any) -> Any:
    return kernel.quartiles(x)


def covariance_state(x: Any, n_samples: int) -> Any:
    """State of :mod:`fhemb_xr.kernels.pca.covariance` of a chunk."""
    return covariance.state(frame_stacks.flat(x, n_samples))


def _extended(before: Any, x: Any, n_samples: int) -> Any:
    return covariance.extended(before, frame_stacks.flat(x, n_samples))
