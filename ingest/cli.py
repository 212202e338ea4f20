"""``fhemb ingest``: init, plan, run, verify. Results go to stdout, talk goes to stderr.

Exit codes: 0 done, 1 it failed or differs, 2 the command was misused.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fhemb_xr.console import Json, reporting, talk
from fhemb_xr.errors import ConfigError, FhembError

if TYPE_CHECKING:
    from ingest.hints import Hints
    from ingest.postgres.source import PostgresSource
    from ingest.run import Progress, Summary
    from ingest.stacks import StackSource

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback would print local variables
    help="From the database to a recording, without losing or repeating a frame.",
)


_OF_THE_DATABASE = (
    "psycopg",
    "pydantic",
    "pydantic_settings",
    "platformdirs",
    "paramiko",
    "sshtunnel",
)


class Interrupted(FhembError):  # noqa: N818 (what happened, and no fault)
    """Ctrl-C."""


Schema = Annotated[
    str | None, typer.Option(help="Schema, or several with commas: one session each.")
]
Files = Annotated[
    Path | None, typer.Option(help="A file or folder of frames (docs/files.md), no database.")
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Frames a second [Hz], where no clock tells it.")
]
Units = Annotated[
    str | None, typer.Option(help="Unit of the numbers in files: degC, K, degF, cK, dK.")
]
TableName = Annotated[str, typer.Option("--table", help="Table of the matrices.")]
Positions = Annotated[str, typer.Option(help="Table of face centres, auto, or none.")]
Layout = Annotated[
    Path | None, typer.Option(help="TOML with columns, subjects, scale, bytes_dtype, rate_hz.")
]
Subjects = Annotated[str, typer.Option(help="Ids and first-last intervals, or all.")]
Frames = Annotated[str | None, typer.Option(help="Frame numbers first:stop, stop not in it.")]
Grid = Annotated[str | None, typer.Option(help="Rows x columns of the store's frames: 60x90.")]
Resize = Annotated[
    str | None, typer.Option(help="Resample each frame to rows x columns, instead: 60x40.")
]
Workers = Annotated[int, typer.Option(min=1, help="Connections, and threads.")]
AcceptNew = Annotated[
    bool, typer.Option("--accept-new-hostkey", help="Trust an SSH server met the first time.")
]


@app.command(epilog="Example: fhemb ingest init")
def init() -> None:
    """Make the files that say where the database is, for you to fill in; only you read them."""
    with _reporting(False):
        from ingest.settings import create

        for path in create():
            print(path)


@app.command("plan", epilog="Example: fhemb ingest plan --schema dg --table face_t")
def plan_(
    schema: Schema = None,
    table: TableName = "face_t",
    positions: Positions = "auto",
    files: Files = None,
    layout: Layout = None,
    rate: Rate = None,
    units: Units = None,
    subjects: Subjects = "all",
    frames: Frames = None,
    grid: Grid = None,
    resize: Resize = None,
    exact: Annotated[bool, typer.Option(help="Look at the shape of every frame.")] = False,
    workers: Workers = 2,
    accept_new: AcceptNew = False,
    as_json: Json = False,
) -> None:
    """What is in the database, what a run would read, and every doubt about it."""
    with _reporting(as_json):
        from ingest.planning import parse_subjects, plan

        hints = _hints(layout, rate, units)
        with _source(schema, table, positions, hints, files, accept_new) as source:
            made = plan(
                source,
                subjects=parse_subjects(subjects),
                frames=_frames(frames),
                grid=_grid(grid),
                resize=_grid(resize),
                exact=exact,
                timed=True,
                workers=workers,
                rate_hz=source.hints.rate_hz,
            )
        if as_json:
            print(json.dumps(made.as_dict(), default=str))
        else:
            Console().print(made.tables())


@app.command(epilog="Example: fhemb ingest run don.zarr --schema dg --table face_t")
def run(
    store: Path,
    schema: Schema = None,
    table: TableName = "face_t",
    positions: Positions = "auto",
    files: Files = None,
    layout: Layout = None,
    rate: Rate = None,
    units: Units = None,
    title: Annotated[str | None, typer.Option(help="Title of the recording.")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest temperature of a face [°C].")] = 25,
    subjects: Subjects = "all",
    frames: Frames = None,
    grid: Grid = None,
    resize: Resize = None,
    float32: Annotated[bool, typer.Option("--float32", help="Do not pack to 0.01 K.")] = False,
    workers: Workers = 2,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse faults, not count.")] = False,
    append: Annotated[
        bool, typer.Option("--append", help="Add frames that came since.")
    ] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read all again, write what differs.")
    ] = False,
    accept_new: AcceptNew = False,
    as_json: Json = False,
) -> None:
    """Fill a store; run it again to go on where it was stopped, or to mend what changed."""
    with _reporting(as_json):
        from ingest.planning import parse_subjects
        from ingest.run import ingest

        hints = _hints(layout, rate, units)
        with (
            _source(schema, table, positions, hints, files, accept_new) as source,
            _bar() as progress,
        ):
            done = ingest(
                source,
                store,
                subjects=parse_subjects(subjects),
                frames=_frames(frames),
                grid=_grid(grid),
                resize=_grid(resize),
                title=title,
                threshold=threshold,
                float32=float32 or None,
                rate_hz=source.hints.rate_hz,
                workers=workers,
                strict=strict,
                append=append,
                reread=reread,
                progress=progress,
            )
        if as_json:
            print(json.dumps(done.as_dict()))
        else:
            Console().print(_table(done))
            for doubt in done.doubts:
                talk.print(f"[yellow]doubt:[/] {escape(doubt)}", soft_wrap=True)


@app.command(epilog="Example: fhemb ingest verify don.zarr --schema dg --table face_t")
def verify(
    store: Path,
    schema: Annotated[str | None, typer.Option(help="As in run; none: no source.")] = None,
    table: TableName = "face_t",
    positions: Positions = "auto",
    files: Files = None,
    layout: Layout = None,
    rate: Rate = None,
    units: Units = None,
    accept_new: AcceptNew = False,
    as_json: Json = False,
) -> None:
    """Compare a store with its ledger and with the database; name the first difference."""
    with _reporting(as_json):
        from ingest.store.verification import verify as compare

        if schema is None and files is None:
            verdict = compare(store)
        else:
            hints = _hints(layout, rate, units)
            with _source(schema, table, positions, hints, files, accept_new) as source:
                verdict = compare(store, source)
        if as_json:
            print(json.dumps(verdict.as_dict()))
        elif verdict.equal:
            talk.print(f"[green]equal[/] {verdict.checked} of {verdict.shards} shards")
        else:
            talk.print(f"[red]different[/] {escape(str(verdict.difference))}", soft_wrap=True)
    if not verdict.equal:
        raise typer.Exit(1)


@contextmanager
def _source(
    schema: str | None,
    table: str,
    positions: str,
    hints: "Hints",
    files: Path | None,
    accept_new: bool,
) -> Iterator["PostgresSource | StackSource"]:
    """The files, or the database of the configuration through its tunnel."""
    if (schema is None) == (files is None):
        raise typer.BadParameter("say either --schema, of the database, or --files")
    if files is None and hints.units is not None:
        raise typer.BadParameter("--units is of --files; a database has scale in its --layout")
    if files is not None:
        from ingest.stacks import StackSource

        yield StackSource(_reached(files), hints=hints)
        return
    with _database(str(schema), table, positions, hints, accept_new) as source:
        yield source


def _reached(files: Path) -> Path:
    """A path; if it is not there, the mount of ``.env.paths`` that is missing is named."""
    try:
        from ingest import settings

        known = (settings.config_dir() / ".env.paths").exists()
    except ModuleNotFoundError:  # without the extra of the database there is no configuration
        return files
    return settings.paths().reach(files) if known else files


def _hints(layout: Path | None, rate: float | None, units: str | None) -> "Hints":
    """What the user says of a source: the file of the layout, and options that go before it."""
    from dataclasses import replace

    from ingest.hints import Hints, read_hints

    if rate is not None and not 0 < rate < float("inf"):
        raise typer.BadParameter(f"a rate is a positive number of Hz, found {rate!r}")
    hints = read_hints(layout) if layout else Hints()
    return replace(hints, rate_hz=rate or hints.rate_hz, units=units or hints.units)


@contextmanager
def _database(
    schema: str, table: str, positions: str, hints: "Hints", accept_new: bool
) -> Iterator["PostgresSource"]:
    from ingest import settings
    from ingest.postgres.source import PostgresSource
    from ingest.ssh.tunnel import tunnel

    found = settings.database()
    with tunnel(found, accept_new=accept_new) as way:
        yield PostgresSource(
            found.connection(),
            [s.strip() for s in schema.split(",")],
            table,
            positions=None if positions == "none" else positions,
            hints=hints,
            way=way,
        )


def _frames(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, stop = text.partition(":")
    if not (first.isdigit() and stop.isdigit()):
        raise typer.BadParameter(f"frames are first:stop, e.g. 10000:10500, found {text!r}")
    return int(first), int(stop)


def _grid(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise typer.BadParameter(f"a grid is rows x columns, e.g. 60x90, found {text!r}")
    return int(rows), int(columns)


def _table(done: "Summary") -> Table:
    from fhemb_xr.budget import human

    table = Table(show_header=False, title=f"recording in {done.store}")
    counts = {n.replace("_", " "): n_ for n, n_ in vars(done.counts).items() if n_}
    rows: dict[str, object] = {
        "subjects": done.subjects,
        "frames": done.frames,
        "shards": f"{done.shards}, {done.shards_written} of them written now",
        **counts,
        "frames without a face": done.missing,
        "read": human(done.read_bytes),
        "on disk": human(_size(Path(done.store))),
        "seconds": f"{done.seconds:.2f}",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _size(store: Path) -> int:
    return sum(f.stat().st_size for f in store.rglob("*") if f.is_file())


@contextmanager
def _bar() -> Iterator["Progress | None"]:
    """A bar on stderr, once a run has taken a second."""
    if not talk.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.completed}/{task.total} frames"),
        BarColumn(),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
    )
    task = bar.add_task("")

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if time.monotonic() - started > 1 and not bar.live.is_started:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def _reporting(as_json: bool) -> Iterator[None]:
    """An error in one sentence and exit 1, and Ctrl-C as one."""
    with reporting(as_json):
        try:
            yield
            return
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if name not in _OF_THE_DATABASE:
                raise
            missing = ConfigError(
                f"a database is read by {name}, which is not installed: "
                "pip install 'fhemb_xr[ingest]'"
            )
        except KeyboardInterrupt:
            missing = None
        if missing is not None:
            raise missing
        raise Interrupted("stopped; the same command goes on from here")


if __name__ == "__main__":
    app()
