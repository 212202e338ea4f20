"""The bytes of chunk files, checked as they lie on the disk.

A file is a chunk, which ends in a crc32c of itself, or a shard: chunks one after the other,
each with its own, and an index of where they are that ends in one too. So the sums tell whether
a file is what was written, and nothing needs to be decompressed.

References
----------
Zarr v3 sharding codec, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed
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
    """How the chunks lie in a file: how many along each axis of a shard; none: one chunk."""

    inside: tuple[int, ...] | None
    index_first: bool = False


def layout(metadata: dict[str, Any]) -> Layout | None:
    """From an array's metadata; None where not all its bytes are under a checksum."""
    codecs = metadata["codecs"]
    if [c["name"] for c in codecs] != ["sharding_indexed"]:
        return Layout(None) if codecs[-1]["name"] == "crc32c" else None
    how = codecs[0]["configuration"]
    if not how["codecs"][-1]["name"] == how["index_codecs"][-1]["name"] == "crc32c":
        return None
    if len(how["index_codecs"]) != 2:
        return None
    outer = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    inside = tuple(o // i for o, i in zip(outer, how["chunk_shape"], strict=True))
    return Layout(inside, how.get("index_location", "end") == "start")


def faults(data: bytes, how: Layout) -> list[tuple[tuple[int, ...] | None, str]]:
    """What is wrong with a file: place of the chunk inside (None: the whole file), and why."""
    if how.inside is None:
        why = _fault(np.frombuffer(data, np.uint8))
        return [] if why is None else [(None, why)]
    n = math.prod(how.inside)
    size = 16 * n + _SUM
    whole = np.frombuffer(data, np.uint8)
    index = whole[:size] if how.index_first else whole[-size:]
    if len(data) < size or (why := _fault(index)) is not None:
        return [(None, "its index is cut short or was changed")]
    places = np.frombuffer(index[:-_SUM].tobytes(), "<u8").reshape(n, 2)
    found: list[tuple[tuple[int, ...] | None, str]] = []
    for k, (offset, length) in enumerate(places.tolist()):
        if offset == _ABSENT:
            continue
        why = _fault(whole[offset : offset + length], length)
        if why is not None:
            at = tuple(int(i) for i in np.unravel_index(k, how.inside))
            found.append((at, why))
    return found


def _fault(chunk: NDArray[np.uint8], length: int | None = None) -> str | None:
    import google_crc32c  # takes arrays of NumPy, and no memoryview

    if len(chunk) < _SUM or len(chunk) != (length or len(chunk)):
        return f"it is cut short, to {len(chunk)} bytes"
    wanted = int.from_bytes(chunk[-_SUM:].tobytes(), "little")
    now = google_crc32c.value(chunk[:-_SUM])
    return None if now == wanted else f"its checksum is {now:08x}, not {wanted:08x}"
