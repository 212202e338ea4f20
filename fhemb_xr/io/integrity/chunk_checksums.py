"""The checksums at the ends of stored chunks, read without the chunks.

The last codec of every array is crc32c, so the last four bytes of a chunk tell its content.
A shard ends with an index: offset and length of each chunk. A few small reads of a file
therefore tell which of its chunks have changed.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fhemb_xr.io.local import atomic_files

_END = 4
"""Bytes of a crc32c."""
_ABSENT = 2**64 - 1
"""Offset and length, in the index of a shard, of a chunk that is not there."""


class Checksums:
    """Checksums of the chunks of one local array.

    Parameters
    ----------
    folder
        Folder of the array.
    array
        The open Zarr array.
    """

    def __init__(self, folder: Path, array: Any) -> None:
        self.folder, self.array = folder, array
        self.chunk = array.chunks
        self.shard = array.shards or array.chunks
        self._shards: dict[tuple[int, ...], dict[tuple[int, ...], bytes]] = {}

    @classmethod
    def of(cls, array: Any) -> "Checksums | None":
        """Those of an array; None if it is not in a folder, or its chunks end otherwise."""
        root = atomic_files.local_path(array.store)
        ends = [type(c).__name__ for c in array.compressors]
        if root is None or not ends or ends[-1] != "Crc32cCodec":
            return None
        if array.shards and not _has_index_at_end(array.metadata.to_dict()):
            return None
        return cls(root / array.path, array)

    def under(self, region: Sequence[slice] | None) -> bytes:
        """Place, length and checksum of each chunk that a region touches; None: all of them."""
        region = region or (slice(None),) * len(self.chunk)
        touched = [
            range((s.start or 0) // c, max(-(-(n if s.stop is None else s.stop) // c), 1))
            for s, c, n in zip(region, self.chunk, self.array.shape, strict=True)
        ]
        per_shard = [s // c for s, c in zip(self.shard, self.chunk, strict=True)]
        out = b""
        for place in product(*touched):
            shard = tuple(p // n for p, n in zip(place, per_shard, strict=True))
            inner = tuple(p % n for p, n in zip(place, per_shard, strict=True))
            out += repr(place).encode() + self._ends(shard).get(inner, b"absent")
        return out

    def is_unchanged(self) -> bool:
        """Whether the store is still the one that was opened."""
        require = getattr(self.array.store, "require_files", None)
        if require is None:
            return True
        try:
            require(())
        except OSError:
            return False
        return True

    def _ends(self, shard: tuple[int, ...]) -> dict[tuple[int, ...], bytes]:
        """Length and checksum of the chunks of one file."""
        if shard not in self._shards:
            self._shards[shard] = self._read(shard)
        return self._shards[shard]

    def _read(self, shard: tuple[int, ...]) -> dict[tuple[int, ...], bytes]:
        path = self.folder / self.array.metadata.encode_chunk_key(shard)
        try:
            with path.open("rb", buffering=0) as file:
                if not self.array.shards:
                    size = path.stat().st_size
                    return {(0,) * len(shard): _end(file, 0, size)}
                return self._of_index(file, path.stat().st_size)
        except FileNotFoundError:
            return {}

    def _of_index(self, file: BinaryIO, size: int) -> dict[tuple[int, ...], bytes]:
        grid = tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))
        n_bytes = 16 * int(np.prod(grid))
        file.seek(size - n_bytes - _END)
        index = np.frombuffer(file.read(n_bytes), "<u8").reshape(*grid, 2)
        return {
            where: _end(file, int(index[where][0]), int(index[where][1]))
            for where in np.ndindex(grid)
            if index[where][0] != _ABSENT
        }


def _end(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    file.seek(max(offset + n_bytes - _END, 0))
    return n_bytes.to_bytes(8, "little") + file.read(_END)


def _has_index_at_end(metadata: dict[str, Any]) -> bool:
    """Whether the array is sharded as zarr does it by default: little-endian index, crc32c."""
    sharding = metadata["codecs"][0]["configuration"]
    names = [codec["name"] for codec in sharding["index_codecs"]]
    return sharding["index_location"] == "end" and names == ["bytes", "crc32c"]
