"""The command ``fhemb``: results go to stdout, messages go to stderr.

Exit codes: 0 done, 1 an error or a failed check, 2 wrong usage, 130 stopped by Ctrl-C.
"""

import gc
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Annotated

import typer

from fhemb_cli import doctor, embed, info, pair, privacy, report, similarity, stores, view
from fhemb_cli.console import STOPPED, TERMINATED, tell

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback would print local variables
    help="Lazy analysis of facial heatmaps: database, embedding, similarity, report.",
)
_EXAMPLES: dict[Callable[..., None], str] = {
    embed.embed: "don.zarr emb.zarr -f skew,p5:p95,pc0:pc4 --bands 2,3,5",
    similarity.similarity: "emb.zarr dtw.zarr --metric dtw --clusters 3",
    report.report: "don.zarr emb.zarr dtw.zarr --out report",
    view.view: "don.zarr emb.zarr --faces",
    info.info: "don.zarr --json",
    doctor.doctor: "--warm",
    stores.verify: "don.zarr",
    stores.repair: "don.zarr --ingest '--schema dg --table face_t'",
    privacy.anonymize: "don.zarr shared.zarr --key ~/keys/don.key",
    privacy.forget: "40 don.zarr emb.zarr dtw.zarr",
}
for _command, _example in _EXAMPLES.items():
    _name = _command.__name__
    app.command(_name, epilog=f"Example: fhemb {_name} {_example}")(_command)
app.add_typer(pair.app, name="pair")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"fhemb_xr {version('fhemb_xr')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Lazy analysis of facial heatmaps: database, embedding, similarity, report."""


def _settle() -> None:
    """What the program may decide for its process, and a library may not."""
    # most objects are those of modules, which live to the end: a tenth of the time of
    # `fhemb report` went into looking for garbage among them
    gc.set_threshold(50_000, 10, 10)
    # tasks run on all cores already: more threads in each of them would only wait
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """Run the command; other packages add subcommands (``ingest``, ``demo``)."""
    _settle()
    for point in entry_points(group="fhemb.commands"):
        try:
            app.add_typer(point.load(), name=point.name)
        except ImportError as missing:  # one broken package does not take the others away
            tell("note", f"there is no command {point.name!r} now: {missing}", "yellow")
    try:
        app()
    except SystemExit as end:
        if end.code in (STOPPED, TERMINATED):
            sys.stdout.flush()
            sys.stderr.flush()
            # else the interpreter waits for the tasks that threads still do
            os._exit(int(end.code))
        raise
