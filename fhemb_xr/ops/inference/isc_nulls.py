"""Inter-subject correlation with each of its nulls, as lazy arrays."""

import math
from collections.abc import Hashable
from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.inference import isc as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.inference import nulls
from fhemb_xr.ops.inference.p_values import (
    _lazily,
    _results,
    _without_self,
    bonferroni,
    compared,
)
from fhemb_xr.ops.inference.surrogates import REPLICATE, surrogates
from fhemb_xr.options import options
from fhemb_xr.typing import F64


def people_dims(dim: Hashable, how: str) -> list[Hashable]:
    """Dimensions of the result."""
    return [dim] if how == "leave_one_out" else [f"{dim}_0", f"{dim}_1"]


def values(
    x: xr.DataArray, copies: xr.DataArray, dim: Hashable, n_windows: int, work: dict[str, Any]
) -> xr.DataArray:
    """Correlation of ``copies`` of each with the others in ``x``, ``(…, window, dim)``."""
    people = people_dims(dim, work["how"])
    sizes: dict[Hashable, int] = {
        schema.WINDOW: n_windows,
        **dict.fromkeys(people, x.sizes[dim]),
    }
    return _applied(_moved, [x, copies], dim, sizes, work)


def _applied(
    function: Any, given: list[xr.DataArray], dim: Hashable, sizes: dict[Hashable, int],
    work: dict[str, Any],
) -> xr.DataArray:  # fmt: skip
    out = apply_kernel(
        function,
        *(_gathered(a, dim).drop_vars([dim, schema.TIME], errors="ignore") for a in given),
        core=[[dim, schema.TIME]] * len(given),
        new=sizes,
        **work,
    )
    return out


def _moved(x: F64, copies: F64, *, how: str, width: int, step: int) -> F64:
    parts = (kernel.windows(a, width, step) for a in (x, copies))
    return kernel.moved(*parts, how=how)


def drawn_null(
    x: xr.DataArray, dim: Hashable, n_windows: int, work: dict[str, Any], test: dict[str, Any],
    null: str, n: int, seed: int,
) -> xr.Dataset:  # fmt: skip
    """:func:`isc` with ``n`` surrogates of the tested as the null."""
    copies = surrogates(x, n, method=null, seed=seed, dim=dim)
    found = (values(x, a, dim, n_windows, work) for a in (x, copies))
    observed, others = (_without_self(a, dim) for a in found)
    return compared(observed, others, REPLICATE, name="isc", **test)


def shift_null(
    x: xr.DataArray, dim: Hashable, n_windows: int, work: dict[str, Any]
) -> xr.Dataset:
    """:func:`isc` with every shift as the null; the family's p is that of the largest value."""
    n, people = x.sizes[dim], people_dims(dim, work["how"])
    fields = kernel.fields((n, x.sizes[schema.TIME]), work["how"], work["margin"])
    sizes: dict[Hashable, int] = {schema.WINDOW: n_windows, "_cell": fields.size}
    tested = _applied(kernel.tested, [x], dim, sizes, work)
    largest = tested.isel(_cell=fields["largest"])
    largest = largest.max([d for d in tested.dims if d != "_cell"])
    observed, *parts = (
        _shaped(tested.isel(_cell=fields[name]), people, n)
        for name in ("isc", "p", "low", "high")
    )
    score = p_values.score(_without_self(observed, dim), work["tail"])
    family = _lazily(p_values.p_value, score, largest, sizes=0, tail="greater", exact=True)
    return _results(observed, parts, family, name="isc")


def swap_null(
    x: xr.DataArray, dim: Hashable, across: Hashable | None, n_windows: int,
    work: dict[str, Any],
) -> xr.Dataset:  # fmt: skip
    """:func:`isc` with strangers in place of the tested as the null."""
    lines, groups, people = nulls.across_groups(x, dim, across)
    n = lines.sizes[nulls.MEMBER]
    names = people_dims(nulls.MEMBER, work["how"])
    sizes: dict[Hashable, int] = {schema.WINDOW: n_windows, "_part": 4}
    sizes["_cell"] = n ** len(names)
    work = {**work, "groups": groups.values, "people": people.values}
    found = _applied(kernel.exchanged, [lines], nulls.MEMBER, sizes, work)
    observed, *parts = (
        regrouped(_shaped(found.isel(_part=i), names, n), x, dim, across) for i in range(4)
    )
    return _results(observed, parts, bonferroni(parts[0]), name="isc")


def regrouped(
    out: xr.DataArray, x: xr.DataArray, dim: Hashable, across: Hashable | None
) -> xr.DataArray:
    """Members in one line as the groups and people they are, pairs within their group."""
    sides = [d for d in (f"{nulls.MEMBER}_0", f"{nulls.MEMBER}_1") if d in out.dims]
    if across not in x.dims:
        names = {d: str(d).replace(nulls.MEMBER, str(dim)) for d in sides or [nulls.MEMBER]}
        return out.rename(names)
    size = x.sizes[dim]
    blocks = []
    for group in range(x.sizes[across]):
        cut = slice(group * size, (group + 1) * size)
        block = out.isel(dict.fromkeys(sides or [nulls.MEMBER], cut))
        blocks.append(block)
    together = xr.concat(blocks, str(across), join="override")
    names = {d: str(d).replace(nulls.MEMBER, str(dim)) for d in sides or [nulls.MEMBER]}
    together = together.rename(names)
    labels = {across: x[across].values} if across in x.indexes else {}
    return together.assign_coords(labels)


def _shaped(x: xr.DataArray, people: list[Hashable], n: int) -> xr.DataArray:
    """``_cell`` as one dimension of people, or two."""
    x = x.transpose(..., "_cell")
    data = x.data.reshape((*x.shape[:-1], *(n,) * len(people)))
    return xr.DataArray(data, dims=(*x.dims[:-1], *people), coords=x.coords)


def _gathered(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """All people and all of time in one block, of as little else as the budget asks for."""
    one = 8 * x.sizes[dim] * x.sizes[schema.TIME]
    budget.check(40 * one, "all series of one feature", "select less time or fewer people")
    if not x.chunks:
        return x
    rest = {
        d: max(c, default=1)
        for d, c in x.variable.chunksizes.items()
        if d not in (dim, schema.TIME)
    }
    if 40 * one + math.prod(rest.values()) * one > options.budget:
        rest = dict.fromkeys(rest, 1)
    return rechunked(x, {dim: -1, schema.TIME: -1, **rest})
