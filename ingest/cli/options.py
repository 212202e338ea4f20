"""Options that the commands of ``fhemb ingest`` share, and the parsing of their texts."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ingest.hints import Hints

Schema = Annotated[
    str | None, typer.Option(help="Schema, or several separated by commas; each is a session.")
]
Files = Annotated[
    Path | None,
    typer.Option(help="File or folder of frames instead of a database (docs/files.md)."),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", help="Frames a second [Hz], for sources without a clock."),
]
Units = Annotated[
    str | None, typer.Option(help="Unit of the numbers in files: degC, K, degF, cK, dK.")
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="Table that cuts faces out of a film: subject, frame, x, y, width, height."
    ),
]
Margin = Annotated[
    float, typer.Option(help="Part of its size by which each box is larger on each side.")
]
TableName = Annotated[str, typer.Option("--table", help="Table of the matrices.")]
Positions = Annotated[str, typer.Option(help="Table of face centres, auto, or none.")]
Layout = Annotated[
    Path | None, typer.Option(help="TOML file: columns, subjects, scale, bytes_dtype, rate_hz.")
]
Subjects = Annotated[str, typer.Option(help="Ids and intervals first-last, or all.")]
Frames = Annotated[str | None, typer.Option(help="Frame numbers first:stop, without stop.")]
Grid = Annotated[str | None, typer.Option(help="Rows x columns of the store's frames: 60x90.")]
Resize = Annotated[
    str | None, typer.Option(help="Resample each frame to rows x columns: 60x40.")
]
Workers = Annotated[int, typer.Option(min=1, help="Number of connections and threads.")]
AcceptNew = Annotated[
    bool, typer.Option("--accept-new-hostkey", help="Trust an SSH server that is new to you.")
]


def hints_of(layout: Path | None, rate: float | None, units: str | None) -> "Hints":
    """Hints about a source: the layout file, overridden by the options."""
    from ingest.hints import Hints, read_hints

    if rate is not None and not 0 < rate < float("inf"):
        raise typer.BadParameter(f"a rate is a positive number of Hz, found {rate!r}")
    hints = read_hints(layout) if layout else Hints()
    return replace(hints, rate_hz=rate or hints.rate_hz, units=units or hints.units)


def frames_of(text: str | None) -> tuple[int, int] | None:
    """``"10000:10500"`` as ``(10000, 10500)``."""
    if text is None:
        return None
    first, _, stop = text.partition(":")
    if not (first.isdigit() and stop.isdigit()):
        raise typer.BadParameter(f"frames are first:stop, e.g. 10000:10500, found {text!r}")
    return int(first), int(stop)


def grid_of(text: str | None) -> tuple[int, int] | None:
    """``"60x90"`` as ``(60, 90)``."""
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise typer.BadParameter(f"a grid is rows x columns, e.g. 60x90, found {text!r}")
    return int(rows), int(columns)
