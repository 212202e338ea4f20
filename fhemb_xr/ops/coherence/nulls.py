"""How much coherence chance gives: noise, shifts in time, and strangers."""

from collections.abc import Hashable
from functools import partial
from typing import NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask import delayed

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import warn
from fhemb_xr.kernels.coherence import nulls as kernel
from fhemb_xr.kernels.coherence.wavelets import CONE, PERIOD_OF_SCALE, Scales
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.checks import require_share
from fhemb_xr.ops.coherence.pairs import over_pairs, pairs, whole
from fhemb_xr.ops.inference.nulls import MEMBER, across_groups, require_seed, shifts_of

_INDEPENDENT = 20
"""Coherence times that shifts span, for a p of .05."""
KINDS = ("circular", "linear", "noise", "swap")


class Request(NamedTuple):
    """The null that is asked for, with its options."""

    null: str
    n: int
    alpha: float
    margin_s: float | None
    cluster: float | None
    across: Hashable | None
    seed: int | None


def tested(
    lines: xr.DataArray, out: xr.Dataset, scales: Scales, request: Request
) -> dict[str, xr.Variable]:
    """Threshold or p-values of ``out``; ``lines`` are ``(..., dim, time)``, one each block."""
    if request.null == "noise":
        return {"threshold": _threshold(lines, scales, request)}
    if request.null == "swap":
        return {"p": _of_strangers(lines, out, scales, request.across)}
    return _shifted(lines, scales, request)


def _threshold(lines: xr.DataArray, scales: Scales, request: Request) -> xr.Variable:
    n, seed = require_seed(request.null, request.n, request.seed)
    alpha = require_share("alpha", request.alpha)
    if not lines.chunks:
        return xr.Variable("period", kernel.threshold(scales, n, alpha, seed))
    task = delayed(kernel.threshold, pure=True)(scales, n, alpha, seed)
    chance = da.from_delayed(task, (len(scales.of_periods),), np.float64)
    return xr.Variable("period", chance)


def _shifted(lines: xr.DataArray, scales: Scales, request: Request) -> dict[str, xr.Variable]:
    shifts = shifts_of(lines, request.null, request.n, request.seed, request.margin_s)
    warn_of_few(lines, scales, shifts)
    level = None if request.cluster is None else require_share("cluster", request.cluster)
    periods, length = len(scales.of_periods), lines.sizes[schema.TIME]
    budget.check(
        (120 if level is None else 144) * periods * length,
        "transforms of two whole series",
        "test series at a lower rate, fewer periods or less time",
    )
    rows = 1 if level is None else 1 + length
    found = over_pairs(
        lines.data, whole, partial(kernel.p_values, scales=scales, shifts=shifts, level=level),
        [(0, periods)], (rows,), ("p", scales, shifts, level),
    )  # fmt: skip
    dims = (*lines.dims[:-2], "pair")
    out = {"p": xr.Variable((*dims, "period"), found[..., 0, :])}
    if level is not None:
        clusters = xr.Variable((*dims, schema.TIME, "period"), found[..., 1:, :])
        out["p_cluster"] = clusters.transpose(*dims, "period", schema.TIME)
    return out


def warn_of_few(lines: xr.DataArray, scales: Scales, shifts: RandomShifts) -> None:
    """Say which periods cohere for so long that all shifts are much alike.

    Short shifts are not left out for that: then the observed would be compared with few
    independent values, and 6 of 30 pairs of random walks would be found at .05.
    """
    span = lines.sizes[schema.TIME] if shifts.margin is None else 2 * shifts.margin
    longest = span / _INDEPENDENT / CONE
    if max(scales.of_periods) <= longest:
        return
    rate = Clock.of(lines).rate_hz
    warn(
        f"shifts span {span / rate:.3g} s: periods above "
        f"{longest * PERIOD_OF_SCALE / rate:.3g} s cohere for more than a {_INDEPENDENT}th of "
        "that, so that their p can hardly be .05: "
        "take a longer series, a larger margin_s, or shorter periods"
    )


def _of_strangers(
    lines: xr.DataArray, out: xr.Dataset, scales: Scales, across: Hashable | None
) -> xr.Variable:
    """Of each pair of one group, p beside the pairs of either with strangers."""
    dim = lines.dims[-2]
    members, groups, people = across_groups(lines, dim, across)
    size, n = lines.sizes[dim], members.sizes[MEMBER]
    if across in lines.dims:
        members = members.transpose(..., MEMBER, schema.TIME)
        members = rechunked(members, dict.fromkeys(members.dims, 1) | {schema.TIME: -1})
        mean = over_pairs(
            members.data, whole, partial(kernel.mean_coherence, scales=scales),
            [(0, len(scales.of_periods))], (), ("mean", scales),
        )  # fmt: skip
        lead = members.dims[:-2]
    else:
        mean = out["coherence"].mean(schema.TIME).data
        lead = lines.dims[:-2]
    budget.check(
        24 * n * n * mean.shape[-1], f"all pairs of {n} people", "test fewer people or periods"
    )
    work = partial(
        kernel.beside_strangers,
        groups=tuple(groups.values.tolist()), people=tuple(people.values.tolist()),
        pairs=tuple(pairs(n)),
    )  # fmt: skip
    if isinstance(mean, da.Array):
        together = mean.rechunk((*mean.chunks[:-2], -1, -1))
        p = da.map_blocks(work, together, dtype=np.float64, meta=np.empty((0,) * mean.ndim))
    else:
        p = work(mean)
    if across not in lines.dims:
        return xr.Variable((*lead, "pair", "period"), p)
    place = {pair: k for k, pair in enumerate(pairs(n))}
    own = np.array(
        [[place[g * size + i, g * size + j] for i, j in pairs(size)]
         for g in range(lines.sizes[across])]
    )  # fmt: skip
    taken = p[..., own.ravel(), :].reshape((*p.shape[:-2], *own.shape, p.shape[-1]))
    dims = (*lead, across, "pair", "period")
    return xr.Variable(dims, taken).transpose(*lines.dims[:-2], "pair", "period")
