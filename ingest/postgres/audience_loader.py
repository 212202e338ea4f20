"""Writing a recording into PostgreSQL in the original's wide layout, as the demo needs it."""

import functools
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.typing import Floats

if TYPE_CHECKING:
    import psycopg
    import xarray as xr

    Clip = Sequence[Floats]

Elements = NDArray[np.uint64]
"""Each number of an array as PostgreSQL sends it: its length, then its value."""

SCHEMA, FACES, POSITIONS = "dg", "face_t", "faceposition_t"
CLIP_SUBJECT = 77
BLOCK = 250
"""Frames loaded together; with chunks of as many, no frame is simulated twice."""
_FLOAT4 = 700  # PostgreSQL's number of the type real
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])


def load_audience(
    connection: "dict[str, str | int]",
    ds: "xr.Dataset",
    *,
    clip: "Clip | None" = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a recording into PostgreSQL in the original's wide layout.

    ``dg.face_t`` has a row per frame and a column per subject. A cell is a ``real[][]`` of the
    face's own shape, or NULL. ``dg.faceposition_t`` has the same form with (x, y). A frame that
    nobody has gets no row. A clip becomes one more subject, from the first frame on.
    """
    import psycopg

    ids = ds.indexes["subject"].tolist() + ([CLIP_SUBJECT] if clip is not None else [])
    done, total = 0, ds.sizes["time"]
    with psycopg.connect(**connection) as db:  # type: ignore[arg-type]
        _create(db, ids)
        for part in _parts(ds):
            frames = part["frame"].values.astype(np.int64)
            own = None if clip is None else clip[done : done + len(frames)]
            _copy(db, FACES, frames, _faces(part, own))
            _copy(db, POSITIONS, frames, _places(part, clip is not None))
            done += len(frames)
            if progress:
                progress(done, total)


def _parts(ds: "xr.Dataset") -> "Iterator[xr.Dataset]":
    """The blocks of the first session; one is computed while the server takes another."""
    starts = range(0, ds.sizes["time"], BLOCK)
    pieces = [ds.isel(session=0, time=slice(at, at + BLOCK)) for at in starts]
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(pieces[0].compute)
        for piece in [*pieces[1:], None]:
            part = following.result()
            if piece is not None:
                following = ahead.submit(piece.compute)
            yield part


def _faces(part: "xr.Dataset", clip: "Clip | None") -> "list[list[Elements | None]]":
    """Rows of matrices; each matrix is cut to its own box."""
    heat, sizes = _elements(part["heatmap"]), (part["height"].values, part["width"].values)
    rows: list[list[Elements | None]] = []
    for t in range(heat.shape[1]):
        row: list[Elements | None] = []
        for s in range(heat.shape[0]):
            h, w = int(sizes[0][s, t]), int(sizes[1][s, t])
            top, left = (heat.shape[2] - h) // 2, (heat.shape[3] - w) // 2
            row.append(heat[s, t, top : top + h, left : left + w] if h and w else None)
        if clip is not None:
            row.append(_elements(clip[t]) if t < len(clip) and clip[t].size else None)
        rows.append(row)
    return rows


def _places(part: "xr.Dataset", clip: bool) -> "list[list[Elements | None]]":
    """Rows of positions; the subject of a clip has none."""
    places = part["position"].values.swapaxes(0, 1)
    absent, more = np.isnan(places).any(axis=-1), [None] if clip else []
    return [
        [None if gone else place for gone, place in zip(*row, strict=True)] + more
        for row in zip(absent, _elements(places), strict=True)
    ]


def _elements(values: Any) -> Elements:
    out = np.empty(values.shape, _ELEMENT)
    out["length"], out["value"] = 4, values
    return out.view(np.uint64)


def _create(db: "psycopg.Connection[Any]", ids: Sequence[int]) -> None:
    """The tables; cells stay as they are, because trying to compress noise takes long."""
    from psycopg import sql

    db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    columns = sql.SQL(", ").join(
        sql.SQL("{} real[] STORAGE EXTERNAL").format(sql.Identifier(f"subj{i}")) for i in ids
    )
    for table in (FACES, POSITIONS):
        db.execute(
            sql.SQL("CREATE TABLE {} (frame_number integer PRIMARY KEY, {})").format(
                sql.Identifier(SCHEMA, table), columns
            )
        )


def _copy(
    db: "psycopg.Connection[Any]", table: str, frames: Any, rows: "list[list[Elements | None]]"
) -> None:
    """Append rows by binary COPY; a row without values is a gap and is left out."""
    from psycopg import sql

    command = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(
        sql.Identifier(SCHEMA, table)
    )
    with db.cursor().copy(command) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for number, row in zip(frames, rows, strict=True):
            if any(cell is not None for cell in row):
                copy.write(struct.pack("!hii", len(row) + 1, 4, int(number)))
                copy.write(b"".join(map(_encoded, row)))
        copy.write(b"\xff\xff")


def _encoded(cell: "Elements | None") -> bytes:
    """A cell in PostgreSQL's binary form: its dimensions, then its elements."""
    return b"\xff\xff\xff\xff" if cell is None else _head(cell.shape) + cell.tobytes()


@functools.cache
def _head(shape: tuple[int, ...]) -> bytes:
    """Length of a cell of elements, then number, kind and sizes of its dimensions."""
    sizes = b"".join(struct.pack("!ii", n, 1) for n in shape)
    head = struct.pack("!iii", len(shape), 0, _FLOAT4) + sizes
    return struct.pack("!i", len(head) + 8 * math.prod(shape)) + head
