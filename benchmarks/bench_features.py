"""Features and moments of a recording on disk, beside what people write by hand.

``python benchmarks/bench_features.py [--frames N] [--rounds N] [--store FOLDER]
[--only …]`` makes, or
takes, a recording of four people, N frames of 64 × 80 each (35 000 are 2.9 GB of float32), and
reads it from Zarr for every row of the table. Peers get a part of the frames and are scaled.
Each run is a process of its own, so that the peak memory is its own; runs go in turns and
medians are shown. A pass is every chunk read once; tasks are those run for each chunk.

140 000 frames (``--frames 35000``, 2.87 GB) on 2 idle cores, one run; of peers with 50 features
1000 frames of each person, of those with moments 10 000, scaled by the frame:

====================================== ===== ===== ========= ==== ====== ===== ====
work                                       s cpu s µs/frame  ×    passes tasks MiB
====================================== ===== ===== ========= ==== ====== ===== ====
reading alone                            2.1   2.9      20.8 1.00      1   1.0  541
fx.moments('time')                       2.3   3.4      24.0 1.10      1   1.3  547
fx.moments(('y', 'x'))                   2.0   2.9      20.9 0.97      1   7.0  554
fx.features, 4 moments                   2.7   4.3      30.4 1.33      1   3.0  630
fx.features, all 50, edges given         3.8   6.4      45.9 1.87      1   3.0  668
fx.features, all 50, own edges           6.1   9.6      68.2 2.99      2   5.4  700
xarray reductions + scipy, all 50      124   169      1210   60.7      1    19  653
scipy.stats in apply_ufunc, all 50     108   146      1041   52.5      1   2.3  566
xarray moments of time, 2 passes          41    78     560   20.1      2    11  762
flox mean and variance of time            16    29     208    7.6      1   5.1  646
====================================== ===== ===== ========= ==== ====== ===== ====

µs/frame are of one core, × is time beside reading alone. So the full set takes 25 µs a frame
beside its reading, and with it a twenty-third of the faster peer's time, whose edges are given,
too; bins over the subject's own range read twice and are still 15 × as fast. The original took
1400 µs by its logs.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import scipy.stats
import xarray as xr

import fhemb_xr as fx

PEOPLE, SHAPE, CHUNK = 4, (64, 80), 1000
STATISTICS = ["max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy"]
PERCENTILES = np.arange(0, 101, 5)
FULL = [*STATISTICS, ("p0", "p100"), ("bh0", "bh19")]
EDGES = np.linspace(20, 40, 21)


def write(path, frames):
    """The recording, as ingest packs and shards it."""
    ds = fx.testing.audience(PEOPLE, frames / 25, shape=SHAPE, chunk_frames=CHUNK)
    fx.save(ds.isel(time=slice(0, frames)), path)


def reading(heat):
    """Reading, decompressing, unpacking, and nothing else: chunks are touched and dropped."""
    touched = da.map_blocks(lambda x: x[..., :1, :1, :1].copy(), heat.data, chunks=(1,) * 5)
    dask.compute(touched)


def features(heat, names=FULL, bins="sturges"):
    """fhemb_xr."""
    fx.features(heat, names, threshold=25, bins=bins).compute()


def dask_reductions(heat):
    """xarray and dask: what they have a reduction for, by frame."""
    seen = heat.where(heat >= 25)
    simple = [getattr(seen, n)(("y", "x")) for n in ("max", "min", "mean", "var", "std")]
    simple += [seen.median(("y", "x")), seen.quantile(PERCENTILES / 100, ("y", "x"))]
    dask.compute(*simple, *by_hand(seen, percentiles=False))


def scipy_by_ufunc(heat):
    """scipy.stats and numpy in apply_ufunc, all in one call a chunk."""
    seen = heat.where(heat >= 25)
    dask.compute(*by_hand(seen, percentiles=True))


def by_hand(heat, percentiles):
    """What xarray has no reduction for, and the rest too if asked."""

    def block(x, size):
        x = x.reshape(*x.shape[:-2], -1)
        share = [np.histogram(v[np.isfinite(v)], 30)[0] for v in x.reshape(-1, x.shape[-1])]
        heights = [
            np.histogram(v[np.isfinite(v)], EDGES, density=True)[0]
            for v in x.reshape(-1, x.shape[-1])
        ]
        lead = x.shape[:-1]
        found = [
            scipy.stats.skew(x, axis=-1, nan_policy="omit"),
            scipy.stats.kurtosis(x, axis=-1, nan_policy="omit"),
            scipy.stats.entropy(np.array(share), axis=-1).reshape(lead),
            *np.moveaxis(np.array(heights).reshape(*lead, -1), -1, 0),
        ]
        if percentiles:
            found += [f(x, axis=-1) for f in (np.nanmax, np.nanmin, np.nanmean, np.nanvar)]
            found += [np.nanstd(x, axis=-1), np.nanmedian(x, axis=-1)]
            found += [*np.nanpercentile(x, PERCENTILES, axis=-1)]
        return np.stack(found, axis=-1)

    size = 23 + 27 * percentiles
    yield xr.apply_ufunc(
        block, heat, kwargs={"size": size},
        input_core_dims=[["y", "x"]], output_core_dims=[["feature"]],
        dask="parallelized", output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"feature": size}},
    )  # fmt: skip


def four_by_xarray(heat):
    """xarray: mean and variance, then skew and kurtosis in a second pass."""
    mean, variance = dask.compute(heat.mean("time"), heat.var("time"))
    d = heat - mean
    third, fourth = dask.compute((d**3).mean("time"), (d**4).mean("time"))
    return third / variance**1.5, fourth / variance**2 - 3


def four_by_flox(heat):
    """flox: mean and variance in its one pass each; it has no skew or kurtosis."""
    import flox.xarray

    group = xr.DataArray(np.zeros(heat.sizes["time"], int), dims="time", name="all")
    found = [
        flox.xarray.xarray_reduce(
            heat, group, func=f, expected_groups=([0],), fill_value=np.nan
        )
        for f in ("nanmean", "nanvar")
    ]
    dask.compute(*found)


RUNS = {  # name: work, share of the frames
    "reading alone": (reading, 1.0),
    "fx.features, 9 + 21 + 20, 2 passes": (features, 1.0),
    "fx.features, the same, edges given": (lambda h: features(h, bins=EDGES), 1.0),
    "fx.features, 4 moments": (
        lambda h: features(h, ["mean", "variance", "skew", "kurtosis"]), 1.0),
    "fx.moments('time')": (lambda h: dask.compute(fx.moments(h)), 1.0),
    "fx.moments(('y', 'x'))": (lambda h: dask.compute(fx.moments(h, ("y", "x"))), 1.0),
    "xarray reductions + scipy, all 50": (dask_reductions, 0.03),
    "scipy.stats in apply_ufunc, all 50": (scipy_by_ufunc, 0.03),
    "xarray moments of time, 2 passes": (four_by_xarray, 0.3),
    "flox mean and variance of time": (four_by_flox, 0.3),
}  # fmt: skip


READS, TASKS = [], []


def counted(x):
    """The chunk, noted."""
    READS.append(len(x))
    return x


def child(store, name):
    """One run in this process, as one line of JSON."""
    work, share = RUNS[name]
    heat = fx.open_recording(store).heatmap
    heat = heat.copy(data=heat.data.map_blocks(counted, meta=heat.data._meta))
    n = max(CHUNK, round(heat.sizes["time"] * share / CHUNK) * CHUNK)
    part = heat.isel(time=slice(0, n))
    work(heat.isel(subject=slice(0, 1), time=slice(0, CHUNK)))  # compiles
    READS.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    with dask.callbacks.Callback(posttask=lambda *_: TASKS.append(1)):
        work(part)
    scale = heat.sizes["time"] / part.sizes["time"]
    found = {
        "seconds": (time.perf_counter() - wall) * scale,
        "cpu": (time.process_time() - cpu) * scale,
        "passes": len(READS) / part.data.npartitions,
        "tasks": len(TASKS) / part.data.npartitions,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    print(json.dumps(found))


def table(store, rounds, only):
    """Run everything in turn and print medians."""
    names = [n for n in RUNS if "flox" not in n or importlib.util.find_spec("flox")]
    names = [n for n in names if n == "reading alone" or any(o in n for o in only)]
    found = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", __file__, "--child", store, name],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    n = fx.open_recording(store).heatmap.sizes["time"] * PEOPLE
    print(
        f"{n} frames of {SHAPE[0]} × {SHAPE[1]}, {n * 4 * np.prod(SHAPE) / 1e9:.2f} GB float32"
    )
    heads = ("s", "cpu s", "µs/frame", "× reading", "cpu ×", "passes", "tasks", "MiB")
    print(f"{'':38}" + "".join(f"{head:>10}" for head in heads))
    median = {
        name: {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        for name, runs in found.items()
    }
    read = median["reading alone"]
    for name, m in median.items():
        row = (
            m["seconds"], m["cpu"], 1e6 * m["cpu"] / n, m["seconds"] / read["seconds"],
            m["cpu"] / read["cpu"], m["passes"], m["tasks"], m["peak"],
        )  # fmt: skip
        print(f"{name:38}" + "".join(f"{value:10.4g}" for value in row))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names of rows")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = chosen.store or Path(folder) / "faces.zarr"
        if not store.exists():
            write(store, chosen.frames)
        table(store, chosen.rounds, chosen.only)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
