"""The dask graph of wavelet bands: overlapping blocks, or a scan along time.

Both give the same numbers. Overlapping blocks read their neighbours again, and are independent
of each other. A scan reads every sample once and passes a few coefficients on, but its blocks
wait for each other. The scan is taken where blocks would read more than twice themselves.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.clock import Clock
from fhemb_xr.ops.blockwise import scan
from fhemb_xr.ops.blockwise.grid import Block, Ranges, blocks
from fhemb_xr.ops.blockwise.overlap import Plan, columns, floating, row_bytes

_BLOCK_BYTES = 2**24
"""Size up to which short chunks are joined."""
_MOST_READ = 2
"""Reads of a block, in multiples of itself, above which a scan is used instead."""
_PART_BYTES = 2**23
"""Series that are put together at a time: the cache holds them."""
_CURE = "smaller chunks along the other dimensions or fewer levels"


@dataclass(frozen=True)
class Filter:
    """The bands that are asked for, and what happens at missing samples."""

    spec: Any
    gaps: str
    longest: int
    """Longest gap that is filled, in samples."""

    @property
    def circular(self) -> bool:
        """Whether the transform joins both ends of the series."""
        return self.spec.mode in ("periodic", "periodization")

    @property
    def n_groups(self) -> tuple[int, ...]:
        """Size of the last axis of the result, which a single group has not."""
        return (len(self.spec.groups),) if len(self.spec.groups) > 1 else ()

    def check(self, x: Any) -> None:
        """Refuse missing samples where they are not allowed."""
        if self.gaps == "raise" and not np.isfinite(x).all():
            raise ValueError("a sample is missing: gaps='fill' or gaps='split' allow that")


@dataclass(frozen=True)
class BandGraph:
    """Wavelet bands of ``data`` along ``axis``, lazy where ``data`` is."""

    data: Any
    axis: int
    filter: Filter

    @classmethod
    def of(cls, x: xr.DataArray, spec: Any, gaps: str, max_gap_s: float) -> "BandGraph":
        """The graph for the bands ``spec`` of ``x`` along time."""
        longest = Clock.of(x).samples("max_gap_s", max_gap_s) if gaps == "fill" else 0
        axis = int(x.get_axis_num(schema.TIME))
        return cls(floating(x.data), axis, Filter(spec, gaps, longest))

    def array(self) -> Any:
        """The bands; a last axis for the groups if there are several."""
        data, new, n = self.data, self.filter.n_groups, self.data.shape[self.axis]
        lazy = isinstance(data, da.Array)
        if data.size == 0:
            return (da if lazy else np).empty((*data.shape, *new), data.dtype)
        if not lazy:
            whole = Block(0, n, range(1), ((0, n),))
            return _bands_of_block([data], None, self.axis, whole, bands=self.filter)
        meta = np.empty((0,) * (data.ndim + len(new)), data.dtype)
        plan = self._overlapping()
        if self._independent and self.filter.gaps != "fill" and _reads_much(plan):
            return self._scan().array(new, meta)
        if plan.largest_read < n:
            plan.require_fit(3, "filtering", _CURE)
        return plan.array(new, meta)

    @property
    def _independent(self) -> bool:
        """Whether a block depends on nothing after it but a short stretch."""
        return self.filter.spec.transform == "dwt" and not self.filter.circular

    def _overlapping(self) -> Plan:
        """Blocks that read all that they depend on."""
        from fhemb_xr.kernels.time_frequency.gaps import CONTEXT

        spec, longest, n = self.filter.spec, self.filter.longest, self.data.shape[self.axis]
        # an output sample sees the reach of the filter, and a gap at its end
        margin = spec.reach * (2 if self.filter.circular else 1) + longest + 1
        margin += CONTEXT if longest else 0
        reads = partial(_reads, n, margin, spec.step, self.filter.circular)
        cut = self._blocks(4 * margin, reads)
        plan = Plan(self.data, self.axis, cut, partial(_bands_of_block, bands=self.filter))
        if self._independent and self.filter.gaps in ("fill", "split"):
            plan.summary = partial(_last_run, longest=longest)
            plan.merge = partial(_merge, longest=longest)
        return plan

    def _scan(self) -> scan.Chain:
        """Blocks that read only themselves: the coefficients they need are passed on."""
        from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

        ahead, n = kernel.ahead(self.filter.spec), self.data.shape[self.axis]
        cut = self._blocks(4 * ahead, lambda a, b: ((a, b),))
        plan = Plan(self.data, self.axis, cut, partial(advance, bands=self.filter, n=n))
        if plan.largest_read + ahead < n:
            plan.require_fit(3, "filtering", _CURE, more=ahead)
        make = partial(rebuild, spec=self.filter.spec, dtype=self.data.dtype)
        return scan.Chain(self.data, self.axis, cut, plan.work, make, ahead)

    def _blocks(self, samples: int, reads: Any) -> list[Block]:
        """Blocks of at least ``samples``, but not above :data:`_BLOCK_BYTES` for that."""
        most = max(1, _BLOCK_BYTES // row_bytes(self.data, self.axis))
        return blocks(self.data.chunks[self.axis], min(samples, most), reads)


def _reads_much(plan: Plan) -> bool:
    return any(b.read_samples > _MOST_READ * (b.end - b.begin) for b in plan.blocks)


def advance(
    chunks: list[Any], before: Any, axis: int, block: Block, *, bands: Filter, n: int
) -> Any:
    """The state after a block, and the coefficients that it adds."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

    x, _ = columns(chunks, axis)
    bands.check(x)
    opened, ignore = before[0] if before else [], bands.gaps == "propagate"
    return kernel.advanced(
        x, bands.spec, block.begin, opened, last=block.end == n, ignore=ignore
    )


def rebuild(
    added: list[Any], others: tuple[int, ...], axis: int, block: Block, *, spec: Any, dtype: Any
) -> Any:
    """The bands of a block, in the order of the data's axes; a last axis for several groups."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt as kernel

    out = np.empty((len(spec.groups), block.end - block.begin, math.prod(others)), dtype)
    kernel.rebuild(added, spec, block.begin, out)
    return _in_place(out, axis, others)


def _in_place(out: Any, axis: int, others: tuple[int, ...]) -> Any:
    """``(group, t, c)`` in the order of the data's axes, groups last if there are several."""
    out = np.moveaxis(out.reshape(*out.shape[:2], *others), 1, axis + 1)
    return out[0] if len(out) == 1 else np.moveaxis(out, 0, -1)


def _reads(n: int, margin: int, step: int, circular: bool, a: int, b: int) -> Ranges:
    """The stretches of a series of n that samples ``a`` to ``b`` depend on.

    On the left they begin a whole step of the transform earlier. If the transform joins both
    ends of the series, both are read as one shorter series. Its middle is left out in whole
    steps, so that near the ends the transform is the same.
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


def _bands_of_block(
    parts: list[Any], state: Any, axis: int, block: Block, *, bands: Filter
) -> Any:
    """The bands of one block; tasks call it with the chunks that the block reads.

    Several chunks are put together for some channels at a time, within the cache: a copy of
    the whole block would cost more memory, and time to go there and back.
    """
    origin = block.reads[-1][0] if block.begin >= block.reads[-1][0] else 0
    first = block.begin - origin + sum(b - a for a, b in block.reads if b <= origin)
    last = first + block.end - block.begin
    read, others = zip(*(columns([part], axis) for part in parts), strict=True)
    work = partial(_bands_of_channels, bands=bands, joined=len(block.reads) > 1)
    if len(read) == 1:
        out = work(read[0], state, origin, first, last)
    else:
        n = read[0].shape[1]
        out = np.empty((len(bands.spec.groups), last - first, n), read[0].dtype)
        for c in _channels(n, sum(map(len, read)) * out.itemsize):
            state_c = None if state is None else state[:, c]
            x = np.concatenate([r[:, c] for r in read])
            out[..., c] = work(x, state_c, origin, first, last)
    return _in_place(out, axis, others[0])


def _channels(n: int, series_bytes: int) -> list[slice]:
    """Equal parts of n channels whose series fit the cache."""
    width = -(-n // max(1, -(-n * series_bytes // _PART_BYTES)))
    return [slice(c, c + width) for c in range(0, n, max(1, width))]


def _bands_of_channels(
    x: Any, state: Any, origin: int, first: int, last: int, *, bands: Filter, joined: bool
) -> Any:
    """Rows ``first`` to ``last`` of some channels, whose row 0 is sample ``origin``."""
    from fhemb_xr.kernels.time_frequency import wavelet_bands as kernel

    bands.check(x[first:last])
    start = None if joined else np.full(x.shape[1], -origin)
    if bands.gaps in ("fill", "split") and bands.spec.mode not in kernel.CIRCULAR_MODES:
        start = None
        if state is not None:
            start = np.where(state[1] < origin, 0, state[2] - origin)
    longest = bands.longest if bands.gaps != "propagate" else None
    whole = not joined and first == 0 and last == len(x)
    return kernel.by_runs(x, bands.spec, first, last, longest=longest, start=start, whole=whole)


def _last_run(parts: list[Any], axis: int, block: Block, *, longest: int) -> Any:
    from fhemb_xr.kernels.time_frequency import gaps

    return gaps.last_run(columns(parts, axis)[0], block.begin, longest)


def _merge(before: Any, after: Any, *, longest: int) -> Any:
    from fhemb_xr.kernels.time_frequency import gaps

    return after if before is None else gaps.merge_runs(before, after, longest)
