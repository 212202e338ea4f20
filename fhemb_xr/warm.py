"""Compile once, before it is waited for."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr


def warm() -> dict[str, float]:
    """Compile what the usual analyses need, and keep it for every later process of this user.

    The machine code lies in a private folder, which ``fhemb doctor`` names. A second call
    compiles nothing. ``FHEMB_JIT_CACHE=off`` keeps nothing, another value is the folder to
    use. For workers on other machines: ``client.run(fx.warm)``.

    Returns
    -------
    Seconds by analysis.

    Notes
    -----
    Memory: 100 MiB. Computes at call: six small arrays, in this thread.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> sorted(fx.warm())[:3]
    ['bands', 'dtw', 'eigenfaces']
    """
    seconds = {}
    for name, build in _analyses():
        start = time.perf_counter()
        build().compute(scheduler="synchronous")
        seconds[name] = round(time.perf_counter() - start, 2)
    return seconds


def _analyses() -> Iterator[tuple[str, Callable[[], Any]]]:
    """One small instance of each usual analysis, of the dtype of a recording."""
    from fhemb_xr.ops.frames.frame_features import features
    from fhemb_xr.ops.pairwise.cross_correlation import lagged_correlation
    from fhemb_xr.ops.pairwise.matrix import pairwise
    from fhemb_xr.ops.pca.eigenfaces import pca
    from fhemb_xr.ops.time_frequency.wavelet_bands import wavelet_filter

    rng = np.random.default_rng(0)
    values = rng.normal(31, 2, size=(3, 1, 256, 12, 10)).astype(np.float32)
    heat = xr.DataArray(
        values,
        dims=("subject", "session", "time", "y", "x"),
        coords={"subject": [0, 1, 2], "session": ["warm"], "time": np.arange(256) / 25},
        attrs={"sampling_rate": 25.0, "units": "degC"},
    ).chunk(time=128)
    names = ["mean", "std", "skew", "kurtosis", "median", "entropy", "p5", "p95"]
    shown = features(heat, names, threshold=25).compute(scheduler="synchronous")
    whole = shown.isel(session=0)
    single = whole.isel(feature=0)
    yield "features", lambda: features(heat, names, threshold=25)
    yield "eigenfaces", lambda: pca(heat, 2)
    yield "bands", lambda: wavelet_filter(shown.chunk(time=128), [2, 3], level=4)
    yield "modwt", lambda: wavelet_filter(shown, [2, 3], level=4, transform="modwt")
    yield "lags", lambda: lagged_correlation(single, window_s=2, step_s=1, max_lag_s=1)
    yield "dtw", lambda: pairwise(whole, "dtw", normalize="zscore")
