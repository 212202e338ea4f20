"""Wavelet coefficients, lazily, and the signal or its bands from them in a later session."""

import json
from functools import partial
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.highlevelgraph import HighLevelGraph

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock
from fhemb_xr.errors import SchemaError
from fhemb_xr.ops.blockwise.grid import Block, Grid, blocks
from fhemb_xr.ops.blockwise.overlap import Plan, columns, floating, row_bytes
from fhemb_xr.ops.synonyms import folded
from fhemb_xr.ops.time_frequency.band_spec import (
    Bands,
    Interval,
    Transform,
    band_attrs,
    check,
    choose,
)

SPEC = "fhemb_coefficients"
"""Attribute of coefficients that says, as JSON, what they are of."""
APPROXIMATION = "approximation"
_BLOCK_BYTES = 2**26
_CURE = "smaller chunks along the other dimensions or fewer levels"


def wavelet_coefficients(
    x: xr.DataArray, wavelet: str = "db4", level: int = 8, mode: str = "symmetric"
) -> xr.Dataset:
    """Coefficients of the multilevel DWT, level by level, as in PyWavelets.

    Parameters
    ----------
    x, wavelet, level, mode
        Same meaning as in :func:`wavelet_bands`. The modes ``"periodic"`` and
        ``"periodization"`` join both ends of the series. They are refused, because every block
        at an end would need the whole series.

    Returns
    -------
    Dataset
        Dataset with ``detail_1`` … ``detail_L`` and ``approximation``, lazy where ``x`` is.
        Every level has a length and a dimension of its own: level j has ``n_j = floor((n_{j-1}
        + F - 1) / 2)`` coefficients along ``time_<j>``, where F is the length of the filter.
        The coordinate of ``time_<j>`` is the middle of the samples that a coefficient depends
        on [s]. The coordinates of ``x`` are kept for :func:`from_coefficients`. A coefficient
        is NaN if a sample that it depends on is missing.

    Raises
    ------
    UnknownNameError
        No such wavelet; the error names the nearest ones.
    ValueError
        Any other argument is out of its range.
    BudgetError
        A block and the samples that it depends on exceed the budget of one task.

    Notes
    -----
    Equal to ``pywt.wavedec`` of the whole series, except for rounding. A block also reads the
    ``2 (F - 1)(2^L - 1)`` samples before it. Memory per task: 2 · samples read + block. Tasks:
    under L + 6 per block. Computes at call: none.

    References
    ----------
    - Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=2000), dims="time")
    >>> coefficients = fx.wavelet_coefficients(x.chunk(time=700), level=3)
    >>> [coefficients.sizes[f"time_{level}"] for level in (1, 2, 3)]
    [1003, 505, 256]
    >>> bool(abs(fx.from_coefficients(coefficients) - x).max() < 1e-12)
    True
    """
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel
    from fhemb_xr.kernels.time_frequency.wavelet_bands import CIRCULAR_MODES, LOCAL_MODES

    asked = check(x, wavelet, level, mode, gaps="propagate")
    clock, wavelet, level, mode = asked.clock, asked.wavelet, asked.level, asked.mode
    if mode in CIRCULAR_MODES:
        raise ValueError(
            f"mode {mode!r} joins both ends of the series, so its coefficients cannot be had "
            f"chunk by chunk: mode is one of {', '.join(LOCAL_MODES)}"
        )
    found = _analysed(x, asked.spec(tuple(range(level + 1))))
    n = clock.n
    sizes = kernel.lengths(n, wavelet, level)
    about = {k: x.attrs[k] for k in ("units", "long_name") if k in x.attrs}
    out = xr.Dataset(coords=x.coords)
    for j, (name, data) in enumerate(zip(_names(level), found, strict=True)):
        dims = [f"time_{j or level}" if d == schema.TIME else d for d in x.dims]
        out[name] = (dims, data, about)
    if clock.known_hz is not None:  # of dates: seconds since the first sample
        out = out.assign_coords(
            {
                f"time_{j}": (
                    f"time_{j}",
                    clock.start_s + kernel.middles(sizes[j], j, wavelet) / clock.known_hz,
                    {"units": "s"},
                )
                for j in range(1, level + 1)
            }
        )
    described = {"wavelet": wavelet, "level": level, "mode": mode, "samples": n, "name": x.name}
    out.attrs = {**clock.attrs, SPEC: json.dumps(described)}
    return out


def from_coefficients(
    coefficients: xr.Dataset,
    bands: Bands = "all",
    *,
    hz: Interval | None = None,
    period_s: Interval | None = None,
) -> xr.DataArray:
    """Signal, or sum of some of its bands, from its wavelet coefficients.

    Parameters
    ----------
    coefficients
        Result of :func:`wavelet_coefficients`, in memory, lazy, or opened from a store by
        :func:`open_result`.
    bands, hz, period_s
        Same meaning as in :func:`wavelet_filter`. Coefficients of other bands are not read.

    Returns
    -------
    DataArray
        Signal with its coordinates, lazy where the coefficients are. Its chunks are twice as
        long as those of ``detail_1``.

    Raises
    ------
    SchemaError
        The Dataset holds no coefficients; the error names what is missing.
    ValueError
        No such band.
    BudgetError
        A block exceeds the budget of one task.

    Notes
    -----
    Equal to ``pywt.waverec`` of the whole series, except for rounding. A block joins chunks up
    to 64 MiB. Memory per task: 3 · block. Tasks: under 3 (L + 1) per block. Computes at call:
    none.

    Examples
    --------
    See :func:`wavelet_coefficients`.
    """
    about = _described(coefficients)
    clock, level = Clock.of(coefficients).require_regular(), about["level"]
    every = isinstance(bands, str) and folded(bands) == "all"
    by_number = not every or (hz is None and period_s is None)
    chosen = choose(bands if by_number else None, level, clock, hz, period_s)
    asked = Transform(clock, about["wavelet"], level, about["mode"], "dwt", "propagate", 0)
    spec = asked.spec(chosen)
    arrays = [coefficients[n] for n in _names(level)]
    if any(a.chunks for a in arrays):  # each its own in time, the same in all else
        finest = arrays[1].chunk().chunksizes
        arrays = [a.chunk({d: c for d, c in finest.items() if d != "time_1"}) for a in arrays]
    axis = int(arrays[1].get_axis_num("time_1"))
    data = _synthesised([a.data for a in arrays], spec, axis, about["samples"])
    dims = [schema.TIME if i == axis else d for i, d in enumerate(arrays[1].dims)]
    own = {f"time_{j}" for j in range(1, level + 1)}
    kept = {n: c for n, c in coefficients.coords.items() if not own & set(c.dims)}
    out = xr.DataArray(data, dims=dims, coords=kept, name=about["name"])
    out.attrs = {**arrays[1].attrs, **clock.attrs}
    if len(chosen) <= level:
        out.attrs = band_attrs(out, chosen, asked)
    return out


def _names(level: int) -> list[str]:
    """The variables: at 0 the approximation, at j the detail of level j."""
    return [APPROXIMATION, *(f"detail_{j}" for j in range(1, level + 1))]


def _described(coefficients: xr.Dataset) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(coefficients.attrs[SPEC])
        wanted = _names(about["level"])
    except (KeyError, TypeError, ValueError):
        raise SchemaError(
            f"expected the coefficients of wavelet_coefficients, found no attribute {SPEC!r} "
            f"beside {sorted(map(str, coefficients.data_vars))}"
        ) from None
    missing = [n for n in wanted if n not in coefficients]
    if missing:
        raise SchemaError(f"coefficients of level {about['level']} need {missing} too")
    _check_lengths(coefficients, about)
    return about


def _check_lengths(coefficients: xr.Dataset, about: dict[str, Any]) -> None:
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    whole = kernel.lengths(about["samples"], about["wavelet"], about["level"])
    levels = [f"time_{j}" for j in range(1, about["level"] + 1)]
    wanted = {schema.TIME: about["samples"], **dict(zip(levels, whole[1:], strict=True))}
    cut = {d: n for d, n in wanted.items() if coefficients.sizes.get(d, n) != n}
    if cut:
        found = {d: coefficients.sizes[d] for d in cut}
        raise SchemaError(
            f"coefficients of {about['samples']} samples have the lengths {cut}, "
            f"found {found}: cut the signal, not its coefficients"
        )


def _analysed(x: xr.DataArray, spec: Any) -> list[Any]:
    """Coefficients of numpy or dask data: the approximation, then the detail of each level."""
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    axis, data = int(x.get_axis_num(schema.TIME)), floating(x.data)
    n = data.shape[axis]
    sizes = np.array(kernel.lengths(n, spec.wavelet, spec.level))
    if not isinstance(data, da.Array):
        whole = Block(0, n, range(1), ((0, n),))
        stacked = _analyse([data], None, axis, whole, spec=spec, n=n)
        ends = np.cumsum([sizes[-1], *sizes[1:]])[:-1]
        return list(np.split(stacked, ends, axis))
    least = min(8 * spec.reach, max(1, _BLOCK_BYTES // max(1, row_bytes(data, axis))))
    cut = blocks(data.chunks[axis], max(spec.step, least), partial(_before, n, spec))
    plan = Plan(data, axis, cut, partial(_analyse, spec=spec, n=n))
    plan.require_fit(3, "a wavelet transform", _CURE)
    rows = np.array([np.subtract(*_span(block, spec, n)[::-1]) for block in cut])
    meta = np.empty((0,) * data.ndim, data.dtype)
    stacked = plan.array((), meta, rows.sum(axis=1).tolist())
    return [_level(stacked, axis, rows, j) for j in range(spec.level + 1)]


def _before(n: int, spec: Any, a: int, b: int) -> Any:
    """Samples that the coefficients of ``a`` to ``b`` need; they begin at a whole step."""
    return ((max(0, (a - 2 * spec.reach) // spec.step * spec.step - spec.step), b),)


def _span(block: Block, spec: Any, n: int) -> tuple[Any, Any]:
    """Coefficients of each level whose last sample lies in a block.

    The last block also has those that lie beyond the series.
    """
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    step = 2 ** np.array([spec.level, *range(1, spec.level + 1)])
    begins, ends = block.begin // step, block.end // step
    if block.end == n:
        sizes = kernel.lengths(n, spec.wavelet, spec.level)
        ends = np.array([sizes[-1], *sizes[1:]])
    return begins, ends


def _analyse(parts: list[Any], _: Any, axis: int, block: Block, *, spec: Any, n: int) -> Any:
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    x, others = columns(parts, axis)
    origin = block.reads[0][0]
    step = 2 ** np.array([spec.level, *range(1, spec.level + 1)])
    begins, ends = (at - origin // step for at in _span(block, spec, n))
    out = kernel.analysed(x, spec, begins, ends)
    return np.moveaxis(out.reshape(len(out), *others), 0, axis)


def _level(stacked: da.Array, axis: int, rows: Any, j: int) -> da.Array:
    """The rows of one level of every block."""
    ends = rows[:, : j + 1].sum(axis=1)
    spans = np.stack([ends - rows[:, j], ends], axis=-1).tolist()
    chunks = [*stacked.chunks]
    chunks[axis] = tuple(rows[:, j].tolist())
    meta = np.empty((0,) * stacked.ndim, stacked.dtype)
    out: da.Array = stacked.map_blocks(
        _rows, axis=axis, spans=spans, chunks=tuple(chunks), dtype=stacked.dtype, meta=meta
    )
    return out


def _rows(x: Any, *, axis: int, spans: list[list[int]], block_id: Any = None) -> Any:
    begin, end = spans[block_id[axis]]
    # a copy, so that the stacked block may go
    return np.ascontiguousarray(x[(slice(None),) * axis + (slice(begin, end),)])


def _synthesised(arrays: list[Any], spec: Any, axis: int, n: int) -> Any:
    """The stretches of a signal from those of each level that its bands need."""
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    wanted = np.flatnonzero(kernel.levels(spec)).tolist()
    if not isinstance(arrays[1], da.Array):
        parts = [[arrays[j]] for j in wanted]
        return _synthesise(parts, axis, Block(0, n, range(1), ()), spec, n)
    finest = arrays[1].chunks[axis]
    edges = np.unique([0, *(2 * e for e in accumulate(finest) if 2 * e < n), n])
    width = row_bytes(arrays[1], axis)
    least = min(4 * spec.reach, max(1, _BLOCK_BYTES // max(1, width)))
    cut = blocks(np.diff(edges).tolist(), least, lambda a, b: ())
    held = max(block.end - block.begin for block in cut)
    budget.check(4 * width * held, f"a signal in blocks of {held} samples", _CURE)
    return _assembled(arrays, wanted, cut, spec, axis, n)


def _assembled(
    arrays: list[da.Array], wanted: list[int], cut: list[Block], spec: Any, axis: int, n: int
) -> da.Array:
    """The graph of a signal; every level has chunks of its own along time."""
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    used = [arrays[j] for j in wanted]
    graph: dict[Any, Any] = {}
    purpose = ([a.name for a in used], cut, spec)
    grids = [Grid(a, axis, purpose, graph) for a in used]
    result = Grid(arrays[1], axis, purpose, graph)
    spans = [np.stack(kernel.needed(b.begin, b.end, n, spec), -1).tolist() for b in cut]
    for line in result.lines():
        for i, block in enumerate(cut):
            parts = [
                grid.parts(line, (tuple(spans[i][j or -1]),))
                for j, grid in zip(wanted, grids, strict=True)
            ]
            key = result.result(line, i, block, 0, in_chunks=False)
            graph[key] = (_synthesise, parts, axis, block, spec, n)
    layers = HighLevelGraph.from_collections(result.name("cut"), graph, used)
    meta = np.empty((0,) * arrays[1].ndim, arrays[1].dtype)
    return result.array(layers, (), meta, [block.end - block.begin for block in cut])


def _synthesise(parts: list[list[Any]], axis: int, block: Block, spec: Any, n: int) -> Any:
    """One block; tasks call it with the chunks of each level that it depends on."""
    from fhemb_xr.kernels.time_frequency import wavelet_coefficients as kernel

    made = [columns(p, axis) for p in parts]
    x = np.concatenate([rows for rows, _ in made])
    out = kernel.synthesised(x, spec, block.begin, block.end, n)
    return np.moveaxis(out.reshape(len(out), *made[0][1]), 0, axis)
