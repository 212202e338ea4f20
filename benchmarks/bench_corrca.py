"""Correlated components beside the explicit covariance of all people and features.

    python benchmarks/bench_corrca.py

One process; each row alternates the two, medians of the runs, one BLAS thread. ``explicit``
makes the (N D) x (N D) covariance of all series, as the authors' MATLAB code does, and needs
all of them in memory; both solve the same generalised eigenproblem. Strengths agree to the
printed error. Memory is what numpy allocates beyond the input (tracemalloc).
"""

import statistics
import time
import tracemalloc

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from fhemb_xr.kernels.components import corrca

RUNS = 5
SIZES = [(10, 5_000, 10), (20, 10_000, 20), (40, 20_000, 20)]


def ours(x):
    n, _, d = x.shape
    pieces = [corrca.state(part) for part in np.array_split(x, 10, axis=1)]
    return corrca.fit(corrca.merge(np.stack(pieces), n, d), n, d, 3, 0.0).strength


def explicit(x):
    n, t, d = x.shape
    joint = np.cov(x.transpose(0, 2, 1).reshape(n * d, t), bias=True).reshape(n, d, n, d)
    r_w = np.einsum("iaib->ab", joint) / n
    r_b = (joint.sum(axis=(0, 2)) - n * r_w) / (n * (n - 1))
    return scipy.linalg.eigh(r_b, r_w, eigvals_only=True)[::-1][:3]


def peak(function, x):
    tracemalloc.start()
    function(x)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


def main():
    print(
        "people x samples x features   ours [s]  explicit [s]  ratio  MiB  explicit MiB  error"
    )
    for n, t, d in SIZES:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(n, t, d)) + 0.5 * rng.normal(size=(t, 1)) * rng.normal(size=d)
        seconds = {ours: [], explicit: []}
        found = {}
        with threadpool_limits(1):
            for _ in range(RUNS):
                for function in (ours, explicit):
                    begun = time.perf_counter()
                    found[function] = function(x)
                    seconds[function].append(time.perf_counter() - begun)
            memory = [peak(function, x) for function in (ours, explicit)]
        a, b = (statistics.median(seconds[f]) for f in (ours, explicit))
        error = np.abs(found[ours] - found[explicit]).max()
        print(
            f"{n:6} x {t:7} x {d:8} {a:10.3f} {b:13.3f} {b / a:6.1f} "
            f"{memory[0]:4.0f} {memory[1]:13.0f}  {error:.0e}"
        )


if __name__ == "__main__":
    main()
