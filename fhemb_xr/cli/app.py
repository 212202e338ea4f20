"""The command ``fhemb``: results go to stdout, messages go to stderr.

Exit codes: 0 done, 1 an error or a failed check, 2 wrong usage.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from fhemb_xr.cli import info, pair, stores
from fhemb_xr.console import Json, reporting, talk

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback would print local variables
    help="Lazy analysis of facial heatmaps: database, embedding, similarity, report.",
)
app.add_typer(pair.app, name="pair")
Workers = Annotated[
    int, typer.Option(min=0, help="Worker processes; 0: threads of this process.")
]
Memory = Annotated[str, typer.Option(help="Memory limit of each worker process.")]
Overwrite = Annotated[bool, typer.Option(help="Replace the result if it exists.")]


@app.command(
    epilog="Example: fhemb embed don.zarr emb.zarr -f skew,p5:p95,pc0:pc4 --bands 2,3,5"
)
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
    scheduler: stores.Scheduler = None,
    memory: Memory = "2GiB",
    as_json: Json = False,
) -> None:
    """Compute features of every face and frame, limited to bands, and save them as Zarr."""
    with reporting(as_json) as report:
        import fhemb_xr as fx

        ds = fx.select(
            fx.open_recording(recording),
            subjects=_ids(subjects),
            seconds=_pair(_SECONDS, seconds),
        )
        emb = fx.embed(
            ds,
            _names(features),
            threshold="recording" if threshold is None else threshold,
            wavelet=None if wavelet == "none" else wavelet,
            level=level,
            bands=None if wavelet == "none" else _bands(bands),
            transform=transform,
            entropy_range=_pair("entropy-range is low:high, such as 28:38", entropy_range),
            entropy_correction=entropy_correction,
        )
        with stores.workers_of(workers, memory, scheduler) as on, _progress("Embedding", on):
            fx.save(emb, out, mode="w" if overwrite else "w-")
        report(store=str(out), sizes=info.sizes(emb))


@app.command(epilog="Example: fhemb similarity emb.zarr dtw.zarr --metric dtw --clusters 3")
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
    scheduler: stores.Scheduler = None,
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
        options: dict[str, Any] = {"normalize": _range(normalize)}
        if metric == "dtw" and window is not None:
            options["window"] = Clock.of(emb).samples("--window", window)
        relation = fx.pairwise(emb, metric, **options)
        result = relation.to_dataset(name="relation")
        result["cluster"] = fx.clusters(relation, clusters)
        with stores.workers_of(workers, memory, scheduler) as on, _progress("Comparing", on):
            fx.save(result, out, mode="w" if overwrite else "w-", resume=True)
        report(store=str(out), sizes=info.sizes(result))


@app.command(epilog="Example: fhemb report don.zarr emb.zarr dtw.zarr --out report")
def report(
    recording: Path,
    embedding: Path,
    relation: Path,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    subject: Annotated[str | None, typer.Option(help="Person whose face is shown.")] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="Show a face; needs that person's consent.")
    ] = False,
    scheduler: stores.Scheduler = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page, and its figures as PNG and SVG."""
    with reporting(as_json) as say:
        import fhemb_xr as fx
        from fhemb_xr.plot.report import page

        ds, emb = fx.open_recording(recording), fx.open_embedding(embedding)
        result: Any = fx.open_result(relation)  # of `fhemb similarity`, or a matrix alone
        with stores.workers_of(0, "", scheduler) as on, _progress("Drawing", on):
            path = page.report(
                ds,
                emb,
                result["relation"] if hasattr(result, "data_vars") else result,
                out / "report.html",
                subject=None if subject is None else _ids(subject)[0],
                faces=faces,
                clusters=result.get("cluster") if hasattr(result, "data_vars") else None,
            )
        say(report=str(path))


app.command(epilog="Example: fhemb info don.zarr --json")(info.info)
app.command(epilog="Example: fhemb doctor --warm")(info.doctor)

for _command in stores.COMMANDS:
    app.command(_command.__name__, epilog=stores.EXAMPLES[_command.__name__])(_command)


def _range(text: str) -> str | list[float]:
    """``"20,40"`` as two numbers; a name as it is."""
    parts = text.split(",")
    try:
        return [float(p) for p in parts] if len(parts) == 2 else text
    except ValueError:
        return text


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


def main() -> None:
    """Run the command; other packages add subcommands (``ingest``, ``demo``)."""
    for point in entry_points(group="fhemb.commands"):
        try:
            app.add_typer(point.load(), name=point.name)
        except ImportError as missing:
            app.command(
                point.name, help=f"Needs the extra: pip install 'fhemb_xr\\[{point.name}]'."
            )(_absent(point.name, missing.name or "a package"))
    app()


def _absent(name: str, missing: str) -> Callable[[], NoReturn]:
    def command() -> NoReturn:
        talk.print(escape(f"{missing} is not installed: pip install 'fhemb_xr[{name}]'"))
        raise typer.Exit(1)

    return command


@contextmanager
def _progress(label: str, workers: Any) -> Iterator[None]:
    """Show a bar of the tasks of this process; with worker processes, a spinner."""
    if not talk.is_terminal:
        yield
        return
    if workers:
        with talk.status(f"{label} on workers …"):
            yield
        return
    from dask.callbacks import Callback
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = TextColumn(label), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=talk, transient=True) as bar:
        row = bar.add_task(label, total=None)

        def planned(dsk: Any) -> None:
            bar.reset(row, total=len(dsk))

        def done(*_: Any) -> None:
            bar.advance(row)

        with Callback(start=planned, posttask=done):
            yield


def _ids(text: str) -> Any:
    """``'40-44,65'`` → ``[(40, 44), 65]``."""
    if text == "all":
        return "all"
    parts = [
        p.strip().split("-") if p.strip()[0].isdigit() else [p.strip()] for p in text.split(",")
    ]
    typed = [[int(e) if e.isdigit() else e for e in p] for p in parts]
    return [tuple(p) if len(p) > 1 else p[0] for p in typed]


def _names(text: str) -> list[Any]:
    """``'skew,p5:p95'`` → ``['skew', ('p5', 'p95')]``."""
    parts = [p.strip().split(":") for p in text.split(",")]
    return [tuple(p) if len(p) == 2 else p[0] for p in parts]


def _bands(text: str) -> Any:
    if text == "all":
        return None
    try:
        return [int(b) for b in text.split(",")]
    except ValueError:
        raise ValueError(
            f"bands are numbers separated by commas, or all, found {text!r}"
        ) from None


_SECONDS = "seconds are start:stop, such as 400:440"


def _pair(rule: str, text: str | None) -> tuple[float, float] | None:
    """``'400:440'`` → ``(400.0, 440.0)``."""
    if text is None:
        return None
    try:
        start, stop = (float(t) for t in text.split(":"))
    except ValueError:
        raise ValueError(f"{rule}, found {text!r}") from None
    return start, stop


def _expanded(text: str, emb: Any) -> list[str]:
    from fhemb_xr.errors import UnknownNameError, nearest
    from fhemb_xr.ops.frames.feature_names import expand

    names = expand(_names(text))
    available = emb.indexes["feature"].tolist()
    for name in names:
        if name not in available:
            raise UnknownNameError(
                f"no feature {name!r} in the embedding{nearest(name, available)}"
            )
    return names
