"""The source that the options of a command name: files, or the configured database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ingest.hints import Hints
    from ingest.postgres.source import PostgresSource
    from ingest.stacks import StackSource


@contextmanager
def source_of(
    schema: str | None,
    table: str,
    positions: str,
    hints: "Hints",
    files: Path | None,
    accept_new: bool,
    boxes: Path | None = None,
    margin: float = 0.0,
) -> Iterator["PostgresSource | StackSource"]:
    """Open the files, or the configured database through its tunnel."""
    if (schema is None) == (files is None):
        raise typer.BadParameter("give either --schema (a database) or --files")
    if files is None and hints.units is not None:
        raise typer.BadParameter(
            "--units belongs to --files; for a database give scale in its --layout"
        )
    if files is None and boxes is not None:
        raise typer.BadParameter("--boxes belongs to --files: it cuts faces out of films")
    if boxes is None and margin:
        raise typer.BadParameter("--margin belongs to --boxes")
    if files is not None:
        from ingest.stacks import StackSource

        yield StackSource(_reached(files), hints=hints, boxes=boxes, margin=margin)
        return
    with _database(str(schema), table, positions, hints, accept_new) as source:
        yield source


def _reached(files: Path) -> Path:
    """``files``; if the path does not exist, name the missing mount of ``.env.paths``."""
    try:
        from ingest import settings

        known = (settings.config_dir() / ".env.paths").exists()
    except ModuleNotFoundError:  # without the extra of the database there is no configuration
        return files
    return settings.paths().reach(files) if known else files


@contextmanager
def _database(
    schema: str, table: str, positions: str, hints: "Hints", accept_new: bool
) -> Iterator["PostgresSource"]:
    from ingest import settings
    from ingest.postgres.source import PostgresSource
    from ingest.ssh.tunnel import tunnel

    config = settings.database()
    with tunnel(config, accept_new=accept_new) as way:
        yield PostgresSource(
            config.connection(),
            [s.strip() for s in schema.split(",")],
            table,
            positions=None if positions == "none" else positions,
            hints=hints,
            way=way,
        )
