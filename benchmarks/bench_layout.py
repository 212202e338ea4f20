"""Chunks, shards and encodings: what they take on disk, and what five ways of reading cost.

``python benchmarks/bench_layout.py [--frames 10000]`` prints the table of chunks and shards,
with ``--encodings`` those of the encodings. Rates are MB/s of float32 temperatures per second
of one core, warm files: processor time, since other work on the machine would otherwise decide.
``--faces FILE.npz`` also takes arrays ``(time, y, x)`` in °C from a file. The tables of
``docs/layout.md`` are from here.

Through the link, the store gives its bytes at 100 MB/s, one answer after the other, to two
threads; these rates are of the clock on the wall, so nothing else should run.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
import zarr
from zarr.storage import LocalStore, WrapperStore

import fhemb_xr as fx
from fhemb_xr import testing
from fhemb_xr.io import encoding
from fhemb_xr.io.packed import differences
from fhemb_xr.io.recording import open_recording

SUBJECTS, SHAPE, RATE = 2, (60, 45), 25.0
LAYOUTS = ((250, 5000), (1000, 1000), (1000, 5000), (1000, 10000), (2500, 5000), (5000, 5000))
READS: dict[str, dict[str, Any]] = {
    "whole": {},
    "person": {"subject": [1]},
    "minute": {"time": slice(2000, 3500)},
    "frame": {"time": [4321]},
    "pixel": {"y": [20], "x": [10]},
}
LINK_BYTES_S = 100e6
"""A network drive at 1 Gbit/s."""


class Link(WrapperStore[Any]):
    """A store behind a link that carries one answer at a time."""

    _lock: asyncio.Lock | None = None

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes, as late as the link brings them."""
        data = await self._store.get(key, prototype, byte_range)
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            await asyncio.sleep(0 if data is None else len(data) / LINK_BYTES_S)
        return data


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Time of the best of five runs."""
    found = []
    for _ in range(5):
        start = clock()
        work()
        found.append(clock() - start)
    return min(found)


def written(path: Path, heat: Any, chunk: int, shard: int, how: str = "fast") -> None:
    """As ingest does it: a shard at a time, packed here."""
    group = encoding.create_recording(
        path,
        subjects=heat.subject.values.tolist(),
        sessions=["dg"],
        n_frames=heat.sizes["time"],
        shape=heat.shape[3:],
        sampling_rate=RATE,
        title="layout",
        threshold=25,
        chunk_frames=chunk,
        shard_frames=shard,
        encoding=how,
    )
    array: Any = group["heatmap"]
    values = heat.values
    for i in range(heat.sizes["subject"]):
        for a in range(0, heat.sizes["time"], shard):
            where = i, 0, slice(a, min(a + shard, heat.sizes["time"]))
            differences.write(array, where, encoding.pack(values[where]))
    group["time"][:] = np.arange(heat.sizes["time"]) / RATE
    group.attrs[encoding.STATUS] = encoding.COMPLETE


def shown(heat: Any, each: dict[str, float]) -> Iterator[str]:
    """MB/s of the large parts, ms of the small ones."""
    for name, taken in each.items():
        small = name in ("frame", "pixel")
        yield (
            f"{1e3 * taken:.0f}"
            if small
            else f"{heat.isel(READS[name]).nbytes / 1e6 / taken:.0f}"
        )


def reads(store: Any, heat: Any, clock: Callable[[], float] = time.process_time) -> list[str]:
    ds = open_recording(store).heatmap
    parts = READS.items()
    each = {n: seconds(lambda part=part: ds.isel(part).compute(), clock) for n, part in parts}
    return [*shown(heat, each)]


def size(path: Path, heat: Any) -> tuple[int, float]:
    """Number of files, and bits a pixel."""
    files = [p for p in (path / "heatmap" / "c").rglob("*") if p.is_file()]
    return len(files), 8 * sum(p.stat().st_size for p in files) / heat.size


def row(heat: Any, chunk: int, shard: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        start = time.process_time()
        written(path, heat, chunk, shard)
        rate = heat.nbytes / 1e6 / (time.process_time() - start)
        n_files, bits = size(path, heat)
        taken = reads(path, heat)
    return [str(chunk), str(shard), f"{rate:.0f}", *taken, str(n_files), f"{bits:.2f}"]


def plainly(path: Path, heat: Any) -> str:
    """Reading all by xarray alone, as numbers of 16 bits."""
    heatmap = xr.open_zarr(path, consolidated=False, mask_and_scale=False).heatmap
    return f"{heat.nbytes / 1e6 / seconds(heatmap.compute):.0f}"


def encodings(heat: Any, name: str) -> None:
    """One line for each encoding and way of reading."""
    for how in encoding.ENCODINGS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.zarr"
            start = time.process_time()
            written(path, heat, 1000, 5000, how)
            rate = f"{heat.nbytes / 1e6 / (time.process_time() - start):.0f}"
            bits = f"{size(path, heat)[1]:.2f}"
            for pipeline in ("zarr", "zarrs"):
                with fx.set_options(codec_pipeline=pipeline):
                    line(name, how, bits, rate, pipeline, *reads(path, heat))
            line(name, how, bits, rate, "plain", plainly(path, heat))
            with dask.config.set(scheduler="threads", num_workers=2):
                linked = Link(LocalStore(path, read_only=True))
                line(name, how, bits, rate, "link", *reads(linked, heat, time.perf_counter))


def line(*cells: str) -> None:
    print(*(f"{c:>9}" for c in cells), flush=True)


def faces(frames: int, shape: tuple[int, int]) -> Any:
    return testing.audience(SUBJECTS, frames / RATE, shape=shape).heatmap.compute()


def given(file: str) -> Iterator[tuple[str, Any]]:
    """Faces of a file, as long as the simulated ones: forwards, backwards, and so on."""
    for name, x in np.load(file).items():
        if x.ndim == 3:
            turns = -(-5000 // len(x))
            long = np.concatenate([x[:: 1 - 2 * (i % 2)] for i in range(turns)])[None, None]
            dims = ("subject", "session", "time", "y", "x")
            both = np.concatenate([long, long]).astype(np.float32)
            yield name, xr.DataArray(both, dims=dims, coords={"subject": [1, 2]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--encodings", action="store_true")
    parser.add_argument("--faces", help="file of arrays (time, y, x) in °C")
    asked = parser.parse_args()
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    dask.config.set(scheduler="synchronous")
    small = faces(5000, SHAPE)
    row(small, 1000, 1000)  # compiles
    if not asked.encodings:
        line("chunk", "shard", "write", *READS, "files", "bits")
        heat = faces(asked.frames, SHAPE)
        for chunk, shard in LAYOUTS:
            line(*row(heat, chunk, shard))
        return
    line("faces", "encoding", "bits", "write", "read by", *READS)
    for shape in (SHAPE, (60, 90)):
        encodings(faces(asked.frames, shape), f"{shape[0]}x{shape[1]}")
    for name, heat in given(asked.faces) if asked.faces else ():
        encodings(heat, name)


if __name__ == "__main__":
    main()
