"""The dask graph of wavelet bands: overlapping blocks, or a scan along time."""

import math
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.ops.blockwise import scan
from fhemb_xr.ops.blockwise.overlap import (
    Block,
    Plan,
    blocks,
    columns,
    floating,
    row_bytes,
)
from fhemb_xr.ops.time_frequency import band_graph

MISSING = "a sample is missing: gaps='fill' or gaps='split' allow that"


def advance(
    chunks: list[Any], before: Any, axis: int, block: Block, *, spec: Any, gaps: str, n: int
) -> Any:
    """What is open after a block, and the coefficients that it adds."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

    x, _ = columns(chunks, axis)
    if gaps == "raise" and not np.isfinite(x).all():
        raise ValueError(MISSING)
    opened = before[0] if before else []
    return kernel.advanced(
        x, spec, block.begin, opened, last=block.end == n, ignore=gaps == "propagate"
    )


def rebuild(
    added: list[Any], others: tuple[int, ...], axis: int, block: Block, *, spec: Any, dtype: Any
) -> Any:
    """The bands of a block, in the order of the data's axes; a last axis for several groups."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

    out = np.empty((len(spec.groups), block.end - block.begin, math.prod(others)), dtype)
    kernel.rebuild(added, spec, block.begin, out)
    out = np.moveaxis(out.reshape(*out.shape[:2], *others), 1, axis + 1)
    return out[0] if len(out) == 1 else np.moveaxis(out, 0, -1)


_BLOCK_BYTES = 2**24  # up to here short chunks are filtered together


_SHARE = 2  # of itself, from where on a block rather has what it depends on carried to it


_PART_BYTES = 2**23  # series of so many bytes are put together at a time: the cache holds them


def _filtered(x: xr.DataArray, spec: Any, gaps: str, max_gap_s: float) -> Any:
    """Bands of numpy or dask data; a last axis for the groups where there are several."""
    axis = int(x.get_axis_num(schema.TIME))
    longest = round(max_gap_s * schema.sampling_rate(x)) if gaps == "fill" else 0
    data = floating(x.data)
    extra = (len(spec.groups),) if len(spec.groups) > 1 else ()
    n = data.shape[axis]
    if data.size == 0:
        return (da if isinstance(data, da.Array) else np).empty(
            (*data.shape, *extra), data.dtype
        )
    work = partial(_block, spec=spec, gaps=gaps, longest=longest)
    if not isinstance(data, da.Array):
        return work([data], None, axis, Block(0, n, range(1), ((0, n),)))
    meta = np.empty((0,) * (data.ndim + len(extra)), data.dtype)
    circular = spec.mode in ("periodic", "periodization")
    alone = spec.transform == "dwt" and not circular
    found = _blocks(data, axis, spec, longest)
    if alone and gaps != "fill" and any(_read(b) > _SHARE * (b.end - b.begin) for b in found):
        return _carried(data, axis, spec, gaps).array(extra, meta)
    _affordable(data, axis, max(map(_read, found)))
    plan = Plan(data, axis, found, work)
    if alone and gaps in ("fill", "split"):
        plan.summary = partial(_summary, longest=longest)
        plan.merge = partial(_merge, longest=longest)
    return plan.array(extra, meta)


def _read(block: Block) -> int:
    return sum(b - a for a, b in block.reads)


def _carried(data: da.Array, axis: int, spec: Any, gaps: str) -> Plan:
    """Blocks that read only themselves: what they need of those before is carried along."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

    n, ahead = data.shape[axis], kernel.ahead(spec)
    least = max(1, _BLOCK_BYTES // row_bytes(data, axis))
    found = blocks(data.chunks[axis], min(4 * ahead, least), lambda a, b: ((a, b),))
    _affordable(data, axis, max(map(_read, found)) + ahead)
    return scan.Chain(
        data, axis, found, partial(band_graph.advance, spec=spec, gaps=gaps, n=n),
        rebuild=partial(band_graph.rebuild, spec=spec, dtype=data.dtype), ahead=ahead,
    )  # fmt: skip


def _blocks(data: da.Array, axis: int, spec: Any, longest: int) -> list[Block]:
    """Blocks that read all that they depend on."""
    from fhemb_xr.kernels.time_frequency.gaps import CONTEXT

    n, circular = data.shape[axis], spec.mode in ("periodic", "periodization")
    # an output sample sees the reach and a gap at its end
    margin = spec.reach * (2 if circular else 1) + longest + 1
    margin += CONTEXT if longest else 0
    least = min(4 * margin, max(1, _BLOCK_BYTES // row_bytes(data, axis)))
    reads = partial(_reads, n, margin, spec.step, circular)
    return blocks(data.chunks[axis], least, reads)


def _affordable(data: da.Array, axis: int, held: int) -> None:
    if held < data.shape[axis]:
        budget.check(
            3 * row_bytes(data, axis) * held,
            f"filtering blocks of {held} samples",
            "smaller chunks along the other dimensions or fewer levels",
        )


def _reads(n: int, margin: int, step: int, circular: bool, a: int, b: int) -> Any:
    """The stretches of a series of n that samples ``a`` to ``b`` depend on.

    On the left that goes back to where a step begins. Where both ends meet, they are read as
    one shorter series, whose middle is left out in whole steps: near its ends the transform is
    the same.
    """
    if not circular:
        return ((max(0, a - margin - step), min(n, b + margin)),)
    margin += step
    lo, hi = a - margin, b + margin
    if lo >= 0 and hi <= n:
        return ((lo, hi),)
    if lo < 0 and hi > n:
        return ((0, n),)
    head, tail = (hi, n - margin) if lo < 0 else (margin, lo)
    head += (tail - head) % step
    return ((0, n),) if tail <= head else ((0, head), (tail, n))


def _block(
    parts: list[Any], state: Any, axis: int, block: Block, *, spec: Any, gaps: str, longest: int
) -> Any:
    """The bands of one block; tasks call it with the chunks that the block reads.

    What lies in several chunks is put together for some channels at a time.
    """
    origin = block.reads[-1][0] if block.begin >= block.reads[-1][0] else 0
    first = block.begin - origin + sum(b - a for a, b in block.reads if b <= origin)
    last = first + block.end - block.begin
    read, others = zip(*(columns([part], axis) for part in parts), strict=True)
    work = partial(_part, spec=spec, gaps=gaps, longest=longest, joined=len(block.reads) > 1)
    if len(read) == 1:
        out = work(read[0], state, origin, first, last)
    else:
        n = read[0].shape[1]
        out = np.empty((len(spec.groups), last - first, n), read[0].dtype)
        for c in _channels(n, sum(map(len, read)) * out.itemsize):
            some = None if state is None else state[:, c]
            out[..., c] = work(
                np.concatenate([r[:, c] for r in read]), some, origin, first, last
            )
    out = np.moveaxis(out.reshape(*out.shape[:2], *others[0]), 1, axis + 1)
    return out[0] if len(out) == 1 else np.moveaxis(out, 0, -1)


def _channels(n: int, series_bytes: int) -> list[slice]:
    """Equal parts of n channels whose series fit the cache."""
    width = -(-n // max(1, -(-n * series_bytes // _PART_BYTES)))
    return [slice(c, c + width) for c in range(0, n, max(1, width))]


def _part(
    x: Any, state: Any, origin: int, first: int, last: int, *, spec: Any, gaps: str,
    longest: int, joined: bool,
) -> Any:  # fmt: skip
    """Rows ``first`` to ``last`` of some channels, whose row 0 is sample ``origin``."""
    from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel

    if gaps == "raise" and not np.isfinite(x[first:last]).all():
        raise ValueError(band_graph.MISSING)
    start = None if joined else np.full(x.shape[1], -origin)
    if gaps in ("fill", "split") and spec.mode not in kernel.CIRCULAR_MODES:
        start = None
        if state is not None:
            start = np.where(state[1] < origin, 0, state[2] - origin)
    alone = longest if gaps != "propagate" else None
    whole = not joined and first == 0 and last == len(x)
    return kernel.by_runs(x, spec, first, last, longest=alone, start=start, whole=whole)


def _summary(parts: list[Any], axis: int, block: Block, *, longest: int) -> Any:
    from fhemb_xr.kernels.time_frequency import gaps as runs

    return runs.last_run(columns(parts, axis)[0], block.begin, longest)


def _merge(before: Any, after: Any, *, longest: int) -> Any:
    from fhemb_xr.kernels.time_frequency import gaps as runs

    return after if before is None else runs.merge_runs(before, after, longest)


def _covered(there: Any, *, spec: Any) -> Any:
    from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel

    return kernel.covered(there > 0, spec)
