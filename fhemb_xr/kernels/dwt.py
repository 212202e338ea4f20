"""The decimated wavelet transform of one run, forth and back, channels innermost.

The levels of a run lie in a flat *work* array of rows of ``WIDTH`` channels, with free rows on
both sides of each, which are filled by the extension; so the loops over time have no ends to
look after. ``WIDTH`` and the steps from row to row are known when the loops are compiled: only
so are rows plain vectors (measured: 18 times as fast as steps that are arguments, whose sign
the compiler has to ask for at every sample). Samples pass through the head of the work array,
``TILE`` rows at a time, so that they are still in the processor's cache when the first level
reads them, and when the result leaves.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel, kernel

Floats = NDArray[np.floating[Any]]
WIDTH = 32
TILE = 512
"""Samples that pass through the head of the work array at a time."""
MODES = (
    "zero", "constant", "symmetric", "reflect", "periodic", "smooth", "antisymmetric",
    "antireflect", "periodization",
)  # fmt: skip


def _weighing(out_step, step):
    """``work[to + i out_step] (+)= sum_k taps[k] work[at + i step + k]`` for n rows i."""
    eight, four, one = _eight(out_step, step), _four(out_step, step), _one(out_step, step)

    @kernel
    def weigh(work, to, at, n, taps, add):
        out, k = work[to * WIDTH :], 0
        while k < len(taps):
            rows, left = work[(at + k) * WIDTH :], len(taps) - k
            if left >= 8:
                eight(out, rows, n, taps[k:], add)
            elif left >= 4:
                four(out, rows, n, taps[k:], add)
            else:
                one(out, rows, n, taps[k:], add)
            k, add = k + (8 if left >= 8 else 4 if left >= 4 else 1), True

    return weigh


def _eight(out_step, step):
    @fast_kernel
    def weigh(out, rows, n, taps, add):
        a, b, c, d = taps[0], taps[1], taps[2], taps[3]
        e, f, g, h = taps[4], taps[5], taps[6], taps[7]
        for i in range(n):
            q, p = i * out_step * WIDTH, i * step * WIDTH
            for x in range(WIDTH):
                near = (a * rows[p + x] + b * rows[p + WIDTH + x]) + (
                    c * rows[p + 2 * WIDTH + x] + d * rows[p + 3 * WIDTH + x]
                )
                far = (e * rows[p + 4 * WIDTH + x] + f * rows[p + 5 * WIDTH + x]) + (
                    g * rows[p + 6 * WIDTH + x] + h * rows[p + 7 * WIDTH + x]
                )
                out[q + x] = near + far + out[q + x] if add else near + far

    return weigh


def _four(out_step, step):
    @fast_kernel
    def weigh(out, rows, n, taps, add):
        a, b, c, d = taps[0], taps[1], taps[2], taps[3]
        for i in range(n):
            q, p = i * out_step * WIDTH, i * step * WIDTH
            for x in range(WIDTH):
                near = (a * rows[p + x] + b * rows[p + WIDTH + x]) + (
                    c * rows[p + 2 * WIDTH + x] + d * rows[p + 3 * WIDTH + x]
                )
                out[q + x] = near + out[q + x] if add else near

    return weigh


def _one(out_step, step):
    @fast_kernel
    def weigh(out, rows, n, taps, add):
        a = taps[0]
        for i in range(n):
            q, p = i * out_step * WIDTH, i * step * WIDTH
            for x in range(WIDTH):
                out[q + x] = a * rows[p + x] + out[q + x] if add else a * rows[p + x]

    return weigh


_down, _up = _weighing(1, 2), _weighing(2, 1)


@kernel
def _extend(work, at, n, pad, source, weight):
    """Fill the ``pad`` rows before and after a run from the rows and weights of a table."""
    for e in range(2 * pad):
        to = (at - pad + e if e < pad else at + n + e - pad) * WIDTH
        for c in range(WIDTH):
            work[to + c] = 0
        for q in range(source.shape[1]):
            f, r = weight[e, q], (at + source[e, q]) * WIDTH
            if f != 0:
                for c in range(WIDTH):
                    work[to + c] += f * work[r + c]


@kernel
def _fetch(x, c, begin, end, work, source, weight):
    """Rows ``begin`` to ``end`` of a run to the head of the work array, those outside made."""
    n, pad = len(x), len(source) // 2
    lo, hi = max(begin, 0), min(end, n)
    if c + WIDTH <= x.shape[1]:
        _copy(x, lo, c, work[(lo - begin) * WIDTH :], hi - lo)
    else:
        for t in range(lo, hi):
            for i in range(WIDTH):
                inside = c + i < x.shape[1]
                work[(t - begin) * WIDTH + i] = x[t, c + i] if inside else 0
    for e in range(2 * pad):
        t = e - pad if e < pad else n + e - pad
        if begin <= t < end:
            _make(x, c, work[(t - begin) * WIDTH :], source[e], weight[e])


@kernel
def _whole(c, n):
    """The last channels again rather than rows that are not full: those are slow."""
    return max(min(c, n - WIDTH), 0)


@kernel
def _copy(x, row, c, work, n):
    for t in range(n):  # loops from 0 on, else the compiler asks for the sign
        for i in range(WIDTH):
            work[t * WIDTH + i] = x[row + t, c + i]


@kernel
def _make(x, c, row, source, weight):
    """A row outside a run from up to three rows of it."""
    for i in range(WIDTH):
        row[i] = 0
    for q in range(len(source)):
        if weight[q] != 0:
            for i in range(min(WIDTH, x.shape[1] - c)):
                row[i] += weight[q] * x[source[q], c + i]


@kernel
def _store(work, out, row, c, n):
    """The n rows at the head of the work array to some channels of ``out``, from ``row`` on."""
    if c + WIDTH <= out.shape[1]:
        for t in range(n):
            for i in range(WIDTH):
                out[row + t, c + i] = work[t * WIDTH + i]
    else:
        for t in range(n):
            for i in range(out.shape[1] - c):
                out[row + t, c + i] = work[t * WIDTH + i]


@kernel
def _analyse(x, c, work, starts, sizes, high, wanted, filters, offset, source, weight):
    """Every level; ``filters`` lie backwards, so that a sample is a plain weighted sum."""
    n_levels, n_taps = len(sizes) - 1, filters.shape[1]
    pad = source.shape[1] // 2
    for k in range(0, sizes[1], TILE // 2):
        rows = min(TILE // 2, sizes[1] - k)
        begin = 2 * k + offset - n_taps + 1
        _fetch(x, c, begin, begin + 2 * rows - 2 + n_taps, work, source[0], weight[0])
        if wanted[1]:
            _down(work, high[1] + k, 0, rows, filters[1], False)
        if n_levels > 1 or wanted[0]:
            _down(work, starts[1] + k, 0, rows, filters[0], False)
    for j in range(2, n_levels + 1):
        _extend(work, starts[j - 1], sizes[j - 1], pad, source[j - 1], weight[j - 1])
        at = starts[j - 1] + offset - n_taps + 1
        if wanted[j]:
            _down(work, high[j], at, sizes[j], filters[1], False)
        if j < n_levels or wanted[0]:
            _down(work, starts[j], at, sizes[j], filters[0], False)


@kernel
def _rebuild(work, j, starts, high, used, poly, shift, begin, end):
    """Rows of level j - 1 from those of level j: of the smooth, of the detail, or of both."""
    add = False
    for band in range(2):
        if used[band]:
            below, taps = high[j] if band else starts[j], poly[band]
            for m in range(begin, min(begin + 2, end)):  # even and odd samples
                n, at = (end - m + 1) // 2, below + m // 2 + shift[m % 2]
                _up(work, starts[j - 1] + m, at, n, taps[m % 2], add)
            add = True


@kernel
def _last(work, starts, high, used, poly, shift, first, last, out, c):
    """Samples ``first`` to ``last`` from level 1, through the head of the work array."""
    for m in range(first, last, TILE):
        rows = min(TILE, last - m)
        starts[0] = -m
        _rebuild(work, 1, starts, high, used, poly, shift, m, m + rows)
        _store(work, out, m - first, c, rows)


@kernel
def _synthesise(
    work, starts, sizes, high, chosen, poly, shift, circular, tables, first, last, out, c
):
    """One sum of bands, samples ``first`` to ``last``."""
    taps, used = poly.shape[2], np.zeros(2, np.bool_)
    used[0] = chosen[0]
    for j in range(len(sizes) - 1, 0, -1):
        used[1] = chosen[j]
        begin, end = 0, sizes[j - 1]
        if circular:
            pad = tables[0].shape[1] // 2
            for band in range(2):
                at = high[j] if band else starts[j]
                if used[band]:
                    _extend(work, at, sizes[j], pad, tables[0][j], tables[1][j])
        else:  # only the rows that the asked ones depend on
            begin, end = first, last
            for _ in range(j - 1):
                begin, end = begin // 2, (end - 1) // 2 + taps
            end = min(end, sizes[j - 1])
        if j > 1:
            _rebuild(work, j, starts, high, used, poly, shift, begin, end)
            used[0] |= used[1]
    _last(work, starts, high, used, poly, shift, first, last, out, c)


@kernel
def _places(sizes, pad, wanted):
    """Where the smooth and the wanted detail of each level begin in the work array."""
    starts, high = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    at = TILE + 2 * pad
    for j in range(1, len(sizes)):
        starts[j] = at
        at += sizes[j] + 2 * pad
        high[j] = at
        at += sizes[j] + 2 * pad if wanted[j] else 0
    return starts, high


@kernel
def transform(
    x, work, sizes, filters, offset, poly, shift, tables, wraps, groups, first, last, out
):
    """Sums of bands of a run: ``x (n, c) -> out (group, last - first, c)``.

    ``groups[g, 0]`` asks for the approximation of the deepest level, ``groups[g, j]`` for the
    detail of level j.
    """
    pad, wanted = filters.shape[1], np.zeros(len(sizes), np.bool_)
    for g in range(len(groups)):
        wanted |= groups[g]
    starts, high = _places(sizes, pad, wanted)
    for k in range(0, x.shape[1], WIDTH):
        c = _whole(k, x.shape[1])
        _analyse(x, c, work, starts, sizes, high, wanted, filters, offset, tables[0], tables[1])
        for g in range(len(groups)):
            _synthesise(
                work, starts, sizes, high, groups[g], poly, shift, offset != 1, wraps, first,
                last, out[g], c,
            )  # fmt: skip


@kernel
def analysis(x, work, sizes, filters, offset, tables, begins, at, out):
    """Coefficients of a run, stacked: ``x (n, c) -> out (rows, c)``.

    Of level j those from ``begins[j]`` on lie in rows ``at[j]`` to ``at[j + 1]``; 0 is the
    approximation of the deepest level.
    """
    pad, wanted = filters.shape[1], np.ones(len(sizes), np.bool_)
    starts, high = _places(sizes, pad, wanted)
    for k in range(0, x.shape[1], WIDTH):
        c = _whole(k, x.shape[1])
        _analyse(x, c, work, starts, sizes, high, wanted, filters, offset, tables[0], tables[1])
        for j in range(len(sizes)):
            row = begins[j] + (high[j] if j else starts[-1])
            _store(work[row * WIDTH :], out, at[j], c, at[j + 1] - at[j])


@kernel
def synthesis(x, work, begins, ends, chosen, at, poly, shift, out):
    """A stretch of a sum of bands from the stacked coefficients that it depends on.

    ``begins[j]`` to ``ends[j]`` are the rows of level j, 0 those asked for; ``at`` as in
    :func:`analysis`, where those that are not ``chosen`` have no rows.
    """
    starts, high, place = np.zeros_like(begins), np.zeros_like(begins), TILE
    for j in range(1, len(begins)):
        starts[j] = place - begins[j]
        high[j] = starts[j] + ends[j] - begins[j]
        place += 2 * (ends[j] - begins[j])
    none = np.zeros((0, 3), np.int64), np.zeros((0, 3), x.dtype)  # nothing lies outside
    for k in range(0, x.shape[1], WIDTH):
        c = _whole(k, x.shape[1])
        used = np.zeros(2, np.bool_)
        for j in range(len(begins)):
            if chosen[j]:
                row = high[j] + begins[j] if j else starts[-1] + begins[-1]
                _fetch(x, c, at[j], at[j + 1], work[row * WIDTH :], none[0], none[1])
        used[0] = chosen[0]
        for j in range(len(begins) - 1, 1, -1):
            used[1] = chosen[j]
            _rebuild(work, j, starts, high, used, poly, shift, begins[j - 1], ends[j - 1])
            used[0] |= used[1]
        used[1] = chosen[1]
        _last(work, starts, high, used, poly, shift, begins[0], ends[0], out, c)


def pieces(x: Floats, out: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
    """Channels, their series and where the loops write: ``(t, c), (..., c)``.

    All at once where the array lies in memory as the loops are compiled for (contiguous,
    writeable), else copies of some at a time: another kind of array would compile them anew.
    """
    if x.flags.c_contiguous and x.flags.writeable and out.flags.c_contiguous:
        yield slice(None), x, out
        return
    for c in range(0, x.shape[1], 4 * WIDTH):
        columns = slice(c, min(c + 4 * WIDTH, x.shape[1]))
        part = np.array(x[:, columns], order="C")
        yield columns, part, np.empty((*out.shape[:-1], part.shape[1]), out.dtype)
