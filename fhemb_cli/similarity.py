"""``fhemb similarity``: who moves with whom."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fhemb_cli import parsing
from fhemb_cli.console import Json, reporting
from fhemb_cli.info import sizes
from fhemb_cli.options import Memory, Overwrite, Scheduler, Workers, workers_of
from fhemb_cli.progress import progress


def similarity(
    embedding: Path,
    out: Path,
    metric: Annotated[str, typer.Option(help="dtw, correlation, euclidean, …")] = "dtw",
    features: Annotated[
        str, typer.Option("--features", "-f", help="Features of the embedding, or all.")
    ] = "all",
    window: Annotated[
        float | None, typer.Option(help="Sakoe-Chiba half-width in seconds, for dtw only.")
    ] = 2.0,
    normalize: Annotated[
        str,
        typer.Option(help="Each series: none, zscore, minmax; frame; or a range LOW,HIGH."),
    ] = "zscore",
    clusters: Annotated[int, typer.Option(min=1, help="Number of groups of people.")] = 3,
    overwrite: Overwrite = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    memory: Memory = "2GiB",
    as_json: Json = False,
) -> None:
    """Compare the trajectories of all pairs of people, and group the people.

    An interrupted run continues when the same command is started again.
    """
    with reporting(as_json) as report:
        import fhemb_xr as fx
        from fhemb_xr.clock import Clock

        emb = fx.open_embedding(embedding)
        if features != "all":
            emb = emb.sel(feature=_expanded(features, emb))
        options: dict[str, Any] = {"normalize": parsing.scale(normalize)}
        if metric == "dtw" and window is not None:
            options["window"] = Clock.of(emb).samples("--window", window)
        relation = fx.pairwise(emb, metric, **options)
        result = relation.to_dataset(name="relation")
        result["cluster"] = fx.clusters(relation, clusters)
        with workers_of(workers, memory, scheduler) as on, progress("Comparing", on):
            fx.save(result, out, mode="w" if overwrite else "w-", resume=True)
        report(store=str(out), sizes=sizes(result))


def _expanded(text: str, emb: Any) -> list[str]:
    from fhemb_xr.errors import UnknownNameError, nearest
    from fhemb_xr.ops.frames.feature_names import expand

    names = expand(parsing.names(text))
    available = emb.indexes["feature"].tolist()
    for name in names:
        if name not in available:
            raise UnknownNameError(
                f"no feature {name!r} in the embedding{nearest(name, available)}"
            )
    return names
