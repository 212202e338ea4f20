"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fhemb_cli import completion

RUN = "How it runs"
"""Heading of the options that do not change a result."""

Recording = Annotated[
    Path, typer.Argument(help="Store of a recording.", autocompletion=completion.stores)
]
Embedding = Annotated[
    Path, typer.Argument(help="Store of an embedding.", autocompletion=completion.stores)
]
Store = Annotated[Path, typer.Argument(help="Store.", autocompletion=completion.stores)]
Out = Annotated[Path, typer.Argument(help="Store of the result.")]
Subjects = Annotated[
    str,
    typer.Option(
        metavar="LIST",
        help="People: ids and intervals first-last, or all.",
        autocompletion=completion.people,
    ),
]
Seconds = Annotated[
    str | None, typer.Option(metavar="START:STOP", help="Part of the recording, in seconds.")
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Worker processes; 0: threads of this process.",
        rich_help_panel=RUN,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE", help="Memory limit of each worker process.", rich_help_panel=RUN
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace the result if it exists.", rich_help_panel=RUN),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Running Dask scheduler, or its file; default: dask's own.",
        rich_help_panel=RUN,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=RUN)
]


def workers_of(workers: int, memory: str, scheduler: str | None) -> Any:
    """Context of worker processes: new ones, those of a scheduler, or none."""
    from fhemb_xr.cluster import connected, local_cluster

    if workers and scheduler:
        raise ValueError(
            "--workers starts processes here, --scheduler uses running ones: give one of them"
        )
    return local_cluster(workers, memory_limit=memory) if workers else connected(scheduler)


def require_only(context: typer.Context, option: str, allowed: tuple[str, ...]) -> None:
    """Refuse the options of a result beside one that takes them from the result itself."""
    fine = ("workers", "scheduler", "memory", "as_json", *allowed)
    for parameter in context.command.params:
        name, flags = str(parameter.name), parameter.opts
        source = context.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE"
        if given and flags[0].startswith("-") and name not in fine:
            raise ValueError(
                f"{option} takes its options from the result: leave out {flags[0]}"
            )
