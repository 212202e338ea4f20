"""Feature streams in four formats: pickle, HDF5 twice, ours read by zarr-python and by zarrs.

    python benchmarks/bench_streams.py [GB of float32] [rounds]

Streams as NoXi-Re's scripts make them: sessions of two people, 5 400 frames each, OpenFace's
scaled to 0..1 and rounded to 4 decimals, an embedding of 768 numbers whose mantissas are noise.
Every way reads the same things from a warm page cache, in turns; medians. The peers keep their
handles as their users do: pickle reads everything each time, the scripts open the file anew for
a sample or a slice, and a training loop keeps what it has opened.
"""

import pickle
import resource
import statistics
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from scipy.signal import lfilter

import fhemb_xr as fx
from fhemb_xr import schema
from fhemb_xr.io import streams as io

FRAMES, LENGTH = 5400, 100
SHAPES = {"face": (68, 2), "aus": (17,), "head": (6,), "vit": (768,)}
PERSONS = ("expert", "novice")


def recording(seed):
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in SHAPES.items():
        x = lfilter([0.2], [1, -0.98], rng.standard_normal((FRAMES, *shape), "f4"), axis=0)
        if name == "face":  # a head that moves as one
            x = 0.15 * x + 3 * lfilter(
                [0.02], [1, -0.98], rng.standard_normal((FRAMES, 1, 2)), axis=0
            )
        if name == "vit":
            out[name] = (x + rng.standard_normal(shape)).astype("f4")
            continue
        low, high = x.min(0), x.max(0)
        x = (
            np.round(np.clip(2 * x, 0, 5) / 5, 3)
            if name == "aus"
            else np.round((x - low) / (high - low), 4)
        )
        out[name] = x  # float64, as pandas gives it
    return out


def write_pickle(path, data):
    with path.open("wb") as f:
        pickle.dump(data, f, protocol=pickle.HIGHEST_PROTOCOL)


def write_hdf5(path, data, **how):
    with h5py.File(path, "w") as f:
        for i, sample in enumerate(data):
            for person, own in sample.items():
                for name, x in own.items():
                    chunks = {"chunks": (500, *x.shape[1:])} if how["good"] else {}
                    f.create_dataset(f"sample_{i:03d}/{person}/{name}", data=x, dtype="f4",
                                     **chunks, **how["codec"])  # fmt: skip


def write_ours(path, data):
    found = {}
    for i, sample in enumerate(data):
        for person, own in sample.items():
            ds = schema_dataset(own)
            found[f"{i:03d}", person] = io.clocked(ds, 25.0)
    fx.save(io.assembled(found, {"sampling_rate": 25.0}), path)


def schema_dataset(own):
    import xarray as xr

    ds = xr.Dataset({n: (schema.STREAMS[n].dims, x.astype("f4")) for n, x in own.items()})
    for name in ("face", "aus", "head"):
        ds[name].attrs["decimals"] = 4
    return ds.chunk()


class Pickled:
    def __init__(self, path):
        self.path = path

    def open(self):
        with self.path.open("rb") as f:
            return pickle.load(f)

    def samples(self, which):
        data = self.open()
        return [data[i][p]["face"] for i, p in which]

    def slice(self, i):
        return self.open()[i]["expert"]["face"][100:200]

    def windows(self, index):
        data = self.open()
        return [{n: x[a : a + LENGTH] for n, x in data[i][p].items()} for i, p, a in index]

    def load(self):
        return self.open()


class Hdf5(Pickled):
    def open(self):
        return h5py.File(self.path, "r")

    def samples(self, which):
        out = []
        for i, p in which:  # the scripts' load_sample opens the file each time
            with self.open() as f:
                out.append(f[f"sample_{i:03d}/{p}/face"][:])
        return out

    def slice(self, i):
        with self.open() as f:
            return f[f"sample_{i:03d}/expert/face"][100:200]

    @cached_property
    def kept(self):
        return self.open()

    def windows(self, index):
        return [{n: self.kept[f"sample_{i:03d}/{p}/{n}"][a : a + LENGTH] for n in SHAPES}
                for i, p, a in index]  # fmt: skip

    def load(self):
        with self.open() as f:
            return [{p: {n: g[p][n][:] for n in SHAPES} for p in PERSONS} for g in f.values()]


class Ours:
    def __init__(self, path, pipeline):
        self.path, self.pipeline = path, pipeline

    def open(self):
        with fx.set_options(codec_pipeline=self.pipeline):
            return fx.open_streams(self.path, chunks=None)

    def samples(self, which):
        ds = self.open()
        return [ds.face.isel(session=i, person=PERSONS.index(p)).values for i, p in which]

    def slice(self, i):
        return self.open().face.isel(session=i, person=0, frame=slice(100, 200)).values

    @cached_property
    def kept(self):
        return fx.to_torch(self.open(), LENGTH, variables=[*SHAPES])

    def windows(self, index):
        return [self.kept.read(2 * i + PERSONS.index(p), a, a + LENGTH) for i, p, a in index]

    def load(self):
        return self.open().load()


def size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6


def timed(function, *args):
    started = time.perf_counter()
    function(*args)
    return 1e3 * (time.perf_counter() - started)


def kept_open(ways, n, rounds):
    """One slice with everything open already."""
    f = ways["HDF5 of the scripts"].open()
    g = ways["HDF5 well made"].open()
    out = {"HDF5 of the scripts": [], "HDF5 well made": []}
    ours = {w: ways[w].open().face for w in ways if w.startswith("ours")}
    out |= {w: [] for w in ours}
    for _ in range(10 * rounds):
        for w, file in (("HDF5 of the scripts", f), ("HDF5 well made", g)):
            out[w].append(timed(lambda h: h[f"sample_{n // 2:03d}/expert/face"][100:200], file))
        for w, face in ours.items():
            out[w].append(timed(lambda x: x[n // 2, 0, 100:200].values, face))
    return out


def good_codec():
    """Blosc where hdf5plugin is installed, else the quick end of gzip."""
    try:
        import hdf5plugin
    except ImportError:
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    return dict(hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.SHUFFLE))


GZIP = {"compression": "gzip", "compression_opts": 4}
WRITERS = {
    "pickle": write_pickle,
    "HDF5 of the scripts": lambda p, data: write_hdf5(p, data, good=False, codec=GZIP),
    "HDF5 well made": lambda p, data: write_hdf5(p, data, good=True, codec=good_codec()),
    "ours": write_ours,
}


def main(gigabytes=2.0, rounds=3):
    per_sample = 2 * FRAMES * sum(int(np.prod(s)) for s in SHAPES.values()) * 4
    n = max(1, round(gigabytes * 1e9 / per_sample))
    print(f"{n} sessions of 2 people, {n * per_sample / 1e9:.2f} GB of float32", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = [{p: recording((i, j)) for j, p in enumerate(PERSONS)} for i in range(n)]
        paths = {name: root / f"{i}" for i, name in enumerate(WRITERS)}
        written = {n: timed(w, paths[n], data) / 1e3 for n, w in WRITERS.items()}
        openface = openface_sizes(root, data)
        check(paths, data)
        del data
        ways = {
            "pickle": Pickled(paths["pickle"]),
            "HDF5 of the scripts": Hdf5(paths["HDF5 of the scripts"]),
            "HDF5 well made": Hdf5(paths["HDF5 well made"]),
            "ours, zarr-python": Ours(paths["ours"], "zarr"),
            "ours, zarrs": Ours(paths["ours"], "zarrs"),
        }
        report(measure(ways, n, rounds), paths, written, openface)


def measure(ways, n, rounds):
    rng = np.random.default_rng(0)
    which = [(int(rng.integers(n)), PERSONS[int(rng.integers(2))]) for _ in range(10)]
    index = [(int(rng.integers(n)), PERSONS[int(rng.integers(2))],
              int(rng.integers(FRAMES - LENGTH))) for _ in range(100)]  # fmt: skip
    tasks = {
        "open": lambda w: w.open(),
        "10 samples": lambda w: w.samples(which),
        "frames 100-200": lambda w: w.slice(n // 2),
        "100 windows": lambda w: w.windows(index),
        "full load": lambda w: w.load(),
    }
    times = {t: {w: [] for w in ways} for t in tasks}
    for _ in range(rounds):
        for task, run in tasks.items():
            for name, way in ways.items():
                once = name == "pickle" and task != "full load" and times[task][name]
                if not once:  # it reads everything, whatever is asked
                    times[task][name].append(timed(run, way))
    times["frames 100-200, kept open"] = kept_open(ways, n, rounds)
    times["100 windows, shuffled blocks"] = shuffled(ways, rounds)
    return {t: {w: statistics.median(v) for w, v in row.items()} for t, row in times.items()}


def shuffled(ways, rounds):
    out = {}
    for name in ("ours, zarr-python", "ours, zarrs"):
        out[name] = []
        for seed in range(rounds):
            ds = ways[name].open()
            blocks = fx.to_torch(
                ds, LENGTH, variables=[*SHAPES], shuffle=True, pool=7, seed=seed
            )
            started = time.perf_counter()
            for i, _ in enumerate(blocks):
                if i == 99:
                    break
            out[name].append(1e3 * (time.perf_counter() - started))
    return out


def openface_sizes(root, data):
    """MB of OpenFace's streams alone."""
    part = data[:10]  # they compress alike
    only = [
        {p: {n: x for n, x in own.items() if n != "vit"} for p, own in s.items()} for s in part
    ]
    scale = len(data) / len(part)
    out = {
        "float32": scale
        * sum(x.size * 4 for s in only for own in s.values() for x in own.values())
        / 1e6
    }
    for name in ("pickle", "HDF5 of the scripts", "HDF5 well made", "ours"):
        WRITERS[name](root / f"openface {name}", only)
        out[name] = scale * size(root / f"openface {name}")
    return out


def check(paths, data):
    """All formats hold the same float32 numbers."""
    ours = fx.open_streams(paths["ours"], chunks=None).isel(session=0, person=1)
    with h5py.File(paths["HDF5 of the scripts"]) as f:
        for name in SHAPES:
            np.testing.assert_array_equal(ours[name], data[0]["novice"][name].astype("f4"))
            np.testing.assert_array_equal(ours[name], f[f"sample_000/novice/{name}"][:])


def report(times, paths, written, openface):
    ways = list(next(iter(times.values())))
    print(f"\n{'ms':30}" + "".join(f"{w:>21}" for w in ways))
    for task, row in times.items():
        print(
            f"{task:30}"
            + "".join(f"{row[w]:21.1f}" if w in row else f"{'-':>21}" for w in ways)
        )
    print("\nours by zarrs, times faster than")
    for task, row in times.items():
        ratios = {w: row[w] / row["ours, zarrs"] for w in ways[:-1] if w in row}
        print(
            f"{task:30}"
            + "".join(f"{ratios[w]:20.2f}x" if w in ratios else f"{'-':>21}" for w in ways[:-1])
        )
    print("\nMB: " + ", ".join(f"{n} {size(p):.0f}" for n, p in paths.items()))
    print(
        "MB of OpenFace's streams alone: "
        + ", ".join(f"{n} {v:.1f}" for n, v in openface.items())
    )
    print("seconds to write: " + ", ".join(f"{n} {s:.1f}" for n, s in written.items()))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main(*(float(a) for a in sys.argv[1:2]), *(int(a) for a in sys.argv[2:3]))
