"""Wavelet bands along time, exact for any chunking, without ever holding a whole series."""

import json
import math
import warnings
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from fhemb_xr import schema
from fhemb_xr.errors import UnknownNameError, nearest

BANDS = "fhemb_bands"
"""Attribute of a filtered signal that says, as JSON, what is left in it."""
TRANSFORMS = ("dwt", "modwt")
GAPS = ("fill", "raise", "propagate")
Bands = str | int | Sequence[int]


def wavelet_bands(
    x: xr.DataArray,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    transform: str = "dwt",
    gaps: str = "fill",
) -> xr.DataArray:
    """Split a signal into its wavelet bands, each at full length.

    Parameters
    ----------
    x
        Any array with ``time``, in chunks of any length.
    wavelet
        Name of a discrete wavelet of PyWavelets.
    level
        Depth L. Deeper than the series allows is computed with a warning.
    mode
        Extension at both ends, as PyWavelets names it. ``periodic`` and ``periodization`` need
        time in one chunk.
    transform
        ``"dwt"``: decimated; its bands change when the signal is shifted. ``"modwt"``:
        zero-phase and shift-invariant: for comparing people in time.
    gaps
        ``"fill"``: missing samples are bridged for the filter (linearly, or by the nearest
        sample where the gap is longer than the filter) and missing again in the result;
        ``"propagate"``: they spread over the filter's reach; ``"raise"``: they are an error
        while computing.

    Returns
    -------
    ``x`` with a last dimension ``band``, 0 to L in PyWavelets' order: 0 is the approximation
    A_L, band b ≥ 1 the detail D_{L+1-b}. Coordinates ``frequency_low`` and ``frequency_high``
    [Hz], ``period_low`` and ``period_high`` [s]. Bands sum to ``x``. float32 stays float32.

    Raises
    ------
    UnknownNameError
        A wavelet that is not there, with the nearest ones.
    ValueError
        Another argument that is not allowed.

    Notes
    -----
    Equal to ``pywt.wavedec``, zero, ``pywt.waverec`` over the whole series, to rounding. A
    block takes ``2 (F - 1)(2^L - 1)`` samples of its neighbours on each side (F the filter's
    length); shorter chunks are gathered first. Memory: about ``8 + L`` times such a block for
    each running task. Tasks: under ten per chunk. Computes at call: none.

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
    _check(x, wavelet, level, mode, transform, gaps)
    groups = [[b] for b in range(level + 1)]
    data = _filtered(x, groups, wavelet, level, mode, transform, gaps)
    out = xr.DataArray(data, dims=(*x.dims, schema.BAND), coords=x.coords, name=x.name)
    edges = frequencies(level, schema.sampling_rate(x))
    low, high = (np.array([e[i] for e in edges]) for i in (0, 1))
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
    out.attrs = _attrs(x, range(level + 1), wavelet, level, mode, transform)
    return out


def wavelet_filter(
    x: xr.DataArray,
    bands: Bands,
    wavelet: str = "db4",
    level: int = 8,
    mode: str = "symmetric",
    *,
    transform: str = "dwt",
    gaps: str = "fill",
) -> xr.DataArray:
    """The sum of some wavelet bands, without computing the others.

    Parameters
    ----------
    x, wavelet, level, mode, transform, gaps
        As in :func:`wavelet_bands`.
    bands
        Numbers in PyWavelets' order, one number, or ``"all"``.

    Returns
    -------
    Like ``x``, lazy where it is; what is left in it stands in ``attrs["fhemb_bands"]`` as
    JSON: wavelet, level, mode, transform, bands, and the intervals in Hz and seconds, adjacent
    bands merged.

    Raises
    ------
    UnknownNameError
        A wavelet that is not there, with the nearest ones.
    ValueError
        No band, a band that is not there, or another argument that is not allowed.

    Notes
    -----
    As :func:`wavelet_bands`, with the deepest level that the bands need instead of L. Memory:
    about eight times a block for each running task. Tasks: under ten per chunk. Computes at
    call: none.

    References
    ----------
    As :func:`wavelet_bands`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> x = xr.DataArray(np.arange(2000.0) % 50, dims="time", attrs={"sampling_rate": 25.0})
    >>> y = fx.wavelet_filter(x.chunk(time=600), [2, 3, 5])
    >>> fx.ops.bands.label(y.attrs)
    '0.10–0.39, 0.78–1.56 Hz'
    """
    _check(x, wavelet, level, mode, transform, gaps)
    chosen = _chosen(bands, level)
    data = _filtered(x, [chosen], wavelet, level, mode, transform, gaps)
    out = xr.DataArray(data, dims=x.dims, coords=x.coords, name=x.name)
    out.attrs = _attrs(x, chosen, wavelet, level, mode, transform)
    return out


def frequencies(level: int, rate_hz: float) -> list[tuple[float, float]]:
    """Nominal interval of each band [Hz], in PyWavelets' order."""
    details = [(rate_hz / 2 ** (j + 1), rate_hz / 2**j) for j in range(level, 0, -1)]
    return [(0.0, rate_hz / 2 ** (level + 1)), *details]


def label(attrs: dict[Any, Any], unit: str = "Hz") -> str:
    """What is left in a filtered signal: ``'0.10–0.39, 0.78–1.56 Hz'``; ``''`` if unfiltered."""
    if BANDS not in attrs:
        return ""
    found = json.loads(attrs[BANDS])["hz" if unit == "Hz" else "period_s"]
    texts = [f"{a:.2f}–{'∞' if b is None else format(b, '.2f')}" for a, b in found]
    return f"{', '.join(texts)} {unit}"


def _chosen(bands: Bands, level: int) -> list[int]:
    if isinstance(bands, str):
        if bands != "all":
            raise ValueError(f"bands are numbers from 0 to {level}, or 'all', found {bands!r}")
        return list(range(level + 1))
    wanted = [bands] if isinstance(bands, int | np.integer) else list(bands)
    wrong = [b for b in wanted if not isinstance(b, int | np.integer) or not 0 <= b <= level]
    if wrong or not wanted:
        found = f"found {wrong}" if wrong else "none was asked for"
        raise ValueError(f"bands of level {level} are numbers from 0 to {level}, {found}")
    return sorted({int(b) for b in wanted})


def _check(
    x: xr.DataArray, wavelet: str, level: int, mode: str, transform: str, gaps: str
) -> None:
    import pywt

    from fhemb_xr.kernels import wavelets as kernel

    schema.require_dims(x, schema.TIME)
    names = pywt.wavelist(kind="discrete")
    if wavelet not in names:
        raise UnknownNameError(f"no discrete wavelet {wavelet!r}{nearest(wavelet, names)}")
    if not isinstance(level, int) or level < 1:
        raise ValueError(f"level is a whole number from 1 on, found {level!r}")
    allowed = (
        tuple(kernel.PADDING)
        if transform == "modwt"
        else (*kernel.LOCAL_MODES, *kernel.CIRCULAR_MODES)
    )
    for name, found, choice in (
        ("transform", transform, TRANSFORMS),
        ("mode", mode, allowed),
        ("gaps", gaps, GAPS),
    ):
        if found not in choice:
            raise ValueError(f"{name} is one of {', '.join(choice)}, found {found!r}")
    if transform == "modwt" and not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(
            f"modwt needs an orthogonal wavelet (haar, db, sym, coif): {wavelet!r}"
        )
    if mode in kernel.CIRCULAR_MODES and len(x.variable.chunksizes.get(schema.TIME, (1,))) > 1:
        raise ValueError(
            f"mode {mode!r} joins both ends, so time must be in one chunk: x.chunk(time=-1), "
            f"{x.sizes[schema.TIME]} samples; or mode='symmetric'"
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


def _filtered(
    x: xr.DataArray, groups: list[list[int]], wavelet: str, level: int, mode: str,
    transform: str, gaps: str,
) -> Any:  # fmt: skip
    """Bands of numpy or dask data; a last axis for the groups where there are several."""
    from fhemb_xr.kernels import wavelets as kernel

    axis = int(x.get_axis_num(schema.TIME))
    levels = max(kernel.depth(g, level) for g in groups)
    reach = kernel.reach(wavelet, levels)
    data = x.data
    if data.dtype.kind != "f":
        data = data.astype(np.float64)
    options = {
        "axis": axis,
        "groups": groups,
        "wavelet": wavelet,
        "level": level,
        "mode": mode,
        "transform": transform,
        "gaps": gaps,
        "longest": reach,
    }
    if not isinstance(data, da.Array):
        return _block(data, **options)
    return _blockwise(data, axis, reach, 2**levels, options)


def _blockwise(data: da.Array, axis: int, reach: int, step: int, options: Any) -> da.Array:
    """Each block with as much of its neighbours as it depends on, which is then cut off."""
    # twice the reach: once for the filter, once to see what bridges the gaps it may meet
    halo = math.ceil(2 * reach / step) * step
    data = data.rechunk({axis: _plan(data.chunks[axis], halo, step)})
    single = len(data.chunks[axis]) == 1
    wide = data if single else da.overlap.overlap(data, {axis: halo}, {axis: "none"})
    meta = np.empty((0,) * data.ndim, data.dtype)
    if len(options["groups"]) == 1:
        out = wide.map_blocks(_block, dtype=data.dtype, meta=meta, **options)
    else:
        out = wide.map_blocks(
            _block,
            dtype=data.dtype,
            meta=meta[..., None],
            new_axis=data.ndim,
            chunks=(*wide.chunks, (len(options["groups"]),)),
            **options,
        )
    if single:
        return out
    return da.overlap.trim_internal(out, {axis: halo}, {axis: "none"})


def _plan(chunks: tuple[int, ...], halo: int, step: int) -> tuple[int, ...]:
    """Blocks that start at multiples of ``step`` and are not shorter than the halo.

    At such a start the decimated transform of a part is a part of the transform of the whole.
    """
    n = sum(chunks)
    size = math.ceil(max(halo, *chunks) / step) * step
    count = max(1, n // size)
    if count == 1:
        return (n,)
    return (*(size,) * (count - 1), n - size * (count - 1))


def _block(
    x: Any, *, axis: int, groups: Any, wavelet: str, level: int, mode: str, transform: str,
    gaps: str, longest: int,
) -> Any:  # fmt: skip
    from fhemb_xr.kernels import wavelets as kernel

    if x.size == 0:
        return x if len(groups) == 1 else np.repeat(x[..., None], len(groups), axis=-1)
    missing = None
    if gaps != "propagate":
        missing = ~np.isfinite(x)
        if not missing.any():
            missing = None
        elif gaps == "raise":
            raise ValueError("a sample is missing: gaps='fill' bridges it")
        else:
            x = kernel.fill(x, axis, longest)
    split = kernel.dwt_bands if transform == "dwt" else kernel.modwt_bands
    found = split(x, axis, groups, wavelet, level, mode)
    if missing is not None:
        found = [np.where(missing, np.nan, f).astype(x.dtype, copy=False) for f in found]
    return found[0] if len(found) == 1 else np.stack(found, axis=-1)
