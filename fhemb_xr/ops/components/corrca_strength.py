"""How strongly an audience shares the components: over time, and against a null."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.components import corrca as kernel
from fhemb_xr.kernels.inference.p_values import p_value
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.sliding_windows import samples_of
from fhemb_xr.ops.inference.nulls import margin_of, require_seed
from fhemb_xr.typing import F64


def in_windows(
    scores: xr.DataArray, x: xr.DataArray, dim: Hashable,
    window_s: float | None, step_s: float | None,
) -> xr.DataArray:  # fmt: skip
    """Inter-subject correlation in windows, ``(…, window, component)``."""
    length = x.sizes[schema.TIME]
    budget.check(16 * x.sizes[dim] * length, "one component of all people", "select less time")
    times = Clock.of(x)
    width, step = samples_of(window_s, step_s, times)
    starts = np.arange(0, length - width + 1, step)
    strength = apply_kernel(
        kernel.strength_in_windows,
        rechunked(scores, {dim: -1, schema.TIME: -1, "component": 1}),
        core=[[dim, schema.TIME]],
        new={schema.WINDOW: starts.size},
        width=width,
        step=step,
    )
    strength = strength.transpose(..., schema.WINDOW, "component")
    clock = {"long_name": "start of window", "units": "s"}
    return strength.assign_coords(
        {schema.WINDOW: (schema.WINDOW, starts / times.rate_hz, clock)}
    )


def p_values(
    lines: xr.DataArray, dim: Hashable, feature: Hashable, k: int, gamma: float,
    null: str, n: int, margin_s: float | None, seed: int | None,
) -> xr.DataArray:  # fmt: skip
    """Share of shifts whose first component is as strong as each component observed."""
    n, seed = require_seed(null, n, seed)
    core = [dim, schema.TIME, feature]
    one = 8 * int(np.prod([lines.sizes[d] for d in core]))
    budget.check(3 * one, "all series of one null", "take fewer features or less time")
    margin = margin_of(lines, margin_s) if null == "linear" else None
    p = apply_kernel(
        _p_value,
        rechunked(lines, dict.fromkeys(core, -1)).drop_vars(core, errors="ignore"),
        core=[core],
        new={"component": k},
        k=k,
        gamma=gamma,
        n=n,
        margin=margin,
        seed=seed,
    )
    return p


def _p_value(x: F64, *, k: int, gamma: float, n: int, margin: int | None, seed: int) -> F64:
    out = np.full((*x.shape[:-3], k), np.nan)
    for at in np.ndindex(x.shape[:-3]):
        rng = np.random.default_rng(seed)
        strength = kernel.strengths_of_shifted(x[at], k, gamma, rng, n=n, margin=margin)
        out[at] = p_value(strength[0], strength[1:, 0])
    return out
