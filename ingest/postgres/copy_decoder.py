"""Decoding frames from the binary COPY format, as numpy views of runs of equal shape.

PostgreSQL sends one CopyData message per row. Rows of equal length and equal head (all bytes
but those of the clock and the pixels) form a run. Their bytes are joined once and seen as a
strided big-endian view. Each array cell has its own head, which is compared for every row. A
shape that changes from frame to frame only makes runs shorter.

Faults of a row are counted, in the ledger and the summary, and never guessed:

==================================== ============================== ============ ==========
found                                in the store                   counted as   ``strict``
==================================== ============================== ============ ==========
no row                               missing frame, height 0        missing      passes
NULL cell, no face                   missing frame, height 0        null_cells   passes
empty or 0-dimensional array         missing frame, height 0        empty_cells  refuses
another rank; bytes not of the shape missing frame, height 0        misshapen    refuses
element NULL                         NaN pixel                      null_pixels  passes
element NaN                          NaN pixel, the background      --           passes
infinite, below -250 or above 400 °C NaN pixel                      out_of_range refuses
rows of one frame, repeated          the smallest by its bytes      duplicates   refuses
rows in any order                    placed by their clock          --           passes
array of another type of element     SourceError: not one column    --           refuses
frame larger than the grid           SourceError, naming it         --           refuses
==================================== ============================== ============ ==========

Wire format: PostgreSQL manual, *COPY*, "Binary Format"; ``array_send`` in ``arrayfuncs.c``.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SourceError
from ingest.shards import Cell, Counts, Run

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
TRAILER = b"\xff\xff"
BATCH_BYTES = 2**21  # a batch, its float32 and its packed form fit the second-level cache
PACKED_AT = 34  # offset of the bytes of a frame, after the clock and two sides
_CLOCK = slice(6, 14)  # an int8, after the number of fields and the length of the first field

Message = bytes | bytearray | memoryview


ARRAYS = {
    700: Cell("array", np.dtype(">f4"), 700),
    701: Cell("array", np.dtype(">f8"), 701),
    21: Cell("array", np.dtype(">i2"), 21),
    23: Cell("array", np.dtype(">i4"), 23),
}
"""Cells by the OID of an array's elements: real, double precision, smallint, integer."""


@dataclass(frozen=True)
class _Head:
    """Offset and shape of the elements of a row; or the reason why there are none."""

    start: int
    dims: tuple[int, ...] = ()
    why: str = ""
    nulls: bool = False


def rows(messages: Iterable[Message]) -> Iterator[Message]:
    """Rows of a binary COPY, without signature, header and trailer.

    Raises
    ------
    SourceError
        The stream is no binary COPY, or ends before its trailer.
    """
    stream = iter(messages)
    first = bytes(next(stream, b""))
    if not first.startswith(SIGNATURE):
        raise SourceError(f"the server sent no binary COPY: it starts with {first[:11]!r}")
    skip = 19 + int.from_bytes(first[15:19], "big")
    message: Message | None = first[skip:] or next(stream, None)
    while message is not None and bytes(message[:2]) != TRAILER:
        yield message
        message = next(stream, None)
    for _ in stream:  # read to the end, otherwise the connection stays busy
        pass
    if message is None:
        raise SourceError("the COPY ended before its trailer: the connection was lost")


def distinct(messages: Iterable[Message], counts: Counts) -> Iterator[Message]:
    """One row for each clock value; rows and repetitions are counted."""
    kept: Message | None = None
    clock = b""
    for message in messages:
        counts.rows += 1
        now = bytes(message[_CLOCK])
        if kept is not None and now == clock:
            counts.duplicates += 1
            kept = min(bytes(kept), bytes(message))
            continue
        if kept is not None:
            yield kept
        kept, clock = message, now
    if kept is not None:
        yield kept


def runs(messages: Iterable[Message], cell: Cell, batch: int = BATCH_BYTES) -> Iterator[Run]:
    """Group rows by shape, batch by batch.

    Notes
    -----
    Memory: 3 × ``batch`` bytes, for any number of rows.
    """
    group: dict[int, list[Message]] = {}
    size = 0
    for message in messages:
        group.setdefault(len(message), []).append(message)
        size += len(message)
        if size >= batch:
            yield from _batch(group, cell)
            group, size = {}, 0
    yield from _batch(group, cell)


def _batch(group: dict[int, list[Message]], cell: Cell) -> Iterator[Run]:
    for length, messages in group.items():
        table = np.frombuffer(b"".join(messages), dtype=np.uint8).reshape(-1, length)
        yield from _same_length(table, cell)


def _same_length(table: NDArray[np.uint8], cell: Cell) -> Iterator[Run]:
    while len(table):
        head = _parse(table[0].tobytes(), cell)
        alike = np.ones(len(table), dtype=bool)
        if len(table) > 1:  # compare the heads: rows of equal length may differ in shape
            for part in (slice(0, _CLOCK.start), slice(_CLOCK.stop, head.start)):
                alike &= (table[:, part] == table[0, part]).all(axis=1)
        same = table if alike.all() else table[alike]
        yield from _decode(same, head, cell)
        table = table[~alike]


def _decode(table: NDArray[np.uint8], head: _Head, cell: Cell) -> Iterator[Run]:
    clock = table[:, _CLOCK].copy().view(">i8")[:, 0].astype(np.int64)
    if head.why:
        yield Run(clock, None, head.why)
    elif head.nulls:
        for i, row in enumerate(table):
            values, nulls = _with_nulls(row[head.start :].tobytes(), head.dims, cell)
            yield Run(clock[i : i + 1], values[None], nulls=nulls)
    else:
        yield Run(clock, _elements(table, head, cell))


def _elements(table: NDArray[np.uint8], head: _Head, cell: Cell) -> NDArray[Any]:
    """A view of the elements of equal rows; no byte is copied."""
    size = cell.dtype.itemsize
    gap = 4 if cell.kind == "array" else 0  # length before each element of an array
    count = int(np.prod(head.dims))
    if table.shape[1] - head.start != count * (size + gap):
        raise SourceError(
            f"a cell of shape {head.dims} has {table.shape[1] - head.start} bytes, "
            f"expected {count * (size + gap)}: the stream is damaged"
        )
    inner = np.cumprod([size + gap, *head.dims[:0:-1]])[::-1]
    return np.ndarray(
        (len(table), *head.dims),
        dtype=cell.dtype,
        buffer=table.data if table.flags.c_contiguous else np.ascontiguousarray(table).data,
        offset=head.start + gap,
        strides=(table.shape[1], *(int(s) for s in inner)),
    )


def _parse(row: bytes, cell: Cell) -> _Head:
    return _parse_array(row, cell) if cell.kind == "array" else _parse_bytes(row, cell)


def _parse_array(row: bytes, cell: Cell) -> _Head:
    n_fields, clock_bytes, length = struct.unpack_from(">hi8xi", row)
    if (n_fields, clock_bytes) != (2, 8):
        raise SourceError(
            f"a row has {n_fields} fields, the clock {clock_bytes} bytes: expected 2, 8"
        )
    if length == -1:
        return _Head(18, why="null_cells")
    n_dims, has_nulls, oid = struct.unpack_from(">iii", row, 18)
    start = 30 + 8 * n_dims
    if n_dims == 0:
        return _Head(start, why="empty_cells")
    if oid != cell.oid:
        raise SourceError(f"an array has elements of type {oid}, expected type {cell.oid}")
    dims = struct.unpack_from(f">{2 * n_dims}i", row, 30)[::2]
    return _Head(start, dims, nulls=bool(has_nulls))


def _parse_bytes(row: bytes, cell: Cell) -> _Head:
    if len(row) < 30:  # one of the three fields is NULL
        return _Head(len(row), why="null_cells")
    n_fields, clock, h_bytes, h, w_bytes, w, length = struct.unpack_from(">hi8xiiiii", row)
    if (n_fields, clock, h_bytes, w_bytes) != (4, 8, 4, 4):
        return _Head(len(row), why="null_cells")
    if h <= 0 or w <= 0:
        return _Head(PACKED_AT, why="empty_cells")
    if length != h * w * cell.dtype.itemsize:
        return _Head(PACKED_AT, why="misshapen")
    return _Head(PACKED_AT, (h, w))


def _with_nulls(body: bytes, dims: tuple[int, ...], cell: Cell) -> tuple[NDArray[Any], int]:
    """Elements of one array with NULLs (4 bytes each), which become NaN; number of NULLs."""
    size, count = cell.dtype.itemsize, int(np.prod(dims))
    out = np.full(count, np.nan, dtype=np.float64)
    offset = i = nulls = 0
    while i < count:
        n = _leading(body, offset, size, 4 + size, count - i)
        first = offset + 4 if n else 0
        out[i : i + n] = np.ndarray((n,), cell.dtype, body, first, (4 + size,))
        offset, i = offset + n * (4 + size), i + n
        k = _leading(body, offset, -1, 4, count - i)
        offset, i, nulls = offset + 4 * k, i + k, nulls + k
        if n == k == 0:
            raise SourceError(
                f"an array of shape {dims} is truncated or damaged at byte {offset}"
            )
    return out.reshape(dims), nulls


def _leading(body: bytes, offset: int, length: int, stride: int, most: int) -> int:
    """Number of the next elements, ``stride`` bytes apart, that have this length."""
    most = min(most, (len(body) - offset) // stride)
    if most <= 0:
        return 0
    other = np.ndarray((most,), ">i4", body, offset, (stride,)) != length
    first = int(other.argmax())
    return first if other[first] else most
