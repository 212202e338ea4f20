"""Series arranged for a pairwise matrix, and the length of its blocks."""

import math
from collections.abc import Hashable

import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.ops.blockwise.rechunk import rechunked
from fhemb_xr.ops.pairwise.matrix_scaling import normalize_relation as normalize_relation
from fhemb_xr.options import options as settings

_ALONE = "fhemb_alone"  # the feature axis of what has none


_SIDE = 8  # blocks along one side of the grid: 36 tasks of equal work, for any cluster at hand


def arranged(x: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """``(…, dim, feature, time)``, in blocks along ``dim`` where lazy.

    Raises
    ------
    SchemaError
        If there is no ``dim`` or no ``time``.
    BudgetError
        If a pair of series is larger than the budget of a task.
    """
    schema.require_dims(x, dim, schema.TIME)
    if dim == schema.TIME:
        raise ValueError("cannot compare along 'time': it is what the series run along")
    names = [d for d in (schema.FEATURE, schema.COMPONENT) if d in x.dims and d != dim]
    x = x.drop_vars(schema.TIME, errors="ignore")
    if not names:
        x, names = x.expand_dims(_ALONE), [_ALONE]
    x = x.transpose(..., dim, names[0], schema.TIME)
    samples = x.sizes[schema.TIME] * x.sizes[names[0]]
    block = _block_length(x.sizes[dim], samples, math.prod(x.shape[:-3]))
    return rechunked(x, {schema.TIME: -1, names[0]: -1, dim: block, **_one_by_one(x)})


def _one_by_one(x: xr.DataArray) -> dict[Hashable, int]:
    """One member at a time of the dimensions that are kept."""
    return dict.fromkeys(x.dims[:-3], 1)


def _block_length(n: int, samples: int, matrices: int) -> int:
    """Series in a block: an eighth of them, more where there are many matrices, or fewer where
    two blocks would be too much.
    """
    side = max(1, math.ceil(_SIDE / math.sqrt(max(matrices, 1))))
    bytes_each = 2 * 28 * samples
    budget.check(bytes_each, "a pair of series", "select less time or fewer features")
    beside = 280 * samples  # what several pairs at once take, with one feature the most
    most = max(1, (settings.budget - beside) // max(bytes_each, 1))
    return max(1, min(math.ceil(n / side), most))


def check_partner(a: xr.DataArray, b: xr.DataArray, dim: Hashable) -> None:
    """Check that two arranged arrays can be compared.

    Raises
    ------
    ValueError
        If they differ in more than the members of ``dim`` and the length.
    """
    if a.dims != b.dims:
        raise ValueError(f"other has the dimensions {b.dims}, the series {a.dims}")
    for d in a.dims:
        if d in (dim, schema.TIME):
            continue
        mine, yours = a.indexes.get(d), b.indexes.get(d)
        same = a.sizes[d] == b.sizes[d] and (
            mine is None or yours is None or mine.equals(yours)
        )
        if not same:
            raise ValueError(f"other has different labels along {d!r}: select the same of both")
