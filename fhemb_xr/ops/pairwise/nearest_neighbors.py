"""The nearest series, without the distances of all."""

from collections.abc import Hashable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fhemb_xr.kernels.pairwise import metrics
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.checks import require_choice, require_count
from fhemb_xr.ops.pairwise.metric_options import check_window, require_normalization
from fhemb_xr.ops.pairwise.series_blocks import arranged, check_partner
from fhemb_xr.ops.units import require_same, warn_if_mixed
from fhemb_xr.typing import F64

RANK = "rank"


def nearest(
    x: xr.DataArray,
    queries: xr.DataArray,
    k: int = 1,
    *,
    dim: Hashable = "subject",
    window: float | None = None,
    normalize: str | tuple[float, float] = "none",
    nan: str = "drop",
) -> xr.Dataset:
    """The ``k`` series of ``x`` that are nearest to each query by warping, exactly.

    The distances are those of ``pairwise(x, "dtw")``, but few are worked out: candidates are
    ruled out by lower bounds (Kim, Keogh), and their tables given up as early as possible.

    Parameters
    ----------
    x
        Series along ``time``, and of all of ``feature`` (or ``component``) at once; the other
        dimensions are kept, and their members never compared with each other.
    queries
        Series that are looked for, with the same dimensions; of any length.
    k
        Number of nearest series.
    dim
        The dimension of ``x`` and of ``queries`` that holds the series.
    window, normalize, nan
        As in :func:`pairwise`. The narrower the window, the more is ruled out.

    Returns
    -------
    Dataset
        Dataset ``(…, dim, rank)``, lazy where the series are, with the labels of the queries
        along ``dim``, nearest first: ``distance``, float64; ``position`` in ``x``, int64; and
        ``match``, its label, where ``x`` has labels. Of equal distances the first in ``x``
        counts. Where there are fewer series, or the query has no data: NaN, -1, and -1 or an
        empty text.

    Raises
    ------
    UnknownNameError
        No such normalization or treatment of NaN (a ``KeyError``).
    ValueError
        If ``k`` or ``window`` is out of range, or the queries have other features.
    BudgetError
        If a pair of series is larger than the budget of a task.

    Notes
    -----
    Memory: each task holds a block of queries and one of series, 90 bytes per sample, an eighth
    of each or fewer. Tasks: 64 blocks and 8 that merge them, and under three per chunk of the
    series to gather them. Computes at call: none.

    References
    ----------
    - Keogh & Ratanamahatana (2005), Knowl. Inf. Syst. 7, 358-386,
      doi:10.1007/s10115-004-0154-9.

    Examples
    --------
    >>> import xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(
    ...     [[0.0, 1, 2, 3], [5, 5, 5, 5]],
    ...     dims=("subject", "time"),
    ...     coords={"subject": [40, 66]},
    ... )
    >>> fx.nearest(x, x + 2, 1).match.values.ravel().tolist()
    [40, 66]
    """
    k = require_count("k", k)
    normalize = require_normalization(normalize, x, dim)
    if normalize == "none":
        require_same(x, queries, ("x", "queries"))
        warn_if_mixed(x, "'dtw' sums the differences", "choose normalize='zscore'")
    nan = require_choice("treatment of NaN", nan, ("propagate", "drop"))
    a, b = arranged(queries, dim), arranged(x, dim)
    check_partner(a, b, dim)
    how = {"k": int(k), "window": check_window(window), "normalize": normalize, "nan": nan}
    if a.chunks or b.chunks:
        data = _lazy(da.asarray(a.data), da.asarray(b.data), how)
    else:
        data = _joined([_found(a.values, b.values, 0, how)], int(k))
    return _labelled(data, a, b, dim)


def _lazy(a: da.Array, b: da.Array, how: dict[str, Any]) -> da.Array:
    token = tokenize(a.name, b.name, how)
    name, part = f"fhemb-nearest-{token}", f"fhemb-nearest-part-{token}"
    starts = np.cumsum([0, *b.chunks[-3]])
    tasks: dict[Any, Any] = {}
    for where in np.ndindex(a.numblocks[:-2]):
        lead, i = where[:-1], where[-1]
        parts = [(part, *where, j) for j in range(b.numblocks[-3])]
        for j, key in enumerate(parts):
            left, right = (a.name, *lead, i, 0, 0), (b.name, *lead, j, 0, 0)
            tasks[key] = (_found, left, right, int(starts[j]), how)
        tasks[(name, 0, *where, 0)] = (_joined, parts, how["k"])
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[a, b])
    chunks = ((2,), *a.chunks[:-2], (how["k"],))
    return da.Array(graph, name, chunks, dtype=np.float64, meta=np.empty((0,) * len(chunks)))


def _found(a: F64, b: F64, start: int, how: dict[str, Any]) -> F64:
    """Of one block: ``(…, q, f, t), (…, n, f, t) -> (2, …, q, k)``."""
    from fhemb_xr.kernels.dtw import nearest_neighbors  # compiles

    out = np.full((2, *a.shape[:-2], how["k"]), -1.0)
    for i in np.ndindex(a.shape[:-3]):
        (q, n_q), (x, n_x) = (
            metrics.prepared(s[i], how["normalize"], how["nan"], True, np.float64)
            for s in (a, b)
        )
        d, where, _ = nearest_neighbors.nearest(q, x, n_q, n_x, how["k"], how["window"])
        out[(0, *i)], out[(1, *i)] = d, np.where(where >= 0, where + start, -1)
    return out


def _joined(parts: list[F64], k: int) -> F64:
    """The nearest of several blocks of series."""
    d, where = np.concatenate(parts, axis=-1)
    order = np.lexsort((where, d), axis=-1)[..., :k]
    d, where = (np.take_along_axis(x, order, axis=-1) for x in (d, where))
    return np.stack([np.where(where >= 0, d, np.nan), where])


def _labelled(data: Any, a: xr.DataArray, b: xr.DataArray, dim: Hashable) -> xr.Dataset:
    dims = (*a.dims[:-2], RANK)
    coords = {k: v for k, v in a.coords.items() if set(v.dims) <= set(a.dims[:-2])}
    out = xr.Dataset(
        {"distance": (dims, data[0]), "position": (dims, data[1].astype(np.int64))},
        {**coords, RANK: np.arange(data.shape[-1])},
    )
    out["distance"].attrs = {"long_name": "warping distance", "units": "1"}
    out["position"].attrs = {"long_name": f"position along {dim}", "units": "1"}
    if dim not in b.indexes:
        return out
    labels = b[dim].values
    nobody: Any = -1 if labels.dtype.kind in "iuf" else ""
    table = np.append(labels, np.array([nobody], dtype=labels.dtype))
    match = apply_kernel(
        _named,
        xr.DataArray(data[1], coords=out.coords, dims=dims),
        dtype=table.dtype,
        labels=table,
    )
    match.attrs = {"long_name": f"{dim} that is nearest"}
    return out.assign(match=match)


def _named(position: F64, labels: NDArray[Any]) -> NDArray[Any]:
    return labels[position.astype(np.int64)]  # -1 is the last: nobody
