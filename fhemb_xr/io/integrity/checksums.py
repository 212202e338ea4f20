"""Checking the bytes of chunk files without decompressing them.

A file is a chunk or a shard. A chunk ends in a crc32c of its bytes. A shard holds chunks, each
with its crc32c, and an index of their places, which ends in a crc32c too. These checksums show
whether a file holds the bytes that were written.

References
----------
- Zarr v3 sharding codec, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUM = 4  # bytes of a crc32c
_ABSENT = 2**64 - 1


@dataclass(frozen=True)
class Layout:
    """Number of chunks along each axis of a shard; None if the file is one chunk."""

    inside: tuple[int, ...] | None
    index_first: bool = False


def layout(metadata: dict[str, Any]) -> Layout | None:
    """Layout by an array's metadata; None if checksums do not cover all bytes."""
    codecs = metadata["codecs"]
    if [c["name"] for c in codecs] != ["sharding_indexed"]:
        return Layout(None) if codecs[-1]["name"] == "crc32c" else None
    sharding = codecs[0]["configuration"]
    if not sharding["codecs"][-1]["name"] == sharding["index_codecs"][-1]["name"] == "crc32c":
        return None
    if len(sharding["index_codecs"]) != 2:
        return None
    outer = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    inside = tuple(o // i for o, i in zip(outer, sharding["chunk_shape"], strict=True))
    return Layout(inside, sharding.get("index_location", "end") == "start")


def faults(data: bytes, how: Layout) -> list[tuple[tuple[int, ...] | None, str]]:
    """Faults of a file: place of the chunk in the file (None: the whole file), and reason."""
    if how.inside is None:
        why = _fault(np.frombuffer(data, np.uint8))
        return [] if why is None else [(None, why)]
    n = math.prod(how.inside)
    size = 16 * n + _SUM
    whole = np.frombuffer(data, np.uint8)
    index = whole[:size] if how.index_first else whole[-size:]
    if len(data) < size or (why := _fault(index)) is not None:
        return [(None, "its index is truncated or was changed")]
    places = np.frombuffer(index[:-_SUM].tobytes(), "<u8").reshape(n, 2)
    damaged: list[tuple[tuple[int, ...] | None, str]] = []
    for k, (offset, length) in enumerate(places.tolist()):
        if offset == _ABSENT:
            continue
        why = _fault(whole[offset : offset + length], length)
        if why is not None:
            place = tuple(int(i) for i in np.unravel_index(k, how.inside))
            damaged.append((place, why))
    return damaged


def _fault(chunk: NDArray[np.uint8], length: int | None = None) -> str | None:
    import google_crc32c  # takes arrays of NumPy, and no memoryview

    if len(chunk) < _SUM or len(chunk) != (length or len(chunk)):
        return f"it is truncated to {len(chunk)} bytes"
    wanted = int.from_bytes(chunk[-_SUM:].tobytes(), "little")
    now = google_crc32c.value(chunk[:-_SUM])
    return None if now == wanted else f"its checksum is {now:08x}, not {wanted:08x}"
