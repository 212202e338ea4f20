"""``fhemb embed``: features of every face and frame, limited to bands."""

from typing import Annotated, Any

import typer

from fhemb_cli import completion, parsing
from fhemb_cli.console import reporting
from fhemb_cli.info import sizes
from fhemb_cli.options import (
    Json,
    Memory,
    Out,
    Overwrite,
    Recording,
    Scheduler,
    Seconds,
    Subjects,
    Workers,
    require_only,
    workers_of,
)
from fhemb_cli.progress import progress

BANDS, TRANSFORM = "2,3,5", "modwt"
_PANEL = "Bands in time"
_ENTROPY = "Entropy"


def embed(
    context: typer.Context,
    recording: Recording,
    out: Out,
    features: Annotated[
        str,
        typer.Option(
            "--features",
            "-f",
            metavar="LIST",
            help="Names, and intervals first:last.",
            autocompletion=completion.features,
        ),
    ] = "mean,std,skew,kurtosis,p5:p95,pc0:pc4",
    subjects: Subjects = "all",
    seconds: Seconds = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="°C", help="Colder pixels are background; default: the recording's."
        ),
    ] = None,
    wavelet: Annotated[
        str, typer.Option(metavar="NAME", help="Wavelet, or none.", rich_help_panel=_PANEL)
    ] = "db4",
    level: Annotated[int, typer.Option(metavar="N", help="Depth.", rich_help_panel=_PANEL)] = 8,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Numbers in pywt order, or all.",
            show_default=f"{BANDS}, without --hz",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    hz: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH", help="Bands by frequency, in Hz.", rich_help_panel=_PANEL
        ),
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="modwt: shift-invariant, to compare people in time; dwt: decimated, the "
            "default of fx.embed and of the original.",
            show_default=TRANSFORM,
            autocompletion=completion.choices(completion.TRANSFORMS),
            rich_help_panel=_PANEL,
        ),
    ] = None,
    gaps: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Treatment of lost faces: split, fill (up to 1 s), propagate, raise.",
            autocompletion=completion.choices(completion.GAPS),
            rich_help_panel=_PANEL,
        ),
    ] = "split",
    entropy_range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH",
            help="Range of the bins, in °C; default: each frame's own.",
            rich_help_panel=_ENTROPY,
        ),
    ] = None,
    entropy_correction: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Correction of the bias: none, miller_madow, grassberger.",
            autocompletion=completion.choices(completion.CORRECTIONS),
            rich_help_panel=_ENTROPY,
        ),
    ] = "none",
    extend: Annotated[
        bool, typer.Option("--extend", help="Compute only what changed in the recording.")
    ] = False,
    overwrite: Overwrite = False,
    workers: Workers = 0,
    scheduler: Scheduler = None,
    memory: Memory = "2GiB",
    as_json: Json = False,
) -> None:
    """Compute features of every face and frame, limited to bands, and save them as Zarr.

    With --extend the embedding exists already. Its own options count, and only
    what changed is computed. With --overwrite too, all frames may be read again.
    """
    with reporting(as_json) as report:
        import fhemb_xr as fx

        if extend:
            require_only(context, "--extend", ("extend", "overwrite"))
            with workers_of(workers, memory, scheduler) as on, progress("Extending", on):
                done = fx.extend(out, recording, anew=overwrite)
            report(store=str(out), **done.as_dict())
            return
        ds = fx.select(
            fx.open_recording(recording),
            subjects=parsing.ids(subjects),
            seconds=parsing.numbers(parsing.SECONDS, seconds),
        )
        emb = fx.embed(
            ds,
            parsing.names(features),
            threshold="recording" if threshold is None else threshold,
            entropy_range=parsing.numbers(parsing.ENTROPY, entropy_range),
            entropy_correction=entropy_correction,
            **_in_time(
                wavelet, level=level, bands=bands, hz=hz, transform=transform, gaps=gaps
            ),
        )
        with workers_of(workers, memory, scheduler) as on, progress("Embedding", on):
            fx.save(emb, out, mode="w" if overwrite else "w-")
        report(store=str(out), sizes=sizes(emb))


def _in_time(wavelet: str, bands: str | None, hz: str | None, **how: Any) -> dict[str, Any]:
    """Options of the bands; without a wavelet those that somebody gave, which are refused."""
    if wavelet == "none":
        given = {name: value for name, value in how.items() if value is not None}
    else:
        bands = BANDS if bands is None and hz is None else bands
        given = {"wavelet": wavelet, **how, "transform": how["transform"] or TRANSFORM}
    if hz is not None:
        given["hz"] = parsing.numbers(parsing.HZ, hz)
    return given if bands is None else {**given, "bands": parsing.bands(bands)}
