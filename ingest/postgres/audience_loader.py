"""Writing a recording into PostgreSQL in the original's wide layout, as the demo needs it."""

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fhemb_xr.typing import Floats

if TYPE_CHECKING:
    import psycopg
    import xarray as xr

    Clip = Sequence[Floats]

SCHEMA, FACES, POSITIONS = "dg", "face_t", "faceposition_t"
CLIP_SUBJECT = 77
_BLOCK = 250  # frames loaded together
_FLOAT4 = 700  # PostgreSQL's number of the type real


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
    import numpy as np
    import psycopg

    ids = ds.indexes["subject"].tolist() + ([CLIP_SUBJECT] if clip is not None else [])
    with psycopg.connect(**connection) as db:  # type: ignore[arg-type]
        _create(db, ids)
        total = ds.sizes["time"]
        for start in range(0, total, _BLOCK):
            part = ds.isel(session=0, time=slice(start, start + _BLOCK)).load()
            frames = part["frame"].values.astype(np.int64)
            faces = _cells(part, None if clip is None else clip[start : start + len(frames)])
            places = [
                [None if np.isnan(p[0]) else p for p in row]
                for row in part["position"].values.swapaxes(0, 1)
            ]
            if clip is not None:
                places = [[*row, None] for row in places]
            _copy(db, FACES, frames, faces)
            _copy(db, POSITIONS, frames, places)
            if progress:
                progress(start + len(frames), total)


def _cells(part: "xr.Dataset", clip: "Clip | None") -> "list[list[Floats | None]]":
    """Rows of matrices; each matrix is cut to its own box."""
    heat, sizes = part["heatmap"].values, (part["height"].values, part["width"].values)
    rows: list[list[Any]] = []
    for t in range(heat.shape[1]):
        row: list[Any] = []
        for s in range(heat.shape[0]):
            h, w = int(sizes[0][s, t]), int(sizes[1][s, t])
            top, left = (heat.shape[2] - h) // 2, (heat.shape[3] - w) // 2
            row.append(heat[s, t, top : top + h, left : left + w] if h and w else None)
        if clip is not None:
            row.append(clip[t] if t < len(clip) and clip[t].size else None)
        rows.append(row)
    return rows


def _create(db: "psycopg.Connection[Any]", ids: Sequence[int]) -> None:
    from psycopg import sql

    db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    columns = sql.SQL(", ").join(
        sql.SQL("{} real[]").format(sql.Identifier(f"subj{i}")) for i in ids
    )
    for table in (FACES, POSITIONS):
        db.execute(
            sql.SQL("CREATE TABLE {} (frame_number integer PRIMARY KEY, {})").format(
                sql.Identifier(SCHEMA, table), columns
            )
        )


def _copy(
    db: "psycopg.Connection[Any]", table: str, frames: Any, rows: "list[list[Floats | None]]"
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


def _encoded(cell: "Floats | None") -> bytes:
    """A cell in PostgreSQL's binary form: dimensions, then length and value per element."""
    import numpy as np

    if cell is None:
        return b"\xff\xff\xff\xff"
    elements = np.empty(cell.size, dtype=[("length", ">i4"), ("value", ">f4")])
    elements["length"] = 4
    elements["value"] = cell.ravel()
    head = struct.pack("!iii", cell.ndim, 0, _FLOAT4)
    head += b"".join(struct.pack("!ii", n, 1) for n in cell.shape)
    body = head + elements.tobytes()
    return struct.pack("!i", len(body)) + body
