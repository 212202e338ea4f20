"""The decimated wavelet transform of one run, forth and back, channels innermost.

A run lies in a flat *work* array of rows of ``WIDTH`` channels, with free rows on both sides of
each level, which are filled by the extension; so the loops over time have no ends to look
after. ``WIDTH`` is known when the loops are compiled: only so are rows plain vectors whose
distances the compiler knows (measured: six times as fast as rows of any width).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.kernels._jit import fast_kernel, kernel

Floats = NDArray[np.floating[Any]]
WIDTH = 32
MODES = (
    "zero", "constant", "symmetric", "reflect", "periodic", "smooth", "antisymmetric",
    "antireflect", "periodization",
)  # fmt: skip


@fast_kernel
def _eight(out, out_step, rows, step, n, taps, add):
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


@fast_kernel
def _four(out, out_step, rows, step, n, taps, add):
    a, b, c, d = taps[0], taps[1], taps[2], taps[3]
    for i in range(n):
        q, p = i * out_step * WIDTH, i * step * WIDTH
        for x in range(WIDTH):
            near = (a * rows[p + x] + b * rows[p + WIDTH + x]) + (
                c * rows[p + 2 * WIDTH + x] + d * rows[p + 3 * WIDTH + x]
            )
            out[q + x] = near + out[q + x] if add else near


@fast_kernel
def _one(out, out_step, rows, step, n, taps, add):
    a = taps[0]
    for i in range(n):
        q, p = i * out_step * WIDTH, i * step * WIDTH
        for x in range(WIDTH):
            out[q + x] = a * rows[p + x] + out[q + x] if add else a * rows[p + x]


@kernel
def weigh(work, to, out_step, at, step, n, taps, add):
    """``work[to + i out_step] (+)= sum_k taps[k] work[at + i step + k]`` for n rows i."""
    out, k = work[to * WIDTH :], 0
    while k < len(taps):
        rows, left = work[(at + k) * WIDTH :], len(taps) - k
        if left >= 8:
            _eight(out, out_step, rows, step, n, taps[k:], add)
        elif left >= 4:
            _four(out, out_step, rows, step, n, taps[k:], add)
        else:
            _one(out, out_step, rows, step, n, taps[k:], add)
        k, add = k + (8 if left >= 8 else 4 if left >= 4 else 1), True


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
def _analyse(work, starts, sizes, high, wanted, filters, offset, source, weight):
    """Every level; ``filters`` lie backwards, so that a sample is a plain weighted sum."""
    n_levels, pad = len(sizes) - 1, source.shape[1] // 2
    for j in range(1, n_levels + 1):
        _extend(work, starts[j - 1], sizes[j - 1], pad, source[j - 1], weight[j - 1])
        for band in range(2):
            if wanted[j] if band else (j < n_levels or wanted[0]):
                to, taps = high[j] if band else starts[j], filters[band]
                at = starts[j - 1] + offset - len(taps) + 1
                weigh(work, to, 1, at, 2, sizes[j], taps, False)


@kernel
def _rebuild(work, j, starts, high, used, poly, shift, begin, end):
    """Rows of level j - 1 from those of level j: of the smooth, of the detail, or of both."""
    add = False
    for band in range(2):
        if used[band]:
            below, taps = high[j] if band else starts[j], poly[band]
            for m in range(begin, min(begin + 2, end)):  # even and odd samples
                n, at = (end - m + 1) // 2, below + m // 2 + shift[m % 2]
                weigh(work, starts[j - 1] + m, 2, at, 1, n, taps[m % 2], add)
            add = True


@kernel
def _synthesise(work, starts, sizes, high, chosen, poly, shift, circular, tables, first, last):
    """One sum of bands into the rows of level 0, from ``first`` to ``last``."""
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
        _rebuild(work, j, starts, high, used, poly, shift, begin, end)
        used[0] |= used[1]


@kernel
def _places(sizes, pad, wanted):
    """Where the smooth and the wanted detail of each level begin in the work array."""
    starts, high, at = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64), pad
    for j in range(len(sizes)):
        starts[j] = at
        at += sizes[j] + 2 * pad
    for j in range(1, len(sizes)):
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
    for c in range(0, x.shape[1], WIDTH):
        _load(x[:, c : c + WIDTH], work[pad * WIDTH :])
        _analyse(work, starts, sizes, high, wanted, filters, offset, tables[0], tables[1])
        for g in range(len(groups)):
            _synthesise(
                work, starts, sizes, high, groups[g], poly, shift, offset != 1, wraps, first,
                last,
            )  # fmt: skip
            _unload(work[(pad + first) * WIDTH :], out[g, :, c : c + WIDTH])


@kernel
def analysis(x, work, sizes, filters, offset, tables, begins, at, out):
    """Coefficients of a run, stacked: ``x (n, c) -> out (rows, c)``.

    Of level j those from ``begins[j]`` on lie in rows ``at[j]`` to ``at[j + 1]``; 0 is the
    approximation of the deepest level.
    """
    pad, wanted = filters.shape[1], np.ones(len(sizes), np.bool_)
    starts, high = _places(sizes, pad, wanted)
    for c in range(0, x.shape[1], WIDTH):
        _load(x[:, c : c + WIDTH], work[pad * WIDTH :])
        _analyse(work, starts, sizes, high, wanted, filters, offset, tables[0], tables[1])
        for j in range(len(sizes)):
            row = begins[j] + (high[j] if j else starts[-1])
            _unload(work[row * WIDTH :], out[at[j] : at[j + 1], c : c + WIDTH])


@kernel
def synthesis(x, work, begins, ends, chosen, at, poly, shift, out):
    """A stretch of a sum of bands from the stacked coefficients that it depends on.

    ``begins[j]`` to ``ends[j]`` are the rows of level j, 0 those asked for; ``at`` as in
    :func:`analysis`, where those that are not ``chosen`` have no rows.
    """
    starts, high, place = np.zeros_like(begins), np.zeros_like(begins), 0
    for j in range(len(begins)):
        starts[j] = place - begins[j]
        high[j] = starts[j] + ends[j] - begins[j]
        place += 2 * (ends[j] - begins[j])
    for c in range(0, x.shape[1], WIDTH):
        used = np.zeros(2, np.bool_)
        for j in range(len(begins)):
            if chosen[j]:
                row = high[j] + begins[j] if j else starts[-1] + begins[-1]
                _load(x[at[j] : at[j + 1], c : c + WIDTH], work[row * WIDTH :])
        used[0] = chosen[0]
        for j in range(len(begins) - 1, 0, -1):
            used[1] = chosen[j]
            _rebuild(work, j, starts, high, used, poly, shift, begins[j - 1], ends[j - 1])
            used[0] |= used[1]
        _unload(work, out[:, c : c + WIDTH])


@kernel
def _load(x, work):
    """Some channels into rows of the work array; those that are not there are 0."""
    for t in range(len(x)):
        to, source = work[t * WIDTH :], x[t]
        for i in range(len(source)):
            to[i] = source[i]
        for i in range(len(source), WIDTH):
            to[i] = 0


@kernel
def _unload(work, out):
    for t in range(len(out)):
        to, source = out[t], work[t * WIDTH :]
        for i in range(len(to)):
            to[i] = source[i]
