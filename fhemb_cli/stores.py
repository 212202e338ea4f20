"""``fhemb verify`` and ``fhemb repair``: what keeps stores sound."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from fhemb_cli.console import reporting, talk, tell
from fhemb_cli.options import Json, Scheduler, Store, workers_of

Threads = Annotated[
    int, typer.Option(min=0, help="Files read at the same time; 0: one per processor.")
]


def verify(store: Store, threads: Threads = 0, as_json: Json = False) -> None:
    """Read every file of a store; name what is damaged or lost, with person and seconds."""
    with reporting(as_json) as say:
        from fhemb_xr.io.integrity.verification import verify as find

        damages = find(store, threads=threads or None)
        if as_json:
            say(store=str(store), sound=not damages, damage=[d.as_dict() for d in damages])
        elif not damages:
            say(sound=str(store))
        for damage in damages if not as_json else ():
            tell("damage", damage, "red")
    if damages:
        raise typer.Exit(1)


def repair(
    store: Store,
    source: Annotated[
        Path | None, typer.Option(help="Recording from which an embedding was made.")
    ] = None,
    ingest: Annotated[
        str | None, typer.Option(help="Options of ingest run, to read damaged shards again.")
    ] = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Repair a damaged store as far as possible, and say what is left to do."""
    with reporting(as_json) as say:
        from fhemb_xr.io.integrity.repair import repair as mend

        done = mend(store)
        if done.todo and source is not None:
            with workers_of(0, "", scheduler):
                _replay(store, source)
            done = mend(store)
        elif done.struck and ingest is not None:
            command = [sys.executable, "-m", "fhemb_cli", "ingest", "run", str(store)]
            subprocess.run([*command, *shlex.split(ingest)], check=False, stdout=sys.stderr)
            done = mend(store)
        if as_json:
            say(**done.as_dict())
        else:
            for damage in done.damage:
                talk().print(str(damage), markup=False, highlight=False, soft_wrap=True)
            say(mended=", ".join(done.mended) or "nothing", struck=done.struck,
                todo=done.todo or "nothing")  # fmt: skip
    if done.todo:
        raise typer.Exit(1)


def _replay(store: Path, source: Path) -> None:
    """Compute an embedding again, from its specification and its recording."""
    import fhemb_xr as fx
    from fhemb_xr.io.formats import manifest

    meta = manifest.document(store / fx.schema.EMBEDDING / manifest.ROOT)
    spec = meta["attributes"][fx.schema.SPEC]
    fx.save(fx.replay(spec, fx.open_recording(source)), store, mode="w")
