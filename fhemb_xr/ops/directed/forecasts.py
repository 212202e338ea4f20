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
from fhemb_xr.kernels.inference import strangers
from fhemb_xr.kernels.inference.random_shifts import RandomShifts
from fhemb_xr.ops import synonyms
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.grid import Block, blocks
from fhemb_xr.ops.blockwise.overlap import Plan
from fhemb_xr.ops.blockwise.rechunk import halved, rechunked
from fhemb_xr.ops.blockwise.reductions import merge_states, unchanged
from fhemb_xr.ops.checks import require_choice
from fhemb_xr.ops.encoding.request import STIMULUS, one_stimulus
from fhemb_xr.ops.inference.isc_nulls import regrouped
from fhemb_xr.ops.inference.nulls import MEMBER, across_groups, shifts_of
from fhemb_xr.ops.option_tables import DIRECTED
from fhemb_xr.ops.pairwise.cross_correlation import common_clock
from fhemb_xr.typing import F64

Given = xr.DataArray | str | None
CHANNEL = "fhemb_channel"
"""People, then features of a stimulus."""
_TOGETHER = 4
"""States that are merged at a time."""
_TARGET = 2**24
"""Bytes of the series of a block, and of what it gives."""


class Null(NamedTuple):
    """How a null was asked for."""

    name: str | None
    n: int
    margin_s: float | None
    seed: int | None
    across: Hashable | None = None


NONE = Null(None, 99, None, None)


def forecasts(
    x: xr.DataArray, dim: Hashable, max_lag_s: float, given: Given, null: Null,
    *, ranked: bool = False,
) -> xr.Dataset:  # fmt: skip
    """:data:`fhemb_xr.kernels.directed.lagged.MEASURES` and ``p``, ``(…, dim_0, dim_1)``.

    Each has the source along ``dim_0`` and the target along ``dim_1``. ``ranked``: series are
    replaced by their normal scores first.
    """
    schema.require_dims(x, dim, schema.TIME)
    name = null.name
    if name is not None:
        name = require_choice("null", name, ("circular", "linear", "swap"), synonyms.NULLS)
    DIRECTED.require_used(name, {k: v for k, v in null._asdict().items() if k != "name"})
    if name == "swap":
        return _beside_strangers(x, dim, max_lag_s, given, null.across, ranked)
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
    shifts = None
    if name is not None:
        least = n_lags + 1, "max_lag_s"
        shifts = shifts_of(x, name, null.n, null.seed, null.margin_s, *least)
    _require_moments(x.sizes[schema.TIME], design, shifts)
    lines = _ranked(lines) if ranked else lines
    lines = _in_blocks(lines, design)
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
    return xr.DataArray(people)


def _in_blocks(lines: xr.DataArray, design: Design) -> xr.DataArray:
    """All channels of a stretch in each block, and as many series as lie in its chunks."""
    if not lines.chunks:
        return lines
    *lead, channel, time = lines.dims
    held = lines.chunksizes
    one = max(lines.sizes[channel] * max(held[time]), design.fields.size)
    size = halved({d: max(held[d]) for d in lead}, _TARGET // (8 * one))
    return rechunked(lines, size | {channel: -1})


def _beside_strangers(
    x: xr.DataArray, dim: Hashable, max_lag_s: float, given: Given, across: Hashable | None,
    ranked: bool,
) -> xr.Dataset:  # fmt: skip
    """The same with the F statistics of sources of other groups as the null of each target."""
    lines, groups, people = across_groups(x, dim, across)
    if across in x.dims and given is not None:
        raise ValueError(
            f"null 'swap' across the dimension {across!r} joins its people, found given: give "
            "nothing, or make it a coordinate of the people with .stack(...)"
        )
    out = forecasts(lines, MEMBER, max_lag_s, given, NONE, ranked=ranked)
    ends = f"{MEMBER}_1", f"{MEMBER}_0"
    tested = apply_kernel(
        _strangers_of_each, rechunked(out["f"], dict.fromkeys(ends, -1)), core=[ends], new=ends,
        groups=tuple(groups.values.tolist()), people=tuple(people.values.tolist()),
    )  # fmt: skip
    out["p"] = tested.transpose(*out["f"].dims)
    own = {
        str(name): regrouped(v.reset_coords(drop=True), x, dim, across)
        for name, v in out.items()
    }
    lead = [d for d in x.dims if d not in (dim, schema.TIME)]
    return _labelled(xr.Dataset(own).transpose(*lead, ...), x, dim)


def _strangers_of_each(f: F64, *, groups: tuple[int, ...], people: tuple[int, ...]) -> F64:
    """Of ``(..., target, source)``, p of sources in the group of the target."""
    members = np.array(groups), np.array(people)
    out = np.empty(f.shape)
    for at in np.ndindex(f.shape[:-2]):
        found = strangers.tested(
            f[at], *members, *members, tail="greater", alpha=0.05, itself=False
        )
        out[at] = found[..., 0]
    return out


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
    each = dict.fromkeys(lines.dims, 1)
    whole = rechunked(lines, each | {schema.TIME: -1})
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
    return merge_states(states, merge, unchanged, core=(axis - 1, axis), split_every=_TOGETHER)


def _work(parts: list[Any], _: Any, axis: int, block: Block, *, design: Design) -> F64:
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    out = np.empty((*x.shape[:-2], 1, 1, design.fields.size))
    for at in np.ndindex(x.shape[:-2]):
        out[at] = kernel.state(np.ascontiguousarray(x[at]), design)
    return out


def _measured(states: Any, design: Design, n_people: int, fields: Fields) -> Any:
    """``(..., s) -> (..., 4 n n)``."""
    if not isinstance(states, da.Array):
        return _of_states(states, design, n_people)
    each = states.rechunk((*(1 for _ in states.shape[:-1]), -1), method="tasks")
    return da.map_blocks(
        _of_states, each, design, n_people,
        chunks=(*each.chunks[:-1], (fields.size,)),
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
