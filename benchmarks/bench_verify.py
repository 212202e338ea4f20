"""How fast a store is verified, and what its checksums cost.

``fx.verify`` beside two ways to look at every byte: ``cat`` of the files and reading each chunk
through xarray, which decompresses it. Then writing and reading the same recording with and
without crc32c at the end of the codecs. From memory (the files were just written), one process,
runs alternate, medians.
"""

import statistics
import tempfile
import time
from pathlib import Path

import dask
import xarray as xr
import zarr.codecs

import fhemb_xr as fx
from fhemb_xr.io import encoding
from fhemb_xr.testing import audience

RUNS = 5


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(works, runs=RUNS):
    """Median seconds of each, run in turns."""
    taken = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(t) for name, t in taken.items()}


def cat(store):
    for path in store.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(2**20):
                    pass


def through_xarray(store):
    ds = xr.open_zarr(store, consolidated=False, chunks={})
    dask.compute(*[v.max() for v in ds.variables.values() if v.dtype.kind in "if"])


def speed(folder):
    """Seconds of each way over one recording."""
    ds = audience(n_subjects=12, seconds=400, shape=(60, 45), seed=1)
    store = Path(folder) / "a.zarr"
    fx.save(ds, store)
    n_bytes = sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    assert fx.verify(store) == []
    works = {
        "cat": lambda: cat(store),
        "fx.verify": lambda: fx.verify(store),
        "fx.verify, one thread": lambda: fx.verify(store, threads=1),
        "every chunk through xarray": lambda: through_xarray(store),
    }
    print(
        f"a recording of {n_bytes / 1e6:.0f} MB on disk, {ds.heatmap.nbytes / 1e9:.1f} GB of °C"
    )
    taken = alternate(works)
    for name, t in taken.items():
        ratio = t / taken["fx.verify"]
        print(f"  {name:28} {t:7.3f} s {n_bytes / t / 1e9:6.2f} GB/s  {ratio:6.2f} x verify")
    return ds.isel(subject=slice(0, 3), time=slice(0, 10000)).load(), store


def cost(folder, ds):
    """Ratio of writing and reading with checksums to without."""
    with_sums = encoding.compressors

    def without(dtype):
        return [
            c for c in with_sums(dtype) if not isinstance(c, zarr.codecs.Crc32cCodec)
        ] or None

    def write(name, codecs):
        encoding.compressors = codecs
        try:
            fx.save(ds, Path(folder) / name, mode="w")
        finally:
            encoding.compressors = with_sums

    def read(name):
        fx.open_recording(Path(folder) / name).heatmap.max().compute()

    works = {
        "write without": lambda: write("without.zarr", without),
        "write with crc32c": lambda: write("with.zarr", with_sums),
        "read without": lambda: read("without.zarr"),
        "read with crc32c": lambda: read("with.zarr"),
    }
    taken = alternate(works, runs=7)
    for verb in ("write", "read"):
        plain, summed = taken[f"{verb} without"], taken[f"{verb} with crc32c"]
        rate = ds.heatmap.nbytes / 1e6
        print(
            f"  {verb:6} without {rate / plain:5.0f} MB/s of float32, with crc32c "
            f"{rate / summed:5.0f} MB/s: {100 * (summed / plain - 1):+.1f} %"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        part, _ = speed(folder)
        cost(folder, part)
