"""Wavelet bands of a store larger than the workers' memory, beside rechunking it.

python benchmarks/bench_wavelets_store.py [--frames N] [--people N] [--limit SECONDS]
[--rounds N] [--only NAMES]

Two worker processes of 1 GiB, one thread each, read an uncompressed store of N frames of
60 × 90 pixels (float32; 140 000 are 3 GB), of one person or of several, and write bands 2, 3
and 5 of db4, level 8: by fhemb_xr, and by rechunking to whole series for PyWavelets. A plain
copy is the roofline. Peak is the larger worker's resident memory, imports included; moved is
what workers sent each other, read is what they read from files, what they spilled included.

Measured on two cores, 3 GB, three rounds; rechunking by tasks in one run with fhemb_xr (12.6
s), by p2p in another:

=================== ======= ======== ======== ======== =======
                    seconds idle MiB peak MiB GB moved GB read
=================== ======= ======== ======== ======== =======
one person, copy        7.3      383      385      0.0     3.1
fhemb_xr               11.2      383      506      0.3     3.1
rechunked by tasks     57.1      359      954      3.0    20.2
rechunked by p2p     failed: FutureCancelledError
four people, copy       6.9      381      388      0.0     3.1
fhemb_xr                9.3      381      586      0.0     3.1
=================== ======= ======== ======== ======== =======

So 1.3 to 1.5 times the copy (an hour before, 1.6 to 1.7: 13.4 and 10.4 s), and 4.5 times as
fast as rechunking, which needs nearly all of the 1 GiB. An idle worker holds 345 to 383 MiB:
the imports 220, numba's compiler 125; a copy is at 400 MB (381 MiB) with them. To these come a
chunk of 21.6 MB or two, its result, and coefficients that wait for their turn, up to 9 % of the
series. (Before coefficients were carried: 22.5 s, 763 MiB, 2.3 GB read again.)
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import dask
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
    found = whole.data.map_blocks(by_pywt, axis=heat.get_axis_num("time"), dtype="f4")
    return whole.copy(data=found)


def rechunked_by_tasks(heat):
    """The same where every chunk is cut and put together by tasks of its own."""
    with dask.config.set({"array.rechunk.method": "tasks"}):
        return rechunked(heat)


def by_pywt(x, axis):
    """wavedec, zero, waverec."""
    found = pywt.wavedec(x, WAVELET, level=LEVEL, axis=axis)
    kept = [a if i in BANDS else np.zeros_like(a) for i, a in enumerate(found)]
    out = pywt.waverec(kept, WAVELET, axis=axis)
    return out.take(range(x.shape[axis]), axis)


def compiled():
    """Compile the kernels that a worker needs."""
    from fhemb_xr.kernels.time_frequency import streaming_dwt, wavelet_bands

    spec, x = (
        wavelet_bands.Spec((tuple(BANDS),), WAVELET, LEVEL, "symmetric"),
        np.zeros((5000, 9), "f4"),
    )
    _, parts = streaming_dwt.advanced(x, spec, 0, [], last=True, ignore=False)
    streaming_dwt.rebuild([parts], spec, 0, np.empty((1, *x.shape), x.dtype))


def usage(dask_worker):
    """Peak MiB, GB sent, GB read from files."""
    import resource

    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    sent = dask_worker.transfer_outgoing_bytes_total
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return peak, sent / 1e9, int(io["rchar"]) / 1e9


def main(n, people, limit, rounds, only):
    """Print the table: medians of the rounds, the largest peak."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.zarr"), Path(folder, "out.zarr")
        chunks = ((1,) * people, (CHUNK,) * (n // people // CHUNK), (60,), (90,))
        data = da.map_blocks(frames, chunks=chunks, dtype="f4")
        heat = xr.DataArray(data, dims=("subject", "time", "y", "x"), name="heatmap")
        heat = heat.assign_attrs(sampling_rate=25.0).to_dataset()
        plain = {"heatmap": {"compressors": None}}
        heat.to_zarr(source, consolidated=False, encoding=plain)
        print(f"{people} × {n // people} frames, {heat.nbytes / 1e9:.1f} GB", flush=True)
        runs = [r for r in RUNS if not only or r.__name__ in only]
        found = {run.__name__: [] for run in runs}
        for _ in range(rounds):
            for run in runs:
                found[run.__name__].append(once(run, source, target, plain, limit))
        print(f"{'':24}{'s':>8}{'idle MiB':>10}{'peak MiB':>10}{'GB moved':>10}{'GB read':>9}")
        for name, rows in found.items():
            done = [r for r in rows if not isinstance(r, str)]
            cells = np.array(done).T if done else []
            how = (np.median, np.max, np.max, np.median, np.median)
            text = (f"{f(c):{w}}" for f, c, w in zip(how, cells, WIDTHS, strict=False))
            print(f"{name:24}", *(text if done else [rows[0]]), sep="")


WIDTHS = ("8.1f", "10.0f", "10.0f", "10.1f", "9.1f")
RUNS = (copied, ours, rechunked, rechunked_by_tasks)


def once(run, source, target, plain, limit):
    """One run on workers of its own, given up after so many seconds."""
    shutil.rmtree(target, ignore_errors=True)
    with Client(
        n_workers=2, threads_per_worker=1, memory_limit="1GiB", host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as client:  # fmt: skip
        client.run(compiled)
        idle = max(peak for peak, _, _ in client.run(usage).values())
        heat = xr.open_zarr(source, consolidated=False)["heatmap"]
        start = time.perf_counter()
        out = run(heat).drop_attrs().to_dataset(name="heatmap").drop_encoding()
        try:
            written = out.to_zarr(target, consolidated=False, encoding=plain, compute=False)
            client.compute(written).result(timeout=limit)
        except Exception as error:  # a peer that does not survive is a result
            return f"failed: {type(error).__name__}: {str(error)[:60]}"
        seconds = time.perf_counter() - start
        peak, moved, read = zip(*client.run(usage).values(), strict=True)
        return seconds, idle, max(peak), sum(moved), sum(read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=140_000)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--limit", type=float, default=240)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    chosen = parser.parse_args()
    main(chosen.frames, chosen.people, chosen.limit, chosen.rounds, chosen.only)
