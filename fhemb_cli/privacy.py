"""``fhemb forget`` and ``fhemb anonymize``: what keeps people private."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhemb_cli import completion
from fhemb_cli.console import reporting, talk
from fhemb_cli.options import Json, Out, Scheduler, Store, workers_of

if TYPE_CHECKING:
    from fhemb_xr.io.privacy.erasure import Erasure


def forget(
    subject: Annotated[str, typer.Argument(help="Label of the person.")],
    stores: Annotated[
        list[Path],
        typer.Argument(
            help="All stores that hold the person.", autocompletion=completion.stores
        ),
    ],
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
            talk().print(_told(erasure), markup=False, highlight=False, soft_wrap=True)
        if not any(d.found for d in done):
            talk().print(f"{subject!r} is in none of them: is the label right?", markup=False)


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
    store: Store,
    out: Out,
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
