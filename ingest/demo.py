"""``fhemb demo``: a simulated audience in a real database, and all steps to a report."""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhemb_cli.console import STOPPED, TERMINATED, reporting, talk, tell
from ingest.cli import stages

if TYPE_CHECKING:
    import xarray as xr

    from fhemb_xr.typing import Floats

app = typer.Typer(pretty_exceptions_enable=False)

SUBJECTS = (*range(40, 47), *range(65, 70))
FACELESS = (45, 46)
START_FRAME = 9000
GAP = (9600, 9640)
RATE = 25
_DEEP_S = 72.0
"""Length from which level 8 of db4 is sound."""
_CORE = (
    "xarray", "dask.array", "zarr", "distributed", "psycopg", "ingest.settings",
    "scipy.cluster.hierarchy", "fhemb_xr.accessor", "fhemb_xr.cluster", "fhemb_xr.io.recording",
)  # fmt: skip
"""What the stages load."""
_DRAWING = (
    "fhemb_xr.plot.report.page", "fhemb_xr.ops.inference.synchrony",
    "holoviews.plotting.bokeh", "holoviews.plotting.mpl",
)  # fmt: skip
"""What the last stage loads besides."""
_RESULTS = ("recording.zarr", "embedding.zarr", "similarity.zarr", "report")


@app.callback(invoke_without_command=True, epilog="Example: fhemb demo --clip face.npz")
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("demo"),
    clip: Annotated[
        Path | None,
        typer.Option(help="File .npz with an array (time, y, x) in °C, as one more face."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=30, help="Length of the recording in seconds.")
    ] = 90.0,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: threads.")] = 0,
) -> None:
    """Load an audience into an embedded PostgreSQL, and run all steps to a report."""
    # a terminated demo must clean up like one that ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    started = time.perf_counter()
    with reporting(False, "the server is gone; what was finished is kept"):
        _clear(out)
        times = _whole_way(out, clip, seconds, workers)
    _tell(out, times, time.perf_counter() - started, seconds)


def _whole_way(
    out: Path, clip: Path | None, seconds: float, workers: int
) -> list[tuple[str, float]]:
    """Run each stage as a user would; return name and seconds of each stage."""
    from fhemb_xr.errors import extra
    from ingest.postgres.embedded_server import serve

    with extra("demo"):
        from ingest.postgres.audience_loader import CLIP_SUBJECT, load_audience

    frames, drawing, times = read_clip(clip) if clip else None, [], []

    def meanwhile() -> None:
        for name in _CORE:
            import_module(name)
        from fhemb_xr.warm import load_compiler

        load_compiler()
        drawing.append(stages.Ahead(*_DRAWING))  # before there are threads

    with serve(meanwhile) as server, _config(server):
        from fhemb_xr.warm import is_warm

        started = time.perf_counter()
        with _progress("Loading the audience") as step:
            load_audience(server.connection(), _audience(seconds), clip=frames, progress=step)
        times.append(("load the audience into PostgreSQL", time.perf_counter() - started))
        shown = CLIP_SUBJECT if frames else SUBJECTS[0]
        *first, report = _commands(out, workers, shown, seconds)
        if not is_warm():
            first.insert(0, ["doctor", "--warm"])
        times += [_stage(arguments, stages.run) for arguments in first]
    times.append(_stage(report, drawing[0].run))
    return times


def _audience(seconds: float) -> "xr.Dataset":
    from fhemb_xr.testing import audience
    from ingest.postgres.audience_loader import BLOCK

    return audience(
        subjects=SUBJECTS, seconds=seconds, shape=(40, 30), start_frame=START_FRAME,
        faceless=FACELESS, gap=GAP, dropout=0.01, title="Don Giovanni", chunk_frames=BLOCK,
    )  # fmt: skip


def _stage(arguments: list[str], run: Callable[[list[str]], int]) -> tuple[str, float]:
    """Show the command that a user would give, and run it; return its name and seconds."""
    started = time.perf_counter()
    tell(f"fhemb {shlex.join(arguments)}", "")
    code = run(arguments)
    if code and arguments[0] != "doctor":  # a finding stops nothing
        tell("stopped", f"by fhemb {shlex.join(arguments)}", "red")
        raise typer.Exit(code if code == STOPPED else 1)
    return f"fhemb {' '.join(arguments[:2])}", time.perf_counter() - started


def _commands(out: Path, workers: int, shown: int, seconds: float) -> list[list[str]]:
    from ingest.postgres.audience_loader import FACES, SCHEMA

    recording, embedding, similarity, report = (str(out / name) for name in _RESULTS)
    more = ["--workers", str(workers)] if workers else []
    level = [] if seconds >= _DEEP_S else ["--level", "6"]  # no deeper than the series allows
    return [
        ["ingest", "run", recording, "--schema", SCHEMA, "--table", FACES,
         "--title", "Don Giovanni", "--rate", str(RATE)],
        ["embed", recording, embedding, "--features", "mean,skew,kurtosis,p5:p95,pc0:pc4",
         "--bands", "2,3,5", *level, *more],
        ["similarity", embedding, similarity, "--features", "mean,skew", "--metric", "dtw",
         *more],
        # --faces shows a simulated person, or the clip that its owner gave
        ["report", recording, embedding, similarity, "--out", report, "--subject", str(shown),
         "--faces", "--figures", "svg"],
    ]  # fmt: skip


def _clear(out: Path) -> None:
    """Remove an earlier demo's results, and nothing else."""
    for name in _RESULTS:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)


def _tell(out: Path, times: list[tuple[str, float]], total: float, seconds: float) -> None:
    from rich.table import Table

    begin = START_FRAME // RATE
    part = (400, 440) if seconds >= 440 - begin else (begin, begin + int(seconds))

    table = Table("stage", "seconds", title="The whole way")
    for name, seconds in times:
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("all", f"{total:.1f}")
    talk().print(table)
    talk().print(
        f"\n{out / 'recording.zarr'}  the faces, as labelled lazy arrays\n"
        f"{out / 'embedding.zarr'}  their features, limited to bands\n"
        f"{out / 'similarity.zarr'}  who moves with whom\n"
        f"{out / 'report' / 'report.html'}  [bold]open this in a browser[/]\n\n"
        "Browse it, with rows that scroll and zoom:\n"
        f"  fhemb view {shlex.join([str(out / n) for n in _RESULTS[:2]])} --faces\n\n"
        "Continue in a notebook:\n"
        "  import fhemb_xr as fx\n"
        f'  ds = fx.open_recording("{out / "recording.zarr"}")\n'
        f'  ds.fhemb.select(subjects=65, seconds={part}).fhemb.embed(["skew"])',
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _config(server: Any) -> Iterator[None]:
    """A configuration of the server, while the block runs."""
    name = "FHEMB_CONFIG_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="fhemb-config-") as folder:
        path = Path(folder, ".env.db")
        path.touch(0o600)
        path.write_text(server.configuration())
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar."""
    from rich.progress import Progress

    with Progress(console=talk(), transient=True, disable=not talk().is_terminal) as bar:
        row = bar.add_task(label)

        def step(done: int, total: int) -> None:
            bar.update(row, completed=done, total=total)

        yield step


def read_clip(path: Path) -> list["Floats"]:
    """Read the frames of a clip, each cut to its own box.

    The ``.npz`` file holds an array (time, y, x) in °C: ``face``, or the first array with
    three dimensions. ``face_size`` gives rows and columns of each frame; without it, the box
    of the finite pixels is taken.

    Raises
    ------
    ValueError
        There is no such array, or its sizes do not fit.
    """
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
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
