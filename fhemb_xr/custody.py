"""The commands that keep stores: verify."""

from pathlib import Path
from typing import Annotated

import typer

from fhemb_xr.console import Json, reporting, talk

Threads = Annotated[int, typer.Option(min=0, help="Files read together; 0: one a processor.")]


def verify(store: Path, threads: Threads = 0, as_json: Json = False) -> None:
    """Read every file of a store; name what is damaged or lost, whose and when it is."""
    with reporting(as_json) as say:
        from fhemb_xr.io.verification import verify as find

        found = find(store, threads=threads or None)
        if as_json:
            say(store=str(store), sound=not found, damage=[d.as_dict() for d in found])
        elif not found:
            say(sound=str(store))
        for damage in found if not as_json else ():
            talk.print("[red]damage[/]", end=" ")
            talk.print(str(damage), markup=False, highlight=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)


COMMANDS = (verify,)
EXAMPLES = {"verify": "Example: fhemb verify don.zarr"}
