"""A recording much larger than memory through two small workers: seconds, memory, size.

``python benchmarks/bench_large.py [--gigabytes 2] [--folder FOLDER] [--encoding dense]``

Simulates an audience of 12 people, frames of 60 x 90 at 25 Hz, saves it, embeds it and saves
the embedding, all in two worker processes of 1 GiB and one thread. The stores lie in a folder
of their own; the client works in another one. ``cpu`` is the processor time of all processes,
``worker`` and ``client`` are the largest resident memory. Parts of the recording are compared
with the simulation, the store is verified, and everything is removed.

20 GB, while other programs took most of two cores (load 7 to 11); the last three lines are of
a store whose shards are linked to those of 20 chunks:

======= ======= ======= =========== ===========
step          s   cpu s worker, MiB client, MiB
======= ======= ======= =========== ===========
save        921     399         492         320
embed       131     102         529         287
moments      94      63         553         287
verify        3       1                     311
======= ======= ======= =========== ===========

Without :func:`fhemb_xr.warm` before, each worker compiled, held 780 to 830 MiB and paused.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench_processes import cpu_s

import fhemb_xr as fx

PEOPLE, SHAPE, RATE = 12, (60, 90), 25.0
SPECIFICATION = {
    "names": ["mean", "std", "skew", "kurtosis", "median", "p5", "p95"],
    "wavelet": "db4",
    "level": 8,
    "bands": [2, 3, 5],
}


class Memory:
    """The largest resident memory of this process and of its workers [MiB]."""

    def __init__(self) -> None:
        self.worker = self.client = 0.0
        self._own, self._stop = psutil.Process(), threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.worker = self.client = 0.0
        self._stop.clear()
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.client = max(self.client, self._own.memory_info().rss / 2**20)
            for child in self._own.children(recursive=True):
                try:
                    self.worker = max(self.worker, child.memory_info().rss / 2**20)
                except psutil.Error:
                    continue


def step(name: str, memory: Memory, work: Callable[[], Any]) -> Any:
    """Do one step, and print its line."""
    start, before = time.perf_counter(), cpu_s()
    with memory.watched():
        result = work()
    wall, cpu = time.perf_counter() - start, cpu_s() - before
    print(
        f"{name:>18}{wall:>9.1f}{cpu:>9.1f}{memory.worker:>9.0f}{memory.client:>9.0f}",
        flush=True,
    )
    return result


def same(found: Any, expected: Any) -> None:
    """Compare the first, a middle and the last 500 frames of three people."""
    n = found.sizes["time"]
    for who, start in ((0, 0), (PEOPLE // 2, n // 2), (PEOPLE - 1, n - 500)):
        part = {"subject": [who], "time": slice(start, start + 500)}
        np.testing.assert_allclose(found.isel(part), expected.isel(part), atol=0.00501)


def n_bytes(store: Path) -> int:
    return sum(p.stat().st_size for p in store.rglob("*") if p.is_file())


def run(folder: Path, gigabytes: float, encoding: str) -> None:
    frames = int(gigabytes * 1e9 / (PEOPLE * np.prod(SHAPE) * 4))
    simulated = fx.testing.audience(PEOPLE, frames / RATE, shape=SHAPE)
    faces, emb = folder / "faces.zarr", folder / "emb.zarr"
    memory = Memory()
    size = f"{simulated.heatmap.nbytes / 1e9:.1f} GB of float32"
    print(f"{dict(simulated.heatmap.sizes)}: {size}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':>18}{'s':>9}{'cpu s':>9}{'worker':>9}{'client':>9}", flush=True)
    with fx.local_cluster(2, memory_limit="1GiB"):
        step("save", memory, lambda: fx.save(simulated, faces, encoding=encoding))
        ds = fx.open_recording(faces)
        step("embed", memory, lambda: fx.save(fx.embed(ds, **SPECIFICATION), emb, resume=True))
        step("moments", memory, lambda: fx.moments(ds.heatmap, dim="time").compute())
    assert step("verify", memory, lambda: fx.verify(faces)) == []
    same(ds.heatmap, simulated.heatmap)
    bits = 8 * n_bytes(faces / "heatmap") / simulated.heatmap.size
    print(f"recording {n_bytes(faces) / 1e9:.2f} GB, {bits:.2f} bits a pixel; embedding "
          f"{n_bytes(emb) / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", help="where the stores are made; default: a temporary one")
    parser.add_argument("--encoding", default="dense")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=asked.folder) as stores,
        tempfile.TemporaryDirectory() as elsewhere,
    ):
        os.chdir(elsewhere)
        fx.warm()  # else each worker compiles, and keeps 300 MiB of it
        run(Path(stores), asked.gigabytes, asked.encoding)
        os.chdir("/")


if __name__ == "__main__":
    main()
