"""How alike two series are in time, at every lag."""

import json

import numpy as np
import xarray as xr

from fhemb_xr import budget, schema
from fhemb_xr.clock import Clock, number_of_seconds, require_same
from fhemb_xr.errors import warn
from fhemb_xr.ops.blockwise.apply import apply_kernel
from fhemb_xr.ops.blockwise.rechunk import halved, rechunked
from fhemb_xr.typing import F64, Ints

_TARGET = 2**27  # bytes of one block of the result
SHIFTY = (
    "the series are bands of a decimated DWT, which changes when a signal is shifted: "
    "a lag of their peak is partly an artefact of the transform"
)


def lagged_correlation(
    a: xr.DataArray,
    b: xr.DataArray | None = None,
    *,
    window_s: float,
    step_s: float,
    max_lag_s: float,
) -> xr.DataArray:
    """Pearson correlation of two series in sliding windows, at every lag.

    The window of ``a`` is ``[s, s + window)``, of ``b`` ``[s + lag, s + lag + window)``, in
    samples of the series given: a positive lag of the peak means that ``b`` follows ``a``.
    Windows start at 0, step, … and end inside the series; NaN exactly where the window of
    ``b`` does not. Missing samples are left out pairwise; a window with fewer than two pairs,
    or in which either series is constant, is NaN.

    Parameters
    ----------
    a, b
        Series along ``time``, chunked in any way; other dimensions are matched by name and
        broadcast, so that ``a(feature)`` against ``b(subject)`` gives every pair. Without
        ``b``, ``a`` with itself.
    window_s, step_s, max_lag_s
        Length of a window, distance between windows, largest lag [s], each rounded to the
        nearest whole number of samples, the first two to at least one.

    Returns
    -------
    DataArray
        Correlations ``(…, window, lag)``, float64, lazy where the series are. Coordinates:
        ``window``, the start of the window of ``a`` since the first sample given [s]; ``lag``
        [s]; ``time``, the start of the window on the clock of ``a`` [s], where it has one.

    Raises
    ------
    ValueError
        A window longer than the series, a negative duration, series of different length,
        clock or sampling rate.
    BudgetError
        If one map is larger than the budget of a task.

    Warns
    -----
    UserWarning
        If lags are asked of bands of a decimated wavelet transform.

    Notes
    -----
    Memory: each task holds one block of the other dimensions over the whole of ``time``, 40
    bytes per sample of one pair, and its maps, 8 bytes per cell; blocks are split until their
    maps are under 128 MiB. Tasks: under two per chunk of the series, one per block of maps.
    Computes at call: none. Work: ``time`` × ``lag``, whatever the window and the step.

    References
    ----------
    - Boker, Xu, Rotondo & King (2002), Psychol. Methods 7, 338-355,
      doi:10.1037/1082-989X.7.3.338.

    Examples
    --------
    >>> import numpy as np, xarray as xr, fhemb_xr as fx
    >>> wave = np.random.default_rng(0).normal(size=200)
    >>> a = xr.DataArray(wave, dims="time", attrs={"sampling_rate": 25.0})
    >>> b = a.copy(data=np.roll(wave, 5))
    >>> r = fx.lagged_correlation(a, b, window_s=2, step_s=1, max_lag_s=0.4)
    >>> dict(r.sizes), r.mean("window").idxmax("lag").item()
    ({'window': 7, 'lag': 21}, 0.2)
    """
    b = a if b is None else b
    rate = common_clock(a, b)
    window, step, max_lag = _in_samples(a, rate, window_s, step_s, max_lag_s)
    if max_lag and any(is_decimated(x) for x in (a, b)):
        warn(SHIFTY)
    starts = np.arange(0, a.sizes[schema.TIME] - window + 1, step)
    lags = np.arange(-max_lag, max_lag + 1)
    n_bytes = 8 * starts.size * lags.size
    budget.check(n_bytes, "one map of windows and lags", "take a larger step or fewer lags")
    out = apply_kernel(
        _pearson,
        *_blocks(a, b, n_bytes),
        core=[[schema.TIME], [schema.TIME]],
        new={schema.WINDOW: starts.size, schema.LAG: lags.size},
        window=window,
        step=step,
        max_lag=max_lag,
    )
    return _labelled(out, a, starts, lags, rate, window)


def _pearson(a: F64, b: F64, window: int, step: int, max_lag: int) -> F64:
    from fhemb_xr.kernels.pairwise import cross_correlation  # compiles

    return cross_correlation.pearson(a, b, window, step, max_lag)


def common_clock(a: xr.DataArray, b: xr.DataArray) -> float:
    """The sampling rate of both [Hz], if every sample of one has its partner."""
    for x in (a, b):
        schema.require_dims(x, schema.TIME)
    rate = require_same(Clock.of(a), Clock.of(b))
    for dim in set(a.dims) & set(b.dims) & set(a.indexes) & set(b.indexes) - {schema.TIME}:
        if not a.indexes[dim].equals(b.indexes[dim]):
            raise ValueError(
                f"the series have different labels along {dim!r}: select the same of both, or "
                f"compare all with all after .rename({dim}='{dim}_1') of one"
            )
    return rate


def _in_samples(
    a: xr.DataArray, rate: float, window_s: float, step_s: float, max_lag_s: float
) -> tuple[int, int, int]:
    for name, value in (("window_s", window_s), ("step_s", step_s)):
        if not number_of_seconds(name, value) > 0:
            raise ValueError(f"{name} is a positive number of seconds, found {value!r}")
    if number_of_seconds("max_lag_s", max_lag_s) < 0:
        raise ValueError(f"max_lag_s is a number of seconds from 0 on, found {max_lag_s!r}")
    n = a.sizes[schema.TIME]
    window = max(1, round(window_s * rate))
    if window > n:
        raise ValueError(
            f"a window of {window_s:g} s ({window} samples) is longer than the series: "
            f"the largest is {n / rate:g} s ({n} samples)"
        )
    return window, max(1, round(step_s * rate)), round(max_lag_s * rate)


def is_decimated(x: xr.DataArray | None) -> bool:
    """Whether the series are bands of a decimated wavelet transform."""
    bands: object = None if x is None else x.attrs.get("fhemb_bands")
    try:
        return bool(json.loads(str(bands)).get("transform", "dwt") == "dwt") if bands else False
    except (TypeError, ValueError, AttributeError):  # somebody else's attribute
        return False


def _blocks(a: xr.DataArray, b: xr.DataArray, map_bytes: int) -> list[xr.DataArray]:
    """Both without labels of time, whole along it, and cut until a block of maps is small."""
    chunked = [x.drop_vars(schema.TIME, errors="ignore") for x in (a, b)]
    chunked = [rechunked(x, {schema.TIME: -1}) for x in chunked]
    chunks: dict[object, tuple[int, ...]] = {}
    for x in chunked:
        chunks |= {d: c for d, c in x.variable.chunksizes.items() if d != schema.TIME}
    if not any(x.chunks for x in chunked):
        return chunked
    sizes = {d: n for x in chunked for d, n in x.sizes.items() if d != schema.TIME}
    largest = {d: max(chunks.get(d, (n,)), default=1) for d, n in sizes.items()}
    largest = halved(largest, _TARGET // max(map_bytes, 1))
    cuts = {d: n for d, n in largest.items() if n < max(chunks.get(d, (sizes[d],)), default=1)}
    return [rechunked(x, {d: n for d, n in cuts.items() if d in x.dims}) for x in chunked]


def _labelled(
    out: xr.DataArray,
    a: xr.DataArray,
    starts: Ints,
    lags: Ints,
    rate: float,
    window: int,
) -> xr.DataArray:
    seconds = {"units": "s"}
    out = out.assign_coords(
        window=(schema.WINDOW, starts / rate, {"long_name": "start of window", **seconds}),
        lag=(schema.LAG, lags / rate, {"long_name": "lag", **seconds}),
    )
    if schema.TIME in a.indexes:
        moments = Clock.of(a).at(starts)
        about = {"long_name": "start of window since the session's first frame", **seconds}
        attrs = {} if moments.dtype.kind in "mM" else about
        out = out.assign_coords(time=(schema.WINDOW, moments, attrs))
    out.attrs = {
        "long_name": "Pearson correlation",
        "units": "1",
        schema.SAMPLING_RATE: rate,
        "window_s": window / rate,
    }
    return out.rename("lagged_correlation")
