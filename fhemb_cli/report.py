"""``fhemb report``: one page with all figures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fhemb_cli import completion, parsing
from fhemb_cli.console import reporting
from fhemb_cli.options import Embedding, Json, Recording, Scheduler, workers_of
from fhemb_cli.progress import progress


def report(
    recording: Recording,
    embedding: Embedding,
    relation: Annotated[
        Path,
        typer.Argument(
            help="Store of `fhemb similarity`, or of a matrix.",
            autocompletion=completion.stores,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    subject: Annotated[str | None, typer.Option(help="Person whose face is shown.")] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="Show a face; needs that person's consent.")
    ] = False,
    result: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store of a further result, e.g. of fx.corrca, fx.states or fx.respiration; "
            "again for each.",
            autocompletion=completion.stores,
        ),
    ] = None,
    figures: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Files of the figures beside the page: png, svg, pdf; or none."
        ),
    ] = "png,svg",
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page, and its figures for print beside it."""
    with reporting(as_json) as say:
        import fhemb_xr as fx
        from fhemb_xr.plot.report import page

        ds, emb = fx.open_recording(recording), fx.open_embedding(embedding)
        found: Any = fx.open_result(relation)  # of `fhemb similarity`, or a matrix alone
        with workers_of(0, "", scheduler) as on, progress("Drawing", on):
            path = page.report(
                ds,
                emb,
                found["relation"] if hasattr(found, "data_vars") else found,
                out / "report.html",
                subject=None if subject is None else parsing.ids(subject)[0],
                faces=faces,
                clusters=found.get("cluster") if hasattr(found, "data_vars") else None,
                results=[_dataset(fx.open_result(store)) for store in result or ()],
                figures=() if figures == "none" else parsing.names(figures),
            )
        say(report=str(path))


def _dataset(result: Any) -> Any:
    """A result as a Dataset; a matrix or a series alone is one of its variables."""
    if hasattr(result, "data_vars"):
        return result
    return result.to_dataset(name=result.name or "values")
