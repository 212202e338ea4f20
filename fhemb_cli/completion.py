"""What TAB offers: stores, names of choices, features and people; nothing heavy is imported.

The names of choices are written down here, because their tables import xarray; a test compares.
"""

import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

METRICS = (
    "dtw", "fastdtw", "soft_dtw", "soft_dtw_divergence", "euclidean", "correlation",
    "max_lagged_correlation", "dcor",
)  # fmt: skip
LOCAL = (
    "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "canberra",
    "braycurtis", "cosine", "correlation", "hamming", "jaccard", "mahalanobis",
)  # fmt: skip
NORMALIZATIONS = ("none", "zscore", "meanvar", "minmax", "frame")
TRANSFORMS = ("dwt", "modwt")
GAPS = ("fill", "split", "raise", "propagate")
CORRECTIONS = ("none", "miller_madow", "grassberger")
STATISTICS = ("max", "min", "mean", "variance", "std", "median", "skew", "kurtosis", "entropy")
FAMILIES = ("p5:p95", "bh0:bh6", "pc0:pc4")
METHODS = ("average", "complete", "single", "ward", "weighted", "kmedoids", "spectral")

Offer = Callable[[str], list[str]]


def choices(names: Iterable[str]) -> Offer:
    """Names that begin as what is typed."""

    def offer(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return offer


def stores(incomplete: str) -> list[str]:
    """Stores whose path begins as what is typed, also those one folder down."""
    head = incomplete[: incomplete.rfind("/") + 1]
    found = []
    for path in _folders(Path(head or ".")):
        inside = [path] if _is_store(path) else [p for p in _folders(path) if _is_store(p)]
        for store in inside:
            name = path.name if store == path else f"{path.name}/{store.name}"
            if f"{head}{name}".startswith(incomplete):
                found.append(f"{head}{name}")
    return found


def features(ctx: typer.Context, incomplete: str) -> list[str]:
    """Features by name: those of the embedding that was typed before, or all families."""
    store = _first_store(ctx)
    document = _document(store / "embedding" / "zarr.json") if store else {}
    spec = document.get("attributes", {}).get("fhemb_spec")
    known = json.loads(spec)["names"] if spec else [*STATISTICS, *FAMILIES]
    return _listed(known, incomplete)


def people(ctx: typer.Context, incomplete: str) -> list[str]:
    """People of the store that was typed before."""
    store = _first_store(ctx)
    return _listed(map(str, _labels(store / "subject")), incomplete) if store else []


def _first_store(ctx: typer.Context) -> Path | None:
    """The first argument; an option without its value leaves it among those not yet read."""
    typed = [*filter(None, map(ctx.params.get, ("recording", "embedding"))), *ctx.args]
    return Path(typed[0]) if typed else None


def _listed(known: Iterable[str], incomplete: str) -> list[str]:
    """Entries for the last place of a list separated by commas."""
    head = incomplete[: incomplete.rfind(",") + 1]
    had = head.split(",")
    return [f"{head}{n}" for n in known if n not in had and f"{head}{n}".startswith(incomplete)]


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    except OSError:
        return []


def _is_store(folder: Path) -> bool:
    return (folder / "zarr.json").is_file()


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _labels(array: Path) -> list[Any]:
    """Labels of a small coordinate; none where they are stored in another way than ours."""
    meta = _document(array / "zarr.json")
    try:
        (n,) = meta["shape"]
        kinds = [codec["name"] for codec in meta["codecs"]]
        data = (array / "c" / "0").read_bytes()
        if kinds[0] == "vlen-utf8":
            return _texts(data, n)
        if "blosc" in kinds:
            from numcodecs import blosc

            data = blosc.decompress(data[:-4] if kinds[-1] == "crc32c" else data)
        return list(struct.unpack_from(f"<{n}q", data)) if meta["data_type"] == "int64" else []
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, struct.error):
        return []


def _texts(data: bytes, n: int) -> list[str]:
    out, at = [], 4  # after the number of texts
    for _ in range(n):
        (length,) = struct.unpack_from("<I", data, at)
        out.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return out
