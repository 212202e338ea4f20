"""Files of cameras as a source of ingest, next to their own libraries.

``python benchmarks/bench_files.py`` writes films of 240 x 320 pixels and prints frames/s.
*library* decodes all frames with the format's own library, to °C in float32 as a user needs
them. *source* is the reader of ingest on the same frames, with °C and places in a shard.
*ratio* is source / library; the goal is 0.7. Figures are medians of 5 alternating runs.

On 2 cores of a virtual machine, with other work beside (frames/s)::

    source              library   source  ratio
    TIFF stack             1409     1346   0.96
    TIFF stack, LZW         378      354   0.94
    folder of TIFF          710      681   0.96
    FLIR JPEG                24      496  20.64
    FLIR JPEG of PNG         21      172   8.31
    FLIR .seq                30      687  22.87

A stack in one piece is read in one piece, without a look at every page, and becomes °C about
one frame at a time, so that its float64 stays in the second-level cache.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import flyr
import numpy as np
import tifffile

from fhemb_xr.io.encoding import LIMITS
from ingest.hints import Hints
from ingest.shards import Block
from ingest.stacks import StackSource

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import flir  # the smallest valid files of FLIR

N, SHAPE = 150, (240, 320)


def celsius(centikelvin: Any) -> Any:
    return (centikelvin * 0.01 - 273.15).astype("f4")


def tiff(folder: Path, counts: Any, **how: Any) -> tuple[Path, Any]:
    path = folder / "a.tif"
    tifffile.imwrite(path, counts, photometric="minisblack", **how)

    def library() -> None:
        with tifffile.TiffFile(path) as file:
            for page in file.pages:
                celsius(page.asarray())

    return path, library


def frames(folder: Path, counts: Any) -> tuple[Path, Any]:
    path = folder / "a"
    path.mkdir()
    for i, frame in enumerate(counts):
        tifffile.imwrite(path / f"f{i}.tif", frame)
    files = [path / f"f{i}.tif" for i in range(len(counts))]
    return path, lambda: [celsius(tifffile.imread(f)) for f in files]


def jpeg(folder: Path, counts: Any, form: str) -> tuple[Path, Any]:
    path = folder / "a"
    path.mkdir()
    for i, frame in enumerate(counts):
        (path / f"f{i}.jpg").write_bytes(flir.jpeg(frame, form=form))
    files = [str(path / f"f{i}.jpg") for i in range(len(counts))]
    return path, lambda: [flyr.unpack(f).celsius for f in files]


def sequence(folder: Path, counts: Any) -> tuple[Path, Any]:
    """A ``.seq`` by the frames of flyr, which opens pictures only."""
    _, library = jpeg(folder, counts, "plain")
    path = folder / "a.seq"
    path.write_bytes(b"".join(flir.fff(c, moment_s=1e9 + i) for i, c in enumerate(counts)))
    return path, library


def rate(work: Any, n: int) -> float:
    started = time.perf_counter()
    work()
    return n / (time.perf_counter() - started)


def reading(path: Path, units: str | None) -> Any:
    source = StackSource(path, hints=Hints(units=units, rate_hz=1))
    session, who = source.found().sessions[0], source.found().subjects[0]

    def read() -> None:
        heat = np.empty((session.stop - session.start, *SHAPE), np.float32)
        with source.readers(1) as (reader,):
            block = Block(session.name, who, session.start, heat, session.stop)
            reader.read(block, lambda run, cell: block.place(run, cell, lambda x: x, LIMITS))
        assert block.counts.faces == len(heat)

    return read


def main() -> None:
    counts = np.random.default_rng(0).integers(18000, 20500, (N, *SHAPE)).astype("u2")
    centikelvin = counts + 12000
    cases = {
        "TIFF stack": lambda f: (*tiff(f, centikelvin), "cK", N),
        "TIFF stack, LZW": lambda f: (*tiff(f, centikelvin, compression="lzw"), "cK", N),
        "folder of TIFF": lambda f: (*frames(f, centikelvin), "cK", N),
        "FLIR JPEG": lambda f: (*jpeg(f, counts[:20], "plain"), None, 20),
        "FLIR JPEG of PNG": lambda f: (*jpeg(f, counts[:20], "png"), None, 20),
        "FLIR .seq": lambda f: (*sequence(f, counts[:20]), None, 20),
    }
    print(f"{'source':18} {'library':>8} {'source':>8} {'ratio':>6}   frames/s")
    for name, make in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            path, library, units, n = make(Path(folder))
            read = reading(path, units)
            pairs = [(rate(library, n), rate(read, n)) for _ in range(5)]
            theirs, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
            print(f"{name:18} {theirs:8.0f} {ours:8.0f} {ours / theirs:6.2f}")


if __name__ == "__main__":
    main()
