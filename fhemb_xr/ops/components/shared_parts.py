"""Courses of people on a shared response, and how its parts are labelled."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.components import srm as kernel
from fhemb_xr.ops.attributes import describe
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.typing import F64

COMPONENT = "component"
_TARGET = 2**25
"""Bytes of all people in one task; fewer are worked on in one task altogether."""


def in_blocks(
    lines: xr.DataArray, dim: Hashable, feature: Hashable, lead: list[Hashable],
    n_state: int = 0,
) -> xr.DataArray:  # fmt: skip
    """All people of a stretch of time in each block, of which none is too large.

    Few are put together, so that rounds over them are made in one task. ``n_state``: numbers
    that a block gives in a single round; it has as many itself.
    """
    if not lines.chunks:
        return lines
    target = max(_TARGET, 8 * n_state)
    moment = 8 * lines.sizes[dim] * lines.sizes[feature]
    longest = max(lines.chunksizes[schema.TIME])
    chunks: dict[Hashable, Any] = {dim: -1, feature: -1, **dict.fromkeys(lead, 1)}
    if not n_state and moment * lines.sizes[schema.TIME] <= target:
        chunks[schema.TIME] = -1
    elif moment * longest > target:
        most = max(1, target // moment)
        # parts of chunks as they are read: no block waits for two chunks of a person
        chunks[schema.TIME] = tuple(
            part for n in lines.chunksizes[schema.TIME] for part in _parts(n, most)
        )
    return rechunked(lines, chunks)


def _parts(n: int, most: int) -> list[int]:
    """``n`` in parts of nearly the same size, of which none is larger than ``most``."""
    edges = np.linspace(0, n, -(-n // most) + 1).round().astype(int)
    return [int(n) for n in np.diff(edges)]


def courses(
    lines: xr.DataArray, fit: xr.Dataset, dim: Hashable, feature: Hashable
) -> xr.DataArray:
    """The course of each person, ``(..., dim, time, component)``; a block at a time."""
    scores = apply_kernel(
        _course,
        lines.transpose(..., dim, schema.TIME, feature),
        *(fit[name].drop_vars([feature], errors="ignore") for name in ("mean", "scale")),
        fit["weights"].drop_vars([feature], errors="ignore"),
        core=[[feature], [feature], [feature], [feature, COMPONENT]],
        new=[COMPONENT],
    )
    return scores.transpose(..., dim, schema.TIME, COMPONENT)


def _course(x: F64, mean: F64, scale: F64, weights: F64) -> F64:
    inverse = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
    there = kernel.present(x)[..., None]
    z = np.where(there, (x - mean) * inverse, 0.0)
    if weights.ndim > 2 and weights.shape[-3] == 1:  # alike at all times: one product a person
        out: F64 = np.matmul(z, weights[..., 0, :, :])
    else:
        out = np.matmul(z[..., None, :], weights)[..., 0, :]
    return np.where(there, out, np.nan)


def described(out: xr.Dataset, x: xr.DataArray, normalize: str) -> xr.Dataset:
    """The result with its units; those of the courses are the units of the scaled features."""
    out = out.assign_coords({COMPONENT: np.arange(out.sizes[COMPONENT])})
    if "iteration" in out.dims:
        out = out.assign_coords(iteration=np.arange(out.sizes["iteration"]))
    units = str(x.attrs.get("units", "1"))
    scaled = "1" if normalize == "zscore" else units
    share = "share of variance that the component explains"
    texts = {
        "weights": ("weights of the person's features", "1"),
        "mean": ("mean of the feature", units),
        "scale": ("divisor of the feature", units if normalize == "zscore" else "1"),
        "explained": (share, "1"),
        "explained_of": (f"{share}, of the person", "1"),
        "explained_by": ("share of variance that all components explain", "1"),
        "scores": ("course of the person", scaled),
        "shared": ("course that people share", scaled),
        "p": ("p-value, corrected for all components", "1"),
    }
    describe(out, texts)
    out.attrs = {"normalize": normalize, **Clock.of(x).attrs}
    return out
