"""``fhemb demo``: a simulated audience in a real database, and the whole way from there."""

import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fhemb_xr.console import talk
from fhemb_xr.errors import FhembError
from fhemb_xr.typing import Floats

if TYPE_CHECKING:
    import psycopg
    import xarray as xr

    Floats = Floats
    Clip = Sequence[Floats]

app = typer.Typer(pretty_exceptions_enable=False)

SCHEMA, FACES, POSITIONS = "dg", "face_t", "faceposition_t"
SUBJECTS = (*range(40, 47), *range(65, 70))
FACELESS = (45, 46)
CLIP_SUBJECT = 77
START_FRAME = 9000
GAP = (9600, 9640)
_RESULTS = ("recording.zarr", "embedding.zarr", "similarity.zarr", "report")
_BLOCK = 250  # frames loaded together
_FLOAT4 = 700  # PostgreSQL's number of the type real


@app.callback(invoke_without_command=True, epilog="Example: fhemb demo --clip face.npz")
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("demo"),
    clip: Annotated[
        Path | None,
        typer.Option(help="A .npz with an array (time, y, x) in °C: one more face."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=30, help="Length of the recording in seconds.")
    ] = 90.0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: threads of one.")] = 0,
) -> None:
    """Load an audience into a PostgreSQL of its own, and go the whole way to a report."""
    # a terminated demo must leave through the same door as one that ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.perf_counter()
    try:
        _clear(out)
        times = _whole_way(out, clip, seconds, workers)
    except (FhembError, OSError, ValueError) as error:
        talk.print(f"[red]error[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None
    except subprocess.CalledProcessError as failed:
        talk.print(f"[red]stopped[/] by {shlex.join(failed.cmd[2:])}")
        raise typer.Exit(1) from None
    _tell(out, times, time.perf_counter() - started)


def _whole_way(
    out: Path, clip: Path | None, seconds: float, workers: int
) -> list[tuple[str, float]]:
    """Run each stage as a user would; command and seconds of each."""
    from fhemb_xr.testing import audience
    from ingest.postgres.embedded_server import serve

    frames = read_clip(clip) if clip else None
    ds = audience(
        subjects=SUBJECTS, seconds=seconds, shape=(40, 30), start_frame=START_FRAME,
        faceless=FACELESS, gap=GAP, dropout=0.01, title="Don Giovanni",
    )  # fmt: skip
    times = []
    with serve() as server, _progress("Loading the audience") as step, _config(server) as env:
        started = time.perf_counter()
        load_audience(server.connection(), ds, clip=frames, progress=step)
        times.append(("load the audience into PostgreSQL", time.perf_counter() - started))
        step(0, 0)
        for arguments in _commands(out, workers, CLIP_SUBJECT if frames else SUBJECTS[0]):
            started = time.perf_counter()
            talk.print(
                f"[bold]fhemb {shlex.join(arguments)}[/]", highlight=False, soft_wrap=True
            )
            command = [sys.executable, "-m", "fhemb_xr.cli", *arguments]
            subprocess.run(command, check=True, env=env)
            times.append((f"fhemb {' '.join(arguments[:2])}", time.perf_counter() - started))
    return times


def _commands(out: Path, workers: int, shown: int) -> list[list[str]]:
    recording, embedding, similarity, report = (str(out / name) for name in _RESULTS)
    more = ["--workers", str(workers)] if workers else []
    return [
        ["ingest", "run", recording, "--schema", SCHEMA, "--table", FACES,
         "--title", "Don Giovanni"],
        ["embed", recording, embedding, "--features", "mean,skew,kurtosis,p5:p95,pc0:pc4",
         "--bands", "2,3,5", *more],
        ["similarity", embedding, similarity, "--features", "mean,skew", "--metric", "dtw",
         *more],
        # of a simulated person, or of the clip that its owner gave
        ["report", recording, embedding, similarity, "--out", report, "--subject", str(shown),
         "--faces"],
    ]  # fmt: skip


def _clear(out: Path) -> None:
    """Remove an earlier demo's results, and nothing else."""
    for name in _RESULTS:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)


def _tell(out: Path, times: list[tuple[str, float]], total: float) -> None:
    table = Table("stage", "seconds", title="The whole way")
    for name, seconds in times:
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("all", f"{total:.1f}")
    talk.print(table)
    talk.print(
        f"\n{out / 'recording.zarr'}  the faces, as labelled lazy arrays\n"
        f"{out / 'embedding.zarr'}  their features, limited to bands\n"
        f"{out / 'similarity.zarr'}  who moves with whom\n"
        f"{out / 'report' / 'report.html'}  [bold]open this in a browser[/]\n\n"
        "Go on in a notebook:\n"
        "  import fhemb_xr as fx\n"
        f'  ds = fx.open_recording("{out / "recording.zarr"}")\n'
        '  ds.fhemb.select(subjects=65, seconds=(400, 440)).fhemb.embed(["skew"])',
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _config(server: Any) -> Iterator[dict[str, str]]:
    """An environment whose configuration leads to the server."""
    with tempfile.TemporaryDirectory(prefix="fhemb-config-") as folder:
        path = Path(folder, ".env.db")
        path.touch(0o600)
        path.write_text(server.configuration())
        yield {**os.environ, "FHEMB_CONFIG_DIR": folder}


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar; a total of 0 ends it."""
    from rich.progress import Progress

    with Progress(console=talk, transient=True, disable=not talk.is_terminal) as bar:
        row = bar.add_task(label)

        def step(done: int, total: int) -> None:
            if total:
                bar.update(row, completed=done, total=total)
            else:
                bar.stop()

        yield step


def read_clip(path: Path) -> list["Floats"]:
    """Frames of a clip, each in its own box.

    A ``.npz`` with an array (time, y, x) in °C, ``face`` or else the first with three
    dimensions; ``face_size`` (rows, columns of each frame), or else the box of the pixels
    that are there.

    Raises
    ------
    ValueError
        If there is no such array, or its sizes do not fit.
    """
    import numpy as np

    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    stacks = [a for n, a in sorted(arrays.items(), key=lambda i: i[0] != "face") if a.ndim == 3]
    if not stacks:
        shapes = {n: a.shape for n, a in arrays.items()}
        raise ValueError(f"need an array (time, y, x) in °C in {path.name!r}, found {shapes}")
    faces = stacks[0].astype(np.float32)
    sizes = arrays.get("face_size")
    if sizes is None:
        return [_box(face) for face in faces]
    if sizes.shape != (len(faces), 2) or (sizes > faces.shape[1:]).any():
        raise ValueError(
            f"face_size is (rows, columns) of each of {len(faces)} frames, none beyond "
            f"{faces.shape[1:]}: found shape {sizes.shape}"
        )
    return [face[:h, :w] for face, (h, w) in zip(faces, sizes, strict=True)]


def _box(face: "Floats") -> "Floats":
    """The part of a frame that holds its finite pixels."""
    import numpy as np

    rows, columns = (np.flatnonzero(np.isfinite(face).any(axis=a)) for a in (1, 0))
    if not rows.size:
        return face[:0, :0]
    return face[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def load_audience(
    connection: "dict[str, str | int]",
    ds: "xr.Dataset",
    *,
    clip: "Clip | None" = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a recording into PostgreSQL in the original's wide layout.

    ``dg.face_t``: a row per frame, a column per subject, a cell a ``real[][]`` of the face's
    own shape, or NULL; ``dg.faceposition_t``: the same with (x, y). A frame that nobody has is
    no row. A clip becomes one more subject, from the first frame on.
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
    """Rows of matrices, each cut to its own box."""
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
    """Append rows by binary COPY; a row without any value is a gap and is left out."""
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
    """A cell in PostgreSQL's binary form: dimensions, then length and value of each element."""
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
