"""What :func:`fhemb_xr.classify` reports: accuracies, intervals, p-values, the null."""

import numpy as np
import xarray as xr

from fhemb_xr.kernels.inference import cross_validation as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.classification.segments import SAMPLE
from fhemb_xr.typing import F64, Ints


def report(
    right: xr.DataArray, labels: xr.DataArray, groups: xr.DataArray, alpha: float
) -> xr.Dataset:
    """The Dataset of :func:`classify` from the trials."""
    right = right.chunk(draw=-1)
    found = apply_kernel(
        _summaries,
        right,
        labels,
        groups,
        core=[["draw", "repeat", SAMPLE], [SAMPLE], [SAMPLE]],
        new={"_found": len(kernel.SUMMARY)},
        alpha=alpha,
    )
    out = xr.Dataset({n: found.isel(_found=i) for i, n in enumerate(kernel.SUMMARY)})
    scores = right.mean(["repeat", SAMPLE]).rename(draw="permutation")
    null = scores.isel(permutation=slice(1, None))
    out["p_fwer"] = _against_the_best(out["accuracy"], null)
    out["null"] = null
    out["null_low"], out["null_high"] = _band(null, alpha)
    out["by_repeat"] = right.isel(draw=0).mean(SAMPLE)
    out["right"] = right.isel(draw=0).mean("repeat")
    for name, text in _NAMES.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    return out


def _band(null: xr.DataArray, alpha: float) -> list[xr.DataArray]:
    if not null.sizes["permutation"]:
        return [xr.full_like(null.sum("permutation"), np.nan) for _ in range(2)]
    ends = apply_kernel(
        p_values.band, null, core=[["permutation"]], new={"_end": 2}, alpha=alpha
    )
    return [ends.isel(_end=i) for i in range(2)]


def _against_the_best(accuracy: xr.DataArray, null: xr.DataArray) -> xr.DataArray:
    if not null.sizes["permutation"]:
        return xr.full_like(accuracy, np.nan)
    best = null.max("classifier")
    return apply_kernel(p_values.p_value, accuracy, best, core=[[], ["permutation"]])


def _summaries(right: F64, labels: Ints, groups: Ints, *, alpha: float) -> F64:
    """``(…, draws, repeats, k), (k,), (k,) -> (…, 9)``."""
    out = np.empty((*right.shape[:-3], len(kernel.SUMMARY)))
    for i in np.ndindex(right.shape[:-3]):
        out[i] = kernel.summary(right[i], labels, groups, alpha)
    return out


_NAMES = {
    "accuracy": "accuracy, share of tested samples",
    "wilson_low": "lower end of Wilson's interval, samples independent",
    "wilson_high": "upper end of Wilson's interval, samples independent",
    "subject_low": "lower end of the interval, samples of a person alike",
    "subject_high": "upper end of the interval, samples of a person alike",
    "chance": "share of the commonest label",
    "p": "p-value, labels exchanged",
    "p_fwer": "p-value against the best classifier, labels exchanged",
    "null": "accuracy with labels exchanged",
    "null_low": "lower end of the null band",
    "null_high": "upper end of the null band",
    "by_repeat": "accuracy of every repeat",
    "right": "share of repeats in which the sample was told right",
    "n_used": "samples used",
    "n_subjects": "people used",
}
