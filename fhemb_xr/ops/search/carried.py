"""The task behind importance, and what is reported of it."""

from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.kernels.inference import p_values
from fhemb_xr.kernels.search import centroids, nested
from fhemb_xr.kernels.search import importance as kernel
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.search.design import Plan
from fhemb_xr.ops.search.judging import centred, columns_by_spec
from fhemb_xr.typing import F64, Ints

PERMUTATION, PERSON = "permutation", "person"


def width(plan: Plan) -> int:
    """Numbers of one draw: score, samples; loss and score alone by part; loss by person."""
    people = int(plan.groups.max()) + 1
    return 2 + 2 * plan.n_specs + people * plan.n_specs


def judged(
    draws: Ints,
    value: F64,
    owners: Ints,
    labels: Ints,
    groups: Ints,
    segments: Ints,
    *,
    n_parts: int,
    n_people: int,
    n_splits: int,
    **options: Any,
) -> F64:
    """What parts carry in some draws of labels: ``(d,), (n, k), … -> (d, width)``."""
    used = np.flatnonzero(np.isfinite(value).all(axis=1))
    samples = nested.Samples(labels[used], groups[used], segments[used])
    cube = columns_by_spec(value[used], owners, n_parts)
    if options["centre"]:
        cube = centred(cube, samples.groups)
    out = np.empty((draws.size, 2 + 2 * n_parts + n_people * n_parts))
    for row, draw in zip(out, draws.ravel().tolist(), strict=True):
        given = samples
        if draw:
            given = samples.exchanged(np.random.default_rng([options["seed"], 1, draw]))
        row[:] = _one(cube, given, n_people, n_splits, options)
    return out


def _one(
    cube: F64, samples: nested.Samples, n_people: int, n_splits: int, options: dict[str, Any]
) -> F64:
    """Score, samples, loss and score alone by part, loss by person and part."""
    y, n_parts = samples.labels, cube.shape[2]
    score, lost, alone = [], [], []
    drop = np.full((y.size, n_parts), np.nan)
    rng = np.random.default_rng([options["seed"], 3])
    for train, test in samples.parts(n_splits, np.random.default_rng([options["seed"], 0])):
        mixed = None
        if options["how"] == "permute":
            mixed = kernel.exchanges(samples.groups[test], options["n_repeats"], rng)
        own, rest = kernel.without(
            cube[:, train], y[train], cube[:, test], mixed, int(y.max()) + 1
        )
        right = kernel.told_right(own.sum(axis=-1, keepdims=True), y[test])
        left = kernel.told_right(rest, y[test]).mean(axis=0)
        drop[test] = right - left
        score.append(centroids.balanced(right, y[test])[0])
        lost.append(centroids.balanced(drop[test], y[test]))
        alone.append(centroids.balanced(kernel.told_right(own, y[test]), y[test]))
    if not score:
        return np.concatenate([[np.nan, y.size], np.full((2 + n_people) * n_parts, np.nan)])
    each = np.full((n_people, n_parts), np.nan)
    for g in np.unique(samples.groups):
        mine = drop[samples.groups == g]
        if np.isfinite(mine).all():
            each[g] = mine.mean(axis=0)
    parts = [np.mean(lost, axis=0), np.mean(alone, axis=0), each.ravel()]
    return np.concatenate([[np.mean(score), y.size], *parts])


def report(found: xr.DataArray, plan: Plan, by: str, n: int, alpha: float) -> xr.Dataset:
    """The Dataset of :func:`fhemb_xr.importance` from ``(draw, found)``."""
    p, people = plan.n_specs, int(plan.groups.max()) + 1
    first = found.isel(draw=0)
    null = found.isel(draw=slice(1, None), found=slice(2, 2 + p))
    null = rechunked(null.rename(draw=PERMUTATION, found=by), -1)
    each = first.isel(found=slice(2 + 2 * p, None))
    each = apply_kernel(_folded, each, core=[["found"]], new={PERSON: people, by: p}, n=people)
    out = xr.Dataset({
        "importance": first.isel(found=slice(2, 2 + p)).rename(found=by),
        "alone": first.isel(found=slice(2 + p, 2 + 2 * p)).rename(found=by),
        "by_person": each,
        "score": first.isel(found=0),
        "n_used": first.isel(found=1).astype(np.int64),
        "chance": xr.DataArray(1 / plan.n_classes),
        "null": null,
    })  # fmt: skip
    ends = apply_kernel(_interval, each, core=[[PERSON]], new={"_end": 2}, alpha=alpha)
    out["low"], out["high"] = (ends.isel(_end=i) for i in range(2))
    core = [[by], [PERMUTATION, by]]
    tested = apply_kernel(_tested, out["importance"], null, core=core, new={by: p, "_p": 2})
    out["p"], out["p_fwer"] = (tested.isel(_p=i) for i in range(2))
    band = apply_kernel(_band, null, core=[[PERMUTATION]], new={"_end": 2}, alpha=alpha)
    out["null_low"], out["null_high"] = (band.isel(_end=i) for i in range(2))
    for name, text in _NAMES.items():
        out[name].attrs = {"long_name": text, "units": "1"}
    return out


def _folded(x: F64, *, n: int) -> F64:
    return x.reshape(*x.shape[:-1], n, -1)


def _interval(x: F64, *, alpha: float) -> F64:
    """Student's interval of the mean of the people there are: ``(..., n) -> (..., 2)``."""
    from scipy import stats

    n = np.isfinite(x).sum(axis=-1, keepdims=True)
    few = np.maximum(n - 1, 1)
    mean = np.where(n > 0, np.nansum(x, axis=-1, keepdims=True) / np.maximum(n, 1), np.nan)
    spread = np.sqrt(np.nansum((x - mean) ** 2, axis=-1, keepdims=True) / few)
    reach = stats.t.ppf(1 - alpha / 2, few) * spread / np.sqrt(np.maximum(n, 1))
    out = np.concatenate([mean - reach, mean + reach], axis=-1)
    return np.asarray(np.where(n > 1, out, np.nan))


def _tested(observed: F64, null: F64) -> F64:
    """P against the own null and against the largest of all: ``(p,), (n, p) -> (p, 2)``."""
    how: Any = {"tail": "greater", "exact": False}
    own = p_values.p_value(observed, null.T, **how)
    if not null.shape[0]:
        return np.stack([own, own], axis=-1)
    top = np.broadcast_to(null.max(axis=1), (observed.size, null.shape[0]))
    return np.stack([own, p_values.p_value(observed, top, **how)], axis=-1)


def _band(null: F64, *, alpha: float) -> F64:
    return p_values.band(null, alpha=alpha)


_NAMES = {
    "importance": "accuracy lost without the part",
    "alone": "accuracy of the part by itself",
    "by_person": "accuracy lost without the part, of a person",
    "score": "accuracy of all parts on people and segments never seen",
    "n_used": "samples used",
    "chance": "accuracy of guessing",
    "null": "accuracy lost, labels of segments exchanged",
    "low": "lower end of the interval between people",
    "high": "upper end of the interval between people",
    "p": "p-value, labels of segments exchanged",
    "p_fwer": "p-value against the largest of all parts",
    "null_low": "lower end of the null band",
    "null_high": "upper end of the null band",
}
