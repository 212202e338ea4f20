"""Two worker processes beside two threads: how many times as long, and where the rest goes.

``python benchmarks/bench_processes.py [--frames 12000] [--rounds 7] [--only NAMES]``

One person, whole frames of 64 x 80 in chunks of 1000, on disk, in the cache of the system. Each
analysis is computed by dask's threads and by ``fx.local_cluster``, in turn; medians of all
rounds are shown. ``cpu`` is the processor time of all processes together: it does not depend on
what else runs on the machine, and it does not see waiting. ``alone`` is the time of as many
tasks that do nothing: what the scheduler and the client take.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
from dask.callbacks import Callback

import fhemb_xr as fx

SHAPE, RATE = (64, 80), 25.0


def analyses(ds: Any) -> dict[str, Any]:
    heat = ds.heatmap
    names = ["mean", "std", "skew", "median", "p5", "p95"]
    return {
        "moments": fx.moments(heat, dim="time"),
        "features": fx.features(heat, names),
        "bands": fx.wavelet_filter(heat, [2, 3], level=4).mean(("y", "x")),  # of every pixel
        "eigenfaces": fx.pca(heat, 10, method="randomized", seed=0),
        "alone": nothing(heat.data.npartitions),
    }


def nothing(n: int) -> Any:
    return da.zeros(n, chunks=1).map_blocks(np.asarray, dtype=float)


def cpu_s() -> float:
    """Processor time of this process and its children."""
    own = psutil.Process()
    times = [p.cpu_times() for p in (own, *own.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def taken(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the wall, and of the processors."""
    start, before = time.perf_counter(), cpu_s()
    work()
    return time.perf_counter() - start, cpu_s() - before


class Count(Callback):
    """Counts the tasks that run."""

    n = 0

    def _pretask(self, *task: Any) -> None:
        self.n += 1


def measured(path: Path, rounds: int, only: list[str]) -> None:
    ds = fx.open_recording(path)
    work = {n: x for n, x in analyses(ds).items() if not only or n in only}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in work}
    tasks = {}
    with fx.local_cluster(2, memory_limit="1GiB") as client:
        threads = {"scheduler": "threads", "num_workers": 2}
        for i in range(rounds + 1):
            for name, x in work.items():
                with Count() as count:
                    t = taken(lambda x=x: dask.compute(x, **threads))
                tasks[name] = count.n
                p = taken(lambda x=x: dask.compute(x, scheduler=client))
                if i:  # the first compiles
                    found[name].append((*t, *p))
    print(f"{'':>11}{'tasks':>6}{'threads s':>11}{'processes s':>13}{'ratio':>7}"
          f"{'threads cpu':>13}{'processes cpu':>15}{'ratio':>7}")  # fmt: skip
    for name, rows in found.items():
        t, tc, p, pc = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:>11}{tasks[name]:>6}{t:>11.3f}{p:>13.3f}{p / t:>7.2f}"
              f"{tc:>13.3f}{pc:>15.3f}{pc / tc:>7.2f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.zarr"
        ds = fx.testing.audience(1, asked.frames / RATE, shape=SHAPE)
        fx.save(ds.assign(heatmap=ds.heatmap.fillna(22).assign_attrs(ds.heatmap.attrs)), path)
        measured(path, asked.rounds, asked.only)


if __name__ == "__main__":
    main()
