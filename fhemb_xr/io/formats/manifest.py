"""What a finished store consists of, written into it, so that a loss or a change has a name.

Chunks end in checksums of their own. What lies beside them does not: a flipped bit in a
``scale_factor`` would move every temperature without a word. So the attributes of a finished
store hold the number of data files of each array, which of them there are where some have
nothing to hold, and a crc32c of every other file, of themselves too.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fhemb_xr.io import encoding

FILES = "fhemb_files"
"""Attribute with the number of data files of each array when the store was complete."""
PRESENT = "fhemb_present"
"""Which files those are, for arrays that lack some: bits in C order, in hexadecimal."""
CHECKSUMS = "fhemb_crc32c"
"""Checksum of every file that holds no chunk; of ``zarr.json`` less its own checksum."""
ROOT, LEDGER = "zarr.json", "ledger.jsonl"
"""Metadata of a group or an array; what an ingest has read, beside the heatmap's."""
PRIVATE = (encoding.STATUS, FILES, PRESENT, CHECKSUMS)
"""Attributes of the store and not of what it holds."""


def seal(store: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """``changes`` of a store's attributes that finish it, and what it then consists of."""
    arrays = {f.name: document(f / ROOT) for f in _folders(store)}
    maps = {name: present(store / name, found) for name, found in arrays.items()}
    counts = {FILES: count_files(store), PRESENT: {n: m for n, m in maps.items() if m}}
    return (done := changes | counts) | {CHECKSUMS: checksums(store, done)}


def checksums(store: Path, changes: dict[str, Any]) -> dict[str, str]:
    """Of each file that holds no chunk, once ``changes`` are among the store's attributes."""
    found = {str(p.relative_to(store)): crc32c(p.read_bytes()) for p in beside(store)}
    root = document(store / ROOT)
    root["attributes"] = root.get("attributes", {}) | changes | {CHECKSUMS: found}
    return found | {ROOT: own_checksum(root)}


def own_checksum(root: dict[str, Any]) -> str:
    """Of the content of the group's ``zarr.json`` less itself, however it is laid out."""
    attrs = dict(root.get("attributes", {}))
    attrs[CHECKSUMS] = {k: v for k, v in attrs.get(CHECKSUMS, {}).items() if k != ROOT}
    return crc32c(json.dumps(root | {"attributes": attrs}, sort_keys=True).encode())


def beside(store: Path) -> Iterator[Path]:
    """Files of the arrays that hold no chunk: metadata, and the ledger of an ingest."""
    for folder in _folders(store):
        yield from sorted(
            p for p in folder.iterdir() if p.is_file() and p.suffix in (".json", ".jsonl")
        )


def crc32c(data: bytes | memoryview) -> str:
    """Checksum in hexadecimal."""
    import google_crc32c

    return f"{google_crc32c.value(data):08x}"


def count_files(store: Path) -> dict[str, int]:
    """Data files of each array of a local store."""
    return {folder.name: _count(str(folder / "c")) for folder in _folders(store)}


def present(folder: Path, metadata: dict[str, Any]) -> str | None:
    """The map of the files of an array; None where all of them are there."""
    shape = grid(metadata)
    if not shape:
        return None
    there = np.zeros(shape, bool)
    for index in np.ndindex(shape):
        there[index] = os.path.isfile(folder / "c" / "/".join(map(str, index)))
    return None if there.all() else np.packbits(there).tobytes().hex()


def expected(text: str | None, shape: tuple[int, ...]) -> Any:
    """The inverse of :func:`present`: True where a file must be."""
    if text is None:
        return np.ones(shape, bool)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    return bits[: int(np.prod(shape))].reshape(shape).astype(bool)


def grid(metadata: dict[str, Any]) -> tuple[int, ...]:
    """Numbers of files along the axes of an array."""
    unit = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(-(-n // c) for n, c in zip(metadata["shape"], unit, strict=True))


def document(path: Path) -> dict[str, Any]:
    """The content of a ``zarr.json``."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _folders(store: Path) -> list[Path]:
    return [f for f in sorted(store.iterdir()) if (f / ROOT).is_file()]


def _count(path: str) -> int:
    """Files of a chunk grid; not what killed writers left, which zarr calls ``.partial``."""
    if os.path.isfile(path):
        return 1  # the only chunk of a single number
    if not os.path.isdir(path):
        return 0
    n = 0
    with os.scandir(path) as entries:
        for entry in entries:
            n += _count(entry.path) if entry.is_dir() else entry.name.isdigit()
    return n


def whole(attrs: dict[str, Any]) -> frozenset[str]:
    """Arrays of which every file must be there, by the attributes of a finished store."""
    names = set(attrs.get(FILES, {}))
    if PRESENT in attrs:
        return frozenset(names - set(attrs[PRESENT]))
    recording = attrs.get("fhemb_kind") == "recording"
    return frozenset() if recording else frozenset(names)
