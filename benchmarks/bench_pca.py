"""Eigenfaces beside dask-ml, scikit-learn and xeofs: seconds, peak memory, error.

python benchmarks/bench_pca.py [--quick | --full | --frames N] [--rounds N] [--workers]
[--store FOLDER] [--only NAMES] [--no-errors]

Each method reads the same Zarr store in a process of its own, so that its peak memory is its
own; rounds go through all methods in turn, and medians are shown. ``--full`` is 140 000 frames
of 64 × 80 pixels (2.9 GB), ``--frames`` N of them; the store and the truth, float64 LAPACK on
the covariance, stay in ``--store``. ``--workers`` gives each method two worker processes of
1 GiB and one thread, and shows the largest peak of a worker; who runs on the client anyhow is
left out, and who is killed has no line but its last words. A pass is every chunk read once.

64 × 80 pixels on 2 cores, one run of each (xeofs 3.0.6 ends in a KeyError with xarray 2026.9);
the covariance is the median of four later runs, in a slower hour (1 015 to 1 054 MiB): between
them two runs in chains of twelve links took 41.6 and 40.6 s, 1 130 and 1 189 MiB:

============================== ====== ===== ==== ====== ====== ======== =====
140 000 frames                      s cpu s  MiB passes  tasks variance angle
============================== ====== ===== ==== ====== ====== ======== =====
read alone                        5.1   4.8  337      1    2.0
fx.pca covariance                41.7  76.6 1036      1    2.3    1e-10 4e-9
fx.pca randomized                15.4  22.8  577      3    8.5     1e-9 2e-7
dask-ml randomized, 1 power      32.5  47.3 8441      2   21.0     2e-7 4e-5
============================== ====== ===== ==== ====== ====== ======== =====

Before, in the hour of the others: covariance 36.0 s in chains of twelve links, with BLAS 43.2 s
(82.8 cpu s, 1 236 MiB), randomized by five passes of subspace iteration 42.6 s (81.3 cpu s). On
another day, when reading took 4.4 s, dask-ml took 27.7 s without a power (error 9e-2), 24.7 s
with one and 25.5 s with two.

Two workers of 1 GiB and one thread: covariance 53.6 s and 850 MiB a worker, randomized 27.0 s
and 416 MiB; dask-ml ends in a MemoryError. Ten times as long, 1 400 000 frames (the same 140
chunks, each linked ten times): randomized 233 s and 447 MiB a worker; covariance was not run.

What follows was measured before these changes:

========================== ==== ===== ====== ======== =====
14 000 frames                 s cpu s passes variance angle
========================== ==== ===== ====== ======== =====
fx.pca covariance           5.4  10.0      1      1e-9 5e-8
dask-ml randomized, 1 power 2.8   4.2      2     1e-7  4e-5
dask-ml tsqr               87.9 162.0      2     9e-8  8e-8
sklearn IncrementalPCA     22.9  41.3      1     2e-4  1e-2
sklearn PCA in memory      22.4  40.1      1     8e-7  4e-5
========================== ==== ===== ====== ======== =====

dask-ml's randomised PCA holds the frames in memory, three times over; fx.pca's randomised one
is 2.1 times as fast in a fifteenth of the memory. Of its 15.4 s about 2.7 are numba's import
and compilation, in a new process. An exact covariance is n p² = 26 MFLOP a frame, of which BLAS
does 98 GFLOP/s on a core in float32, 19 s for 140 000 frames on two cores: twice dask-ml's
speed is out of its reach. Our loops do about 70 GFLOP/s, but beside each other, where tasks
that share BLAS's threads wait for one another.
"""

import argparse
import contextlib
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
import numpy as np
import xarray as xr
from zarr.storage import LocalStore

K, CHUNK = 10, 1000
SIZES = {"quick": (4000, 24, 30), "default": (20_000, 40, 32), "full": (140_000, 64, 80)}


def block(first, shape, block_info=None):
    """Frames of some patterns of falling weight, and noise, without gaps."""
    patterns = np.random.default_rng(0).normal(size=(40, *shape)).astype("f4")
    patterns *= (8 * 0.8 ** np.arange(40, dtype="f4"))[:, None, None]
    rng = np.random.default_rng([1, int(first[0])])
    weights = rng.standard_normal((len(first), 40), dtype="f4")
    noise = rng.standard_normal((len(first), *shape), dtype="f4")
    return 33 + np.tensordot(weights, patterns, 1) + noise


def write(path, n, shape):
    """The store that all read."""
    import dask.array as da

    frames = da.arange(n, chunks=CHUNK)
    data = da.map_blocks(
        block,
        frames,
        shape=shape,
        dtype="f4",
        chunks=(frames.chunks[0], *shape),
        new_axis=[1, 2],
    )
    heat = xr.DataArray(data, dims=("time", "y", "x"), name="heatmap")
    heat.to_dataset().to_zarr(path, mode="w", consolidated=False)


def ours(heat, method="covariance"):
    """fhemb_xr."""
    import fhemb_xr as fx

    found = fx.pca(heat, K, method=method, seed=0).compute()
    return found.components.values.reshape(K, -1), found.explained_variance.values


def dask_ml(heat, solver, powers=0):
    """dask-ml's PCA."""
    from dask_ml.decomposition import PCA

    model = PCA(K, svd_solver=solver, iterated_power=powers, random_state=0)
    model.fit(heat.data.reshape(len(heat), -1))
    return model.components_, model.explained_variance_


def streaming(heat):
    """scikit-learn's IncrementalPCA, chunk by chunk."""
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(K)
    for start in range(0, len(heat), CHUNK):
        part = heat[start : start + CHUNK].values
        model.partial_fit(part.reshape(len(part), -1))
    return model.components_, model.explained_variance_


def in_memory(heat):
    """scikit-learn's PCA of all frames in memory."""
    from sklearn.decomposition import PCA

    model = PCA(K, svd_solver="covariance_eigh").fit(heat.values.reshape(len(heat), -1))
    return model.components_, model.explained_variance_


def xeofs(heat):
    """xeofs' EOF."""
    from xeofs.single import EOF

    model = EOF(K, random_state=0).fit(heat, dim="time")
    found = model.components().transpose("mode", "y", "x").values.reshape(K, -1)
    return found, model.explained_variance().values


def reading(heat):
    """Reading and decompressing alone."""
    for start in range(0, len(heat), CHUNK):
        heat[start : start + CHUNK].values.sum()
    return None


RUNS = {
    "read alone": reading,
    "fx.pca covariance": ours,
    "fx.pca randomized": lambda h: ours(h, "randomized"),
    "fx.pca incremental": lambda h: ours(h, "incremental"),
    "dask-ml PCA randomized": lambda h: dask_ml(h, "randomized"),
    "dask-ml randomized, 1 power": lambda h: dask_ml(h, "randomized", 1),
    "dask-ml randomized, 2 powers": lambda h: dask_ml(h, "randomized", 2),
    "dask-ml randomized, 3 powers": lambda h: dask_ml(h, "randomized", 3),
    "dask-ml PCA tsqr": lambda h: dask_ml(h, "tsqr"),
    "sklearn IncrementalPCA": streaming,
    "sklearn PCA in memory": in_memory,
    "xeofs EOF": xeofs,
}


class Counting(LocalStore):
    """A store that counts the chunks it is asked for."""

    chunks = 0

    async def get(self, key, prototype, byte_range=None):
        """What is there."""
        Counting.chunks += "/c/" in key
        return await super().get(key, prototype, byte_range)


def exact(heat):
    """Float64 LAPACK: components and variances."""
    p = heat[0].size
    total, gram, n = np.zeros(p), np.zeros((p, p)), len(heat)
    for start in range(0, n, CHUNK):
        x = heat[start : start + CHUNK].values.reshape(-1, p).astype("f8") - 33
        total, gram = total + x.sum(0), gram + x.T @ x
    values, vectors = np.linalg.eigh((gram - np.outer(total, total) / n) / (n - 1))
    return vectors[:, ::-1][:, :K].T, values[::-1][:K]


@contextlib.contextmanager
def cluster(wanted):
    """Two workers of 1 GiB, and what they peaked at; nothing if not wanted."""
    peaks = []
    if not wanted:
        yield peaks
        return
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="1GiB", host="127.0.0.1",
            dashboard_address="127.0.0.1:0", silence_logs=50,
        ) as made,
        Client(made) as client,
    ):  # fmt: skip
        yield peaks
        found = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        peaks += [kib / 2**10 for kib in found.values()]


def child(store, name, n, truth, wanted=""):
    """One run in this process, as one line of JSON."""
    with cluster(wanted == "workers") as peaks:
        out = measured(store, name, int(n), truth, wanted)
    if peaks:
        out["peak"] = max(peaks)
    print(json.dumps(out))


def peak():
    """The most memory that this process ever had, in MiB; getrusage tells its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def measured(store, name, n, truth, wanted):
    source = store if wanted else Counting(store, read_only=True)
    heat = xr.open_zarr(source, consolidated=False)["heatmap"][:n]
    tasks = []
    start, cpu = time.perf_counter(), time.process_time()
    with dask.callbacks.Callback(posttask=lambda *_: tasks.append(1)):
        found = RUNS[name](heat)
    out = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    out["peak"] = peak()
    chunks = len(heat.chunks[0])
    out |= {"passes": Counting.chunks / chunks, "tasks": len(tasks) / chunks}
    if found is not None and Path(truth).exists():
        known = np.load(truth)
        components, variances = (np.asarray(a, "f8") for a in found)
        out["variance"] = float(np.abs(variances / known["variances"] - 1).max())
        q = np.linalg.qr(components.T)[0]
        rest = known["components"].T - q @ (q.T @ known["components"].T)
        out["angle"] = float(np.arcsin(min(np.linalg.norm(rest, 2), 1)))
    return out


def prepared(folder, n, shape, errors):
    """The store of at least n frames, and the truth about n of them, made where missing."""
    store, truth = folder / "faces.zarr", folder / f"truth-{n}.npz"
    if not store.exists():
        write(store, n, shape)
    if errors and not truth.exists():
        heat = xr.open_zarr(store, consolidated=False, chunks=None)["heatmap"][:n]
        components, variances = exact(heat)
        np.savez(truth, components=components, variances=variances)
    return str(store), str(truth)


def rows(workers, only):
    """The names that are run."""
    names = [n for n in RUNS if any(part in n for part in only)]
    if workers:  # the others compute on the client
        names = [n for n in names if n.startswith(("fx", "dask", "xeofs"))]
    return [n for n in names if n != "xeofs EOF" or importlib.util.find_spec("xeofs")]


def main(n, shape, chosen, folder):
    """Run in turns and print the table."""
    store, truth = prepared(folder, n, shape, chosen.errors)
    found = {name: [] for name in rows(chosen.workers, chosen.only)}
    how = "workers" if chosen.workers else ""
    for _ in range(chosen.rounds):
        for name in found:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", __file__, "--child", store, name, str(n),
                 truth, how],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
                if chosen.rounds == 1:
                    print(name, found[name][-1], flush=True)
            elif not found[name]:
                last = (done.stderr.splitlines() or [f"signal {-done.returncode}"])[-1]
                print(f"{name}: {last[:90]}")
    table(n, shape, {name: runs for name, runs in found.items() if runs})


def table(n, shape, found):
    """Medians; errors are those of the first run."""
    print(f"{n} frames of {shape[0]} × {shape[1]}, {K} components, chunks of {CHUNK}")
    heads = ("s", "cpu s", "peak MiB", "passes", "tasks", "variance", "angle")
    print(f"{'':30}" + "".join(f"{head:>10}" for head in heads))
    for name, runs in found.items():
        kinds = ("seconds", "cpu", "peak", "passes", "tasks")
        cells = [f"{statistics.median(r[k] for r in runs):10.4g}" for k in kinds]
        cells += [f"{runs[0][e]:10.1e}" for e in ("variance", "angle") if e in runs[0]]
        print(f"{name:30}", *cells, sep="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--quick", dest="size", action="store_const", const="quick")
        parser.add_argument("--full", dest="size", action="store_const", const="full")
        parser.add_argument("--frames", type=int)
        parser.add_argument("--rounds", type=int, default=3)
        parser.add_argument("--workers", action="store_true")
        parser.add_argument("--store", type=Path, help="a folder that is kept")
        parser.add_argument("--only", nargs="*", default=[""], help="parts of names of rows")
        parser.add_argument("--no-errors", dest="errors", action="store_false")
        chosen = parser.parse_args()
        n, *shape = SIZES[chosen.size or "default"]
        if chosen.frames:
            n, shape = chosen.frames, [64, 80]
        with tempfile.TemporaryDirectory() as folder:
            main(n, tuple(shape), chosen, chosen.store or Path(folder))
