"""Commands that keep stores sound and people private: verify, repair, anonymize, forget."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhemb_xr.console import Json, reporting, talk

if TYPE_CHECKING:
    from fhemb_xr.io.privacy.erasure import Erasure


def workers_of(workers: int, memory: str, scheduler: str | None) -> Any:
    """Context of worker processes: new ones, those of a scheduler, or none."""
    from fhemb_xr.cluster import connected, local_cluster

    if workers and scheduler:
        raise ValueError(
            "--workers starts processes here, --scheduler uses running ones: give one of them"
        )
    return local_cluster(workers, memory_limit=memory) if workers else connected(scheduler)


Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS|FILE", help="Running Dask scheduler; default: dask's own."),
]
Threads = Annotated[
    int, typer.Option(min=0, help="Files read at the same time; 0: one per processor.")
]


def verify(store: Path, threads: Threads = 0, as_json: Json = False) -> None:
    """Read every file of a store; name what is damaged or lost, with person and seconds."""
    with reporting(as_json) as say:
        from fhemb_xr.io.integrity.verification import verify as find

        damages = find(store, threads=threads or None)
        if as_json:
            say(store=str(store), sound=not damages, damage=[d.as_dict() for d in damages])
        elif not damages:
            say(sound=str(store))
        for damage in damages if not as_json else ():
            talk.print("[red]damage[/]", end=" ")
            talk.print(str(damage), markup=False, highlight=False, soft_wrap=True)
    if damages:
        raise typer.Exit(1)


def repair(
    store: Path,
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
            command = [sys.executable, "-m", "fhemb_xr.cli", "ingest", "run", str(store)]
            subprocess.run([*command, *shlex.split(ingest)], check=False, stdout=sys.stderr)
            done = mend(store)
        if as_json:
            say(**done.as_dict())
        else:
            for damage in done.damage:
                talk.print(str(damage), markup=False, highlight=False, soft_wrap=True)
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


def forget(
    subject: Annotated[str, typer.Argument(help="Label of the person.")],
    stores: Annotated[list[Path], typer.Argument(help="All stores that hold the person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a person from stores; no byte of data, labels, ledger or leftovers remains."""
    with reporting(as_json) as say:
        from fhemb_xr.io.privacy.erasure import forget as erase

        holders = [p.name for p in stores if _holds(p, subject)]
        if not yes and holders:
            names = ", ".join(holders)
            typer.confirm(f"Remove {subject} from {names} for ever?", abort=True, err=True)
        done = erase(subject, *stores)
        if as_json:
            say(erased=[d.as_dict() for d in done])
            return
        for erasure in done:
            talk.print(_told(erasure), markup=False, highlight=False, soft_wrap=True)
        if not any(d.found for d in done):
            talk.print(f"{subject!r} is in none of them: is the label right?", markup=False)


def _holds(store: Path, subject: str) -> bool:
    """Whether the person may be in a store; checked before the user is asked."""
    from fhemb_xr.errors import StoreError
    from fhemb_xr.io.privacy import erasure

    try:
        return bool(erasure.places(store, subject))
    except StoreError:
        return True  # the erasure itself reports a store that cannot be read


def _told(done: "Erasure") -> str:
    """A sentence about what was removed from a store."""
    swept = f"{done.swept} leftovers removed"
    if not done.found:
        pooled = "; it pools people: make it again without the person" if done.pooled else ""
        return f"{done.store}: the person is not in it{pooled}; {swept}"
    shared = f", {', '.join(done.rewritten)} written again" if done.rewritten else ""
    copies = f"; {done.linked} of the files have a copy: remove it too" if done.linked else ""
    return f"{done.store}: {done.files} files removed{shared}, {swept}{copies}"


def anonymize(
    store: Path,
    out: Path,
    key: Annotated[
        Path, typer.Option(help="File of the key, outside all stores; made if it is missing.")
    ],
    shift_days: Annotated[
        int | None,
        typer.Option(help="Days to move wall-clock times back; default: seconds from 0."),
    ] = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Copy a store with pseudonyms, and without anything that identifies people."""
    with reporting(as_json) as say:
        import fhemb_xr as fx
        from fhemb_xr.io.privacy.pseudonyms import new_key

        is_new = not key.exists()
        result: Any = fx.open_result(store)
        if is_new:
            new_key(key)
        with workers_of(0, "", scheduler):
            fx.save(fx.anonymize(result, key=key, shift_days=shift_days), out)
        state = "made: keep it apart from the stores" if is_new else "as it was"
        say(store=str(out), key=state)


COMMANDS = (verify, repair, anonymize, forget)
EXAMPLES = {
    "verify": "Example: fhemb verify don.zarr",
    "repair": "Example: fhemb repair don.zarr --ingest '--schema dg --table face_t'",
    "anonymize": "Example: fhemb anonymize don.zarr shared.zarr --key ~/keys/don.key",
    "forget": "Example: fhemb forget 40 don.zarr emb.zarr dtw.zarr",
}
