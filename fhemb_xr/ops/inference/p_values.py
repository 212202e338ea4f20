"""p-values of statistics and their surrogates, as labelled results."""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr import budget
from fhemb_xr.errors import warn
from fhemb_xr.kernels.inference import p_values as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.typing import F64


def _without_self(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """NaN where a member is paired with itself."""
    sides = f"{dim}_0", f"{dim}_1"
    x = x.drop_vars([c for c in x.coords if c not in x.dims and set(sides) <= {*x[c].dims}])
    if not {*sides} <= {*x.dims}:
        return x
    positions = [xr.DataArray(np.arange(x.sizes[d]), dims=d) for d in sides]
    return x.where(positions[0] != positions[1])


def _lazily(
    function: Callable[..., F64], observed: xr.DataArray, null: xr.DataArray, *, sizes: int,
    **kwargs: Any,
) -> xr.DataArray:  # fmt: skip
    core = [d for d in null.dims if d not in observed.dims]
    out = apply_kernel(
        function,
        observed,
        null,
        core=[[], core],
        new={"_found": sizes} if sizes else (),
        **kwargs,
    )
    return out


def _results(
    observed: xr.DataArray,
    parts: list[xr.DataArray],
    family: xr.DataArray,
    name: str = "observed",
) -> xr.Dataset:
    # what the observed value is labelled by; lazy labels would be computed, to be compared
    p, low, high, family = (x.reset_coords(drop=True) for x in (*parts, family))
    out = xr.Dataset({name: observed, "p": p, "p_fdr": _discovery(p), "p_fwer": family})
    out = out.assign(null_low=low, null_high=high)
    units = observed.attrs.get("units", "1")
    texts = {
        "p": "p-value", "p_fdr": "p-value, false discovery rate (Benjamini-Hochberg)",
        "p_fwer": "p-value, family-wise error rate (largest statistic)",
        "null_low": "lower end of the null band", "null_high": "upper end of the null band",
    }  # fmt: skip
    for key, text in texts.items():
        of_null = key.startswith("null")
        out[key].attrs = {"long_name": text, "units": units if of_null else "1"}
    return out


def _discovery(p: xr.DataArray) -> xr.DataArray:
    """Over all of ``p``, in one task."""
    budget.check(48 * p.size, "the correction of all p-values", "test fewer at once")
    p = rechunked(p, dict.fromkeys(p.dims, -1))
    out = apply_kernel(kernel.false_discovery, p, core=[p.dims], new=p.dims)
    return out


def compared(
    observed: xr.DataArray, null: xr.DataArray, replicate: str, *, tail: str, alpha: float,
    extrapolate: bool = False, name: str = "observed",
) -> xr.Dataset:  # fmt: skip
    """The observed values beside those of the replicates, with p-values and the null band."""
    null = null.reset_coords(drop=True).transpose(..., replicate)
    most = kernel.score(null, tail).max([d for d in null.dims if d != replicate])
    if null.chunks:
        null = null.chunk({replicate: -1})
        cell = math.prod(max(c, default=1) for c in null.chunksizes.values())
        budget.check(24 * cell, "the null of one block", "ask for fewer replicates")
        most = most.chunk({replicate: -1})
    options: dict[str, Any] = {"tail": tail, "alpha": alpha, "extrapolate": extrapolate}
    found = _lazily(_judged, observed, null, sizes=3, **options)
    score = kernel.score(observed, tail)
    family = _lazily(_p_value, score, most, sizes=0, tail="greater", extrapolate=extrapolate)
    return _results(observed, [found.isel(_found=i) for i in range(3)], family, name)


def _p_value(observed: F64, null: F64, *, tail: str, extrapolate: bool) -> F64:
    if extrapolate:
        return kernel.extrapolated(observed, null, tail=tail)
    return kernel.p_value(observed, null, tail=tail, exact=False)


def _judged(observed: F64, null: F64, *, tail: str, alpha: float, extrapolate: bool) -> F64:
    p = _p_value(observed, null, tail=tail, extrapolate=extrapolate)
    return np.concatenate([p[..., None], kernel.band(null, alpha=alpha)], axis=-1)


def bonferroni(p: xr.DataArray) -> xr.DataArray:
    """Family-wise p-values by the number of tests, for nulls without joint draws."""
    return (p * p.notnull().sum()).clip(max=1.0)


def warn_unreachable(n: int, tests: int, alpha: float, cure: str) -> None:
    """Warn if one true effect among all tests can never be found after the correction.

    ``n`` is the number of values of the null, the observed among them: the smallest p is
    ``1 / n``, and one such p among ``tests`` has the corrected p ``tests / n``.
    """
    if tests <= n * alpha * (1 + 1e-9):
        return
    needed = math.ceil(tests / alpha * (1 - 1e-9))
    together = math.ceil(tests / (n * alpha) * (1 - 1e-9))
    if together > tests:
        which = f"no p_fdr can be {alpha:g} or less"
    else:
        which = f"p_fdr is {alpha:g} or less only where {together} tests reach it together"
    warn(
        f"the smallest p is 1/{n}, and {tests} are tested: {which}; one alone needs a null of "
        f"{needed} values: {cure}"
    )
