"""``fhemb similarity``: who moves with whom."""

from typing import Annotated, Any

import typer

from fhemb_cli import completion, parsing
from fhemb_cli.console import reporting
from fhemb_cli.info import sizes
from fhemb_cli.options import (
    Embedding,
    Json,
    Memory,
    Out,
    Overwrite,
    Scheduler,
    Seconds,
    Subjects,
    Workers,
    workers_of,
)
from fhemb_cli.progress import progress

WINDOW_S = 2.0
_PANEL = "Options of some metrics"
_GROUPS = "Groups"


def similarity(
    embedding: Embedding,
    out: Out,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="dtw, correlation, max_lagged_correlation, euclidean, dcor, …",
            autocompletion=completion.choices(completion.METRICS),
        ),
    ] = "dtw",
    features: Annotated[
        str,
        typer.Option(
            "--features",
            "-f",
            metavar="LIST",
            help="Features of the embedding, or all.",
            autocompletion=completion.features,
        ),
    ] = "all",
    subjects: Subjects = "all",
    seconds: Seconds = None,
    normalize: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Scale of each series: zscore, minmax, frame, a range LOW,HIGH, or none, the "
            "default of fx.pairwise.",
            autocompletion=completion.choices(completion.NORMALIZATIONS),
        ),
    ] = "zscore",
    window: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Sakoe-Chiba half-width of warping, in seconds.",
            show_default=f"{WINDOW_S:g} for dtw",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    itakura: Annotated[
        float | None,
        typer.Option(
            metavar="SLOPE",
            help="Slope of Itakura's band, instead of a window.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    local: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Distance of two points in dtw.",
            show_default="euclidean",
            autocompletion=completion.choices(completion.LOCAL),
            rich_help_panel=_PANEL,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Precision of dtw: double, or single, twice as fast.",
            show_default="double",
            autocompletion=completion.choices(("double", "single")),
            rich_help_panel=_PANEL,
        ),
    ] = None,
    gamma: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Smoothing of soft_dtw.", show_default="1", rich_help_panel=_PANEL
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Radius of fastdtw.", show_default="1", rich_help_panel=_PANEL
        ),
    ] = None,
    max_lag: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Largest lag of max_lagged_correlation, in seconds.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    nan: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Treatment of lost faces: drop, or propagate.",
            autocompletion=completion.choices(("drop", "propagate")),
        ),
    ] = "drop",
    clusters: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Number of groups.", rich_help_panel=_GROUPS),
    ] = 3,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Linkage, kmedoids or spectral.",
            autocompletion=completion.choices(completion.METHODS),
            rich_help_panel=_GROUPS,
        ),
    ] = "average",
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Seed of methods that draw at random.", rich_help_panel=_GROUPS
        ),
    ] = None,
    overwrite: Overwrite = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    memory: Memory = "2GiB",
    as_json: Json = False,
) -> None:
    """Compare the trajectories of all pairs of people, and group the people.

    An interrupted run continues when the same command is started again.
    """
    with reporting(as_json, "the same command continues from here") as report:
        import fhemb_xr as fx

        emb = fx.select(
            fx.open_embedding(embedding),
            subjects=parsing.ids(subjects),
            seconds=parsing.numbers(parsing.SECONDS, seconds),
        )
        if features != "all":
            emb = emb.sel(feature=_expanded(features, emb))
        asked = {
            "itakura": itakura, "local": local, "precision": precision, "gamma": gamma,
            "radius": radius, "max_lag_s": max_lag,
            "window": _samples(window, metric, itakura, emb),
        }  # fmt: skip
        given: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
        relation = fx.pairwise(
            emb, metric, normalize=parsing.scale(normalize), nan=nan, **given
        )
        result = relation.to_dataset(name="relation")
        result["cluster"] = fx.clusters(relation, clusters, method=method, seed=seed)
        with workers_of(workers, memory, scheduler) as on, progress("Comparing", on):
            fx.save(result, out, mode="w" if overwrite else "w-", resume=True)
        report(store=str(out), sizes=sizes(result))


def _samples(window: float | None, metric: str, itakura: float | None, emb: Any) -> int | None:
    """The half-width of warping in samples; dtw alone has one that nobody asked for."""
    from fhemb_xr.clock import Clock

    if window is None and metric.strip().casefold() == "dtw" and itakura is None:
        window = WINDOW_S
    return None if window is None else Clock.of(emb).samples("--window", window)


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
