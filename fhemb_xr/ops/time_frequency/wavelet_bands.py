"""Wavelet bands along time, exact for any chunking, without ever holding a whole series."""

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
    along_time,
    blocks,
    columns,
    floating,
    row_bytes,
)
from fhemb_xr.ops.time_frequency.band_spec import (
    Bands,
    Interval,
    band_attrs,
    check,
    choose,
    frequencies,
)

_BLOCK_BYTES = 2**24  # up to here short chunks are filtered together
_SHARE = 2  # of itself, from where on a block rather has what it depends on carried to it
_PART_BYTES = 2**23  # series of so many bytes are put together at a time: the cache holds them


def wavelet_bands(
    x: xr.DataArray,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    transform: str = "dwt",
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """Split a signal into its wavelet bands, each at full length.

    Parameters
    ----------
    x
        Any array with ``time``, in chunks of any length, other dimensions in any chunks.
    wavelet
        Name of a discrete wavelet of PyWavelets.
    level
        Depth L. Deeper than the series allows is computed with a warning.
    mode
        Extension at both ends, level by level, as PyWavelets names it.
    transform
        ``"dwt"``: decimated; its bands change when the signal is shifted. ``"modwt"``: the
        maximal-overlap multiresolution, zero-phase and shift-invariant: for comparing people
        in time (``docs/shift_variance.png``: noise filtered by the first, and the same noise
        shifted, correlate at a median of 0.64). It extends the series once (symmetric,
        reflect, constant, zero, periodic).
    gaps
        Missing samples stay missing, and never spread, unless you ask for it. ``"split"``:
        every run of samples is filtered on its own, as PyWavelets would filter it; ``"fill"``:
        for the filter, gaps of up to ``max_gap_s`` are filled by what an autoregressive model
        of both sides expects (up to three samples by a line), and only longer ones split the
        series: choose it where faces are lost for moments; ``"propagate"``: NaN spreads over
        the filter's reach, as in PyWavelets; ``"raise"``: a missing sample is an error while
        computing.
    max_gap_s
        The longest gap that ``gaps="fill"`` fills [s].

    Returns
    -------
    ``x`` with a last dimension ``band``, 0 to L in PyWavelets' order: 0 is the approximation
    A_L, band b ≥ 1 the detail D_{L+1-b}. Coordinates ``frequency_low`` and ``frequency_high``
    [Hz], ``period_low`` and ``period_high`` [s]. Bands sum to ``x``. float32 and float64 stay
    what they are, integers of up to 16 bits become float32, longer ones float64. Chunks are
    those of ``x``.

    Raises
    ------
    UnknownNameError
        A wavelet that is not there, with the nearest ones.
    ValueError
        Another argument that is not allowed; while computing, a gap where there may be none.
    BudgetError
        If a block and what it depends on are larger than the budget of one task.

    Notes
    -----
    Equal to ``pywt.wavedec``, zero, ``pywt.waverec`` over the whole series, to rounding. A
    block reads about ``(F - 1)(2^L - 1)`` samples of its neighbours on each side (F the
    filter's length); neighbouring chunks much shorter than that are filtered together, up to
    16 MiB. Where it would read more than twice itself (wide frames), and ``"dwt"`` need neither
    fill gaps nor join both ends, a few coefficients of each level are carried from block to
    block instead, in the order of time: every sample is read and transformed once (for each
    result that is made from it: ``persist`` what several are made from, if it is small), and
    one minute of such a series costs all before it. Measured for 5 400 pixels in chunks of
    1 000 samples, that is 1.3 to 1.7 times a copy of the store, and was 2.7
    (``benchmarks/bench_wavelets_store.py``).

    Memory, for each running task: what the block reads, its results, and of 8 MiB of series (at
    least one) three times themselves and their results; a block that is one chunk: up to twice
    itself, and its results. Where coefficients are carried, three times the block and its
    results; what waits between tasks are coefficients, ``2^-j`` of the series for the detail of
    level j. Chunks of several people are copied once more. Tasks: under six per chunk. Computes
    at call: none.

    References
    ----------
    Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
    Percival & Walden (2000), Wavelet Methods for Time Series Analysis,
    doi:10.1017/CBO9780511841040.
    Janssen, Veldhuis & Vries (1986), IEEE Trans. Acoust. Speech Signal Process. 34, 317-330,
    doi:10.1109/TASSP.1986.1164824 (filling).

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=2000), dims="time")
    >>> parts = fx.wavelet_bands(x.chunk(time=700))
    >>> parts.sizes["band"], bool(abs(parts.sum("band") - x).max() < 1e-12)
    (9, True)
    """
    from fhemb_xr.kernels.time_frequency.wavelet_bands import Spec

    check(x, wavelet, level, mode, transform, gaps, max_gap_s)
    every = tuple(range(level + 1))
    spec = Spec(tuple((b,) for b in every), wavelet, level, mode, transform)
    data = _filtered(x, spec, gaps, max_gap_s)
    out = xr.DataArray(data, dims=(*x.dims, schema.BAND), coords=x.coords, name=x.name)
    low, high = np.array(frequencies(level, schema.sampling_rate(x))).T
    with np.errstate(divide="ignore"):
        periods = 1 / high, 1 / low
    out = out.assign_coords(
        {
            schema.BAND: np.arange(level + 1),
            "frequency_low": (schema.BAND, low, {"units": "Hz"}),
            "frequency_high": (schema.BAND, high, {"units": "Hz"}),
            "period_low": (schema.BAND, periods[0], {"units": "s"}),
            "period_high": (schema.BAND, periods[1], {"units": "s"}),
        }
    )
    out.attrs = band_attrs(x, every, wavelet, level, mode, transform)
    return out


def wavelet_filter(
    x: xr.DataArray,
    bands: Bands | None = None,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    hz: Interval | None = None,
    period_s: Interval | None = None,
    transform: str = "dwt",
    gaps: str = "split",
    max_gap_s: float = 1.0,
) -> xr.DataArray:
    """The sum of some wavelet bands, without computing the others.

    Parameters
    ----------
    x, wavelet, level, mode, transform, gaps, max_gap_s
        As in :func:`wavelet_bands`.
    bands
        Numbers in PyWavelets' order, one number, or ``"all"``.
    hz, period_s
        Instead of ``bands``: the lowest and the highest frequency [Hz], or the shortest and
        the longest period [s]. Bands of which at least half, in octaves, lies there.

    Returns
    -------
    Like ``x``, lazy where it is, in its chunks; what is left in it stands in
    ``attrs["fhemb_bands"]`` as JSON: wavelet, level, mode, transform, bands, and the intervals
    in Hz and seconds, adjacent bands merged.

    Raises
    ------
    UnknownNameError
        A wavelet that is not there, with the nearest ones.
    ValueError
        No band, a band that is not there, or another argument that is not allowed.
    BudgetError
        As :func:`wavelet_bands`.

    Notes
    -----
    As :func:`wavelet_bands`, with the deepest level that the bands need instead of L. Memory:
    as there. Tasks: under six per chunk. Computes at call: none.

    References
    ----------
    As :func:`wavelet_bands`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(2000.0) % 50, dims="time", attrs={"sampling_rate": 25.0})
    >>> y = fx.wavelet_filter(x.chunk(time=600), [2, 3, 5])
    >>> fx.ops.band_names.band_label(y.attrs)
    '0.10–0.39, 0.78–1.56 Hz'
    >>> z = fx.wavelet_filter(x.chunk(time=600), period_s=(5, 20))
    >>> fx.ops.band_names.band_label(z.attrs, "s")
    '5.12–20.48 s'
    """
    from fhemb_xr.kernels.time_frequency.wavelet_bands import Spec

    check(x, wavelet, level, mode, transform, gaps, max_gap_s)
    chosen = choose(bands, level, schema.sampling_rate(x), hz, period_s)
    spec = Spec((chosen,), wavelet, level, mode, transform)
    data = _filtered(x, spec, gaps, max_gap_s)
    out = xr.DataArray(data, dims=x.dims, coords=x.coords, name=x.name)
    out.attrs = band_attrs(x, chosen, wavelet, level, mode, transform)
    return out


def coverage(
    x: xr.DataArray,
    bands: Bands | None = None,
    wavelet: str = "db4",
    level: int = 8,
    *,
    hz: Interval | None = None,
    period_s: Interval | None = None,
    transform: str = "dwt",
) -> xr.DataArray:
    """How much of a band-filtered sample rests on samples that are there.

    Parameters
    ----------
    x, bands, wavelet, level, hz, period_s, transform
        As in :func:`wavelet_filter`.

    Returns
    -------
    Like ``x``, float32 from 0 to 1: the share of the filter's energy that lies on samples of
    ``x`` that are neither missing nor beyond its ends. Where it is above 0.99, a gap or an end
    changes the filtered sample by little whatever was done about it.

    Raises
    ------
    UnknownNameError, ValueError
        As :func:`wavelet_filter`.

    Notes
    -----
    The energy of the decimated transform, which differs from sample to sample with period
    2^level, is averaged over that period. Memory: twice what a block reads, and its result.
    Tasks: under six per chunk. Computes at call: none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.zeros(9000), dims="time").chunk(time=1000)
    >>> x = x.where(x.time != 4000)
    >>> share = fx.coverage(x, [3, 5])
    >>> share[[0, 2000, 4000]].values.astype(float).round(2).tolist()
    [0.55, 1.0, 0.91]
    """
    from fhemb_xr.kernels.time_frequency.wavelet_bands import Spec

    check(x, wavelet, level, "symmetric", transform, "split", 0)
    chosen = choose(bands, level, schema.sampling_rate(x), hz, period_s)
    spec = Spec((chosen,), wavelet, level, "zero", transform)
    there = x.notnull().astype(np.float32)  # the share is float32, whatever x is
    out = along_time(there, partial(_covered, spec=spec), spec.reach).rename("coverage")
    out.attrs = {
        **band_attrs(x, chosen, wavelet, level, "zero", transform),
        "long_name": "energy of the filter on samples that are there",
        "units": "1",
    }
    return out


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
        data, axis, found, partial(scan.advance, spec=spec, gaps=gaps, n=n),
        rebuild=partial(scan.rebuild, spec=spec, dtype=data.dtype), ahead=ahead,
    )  # fmt: skip


def _blocks(data: da.Array, axis: int, spec: Any, longest: int) -> list[Block]:
    """Blocks that read all that they depend on."""
    from fhemb_xr.kernels.time_frequency.wavelet_bands import CONTEXT

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
        raise ValueError(scan.MISSING)
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
