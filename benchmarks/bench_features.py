"""Features of frames beside what people write by hand: µs per frame, ratios, peak memory.

python benchmarks/bench_features.py [frames]
"""

import resource
import statistics
import sys
import time

import dask
import numpy as np
import scipy.stats
import xarray as xr

import fhemb_xr as fx

STATISTICS = ["max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy"]
PERCENTILES = np.arange(0, 101, 5)
FULL = [*STATISTICS, ("p0", "p100"), ("bh0", "bh19")]


def peer(heat):
    """xarray, dask and scipy, each feature by its own call, as a notebook would hold it."""
    pixels = heat.stack(pixel=("y", "x"))

    def lazily(function, size, *arguments):
        return xr.apply_ufunc(
            function, pixels, *arguments,
            input_core_dims=[["pixel"], *([["edge"]] * len(arguments))],
            output_core_dims=[["feature"]],
            dask="parallelized", output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"feature": size}, "allow_rechunk": True},
        )  # fmt: skip

    def shape(x):
        options = {"axis": -1, "nan_policy": "omit"}
        return np.stack(
            [scipy.stats.skew(x, **options), scipy.stats.kurtosis(x, **options)], -1
        )

    def entropy(x):
        share = np.array(
            [np.histogram(v[np.isfinite(v)], 30)[0] for v in x.reshape(-1, x.shape[-1])]
        )
        share = share / share.sum(-1, keepdims=True)
        return scipy.stats.entropy(share, axis=-1).reshape(*x.shape[:-1], 1)

    def heights(x, edges):
        found = [
            np.histogram(v[np.isfinite(v)], edges, density=True)[0]
            for v in x.reshape(-1, x.shape[-1])
        ]
        return np.array(found).reshape(*x.shape[:-1], -1)

    def percentiles(x):
        return np.moveaxis(np.nanpercentile(x, PERCENTILES, axis=-1), 0, -1)

    dims = ("y", "x")
    simple = [getattr(heat, n)(dims) for n in ("max", "min", "mean", "var", "std", "median")]
    edges = xr.DataArray(
        np.linspace(*dask.compute(heat.min().data, heat.max().data), 21), dims="edge"
    )
    return [
        *simple,
        lazily(shape, 2),
        lazily(entropy, 1),
        lazily(percentiles, 21),
        lazily(heights, 20, edges),
    ]


def timed(work, repeats=3):
    """Median seconds of ``work()``."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main(frames):
    """Print the table."""
    ds = fx.testing.audience(
        n_subjects=2, seconds=frames / 50, shape=(64, 80), chunk_frames=500
    )
    heat = ds.heatmap.where(ds.heatmap >= 25).persist()
    n = 2 * ds.sizes["time"]
    few = heat.isel(time=slice(0, 100))
    dask.compute(fx.features(few, FULL))  # compile
    print(f"{n} frames of 64 × 80, {heat.nbytes / 2**20:.0f} MiB in memory, dask's threads")
    ours = timed(lambda: dask.compute(fx.features(heat, FULL, threshold=25)))
    single = timed(
        lambda: dask.compute(fx.features(heat, FULL, threshold=25), scheduler="synchronous")
    )
    four = timed(lambda: dask.compute(fx.moments(heat, ("y", "x"))))
    part = heat.isel(time=slice(0, max(100, ds.sizes["time"] // 10)))
    scale = heat.sizes["time"] / part.sizes["time"]
    theirs = timed(lambda: dask.compute(*peer(part)), 1) * scale
    rows = (
        ("fx.features, 9 + 21 + 20, 2 passes", ours),
        ("the same, one core", single),
        ("fx.moments over y, x", four),
        ("xarray + dask + scipy + numpy, all 50", theirs),
        ("the original, as its logs say (1.4 ms)", 1.4e-3 * n),
    )
    for name, seconds in rows:
        print(
            f"{name:42}{seconds:8.2f} s {seconds / n * 1e6:9.1f} µs/frame",
            f"{seconds / ours:8.1f} ×",
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of this process {peak:.0f} MiB, the input among it")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
