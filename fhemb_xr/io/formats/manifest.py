"""The manifest of a finished store: with it, losses and changes can be named.

Every chunk ends in its own checksum. Other files do not: a flipped bit in a ``scale_factor``
would silently move every temperature. So the attributes of a finished store hold

* the number of data files of each array,
* a map of these files, for arrays that lack some because those would hold nothing,
* a crc32c of every other file, including these attributes.
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
"""Attribute with the map of files of arrays that lack some: bits in C order, in hexadecimal."""
CHECKSUMS = "fhemb_crc32c"
"""Checksum of every file that holds no chunk; for ``zarr.json`` without its own checksum."""
MADE_OF = "fhemb_made_of"
"""What each chunk of an embedding was made of, see :mod:`..integrity.chunk_identity`."""
ROOT, LEDGER = "zarr.json", "ledger.jsonl"
"""Metadata file of a group or an array; ledger of an ingest, in the folder of the heatmap."""
PRIVATE = (encoding.STATUS, FILES, PRESENT, CHECKSUMS, MADE_OF)
"""Attributes that describe the store and not its contents."""


def seal(store: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that finish a store: ``changes`` and the manifest."""
    arrays = {f.name: document(f / ROOT) for f in _folders(store)}
    maps = {name: present(store / name, found) for name, found in arrays.items()}
    counts = {FILES: count_files(store), PRESENT: {n: m for n, m in maps.items() if m}}
    return (done := changes | counts) | {CHECKSUMS: checksums(store, done)}


def checksums(store: Path, changes: dict[str, Any]) -> dict[str, str]:
    """Checksum of each file that holds no chunk, after ``changes`` to the attributes."""
    found = {str(p.relative_to(store)): crc32c(p.read_bytes()) for p in beside(store)}
    root = document(store / ROOT)
    root["attributes"] = root.get("attributes", {}) | changes | {CHECKSUMS: found}
    return found | {ROOT: own_checksum(root)}


def own_checksum(root: dict[str, Any]) -> str:
    """Checksum of the content of ``zarr.json`` without itself; its formatting is ignored."""
    attrs = dict(root.get("attributes", {}))
    attrs[CHECKSUMS] = {k: v for k, v in attrs.get(CHECKSUMS, {}).items() if k != ROOT}
    return crc32c(json.dumps(root | {"attributes": attrs}, sort_keys=True).encode())


def beside(store: Path) -> Iterator[Path]:
    """Files in the arrays' folders that hold no chunk: metadata and the ledger of an ingest."""
    for folder in _folders(store):
        yield from sorted(
            p for p in folder.iterdir() if p.is_file() and p.suffix in (".json", ".jsonl")
        )


def crc32c(data: bytes | memoryview) -> str:
    """The crc32c of ``data``, in hexadecimal."""
    import google_crc32c

    return f"{google_crc32c.value(data):08x}"


def count_files(store: Path) -> dict[str, int]:
    """Number of data files of each array of a local store."""
    return {folder.name: _count(str(folder / "c")) for folder in _folders(store)}


def present(folder: Path, metadata: dict[str, Any]) -> str | None:
    """The map of the files of an array; None if no file is missing."""
    shape = grid(metadata)
    if not shape:
        return None
    exists = np.zeros(shape, bool)
    for index in np.ndindex(shape):
        exists[index] = os.path.isfile(folder / "c" / "/".join(map(str, index)))
    return None if exists.all() else np.packbits(exists).tobytes().hex()


def expected(text: str | None, shape: tuple[int, ...]) -> Any:
    """The inverse of :func:`present`: True for every file that must exist."""
    if text is None:
        return np.ones(shape, bool)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))
    return bits[: int(np.prod(shape))].reshape(shape).astype(bool)


def grid(metadata: dict[str, Any]) -> tuple[int, ...]:
    """Number of files along each axis of an array."""
    unit = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(-(-n // c) for n, c in zip(metadata["shape"], unit, strict=True))


def document(path: Path) -> dict[str, Any]:
    """The content of a ``zarr.json``."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _folders(store: Path) -> list[Path]:
    return [f for f in sorted(store.iterdir()) if (f / ROOT).is_file()]


def _count(path: str) -> int:
    """Number of files of a chunk grid, without the ``.partial`` files of killed writers."""
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
    """Names of the arrays whose files must all exist, by the attributes of a finished store."""
    names = set(attrs.get(FILES, {}))
    if PRESENT in attrs:
        return frozenset(names - set(attrs[PRESENT]))
    recording = attrs.get("fhemb_kind") == "recording"
    return frozenset() if recording else frozenset(names)
