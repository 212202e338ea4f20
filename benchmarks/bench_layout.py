"""Lengths of chunks and shards: what writing and five ways of reading cost.

``python benchmarks/bench_layout.py [--frames 10000]`` prints a table; rates are MB/s of float32
temperatures per second of one core, warm files: processor time, since other work on the machine
would otherwise decide. The table in ``fhemb_xr/io/encoding.py`` is from here.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr

from fhemb_xr import testing
from fhemb_xr.io import encoding
from fhemb_xr.io.recording import open_recording

SUBJECTS, SHAPE, RATE = 2, (60, 45), 25.0
LAYOUTS = ((250, 5000), (1000, 1000), (1000, 5000), (1000, 10000), (2500, 5000), (5000, 5000))
READS: dict[str, dict[str, Any]] = {
    "whole": {},
    "a person": {"subject": [1]},
    "a minute": {"time": slice(2000, 3500)},
    "a frame": {"time": [4321]},
    "a pixel": {"y": [30], "x": [20]},
}


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """Processor time of the best of a few runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def faces(frames: int) -> Any:
    ds = testing.audience(SUBJECTS, frames / RATE, shape=SHAPE)
    return ds.heatmap.compute()


def written(path: Path, heat: Any, chunk: int, shard: int) -> None:
    """As ingest does it: a shard at a time, packed here."""
    group = encoding.create_recording(
        path,
        subjects=heat.subject.values.tolist(),
        sessions=["dg"],
        n_frames=heat.sizes["time"],
        shape=SHAPE,
        sampling_rate=RATE,
        title="layout",
        threshold=25,
        chunk_frames=chunk,
        shard_frames=shard,
    )
    array: Any = group["heatmap"]
    values = heat.values
    for i in range(SUBJECTS):
        for a in range(0, heat.sizes["time"], shard):
            array[i, 0, a : a + shard] = encoding.pack(values[i, 0, a : a + shard])
    group["time"][:] = np.arange(heat.sizes["time"]) / RATE
    group.attrs[encoding.STATUS] = encoding.COMPLETE


def row(heat: Any, chunk: int, shard: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        start = time.process_time()
        written(path, heat, chunk, shard)
        took = [heat.nbytes / 1e6 / (time.process_time() - start)]
        files = [p for p in (path / "heatmap" / "c").rglob("*") if p.is_file()]
        bits = 8 * sum(p.stat().st_size for p in files) / heat.size
        ds = open_recording(path).heatmap
        reads = [seconds(lambda part=part: ds.isel(part).compute()) for part in READS.values()]
    took += [heat.isel(p).nbytes / 1e6 / s for p, s in zip(READS.values(), reads, strict=True)]
    shown = [f"{took[0]:.0f}", *(f"{t:.0f}" for t in took[1:4])]
    shown += [f"{1e3 * s:.0f}" for s in reads[3:]]
    return [str(chunk), str(shard), *shown, str(len(files)), f"{bits:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    heat = faces(parser.parse_args().frames)
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    head = ["chunk", "shard", "write", "whole", "person", "minute", "frame ms", "pixel ms"]
    print(*(f"{h:>9}" for h in [*head, "files", "bits"]))
    with dask.config.set(scheduler="synchronous"):
        row(heat.isel(time=slice(0, 5000)), 1000, 1000)  # compiles
        for chunk, shard in LAYOUTS:
            print(*(f"{v:>9}" for v in row(heat, chunk, shard)), flush=True)


if __name__ == "__main__":
    main()
