"""``fhemb doctor``: the state of this machine, and code compiled for it."""

import json
from importlib.metadata import entry_points
from typing import Annotated

import typer

from fhemb_cli.console import show, talk, tell
from fhemb_cli.options import Json


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile all kernels now, and keep them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the installation, the safety of the configuration, and the database."""
    from fhemb_xr.diagnostics import checks

    if warm:
        from fhemb_xr.warm import warm as compile_all

        with talk().status("Compiling, once …"):
            spent = sum(compile_all().values())
        tell("compiled", f"in {spent:.1f} s")
    rows = list(checks())
    for point in entry_points(group="fhemb.checks"):
        try:
            rows += list(point.load()())
        except ImportError as missing:
            rows.append((point.name, "SKIP", f"{missing.name} is not installed"))
    if as_json:
        keys = ("check", "state", "found")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
    else:
        from rich.table import Table

        table = Table("check", "state", "found")
        colours = {"OK": "green", "WARN": "yellow", "FAIL": "red"}
        for name, state, finding in rows:
            table.add_row(name, f"[{colours.get(state, 'dim')}]{state}[/]", finding)
        show(table)
    raise typer.Exit(1 if any(state == "FAIL" for _, state, _ in rows) else 0)
