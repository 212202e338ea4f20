"""Options that several commands share."""

from typing import Annotated, Any

import typer

Workers = Annotated[
    int, typer.Option(min=0, help="Worker processes; 0: threads of this process.")
]
Memory = Annotated[str, typer.Option(help="Memory limit of each worker process.")]
Overwrite = Annotated[bool, typer.Option(help="Replace the result if it exists.")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS|FILE", help="Running Dask scheduler; default: dask's own."),
]


def workers_of(workers: int, memory: str, scheduler: str | None) -> Any:
    """Context of worker processes: new ones, those of a scheduler, or none."""
    from fhemb_xr.cluster import connected, local_cluster

    if workers and scheduler:
        raise ValueError(
            "--workers starts processes here, --scheduler uses running ones: give one of them"
        )
    return local_cluster(workers, memory_limit=memory) if workers else connected(scheduler)
