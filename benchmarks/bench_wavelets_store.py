"""Wavelet bands of a store larger than the workers' memory, beside rechunking it.

python benchmarks/bench_wavelets_store.py [--frames N] [--limit SECONDS]

Two worker processes of 1 GiB, one thread each, read an uncompressed store of N frames of
60 × 90 pixels (float32; 140 000 are 3 GB) and write bands 2, 3 and 5 of db4, level 8: by
fhemb_xr, and by rechunking to whole series for PyWavelets. A plain copy is the roofline. Peak
is the larger worker's resident memory, imports included; moved is what workers sent each other,
read is what they read from files, what they spilled included.

Measured on two cores, 3 GB, before blocks read a step less ahead:

           seconds   idle MiB   peak MiB   GB moved   GB read
copy           8.3        347        399        0.0       3.1
fhemb_xr      22.5        357        763        1.2       5.4
rechunked  failed: FutureCancelledError (with 100 MB of whole series in a chunk; now 50)

An idle worker holds 347 MiB: the imports 220, numba's compiler 125. To these a task adds what
it reads (1000 frames of 21.6 MB and both neighbours), its result and 24 MiB; the rest are
chunks that wait for their neighbours, up to 8 on a worker, and past 600 MiB they are spilled.
So 400 MB a worker are out of reach with chunks of 21.6 MB, and the time is 2.7 times that of
the copy, where 2 was aimed at. (0.35 GB: 1.4 s, 386 MiB the copy; 2.9 s, 639 MiB fhemb_xr.)
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pywt
import xarray as xr
from distributed import Client

import fhemb_xr as fx

WAVELET, LEVEL, BANDS, CHUNK = "db4", 8, [2, 3, 5], 1000


def frames(block_info=None):
    """Noise of a chunk, seeded by its place."""
    rng = np.random.default_rng(block_info[None]["chunk-location"])
    return rng.standard_normal(block_info[None]["chunk-shape"], dtype="f4")


def copied(heat):
    """What is read is written."""
    return heat


def ours(heat):
    """fhemb_xr."""
    return fx.wavelet_filter(heat, BANDS, WAVELET, LEVEL)


def rechunked(heat):
    """Whole series of some pixels in a chunk, PyWavelets along them."""
    rows = max(1, int(2**26 / (heat.sizes["time"] * heat.sizes["x"] * 4)))
    whole = heat.chunk(time=-1, y=rows)
    return xr.apply_ufunc(by_pywt, whole, dask="parallelized", output_dtypes=["f4"])


def by_pywt(x):
    """wavedec, zero, waverec."""
    found = pywt.wavedec(x, WAVELET, level=LEVEL, axis=0)
    kept = [a if i in BANDS else np.zeros_like(a) for i, a in enumerate(found)]
    return pywt.waverec(kept, WAVELET, axis=0)[: len(x)]


def usage(dask_worker):
    """Peak MiB, GB sent, GB read from files."""
    import resource

    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    sent = sum(t["total"] for t in dask_worker.transfer_outgoing_log)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return peak, sent / 1e9, int(io["rchar"]) / 1e9


def main(n, limit):
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.zarr"), Path(folder, "out.zarr")
        data = da.map_blocks(frames, chunks=((CHUNK,) * (n // CHUNK), (60,), (90,)), dtype="f4")
        heat = xr.DataArray(data, dims=("time", "y", "x"), name="heatmap")
        heat = heat.assign_attrs(sampling_rate=25.0).to_dataset()
        plain = {"heatmap": {"compressors": None}}
        heat.to_zarr(source, consolidated=False, encoding=plain)
        print(f"{n} frames, {heat.nbytes / 1e9:.1f} GB")
        print(f"{'':24}{'s':>8}{'idle MiB':>10}{'peak MiB':>10}{'GB moved':>10}{'GB read':>9}")
        for run in (copied, ours, rechunked):
            once(run, source, target, plain, limit)


def once(run, source, target, plain, limit):
    """One run on workers of its own, given up after so many seconds."""
    shutil.rmtree(target, ignore_errors=True)
    with Client(
        n_workers=2, threads_per_worker=1, memory_limit="1GiB", host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as client:  # fmt: skip
        client.run(ours, xr.DataArray(np.zeros((5000, 2, 40), "f4"), dims=("time", "y", "x")))
        idle = max(peak for peak, _, _ in client.run(usage).values())
        heat = xr.open_zarr(source, consolidated=False)["heatmap"]
        start = time.perf_counter()
        out = run(heat).drop_attrs().to_dataset(name="heatmap").drop_encoding()
        try:
            written = out.to_zarr(target, consolidated=False, encoding=plain, compute=False)
            client.compute(written).result(timeout=limit)
        except Exception as error:  # a peer that does not survive is a result
            print(f"{run.__name__:24} failed: {type(error).__name__}: {str(error)[:60]}")
            return
        seconds = time.perf_counter() - start
        peak, moved, read = zip(*client.run(usage).values(), strict=True)
        print(
            f"{run.__name__:24}{seconds:8.1f}{idle:10.0f}{max(peak):10.0f}{sum(moved):10.1f}"
            f"{sum(read):9.1f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=140_000)
    parser.add_argument("--limit", type=float, default=240)
    chosen = parser.parse_args()
    main(chosen.frames, chosen.limit)
