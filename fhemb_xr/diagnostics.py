"""What is installed, and what about it could go wrong."""

import functools
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fhemb_xr.cluster import ALLOCATOR, connected, leftovers
from fhemb_xr.errors import ClusterError

Check = tuple[str, str, str]

_GROUPS = {
    "core": ("xarray", "dask", "distributed", "zarr", "numpy", "scipy", "numba", "PyWavelets"),
    "ingest": ("psycopg", "sshtunnel", "paramiko", "pydantic-settings"),
    "plot": ("holoviews", "bokeh", "matplotlib"),
    "learn": ("scikit-learn", "dask-ml", "tslearn", "torch", "transformers"),
    "streams": ("h5netcdf", "h5py", "av"),
    "fast": ("zarrs",),
    "camera": ("tifffile", "imagecodecs", "flyr", "cptv"),
    "physio": ("pyedflib", "wfdb", "bioread", "sleepecg"),
    "mne": ("mne",),
    "sound": ("soundfile",),
    "track": ("tensorboard", "pydantic"),
    "versions": ("icechunk",),
}


def versions() -> dict[str, str]:
    """Versions of Python, of this library and of what it uses; no path, host or user."""
    names = ["fhemb_xr", *(n for group in _GROUPS.values() for n in group)]
    return {"python": platform.python_version()} | {n: _version(n) for n in names}


def show_versions() -> None:
    """Print what is installed, for a bug report; it holds no path, host or user name.

    Examples
    --------
    >>> import fhemb_xr as fx
    >>> fx.show_versions()  # doctest: +ELLIPSIS
    python...
    """
    for name, version in versions().items():
        sys.stdout.write(f"{name:18}{version}\n")


def checks() -> Iterator[Check]:
    """Name, state (``OK WARN FAIL SKIP``) and finding of each check of this machine."""
    yield "python", "OK", platform.python_version()
    for group, names in _GROUPS.items():
        found = {n: _version(n) for n in names}
        absent = [n for n, v in found.items() if v == "-"]
        there = ", ".join(f"{n} {v}" for n, v in found.items() if v != "-")
        state = "OK" if not absent else ("FAIL" if group == "core" else "SKIP")
        yield group, state, there + (f"; not installed: {', '.join(absent)}" if absent else "")
    yield _openmp()
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    yield (
        "scratch disk",
        "OK" if free > 5 else "WARN",
        f"{free:.0f} GiB free for temporary files",
    )
    yield _compiled_code()
    yield _allocator()
    left = len(leftovers())
    text = f"{left} folders of killed workers, maybe of faces: the next cluster removes them"
    yield "spilled data", "WARN" if left else "OK", text if left else "none is left"


def _compiled_code() -> Check:
    """Where compiled kernels are kept, and how many there are."""
    from fhemb_xr.kernels import _jit

    folder = _jit.cache_folder()
    if folder is None:
        text = f"not kept: each process compiles; {_jit.SWITCH} names a private folder"
        return "compiled code", "WARN", text
    kept = [p.stat().st_size for p in folder.rglob("*.nbc")]
    place = str(folder).replace(str(Path.home()), "~", 1)
    if not kept:
        return "compiled code", "OK", f"none yet in {place}: fhemb doctor --warm fills it"
    return "compiled code", "OK", f"{len(kept)} kernels, {sum(kept) / 2**20:.0f} MiB in {place}"


def _allocator() -> Check:
    """Whether the workers of the Dask cluster in use keep their memory (see cluster.py)."""
    name = "allocator of workers"

    def setting(names: list[str]) -> list[str]:
        import os

        return [n for n in names if int(os.environ.get(n, "0") or 0) < 2**25]

    try:
        with connected(None) as client:
            if client is None:
                return name, "SKIP", "no Dask cluster is named (DASK_SCHEDULER_ADDRESS)"
            lack = {w: n for w, n in client.run(setting, [*ALLOCATOR]).items() if n}
    except ClusterError as error:
        return name, "FAIL", str(error)
    if not lack:
        return name, "OK", "all workers keep freed memory"
    worker, names = next(iter(lack.items()))
    text = f"{len(lack)} workers, {worker} the first, lack {' and '.join(names)}"
    return name, "WARN", f"{text}: they may take up to 1.5 times as long (docs/cluster.md)"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)  # pywt.__version__ is wrong in 1.9.0
    except importlib.metadata.PackageNotFoundError:
        return "-"


_RUNTIMES = """
import contextlib, importlib
for name in ("numpy", "scipy.linalg", "numba", "sklearn", "torch"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
import threadpoolctl
found = threadpoolctl.threadpool_info()
print(*sorted({i["prefix"] for i in found if i["user_api"] == "openmp"}))
"""


@functools.cache  # seconds of imports, always with the same answer
def _openmp() -> Check:
    """Two OpenMP runtimes in one process can crash it: looked for in a process of its own."""
    if _version("threadpoolctl") == "-":
        return (
            "OpenMP",
            "SKIP",
            "threadpoolctl is not installed (it comes with the extra learn)",
        )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUNTIMES],
        capture_output=True,
        text=True,
        check=False,
    )
    found = done.stdout.split()
    if len(found) > 1:
        text = f"{' and '.join(found)} are loaded together: keep torch in its own environment"
        return "OpenMP", "WARN", text
    return "OpenMP", "OK", f"one runtime: {found[0]}" if found else "no runtime is loaded"
