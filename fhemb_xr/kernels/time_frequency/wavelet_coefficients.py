"""Wavelet coefficients of a stretch of a series, and a stretch of a series from coefficients.

Level 0 is the approximation of the deepest level L, level j is the detail of level j. With a
filter of length F, coefficient k of level j sees the sample ``2^j (k + 1) - 1`` and the
``(2^j - 1)(F - 1)`` samples before it.
"""

import numpy as np
import pywt

from fhemb_xr.kernels.time_frequency.wavelet_bands import Decimated, Spec, filter_bank
from fhemb_xr.typing import F64, Bools, Floats, Ints


def lengths(n: int, wavelet: str, level: int) -> list[int]:
    """Samples, then coefficients of each level: n_j = floor((n_{j-1} + F - 1) / 2)."""
    taps, out = pywt.Wavelet(wavelet).dec_len, [n]
    for _ in range(level):
        out.append((out[-1] + taps - 1) // 2)
    return out


def middles(n: int, j: int, wavelet: str) -> F64:
    """The middle of the samples that each of n coefficients of level j sees."""
    last = 2**j * (np.arange(n) + 1) - 1
    return np.asarray(last - (2**j - 1) * (pywt.Wavelet(wavelet).dec_len - 1) / 2)


def analysed(x: Floats, spec: Spec, begins: Ints, ends: Ints) -> Floats:
    """Coefficients ``begins[j]`` to ``ends[j]`` of a run, stacked: ``(t, c) -> (rows, c)``.

    Missing samples spread. Peak memory beside the result: twice the run of up to 2 KiB of
    channels.
    """
    from fhemb_xr.kernels.time_frequency import dwt

    of, at = Decimated(spec, len(x), x.dtype), np.r_[0, np.cumsum(ends - begins)]
    out = np.empty((int(at[-1]), x.shape[1]), x.dtype)
    work, width = of.work(x, np.ones(len(of.sizes), bool))
    extension = dwt.Ends(*of.tables)
    for columns, part, into in dwt.pieces(x, out):
        dwt.analysis(
            part, width, work, of.sizes, of.filters, of.offset, extension, begins, at, into
        )
        if into is not out:
            out[:, columns] = into
    return out


def needed(first: int, last: int, n: int, spec: Spec) -> tuple[Ints, Ints]:
    """Rows of each level that samples ``first`` to ``last`` depend on, themselves at 0."""
    sizes, half = lengths(n, spec.wavelet, spec.level), pywt.Wavelet(spec.wavelet).dec_len // 2
    begins, ends = [first], [last]
    for j in range(1, spec.level + 1):
        begins.append(begins[-1] // 2)
        ends.append(min((ends[-1] - 1) // 2 + half, sizes[j]))
    return np.array(begins), np.array(ends)


def synthesised(
    x: Floats, spec: Spec, first: int, last: int, n: int, out: Floats | None = None
) -> Floats:
    """Samples ``first`` to ``last`` of the chosen bands: ``(rows, c) -> (last - first, c)``.

    ``x`` stacks, level by level, the :func:`needed` coefficients of the levels chosen; ``out``
    is where the samples go. Peak memory beside the result: twice the stretch of up to 2 KiB of
    channels.
    """
    from fhemb_xr.kernels.time_frequency import dwt

    begins, ends = needed(first, last, n, spec)
    counts = ends - begins
    counts[0] = counts[-1]  # the approximation of the deepest level
    chosen = levels(spec)
    at = np.r_[0, np.cumsum(np.where(chosen, counts, 0))]
    if out is None:
        out = np.empty((last - first, x.shape[1]), x.dtype)
    width = dwt.channels_at_a_time(x.shape[1], x.itemsize)
    work = np.empty((4 + 2 * int((ends - begins + 2)[1:].sum())) * width, x.dtype)
    bank = dwt.Bank(*filter_bank(spec.wavelet, spec.mode, x.dtype)[1:])
    for columns, part, into in dwt.pieces(x, out):
        dwt.synthesis(part, width, work, begins, ends, chosen, at, bank, into)
        if into is not out:
            out[:, columns] = into
    return out


def levels(spec: Spec) -> Bools:
    """Which of the levels 0 to L the bands of a group need."""
    out = np.zeros(spec.level + 1, bool)
    for b in spec.groups[0]:
        out[0 if b == 0 else spec.level + 1 - b] = True
    return out
