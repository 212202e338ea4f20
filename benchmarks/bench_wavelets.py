"""Wavelet bands beside PyWavelets and ptwt: speed in memory, by halo or by level, graphs.

python benchmarks/bench_wavelets.py [--full] [--rounds N]

db4, level 8, bands 2, 3 and 5. All runs of a round go in turn, medians are shown, results are
compared before times are. Slow peers do a part of the channels, and the table says so. GB/s
count the series once read and once written; a copy of the same array is the roofline.
``bench_wavelets_store.py`` does the same out of core.

Measured alone on two cores of an EPYC (``--memory --rounds 7``; the last two columns ``--memory
--full``, 3 rounds); in memory, one core, how many times as long as fhemb_xr the others took:

                             70 × 25 000         1350 × 5000       5400 × 25 000
                            float32  float64    float32  float64   float32  float64
Msamples/s of fhemb_xr          516      208        529      234       392      187
GB/s, share of a copy      4.1 0.23 3.3 0.17   4.2 0.41 3.7 0.25  3.1 0.40 3.0 0.31
PyWavelets along time         13.5 ×   7.1 ×     22.5 ×   11.7 ×    25.9 ×   17.9 ×
the same by two threads        9.7 ×   7.2 ×     12.2 ×   12.9 ×    11.9 ×    6.8 ×
PyWavelets, contiguous         3.9 ×   2.4 ×      5.0 ×    2.9 ×    10.3 ×    6.9 ×
ptwt (torch)                    25 ×    17 ×       21 ×     12 ×      34 ×     27 ×
pywt.mra (SWT)                 900 ×   375 ×     3100 ×   1300 ×     920 ×    530 ×
fx modwt                       6.2 ×   6.9 ×      5.5 ×    5.5 ×     5.4 ×    6.1 ×

The roofline: a copy of 1350 × 5000 moves 2 × 4 bytes a sample at 1 340 million samples a second
into new memory, 3 000 into memory that was used before. The transform moves the same, and its
levels there and back (16 bytes of level 1 and half as much for each further one, mostly within
the cache): 24 to 28 bytes a sample, 11 to 13 GB/s of the 11 to 24 GB/s that a copy reaches. The
loops alone do 5 000 to 8 000 million samples a second in the cache, 2 300 to 2 700 from memory.
Pixels reach 20 × along time and 6 × on contiguous series; 70 channels, whose series PyWavelets
has in its cache, reach 13 × and 4 ×, and 7 × in float64.

Out of core, while others used the machine too: halo against level by level 0.79 / 2.23 s
(40 000 × 30 × 45 in chunks of 100), 1.12 / 2.57 s (of 1000), 1.05 / 8.19 s (270 000 × 70 in
1000), with 2 to 4 against 16 to 51 tasks a chunk. The graph of 70 × 270 000 is built in 0.6 s
with 3.2 tasks a chunk.
"""

import argparse
import functools
import importlib.util
import statistics
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pywt
import xarray as xr

import fhemb_xr as fx

WAVELET, LEVEL, BANDS, N = "db4", 8, (2, 3, 5), 25_000
CHANNELS = {"quick": ((70, N), (1350, 5000)), "full": ((70, N), (5400, N))}
SLOW = {"pywt.mra (SWT)": 2, "ptwt along time": 70}  # channels that they do


def ours(x, transform="dwt"):
    """fhemb_xr on ``(t, c)``, one thread."""
    return fx.wavelet_filter(
        xr.DataArray(x, dims=("time", "k")), BANDS, WAVELET, LEVEL, transform=transform
    ).values


def by_pywt(x, axis=0):
    """wavedec, zero, waverec."""
    found = pywt.wavedec(x, WAVELET, level=LEVEL, axis=axis)
    kept = [a if i in BANDS else np.zeros_like(a) for i, a in enumerate(found)]
    return pywt.waverec(kept, WAVELET, axis=axis)


def by_threads(x):
    """The same, half of the channels in each of two threads."""
    half = x.shape[1] // 2
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate([*pool.map(by_pywt, (x[:, :half], x[:, half:]))], axis=1)


def by_mra(x):
    """The undecimated multiresolution, channel by channel; of whole steps."""
    n = len(x) // 2**LEVEL * 2**LEVEL
    bands = [pywt.mra(c, WAVELET, LEVEL, transform="swt") for c in x[:n].T]
    return np.stack([sum(b[i] for i in BANDS) for b in bands], axis=1)


def by_ptwt(x):
    """ptwt on torch tensors, one thread."""
    import ptwt
    import torch

    torch.set_num_threads(1)
    found = ptwt.wavedec(torch.as_tensor(x.T.copy()), WAVELET, mode="symmetric", level=LEVEL)
    kept = [a if i in BANDS else torch.zeros_like(a) for i, a in enumerate(found)]
    return ptwt.waverec(kept, WAVELET).numpy().T


def runs(x):
    """What is timed: name, function, its argument, and how many of the channels it does."""
    across = np.ascontiguousarray(x.T)
    out = [
        ("copy", np.copy, x, x.shape[1]),
        ("fx dwt", ours, x, x.shape[1]),
        ("fx modwt", functools.partial(ours, transform="modwt"), x, x.shape[1]),
        ("pywt along time", by_pywt, x, x.shape[1]),
        ("pywt along time, 2 threads", by_threads, x, x.shape[1]),
        ("pywt contiguous series", functools.partial(by_pywt, axis=-1), across, x.shape[1]),
    ]
    part = {name: min(k, x.shape[1]) for name, k in SLOW.items()}
    out.append(("pywt.mra (SWT)", by_mra, x[:, : part["pywt.mra (SWT)"]], 2))
    if importlib.util.find_spec("ptwt"):
        k = part["ptwt along time"]
        out.append(("ptwt along time", by_ptwt, x[:, :k], k))
    return out


def in_memory(channels, n, dtype, rounds):
    """Print the table of one array."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, channels), dtype).cumsum(axis=0, dtype=dtype)
    expected, found = by_pywt(x[:, :70].astype("f8")), ours(x)[:, :70]
    error = np.abs(found - expected[: len(x)]).max() / np.abs(x).max()
    print(f"\n{channels} channels × {n}, {dtype}; largest error {error:.0e} of the signal")
    todo = runs(x)
    times = {name: [] for name, *_ in todo}
    for _ in range(rounds):
        for name, run, argument, _ in todo:
            clock = time.perf_counter if "threads" in name else time.process_time
            start = clock()  # of the processor, so that others on it count less
            run(argument)
            times[name].append(clock() - start)
    print(f"{'':28}{'channels':>9}{'Msamples/s':>11}{'GB/s':>7}{'of copy':>8}{'fx dwt ×':>9}")
    speed = {name: k * n / statistics.median(times[name]) for name, _, _, k in todo}
    for name, _, _, k in todo:
        gbs = 2 * x.itemsize * speed[name] / 1e9
        share, ratio = speed[name] / speed["copy"], speed["fx dwt"] / speed[name]
        print(f"{name:28}{k:9}{speed[name] / 1e6:11.1f}{gbs:7.2f}{share:8.2f}{ratio:9.1f}")


def by_levels(x):
    """The other way out of core: a task for each block and level, with a short halo."""
    details, smooth = [], x
    for _ in range(LEVEL):
        found = fx.wavelet_coefficients(smooth, WAVELET, 1)
        details.append(found["detail_1"])
        smooth = found["approximation"].rename(time_1="time").drop_vars("time")
    wanted = {LEVEL + 1 - b for b in BANDS}
    smooth = xr.zeros_like(smooth)
    for j in range(LEVEL, 0, -1):
        detail = details[j - 1] if j in wanted else xr.zeros_like(details[j - 1])
        smooth = smooth.rename(time="time_1").drop_vars("time", errors="ignore")
        pair = found.drop_vars("time_1").drop_dims("time_1").assign(
            approximation=smooth, detail_1=detail.drop_vars("time_1")
        )  # fmt: skip
        n = x.sizes["time"] if j == 1 else details[j - 2].sizes["time_1"]
        pair.attrs["fhemb_coefficients"] = found.attrs["fhemb_coefficients"].replace(
            f'"samples": {details[LEVEL - 2].sizes["time_1"]}', f'"samples": {n}'
        )
        smooth = fx.from_coefficients(pair)
    return smooth


def halo_or_levels(rounds):
    """Time of both ways, by chunk length."""
    print(f"\n{'halo or level by level':28}{'':9}{'s':>11}{'s':>11}{'tasks a chunk':>20}")
    for shape, chunks in (((40_000, 30, 45), (100, 250, 1000, 4000)), ((270_000, 70), (1000,))):
        x = np.random.default_rng(0).standard_normal(shape, dtype="f4")
        for chunk in chunks:
            cut = da.from_array(x, chunks=(chunk, *shape[1:]))
            array = xr.DataArray(cut, dims=("time", "y", "x")[: len(shape)])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ways = [fx.wavelet_filter(array, BANDS, WAVELET, LEVEL), by_levels(array)]
            times = [[], []]
            for _ in range(rounds):
                for way, seen in zip(ways, times, strict=True):
                    start = time.perf_counter()
                    dask.compute(way.data.sum(), scheduler="single-threaded")
                    seen.append(time.perf_counter() - start)
            tasks = [len(w.__dask_graph__()) / cut.numblocks[0] for w in ways]
            seconds = [statistics.median(t) for t in times]
            print(
                f"{shape} in {chunk:5}".ljust(37),
                *(f"{s:11.2f}" for s in seconds),
                *(f"{t:10.1f}" for t in tasks),
                sep="",
            )


def graph():
    """Time to build and size of the graph of a whole opera's features."""
    x = xr.DataArray(da.zeros((70, 270_000), "f4", chunks=(1, 1000)), dims=("subject", "time"))
    start = time.perf_counter()
    out = fx.wavelet_filter(x, BANDS, WAVELET, LEVEL)
    seconds, chunks = time.perf_counter() - start, 70 * 270
    tasks = len(dask.optimize(out)[0].__dask_graph__()) / chunks
    print(f"\n70 × 270 000, {chunks} chunks: built in {seconds:.1f} s, {tasks:.1f} tasks each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="only the arrays in memory")
    chosen = parser.parse_args()
    print(f"python {sys.version.split()[0]}, pywt {pywt.__version__}, one core unless said")
    for shape in CHANNELS["full" if chosen.full else "quick"]:
        for dtype in ("f4", "f8"):
            in_memory(*shape, dtype, chosen.rounds)
    if not chosen.memory:
        halo_or_levels(chosen.rounds)
        graph()
