"""How every command talks: results to stdout, talk to stderr, an error in one sentence."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from fhemb_xr.errors import FhembError

talk = Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@contextmanager
def reporting(as_json: bool) -> Iterator[Callable[..., None]]:
    """Print what a command found, or its error in one sentence and exit 1."""
    started = time.perf_counter()
    if not sys.warnoptions:
        warnings.showwarning = _note

    def say(**found: Any) -> None:
        found["seconds"] = round(time.perf_counter() - started, 2)
        if as_json:
            print(json.dumps(found, default=str))
        else:
            for key, value in found.items():
                if isinstance(value, dict):
                    value = " × ".join(f"{k} {v}" for k, v in value.items())
                talk.print(f"[bold]{key}[/] {escape(str(value))}", highlight=False)

    try:
        yield say
    except (FhembError, ValueError, KeyError, OSError, MemoryError, ImportError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        text = text.replace("mode='w' replaces it", "--overwrite replaces it")
        if as_json:
            print(json.dumps({"error": {"code": type(error).__name__, "message": text}}))
        else:
            talk.print(f"[red]error[/] {escape(text)}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as a sentence, without the place in the code that gave it."""
    talk.print(f"[yellow]note[/] {escape(str(message))}", highlight=False, soft_wrap=True)
