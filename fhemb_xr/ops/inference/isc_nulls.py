"""Inter-subject correlation with each of its nulls, as lazy arrays."""

import math
from collections.abc import Hashable
from typing import Any

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.kernels.fields import Fields
from fhemb_xr.kernels.inference import isc as kernel
from fhemb_xr.kernels.inference import p_values
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.inference import nulls
from fhemb_xr.ops.inference.isc_blocks import People, joined
from fhemb_xr.ops.inference.p_values import (
    _lazily,
    _results,
    _without_self,
    bonferroni,
    compared,
)
from fhemb_xr.ops.inference.surrogates import REPLICATE, surrogates
from fhemb_xr.options import options


def people_dims(dim: Hashable, how: str) -> list[Hashable]:
    """Dimensions of the result."""
    return [dim] if how == "leave_one_out" else [f"{dim}_0", f"{dim}_1"]


def values(
    x: xr.DataArray, copies: xr.DataArray | None, dim: Hashable, n_windows: int,
    work: dict[str, Any],
) -> xr.DataArray:  # fmt: skip
    """Correlation of each, or of ``copies``, with the others in ``x``: ``(…, window, dim)``."""
    people = people_dims(dim, work["how"])

    def sizes(still: int, moving: int) -> dict[Hashable, int]:
        ends = dict(zip(people, (still, moving)[-len(people) :], strict=True))
        return {schema.WINDOW: n_windows, **ends}

    blocks = People(x, dim, work["how"], copies)
    return joined(blocks.applied(kernel.correlated, sizes, False, **work), people)


def drawn_null(
    x: xr.DataArray, dim: Hashable, n_windows: int, work: dict[str, Any], test: dict[str, Any],
    null: str, n: int, seed: int,
) -> xr.Dataset:  # fmt: skip
    """:func:`isc` with ``n`` surrogates of the tested as the null."""
    copies = surrogates(x, n, method=null, seed=seed, dim=dim)
    found = (values(x, a, dim, n_windows, work) for a in (None, copies))
    observed, others = (_without_self(a, dim) for a in found)
    return compared(observed, others, REPLICATE, name="isc", **test)


def shift_null(
    x: xr.DataArray, dim: Hashable, n_windows: int, work: dict[str, Any]
) -> xr.Dataset:
    """:func:`isc` with every shift as the null; the family's p is that of the largest value."""
    people = people_dims(dim, work["how"])
    margin, n = work["margin"], x.sizes[schema.TIME]

    def fields(*counts: int) -> Fields:  # of who stands still, and of who moves
        n_shifts = n if margin is None else 2 * margin + 1
        return kernel.fields(counts[-len(people) :], n_windows, n_shifts)

    blocks = People(x, dim, work["how"])
    grid = blocks.applied(kernel.tested, lambda *c: {"_cell": fields(*c).size}, True, **work)
    places = [[fields(*counts) for counts in row] for row in blocks.counts()]
    cells = [[*zip(row, of, strict=True)] for row, of in zip(grid, places, strict=True)]
    observed, *parts = (
        joined([[_field(b, of, name, people) for b, of in row] for row in cells], people)
        for name in ("isc", "p", "low", "high")
    )
    largest = xr.concat(
        [b.isel(_cell=of["largest"]).reset_coords(drop=True) for row in cells for b, of in row],
        "_block", coords="minimal", compat="override", join="override",
    )  # fmt: skip
    largest = largest.max([d for d in largest.dims if d != "_cell"])
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
    found = apply_kernel(
        kernel.exchanged,
        _gathered(lines, nulls.MEMBER).drop_vars(schema.TIME, errors="ignore"),
        core=[[nulls.MEMBER, schema.TIME]],
        new=sizes,
        **work,
    )
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


def _field(
    packed: xr.DataArray, fields: Fields, name: str, people: list[Hashable]
) -> xr.DataArray:
    """One field of a block: ``_cell`` as windows and people."""
    part = packed.isel(_cell=fields[name])
    data = part.data.reshape((*part.shape[:-1], *fields.shapes[name]))
    dims = (*part.dims[:-1], schema.WINDOW, *people)
    return xr.DataArray(data, dims=dims, coords=part.coords)


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
