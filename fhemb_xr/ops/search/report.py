"""What a search reports: scores, folds, nulls and p-values with names and units."""

import numpy as np
import xarray as xr

from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.search import judging
from fhemb_xr.ops.search.design import ALPHA, Plan
from fhemb_xr.ops.search.values import PARTS, SPEC
from fhemb_xr.typing import F64

FOLD, PERMUTATION = "fold", "permutation"
WHOLE = ("best", "chosen", "n_missing", "n_used", "n_subjects")
"""Counts and numbers of specs."""


def report(table: xr.Dataset, plan: Plan, found: xr.DataArray, score: str) -> xr.Dataset:
    """The Dataset of :func:`search` from ``(draw, found)``, beside the table."""
    first = found.isel(draw=0)
    parts: dict[str, xr.DataArray] = {}
    place = 0
    for names, dim, n in (
        (judging.SUMMED, None, 1),
        (judging.PER_SPEC, SPEC, plan.n_specs),
        (judging.PER_FOLD, FOLD, plan.n_folds),
    ):
        for name in names:
            part = first.isel(found=place if dim is None else slice(place, place + n))
            parts[name] = part if dim is None else part.rename(found=dim)
            place += n
    null = found.isel(draw=slice(1, None)).rename(draw=PERMUTATION)
    for name, of in (("null", "best_score"), ("null_nested", "nested")):
        parts[name] = rechunked(null.isel(found=judging.SUMMED.index(of)), -1)
    parts = {n: v.astype(np.int64) if n in WHOLE else v for n, v in parts.items()}
    parts["allowed"] = parts["allowed"] > 0
    parts["p"] = p_of(parts["best_score"], parts["null"])
    parts["p_nested"] = p_of(parts["nested"], parts["null_nested"])
    parts["p_fwer"] = p_of(parts["score"], parts["null"])
    parts["null_high"] = apply_kernel(_high, parts["null"], core=[[PERMUTATION]])
    parts["chosen_share"] = apply_kernel(
        _shares, parts["chosen"], core=[[FOLD]], new={SPEC: plan.n_specs}, n=plan.n_specs
    )
    chance = 0.5 if score == "auc" else 1 / plan.n_classes
    parts["chance"] = xr.DataArray(chance)
    out = xr.Dataset(parts).assign_coords({FOLD: np.arange(plan.n_folds)})
    out = out.assign_coords({k: v for k, v in table.coords.items() if v.dims == (SPEC,)})
    for name, text in _NAMES.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    out = out.assign({n: table[n] for n in PARTS})
    out["mobility_hz"].attrs = {"long_name": "root mean square frequency", "units": "Hz"}
    return out


def p_of(observed: xr.DataArray, null: xr.DataArray) -> xr.DataArray:
    """Share of the null, and the value itself, that is as high."""
    return apply_kernel(_reached, observed, null, core=[[], [PERMUTATION]])


def _reached(observed: F64, null: F64) -> F64:
    """Share of the null, and the value itself, that is as high: ``(...), (n,) -> (...)``."""
    seen = np.asarray(observed, np.float64)
    all_of_them = np.broadcast_to(null, (*seen.shape, null.shape[-1]))
    return p_values.p_value(seen, all_of_them, tail="greater", exact=False)


def _high(null: F64) -> F64:
    """What the share ``1 - alpha`` of the null does not exceed: ``(n,) -> ()``."""
    there = null[np.isfinite(null)]
    if not there.size:
        return np.asarray(np.nan)
    return np.asarray(np.quantile(there, 1 - ALPHA, method="weibull"))


def _shares(chosen: F64, *, n: int) -> F64:
    """Share of the folds that chose each spec: ``(k,) -> (n,)``."""
    some = chosen[chosen >= 0]
    return np.bincount(some, minlength=n) / max(some.size, 1)


_NAMES = {
    "score": "mean score of the spec on people and segments never seen",
    "p_fwer": "p-value against the best spec, labels of segments exchanged",
    "chosen_share": "share of the folds that chose the spec",
    "allowed": "whether the spec keeps the limits and has all values",
    "energy": "share of the feature's variance that the filter leaves",
    "n_missing": "used samples without a value",
    "nested_fold": "score of the spec chosen inside the training part",
    "chosen": "number of the spec chosen inside the training part",
    "null": "best score with labels of segments exchanged",
    "null_nested": "nested score with labels of segments exchanged",
    "null_high": "upper end of the null of the best score",
    "best": "number of the best spec",
    "best_score": "score of the best spec, too high by choice",
    "p": "p-value of the best score, labels of segments exchanged",
    "nested": "score of the whole search on people and segments never seen",
    "p_nested": "p-value of the nested score, labels of segments exchanged",
    "chance": "score of guessing",
    "n_used": "samples used",
    "n_subjects": "people used",
}
