"""The decimated wavelet transform of one run, forth and back, channels innermost.

Series lie side by side: a row of memory is one sample of every channel, so a weighted sum of
rows is a sum of long vectors.

* Samples are read and results written in place, once each, in whole rows. Measured: pieces of
  128 bytes of wide rows are read and written at a third of the speed of whole rows, and copying
  them aside costs more than the sums.
* The levels of a run lie in a flat *work* array. Free rows before and after each level take its
  extension. The ends of the run itself are copied to the head of the array. So no loop has to
  treat the ends apart.
* Two rows are made at a time, because they share most of their input. If their number is odd,
  one row too many falls into a free row.
* Numbers of channels are unsigned. Otherwise the compiler would ask of every index whether it
  counts from the end, and the loops would not become vectors.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.time_frequency.dwt_rows import (
    copy_rows,
    down,
    extend,
    fetch,
    make_rows,
    up,
)
from fhemb_xr.typing import Floats

ROW_BYTES = 2048
"""Bytes of the channels that are worked on at a time, if the rows are wider."""


class Levels(NamedTuple):
    """Where the rows of each level begin in the work array: the smooth, and the detail."""

    starts: Any
    high: Any
    sizes: Any


class Bank(NamedTuple):
    """Filters of the synthesis by parity of the sample, and the row that they begin at."""

    poly: Any
    shift: Any


class Ends(NamedTuple):
    """Source rows and weights of the rows before and after each level, see ``extensions``."""

    source: Any
    weight: Any


MODES = (
    "zero", "constant", "symmetric", "reflect", "periodic", "smooth", "antisymmetric",
    "antireflect", "periodization",
)  # fmt: skip


@kernel
def _first(x, n, step, work, to, width, size, taps, offset, ends):
    """Level 1 from the run itself, and near its ends from copies of them."""
    before = len(taps) - 1 - offset  # rows that a sum reads before its own
    a = min((before + 1) // 2, size)
    b = a + max((n - 1 - offset) // 2 + 1 - a, 0) // 2 * 2
    for lo, hi in ((0, a), (a, b), (b, size)):
        begin = 2 * lo - before
        if lo == a and hi == b:
            down(x, begin, step, work, to + lo, width, hi - lo, taps)
        elif hi > lo:
            end = begin + 2 * (hi - lo - 1) + len(taps)
            fetch(x, n, step, begin, end, work, width, ends.source[0], ends.weight[0])
            down(work, 0, width, work, to + lo, width, hi - lo, taps)


@kernel
def _analyse(x, step, work, width, levels, wanted, filters, offset, ends):
    """Every level: the details wanted, and the smooth that the next level needs."""
    starts, high, sizes = levels.starts, levels.high, levels.sizes
    n_levels = len(sizes) - 1
    for j in range(1, n_levels + 1):
        if j > 1:
            source, weight = ends.source[j - 1], ends.weight[j - 1]
            extend(work, starts[j - 1], sizes[j - 1], width, source, weight)
        for band in range(1, -1, -1):
            if not (wanted[j] if band else j < n_levels or wanted[0]):
                continue
            to, taps = high[j] if band else starts[j], filters[band]
            if j == 1:
                _first(x, sizes[0], step, work, to, width, sizes[1], taps, offset, ends)
            else:
                at = starts[j - 1] + offset - len(taps) + 1
                down(work, at, width, work, to, width, sizes[j], taps)


@kernel
def _rebuild(work, width, j, levels, used, bank, begin, end):
    """Rows ``begin`` to ``end`` of the smooth of level j - 1 from level j."""
    m, to = begin // 2, levels.starts[j - 1]
    up(
        work, levels.starts[j] + m, levels.high[j] + m, width, used, bank, work, to + 2 * m,
        width, (end + 1) // 2 - m,
    )  # fmt: skip


@kernel
def _last(work, width, levels, used, bank, first, last, out, step):
    """Samples ``first`` to ``last`` from level 1; halves of pairs by way of the head."""
    if first >= last:
        return
    lo, hi = (first + 1) // 2, last // 2
    smooth, detail = levels.starts[1], levels.high[1]
    up(
        work, smooth + lo, detail + lo, width, used, bank, out, 2 * lo - first, step,
        max(hi - lo, 0),
    )  # fmt: skip
    for row in (first, last - 1):
        if (row == first and first % 2) or (row == last - 1 and last % 2):
            m = row // 2
            up(work, smooth + m, detail + m, width, used, bank, work, 0, width, 1)
            copy_rows(work, row % 2, width, out, row - first, step, 1, width)


@kernel
def _synthesise(work, width, levels, chosen, bank, circular, wraps, span, out, step):
    """One sum of bands, samples ``first`` to ``last`` (the ``span``)."""
    starts, high, sizes = levels.starts, levels.high, levels.sizes
    first, last = span
    used = np.zeros(2, np.bool_)
    used[0] = chosen[0]
    for j in range(len(sizes) - 1, 0, -1):
        used[1] = chosen[j]
        begin, end = 0, sizes[j - 1]
        if circular:
            for band in range(2):
                if used[band]:
                    at = high[j] if band else starts[j]
                    extend(work, at, sizes[j], width, wraps.source[j], wraps.weight[j])
        else:  # only the rows that the result depends on
            begin, end = first, last
            for _ in range(j - 1):
                begin, end = begin // 2, (end - 1) // 2 + bank.poly.shape[2]
            end = min(end, sizes[j - 1])
        if j > 1:
            _rebuild(work, width, j, levels, used, bank, begin, end)
            used[0] |= used[1]
    _last(work, width, levels, used, bank, first, last, out, step)


@kernel
def places(sizes, pad, wanted):
    """First rows of the smooth and of the wanted detail of each level; the number of rows."""
    starts, high = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    at = 5 * pad + 4  # the head holds what the longest end reads
    for j in range(1, len(sizes)):
        starts[j] = at
        at += sizes[j] + 2 * pad
        high[j] = at
        at += sizes[j] + 2 * pad if wanted[j] else 0
    return starts, high, at


def channels_at_a_time(n: int, itemsize: int) -> int:
    """Equal parts of n channels, each of up to ``ROW_BYTES``."""
    parts = -(-n * itemsize // ROW_BYTES)
    return -(-n // max(parts, 1))


@kernel
def transform(x, width, work, sizes, analysis, bank, ends, groups, span, out):
    """Sums of bands of a run: ``x (n, c) -> out (group, last - first, c)``.

    ``groups[g, 0]`` asks for the approximation of the deepest level, ``groups[g, j]`` for the
    detail of level j. ``analysis``: filters, and the sample that they begin at; ``ends``: those
    of the samples, and those of the coefficients for a transform that joins both ends;
    ``span``: first and last sample.
    """
    step, wanted = x.shape[1], np.zeros(len(sizes), np.bool_)
    filters, offset = analysis
    for g in range(len(groups)):
        wanted |= groups[g]
    starts, high, _ = places(sizes, filters.shape[1], wanted)
    levels = Levels(starts, high, sizes)
    for c in range(0, step, max(width, 1)):
        n, part = min(width, step - c), x.reshape(-1)[c:]
        _analyse(part, step, work, n, levels, wanted, filters, offset, ends[0])
        for g in range(len(groups)):
            into = out[g].reshape(-1)[c:]
            _synthesise(
                work, n, levels, groups[g], bank, offset != 1, ends[1], span, into, step
            )


@kernel
def onward(work, width, levels, carried, had, has, wanted, filters, extension, edges):
    """New rows of every level of a run that goes on, or begins, or ends (the two ``edges``).

    The ``carried`` rows of level j before ``had[j]`` begin at row ``starts[j]``; at level 0 the
    new samples up to ``has[0]`` follow. New rows of the smooth are written behind them, new
    rows of the detail to row ``high[j]``.
    """
    (starts, high, _), (begins, ends), pad = levels, edges, filters.shape[1]
    for j in range(1, len(starts)):
        at, n = starts[j - 1], has[j] - had[j]
        rows = carried + has[j - 1] - had[j - 1]
        made, by = extension.source[j - 1], extension.weight[j - 1]
        for e in range(2 * pad):
            if e < pad and begins:
                make_rows(work, at, width, work, at - pad + e, width, made[e], by[e])
            if e >= pad and ends:
                make_rows(work, at, width, work, at + rows + e - pad, width, made[e], by[e])
        first = at + 2 * had[j] + 2 - pad - (had[j - 1] - carried)
        if wanted[j]:
            down(work, first, width, work, high[j], width, n, filters[1])
        if j < len(starts) - 1 or wanted[0]:
            down(work, first, width, work, starts[j] + carried, width, n, filters[0])


@kernel
def analysis(x, width, work, sizes, filters, offset, ends, begins, at, out):
    """Coefficients of a run, stacked: ``x (n, c) -> out (rows, c)``.

    The coefficients of level j from number ``begins[j]`` on are rows ``at[j]`` to
    ``at[j + 1]``; level 0 is the approximation of the deepest level.
    """
    step, wanted = x.shape[1], np.ones(len(sizes), np.bool_)
    starts, high, _ = places(sizes, filters.shape[1], wanted)
    levels = Levels(starts, high, sizes)
    for c in range(0, step, max(width, 1)):
        n, part, into = min(width, step - c), x.reshape(-1)[c:], out.reshape(-1)[c:]
        _analyse(part, step, work, n, levels, wanted, filters, offset, ends)
        for j in range(len(sizes)):
            row = begins[j] + (high[j] if j else starts[-1])
            copy_rows(work, row, n, into, at[j], step, at[j + 1] - at[j], n)


@kernel
def synthesis(x, width, work, begins, ends, chosen, at, bank, out):
    """A stretch of a sum of bands from the stacked coefficients that it depends on.

    ``begins[j]`` to ``ends[j]`` are the rows of level j, or at 0 the samples; ``at`` is as in
    :func:`analysis`, where levels that are not ``chosen`` have no rows.
    """
    step, starts, high = x.shape[1], np.zeros_like(begins), np.zeros_like(begins)
    place = 2
    for j in range(1, len(begins)):  # two rows more, for halves of pairs
        starts[j] = place + 1 - begins[j]
        high[j] = starts[j] + ends[j] - begins[j] + 2
        place += 2 * (ends[j] - begins[j] + 2)
    levels = Levels(starts, high, ends - begins)
    for c in range(0, step, max(width, 1)):
        n, part, used = min(width, step - c), x.reshape(-1)[c:], np.zeros(2, np.bool_)
        for j in range(len(begins)):
            if chosen[j]:
                row = high[j] + begins[j] if j else starts[-1] + begins[-1]
                copy_rows(part, at[j], step, work, row, n, at[j + 1] - at[j], n)
        used[0] = chosen[0]
        for j in range(len(begins) - 1, 1, -1):
            used[1] = chosen[j]
            _rebuild(work, n, j, levels, used, bank, begins[j - 1], ends[j - 1])
            used[0] |= used[1]
        used[1] = chosen[1]
        into = out.reshape(-1)[c:]
        _last(work, n, levels, used, bank, begins[0], ends[0], into, step)


def pieces(x: Floats, out: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
    """Channels, their series and where the loops write: ``(t, c), (..., c)``.

    The whole array if it is contiguous and writeable, as the loops are compiled for; otherwise
    copies of some channels at a time. Another kind of array would compile the loops again.
    """
    if x.flags.c_contiguous and x.flags.writeable and out.flags.c_contiguous:
        yield slice(None), x, out
        return
    width = max(channels_at_a_time(x.shape[1], x.itemsize), 1)
    for c in range(0, x.shape[1], width):
        columns = slice(c, min(c + width, x.shape[1]))
        part = np.array(x[:, columns], order="C")
        yield columns, part, np.empty((*out.shape[:-1], part.shape[1]), out.dtype)
