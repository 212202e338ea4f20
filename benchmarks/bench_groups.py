"""Groups by shape beside tslearn's: seconds and the sum of distances to the shapes.

    python benchmarks/bench_groups.py

One process; each row alternates the two, medians of the runs; both are warm. tslearn's k-shape
starts threads, ours does not: NUMBA_NUM_THREADS=1 compares them on one core.
"""

import statistics
import time
import warnings

import numpy as np

from fhemb_xr.kernels.clustering import kshape

RUNS = 5
SIZES = [(32, 250, 1), (64, 500, 1), (64, 1000, 3)]


def inertia(x, groups, k):
    """Sum of ``1 - NCC`` to the shape of the own group, the same for both."""
    x = kshape.standardised(x)
    total = 0.0
    for g in range(k):
        mine = x[groups == g]
        if len(mine):
            centre = kshape.middle(mine, mine[0])
            total += float((1 - kshape.nearest_shift(mine, centre[None])[0]).sum())
    return total


def ours(x, k):
    return kshape.kshape(x, k, np.random.default_rng(0))[0]


def theirs(x, k):
    from tslearn.clustering import KShape
    from tslearn.preprocessing import TimeSeriesScalerMeanVariance

    series = TimeSeriesScalerMeanVariance().fit_transform(x.transpose(0, 2, 1))
    return KShape(k, n_init=5, random_state=0).fit(series).labels_


def waves(n, t, f, k=3):
    rng = np.random.default_rng(1)
    form = rng.normal(size=(k, f, t)).cumsum(axis=-1)
    late = rng.integers(-t // 10, t // 10, n)
    x = np.stack([np.roll(form[i % k], late[i], axis=-1) for i in range(n)])
    return x + 2 * rng.normal(size=x.shape)


def main():
    warnings.simplefilter("ignore")
    print("series x samples x features   ours [s]  tslearn [s]  ratio  distances")
    theirs(waves(6, 30, 1), 3)  # compiled before it is timed
    for n, t, f in SIZES:
        x, seconds, found = waves(n, t, f), {ours: [], theirs: []}, {}
        for _ in range(RUNS):
            for function in (ours, theirs):
                begun = time.perf_counter()
                found[function] = function(x, 3)
                seconds[function].append(time.perf_counter() - begun)
        a, b = (statistics.median(seconds[s]) for s in (ours, theirs))
        c, d = (inertia(x, found[s], 3) for s in (ours, theirs))
        print(f"{n:6} x {t:7} x {f:8} {a:10.3f} {b:12.3f} {b / a:6.1f}  {c:.4f} / {d:.4f}")


if __name__ == "__main__":
    main()
