"""A few frames of a compressed chunk, without the rest of it: a tenth of the work.

Blosc compresses a chunk in blocks, each by itself, and tells in a header where each begins. A
few blocks with a header of their own are a Blosc buffer again, which its decoder reads. The
layout is that of c-blosc 1, ``README_CHUNK_FORMAT.rst``; all integers are little-endian.
"""

import math
import struct
from typing import Any

import numpy as np

from fhemb_xr import schema
from fhemb_xr.dask_internals import IndexingSupport, sync
from fhemb_xr.io.packed import regions
from fhemb_xr.io.packed.packing import MISSING, unpack
from fhemb_xr.io.packed.regions import Region
from fhemb_xr.typing import F32

_HEADER = struct.Struct("<4B3i")
_FORMAT, _COPIED, _IN_ONE_STREAM = 2, 0x02, 0x10
_CHECKSUM = 4
"""Bytes of the checksum after the chunk."""
_ABSENT = 2**64 - 1
"""Length of a chunk, in the index of a shard, that is not there."""


def part(chunk: bytes | memoryview, start: int, stop: int) -> bytes | None:
    """Bytes ``[start, stop)`` of what a Blosc buffer holds.

    None for a buffer of another kind: of another format, not compressed, or with blocks that
    are split in streams, whose number depends on more than the header.
    """
    from numcodecs import blosc

    if len(chunk) < _HEADER.size:
        return None
    version, codec, flags, width, n_bytes, size, n_stored = _HEADER.unpack_from(chunk)
    whole = (version, flags & (_COPIED | _IN_ONE_STREAM), n_stored)
    if whole != (_FORMAT, _IN_ONE_STREAM, len(chunk)) or size <= 0 or stop > n_bytes:
        return None
    begins = np.frombuffer(chunk, "<i4", -(-n_bytes // size), _HEADER.size)
    first, last = start // size, -(-stop // size)
    # threads write blocks in any order: one ends where the next one in the buffer begins
    stored = np.append(np.sort(begins), n_stored)
    ends = stored[np.searchsorted(stored, begins[first:last]) + 1]
    blocks = [chunk[a:b] for a, b in zip(begins[first:last].tolist(), ends, strict=True)]
    lengths = [_HEADER.size + 4 * len(blocks), *map(len, blocks)]
    held = min(last * size, n_bytes) - first * size
    places = np.cumsum(lengths)
    made = b"".join(
        [_HEADER.pack(version, codec, flags, width, held, min(size, held), int(places[-1])),
         places[:-1].astype("<i4").tobytes(), *blocks]
    )  # fmt: skip
    found: bytes = blosc.decompress(made)[start - first * size : stop - first * size]
    return found


class Temperatures:
    """A packed array that is read as float32 temperatures; of a few frames, their blocks alone.

    Parameters
    ----------
    array
        Zarr array of packed numbers, with any codecs and shards.
    """

    dtype = np.dtype(np.float32)
    support = IndexingSupport.OUTER

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)
        self._time = _time_of(array)

    def __getitem__(self, key: Any) -> F32:
        """Integers and slices; lists along one axis or more, each by itself.

        Peak memory: 2 bytes per sample of a chunk's stored form, and 6 bytes per sample that
        is asked for; where more than half a chunk is, 2 bytes per sample of the chunks.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if any(not isinstance(k, int | np.integer | slice | type(Ellipsis)) for k in keys):
            return unpack(np.asarray(self.array.oindex[keys]))
        spans, rest = regions.covered(keys, self.shape)
        if self._time is None or not self._is_short(spans[self._time]):
            back = any(isinstance(k, slice) and (k.step or 1) < 0 for k in keys)
            return unpack(self.array[spans][rest] if back else np.asarray(self.array[key]))
        out = np.empty([s.stop - s.start for s in spans], np.int16)
        chunks = self.array.chunks
        outer = [slice(s.start // c * c, -(-s.stop // c) * c)
                 for s, c in zip(spans, chunks, strict=True)]  # fmt: skip
        for chunk in regions.pieces(outer, chunks):
            both = [slice(max(s.start, c.start), min(s.stop, c.stop))
                    for s, c in zip(spans, chunk, strict=True)]  # fmt: skip
            place = tuple(slice(b.start - s.start, b.stop - s.start)
                          for b, s in zip(both, spans, strict=True))  # fmt: skip
            out[place] = self._frames(chunk, both)
        found: F32 = unpack(out)[rest]
        return found

    def _is_short(self, span: slice) -> bool:
        return bool(0 < 2 * (span.stop - span.start) <= self.array.chunks[self._time])

    def _frames(self, chunk: Region, both: list[slice]) -> Any:
        """The wanted part of one chunk; by zarr, where it is not as we know it."""
        assert self._time is not None
        sizes = self.array.chunks[self._time :]
        frame = 2 * math.prod(sizes[1:])
        when = both[self._time]
        start, stop = (k - chunk[self._time].start for k in (when.start, when.stop))
        stored = self._stored([c.start // n for c, n in
                               zip(chunk, self.array.chunks, strict=True)])  # fmt: skip
        found = None if stored is None else part(stored, start * frame, stop * frame)
        if found is None:
            return self.array[tuple(both)]
        within = [slice(b.start - c.start, b.stop - c.start)
                  for b, c in zip(both, chunk, strict=True)]  # fmt: skip
        shape = (*[1] * self._time, stop - start, *sizes[1:])
        frames = np.frombuffer(found, "<i2").reshape(shape)
        return frames[(*[slice(None)] * (self._time + 1), *within[self._time + 1 :])]

    def _stored(self, place: list[int]) -> memoryview | None:
        """The chunk as Blosc has made it; None where it is not there or damaged."""
        array = self.array
        per_shard = [s // c for s, c in
                     zip(array.shards or array.chunks, array.chunks, strict=True)]  # fmt: skip
        key = tuple(p // n for p, n in zip(place, per_shard, strict=True))
        file = array.store_path / array.metadata.encode_chunk_key(key)
        if not array.shards:
            return _checked(file)
        from zarr.abc.store import RangeByteRequest, SuffixByteRequest

        index = _checked(file, SuffixByteRequest(16 * math.prod(per_shard) + _CHECKSUM))
        if index is None:
            return None
        inner = tuple(p % n for p, n in zip(place, per_shard, strict=True))
        offset, length = np.frombuffer(index, "<u8").reshape(*per_shard, 2)[inner].tolist()
        if length == _ABSENT:
            return None
        return _checked(file, RangeByteRequest(offset, offset + length))


def _checked(file: Any, which: Any = None) -> memoryview | None:
    """Bytes of a file without the checksum at their end; None if it is another one."""
    import google_crc32c
    from zarr.buffer import cpu

    found = sync(file.get(cpu.buffer_prototype, which))
    if found is None:
        return None
    data = found.as_numpy_array()
    told = google_crc32c.value(data[:-_CHECKSUM]).to_bytes(_CHECKSUM, "little")
    return memoryview(data[:-_CHECKSUM]) if data[-_CHECKSUM:].tobytes() == told else None


def _time_of(array: Any) -> int | None:
    """The axis of time, if the chunks are those that our encoding makes; None otherwise."""
    meta = array.metadata.to_dict()
    names = [str(n) for n in meta.get("dimension_names") or ()]
    if array.dtype != np.int16 or array.fill_value != MISSING or schema.TIME not in names:
        return None
    codecs = list(meta["codecs"])
    if codecs[0]["name"] == "sharding_indexed":
        sharding = codecs[0]["configuration"]
        if len(codecs) > 1 or sharding["index_location"] != "end":
            return None
        if [c["name"] for c in sharding["index_codecs"]] != ["bytes", "crc32c"]:
            return None
        codecs = list(sharding["codecs"])
    time = names.index(schema.TIME)
    ours = [c["name"] for c in codecs] == ["bytes", "blosc", "crc32c"]
    little = ours and codecs[0]["configuration"]["endian"] == "little"
    return time if little and math.prod(array.chunks[:time]) == 1 else None
