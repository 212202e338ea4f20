"""``fhemb ingest``: init, plan, run, verify. Results go to stdout, messages to stderr.

Exit codes: 0 done, 1 an error or a difference, 2 wrong usage.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fhemb_cli.console import reporting, show, tell
from fhemb_cli.options import Json, Store
from ingest.cli.display import progress_bar, summary_table
from ingest.cli.options import (
    AcceptNew,
    Boxes,
    Files,
    Frames,
    Grid,
    Layout,
    Margin,
    Positions,
    Rate,
    Resize,
    Schema,
    Subjects,
    TableName,
    Units,
    Workers,
    frames_of,
    grid_of,
    hints_of,
)  # fmt: skip
from ingest.cli.sources import source_of

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


@app.command(epilog="Example: fhemb ingest init")
def init() -> None:
    """Make the configuration files of the database; fill them in. Only you can read them."""
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
    boxes: Boxes = None,
    margin: Margin = 0.0,
    layout: Layout = None,
    rate: Rate = None,
    units: Units = None,
    subjects: Subjects = "all",
    frames: Frames = None,
    grid: Grid = None,
    resize: Resize = None,
    exact: Annotated[bool, typer.Option(help="Read the shape of every frame.")] = False,
    workers: Workers = 2,
    accept_new: AcceptNew = False,
    as_json: Json = False,
) -> None:
    """Show what the database holds, what a run would read, and every doubt about it."""
    with _reporting(as_json):
        from ingest.planning import parse_subjects, plan

        hints = hints_of(layout, rate, units)
        with source_of(
            schema, table, positions, hints, files, accept_new, boxes, margin
        ) as source:
            planned = plan(
                source,
                subjects=parse_subjects(subjects),
                frames=frames_of(frames),
                grid=grid_of(grid),
                resize=grid_of(resize),
                exact=exact,
                timed=True,
                workers=workers,
                rate_hz=source.hints.rate_hz,
            )
        if as_json:
            print(json.dumps(planned.as_dict(), default=str))
        else:
            show(planned.tables())


@app.command(epilog="Example: fhemb ingest run don.zarr --schema dg --table face_t")
def run(
    store: Store,
    schema: Schema = None,
    table: TableName = "face_t",
    positions: Positions = "auto",
    files: Files = None,
    boxes: Boxes = None,
    margin: Margin = 0.0,
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
    encoding: Annotated[
        str | None,
        typer.Option(help="fast, or dense: a third less room, slower to write. Default: fast."),
    ] = None,
    workers: Workers = 2,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse faulty cells; default: count them.")
    ] = False,
    append: Annotated[
        bool, typer.Option("--append", help="Add frames that arrived since.")
    ] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read everything again, write what differs.")
    ] = False,
    accept_new: AcceptNew = False,
    as_json: Json = False,
) -> None:
    """Fill a store; run again to continue after a stop, or to read what has changed."""
    with _reporting(as_json):
        from ingest.planning import parse_subjects
        from ingest.run import ingest

        hints = hints_of(layout, rate, units)
        with (
            source_of(
                schema, table, positions, hints, files, accept_new, boxes, margin
            ) as source,
            progress_bar() as progress,
        ):
            done = ingest(
                source,
                store,
                subjects=parse_subjects(subjects),
                frames=frames_of(frames),
                grid=grid_of(grid),
                resize=grid_of(resize),
                title=title,
                threshold=threshold,
                float32=float32 or None,
                encoding=encoding,
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
            show(summary_table(done))
            for doubt in done.doubts:
                tell("doubt:", doubt, "yellow")


@app.command(epilog="Example: fhemb ingest verify don.zarr --schema dg --table face_t")
def verify(
    store: Store,
    schema: Annotated[
        str | None, typer.Option(help="Schema as in run; default: no source.")
    ] = None,
    table: TableName = "face_t",
    positions: Positions = "auto",
    files: Files = None,
    boxes: Boxes = None,
    margin: Margin = 0.0,
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
            hints = hints_of(layout, rate, units)
            with source_of(
                schema, table, positions, hints, files, accept_new, boxes, margin
            ) as source:
                verdict = compare(store, source)
        if as_json:
            print(json.dumps(verdict.as_dict()))
        elif verdict.equal:
            tell("equal", f"{verdict.checked} of {verdict.shards} shards", "green")
        else:
            tell("different", verdict.difference, "red")
    if not verdict.equal:
        raise typer.Exit(1)


@contextmanager
def _reporting(as_json: bool) -> Iterator[None]:
    """Report an error, or Ctrl-C, in one sentence; name the extra that a database needs."""
    with reporting(as_json, "the same command continues from here"):
        try:
            yield
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if name not in _OF_THE_DATABASE:
                raise
            raise ImportError(
                f"reading a database needs {name}, which is not installed: "
                "pip install 'fhemb_xr[ingest]'"
            ) from None
