"""Forecasts of each person by the past of each other one, of labelled series."""

from collections.abc import Hashable
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.kernels.directed import lagged as kernel
from fhemb_xr.kernels.directed import nulls as null_kernel
from fhemb_xr.kernels.directed.lagged import Design
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.grid import Block, blocks
from fhemb_xr.ops.blockwise.overlap import Plan, columns
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.blockwise.reductions import merge_states
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.encoding.request import STIMULUS, one_stimulus
from fhemb_xr.ops.inference.nulls import shifts_of
from fhemb_xr.ops.option_tables import SHIFTS
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.typing import F64

Given = xr.DataArray | str | None
CHANNEL = "fhemb_channel"
"""People, then features of a stimulus."""
_TOGETHER = 4
"""States that are merged at a time."""


class Null(NamedTuple):
    """How a null was asked for."""

    name: str | None
    n: int
    margin_s: float | None
    seed: int | None


def forecasts(
    x: xr.DataArray, dim: Hashable, max_lag_s: float, given: Given, null: Null,
    *, ranked: bool = False,
) -> xr.Dataset:  # fmt: skip
    """:data:`fhemb_xr.kernels.directed.lagged.MEASURES` and ``p``, ``(…, dim_0, dim_1)``.

    Each has the source along ``dim_0`` and the target along ``dim_1``. ``ranked``: series are
    replaced by their normal scores first.
    """
    schema.require_dims(x, dim, schema.TIME)
    asked = {"n": null.n, "seed": null.seed, "margin_s": null.margin_s}
    SHIFTS.require_used(null.name, asked)
    n_people = x.sizes[dim]
    if n_people < 2:
        raise ValueError(f"one person leads another, found one along {dim!r}")
    n_lags = Clock.of(x).require_regular().samples("max_lag_s", max_lag_s, least=1)
    if isinstance(given, str):
        require_choice("given", given, ("all",))
    lines = _channels(x, given, dim)
    design = kernel.design(
        n_people, lines.sizes[CHANNEL] - n_people, n_lags, everyone=isinstance(given, str)
    )
    shifts = None if null.name is None else _shifts(x, null, n_lags)
    _require_moments(x.sizes[schema.TIME], design, shifts)
    if ranked:
        lines = _ranked(lines)
    dims = (*lines.dims[:-2], f"{dim}_0", f"{dim}_1")
    fields = Fields(**dict.fromkeys(kernel.MEASURES, (n_people, n_people)))
    found = _measured(_states(lines.data, design), design, n_people, fields)
    out = xr.Dataset({name: (dims, fields.part(found, name)) for name in kernel.MEASURES})
    if shifts is not None:
        whole = 8 * lines.sizes[CHANNEL] * lines.sizes[schema.TIME]
        budget.check(8 * whole, "all series of one null", "take fewer people or less time")
        out["p"] = apply_kernel(
            _p_values, rechunked(lines, {schema.TIME: -1}), core=[[CHANNEL, schema.TIME]],
            new=dict.fromkeys(dims[-2:], n_people),
            design=design, shifts=shifts, n_people=n_people,
        )  # fmt: skip
    return _labelled(out, x, dim)


def _channels(x: xr.DataArray, given: Given, dim: Hashable) -> xr.DataArray:
    """People and stimulus along one dimension, without labels: ``(..., channel, time)``."""
    lines = x.transpose(..., dim, schema.TIME).drop_vars([*x.coords])
    people = lines.variable.set_dims(lines.dims)
    names = (*lines.dims[:-2], CHANNEL, schema.TIME)
    people = xr.Variable(names, people.data)
    if isinstance(given, xr.DataArray):
        stimulus = one_stimulus(x, given)
        common_clock(x, stimulus)
        if dim in stimulus.dims:
            raise ValueError(
                f"a stimulus is the same for all people, found one with {dim!r}: compare with "
                "given='all', or select one of it"
            )
        sizes = {d: lines.sizes[d] for d in lines.dims[:-2]}
        sizes |= {STIMULUS: stimulus.sizes[STIMULUS], schema.TIME: lines.sizes[schema.TIME]}
        beside = stimulus.variable.set_dims(sizes).transpose(*sizes)
        people = xr.Variable.concat([people, xr.Variable(names, beside.data)], CHANNEL)
    each = dict.fromkeys(names[:-2], 1) | {CHANNEL: -1}
    return rechunked(xr.DataArray(people), each)


def _shifts(x: xr.DataArray, null: Null, n_lags: int) -> RandomShifts:
    name = require_choice("null", null.name, ("circular", "linear"), synonyms.NULLS)
    return shifts_of(x, name, null.n, null.seed, null.margin_s, n_lags + 1, "max_lag_s")


def _require_moments(length: int, design: Design, shifts: RandomShifts | None) -> None:
    lost = design.n_lags + (0 if shifts is None or shifts.margin is None else 2 * shifts.margin)
    if length - lost <= design.width:
        raise ValueError(
            f"a forecast has more moments than terms, found {max(length - lost, 0)} moments "
            f"for {design.width} terms: take a smaller max_lag_s or a longer series"
        )
    budget.check(
        8 * (_TOGETHER + 4) * design.fields.size + 5 * 2**24,
        f"covariances of {len(design.groups)} groups of {design.width} lagged series",
        "take a smaller max_lag_s, fewer people, or series at a lower rate",
    )


def _ranked(lines: xr.DataArray) -> xr.DataArray:
    """Normal scores of each series, in the chunks in which it came."""
    budget.check(60 * lines.sizes[schema.TIME], "ranks of one whole series", "take less time")
    whole = rechunked(lines, {CHANNEL: 1, schema.TIME: -1})
    scores = apply_kernel(
        null_kernel.normal_scores, whole, core=[[schema.TIME]], new=[schema.TIME]
    )
    if not lines.chunks:
        return scores
    chunks: dict[Any, Any] = dict(zip(lines.dims, lines.chunks, strict=True))
    return rechunked(scores, chunks)


def _states(data: Any, design: Design) -> Any:
    """``(..., c, t) -> (..., s)``; a block reads the lags before it."""
    if not isinstance(data, da.Array):
        out = np.empty((*data.shape[:-2], design.fields.size))
        for at in np.ndindex(out.shape[:-1]):
            out[at] = kernel.state(data[at], design)
        return out
    axis, back = data.ndim - 1, design.n_lags
    cut = blocks(data.chunks[axis], 4 * back, lambda a, b: ((max(0, a - back), b),))
    plan = Plan(data, axis, cut, partial(_work, design=design))
    plan.require_fit(2, "lagged covariances", "smaller chunks along time")
    made = plan.array((design.fields.size,), np.empty((0,) * (data.ndim + 1)), [1] * len(cut))
    chunks = (*made.chunks[:-3], (1,), *made.chunks[-2:])  # a block joins all channels
    states = da.Array(made.dask, made.name, chunks, meta=np.empty((0,) * made.ndim))
    merge = partial(kernel.merge, design=design)
    return merge_states(states, merge, _same, core=(axis - 1, axis), split_every=_TOGETHER)


def _work(parts: list[Any], _: Any, axis: int, block: Block, *, design: Design) -> F64:
    x, others = columns(parts, axis)
    state = kernel.state(np.ascontiguousarray(x.T), design)
    return state.reshape((1,) * (len(others) + 1) + state.shape)


def _same(x: Any) -> Any:
    return x


def _measured(states: Any, design: Design, n_people: int, fields: Fields) -> Any:
    """``(..., s) -> (..., 4 n n)``."""
    if not isinstance(states, da.Array):
        return _of_states(states, design, n_people)
    return da.map_blocks(
        _of_states, states, design, n_people,
        chunks=(*states.chunks[:-1], (fields.size,)),
        dtype=np.float64, meta=np.empty((0,) * states.ndim),
    )  # fmt: skip


def _of_states(states: F64, design: Design, n_people: int) -> F64:
    out = np.empty((*states.shape[:-1], len(kernel.MEASURES) * n_people**2))
    for at in np.ndindex(states.shape[:-1]):
        found = kernel.measures(states[at], design)
        out[at] = kernel.as_matrices(found, n_people).ravel()
    return out


def _p_values(x: F64, *, design: Design, shifts: RandomShifts, n_people: int) -> F64:
    out = np.empty((*x.shape[:-2], n_people, n_people))
    for at in np.ndindex(x.shape[:-2]):
        found = null_kernel.p_values(x[at], design, shifts)
        out[at] = kernel.as_matrices(found, n_people)
    return out


def _labelled(out: xr.Dataset, x: xr.DataArray, dim: Hashable) -> xr.Dataset:
    keep = {
        n: c.variable
        for n, c in x.coords.items()
        if dim not in c.dims and schema.TIME not in c.dims
    }
    if dim in x.coords:
        roles = ("leads", "follows")
        for k, role in enumerate(roles):
            attrs = {"long_name": f"{dim} that {role}"}
            keep[f"{dim}_{k}"] = xr.Variable(f"{dim}_{k}", x[dim].values, attrs)
    return out.assign_coords(keep).assign_attrs(Clock.of(x).attrs)
