"""Every function that reads whole series, on data much larger than its one worker.

``python benchmarks/bench_large_functions.py [--gigabytes 1.5] [--only corrca …]``

Simulates faces and series of as many gigabytes, saves them, and runs each function in one
worker process of 600 MiB and one thread; dask ends a worker at 95 % of that. ``worker`` and
``client`` are the largest resident memory. What a function gives is added up to one number a
variable, so that nothing large comes back. Where all pairs of people would take hours, fewer
features are compared, and the result is what is larger than the worker.
"""

import argparse
import os
import tempfile
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
from bench_large import Memory, step

import fhemb_xr as fx

LIMIT = "600MiB"
PEOPLE, FEATURES, RATE = 12, 115, 25.0


def series(gigabytes):
    """Features of an audience that follows one course, each person a little later."""
    length = int(gigabytes * 1e9 / (4 * PEOPLE * FEATURES))
    size, chunk = (PEOPLE, length, FEATURES), (1, 5_000, FEATURES)
    noise = da.random.default_rng(0).standard_normal(size, dtype="f4", chunks=chunk)
    shared = np.random.default_rng(1).normal(size=length + PEOPLE).astype("f4")
    late = np.stack([shared[PEOPLE - k : PEOPLE - k + length] for k in range(PEOPLE)])
    values = noise + da.from_array(late[..., None], chunks=(1, 5_000, 1))
    coords = {"time": np.arange(length) / RATE, "subject": np.arange(PEOPLE),
              "feature": [f"f{k:03d}" for k in range(FEATURES)]}  # fmt: skip
    x = xr.DataArray(values, coords, ("subject", "time", "feature"), name="embedding")
    music = xr.DataArray(shared[PEOPLE:], {"time": x.time}, "time")
    return x.assign_attrs(sampling_rate=RATE), music


def faces(gigabytes):
    frames = int(gigabytes * 1e9 / (4 * 4 * 60 * 90))
    return fx.testing.audience(4, frames / RATE, shape=(60, 90), turn_deg=5)


def functions(ds, x, music):
    """What is run, by name."""
    few, one = x.isel(feature=slice(8)), x.isel(feature=0)
    rings = {"periods_s": (1.0, 4.0), "per_octave": 3}
    return {
        "corrca": lambda: fx.corrca(x, 3),
        "shared_response": lambda: fx.shared_response(x, 5, n_iter=3, seed=0),
        "states": lambda: fx.states(x.isel(feature=slice(20)), 10, n_iter=2),  # holds a person
        "encode": lambda: fx.encode(x, music, (0.0, 0.4), 10.0, 3),
        "recurrence": lambda: fx.recurrence(few, feature="feature", radius=3.0, window_s=10),
        "granger": lambda: fx.granger(x, 0.08),
        "transfer_entropy": lambda: fx.transfer_entropy(one, 0.08),  # ranks of all would wait
        "wavelet_coherence": lambda: fx.wavelet_coherence(one, **rings),
        "phase_locking": lambda: fx.phase_locking(few, **rings),
        "regions": lambda: fx.regions(ds, ["nose_tip", "forehead"]),
        "respiration": lambda: fx.respiration(ds),
    }


def summed(out):
    """One number of each variable, and what the result would take."""
    numbers = out.map(lambda v: v.sum() if v.dtype.kind == "f" else v.count())
    return numbers.compute(), out.nbytes / 1e9


def run(folder: Path, gigabytes: float, only: list[str]) -> None:
    memory = Memory()
    x, music = series(gigabytes)
    print(f"{'':>18}{'s':>9}{'cpu s':>9}{'worker':>9}{'client':>9}", flush=True)
    with fx.local_cluster(1, memory_limit="2GiB"):  # the simulator is not what is asked about
        for name, build in (("x", lambda: x), ("faces", lambda: faces(gigabytes))):
            if not (store := folder / f"{name}.zarr").exists():
                step(f"save {name}", memory, lambda b=build, s=store: fx.save(b(), s))
    with fx.local_cluster(1, memory_limit=LIMIT):
        ds, x = fx.open_recording(folder / "faces.zarr"), fx.open_result(folder / "x.zarr")
        for name, function in functions(ds, x, music).items():
            if only and name not in only:
                continue
            try:
                found, size = step(name, memory, lambda work=function: summed(work()))
                print(f"{'':8}result {size:.2f} GB, {found.sizes or 'numbers'}", flush=True)
            except Exception as error:  # the others are of interest all the same
                print(f"{name:>18} failed: {error!r:.200}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--folder", type=Path, help="keep the stores there, and use them again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as stores, tempfile.TemporaryDirectory() as elsewhere:
        os.chdir(elsewhere)
        warnings.simplefilter("ignore")
        fx.warm()
        run(asked.folder or Path(stores), asked.gigabytes, asked.only)
        os.chdir("/")


if __name__ == "__main__":
    main()
