"""Wavelet bands along time, exact for any chunking, without ever holding a whole series."""

import json
import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.errors import UnknownNameError, nearest
from fhemb_xr.ops.neighbours import Block, Plan, blocks

BANDS = "fhemb_bands"
"""Attribute of a filtered signal that says, as JSON, what is left in it."""
TRANSFORMS = ("dwt", "modwt")
GAPS = ("fill", "split", "raise", "propagate")
Bands = str | int | Sequence[int]
Interval = tuple[float, float]
_BLOCK_BYTES = 2**26  # up to here short chunks are filtered together


def wavelet_bands(
    x: xr.DataArray,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    transform: str = "dwt",
    gaps: str = "fill",
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
        in time. It extends the series once (symmetric, reflect, constant, zero, periodic).
    gaps
        Missing samples stay missing, and never spread, unless you ask for it. ``"fill"``: gaps
        of up to ``max_gap_s`` are bridged by a line for the filter, at longer ones the series
        is split; ``"split"``: every run of samples is filtered on its own, as PyWavelets would
        filter it; ``"propagate"``: NaN spreads over the filter's reach, as in PyWavelets;
        ``"raise"``: a missing sample is an error while computing.
    max_gap_s
        The longest gap that ``gaps="fill"`` bridges [s].

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
    64 MiB. Memory: for each running task twice what the block reads, and its results. Tasks:
    under six per chunk. Computes at call: none.

    References
    ----------
    Mallat (1989), IEEE Trans. Pattern Anal. Mach. Intell. 11, 674-693, doi:10.1109/34.192463.
    Percival & Walden (2000), Wavelet Methods for Time Series Analysis,
    doi:10.1017/CBO9780511841040.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=2000), dims="time")
    >>> parts = fx.wavelet_bands(x.chunk(time=700))
    >>> parts.sizes["band"], bool(abs(parts.sum("band") - x).max() < 1e-12)
    (9, True)
    """
    from fhemb_xr.kernels.wavelets import Spec

    _check(x, wavelet, level, mode, transform, gaps, max_gap_s)
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
    out.attrs = _attrs(x, every, wavelet, level, mode, transform)
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
    gaps: str = "fill",
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
    twice what a block reads and once the block, for each running task. Tasks: under six per
    chunk. Computes at call: none.

    References
    ----------
    As :func:`wavelet_bands`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(2000.0) % 50, dims="time", attrs={"sampling_rate": 25.0})
    >>> y = fx.wavelet_filter(x.chunk(time=600), [2, 3, 5])
    >>> fx.ops.bands.band_label(y.attrs)
    '0.10–0.39, 0.78–1.56 Hz'
    >>> z = fx.wavelet_filter(x.chunk(time=600), period_s=(5, 20))
    >>> fx.ops.bands.band_label(z.attrs, "s")
    '5.12–20.48 s'
    """
    from fhemb_xr.kernels.wavelets import Spec

    _check(x, wavelet, level, mode, transform, gaps, max_gap_s)
    chosen = _chosen(bands, level, schema.sampling_rate(x), hz, period_s)
    spec = Spec((chosen,), wavelet, level, mode, transform)
    data = _filtered(x, spec, gaps, max_gap_s)
    out = xr.DataArray(data, dims=x.dims, coords=x.coords, name=x.name)
    out.attrs = _attrs(x, chosen, wavelet, level, mode, transform)
    return out


def frequencies(level: int, rate_hz: float) -> list[tuple[float, float]]:
    """Nominal interval of each band [Hz], in PyWavelets' order."""
    details = [(rate_hz / 2 ** (j + 1), rate_hz / 2**j) for j in range(level, 0, -1)]
    return [(0.0, rate_hz / 2 ** (level + 1)), *details]


def band_label(attrs: dict[Any, Any], unit: str = "Hz") -> str:
    """What a filter left: ``'0.10–0.39, 0.78–1.56 Hz'``; ``''`` for an unfiltered signal."""
    if BANDS not in attrs:
        return ""
    found = json.loads(attrs[BANDS])["hz" if unit == "Hz" else "period_s"]
    texts = [f"{a:.2f}–{'∞' if b is None else format(b, '.2f')}" for a, b in found]
    return f"{', '.join(texts)} {unit}"


def _chosen(
    bands: Bands | None, level: int, rate: float, hz: Interval | None, period_s: Interval | None
) -> tuple[int, ...]:
    if sum(b is not None for b in (bands, hz, period_s)) != 1:
        raise ValueError(
            "choose by one of bands, hz, period_s: "
            f"found bands={bands!r}, hz={hz!r}, period_s={period_s!r}"
        )
    if bands is None:
        return _within(level, rate, hz, period_s)
    if isinstance(bands, str):
        if bands != "all":
            raise ValueError(f"bands are numbers from 0 to {level}, or 'all', found {bands!r}")
        return tuple(range(level + 1))
    wanted = [bands] if isinstance(bands, int | np.integer) else list(bands)
    wrong = [b for b in wanted if not isinstance(b, int | np.integer) or not 0 <= b <= level]
    if wrong or not wanted:
        found = f"found {wrong}" if wrong else "none was asked for"
        raise ValueError(f"bands of level {level} are numbers from 0 to {level}, {found}")
    return tuple(sorted({int(b) for b in wanted}))


def _within(
    level: int, rate: float, hz: Interval | None, period_s: Interval | None
) -> tuple[int, ...]:
    """Bands of which at least half, in octaves, lies in an interval."""
    if hz is None:
        assert period_s is not None
        hz = (1 / period_s[1], 1 / period_s[0] if period_s[0] > 0 else np.inf)
    edges = frequencies(level, rate)
    floor = edges[0][1] / 4  # of the lowest band's endless octaves two count
    chosen = tuple(
        b
        for b, (a, z) in enumerate(edges)
        if min(z, hz[1]) / max(a or floor, hz[0]) >= (z / (a or floor)) ** 0.5
    )
    if not chosen:
        found = ", ".join(f"{a:.3g}–{z:.3g}" for a, z in edges)
        raise ValueError(f"no band of level {level} lies in {hz} Hz: the bands are {found} Hz")
    return chosen


def _check(
    x: xr.DataArray,
    wavelet: str,
    level: int,
    mode: str,
    transform: str,
    gaps: str,
    max_gap_s: float,
) -> None:
    import pywt

    from fhemb_xr.kernels import wavelets as kernel

    schema.require_dims(x, schema.TIME)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"wavelet bands are of real numbers, found dtype {x.dtype}")
    names = pywt.wavelist(kind="discrete")
    if wavelet not in names:
        raise UnknownNameError(f"no discrete wavelet {wavelet!r}{nearest(wavelet, names)}")
    if not isinstance(level, int | np.integer) or level < 1:
        raise ValueError(f"level is a whole number from 1 on, found {level!r}")
    if not max_gap_s >= 0:
        raise ValueError(f"max_gap_s is a number of seconds from 0 on, found {max_gap_s!r}")
    local = (*kernel.LOCAL_MODES, *kernel.CIRCULAR_MODES)
    for name, found, choice in (
        ("transform", transform, TRANSFORMS),
        ("mode", mode, tuple(kernel.PADDING) if transform == "modwt" else local),
        ("gaps", gaps, GAPS),
    ):
        if found not in choice:
            raise ValueError(f"{name} is one of {', '.join(choice)}, found {found!r}")
    if transform == "modwt" and not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(
            f"modwt needs an orthogonal wavelet (haar, db, sym, coif): {wavelet!r}"
        )
    sound = pywt.dwt_max_level(x.sizes[schema.TIME], wavelet)
    if level > sound:
        warnings.warn(
            f"level {level} of {wavelet!r} is too deep for {x.sizes[schema.TIME]} samples: the "
            f"ends reach everywhere; the deepest sound level is {sound}",
            UserWarning,
            stacklevel=3,
        )


def _attrs(
    x: xr.DataArray, bands: Any, wavelet: str, level: int, mode: str, transform: str
) -> dict[str, Any]:
    rate = schema.sampling_rate(x)
    hz = _merged([frequencies(level, rate)[b] for b in bands])
    spec = {
        "wavelet": wavelet,
        "level": level,
        "mode": mode,
        "transform": transform,
        "bands": list(bands),
        "hz": hz,
        "period_s": [[1 / high, 1 / low if low else None] for low, high in hz],
    }
    kept = {k: x.attrs[k] for k in ("units", "long_name") if k in x.attrs}
    return {**kept, schema.SAMPLING_RATE: rate, BANDS: json.dumps(spec)}


def _merged(intervals: list[tuple[float, float]]) -> list[list[float]]:
    """Adjacent intervals as one."""
    out: list[list[float]] = []
    for low, high in sorted(intervals):
        if out and out[-1][1] == low:
            out[-1][1] = high
        else:
            out.append([low, high])
    return out


def _filtered(x: xr.DataArray, spec: Any, gaps: str, max_gap_s: float) -> Any:
    """Bands of numpy or dask data; a last axis for the groups where there are several."""
    axis = int(x.get_axis_num(schema.TIME))
    longest = round(max_gap_s * schema.sampling_rate(x)) if gaps == "fill" else 0
    data = x.data
    if data.dtype.kind != "f" or data.dtype.itemsize < 4:
        data = data.astype(np.result_type(data.dtype, np.float32))
    extra = (len(spec.groups),) if len(spec.groups) > 1 else ()
    n = data.shape[axis]
    if data.size == 0:
        return (da if isinstance(data, da.Array) else np).empty(
            (*data.shape, *extra), data.dtype
        )
    work = partial(_block, spec=spec, gaps=gaps, longest=longest)
    if not isinstance(data, da.Array):
        return work([data], None, axis, Block(0, n, range(1), ((0, n),)))
    plan = Plan(data, axis, _blocks(data, axis, spec, longest), work)
    circular = spec.mode in ("periodic", "periodization")
    if spec.transform == "dwt" and gaps in ("fill", "split") and not circular:
        plan.summary = partial(_summary, longest=longest)
        plan.merge = partial(_merge, longest=longest)
    return plan.array(extra, np.empty((0,) * (data.ndim + len(extra)), data.dtype))


def _blocks(data: da.Array, axis: int, spec: Any, longest: int) -> list[Block]:
    n, circular = data.shape[axis], spec.mode in ("periodic", "periodization")
    # an output sample sees the reach, a gap at its end, and back to where a step begins
    margin = spec.reach * (2 if circular else 1) + longest + 1 + spec.step
    row = data.dtype.itemsize * math.prod(
        max(c) for i, c in enumerate(data.chunks) if i != axis
    )
    least = min(4 * margin, max(1, _BLOCK_BYTES // row))
    found = blocks(data.chunks[axis], least, partial(_reads, n, margin, spec.step, circular))
    if len(found) > 1:
        held = max(sum(b - a for a, b in block.reads) for block in found)
        budget.check(
            3 * row * held,
            f"filtering blocks of {held} samples",
            "smaller chunks along the other dimensions or fewer levels",
        )
    return found


def _reads(n: int, margin: int, step: int, circular: bool, a: int, b: int) -> Any:
    """The stretches of a series of n that samples ``a`` to ``b`` depend on.

    Where both ends meet, they are read as one shorter series, whose middle is left out in whole
    steps: near its ends the transform is the same.
    """
    lo, hi = a - margin, b + margin
    if not circular or (lo >= 0 and hi <= n):
        return ((max(0, lo), min(n, hi)),)
    if lo < 0 and hi > n:
        return ((0, n),)
    head, tail = (hi, n - margin) if lo < 0 else (margin, lo)
    head += (tail - head) % step
    return ((0, n),) if tail <= head else ((0, head), (tail, n))


def _block(
    parts: list[Any], state: Any, axis: int, block: Block, *, spec: Any, gaps: str, longest: int
) -> Any:
    """The bands of one block; tasks call it with the chunks that the block reads."""
    from fhemb_xr.kernels import wavelets as kernel

    x, others = _columns(parts, axis)
    origin = block.reads[-1][0] if block.begin >= block.reads[-1][0] else 0
    skipped = sum(b - a for a, b in block.reads if b <= origin)
    first = block.begin - origin + skipped
    last = first + block.end - block.begin
    if gaps == "raise" and not np.isfinite(x[first:last]).all():
        raise ValueError("a sample is missing: gaps='fill' or gaps='split' allow that")
    start = None if len(block.reads) > 1 else np.full(x.shape[1], -origin)
    if gaps in ("fill", "split") and spec.mode not in kernel.CIRCULAR_MODES:
        start = None
        if state is not None:
            start = np.where(state[1] < origin, 0, state[2] - origin)
    alone = longest if gaps != "propagate" else None
    whole = len(block.reads) == 1 and first == 0 and last == len(x)
    out = kernel.by_runs(x, spec, first, last, longest=alone, start=start, whole=whole)
    out = np.moveaxis(out.reshape(*out.shape[:2], *others), 1, axis + 1)
    return out[0] if len(out) == 1 else np.moveaxis(out, 0, -1)


def _columns(parts: list[Any], axis: int) -> tuple[Any, tuple[int, ...]]:
    """Parts put together as ``(t, c)``, and the shape of the other dimensions."""
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    x = np.moveaxis(np.asarray(x), axis, 0)
    return x.reshape(len(x), -1), x.shape[1:]


def _summary(parts: list[Any], axis: int, block: Block, *, longest: int) -> Any:
    from fhemb_xr.kernels import wavelets as kernel

    return kernel.last_run(_columns(parts, axis)[0], block.begin, longest)


def _merge(before: Any, after: Any, *, longest: int) -> Any:
    from fhemb_xr.kernels import wavelets as kernel

    return after if before is None else kernel.merge_runs(before, after, longest)
