"""How every command talks: results to stdout, talk to stderr, an error in one sentence."""

import functools
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

STOPPED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM, as shells have them."""


@functools.cache
def talk() -> "Console":
    """The terminal on stderr."""
    from rich.console import Console

    return Console(stderr=True)


def tell(label: str, text: object, colour: str = "bold") -> None:
    """A line on stderr: a coloured label and a text, which is printed as it is."""
    from rich.markup import escape

    talk().print(f"[{colour}]{label}[/] {escape(str(text))}", highlight=False, soft_wrap=True)


def show(table: Any) -> None:
    """A table on stdout."""
    from rich.console import Console

    Console().print(table)


@contextmanager
def reporting(
    as_json: bool, stopped: str = "nothing of it is left behind"
) -> Iterator[Callable[..., None]]:
    """Print what a command found, or its error in one sentence and exit 1.

    ``stopped`` says after Ctrl-C, which exits with 130, what is left.
    """
    started = time.perf_counter()
    if not sys.warnoptions:
        warnings.showwarning = _note

    def say(**found: Any) -> None:
        found["seconds"] = round(time.perf_counter() - started, 2)
        if as_json:
            print(json.dumps(found, default=str))
            return
        for key, value in found.items():
            if isinstance(value, dict):
                value = " × ".join(f"{k} {v}" for k, v in value.items())
            tell(key, value)

    try:
        yield say
    except KeyboardInterrupt:
        _fail(as_json, "stopped", "Interrupted", stopped)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if not _is_told(error):
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        text = text.replace("mode='w' replaces it", "--overwrite replaces it")
        _fail(as_json, "error", type(error).__name__, text)
        raise typer.Exit(1) from None


def _fail(as_json: bool, label: str, code: str, text: str) -> None:
    if as_json:
        print(json.dumps({"error": {"code": code, "message": text}}))
    else:
        tell(label, text, "red")


def _is_told(error: Exception) -> bool:
    """Whether an error is one that a user can act on; others keep their traceback."""
    ours = sys.modules.get("fhemb_xr.errors")  # an error of ours is from there, so it is loaded
    kinds = (ValueError, KeyError, OSError, MemoryError, ImportError)
    return isinstance(error, kinds if ours is None else (*kinds, ours.FhembError))


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as a sentence, without the place in the code that gave it."""
    tell("note", message, "yellow")
