"""Compile once, before it is waited for."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from fhemb_xr.kernels._jit import cache_folder

_MARK = "warm"
"""A file beside the compiled code: all of it has been made."""


def warm() -> dict[str, float]:
    """Compile what the usual analyses need, and keep it for every later process of this user.

    The machine code lies in a private folder, which ``fhemb doctor`` names. A second call
    compiles nothing. ``FHEMB_JIT_CACHE=off`` keeps nothing, another value is the folder to
    use. For workers on other machines: ``client.run(fx.warm)``.

    Returns
    -------
    dict[str, float]
        Seconds by analysis.

    Notes
    -----
    Memory: 100 MiB. Computes at call: small arrays, in this thread.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> sorted(fx.warm())[:3]
    ['bands', 'dtw', 'dtw in a window']
    """
    seconds = {}
    for name, build in _analyses():
        start = time.perf_counter()
        build().compute(scheduler="synchronous")
        seconds[name] = round(time.perf_counter() - start, 2)
    if (folder := cache_folder()) is not None:
        (folder / _MARK).touch()
    return seconds


def is_warm() -> bool:
    """Whether :func:`warm` has run with these sources on this machine; loads no kernel."""
    folder = cache_folder()
    return folder is not None and (folder / _MARK).exists()


def load_compiler() -> None:
    """Load what numba loads at the first call of a kernel, compiled or not."""
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def _analyses() -> Iterator[tuple[str, Callable[[], Any]]]:
    """One small instance of each usual analysis, of the dtype of a recording."""
    import dask.array as da

    from fhemb_xr.io.packed.packing import unpacked
    from fhemb_xr.ops.frames.frame_features import features
    from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
    from fhemb_xr.ops.pairwise.matrix import pairwise
    from fhemb_xr.ops.pca.eigenfaces import pca
    from fhemb_xr.ops.time_frequency.wavelet_bands import wavelet_filter

    heat = _faces(12, 10)
    names = ["mean", "std", "skew", "kurtosis", "median", "entropy", "p5", "p95"]
    shown = features(heat, names, threshold=25)
    whole = shown.isel(session=0).compute(scheduler="synchronous")
    single = whole.isel(feature=0)
    gappy = single.where(single["time"] > 1)
    two = whole.isel(feature=[0, 1])
    yield "features", lambda: shown
    yield "reading", lambda: unpacked(da.zeros(2**20, chunks=-1, dtype=np.int16))
    yield "eigenfaces", lambda: pca(_faces(32, 40).isel(subject=[0]), 2, threshold=25)
    yield "bands", lambda: wavelet_filter(whole.chunk(time=128), [2, 3], level=4)
    yield "modwt", lambda: wavelet_filter(whole, [2, 3], level=4, transform="modwt")
    options: dict[str, Any] = {"window_s": 2.0, "step_s": 1.0, "max_lag_s": 1.0}
    yield "lags", lambda: lagged_correlation(single, **options)
    yield "lags of gaps", lambda: lagged_correlation(gappy, **options)
    yield "dtw", lambda: pairwise(two, "dtw", normalize="zscore")
    yield "dtw in a window", lambda: pairwise(two, "dtw", normalize="zscore", window=20)
    yield "dtw of one feature", lambda: pairwise(single, "dtw", window=20)


def _faces(height: int, width: int) -> xr.DataArray:
    """Three people at 25 Hz, 256 frames in two chunks, of the dtype of a recording."""
    rng = np.random.default_rng(0)
    values = rng.normal(31, 2, size=(3, 1, 256, height, width)).astype(np.float32)
    return xr.DataArray(
        values,
        dims=("subject", "session", "time", "y", "x"),
        coords={"subject": [0, 1, 2], "session": ["warm"], "time": np.arange(256) / 25},
        attrs={"sampling_rate": 25.0, "units": "degC"},
    ).chunk(time=128)
