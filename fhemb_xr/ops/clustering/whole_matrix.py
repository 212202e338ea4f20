"""Functions of a distance matrix as a whole, lazily, one matrix at a time."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fhemb_xr.ops.pairwise.matrix import pairwise
from fhemb_xr.ops.pairwise.pair_dims import of_matrix, pair_dims
from fhemb_xr.ops.pairwise.similarity import as_distance
from fhemb_xr.typing import F64


def _distance(x: xr.DataArray, metric: str = "dtw") -> xr.DataArray:
    """Distances of a relation; series are compared, by warping where nothing else is said."""
    if not any(str(name).endswith("_0") for name in x.dims):
        return as_distance(pairwise(x, metric))
    if metric != "dtw":
        raise ValueError(
            f"a relation has its metric, found metric={metric!r} beside {x.dims}: leave it "
            "out, or give the series"
        )
    return as_distance(x)


def _order(d: xr.DataArray) -> tuple[int, ...]:
    """Positions in the order of the labels, which the numbers of groups go by."""
    rows, _ = pair_dims(d)
    if rows not in d.indexes:
        return tuple(range(d.sizes[rows]))
    ids = d.indexes[rows].tolist()
    return tuple(sorted(range(len(ids)), key=lambda i: ids[i]))


def _of_people(
    function: Callable[..., Any],
    d: xr.DataArray,
    dtype: type,
    new: Mapping[Hashable, int] | None = None,
    /,
    **options: Any,
) -> xr.DataArray:
    """``function`` of each whole matrix, one row per member."""
    rows, _ = pair_dims(d)
    dim = str(rows)[:-2]
    out = of_matrix(
        function, d, {dim: d.sizes[rows], **(new or {})}, dtype, order=_order(d), **options
    )
    return out.assign_coords({dim: (dim, d[rows].values)}) if rows in d.indexes else out


def _each(d: F64, order: tuple[int, ...], function: Callable[[F64], Any]) -> NDArray[Any]:
    """``function`` of every matrix with its members in ``order``; results as they came."""
    where = np.array(order, dtype=np.int64)
    results = []
    for i in np.ndindex(d.shape[:-2]):
        found = np.asarray(function(np.asarray(d[i], dtype=np.float64)[np.ix_(where, where)]))
        back = np.empty_like(found)
        back[where] = found
        results.append(back)
    return np.stack(results).reshape(*d.shape[:-2], *results[0].shape) if results else d[..., 0]
