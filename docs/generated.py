"""Pages of the site that are made of the code: commands, accessor, gallery, notebooks."""

import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MADE = "_made"
"""Folder of what is written here, beside the pages; it is not kept."""


def write(docs: Path) -> None:
    """Write all of them into ``_made/``."""
    import gallery

    made = docs / MADE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for notebook in (ROOT / "examples").glob("*.ipynb"):
        (made / notebook.name).write_text(_moved(notebook.read_text()))
    (made / "commands.md").write_text("\n".join(_commands()))
    (made / "accessor.md").write_text("\n".join(_accessor()))
    (made / "gallery.md").write_text("\n".join(gallery.page(made)))
    for name in ("CHANGELOG", "CONTRIBUTING"):
        (made / f"{name.lower()}.md").write_text(_moved((ROOT / f"{name}.md").read_text()))


def _moved(text: str) -> str:
    """Links to pages, as they are from ``_made/``; files of the code are no links."""
    text = re.sub(r"\]\((?:\.\./)?docs/", "](../", text)
    text = re.sub(r"\]\((?:\.\./)?README\.md[^)]*\)", "](../index.md)", text)
    # a notebook is JSON: a link does not go beyond its string, nor beyond its line
    return re.sub(r"\[([^]\n\"]+)\]\((?!http|#|\.\./|\w+\.ipynb)[^)\n\"]+\)", r"`\1`", text)


def _commands() -> Iterator[str]:
    """Every command with its arguments and options, as ``--help`` has them."""
    import typer

    from fhemb_cli.app import app

    yield "# The command\n"
    yield "`fhemb --install-completion` makes TAB complete stores, features and people.\n"
    yield from _of_command("fhemb", typer.main.get_command(app))


def _of_command(name: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if name != "fhemb":
        yield f"## `{name}`\n"
        yield f"{inspect.cleandoc(command.help or '')}\n"
        if command.epilog:
            yield f"{command.epilog}\n"
        yield from _of_parameters(command)
    for part, child in sorted((inner or {}).items()):
        yield from _of_command(f"{name} {part}", child)


def _of_parameters(command: Any) -> Iterator[str]:
    rows = []
    for one in command.params:
        if getattr(one, "hidden", False) or one.name == "help":
            continue
        is_option = one.param_type_name == "option"
        shown = ", ".join((*one.opts, *one.secondary_opts)) if is_option else one.name.upper()
        default = one.default if isinstance(one.default, str | int | float) else ""
        usual = f" Default: `{default}`." if default not in ("", False) else ""
        said = " ".join((getattr(one, "help", "") or "").split()).replace("|", "\\|")
        rows.append(f"| `{shown}` | {said}{usual} |")
    if rows:
        yield "| | |\n|---|---|"
        yield from rows
        yield ""


def _accessor() -> Iterator[str]:
    """The methods of ``ds.fhemb`` and ``x.fhemb``: each is a function under the same name."""
    from fhemb_xr.accessor import FhembDataArray, FhembDataset

    yield "# The accessor\n"
    yield (
        "`ds.fhemb` of a recording and `x.fhemb` of an embedding or a series have the "
        "functions of the [reference](../reference/index.md) as methods; the first argument "
        "is the object itself. `.fhemb.plot` has the figures.\n"
    )
    for owner, what in ((FhembDataset, "Of a Dataset"), (FhembDataArray, "Of a DataArray")):
        yield f"## {what}\n"
        yield "| method | |\n|---|---|"
        for name, method in sorted(inspect.getmembers(owner)):
            if not name.startswith("_") and inspect.isfunction(method):
                first = (inspect.getdoc(method) or "").split("\n\n")[0].replace("\n", " ")
                yield f"| {_linked(name)} | {first.replace('|', chr(92) + '|')} |"
        yield ""


def _linked(name: str) -> str:
    """The method's name, with a link to the page of the function that it is."""
    import fhemb_xr as fx

    return f"{{py:obj}}`.{name} <fhemb_xr.{name}>`" if name in fx.__all__ else f"`.{name}`"
