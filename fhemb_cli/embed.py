"""``fhemb embed``: features of every face and frame, limited to bands."""

from pathlib import Path
from typing import Annotated

import typer

from fhemb_cli import parsing
from fhemb_cli.console import Json, reporting
from fhemb_cli.info import sizes
from fhemb_cli.options import Memory, Overwrite, Scheduler, Workers, workers_of
from fhemb_cli.progress import progress


def embed(
    recording: Path,
    out: Path,
    features: Annotated[
        str, typer.Option("--features", "-f", help="Names, and intervals first:last.")
    ] = ("mean,std,skew,kurtosis,p5:p95,pc0:pc4"),
    subjects: Annotated[
        str, typer.Option(help="Ids and intervals first-last, or all.")
    ] = "all",
    threshold: Annotated[
        float | None, typer.Option(help="Upper limit of the background [°C].")
    ] = None,
    wavelet: Annotated[str, typer.Option(help="Wavelet, or none.")] = "db4",
    level: int = 8,
    bands: Annotated[str, typer.Option(help="Bands in pywt order, or all.")] = "2,3,5",
    transform: Annotated[
        str, typer.Option(help="dwt; or modwt, to compare bands of people in time.")
    ] = "dwt",
    entropy_range: Annotated[
        str | None,
        typer.Option(help="Of the bins of entropy, low:high [°C]; else each frame's."),
    ] = None,
    entropy_correction: Annotated[
        str, typer.Option(help="Of entropy's bias: none, miller_madow, grassberger.")
    ] = "none",
    seconds: Annotated[
        str | None, typer.Option(help="Part of the recording, start:stop [s].")
    ] = None,
    overwrite: Overwrite = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    memory: Memory = "2GiB",
    as_json: Json = False,
) -> None:
    """Compute features of every face and frame, limited to bands, and save them as Zarr."""
    with reporting(as_json) as report:
        import fhemb_xr as fx

        ds = fx.select(
            fx.open_recording(recording),
            subjects=parsing.ids(subjects),
            seconds=parsing.numbers(parsing.SECONDS, seconds),
        )
        emb = fx.embed(
            ds,
            parsing.names(features),
            threshold="recording" if threshold is None else threshold,
            wavelet=None if wavelet == "none" else wavelet,
            level=level,
            bands=None if wavelet == "none" else parsing.bands(bands),
            transform=transform,
            entropy_range=parsing.numbers(
                "entropy-range is low:high, such as 28:38", entropy_range
            ),
            entropy_correction=entropy_correction,
        )
        with workers_of(workers, memory, scheduler) as on, progress("Embedding", on):
            fx.save(emb, out, mode="w" if overwrite else "w-")
        report(store=str(out), sizes=sizes(emb))
